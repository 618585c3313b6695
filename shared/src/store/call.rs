//! Calls of the database, and their retries.

use super::Store;
use super::error::StoreError;
use super::item::Item;
use super::tables::Table;
use super::write::{Write, check_distinct};
use crate::backoff::back_off;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    KeysAndAttributes, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};

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

/// What DynamoDB says if an item or a table is asked for more than it takes.
const THROTTLED: [&str; 3] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
];

/// Whether a call met the limit of an item or a table. A retry a little later helps.
pub(crate) fn is_throttled<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    code.is_some_and(|code| THROTTLED.contains(&code))
}

/// Reasons for a cancelled transaction that pass without our help.
const PASSING: [&str; 4] = [
    "None",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

/// Returns a token that no other write has. By it DynamoDB recognises a repeated transaction.
pub(super) fn new_token() -> Result<String, StoreError> {
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

/// The most writes that one transaction takes.
pub(crate) const MAX_PARTS: usize = 100;

/// Returns a random number of a token.
fn random(token: &str) -> u8 {
    let first = token.get(..2).unwrap_or_default();
    u8::from_str_radix(first, 16).unwrap_or_default()
}

/// The most keys that one read takes.
pub(super) const KEYS_A_READ: usize = 100;

impl Store {
    /// Reads the item under a key consistently.
    pub(super) async fn item(&self, table: Table, key: Item) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(table))
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item)
    }

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

    /// Writes all of `parts`, each of another item, or none. Retries after a collision with another
    /// transaction and after throttling.
    pub(crate) async fn transact(&self, parts: Vec<Write>) -> Result<Transacted, StoreError> {
        check_distinct(&parts)?;
        self.write_before(&parts).await?;
        let mut items = self.items_of(&parts, self.instance.row())?;
        if let [TransactWriteItem { put: Some(put), .. }] = items.as_slice() {
            // A single write needs no transaction, which would cost twice as much.
            return self.put_alone(put).await;
        }
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
                    let each = parts.iter().zip(codes);
                    let mut met = each.filter(|(_, code)| *code == "TransactionConflict");
                    if met.any(|(part, _)| part.is_spread()) {
                        let row = self.instance.leave_row(random(&token));
                        items = self.items_of(&parts, row)?;
                    }
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(error.into()),
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Builds the requests of a transaction, which adds to one row of each spread sum.
    fn items_of(&self, parts: &[Write], row: u8) -> Result<Vec<TransactWriteItem>, StoreError> {
        let each = parts.iter().cloned();
        each.map(|part| part.in_row(row).into_part(&self.tables))
            .collect()
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
            match alone(call.send().await)? {
                Some(done) => return Ok(done),
                None => back_off(attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    /// Makes an update without a transaction. It may be made twice, so it must not add.
    pub(crate) async fn update_alone(&self, update: Write) -> Result<Transacted, StoreError> {
        Ok(match self.update_or_see(update).await? {
            None => Transacted::Applied,
            Some(_) => Transacted::Refused(vec![true]),
        })
    }

    /// Makes an update as [`Store::update_alone`]. If its condition is false, returns the item.
    pub(super) async fn update_or_see(&self, update: Write) -> Result<Option<Item>, StoreError> {
        let update = update.into_part(&self.tables)?.update;
        let update = update.ok_or_else(|| StoreError::unreadable("a write that is no update"))?;
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .update_item()
                .table_name(update.table_name())
                .set_key(Some(update.key().clone()))
                .update_expression(update.update_expression())
                .set_condition_expression(update.condition_expression().map(str::to_owned))
                .set_expression_attribute_names(update.expression_attribute_names().cloned())
                .set_expression_attribute_values(update.expression_attribute_values().cloned())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let error = match call.send().await {
                Ok(_) => return Ok(None),
                Err(error) => error,
            };
            let refused = error.as_service_error();
            if let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = refused {
                return Ok(Some(refused.item.clone().unwrap_or_default()));
            }
            if !is_transaction_conflict(&error) {
                return Err(error.into());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}

/// Reads the answer of a write outside a transaction. None if it collided with a transaction.
fn alone<T, E, R>(answer: Result<T, SdkError<E, R>>) -> Result<Option<Transacted>, StoreError>
where
    E: ProvideErrorMetadata,
    StoreError: From<SdkError<E, R>>,
{
    let Err(error) = answer else {
        return Ok(Some(Transacted::Applied));
    };
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    match code {
        Some("ConditionalCheckFailedException") => Ok(Some(Transacted::Refused(vec![true]))),
        _ if is_transaction_conflict(&error) => Ok(None),
        _ => Err(error.into()),
    }
}
