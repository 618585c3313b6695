//! Letting a living hold live longer or have more.
//!
//! The cell changes first, in one conditional write: each hard cap on the hold's path must have what it gains. Then a row at
//! the place of its resolution says until when it lives. That its time is over can be written there only from that moment on,
//! so nobody who looked at the hold before ends it early. A resolution that was there first wins: then the hold has
//! ended, and what it gained a moment ago goes with it. A caller that repeats a call whose answer was lost changes nothing
//! more.

use super::Store;
use super::call::{ATTEMPTS, StoreError, Transacted, is_transaction_conflict};
use super::cells::Updated;
use super::expression::number;
use super::holds::ATTEMPTS_TO_HOLD;
use super::keys;
use super::resolutions::{LIVES_UNTIL, USAGE_UNTIL, expires_at};
use super::rows::Holder;
use super::tables::TTL;
use crate::domain::cell::{Cell, Condition, HoldRejection, HoldRequest};
use crate::domain::configuration::{Configuration, Path};
use crate::domain::hold::{Hold, HoldId, Node};
use crate::domain::people::User;
use crate::domain::renewal::{CannotRenew, Wanted, Wish, gain};
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};

/// The outcome in a row that says how long a hold lives: it has not ended.
pub(super) const RENEWED: &str = "renewed";
/// How long usage may wait to be recorded: as long as the queue keeps it.
const USAGE_WAITS: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A hold with what an answer says of it.
#[derive(Debug)]
pub struct RenewedHold {
    /// As it is now.
    pub hold: Hold,
    /// The path that it counts on.
    pub path: Path,
    /// The cell with it.
    pub cell: Cell,
}

/// What became of a wish.
#[derive(Debug)]
pub enum RenewOutcome {
    /// The hold is what was wanted.
    Renewed(RenewedHold),
    /// Hard counters have less than it would gain. It is as it was.
    InsufficientBudget {
        /// As it is.
        known: RenewedHold,
        /// What it would have gained.
        asked: HoldRequest,
        /// The counters.
        nodes: Vec<Node>,
    },
    /// It cannot become that, whatever the counters have. It is as it was.
    Impossible(CannotRenew),
    /// It was settled or given back, or its time is over.
    Ended,
    /// There never was such a hold.
    Unknown,
    /// The configuration is not the one that is in force: read it again.
    StaleConfiguration,
}

/// What a try came to.
enum Tried {
    Done(RenewOutcome),
    /// Others were faster at something.
    Again,
}

/// A living hold and what it is to become.
struct Renewal<'a> {
    configuration: &'a Configuration,
    hold_id: &'a HoldId,
    before: &'a Hold,
    path: Path,
    wanted: Wanted,
    asked: HoldRequest,
    /// False if the hold's month is over: then it gains nothing but time.
    is_in_force: bool,
    now: Timestamp,
}

