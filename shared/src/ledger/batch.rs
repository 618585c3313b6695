//! Records usage in batches: settlements of one department share a transaction, and those of one
//! month the updates of the cell.

use super::entries::settlement;
use super::record::{Recorded, recorded};
use super::within::Within;
use crate::domain::amount::Amounts;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::plausible::excess_of;
use crate::domain::ledger::settlement::{finish, finishable};
use crate::domain::ledger::usage::Usage;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use crate::domain::pricing::book::PriceBooks;
use crate::store::{
    MAX_PARTS, Settlement, Store, StoreError, Sums, Transacted, Updated, UsageReport, is_elsewhere,
    living, own_hold,
};
use futures::StreamExt;
use jiff::Timestamp;
use std::collections::btree_map::Entry as CellEntry;
use std::collections::{BTreeMap, BTreeSet};

/// A settlement has a record and a row of usage. The department adds one total for all of them.
const PARTS_A_SETTLEMENT: usize = 2;

/// How many groups are settled at the same time. Groups of one department follow each other,
/// because they add to the same total.
const GROUPS_AT_ONCE: usize = 4;

/// Settlements that fit into one transaction, each with its place in the batch.
type Group<'a> = Vec<(usize, Settlement<'a>)>;

impl Store {
    /// Records usage events of one organisation, each with its own result. Settlements in one
    /// department share a transaction, and all settlements of a month share the updates of the
    /// cell, so that releases keep up with new holds.
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
            && let Ok(groups) = self.settlements(configuration, books, usages, now).await
        {
            // Events that fail here or were recorded before are recorded one by one below, after
            // all settlements.
            let settled = self.settle_groups(configuration, groups).await;
            let done = self.finish_settled(configuration, &settled, now).await;
            for (index, settlement) in settled.iter().filter(|(index, _)| done.contains(index)) {
                if let Some(result) = results.get_mut(*index) {
                    *result = Some(Ok(recorded(&settlement.entry)));
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

    /// Returns those of `usages` whose hold lives in its cell and whose identity is bound to their
    /// body, in groups that fit into a transaction.
    async fn settlements<'a>(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        usages: &[(&'a Usage, Timestamp)],
        now: Timestamp,
    ) -> Result<Vec<Group<'a>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut cells: BTreeMap<(Month, u32), Option<Cell>> = BTreeMap::new();
        let mut found: Vec<(usize, Settlement<'a>)> = Vec::new();
        for (index, &(usage, received_at)) in usages.iter().enumerate() {
            let Some(hold_id) = own_hold(organisation_id, usage) else {
                continue;
            };
            if excess_of(configuration, books, usage).is_some() {
                continue;
            }
            let cell = match cells.entry((hold_id.period, hold_id.rid.cell())) {
                CellEntry::Occupied(known) => known.into_mut(),
                CellEntry::Vacant(new) => {
                    new.insert(self.cell_of_hold(organisation_id, &hold_id).await?)
                }
            };
            let cell = cell.as_ref();
            let Some(hold) = cell.and_then(|cell| living(cell, &hold_id)) else {
                continue;
            };
            let report = UsageReport::new(usage, received_at, now);
            let Some(settlement) = settlement(configuration, books, &report, hold_id, hold) else {
                continue;
            };
            found.push((index, settlement));
        }
        let reports: Vec<&UsageReport<'_>> = found.iter().map(|(_, of)| &of.entry.report).collect();
        let bound = self.bound_among(organisation_id, &reports).await?;
        found.retain(|(_, of)| bound.has(&of.entry.report));
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (index, settlement) in found {
            match groups.iter_mut().find(|group| takes(group, &settlement)) {
                Some(group) => group.push((index, settlement)),
                None => groups.push(vec![(index, settlement)]),
            }
        }
        Ok(groups)
    }

    /// Settles several groups at a time. Returns the settlements that are written and whose holds
    /// are still in their cells.
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

    /// Settles the groups of one department one after the other. Returns those that are written.
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

