//! Takes from all counters and records the hold in one transaction.
//!
//! On AWS, transactions that meet at a counter cancel each other and are tried again. The embedded
//! engine runs them one after another, which flatters this design.

use super::counters::{Counters, ENOUGH, TABLE, TAKE, key_of, number};
use super::{Outcome, failed};
use crate::error::CommandError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use std::time::Duration;

/// How often a transaction is tried that met another one.
const ATTEMPTS: u32 = 20;

pub(in super::super) async fn hold(
    counters: &Counters,
    request: &str,
    amount: i64,
) -> Result<Outcome, CommandError> {
    for attempt in 1..=ATTEMPTS {
        let outcome = |is_admitted| Outcome {
            is_admitted,
            round_trips: attempt,
        };
        let sent = counters
            .client
            .transact_write_items()
            .set_transact_items(Some(parts(counters, request, amount)?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(outcome(true));
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            return Err(failed(error));
        };
        let reasons = cancelled.cancellation_reasons().iter();
        let codes: Vec<&str> = reasons.filter_map(|reason| reason.code()).collect();
        if codes.contains(&"ConditionalCheckFailed") {
            return Ok(outcome(false));
        }
        if !codes.contains(&"TransactionConflict") {
            return Err(failed(error));
        }
        tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 5)).await;
    }
    Err(CommandError::Answer(
        "a transaction met others again and again".to_owned(),
    ))
}

/// The updates of the counters, from the leaf to the root, and the record of the hold.
fn parts(
    counters: &Counters,
    request: &str,
    amount: i64,
) -> Result<Vec<TransactWriteItem>, CommandError> {
    let mut parts = Vec::new();
    for level in counters.levels().rev() {
        let (name, key) = key_of(level);
        let update = Update::builder()
            .table_name(TABLE)
            .key(name, key)
            .update_expression(TAKE)
            .condition_expression(ENOUGH)
            .expression_attribute_values(":amount", number(amount))
            .build()
            .map_err(failed)?;
        parts.push(TransactWriteItem::builder().update(update).build());
    }
    let record = Put::builder()
        .table_name(TABLE)
        .item("k", AttributeValue::S(format!("hold#{request}")))
        .item("amount", number(amount))
        .condition_expression("attribute_not_exists(k)")
        .build()
        .map_err(failed)?;
    parts.push(TransactWriteItem::builder().put(record).build());
    Ok(parts)
}
