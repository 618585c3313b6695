//! Recording what was used, and settling the holds it was held by.
//!
//! A record counts once, by its event id. With a hold: one transaction {record, resolution, totals}, then the cell.
//! Without one, or after it ended otherwise: one transaction {record, totals, the cell's debit}. A redelivered event
//! repeats every later step, so a crash between two steps is repaired by the next delivery.

use super::Store;
use super::call::{ATTEMPTS, StoreError, Transacted, back_off};
use super::cells::Updated;
use super::resolutions::{Resolved, expires_at};
use super::totals::Sums;
use crate::domain::amount::Amounts;
use crate::domain::cell::{Cell, Condition, debit, finish, finishable};
use crate::domain::configuration::{Configuration, Path};
use crate::domain::hold::{Hold, HoldId, Rid};
use crate::domain::period::Month;
use crate::domain::price::PriceBooks;
use crate::domain::usage::{Charge, Resolution, Usage};
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
    /// Its hold had ended otherwise, or was settled by another event.
    Late,
    /// It named no hold.
    Unreserved,
    /// It named a hold that never was, or another user's.
    UnknownHold,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts now.
    Counted(Mark),
    /// It had counted before; what was left to do for it is done.
    Duplicate,
}

/// One usage with everything its record says.
pub(super) struct Entry<'a> {
    pub(super) usage: &'a Usage,
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
}

/// What a direct charge is set against: the abandoned hold that was charged already.
struct Offset<'a> {
    hold_id: &'a HoldId,
    charged: Amounts,
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
                    *result = Some(Ok(Recorded::Counted(Mark::Settled)));
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
            if !cells.iter().any(|(period, _)| *period == hold_id.period) {
                let cell = self.cell(organisation_id, hold_id.period).await?;
                cells.push((hold_id.period, cell));
            }
            let cell = cells.iter().find(|(period, _)| *period == hold_id.period);
            let cell = cell.and_then(|(_, cell)| cell.as_ref());
            let Some(hold) = cell.and_then(|cell| living(cell, &hold_id)) else {
                continue;
            };
            let Some(settlement) =
                settlement(configuration, books, usage, received_at, hold_id, hold)
            else {
                continue;
            };
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
            let user = of_users.entry(&entry.usage.user_id);
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
        let organisation_id = &configuration.organisation.id;
        let user = self.user(organisation_id, &usage.user_id).await?;
        let hold_id = own_hold(organisation_id, usage);
        let book = books.at(usage.occurred_at);
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            let (mut resolved, mut mark) = (None, Mark::Unreserved);
            if let Some(hold_id) = &hold_id {
                let cell = self.cell(organisation_id, hold_id.period).await?;
                if let Some(hold) = cell.as_ref().and_then(|cell| living(cell, hold_id)) {
                    let id = hold_id.clone();
                    let Some(settlement) =
                        settlement(&current, books, usage, received_at, id, hold)
                    else {
                        current = self.newer(current).await?;
                        back_off(attempt).await;
                        continue;
                    };
                    match self.settle(&current, &settlement, now).await? {
                        Some(recorded) => return Ok(recorded),
                        // Another resolution was there first; it is finished by now.
                        None => continue,
                    }
                }
                resolved = self.resolution(organisation_id, hold_id).await?;
            }
            if usage.hold_id.is_some() {
                mark = if resolved.is_some() {
                    Mark::Late
                } else {
                    Mark::UnknownHold
                };
            }
            if let Some(Resolution::Settled { event_id, .. }) =
                resolved.as_ref().map(|r| &r.resolution)
                && *event_id == usage.event_id
            {
                return Ok(Recorded::Duplicate);
            }
            let own_path = || user.as_ref().map(|user| current.path(&user.department_id));
            let offset = match (&hold_id, &resolved) {
                (
                    Some(hold_id),
                    Some(Resolved {
                        resolution: Resolution::Expired { charged },
                        offset_by: None,
                        ..
                    }),
                ) if *charged != Amounts::ZERO => Some(Offset {
                    hold_id,
                    charged: *charged,
                }),
                _ => None,
            };
            let entry = Entry {
                usage,
                received_at,
                period: match (&hold_id, &resolved) {
                    (Some(hold_id), Some(_)) => hold_id.period,
                    _ => current.period_of(usage.occurred_at),
                },
                day: day_of(&current, usage),
                path: match &resolved {
                    Some(resolved) => resolved.path.clone(),
                    None => own_path().unwrap_or_default(),
                },
                charge: usage.charge(book, resolved.as_ref().map(|r| &r.hold)),
                price_version: book.version().to_owned(),
                mark,
                offset: offset.as_ref().map_or(Amounts::ZERO, |o| o.charged),
                ended: resolved.as_ref().map(|resolved| resolved.hold.clone()),
            };
            if let Some(recorded) = self.charge(&current, &entry, offset.as_ref(), now).await? {
                return Ok(recorded);
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// The configuration that is in force now.
    async fn newer<'a>(
        &self,
        known: Cow<'a, Configuration>,
    ) -> Result<Cow<'a, Configuration>, StoreError> {
        let newer = self.configuration(&known.organisation.id).await?;
        Ok(newer.map_or(known, Cow::Owned))
    }

    /// Settles a hold that is in the cell; none where another resolution came first.
    async fn settle(
        &self,
        configuration: &Configuration,
        settlement: &Settlement<'_>,
        now: Timestamp,
    ) -> Result<Option<Recorded>, StoreError> {
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
            return Ok(Some(Recorded::Counted(Mark::Settled)));
        }
        if let Some(known) = self.resolution(organisation_id, hold_id).await? {
            self.finish_hold(organisation_id, hold_id, hold, known.resolution.charged())
                .await?;
        }
        Ok(done.was_refused_at(0).then_some(Recorded::Duplicate))
    }

    /// Charges usage that no hold stands for, at every budget that its path counts in: one transaction {record,
    /// totals, debit of the cell}. With an offset only the difference to what the abandoned hold was charged. None
    /// where the configuration, the cell or the offset changed in between.
    async fn charge(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        offset: Option<&Offset<'_>>,
        now: Timestamp,
    ) -> Result<Option<Recorded>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let is_in_force = configuration.periods_in_force(now).contains(&entry.period);
        // The budgets to charge follow from the configuration, so in a month in force it must be the one in force.
        let cell = if is_in_force {
            match self.cell_in_force(configuration, entry.period).await? {
                None => return Ok(None),
                cell => cell,
            }
        } else {
            self.cell(organisation_id, entry.period).await?
        };
        let used = entry.charge.amounts;
        let more = used
            .checked_sub(offset.map_or(Amounts::ZERO, |offset| offset.charged))
            .ok_or_else(|| StoreError::unreadable("a charge out of range"))?;
        let of_department = Sums {
            // The abandoned hold counted as a request already.
            requests: i64::from(offset.is_none()),
            ..Sums::one(more)
        };
        let mut parts = vec![self.record_item(configuration, entry)?];
        parts.extend(self.totals_items(configuration, entry, of_department, Sums::one(used))?);
        parts.extend(self.usage_items(configuration, [entry])?);
        if let Some(offset) = offset {
            parts.push(self.offset_item(organisation_id, offset.hold_id, &entry.usage.event_id)?);
        }
        match &cell {
            None => {
                // Whoever opens the month meanwhile meets the count, and reads the totals again.
                let expires_at = expires_at(entry.received_at);
                let counted =
                    self.charge_without_cell_item(organisation_id, entry.period, expires_at)?;
                parts.push(counted);
                parts.push(self.no_cell_item(organisation_id, entry.period)?);
            }
            Some(cell) => {
                let nodes = configuration.counters_on(&entry.path);
                let mut update = debit(&nodes, entry.ended.as_ref(), more);
                update.conditions.push(Condition::EpochIs(cell.epoch));
                parts.push(self.cell_update_item(organisation_id, entry.period, &update)?);
            }
        }
        let done = self.transact(parts).await?;
        if done == Transacted::Applied {
            return Ok(Some(Recorded::Counted(entry.mark)));
        }
        Ok(done.was_refused_at(0).then_some(Recorded::Duplicate))
    }
}

