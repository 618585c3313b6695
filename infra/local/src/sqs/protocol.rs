//! The SQS operations that the official SDK calls.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::checks::{check_content, queue_name, seconds};
use super::wire::{
    MAX_ENTRIES, QueueNameRequest, QueueRequest, ReceiptRequest, ReceiveRequest, Refusal,
    SendRequest, error_reply,
};
use super::{Message, Queues, batch, find};
use crate::fault::{FaultKind, FaultPlan};
use crate::permissions::Permission;
use crate::transport::{Reply, Service};

const MAX_VISIBILITY_SECONDS: i64 = 43_200;
const MAX_WAIT_SECONDS: i64 = 20;

impl Service for Queues {
    const TARGET_PREFIX: &'static str = "AmazonSQS.";

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        record_permission(self, operation, body);
        match serve(self, operation, body).await {
            Ok(answer) => Reply::new(200, answer.to_string()),
            Err(refusal) => {
                if let Refusal::Internal(error) = &refusal {
                    tracing::error!(
                        operation,
                        error = error as &dyn std::error::Error,
                        "queue failed"
                    );
                }
                refusal.into_reply()
            }
        }
    }

    fn failure(kind: FaultKind, _operation: &str, _body: &str) -> Option<Reply> {
        match kind {
            FaultKind::InternalServerError => Some(error_reply(
                500,
                "InternalFailure",
                "InternalFailure",
                "The request processing has failed because of an unknown error.",
            )),
            FaultKind::Throttled => Some(error_reply(
                403,
                "RequestThrottled",
                "RequestThrottled",
                "The request was denied due to request throttling.",
            )),
            FaultKind::TransactionConflict
            | FaultKind::ConnectionReset
            | FaultKind::Silence
            | FaultKind::Late(_) => None,
        }
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}

/// Records the permission that a call needs in a deployment. A batch needs that of a single
/// message.
fn record_permission(queues: &Queues, operation: &str, body: &str) {
    let request = serde_json::from_str::<QueueRequest>(body);
    let url = request.map(|request| request.queue_url).unwrap_or_default();
    if let Ok(queue) = queue_name(&url) {
        let action = format!("sqs:{}", operation.trim_end_matches("Batch"));
        let needed = Permission::new(queues.caller, action, queue.to_owned());
        queues.used.record(needed);
    }
}

async fn serve(queues: &Queues, operation: &str, body: &str) -> Result<Value, Refusal> {
    match operation {
        "SendMessage" => send(queues, read(body)?),
        "SendMessageBatch" => batch::send(queues, read(body)?),
        "ReceiveMessage" => receive(queues, read(body)?).await,
        "DeleteMessage" => delete(queues, read(body)?),
        "DeleteMessageBatch" => batch::delete(queues, read(body)?),
        "ChangeMessageVisibility" => change_visibility(queues, read(body)?),
        "GetQueueAttributes" => attributes(queues, read(body)?),
        "GetQueueUrl" => url(queues, read(body)?),
        _ => Err(Refusal::UnknownOperation),
    }
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, Refusal> {
    serde_json::from_str(body).map_err(Refusal::Unreadable)
}

fn send(queues: &Queues, request: SendRequest) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    let delay = check_content(&request.content)?;
    let id = queues.send(queue, &request.content.message_body, delay)?;
    Ok(json!({"MessageId": id}))
}

async fn receive(queues: &Queues, request: ReceiveRequest) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    let max = request.max_number_of_messages.unwrap_or(1);
    let max = usize::try_from(max)
        .ok()
        .filter(|max| (1..=MAX_ENTRIES).contains(max))
        .ok_or_else(|| {
            Refusal::Invalid(format!(
                "Value {max} for parameter MaxNumberOfMessages is invalid. Reason: Must be \
                 between 1 and {MAX_ENTRIES}, if provided."
            ))
        })?;
    let visibility = request
        .visibility_timeout
        .map(|value| seconds("VisibilityTimeout", value, MAX_VISIBILITY_SECONDS))
        .transpose()?;
    let wait = request.wait_time_seconds.unwrap_or(0);
    let wait = seconds("WaitTimeSeconds", wait, MAX_WAIT_SECONDS)?;

    let mut messages = queues.receive_for(queue, max, visibility)?;
    if messages.is_empty()
        && !wait.is_zero()
        && let Ok(arrived) = tokio::time::timeout(wait, queues.wait_for_message(queue)).await
    {
        arrived?;
        messages = queues.receive_for(queue, max, visibility)?;
    }
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let wanted = |name: &str| {
        request
            .attribute_names
            .iter()
            .chain(&request.message_system_attribute_names)
            .any(|asked| asked == name || asked == "All")
    };
    let messages: Vec<Value> = messages
        .into_iter()
        .map(|message| describe(message, &wanted))
        .collect();
    Ok(json!({"Messages": messages}))
}

fn describe(message: Message, wanted: &impl Fn(&str) -> bool) -> Value {
    let mut attributes = Map::new();
    for (name, value) in [
        ("ApproximateReceiveCount", message.receive_count.to_string()),
        ("SentTimestamp", message.sent_at_ms.to_string()),
    ] {
        if wanted(name) {
            attributes.insert(name.to_owned(), Value::String(value));
        }
    }
    let mut described = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "Body": message.body,
    });
    if !attributes.is_empty() {
        described["Attributes"] = Value::Object(attributes);
    }
    described
}

fn delete(queues: &Queues, request: ReceiptRequest) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    queues.delete(queue, &[request.receipt_handle])?;
    Ok(json!({}))
}

fn change_visibility(queues: &Queues, request: ReceiptRequest) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    let timeout = request
        .visibility_timeout
        .ok_or(Refusal::Missing("VisibilityTimeout"))?;
    let timeout = seconds("VisibilityTimeout", timeout, MAX_VISIBILITY_SECONDS)?;
    if queues.hide(queue, &request.receipt_handle, timeout)? {
        Ok(json!({}))
    } else {
        Err(Refusal::NotInFlight)
    }
}

fn attributes(queues: &Queues, request: QueueRequest) -> Result<Value, Refusal> {
    let queue = queue_name(&request.queue_url)?;
    let counts = queues.counts(queue)?;
    let visibility = {
        let mut shared = queues.shared();
        find(&mut shared.queues, queue)?.settings.visibility_timeout
    };
    let hidden = counts.in_flight + counts.released;
    let mut attributes = Map::new();
    for (name, value) in [
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", hidden.to_string()),
        (
            "ApproximateNumberOfMessagesDelayed",
            counts.delayed.to_string(),
        ),
        ("VisibilityTimeout", visibility.as_secs().to_string()),
    ] {
        if request
            .attribute_names
            .iter()
            .any(|asked| asked == name || asked == "All")
        {
            attributes.insert(name.to_owned(), Value::String(value));
        }
    }
    Ok(json!({"Attributes": attributes}))
}

fn url(queues: &Queues, request: QueueNameRequest) -> Result<Value, Refusal> {
    queues.counts(&request.queue_name)?;
    Ok(json!({"QueueUrl": Queues::url(&request.queue_name)}))
}
