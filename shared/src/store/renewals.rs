//! The rows that say how long a hold lives, and who owns it.

use super::Store;
use super::call::{ATTEMPTS, is_transaction_conflict};
use super::error::StoreError;
use super::item::{expires_at, number};
use super::keys;
use super::resolutions::{LIVES_UNTIL, RENEWED, USAGE_UNTIL};
use super::rows::Holder;
use super::tables::TTL;
use super::write::Write;
use crate::backoff::back_off;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::org::people::User;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Update};
use jiff::{SignedDuration, Timestamp};

/// How long usage may wait to be recorded: as long as the queue keeps messages.
const USAGE_WAITS: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Store {
    /// Returns the owner of `hold_id`, or None if no such hold lives or its owner is unknown.
    pub async fn holder(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Option<String>, StoreError> {
        let rid = &hold_id.rid;
        let key = keys::holder(organisation_id, rid.user_part());
        if let Some(known) = self.row::<Holder>(key).await? {
            return Ok(Some(known.user_id));
        }
        // The hold's row was written by an earlier release. Read all users only if the hold is in
        // the cell.
        let cell = self.cell(organisation_id, hold_id.period).await?;
        let known = cell.as_ref().and_then(|cell| cell.holds.get(rid));
        if !known.is_some_and(|hold| hold_id.names(hold)) {
            return Ok(None);
        }
        let is_holder = |user: &User| rid.belongs_to(organisation_id, &user.id);
        let found = self.users_that(organisation_id, is_holder).await?;
        Ok(found.into_iter().next().map(|user| user.id))
    }

    /// Writes the row that says until when a hold lives, as a part of a transaction, unless the
    /// hold has ended or the row says a later time.
    pub(crate) fn lives_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        hold: &Hold,
        now: Timestamp,
    ) -> Result<Write, StoreError> {
        let key = keys::resolution(organisation_id, hold_id).attributes();
        let lives_less = format!("attribute_not_exists({LIVES_UNTIL}) OR {LIVES_UNTIL} < :until");
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(key))
            .condition_expression(format!(
                "attribute_not_exists(pk) OR (outcome = :renewed AND ({lives_less}))"
            ))
            .update_expression(format!(
                "SET outcome = :renewed, {LIVES_UNTIL} = :until, {TTL} = :y"
            ))
            .expression_attribute_values(":renewed", AttributeValue::S(RENEWED.to_owned()))
            .expression_attribute_values(":until", number(hold.expires_at))
            .expression_attribute_values(":y", number(expires_at(now)))
            .build()?;
        Ok(Write::Update(update))
    }

    /// Keeps a hold until its usage, which is about to be queued, is recorded: it neither lapses
    /// nor can be voided. So a long queue, or an event that fails for days, opens no cap. Makes one
    /// conditional write, which changes nothing if the hold has ended or if it is repeated.
    pub async fn await_usage(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = now.as_second().saturating_add(USAGE_WAITS.as_secs());
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.ledger)
                .set_key(Some(
                    keys::resolution(organisation_id, hold_id).attributes(),
                ))
                .condition_expression("attribute_not_exists(pk) OR outcome = :renewed")
                .update_expression(format!(
                    "SET outcome = :renewed, {USAGE_UNTIL} = :until, {TTL} = :y"
                ))
                .expression_attribute_values(":renewed", AttributeValue::S(RENEWED.to_owned()))
                .expression_attribute_values(":until", number(until))
                .expression_attribute_values(":y", number(expires_at(now)))
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let Err(error) = call.send().await else {
                return Ok(());
            };
            let has_ended = |error: &UpdateItemError| error.is_conditional_check_failed_exception();
            if error.as_service_error().is_some_and(has_ended) {
                return Ok(());
            }
            if !is_transaction_conflict(&error) {
                return Err(error.into());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}
