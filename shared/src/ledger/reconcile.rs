//! The self-audit: compares records, resolutions, totals and cells, reports every difference as a
//! figure, and repairs cells.
//!
//! Traffic continues meanwhile. So each comparison allows for the writes that can be in flight
//! between two reads, and a difference is confirmed by three looks before it is reported.

use crate::backoff::back_off;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::self_audit::{Difference, Look, Subject};
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{ATTEMPTS, Store, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many looks confirm a difference.
const LOOKS: u32 = 3;

/// The result of comparing one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    pub organisation_id: String,
    pub period: Month,
    /// How many records and charged holds were read. None if only cells and totals were compared.
    pub records: Option<u64>,
    pub differences: Vec<Difference>,
    /// Whether the cell was rebuilt from the totals afterwards.
    pub is_repaired: bool,
}

impl Store {
    /// Compares the counters of a month with its totals, and its carry with the history. The number
    /// of reads does not depend on the number of records.
    pub async fn compare_counters(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut believed: Option<Vec<Difference>> = None;
        let mut looks = 0;
        for attempt in 0..ATTEMPTS {
            let Some(seen) = self.look_at_counters(organisation_id, period, now).await? else {
                back_off(attempt).await;
                continue;
            };
            looks += 1;
            let mut known = believed.take().unwrap_or_else(|| seen.clone());
            known.retain(|d| seen.iter().any(|again| again.subject == d.subject));
            if known.is_empty() || looks == LOOKS {
                return Ok(known);
            }
            believed = Some(known);
            back_off(attempt + 6).await;
        }
        // The configuration changed at every look: nothing can be said this time.
        Ok(Vec::new())
    }

    /// Returns true if anything was counted or recorded in `period`.
    pub async fn has_books(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<bool, StoreError> {
        let home = self.cell_at(organisation_id, period, HOME).await?;
        if home.is_some() {
            return Ok(true);
        }
        let totals = self.department_totals(organisation_id, period).await?;
        Ok(!totals.rows().is_empty())
    }

    /// Takes one look. Returns None if the configuration changed meanwhile.
    async fn look_at_counters(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<Option<Vec<Difference>>, StoreError> {
        let Some(configuration) = self.configuration(organisation_id).await? else {
            return Ok(Some(Vec::new()));
        };
        let Some(before) = self.cell(organisation_id, period).await? else {
            return Ok(Some(Vec::new()));
        };
        let totals = self.department_totals(organisation_id, period).await?;
        let history = self.rollovers_from(organisation_id, period.prev()).await?;
        let Some(after) = self.cell(organisation_id, period).await? else {
            return Ok(Some(Vec::new()));
        };
        let is_comparable = after.epoch == configuration.epoch
            || (configuration.is_over(period, now) && after.epoch <= configuration.epoch);
        if !is_comparable || before.epoch != after.epoch {
            return Ok(None);
        }
        let mut underway: BTreeMap<Node, i128> = BTreeMap::new();
        let ids: Vec<HoldId> = after
            .holds
            .iter()
            .map(|(rid, hold)| HoldId::new(period, rid.clone(), hold))
            .collect();
        for id in self.resolved_among(organisation_id, &ids).await? {
            let resolved = self.resolution(organisation_id, &id).await?;
            let hold = after.holds.get(&id.rid);
            if let (Some(resolved), Some(hold)) = (resolved, hold) {
                let charged = resolved.resolution.charged();
                for node in hold.about() {
                    *underway.entry(node).or_default() += charged.of(node.unit);
                }
            }
        }
        let look = Look {
            before: &before,
            after: &after,
            underway: &underway,
        };
        // A deleted budget leaves its amount in the counters of past months.
        let is_current = period >= configuration.period_of(now);
        let spent = |id: Option<&str>| totals.spent_under(id);
        let mut found = look.differences(&configuration, period, is_current, spent);
        for budget in configuration.budgets_in(period) {
            let credited = history.get(&budget.counter());
            let credited = credited.map_or(0, |row| row.unit.counted(row.carried_out));
            let carried = after.carried(budget.counter());
            let is_counted = after.nodes.contains_key(&budget.counter());
            if is_counted && carried != credited {
                found.push(Difference {
                    period,
                    subject: Subject::Carry {
                        id: budget.id.clone(),
                    },
                    unit: budget.unit,
                    expected: credited,
                    found: carried,
                });
            }
        }
        Ok(Some(found))
    }

    /// Rebuilds the cell of a month from its totals, holds and carry. It trusts the totals, so the
    /// records must be compared first.
    pub async fn repair_cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(configuration) = self.configuration(organisation_id).await? else {
                return Ok(());
            };
            let Some(cells) = self.all_cells(organisation_id, period).await? else {
                return Ok(());
            };
            if self.open_cell(&configuration, period, Some(&cells)).await? {
                return Ok(());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}
