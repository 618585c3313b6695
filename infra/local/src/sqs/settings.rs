//! What the queues are told and what they tell: settings, messages, counts and errors.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// One standard queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The last part of the queue's url.
    pub name: String,
    /// How long a received message is hidden from other receivers.
    pub visibility_timeout: Duration,
    /// How often a message is delivered before it goes to the dead letter queue. At least 1;
    /// without effect if there is no such queue.
    pub max_receive_count: u32,
    /// The name of another of the queues.
    pub dead_letter_queue: Option<String>,
}

/// A message as a receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that the sender was told.
    pub id: String,
    /// Names this receive of the message: to delete or to release it. A later receive makes it
    /// powerless.
    pub receipt_handle: String,
    /// What was sent.
    pub body: String,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970 by the computer's clock.
    pub sent_at_ms: i64,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// May be received now.
    pub visible: usize,
    /// A receiver has them.
    pub in_flight: usize,
    /// Sent with a delay that is not over.
    pub delayed: usize,
    /// Given back by a receiver, to be tried again later. SQS counts them as in flight.
    pub released: usize,
}

/// Why the queues could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The directory for the messages cannot be made.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database of messages failed.
    #[error("the message database failed")]
    Database(#[from] rusqlite::Error),
    /// The settings contradict themselves.
    #[error("the queue settings are invalid: {0}")]
    Settings(String),
    /// There is no queue of that name.
    #[error("there is no queue {0}")]
    UnknownQueue(String),
    /// No receive ever returned this handle.
    #[error("the receipt handle {0} is malformed")]
    MalformedReceipt(String),
}

/// Refuses settings that no set of queues can have.
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