    /// Writes the records and sums of a group at once. Returns false if one of the holds has ended.
    async fn settle_group(
        &self,
        configuration: &Configuration,
        group: &[(usize, Settlement<'_>)],
    ) -> Result<bool, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut parts = Vec::with_capacity(MAX_PARTS);
        let mut of_department = Sums::default();
        for (_, settlement) in group {
            let entry = &settlement.entry;
            parts.push(self.settled_item(organisation_id, settlement)?);
            let held = Some(settlement.hold.amounts);
            parts.extend(self.flag_item(configuration, entry, held, None)?);
            of_department = of_department.plus(Sums::charged(&entry.charge));
        }
        let entries = group.iter().map(|(_, settlement)| &settlement.entry);
        // All of them add to the same total.
        if let Some(entry) = entries.clone().next() {
            parts.insert(0, self.total_item(configuration, entry, of_department));
        }
        parts.extend(self.usage_items(configuration, entries.clone()));
        let models = self.unsure_items(organisation_id, entries)?;
        let done = self.transact_with_models(parts, &models).await?;
        Ok(done == Transacted::Applied)
    }

    /// Removes the holds of settled usages from their cells, as many at once as fit into an update.
    /// Returns the places in the batch of those that are removed. If the others are repeated, their
    /// resolution is found.
    async fn finish_settled(
        &self,
        configuration: &Configuration,
        settled: &[(usize, Settlement<'_>)],
        now: Timestamp,
    ) -> BTreeSet<usize> {
        let mut cells: BTreeMap<(Month, u32), Vec<&(usize, Settlement<'_>)>> = BTreeMap::new();
        for one in settled {
            let cell = one.1.hold_id.rid.cell();
            let of_cell = cells.entry((one.1.entry.period, cell)).or_default();
            of_cell.push(one);
        }
        let mut done = BTreeSet::new();
        for ((period, cell), settled) in cells {
            let within = Within::new(configuration, period, now);
            let resolved: Vec<(HoldKey, Hold, Amounts)> = settled
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
                let mut updates = finish(
                    part.iter()
                        .map(|(rid, hold, charged)| (rid, hold, *charged)),
                );
                within.assume_enough(&mut updates, cell);
                let organisation_id = &configuration.organisation.id;
                match self.update_cells(organisation_id, period, updates).await {
                    Ok(Updated::Applied(cell)) => {
                        last = cell.or(last);
                        done.extend(of_part.iter().map(|(index, _)| *index));
                    }
                    // One of them has changed, or used more than there is: remove them one by one.
                    Ok(Updated::Refused(_)) => {
                        for (index, s) in of_part {
                            let charged = s.entry.charge.amounts;
                            let alone =
                                self.finish_hold(configuration, &s.hold_id, &s.hold, charged, now);
                            if alone.await.is_ok() {
                                done.insert(*index);
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
}

/// Whether `more` fits into a transaction with `group`: it adds to the same total, repeats nothing,
/// and there is room.
fn takes(group: &Group<'_>, more: &Settlement<'_>) -> bool {
    for (_, known) in group {
        if known.entry.period != more.entry.period
            || known.entry.path != more.entry.path
            || known.hold_id == more.hold_id
            || known.entry.report.identity == more.entry.report.identity
        {
            return false;
        }
    }
    let all = group.iter().map(|(_, known)| known).chain([more]);
    // Each may have a row in the list of models, one in that of flagged events, and the tokens of
    // its day in another month than its own.
    let rows = |one: &Settlement<'_>| {
        let entry = &one.entry;
        let is_flagged = entry.exceeded_hold || !entry.is_model_allowed;
        let more = [
            entry.charge.matched.kind.is_unsure(),
            is_flagged,
            is_elsewhere(entry),
        ];
        more.into_iter().filter(|is_one| *is_one).count()
    };
    let rows: usize = all.map(rows).sum();
    let settlements = group.len().saturating_add(1);
    1 + settlements * PARTS_A_SETTLEMENT + rows <= MAX_PARTS
}
