//! Puts events on the queue, ten at a time.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::StreamExt;
use shared::domain::ledger::usage::EventMessage;
use shared::runtime::logs::{ErrorType, report};
use std::collections::HashSet;

/// The most messages that SQS takes at once.
const BATCH: usize = 10;
/// How many batches are in flight at the same time.
const CONCURRENT: usize = 8;

/// Sends all messages, each with the index of its event. Returns the indices of those that the
/// queue did not take.
pub(crate) async fn all(
    sqs: &Client,
    queue_url: &str,
    messages: &[(usize, EventMessage)],
) -> HashSet<usize> {
    let batches: Vec<_> = messages
        .chunks(BATCH)
        .map(|batch| one(sqs, queue_url, batch))
        .collect();
    let failed: Vec<Vec<usize>> = futures::stream::iter(batches)
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    failed.into_iter().flatten().collect()
}

async fn one(sqs: &Client, queue_url: &str, batch: &[(usize, EventMessage)]) -> Vec<usize> {
    let mut call = sqs.send_message_batch().queue_url(queue_url);
    let mut failed = Vec::new();
    for (index, message) in batch {
        let entry = serde_json::to_string(message).ok().and_then(|body| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body)
                .build()
                .ok()
        });
        match entry {
            Some(entry) => call = call.entries(entry),
            None => failed.push(*index),
        }
    }
    match call.send().await {
        Ok(answer) => {
            let refused = answer.failed().iter();
            for entry in answer.failed() {
                let error_type = ErrorType::EventsNotQueued.as_str();
                tracing::error!(
                    error_type,
                    code = entry.code(),
                    "the queue did not take an event"
                );
            }
            failed.extend(refused.filter_map(|entry| entry.id().parse::<usize>().ok()));
            failed
        }
        Err(error) => {
            report(
                ErrorType::EventsNotQueued,
                "the queue did not take a batch",
                &error,
            );
            batch.iter().map(|(index, _)| *index).collect()
        }
    }
}
