//! Waits until a system has no more work to do.

use std::time::Duration;

use jiff::Timestamp;
use shared::domain::notice::NoticeMessage;

use crate::event_source::Mappings;
use crate::names::NOTICES;
use crate::sqs::{QueueError, Queues};

/// Returns when no message is due. Mails that wait to be joined with others are sent now.
pub(crate) async fn drain(mappings: &Mappings, queues: &Queues) -> Result<(), QueueError> {
    loop {
        mappings.drain().await?;
        if !flush_mails(queues)? {
            return Ok(());
        }
    }
}

/// Makes each recipient queue that waits for more mails due now. Returns whether there was one.
/// A queue whose mail has failed keeps waiting.
fn flush_mails(queues: &Queues) -> Result<bool, QueueError> {
    let mut has_any = false;
    for body in queues.take_delayed(NOTICES, |body| first_attempt(body).is_some())? {
        if let Some(message) = first_attempt(&body) {
            let body = serde_json::to_string(&message).unwrap_or(body);
            queues.send(NOTICES, &body, Duration::ZERO)?;
            has_any = true;
        }
    }
    Ok(has_any)
}

/// Returns the first attempt to send a recipient's mails, due at once. None if the message is
/// anything else.
fn first_attempt(body: &str) -> Option<NoticeMessage> {
    match serde_json::from_str(body).ok()? {
        NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt: 0,
            ..
        } => Some(NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt: 0,
            due_at: Timestamp::MIN,
        }),
        _ => None,
    }
}
