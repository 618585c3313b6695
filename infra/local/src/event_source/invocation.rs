//! The event with which Lambda invokes a function, and the response of the function.

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};

use crate::sqs::Message;

/// Returns the ids of the failed messages. If the function names an unknown id, all messages
/// failed, as for Lambda.
pub(super) fn failed<'a>(
    response: &SqsBatchResponse,
    messages: &'a [Message],
) -> BTreeSet<&'a str> {
    let named: BTreeSet<&str> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    let all: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    if named.is_subset(&all) {
        all.into_iter().filter(|id| named.contains(id)).collect()
    } else {
        tracing::error!("the function named a failed message that it was not given");
        all
    }
}

/// Makes the event of a batch, as Lambda does.
pub(super) fn event(queue: &str, messages: &[Message]) -> SqsEvent {
    let records = messages.iter().map(|message| {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.receipt_handle = Some(message.receipt_handle.clone());
        record.body = Some(message.body.clone());
        record.attributes = [
            ("ApproximateReceiveCount", message.receive_count.to_string()),
            ("SentTimestamp", message.sent_at_ms.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(format!("arn:aws:sqs:us-east-1:000000000000:{queue}"));
        record.aws_region = Some("us-east-1".to_owned());
        record
    });
    let mut event = SqsEvent::default();
    event.records = records.collect();
    event
}
