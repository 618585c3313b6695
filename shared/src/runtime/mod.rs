//! The boundary to Lambda and HTTP: configuration, keys, errors, bodies, lists, time.

pub mod auth;
mod beliefs;
pub mod clock;
pub mod configuration_cache;
pub mod endpoint;
pub mod error;
pub mod failures;
pub mod fields;
pub mod http;
pub mod list;
pub mod logs;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod parse;
#[cfg(feature = "queue")]
pub mod queue;
pub mod random;
pub mod rate;
pub mod roles;
pub mod sealing;
pub mod settings;
pub mod source;
pub mod token;
pub mod wire;
