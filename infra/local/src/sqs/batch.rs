//! Batch requests: either the whole request fails, or single entries.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::checks::{check_content, queue_name};
use super::wire::{BatchRequest, DeleteEntry, MAX_BYTES, MAX_ENTRIES, Refusal, SendEntry};
use super::{QueueError, Queues};

/// Stores the valid entries in one transaction.
pub(super) fn send(queues: &Queues, request: BatchRequest<SendEntry>) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    queues.counts(queue)?;
    let entries = &request.entries;
    check_ids(entries.iter().map(|entry| entry.id.as_str()))?;
    let bytes = entries
        .iter()
        .map(|entry| entry.content.message_body.len())
        .sum();
    if bytes > MAX_BYTES {
        return Err(Refusal::BatchTooLong(bytes));
    }

    let mut failed = Vec::new();
    let mut accepted: Vec<(&SendEntry, Duration)> = Vec::new();
    for entry in entries {
        match check_content(&entry.content) {
            Ok(_) if queues.faults.refuses_entry(&entry.content.message_body) => {
                failed.push(internal_failure(&entry.id));
            }
            Ok(delay) => accepted.push((entry, delay)),
            Err(refusal) => failed.push(failure(&entry.id, &refusal)),
        }
    }
    let messages: Vec<(&str, Duration)> = accepted
        .iter()
        .map(|(entry, delay)| (entry.content.message_body.as_str(), *delay))
        .collect();
    let ids = queues.send_all(queue, &messages)?;
    let successful: Vec<Value> = accepted
        .iter()
        .zip(ids)
        .map(|((entry, _), id)| json!({"Id": entry.id, "MessageId": id}))
        .collect();
    Ok(answer(successful, failed))
}

/// Deletes each entry. A handle of a deleted message succeeds, as on AWS.
pub(super) fn delete(
    queues: &Queues,
    request: BatchRequest<DeleteEntry>,
) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    queues.counts(queue)?;
    check_ids(request.entries.iter().map(|entry| entry.id.as_str()))?;
    let mut successful = Vec::new();
    let mut failed = Vec::new();
    for entry in &request.entries {
        match queues.delete(queue, &[&entry.receipt_handle]) {
            Ok(_) => successful.push(json!({"Id": entry.id})),
            Err(error @ QueueError::MalformedReceipt(_)) => {
                failed.push(failure(&entry.id, &Refusal::from(error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer(successful, failed))
}

fn answer(successful: Vec<Value>, failed: Vec<Value>) -> Value {
    let mut answer = json!({"Successful": successful});
    if !failed.is_empty() {
        answer["Failed"] = Value::Array(failed);
    }
    answer
}

fn failure(id: &str, refusal: &Refusal) -> Value {
    json!({
        "Id": id,
        "SenderFault": true,
        "Code": refusal.code(),
        "Message": refusal.to_string(),
    })
}

/// The failure of an entry that SQS could not store.
fn internal_failure(id: &str) -> Value {
    json!({
        "Id": id,
        "SenderFault": false,
        "Code": "InternalError",
        "Message": "The request processing has failed because of an unknown error.",
    })
}

fn check_ids<'a>(ids: impl Iterator<Item = &'a str> + Clone) -> Result<(), Refusal> {
    let count = ids.clone().count();
    if count == 0 {
        return Err(Refusal::EmptyBatch);
    }
    if count > MAX_ENTRIES {
        return Err(Refusal::TooManyEntries(count));
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let well_formed = (1..=80).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !well_formed {
            return Err(Refusal::BadEntryId);
        }
        if !seen.insert(id) {
            return Err(Refusal::IdsNotDistinct(id.to_owned()));
        }
    }
    Ok(())
}
