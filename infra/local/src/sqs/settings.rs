//! The settings of queues, their messages, counts and errors.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a standard queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The name, which is the last part of the queue's URL.
    pub name: String,
    /// How long a received message is hidden from other receivers.
    pub visibility_timeout: Duration,
    /// How often a message is delivered before it goes to the dead letter queue, at least 1. It has
    /// no effect without such a queue.
    pub max_receive_count: u32,
    pub dead_letter_queue: Option<String>,
}

/// A message as a receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that the sender received.
    pub id: String,
    /// The handle to delete or release the message. A later receive invalidates it.
    pub receipt_handle: String,
    pub body: String,
    /// How often the message was received, including this time.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970 by the system clock.
    pub sent_at_ms: i64,
}

/// The messages of a queue by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that may be received now.
    pub visible: usize,
    /// Messages that a receiver has.
    pub in_flight: usize,
    /// Messages whose sender's delay is not over.
    pub delayed: usize,
    /// Messages that a receiver released to be tried again later. SQS counts them as in flight.
    pub released: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("cannot create the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the message database failed")]
    Database(#[from] rusqlite::Error),
    #[error("the queue settings are invalid: {0}")]
    Settings(String),
    #[error("there is no queue {0}")]
    UnknownQueue(String),
    /// No receive can have returned this handle.
    #[error("the receipt handle {0} is malformed")]
    MalformedReceipt(String),
}

/// Rejects settings that contradict themselves.
pub(super) fn validate(queues: &[QueueSettings]) -> Result<(), QueueError> {
    let refuse = |reason: String| Err(QueueError::Settings(reason));
    let mut names = BTreeSet::new();
    for queue in queues {
        if !names.insert(queue.name.as_str()) {
            return refuse(format!("{} is named twice", queue.name));
        }
    }
    for queue in queues {
        if queue.max_receive_count == 0 {
            return refuse(format!("{} never delivers a message", queue.name));
        }
        match queue.dead_letter_queue.as_deref() {
            Some(dead) if dead == queue.name => {
                return refuse(format!("{dead} is its own dead letter queue"));
            }
            Some(dead) if !names.contains(dead) => {
                return refuse(format!("the dead letter queue {dead} does not exist"));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}
