//! The whole system in one process, as a library: every function, and the AWS services that they
//! call. The program and the tests start the same [`system::System`].

pub mod bucket;
pub mod bus;
mod drain;
pub mod dynamodb;
pub mod endpoints;
pub mod event_source;
mod fault;
mod names;
pub mod openapi;
pub mod permissions;
pub mod secrets;
mod server;
mod services;
pub mod ses;
pub mod sqs;
mod start_error;
pub mod system;
mod transport;
