//! The designs that others use, each in its best form and in few lines. Those on DynamoDB use the
//! engine and the SDK's client that the ledger uses; the others use PostgreSQL.
//!
//! - [`read_then_add`]: gateways that compare what was spent so far. LiteLLM without its
//!   reservation, Bifrost, MLflow, Langfuse and others say in print that a cap can be passed.
//! - [`parallel`]: gateways that reserve at each counter and give back what they need not, as
//!   LiteLLM does with its reservation.
//! - [`transaction`]: what DynamoDB offers for it.
//! - [`postgres`]: ledgers on PostgreSQL with reserve and commit, as Agentic SpendGuard's.

mod cluster;
pub(super) mod counters;
pub(super) mod parallel;
pub(super) mod postgres;
pub(super) mod read_then_add;
pub(super) mod transaction;

use crate::error::CommandError;
use aws_sdk_dynamodb::error::DisplayErrorContext;

/// The outcome of one request for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) is_admitted: bool,
    /// The calls that waited for each other. Calls made at once are one round trip.
    pub(super) round_trips: u32,
}

fn failed(error: impl std::error::Error) -> CommandError {
    CommandError::Answer(DisplayErrorContext(error).to_string())
}
