//! Queueing notices.

use shared::domain::notice::NoticeMessage;
use std::error::Error;

/// The queue of notices.
#[derive(Clone, Debug)]
pub struct Notices {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

/// The queue did not take a notice.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take it")]
pub(super) struct NotQueued(#[source] Box<dyn Error + Send + Sync>);

impl Notices {
    /// The queue at `queue_url`.
    pub fn new(sqs: aws_sdk_sqs::Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Queues a notice, which is written already. It may be queued twice; whoever sends it looks at what was sent.
    pub(super) async fn queue(
        &self,
        organisation_id: &str,
        notice_id: &str,
    ) -> Result<(), NotQueued> {
        let message = NoticeMessage {
            organisation_id: organisation_id.to_owned(),
            notice_id: notice_id.to_owned(),
        };
        let body = serde_json::to_string(&message).map_err(|error| NotQueued(error.into()))?;
        let call = self.sqs.send_message().queue_url(&self.queue_url);
        let sent = call.message_body(body).send().await;
        sent.map_err(|error| NotQueued(error.into()))?;
        Ok(())
    }
}
