//! The boundary to Lambda and HTTP: configuration, keys, errors, bodies, lists, time.

#[cfg(feature = "http")]
pub mod auth;
#[cfg(feature = "batch")]
pub mod batch;
#[cfg(feature = "http")]
mod beliefs;
pub mod clock;
pub mod configuration_cache;
#[cfg(feature = "http")]
pub mod endpoint;
pub mod error;
#[cfg(feature = "http")]
pub mod failures;
pub mod fields;
#[cfg(feature = "http")]
pub mod http;
pub mod list;
pub mod logs;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod parse;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "http")]
pub mod rate;
#[cfg(feature = "http")]
mod response;
#[cfg(feature = "http")]
pub mod roles;
pub mod sealing;
pub mod secrets;
pub mod settings;
#[cfg(feature = "http")]
pub mod source;
#[cfg(feature = "http")]
pub mod token;
pub mod usage_fields;
pub mod values;
pub mod wire;

pub use crate::random;
