//! The whole system on one machine: every function behind one HTTP port, with DynamoDB and SQS in the same process.
//! The program and the tests start the same [`system::System`].

mod bounces;
pub mod bucket;
pub mod bus;
pub mod demo;
pub mod endpoints;
pub mod engine;
mod guard;
mod local_routes;
pub mod mail;
pub mod mapping;
pub mod openapi;
pub mod permissions;
pub mod queue;
pub mod system;
