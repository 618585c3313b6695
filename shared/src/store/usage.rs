//! Recording what was used, and settling the holds it was held by.
//!
//! A record counts once, by its event's identity. With a hold: one transaction {record, resolution, totals}, then the cell.
//! Without one, or after it ended otherwise: one transaction {record, totals, the cell's debit}. A redelivered event
//! repeats every later step, so a crash between two steps is repaired by the next delivery.

use super::Store;
use super::call::{ATTEMPTS, StoreError, Transacted};
use super::cells::Updated;
use super::claims::AnotherBody;
use super::resolutions::{Resolved, expires_at};
use super::totals::Sums;
use super::usage_rows::Added;
use crate::domain::amount::Amounts;
use crate::domain::cell::{Cell, Condition, LateUsage, debit, debit_late, finish, finishable};
use crate::domain::configuration::{Configuration, Path, Reserve};
use crate::domain::hold::{Hold, HoldId, Rid};
use crate::domain::identity::{BodyDigest, EventIdentity};
use crate::domain::period::Month;
use crate::domain::plausible::excess_of;
use crate::domain::price::PriceBooks;
use crate::domain::usage::{Charge, Resolution, Usage};
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::StreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How a usage came to be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It settled its hold.
    Settled,
    /// Its hold was given back before, or settled by another event.
    Late,
    /// The time of its hold was over before.
    Lapsed,
    /// It named no hold.
    Unreserved,
    /// It named a hold that never was, or another user's.
    UnknownHold,
    /// It came under the identity of another body. It is charged only if it names a hold that the other
    /// does not name and that no event has settled.
    Conflict,
    /// It is too large to be true, and waits for an administrator.
    HeldBack,
    /// It was held back, and an administrator had it counted.
    Counted,
    /// It was held back, and an administrator discarded it.
    Discarded,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts now.
    Counted {
        /// How it came to be charged.
        mark: Mark,
        /// Whether it used more than its hold, in an organisation that reserves strictly.
        exceeded_hold: bool,
    },
    /// It had come before; what was left to do for it is done.
    Duplicate {
        /// When it was received first, if it used more than its hold.
        exceeded_at: Option<Timestamp>,
    },
    /// It is too large to be true. It is kept, now or since before, and waits for an administrator.
    HeldBack,
    /// Its identity is another body's; it is kept beside that, now or since before.
    Conflict {
        /// Whether a hold of its own shows that it is another request, so that it is charged.
        is_charged: bool,
    },
}

impl Recorded {
    /// Counted as everybody expects.
    pub(super) fn counted(mark: Mark) -> Self {
        Self::Counted {
            mark,
            exceeded_hold: false,
        }
    }
}

/// A usage event with what makes it that event.
#[derive(Clone, Debug)]
pub(super) struct UsageReport<'a> {
    pub(super) usage: &'a Usage,
    pub(super) identity: EventIdentity,
    pub(super) digest: BodyDigest,
    pub(super) received_at: Timestamp,
    /// Whether its identity is another body's, so that it is recorded under one of its own.
    pub(super) is_conflict: bool,
}

impl<'a> UsageReport<'a> {
    pub(super) fn new(usage: &'a Usage, received_at: Timestamp) -> Self {
        Self {
            usage,
            identity: EventIdentity::of_usage(usage),
            digest: BodyDigest::of_usage(usage),
            received_at,
            is_conflict: false,
        }
    }

    /// The same under an identity that no other body has.
    pub(super) fn in_conflict(&self) -> Self {
        Self {
            identity: self.identity.in_conflict(&self.digest),
            is_conflict: true,
            ..self.clone()
        }
    }

    /// What its record is marked with: a conflict stays one however it is charged.
    pub(super) fn mark(&self, usual: Mark) -> Mark {
        match self.is_conflict {
            true => Mark::Conflict,
            false => usual,
        }
    }
}

/// What one try to record a report came to.
pub(super) enum Tried {
    Done(Recorded),
    /// Its identity is another body's.
    Another(AnotherBody),
    /// Others were faster at something: try again.
    Again,
}