impl Store {
    /// Returns whose hold `hold_id` is, or None if there is none that lives or nobody who has it.
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
        // A user of an earlier release. All users are read only for a hold that is there.
        let cell = self.cell(organisation_id, hold_id.period).await?;
        let known = cell.as_ref().and_then(|cell| cell.holds.get(rid));
        if !known.is_some_and(|hold| hold_id.names(hold)) {
            return Ok(None);
        }
        let is_holder = |user: &User| rid.belongs_to(organisation_id, &user.id);
        let found = self.users_that(organisation_id, is_holder).await?;
        Ok(found.into_iter().next().map(|user| user.id))
    }

    /// Makes a living hold of `user` what `wish` says, under the caps of its path and in its own month.
    pub async fn renew(
        &self,
        configuration: &Configuration,
        user: &User,
        hold_id: &HoldId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<RenewOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS_TO_HOLD {
            let cell = self.cell(organisation_id, hold_id.period).await?;
            let known = cell.as_ref().and_then(|cell| cell.holds.get(&hold_id.rid));
            let before = known.filter(|hold| hold_id.names(hold));
            let (Some(cell), Some(before)) = (&cell, before) else {
                let known = self.resolution(organisation_id, hold_id).await?;
                return Ok(known.map_or(RenewOutcome::Unknown, |_| RenewOutcome::Ended));
            };
            if before.has_lapsed(now) {
                return Ok(RenewOutcome::Ended);
            }
            let current = configuration.period_of(now);
            let is_in_force = hold_id.period >= current;
            if is_in_force && cell.epoch != configuration.epoch {
                match self.cell_in_force(configuration, hold_id.period).await? {
                    Some(_) => continue,
                    None => return Ok(RenewOutcome::StaleConfiguration),
                }
            }
            if !is_in_force && !self.is_in_force(configuration, current).await? {
                return Ok(RenewOutcome::StaleConfiguration);
            }
            let Some(path) = configuration.path_at(before.department, before.tree) else {
                return Ok(RenewOutcome::StaleConfiguration);
            };
            let wanted = match wish.of(configuration, hold_id, before, &path, now) {
                Ok(wanted) => wanted,
                Err(impossible) => return Ok(RenewOutcome::Impossible(impossible)),
            };
            let renewal = Renewal {
                asked: gain(
                    configuration,
                    user,
                    hold_id,
                    before,
                    &path,
                    wanted.gains,
                    now,
                ),
                configuration,
                hold_id,
                before,
                path,
                wanted,
                is_in_force,
                now,
            };
            match self.try_to_renew(&renewal, cell).await? {
                Tried::Done(outcome) => return Ok(outcome),
                Tried::Again => back_off(attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    /// Tries it under the caps, and with an exemption if only that admits it. `cell` is the one that was read.
    async fn try_to_renew(&self, renewal: &Renewal<'_>, cell: &Cell) -> Result<Tried, StoreError> {
        let mut admitted = None;
        loop {
            let asked = admitted.as_ref().unwrap_or(&renewal.asked);
            let Some((mut update, after)) = asked.growth(renewal.before, renewal.wanted.expires_at)
            else {
                let nodes = renewal.asked.short(cell);
                return Ok(Tried::Done(renewal.is_short(nodes, cell.clone())));
            };
            if !renewal.is_in_force {
                let is_of_epoch = |c: &Condition| matches!(c, Condition::EpochIs(_));
                update
                    .conditions
                    .retain(|condition| !is_of_epoch(condition));
            }
            let organisation_id = &renewal.configuration.organisation.id;
            let period = renewal.hold_id.period;
            let updated = match after == *renewal.before {
                true => Updated::Applied(cell.clone()),
                false => self.update_cell(organisation_id, period, &update).await?,
            };
            let refused = match updated {
                Updated::Applied(cell) => return self.renewed(renewal, after, cell).await,
                Updated::Refused(None) => return Ok(Tried::Again),
                Updated::Refused(Some(cell)) => cell,
            };
            let is_as_read = refused.epoch == renewal.configuration.epoch
                && refused.holds.get(&renewal.hold_id.rid) == Some(renewal.before);
            if !is_as_read || admitted.is_some() {
                return Ok(Tried::Again);
            }
            // What stands in the way of what it gains is what would stand in the way of a hold of that beside it.
            let others = refused.without(&renewal.hold_id.rid);
            match renewal.asked.rejection(&others, renewal.now) {
                HoldRejection::InsufficientBudget(nodes) => {
                    return Ok(Tried::Done(renewal.is_short(nodes, refused)));
                }
                HoldRejection::Exempt(request) => admitted = Some(*request),
                HoldRejection::Lapsed(lapsed) => {
                    self.expire(renewal.configuration, period, lapsed, renewal.now)
                        .await?;
                    return Ok(Tried::Again);
                }
                _ => return Ok(Tried::Again),
            }
        }
    }

    /// The hold is renewed in the cell. If it had ended before, it is taken out of the cell, with what it has gained.
    async fn renewed(
        &self,
        renewal: &Renewal<'_>,
        hold: Hold,
        cell: Cell,
    ) -> Result<Tried, StoreError> {
        let organisation_id = &renewal.configuration.organisation.id;
        let hold_id = renewal.hold_id;
        let lives = self.lives_item(organisation_id, hold_id, &hold, renewal.now)?;
        if self.transact(vec![lives]).await? != Transacted::Applied
            && let Some(known) = self.resolution(organisation_id, hold_id).await?
        {
            let charged = known.resolution.charged();
            self.finish_hold(organisation_id, hold_id, &known.hold, charged)
                .await?;
            return Ok(Tried::Done(RenewOutcome::Ended));
        }
        let path = renewal.path.clone();
        let renewed = RenewedHold { hold, path, cell };
        Ok(Tried::Done(RenewOutcome::Renewed(renewed)))
    }

    /// The row that says until when a hold lives, as a part of a transaction: it is written unless the hold has ended, or the
    /// row says that it lives as long.
    fn lives_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        hold: &Hold,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
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
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Keeps a hold until its usage is recorded, which is about to be queued: from now on it neither lapses nor can it be
    /// given back. So a long queue, or an event that fails for days, opens no cap. One conditional write; it changes nothing
    /// if the hold has ended or if it is repeated.
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

impl Renewal<'_> {
    fn is_short(&self, nodes: Vec<Node>, cell: Cell) -> RenewOutcome {
        RenewOutcome::InsufficientBudget {
            known: RenewedHold {
                hold: self.before.clone(),
                path: self.path.clone(),
                cell,
            },
            asked: self.asked.clone(),
            nodes,
        }
    }
}
