//! Calls of the database, and their retries.

use super::Store;
use super::error::StoreError;
use super::item::Item;
use super::write::Write;
use crate::backoff::back_off;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, ReturnConsumedCapacity, TransactWriteItem};

/// How often an operation that lost a race is tried.
pub(crate) const ATTEMPTS: u32 = 24;

/// Whether a call collided with a transaction on the same item. A retry helps: this says nothing
/// about the call's conditions.
pub(crate) fn is_transaction_conflict<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .is_some_and(|code| code == "TransactionConflictException")
}

/// Reasons for a cancelled transaction that pass without our help.
const PASSING: [&str; 4] = [
    "None",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

/// Returns an idempotency token, by which DynamoDB recognises a repeated transaction.
fn new_token() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    Ok(hex::encode(bytes))
}

/// The outcome of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transacted {
    /// All parts took effect.
    Applied,
    /// No part took effect. Says for each part whether its condition was false.
    Refused(Vec<bool>),
}

impl Transacted {
    pub(crate) fn was_refused_at(&self, index: usize) -> bool {
        matches!(self, Self::Refused(parts) if parts.get(index).copied().unwrap_or(false))
    }
}

/// The most keys that one read takes.
const KEYS_A_READ: usize = 100;

impl Store {
    /// Reads the items under `keys`, which must be distinct, consistently. Returns those that
    /// exist, in any order.
    pub(crate) async fn items(
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
                // A read leaves keys out if its answer is too large or is throttled. Ask for them
                // again.
                match answer.unprocessed_keys.unwrap_or_default().remove(table) {
                    Some(rest) => asked = rest,
                    None => break,
                }
                back_off(attempt).await;
            }
        }
        Ok(found)
    }

    /// Writes all of `parts` or none. Retries after a collision with another transaction and after
    /// throttling.
    pub(crate) async fn transact(&self, parts: Vec<Write>) -> Result<Transacted, StoreError> {
        if let [Write::Put(put)] = parts.as_slice() {
            // A single write needs no transaction, which would cost twice as much.
            return self.put_alone(put).await;
        }
        let items: Vec<TransactWriteItem> = parts.into_iter().map(Into::into).collect();
        let mut token = new_token()?;
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(items.clone()))
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