/// One usage with everything its record says.
pub(super) struct Entry<'a> {
    pub(super) report: UsageReport<'a>,
    pub(super) received_at: Timestamp,
    pub(super) period: Month,
    /// The day of the user's total, in the organisation's time zone.
    pub(super) day: Date,
    pub(super) path: Path,
    pub(super) charge: Charge,
    pub(super) price_version: String,
    pub(super) mark: Mark,
    /// What of it an abandoned hold has paid already.
    pub(super) offset: Amounts,
    /// The hold that it names, where that had ended before.
    pub(super) ended: Option<Hold>,
    /// Whether it is in the totals.
    pub(super) is_counted: bool,
    /// Whether it used more than its hold, in an organisation that reserves strictly.
    pub(super) exceeded_hold: bool,
}

impl Entry<'_> {
    fn recorded(&self) -> Recorded {
        Recorded::Counted {
            mark: self.mark,
            exceeded_hold: self.exceeded_hold,
        }
    }
}

/// What a direct charge is set against, once for each hold: a hold that lapsed, with what it was charged then.
pub(super) struct Offset<'a> {
    pub(super) hold_id: &'a HoldId,
    pub(super) hold: &'a Hold,
    pub(super) charged: Amounts,
    /// The buckets whose rows have the hold, and its path there.
    reported_in: (&'a [String], &'a Path),
}

impl<'a> Offset<'a> {
    /// What usage of `hold_id` is set against, if the hold lapsed, nothing was set against it yet, and that makes a difference: it
    /// was charged, or an exemption gave to it. A hold that was settled or given back has nothing left to give.
    pub(super) fn of(hold_id: Option<&'a HoldId>, resolved: Option<&'a Resolved>) -> Option<Self> {
        let Resolved {
            resolution: Resolution::Expired { charged },
            hold,
            path,
            offset_by: None,
            reported_in,
        } = resolved?
        else {
            return None;
        };
        let matters = *charged != Amounts::ZERO || hold.given() != Amounts::ZERO;
        let hold_id = hold_id.filter(|_| matters)?;
        Some(Self {
            hold_id,
            hold,
            charged: *charged,
            reported_in: (reported_in.as_slice(), path),
        })
    }
}

/// What a direct charge takes from the counters, or gives back if it is below zero.
pub(super) struct Debit<'a> {
    pub(super) period: Month,
    pub(super) path: &'a Path,
    /// All that was used, or what a correction adds.
    pub(super) amounts: Amounts,
    pub(super) offset: Option<&'a Offset<'a>>,
    pub(super) expires_at: i64,
}

/// A usage whose hold is in the cell.
pub(super) struct Settlement<'a> {
    pub(super) entry: Entry<'a>,
    pub(super) hold_id: HoldId,
    pub(super) hold: Hold,
}

/// The most parts of a transaction, and how many a group of settlements has: a record, a resolution and up to three rows
/// of the reports for each; up to two totals for each user; one total of the department.
const MAX_PARTS: usize = 100;
const PARTS_A_SETTLEMENT: usize = 5;
const PARTS_A_USER: usize = 2;
/// How many groups are settled at the same time. Those of one department follow each other: they add to the same total.
const GROUPS_AT_ONCE: usize = 4;

/// Settlements that one transaction can take, each with its place in the batch.
type Group<'a> = Vec<(usize, Settlement<'a>)>;

impl Store {
    /// Records usage events of one organisation, each with the result of its own. Settlements in one department share a
    /// transaction, and all of a month share the cell's updates: what is given back must not come later than what is held.
    pub async fn record_usages(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        usages: &[(&Usage, Timestamp)],
        now: Timestamp,
    ) -> Vec<Result<Recorded, StoreError>> {
        let mut results: Vec<Option<Result<Recorded, StoreError>>> = Vec::new();
        results.resize_with(usages.len(), || None);
        if usages.len() > 1
            && let Ok(groups) = self.settlements(configuration, books, usages).await
        {
            // Whatever fails here or was there before goes its own way below, after all that is settled.
            let settled = self.settle_groups(configuration, groups).await;
            for index in self.finish_settled(configuration, &settled, now).await {
                if let Some(result) = results.get_mut(index) {
                    *result = Some(Ok(Recorded::counted(Mark::Settled)));
                }
            }
        }
        let mut out = Vec::with_capacity(usages.len());
        for ((usage, received_at), result) in usages.iter().zip(results) {
            out.push(match result {
                Some(result) => result,
                None => {
                    self.record_usage(configuration, books, usage, *received_at, now)
                        .await
                }
            });
        }
        out
    }

