//! The queue of notices.

use super::logs::{ErrorType, report};
use crate::domain::notice::NoticeMessage;
use std::error::Error;
use std::time::Duration;

/// The longest that a queue keeps a message back.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// The queue of notices, and where those go that are given up.
#[derive(Clone, Debug)]
pub struct Notices {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

/// The queue did not take a message.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take it")]
pub struct NotQueued(#[source] Box<dyn Error + Send + Sync>);

impl Notices {
    /// The queue at `queue_url`.
    pub fn new(sqs: aws_sdk_sqs::Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Queues a message that is due now. What it is about is written already; it may be queued twice, and whoever handles it looks
    /// at what was done.
    pub async fn queue(&self, message: &NoticeMessage) -> Result<(), NotQueued> {
        self.queue_later(message, Duration::ZERO).await
    }

    /// Queues a notice that nobody was told of yet.
    pub async fn tell(&self, organisation_id: &str, notice_id: &str) -> Result<(), NotQueued> {
        let message = NoticeMessage::Notice {
            organisation_id: organisation_id.to_owned(),
            notice_id: notice_id.to_owned(),
        };
        self.queue(&message).await
    }

    /// The same where the notice may wait: one that the queue does not take is found by the schedule.
    pub async fn tell_or_leave(&self, organisation_id: &str, notice_id: &str) {
        if let Err(error) = self.tell(organisation_id, notice_id).await {
            report(
                ErrorType::NoticeNotQueued,
                "a notice is left to the schedule",
                &error,
            );
        }
    }

    /// Queues a message that is kept back for `delay`, or for a quarter of an hour where that is less: whoever receives it too early queues it
    /// again.
    pub async fn queue_later(
        &self,
        message: &NoticeMessage,
        delay: Duration,
    ) -> Result<(), NotQueued> {
        let body = serde_json::to_string(message).map_err(|error| NotQueued(error.into()))?;
        // Rounded up, so that it does not come just before it is due.
        let delay = delay.min(MAX_DELAY).as_millis().div_ceil(1_000);
        let call = self
            .sqs
            .send_message()
            .queue_url(&self.queue_url)
            .delay_seconds(i32::try_from(delay).unwrap_or(0))
            .message_body(body);
        call.send().await.map_err(|error| NotQueued(error.into()))?;
        Ok(())
    }
}
