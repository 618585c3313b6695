//! What Toktra's functions share.
//!
//! - [`domain`] is pure: no async, no AWS, no clock, no randomness. Time and ids are arguments.
//! - [`ledger`] has the use cases: it holds, settles, changes, closes months and reconciles.
//! - [`store`] is the only code that knows DynamoDB.
//! - [`runtime`] is the boundary to Lambda: configuration, keys, errors, batches.

mod backoff;
pub mod domain;
pub mod ledger;
pub mod random;
pub mod runtime;
pub mod store;

#[cfg(feature = "http")]
pub use endpoint::endpoint;