/// Whether a transaction can take `more` beside `group`: it adds to the same total, is no repetition, and there is room.
fn takes(group: &Group<'_>, more: &Settlement<'_>) -> bool {
    let mut users: BTreeSet<&str> = BTreeSet::from([more.entry.usage.user_id.as_str()]);
    for (_, known) in group {
        let is_of_same_user = known.entry.usage.user_id == more.entry.usage.user_id;
        if known.entry.period != more.entry.period
            || known.entry.path != more.entry.path
            || known.hold_id == more.hold_id
            || known.entry.usage.event_id == more.entry.usage.event_id
            || (is_of_same_user && known.entry.day != more.entry.day)
        {
            return false;
        }
        users.insert(&known.entry.usage.user_id);
    }
    let settlements = group.len().saturating_add(1);
    1 + settlements * PARTS_A_SETTLEMENT + users.len() * PARTS_A_USER <= MAX_PARTS
}

/// The settlement of a living hold; none where the configuration is older than the hold.
fn settlement<'a>(
    configuration: &Configuration,
    books: &PriceBooks,
    usage: &'a Usage,
    received_at: Timestamp,
    hold_id: HoldId,
    hold: &Hold,
) -> Option<Settlement<'a>> {
    let book = books.at(usage.occurred_at);
    Some(Settlement {
        entry: Entry {
            usage,
            received_at,
            period: hold_id.period,
            day: day_of(configuration, usage),
            path: configuration.path_at(hold.department, hold.tree)?,
            charge: usage.charge(book, Some(hold)),
            price_version: book.version().to_owned(),
            mark: Mark::Settled,
            offset: Amounts::ZERO,
            ended: None,
        },
        hold_id,
        hold: hold.clone(),
    })
}

fn day_of(configuration: &Configuration, usage: &Usage) -> Date {
    let zone = configuration.organisation.zone();
    zone.to_datetime(usage.occurred_at).date()
}

/// The hold that a usage names, where it is its user's own.
fn own_hold(organisation_id: &str, usage: &Usage) -> Option<HoldId> {
    usage
        .hold()
        .filter(|id| id.rid.belongs_to(organisation_id, &usage.user_id))
}

fn living<'a>(cell: &'a Cell, hold_id: &HoldId) -> Option<&'a Hold> {
    cell.holds
        .get(&hold_id.rid)
        .filter(|hold| hold_id.names(hold))
}
