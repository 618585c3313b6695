//! The queue of notices.

use super::logs::{ErrorType, report};
use crate::domain::notice::NoticeMessage;
use std::error::Error;
use std::time::Duration;

/// The longest delay of a message that SQS supports.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// The queue of notices. Messages that are given up go to its dead-letter queue.
#[derive(Clone, Debug)]
pub struct Notices {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

/// The queue rejected a message.
#[derive(Debug, thiserror::Error)]
#[error("the queue rejected the message")]
pub struct NotQueued(#[source] Box<dyn Error + Send + Sync>);

impl Notices {
    pub fn new(sqs: aws_sdk_sqs::Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Queues a message that is due now. Its subject is stored already. It may be queued twice, so
    /// its receiver checks what was done before.
    pub async fn queue(&self, message: &NoticeMessage) -> Result<(), NotQueued> {
        self.queue_later(message, Duration::ZERO).await
    }

    /// Queues a notice that was not sent yet.
    pub async fn tell(&self, organisation_id: &str, notice_id: &str) -> Result<(), NotQueued> {
        let message = NoticeMessage::Notice {
            organisation_id: organisation_id.to_owned(),
            notice_id: notice_id.to_owned(),
        };
        self.queue(&message).await
    }

    /// Queues a notice that may wait. If the queue rejects it, the schedule finds it.
    pub async fn tell_or_leave(&self, organisation_id: &str, notice_id: &str) {
        if let Err(error) = self.tell(organisation_id, notice_id).await {
            report(
                ErrorType::NoticeNotQueued,
                "the schedule will queue a notice",
                &error,
            );
        }
    }

    /// Queues a message with a delay of at most a quarter of an hour. A receiver that gets it too
    /// early queues it again.
    pub async fn queue_later(
        &self,
        message: &NoticeMessage,
        delay: Duration,
    ) -> Result<(), NotQueued> {
        let body = serde_json::to_string(message).map_err(|error| NotQueued(error.into()))?;
        // Rounded up, so that it does not arrive just before it is due.
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