    /// Those of `usages` whose hold lives in its cell, in groups that one transaction can take.
    async fn settlements<'a>(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        usages: &[(&'a Usage, Timestamp)],
    ) -> Result<Vec<Group<'a>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut cells: Vec<(Month, Option<Cell>)> = Vec::new();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (index, &(usage, received_at)) in usages.iter().enumerate() {
            let Some(hold_id) = own_hold(organisation_id, usage) else {
                continue;
            };
            if excess_of(configuration, books, usage).is_some() {
                continue;
            }
            if !cells.iter().any(|(period, _)| *period == hold_id.period) {
                let cell = self.cell(organisation_id, hold_id.period).await?;
                cells.push((hold_id.period, cell));
            }
            let cell = cells.iter().find(|(period, _)| *period == hold_id.period);
            let cell = cell.and_then(|(_, cell)| cell.as_ref());
            let Some(hold) = cell.and_then(|cell| living(cell, &hold_id)) else {
                continue;
            };
            let report = UsageReport::new(usage, received_at);
            let Some(settlement) = settlement(configuration, books, &report, hold_id, hold) else {
                continue;
            };
            if settlement.entry.exceeded_hold {
                // It has a row more than a group has room for.
                continue;
            }
            match groups.iter_mut().find(|group| takes(group, &settlement)) {
                Some(group) => group.push((index, settlement)),
                None => groups.push(vec![(index, settlement)]),
            }
        }
        Ok(groups)
    }

    /// Settles groups, several at a time. The settlements that are written, whose holds are in their cells still.
    async fn settle_groups<'a>(
        &self,
        configuration: &Configuration,
        groups: Vec<Group<'a>>,
    ) -> Vec<(usize, Settlement<'a>)> {
        let mut lanes: BTreeMap<(Month, Path), Vec<Group<'a>>> = BTreeMap::new();
        for group in groups {
            if let Some((_, first)) = group.first() {
                let lane = (first.entry.period, first.entry.path.clone());
                lanes.entry(lane).or_default().push(group);
            }
        }
        let lanes: Vec<_> = lanes
            .into_values()
            .map(|lane| self.settle_lane(configuration, lane))
            .collect();
        let lanes = futures::stream::iter(lanes).buffer_unordered(GROUPS_AT_ONCE);
        lanes.concat().await
    }

    /// Settles groups of one department one after the other. Those that are written.
    async fn settle_lane<'a>(
        &self,
        configuration: &Configuration,
        lane: Vec<Group<'a>>,
    ) -> Vec<(usize, Settlement<'a>)> {
        let mut settled = Vec::new();
        for group in lane {
            if let Ok(true) = self.settle_group(configuration, &group).await {
                settled.extend(group);
            }
        }
        settled
    }

    /// Writes records, resolutions and totals of a group at once; false if a record or resolution was there before.
    async fn settle_group(
        &self,
        configuration: &Configuration,
        group: &[(usize, Settlement<'_>)],
    ) -> Result<bool, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut parts = Vec::with_capacity(MAX_PARTS);
        let mut of_department = Sums::default();
        let mut of_users: BTreeMap<&str, (&Entry<'_>, Sums)> = BTreeMap::new();
        for (_, settlement) in group {
            let entry = &settlement.entry;
            parts.push(self.record_item(configuration, entry)?);
            parts.push(self.settled_item(organisation_id, settlement)?);
            let one = Sums::one(entry.charge.amounts);
            of_department = of_department.plus(one);
            let user = of_users.entry(&entry.report.usage.user_id);
            let (_, sums) = user.or_insert((entry, Sums::default()));
            *sums = sums.plus(one);
        }
        for (place, (entry, of_user)) in of_users.into_values().enumerate() {
            let totals = self.totals_items(configuration, entry, of_department, of_user)?;
            // The department's total comes first, and is the same for all of its users.
            parts.extend(totals.into_iter().skip(usize::from(place > 0)));
        }
        let entries = group.iter().map(|(_, settlement)| &settlement.entry);
        parts.extend(self.usage_items(configuration, entries)?);
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Takes the holds of what is settled out of their cells, as many at once as an update can. The places in the
    /// batch of those that are out; for the others, whoever does them again finds the resolution.
    async fn finish_settled(
        &self,
        configuration: &Configuration,
        settled: &[(usize, Settlement<'_>)],
        now: Timestamp,
    ) -> Vec<usize> {
        let mut months: BTreeMap<Month, Vec<&(usize, Settlement<'_>)>> = BTreeMap::new();
        for one in settled {
            months.entry(one.1.entry.period).or_default().push(one);
        }
        let mut done = Vec::with_capacity(settled.len());
        for (period, settled) in months {
            let resolved: Vec<(Rid, Hold, Amounts)> = settled
                .iter()
                .map(|(_, s)| {
                    (
                        s.hold_id.rid.clone(),
                        s.hold.clone(),
                        s.entry.charge.amounts,
                    )
                })
                .collect();
            let mut settled = settled.into_iter();
            let mut last = None;
            for part in finishable(&resolved) {
                let of_part: Vec<_> = settled.by_ref().take(part.len()).collect();
                let update = finish(
                    part.iter()
                        .map(|(rid, hold, charged)| (rid, hold, *charged)),
                );
                let organisation_id = &configuration.organisation.id;
                match self.update_cell(organisation_id, period, &update).await {
                    Ok(Updated::Applied(cell)) => {
                        last = Some(cell);
                        done.extend(of_part.iter().map(|(index, _)| *index));
                    }
                    // One of them is not as it was: each goes alone.
                    Ok(Updated::Refused(_)) => {
                        for (index, s) in of_part {
                            let charged = s.entry.charge.amounts;
                            let alone =
                                self.finish_hold(organisation_id, &s.hold_id, &s.hold, charged);
                            if alone.await.is_ok() {
                                done.push(*index);
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%error, "settled holds are left to the next try"),
                }
            }
            if let Some(cell) = last {
                self.release_seen(configuration, period, &cell, now).await;
            }
        }
        done
    }

    /// Records one usage event.
    pub async fn record_usage(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        usage: &Usage,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let report = UsageReport::new(usage, received_at);
        let excess = excess_of(configuration, books, usage);
        let recorded = match excess {
            Some(excess) => self.hold_back(configuration, &report, excess, now).await?,
            None => self.count(configuration, books, &report, now).await?,
        };
        match recorded {
            Ok(recorded) => Ok(recorded),
            Err(another) => {
                let report = report.in_conflict();
                self.record_conflict(configuration, books, &report, &another, now)
                    .await
            }
        }
    }

    /// Records a usage event under the identity of its report, and charges it. An error that is the body
    /// that has the identity already, if that is another one.
    pub(super) async fn count(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        report: &UsageReport<'_>,
        now: Timestamp,
    ) -> Result<Result<Recorded, AnotherBody>, StoreError> {
        let usage = report.usage;
        let organisation_id = &configuration.organisation.id;
        let hold_id = own_hold(organisation_id, usage);
        let book = books.at(usage.occurred_at);
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            let (mut resolved, mut mark) = (None, Mark::Unreserved);
            if let Some(hold_id) = &hold_id {
                let cell = self.cell(organisation_id, hold_id.period).await?;
                if let Some(hold) = cell.as_ref().and_then(|cell| living(cell, hold_id)) {
                    let id = hold_id.clone();
                    let Some(settlement) = settlement(&current, books, report, id, hold) else {
                        current = self.newer(current).await?;
                        back_off(attempt).await;
                        continue;
                    };
                    match self.settle(&current, &settlement, now).await? {
                        Tried::Done(recorded) => return Ok(Ok(recorded)),
                        Tried::Another(another) => return Ok(Err(another)),
                        // Another resolution was there first; it is finished by now.
                        Tried::Again => continue,
                    }
                }
                resolved = self.resolution(organisation_id, hold_id).await?;
            }
            if settled_by(resolved.as_ref()) == Some(&report.identity) {
                // Its record is read, which is cheaper than a transaction that is refused.
                match self.met(organisation_id, report).await? {
                    Tried::Done(recorded) => return Ok(Ok(recorded)),
                    Tried::Another(another) => return Ok(Err(another)),
                    Tried::Again => {}
                }
            }
            if usage.hold_id.is_some() {
                mark = match resolved.as_ref().map(|known| &known.resolution) {
                    Some(Resolution::Expired { .. }) => Mark::Lapsed,
                    Some(Resolution::Settled { .. } | Resolution::Voided) => Mark::Late,
                    None => Mark::UnknownHold,
                };
            }
            if report.is_conflict && !shows_another_request(report, resolved.as_ref()) {
                return self.keep_conflict(&current, report).await.map(Ok);
            }
            let path = match &resolved {
                Some(resolved) => Some(resolved.path.clone()),
                None => {
                    self.path_of_user(&current, &usage.user_id, usage.occurred_at)
                        .await?
                }
            };
            let Some(path) = path else {
                back_off(attempt).await;
                current = self.newer(current).await?;
                continue;
            };
            let offset = Offset::of(hold_id.as_ref(), resolved.as_ref());
            let entry = Entry {
                report: report.clone(),
                received_at: report.received_at,
                period: match (&hold_id, &resolved) {
                    (Some(hold_id), Some(_)) => hold_id.period,
                    _ => current.period_of(usage.occurred_at),
                },
                day: day_of(&current, usage),
                path,
                charge: usage.charge(book, resolved.as_ref().map(|r| &r.hold)),
                price_version: book.version().to_owned(),
                mark: report.mark(mark),
                offset: offset.as_ref().map_or(Amounts::ZERO, |o| o.charged),
                ended: resolved.as_ref().map(|resolved| resolved.hold.clone()),
                is_counted: true,
                exceeded_hold: false,
            };
            let entry = Entry {
                exceeded_hold: resolved.as_ref().is_some_and(|resolved| {
                    let is_used_up = settled_by(Some(resolved)).is_some();
                    is_used_up && is_strict(&current) || exceeds(&current, &entry, &resolved.hold)
                }),
                ..entry
            };
            match self.charge(&current, &entry, offset.as_ref(), now).await? {
                Tried::Done(recorded) => return Ok(Ok(recorded)),
                Tried::Another(another) => return Ok(Err(another)),
                Tried::Again => {}
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// Returns where a user was at `at`: the path that what they did then counts on. It is empty for a user who is not
    /// known, and None if `configuration` is older than the user's row.
    pub(super) async fn path_of_user(
        &self,
        configuration: &Configuration,
        user_id: &str,
        at: Timestamp,
    ) -> Result<Option<Path>, StoreError> {
        let user = self.user(&configuration.organisation.id, user_id).await?;
        Ok(match user {
            None => Some(Path::default()),
            Some(user) => configuration.path_of_user_at(&user, at),
        })
    }

    /// Returns the same in the configuration in force, whichever the caller has.
    pub(super) async fn path_of_user_in_force(
        &self,
        configuration: &Configuration,
        user_id: &str,
        at: Timestamp,
    ) -> Result<Path, StoreError> {
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            if let Some(path) = self.path_of_user(&current, user_id, at).await? {
                return Ok(path);
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// The configuration that is in force now.
    pub(super) async fn newer<'a>(
        &self,
        known: Cow<'a, Configuration>,
    ) -> Result<Cow<'a, Configuration>, StoreError> {
        let newer = self.configuration(&known.organisation.id).await?;
        Ok(newer.map_or(known, Cow::Owned))
    }

    /// Settles a hold that is in the cell, unless another resolution came first.
    async fn settle(
        &self,
        configuration: &Configuration,
        settlement: &Settlement<'_>,
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let Settlement {
            entry,
            hold_id,
            hold,
        } = settlement;
        let sums = Sums::one(entry.charge.amounts);
        let mut parts = vec![
            self.record_item(configuration, entry)?,
            self.settled_item(organisation_id, settlement)?,
        ];
        parts.extend(self.flag_item(configuration, entry, Some(hold.amounts), None)?);
        parts.extend(self.totals_items(configuration, entry, sums, sums)?);
        parts.extend(self.usage_items(configuration, [entry])?);
        let done = self.transact(parts).await?;
        if done == Transacted::Applied {
            let cell = self
                .finish_hold(organisation_id, hold_id, hold, entry.charge.amounts)
                .await?;
            if let Some(cell) = cell {
                self.release_seen(configuration, entry.period, &cell, now)
                    .await;
            }
            return Ok(Tried::Done(entry.recorded()));
        }
        if let Some(known) = self.resolution(organisation_id, hold_id).await? {
            let charged = known.resolution.charged();
            self.finish_hold(organisation_id, hold_id, &known.hold, charged)
                .await?;
        }
        match done.was_refused_at(0) {
            true => self.met(organisation_id, &entry.report).await,
            false => Ok(Tried::Again),
        }
    }

    /// Charges usage that no hold stands for, at every level of its path: one transaction {record, totals, debit of the
    /// cell}. With an offset only the difference to what the lapsed hold was charged. To be tried again if the
    /// configuration, the cell or the offset changed in between.
    async fn charge(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        offset: Option<&Offset<'_>>,
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        let Some(charge) = self.charge_items(configuration, entry, offset, now).await? else {
            return Ok(Tried::Again);
        };
        let held = entry.ended.as_ref().map(|hold| hold.amounts);
        let mut parts = vec![self.record_item(configuration, entry)?];
        parts.extend(self.flag_item(configuration, entry, held, None)?);
        parts.extend(charge);
        let done = self.transact(parts).await?;
        if done == Transacted::Applied {
            return Ok(Tried::Done(entry.recorded()));
        }
        let organisation_id = &configuration.organisation.id;
        match done.was_refused_at(0) {
            true => self.met(organisation_id, &entry.report).await,
            false => Ok(Tried::Again),
        }
    }

    /// What a direct charge writes beside the record, as parts of its transaction. None if `configuration` is not the one
    /// in force.
    pub(super) async fn charge_items(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        offset: Option<&Offset<'_>>,
        now: Timestamp,
    ) -> Result<Option<Vec<TransactWriteItem>>, StoreError> {
        let used = entry.charge.amounts;
        let paid = offset.map_or(Amounts::ZERO, |offset| offset.charged);
        let more = used
            .checked_sub(paid)
            .ok_or_else(|| StoreError::unreadable("a charge out of range"))?;
        let debit = Debit {
            period: entry.period,
            path: &entry.path,
            amounts: used,
            offset,
            expires_at: expires_at(entry.received_at),
        };
        let Some(mut parts) = self.debit_items(configuration, &debit, now).await? else {
            return Ok(None);
        };
        let of_department = Sums {
            // A hold that was charged counted as a request already.
            requests: i64::from(paid == Amounts::ZERO),
            ..Sums::one(more)
        };
        parts.extend(self.totals_items(configuration, entry, of_department, Sums::one(used))?);
        parts.extend(self.usage_items(configuration, [entry])?);
        if let Some(offset) = offset {
            let event = &entry.report.identity;
            let organisation_id = &configuration.organisation.id;
            parts.push(self.offset_item(organisation_id, offset.hold_id, event)?);
            // The reports have the usage itself from now on, as the totals have only the difference.
            let taken = Added::abandoned(offset.charged).taken_away();
            let of = offset.reported_in;
            parts.extend(self.abandoned_rows(organisation_id, of, taken, expires_at(now))?);
        }
        Ok(Some(parts))
    }

    /// What a direct charge does to the counters of its month, as parts of its transaction. None if `configuration` is not
    /// the one in force.
    pub(super) async fn debit_items(
        &self,
        configuration: &Configuration,
        of: &Debit<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<TransactWriteItem>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let is_in_force = configuration.periods_in_force(now).contains(&of.period);
        // The levels to charge follow from the configuration, so in a month in force it must be the one in force.
        let cell = if is_in_force {
            match self.cell_in_force(configuration, of.period).await? {
                None => return Ok(None),
                cell => cell,
            }
        } else {
            self.cell(organisation_id, of.period).await?
        };
        let Some(cell) = cell else {
            // Whoever opens the month meanwhile meets the count, and reads the totals again.
            return Ok(Some(vec![
                self.charge_without_cell_item(organisation_id, of.period, of.expires_at)?,
                self.no_cell_item(organisation_id, of.period)?,
            ]));
        };
        let nodes = configuration.counters_on(of.path);
        let mut update = match of.offset {
            None => debit(&nodes, of.amounts),
            Some(offset) => {
                let late = LateUsage {
                    lapsed: offset.hold,
                    paid: offset.charged,
                    used: of.amounts,
                };
                debit_late(&cell, &nodes, late)
            }
        };
        update.conditions.push(Condition::EpochIs(cell.epoch));
        Ok(Some(vec![self.cell_update_item(
            organisation_id,
            of.period,
            &update,
        )?]))
    }
}

/// Whether a transaction can take `more` beside `group`: it adds to the same total, is no repetition, and there is room.
fn takes(group: &Group<'_>, more: &Settlement<'_>) -> bool {
    let mut users: BTreeSet<&str> = BTreeSet::from([more.entry.report.usage.user_id.as_str()]);
    for (_, known) in group {
        let is_of_same_user = known.entry.report.usage.user_id == more.entry.report.usage.user_id;
        if known.entry.period != more.entry.period
            || known.entry.path != more.entry.path
            || known.hold_id == more.hold_id
            || known.entry.report.identity == more.entry.report.identity
            || (is_of_same_user && known.entry.day != more.entry.day)
        {
            return false;
        }
        users.insert(&known.entry.report.usage.user_id);
    }
    let settlements = group.len().saturating_add(1);
    1 + settlements * PARTS_A_SETTLEMENT + users.len() * PARTS_A_USER <= MAX_PARTS
}

/// The settlement of a living hold; none where the configuration is older than the hold.
fn settlement<'a>(
    configuration: &Configuration,
    books: &PriceBooks,
    report: &UsageReport<'a>,
    hold_id: HoldId,
    hold: &Hold,
) -> Option<Settlement<'a>> {
    let usage = report.usage;
    let book = books.at(usage.occurred_at);
    let entry = Entry {
        report: report.clone(),
        received_at: report.received_at,
        period: hold_id.period,
        day: day_of(configuration, usage),
        path: configuration.path_at(hold.department, hold.tree)?,
        charge: usage.charge(book, Some(hold)),
        price_version: book.version().to_owned(),
        mark: report.mark(Mark::Settled),
        offset: Amounts::ZERO,
        ended: None,
        is_counted: true,
        exceeded_hold: false,
    };
    Some(Settlement {
        entry: Entry {
            exceeded_hold: exceeds(configuration, &entry, hold),
            ..entry
        },
        hold_id,
        hold: hold.clone(),
    })
}

fn is_strict(configuration: &Configuration) -> bool {
    configuration.organisation.reserve == Reserve::Strict
}

/// Whether an entry used more than its hold had, in an organisation whose holds cover whole requests.
fn exceeds(configuration: &Configuration, entry: &Entry<'_>, hold: &Hold) -> bool {
    let (used, held) = (entry.charge.amounts, hold.amounts);
    let is_more = used.tokens > held.tokens || used.micro_usd > held.micro_usd;
    is_more && is_strict(configuration)
}

pub(super) fn day_of(configuration: &Configuration, usage: &Usage) -> Date {
    let zone = configuration.organisation.zone();
    zone.to_datetime(usage.occurred_at).date()
}

/// The event that settled a hold, if one did.
fn settled_by(resolved: Option<&Resolved>) -> Option<&EventIdentity> {
    match &resolved?.resolution {
        Resolution::Settled { event, .. } => Some(event),
        Resolution::Voided | Resolution::Expired { .. } => None,
    }
}

/// Whether the hold of a report in conflict, ended as `resolved` says, shows that it is another request
/// than those that were counted: then no other event has settled it.
fn shows_another_request(report: &UsageReport<'_>, resolved: Option<&Resolved>) -> bool {
    let other = settled_by(resolved).filter(|event| **event != report.identity);
    resolved.is_some() && other.is_none()
}

/// The hold that a usage names, where it is its user's own.
pub fn own_hold(organisation_id: &str, usage: &Usage) -> Option<HoldId> {
    usage
        .hold()
        .filter(|id| id.rid.belongs_to(organisation_id, &usage.user_id))
}

pub(super) fn living<'a>(cell: &'a Cell, hold_id: &HoldId) -> Option<&'a Hold> {
    cell.holds
        .get(&hold_id.rid)
        .filter(|hold| hold_id.names(hold))
}
