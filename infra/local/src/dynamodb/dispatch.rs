//! Runs an operation, given by its name and JSON body, on the embedded database.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault::FaultKind;
use crate::transport::Reply;

const ERROR_NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810";

/// Runs one operation. None if the engine does not support it.
pub(super) fn dispatch(
    db: &Database,
    operation: &str,
    body: &str,
) -> Option<Result<String, DynoxideError>> {
    let answer = match operation {
        "CreateTable" => run(operation, body, |request| db.create_table(request)),
        "DescribeTable" => run(operation, body, |request| db.describe_table(request)),
        "ListTables" => run(operation, body, |request| db.list_tables(request)),
        "UpdateTimeToLive" => run(operation, body, |request| db.update_time_to_live(request)),
        "PutItem" => run(operation, body, |request| db.put_item(request)),
        "GetItem" => run(operation, body, |request| db.get_item(request)),
        "UpdateItem" => run(operation, body, |request| db.update_item(request)),
        "DeleteItem" => run(operation, body, |request| db.delete_item(request)),
        "Query" => run(operation, body, |request| db.query(request)),
        "Scan" => run(operation, body, |request| db.scan(request)),
        "BatchGetItem" => run(operation, body, |request| db.batch_get_item(request)),
        "BatchWriteItem" => run(operation, body, |request| db.batch_write_item(request)),
        "TransactWriteItems" => run(operation, body, |request| db.transact_write_items(request)),
        "TransactGetItems" => run(operation, body, |request| db.transact_get_items(request)),
        _ => return None,
    };
    Some(answer)
}

/// The HTTP answer for the result of [`dispatch`].
pub(super) fn reply(answer: Option<Result<String, DynoxideError>>) -> Reply {
    match answer {
        Some(Ok(body)) => Reply::new(200, body),
        Some(Err(error)) => Reply::new(error.status_code(), error.to_json()),
        None => {
            let body = json!({"__type": "com.amazon.coral.service#UnknownOperationException"});
            Reply::new(400, body.to_string())
        }
    }
}

/// The answer of DynamoDB to this kind of fault.
pub(super) fn failure(kind: FaultKind, operation: &str, body: &str) -> Option<Reply> {
    let transaction = matches!(operation, "TransactWriteItems" | "TransactGetItems");
    let item_write = matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem");
    match kind {
        FaultKind::InternalServerError => Some(error(
            500,
            "InternalServerError",
            "The request processing has failed because of an unknown error.",
        )),
        FaultKind::Throttled if transaction => Some(cancelled(
            body,
            "ThrottlingError",
            "Throughput exceeds the current capacity of your table or index.",
        )),
        FaultKind::Throttled => Some(error(
            400,
            "ThrottlingException",
            "Throughput exceeds the current capacity of your table or index.",
        )),
        FaultKind::TransactionConflict if transaction => Some(cancelled(
            body,
            "TransactionConflict",
            "Transaction is ongoing for the item",
        )),
        FaultKind::TransactionConflict if item_write => Some(error(
            400,
            "TransactionConflictException",
            "Transaction is ongoing for the item",
        )),
        FaultKind::TransactionConflict
        | FaultKind::ConnectionReset
        | FaultKind::Silence
        | FaultKind::Late(_) => None,
    }
}

/// The answer if nobody knows whether a call reached the disk.
pub(super) fn disk_failure(cause: &std::io::Error) -> Reply {
    let message = format!("The data may not be on the disk: {cause}");
    error(500, "InternalServerError", &message)
}

fn error(status: u16, name: &str, message: &str) -> Reply {
    let body = json!({"__type": format!("{ERROR_NAMESPACE}#{name}"), "message": message});
    Reply::new(status, body.to_string())
}

/// A cancelled transaction, with the reason at its first item.
fn cancelled(body: &str, code: &str, message: &str) -> Reply {
    let items = serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|request| request["TransactItems"].as_array().map(Vec::len))
        .unwrap_or(1);
    let reasons: Vec<Value> = (0..items)
        .map(|index| match index {
            0 => json!({"Code": code, "Message": message}),
            _ => json!({"Code": "None"}),
        })
        .collect();
    let codes: Vec<&str> = (0..items)
        .map(|index| if index == 0 { code } else { "None" })
        .collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let body = json!({
        "__type": format!("{ERROR_NAMESPACE}#TransactionCanceledException"),
        "Message": message,
        "CancellationReasons": reasons,
    });
    Reply::new(400, body.to_string())
}

fn run<Q: DeserializeOwned, A: Serialize>(
    operation: &str,
    body: &str,
    call: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_str(body).map_err(|error| unreadable(operation, &error))?;
    let answer = call(request)?;
    serde_json::to_string(&answer)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The database's request types mark in the message which class of error DynamoDB returns.
fn unreadable(operation: &str, error: &serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    let plain = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(text, _)| text);
    if let Some(text) = plain.strip_prefix("VALIDATION_REQUEST:") {
        return DynoxideError::ValidationException(match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                format!("1 validation error detected: {text}")
            }
            _ => text.to_owned(),
        });
    }
    for prefix in ["VALIDATION:", "VALIDATION_AS_READ:"] {
        if let Some(text) = plain.strip_prefix(prefix) {
            return DynoxideError::ValidationException(text.to_owned());
        }
    }
    for prefix in ["SERIALIZATION:", "SERIALIZATION_AS_READ:"] {
        if let Some(text) = plain.strip_prefix(prefix) {
            return DynoxideError::SerializationException(text.to_owned());
        }
    }
    let incomplete = ["missing field", "unknown variant", "invalid type: null"]
        .iter()
        .any(|part| plain.contains(part));
    if incomplete || plain.contains("AttributeValue") {
        return DynoxideError::ValidationException(plain.to_owned());
    }
    DynoxideError::SerializationException(plain.to_owned())
}
