//! Why a command failed.

use std::io;

use local::sqs::QueueError;
use local::system::StartError;
use shared::store::StoreError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("cannot start the system")]
    Start(#[from] StartError),
    #[error("the queue failed")]
    Queue(#[from] QueueError),
    #[error("cannot read the tables")]
    Store(#[from] StoreError),
    /// Something could not be read or written.
    #[error("{0}")]
    Io(String, #[source] io::Error),
    /// The system gave an answer that it must not give, or an argument is wrong.
    #[error("{0}")]
    Answer(String),
    /// The command has its figures, and they are worse than claimed.
    #[error("the claim does not hold: {0}")]
    Claim(String),
}
