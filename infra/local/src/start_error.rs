//! Why a system did not start.

use std::path::PathBuf;

use shared::store::StoreError;

use crate::dynamodb::EngineError;
use crate::sqs::QueueError;

/// Why a system did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process uses the directory.
    #[error("another process uses the data in {}", .0.display())]
    InUse(PathBuf),
    #[error("cannot open the queues")]
    Queues(#[from] QueueError),
    /// The client that posts to webhooks cannot be made.
    #[error("cannot post to webhooks")]
    Poster(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot open the database")]
    Engine(#[from] EngineError),
    /// The tables or the organisation cannot be made.
    #[error("cannot prepare the tables")]
    Store(#[from] StoreError),
}
