//! The requests of the SQS JSON protocol, and its errors.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::QueueError;
use crate::transport::Reply;

/// The largest message and the largest batch, in bytes.
pub(super) const MAX_BYTES: usize = 1_048_576;
/// The most entries of a batch and the most messages of a receive.
pub(super) const MAX_ENTRIES: usize = 10;

/// A request with a queue and optionally some attributes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueRequest {
    pub(super) queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueNameRequest {
    pub(super) queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendRequest {
    pub(super) queue_url: String,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// A message, alone or in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Content {
    #[serde(default)]
    pub(super) message_body: String,
    pub(super) delay_seconds: Option<i64>,
    pub(super) message_attributes: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveRequest {
    pub(super) queue_url: String,
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) visibility_timeout: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_system_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiptRequest {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchRequest<E> {
    pub(super) queue_url: String,
    #[serde(default = "Vec::new")]
    pub(super) entries: Vec<E>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendEntry {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteEntry {
    pub(super) id: String,
    pub(super) receipt_handle: String,
}

/// An error that SQS returns.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The specified queue does not exist.")]
    NoSuchQueue,
    #[error("There should be at least one entry in the request.")]
    EmptyBatch,
    #[error("Maximum number of entries per request are {MAX_ENTRIES}. You have sent {0}.")]
    TooManyEntries(usize),
    #[error("Id {0} repeated.")]
    IdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It \
         can be at most 80 letters long."
    )]
    BadEntryId,
    #[error("Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {0} bytes.")]
    BatchTooLong(usize),
    #[error("The request must contain the parameter {0}.")]
    Missing(&'static str),
    #[error("{0}")]
    Invalid(String),
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 and above."
    )]
    BadCharacters,
    #[error("The input receipt handle is invalid.")]
    BadReceipt,
    #[error("Message does not exist or is not available for visibility timeout change.")]
    NotInFlight,
    #[error("{0} is not supported by this queue.")]
    Unsupported(&'static str),
    #[error("The operation is unknown.")]
    UnknownOperation,
    #[error("The request cannot be read.")]
    Unreadable(#[source] serde_json::Error),
    #[error("The request processing has failed because of an unknown error.")]
    Internal(#[source] QueueError),
}

impl Refusal {
    /// Returns the status, and the name of this error in the JSON and in the query protocol.
    fn names(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NoSuchQueue => (
                400,
                "QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
            ),
            Self::EmptyBatch => (
                400,
                "EmptyBatchRequest",
                "AWS.SimpleQueueService.EmptyBatchRequest",
            ),
            Self::TooManyEntries(_) => (
                400,
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
            Self::IdsNotDistinct(_) => (
                400,
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            ),
            Self::BadEntryId => (
                400,
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
            ),
            Self::BatchTooLong(_) => (
                400,
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
            ),
            Self::Missing(_) => (400, "MissingParameter", "MissingParameter"),
            Self::Invalid(_) => (400, "InvalidParameterValue", "InvalidParameterValue"),
            Self::BadCharacters => (400, "InvalidMessageContents", "InvalidMessageContents"),
            Self::BadReceipt => (404, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Self::NotInFlight => (
                400,
                "MessageNotInflight",
                "AWS.SimpleQueueService.MessageNotInflight",
            ),
            Self::Unsupported(_) => (
                400,
                "UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
            ),
            Self::UnknownOperation => (400, "UnknownOperationException", "InvalidAction"),
            Self::Unreadable(_) => (400, "SerializationException", "SerializationException"),
            Self::Internal(_) => (500, "InternalFailure", "InternalFailure"),
        }
    }

    /// The code of this error for an entry of a batch.
    pub(super) fn code(&self) -> &'static str {
        self.names().2
    }

    pub(super) fn into_reply(self) -> Reply {
        let (status, name, query_name) = self.names();
        error_reply(status, name, query_name, &self.to_string())
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::UnknownQueue(_) => Self::NoSuchQueue,
            QueueError::MalformedReceipt(_) => Self::BadReceipt,
            other => Self::Internal(other),
        }
    }
}

/// Makes an error of the JSON protocol. A header names it as in the query protocol.
pub(super) fn error_reply(status: u16, name: &str, query_name: &str, message: &str) -> Reply {
    let body = json!({"__type": format!("com.amazonaws.sqs#{name}"), "message": message});
    let fault = if status >= 500 { "Receiver" } else { "Sender" };
    Reply {
        status,
        body: body.to_string(),
        query_error: Some(format!("{query_name};{fault}")),
    }
}
