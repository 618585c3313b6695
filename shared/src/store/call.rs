//! What can go wrong in a call, and how often it is tried again.

use super::Store;
use super::expression::Item;
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, ReturnConsumedCapacity, TransactWriteItem};
use std::error::Error;

/// Why the store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or not in time. Whether a write took effect is unknown; every operation may
    /// be repeated.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Others changed the same things again and again.
    #[error("too many changes at the same time")]
    Contended,
    /// An item has a form that this code does not know.
    #[error("stored data is unreadable: {0}")]
    Unreadable(String),
}

impl StoreError {
    pub(super) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable(what.into())
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let service_error = error.as_service_error();
        if service_error.and_then(|e| e.code()) == Some("ValidationException") {
            // The same call would be refused for ever: trying again does not help.
            return Self::Unreadable(format!("a call that the database refuses: {error:?}"));
        }
        Self::Unavailable(Box::new(error))
    }
}

impl From<aws_sdk_dynamodb::error::BuildError> for StoreError {
    fn from(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<serde_dynamo::Error> for StoreError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// How often an operation that met another one is tried again.
pub(super) const ATTEMPTS: u32 = 24;

/// Whether a call met a transaction on the same item: a passing fault that says nothing about its conditions.
pub(super) fn is_transaction_conflict<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .is_some_and(|code| code == "TransactionConflictException")
}

/// Reasons of a cancelled transaction that pass by themselves.
const PASSING: [&str; 4] = [
    "None",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

/// A token by which DynamoDB knows a transaction again that is sent again.
fn new_token() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    Ok(hex::encode(bytes))
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transacted {
    /// All of it took effect.
    Applied,
    /// None of it did: for each part, whether its condition was false.
    Refused(Vec<bool>),
}

impl Transacted {
    /// Whether the condition of part `index` was false.
    pub(super) fn was_refused_at(&self, index: usize) -> bool {
        matches!(self, Self::Refused(parts) if parts.get(index).copied().unwrap_or(false))
    }
}

/// The most items that one read by keys asks for.
const KEYS_A_READ: usize = 100;

impl Store {
    /// The items under `keys`, which are all different, read consistently: those that are there, in any order.
    pub(super) async fn items(
        &self,
        table: &str,
        keys: Vec<Item>,
        projection: Option<&str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        for chunk in keys.chunks(KEYS_A_READ) {
            let mut asked = KeysAndAttributes::builder()
                .set_keys(Some(chunk.to_vec()))
                .consistent_read(true)
                .set_projection_expression(projection.map(str::to_owned))
                .build()?;
            for attempt in 0.. {
                if attempt == ATTEMPTS {
                    return Err(StoreError::Contended);
                }
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(table, asked)
                    .send()
                    .await?;
                let mut items = answer.responses.unwrap_or_default();
                found.extend(items.remove(table).unwrap_or_default());
                // What a read leaves out for its size or for throttling is asked for again.
                match answer.unprocessed_keys.unwrap_or_default().remove(table) {
                    Some(rest) => asked = rest,
                    None => break,
                }
                back_off(attempt).await;
            }
        }
        Ok(found)
    }

    /// All of `parts` or none. Meeting another transaction is a passing fault and is waited out, as is throttling.
    pub(super) async fn transact(
        &self,
        parts: Vec<TransactWriteItem>,
    ) -> Result<Transacted, StoreError> {
        if let [part] = parts.as_slice()
            && let Some(put) = part.put()
        {
            // One write alone needs no transaction, which would cost twice as much.
            return self.put_alone(put).await;
        }
        let mut token = new_token()?;
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(parts.clone()))
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let error = match call.send().await {
                Ok(_) => return Ok(Transacted::Applied),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let codes: Vec<&str> = cancelled
                        .cancellation_reasons()
                        .iter()
                        .map(|reason| reason.code().unwrap_or("None"))
                        .collect();
                    if codes.contains(&"ConditionalCheckFailed") {
                        let is_refused = |code: &&str| *code == "ConditionalCheckFailed";
                        return Ok(Transacted::Refused(codes.iter().map(is_refused).collect()));
                    }
                    if !codes.iter().all(|code| PASSING.contains(code)) {
                        return Err(error.into());
                    }
                    token = new_token()?;
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(error.into()),
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    async fn put_alone(&self, put: &Put) -> Result<Transacted, StoreError> {
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .put_item()
                .table_name(put.table_name())
                .set_item(Some(put.item().clone()))
                .set_condition_expression(put.condition_expression().map(str::to_owned))
                .set_expression_attribute_names(put.expression_attribute_names().cloned())
                .set_expression_attribute_values(put.expression_attribute_values().cloned())
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let error = match call.send().await {
                Ok(_) => return Ok(Transacted::Applied),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    return Ok(Transacted::Refused(vec![true]));
                }
                _ if is_transaction_conflict(&error) => back_off(attempt).await,
                _ => return Err(error.into()),
            }
        }
        Err(StoreError::Contended)
    }
}
