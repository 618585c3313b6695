//! Resolves holds that no event has settled, and removes resolved holds from their cells.

use super::within::{Within, by_cell};
use crate::domain::amount::Amounts;
use crate::domain::ledger::buckets::of_usage;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::{HoldId, HoldKey};
use crate::domain::ledger::resolution::Resolution;
use crate::domain::ledger::settlement::{finish_as, lapsed_holds, prolong};
use crate::domain::ledger::usage::Usage;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::organisation::AbandonedHolds;
use crate::domain::period::Month;
use crate::store::{Ending, EndsBy, Resolved, Store, StoreError, Transacted, Updated, own_hold};
use futures::StreamExt as _;
use jiff::Timestamp;

/// How many lapsed holds are resolved at the same time. Whoever meets them has a request of their
/// own to answer, and each write may need a connection.
pub(super) const RELEASES_AT_ONCE: usize = 4;

/// The outcome for a hold that no event has settled.
enum Unsettled {
    /// It ended, now or before.
    Ended(Box<Finished>),
    /// It lives at least until then, in seconds.
    Lives {
        rid: HoldKey,
        hold: Hold,
        until: i64,
    },
    /// The configuration is older than the hold.
    NotKnown,
}

/// A hold of a cell that has ended.
struct Finished {
    rid: HoldKey,
    /// The hold in its cell.
    hold: Hold,
    /// The hold in its resolution.
    ended: Hold,
    charged: Amounts,
}

impl Store {
    /// Returns whether the hold that a usage names lapsed before it was settled.
    pub async fn lapsed_before(
        &self,
        organisation_id: &str,
        usage: &Usage,
    ) -> Result<bool, StoreError> {
        let Some(hold_id) = own_hold(organisation_id, usage) else {
            return Ok(false);
        };
        let known = self.resolution(organisation_id, &hold_id).await?;
        let resolution = known.map(|known| known.resolution);
        Ok(matches!(resolution, Some(Resolution::Expired { .. })))
    }

    /// Resolves lapsed holds according to the organisation's setting and removes them from the
    /// cell. Completes those that others have resolved. Skips holds that changed, and those that
    /// are newer than this configuration: the next call sees them again.
    pub(crate) async fn expire(
        &self,
        configuration: &Configuration,
        period: Month,
        lapsed: Vec<(HoldKey, Hold)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let each = lapsed.into_iter().map(|(rid, hold)| {
            let charged = match configuration.organisation.abandoned_holds {
                AbandonedHolds::Release => Amounts::ZERO,
                AbandonedHolds::Charge => hold.amounts,
            };
            let named = (rid, hold);
            self.resolve_unsettled(configuration, period, named, charged, EndsBy::Time, now)
        });
        let mut resolved = Vec::new();
        let mut living = Vec::new();
        let hold_seconds = i64::from(configuration.organisation.hold_seconds);
        let next_look = now.as_second().saturating_add(hold_seconds);
        let mut each = futures::stream::iter(each).buffer_unordered(RELEASES_AT_ONCE);
        while let Some(result) = each.next().await {
            match result? {
                Unsettled::Ended(finished) => resolved.push(*finished),
                // Prolong it step by step, because it may end at any moment, and then nobody should
                // wait for days.
                Unsettled::Lives { rid, hold, until } => {
                    living.push((rid, hold, until.min(next_look)));
                }
                Unsettled::NotKnown => {}
            }
        }
        let organisation_id = &configuration.organisation.id;
        if !living.is_empty() {
            // If one of them changed meanwhile, the next call tries again.
            for of_cell in by_cell(living, |(rid, ..)| rid.cell()) {
                self.update_cells(organisation_id, period, prolong(&of_cell))
                    .await?;
            }
        }
        for of_cell in by_cell(resolved, |finished| finished.rid.cell()) {
            self.finish_lapsed(configuration, period, &of_cell, now)
                .await?;
        }
        Ok(())
    }

    /// Removes lapsed holds of one cell together. If that fails, each is removed by itself: a
    /// renewal that came a moment too late has changed one of them, which has ended nevertheless
    /// and would not be seen again before its new time is over, or others have removed one.
    async fn finish_lapsed(
        &self,
        configuration: &Configuration,
        period: Month,
        resolved: &[Finished],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let organisation_id = &configuration.organisation.id;
        let each = resolved.iter();
        let mut updates = finish_as(each.map(|of| (&of.rid, &of.hold, &of.ended, of.charged)));
        if let Some(first) = resolved.first() {
            let within = Within::new(configuration, period, now);
            within.assume_enough(&mut updates, first.rid.cell());
        }
        let updated = self.update_cells(organisation_id, period, updates).await?;
        if let Updated::Refused(_) = updated {
            for Finished {
                rid,
                hold,
                ended,
                charged,
            } in resolved
            {
                let id = HoldId::new(period, rid.clone(), hold);
                self.finish_hold(configuration, &id, ended, *charged, now)
                    .await?;
            }
        }
        Ok(())
    }

    /// Charges a living hold in full, because its usage cannot be counted yet. Late usage is
    /// charged the difference. Returns false if `configuration` is older than the hold.
    pub(crate) async fn charge_hold(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        hold: &Hold,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let named = (hold_id.rid.clone(), hold.clone());
        let charged = hold.amounts;
        let period = hold_id.period;
        let resolving =
            self.resolve_unsettled(configuration, period, named, charged, EndsBy::Event, now);
        let Unsettled::Ended(finished) = resolving.await? else {
            return Ok(false);
        };
        let Finished { ended, charged, .. } = *finished;
        self.finish_hold(configuration, hold_id, &ended, charged, now)
            .await?;
        Ok(true)
    }

    /// Resolves a hold that no event has settled, and releases it except for the amount that stays
    /// spent. The charge goes into a record, the total of its department and the reports.
    async fn resolve_unsettled(
        &self,
        configuration: &Configuration,
        period: Month,
        (rid, hold): (HoldKey, Hold),
        charged: Amounts,
        by: EndsBy,
        now: Timestamp,
    ) -> Result<Unsettled, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let Some(path) = configuration.path_at(hold.department, hold.tree) else {
            return Ok(Unsettled::NotKnown);
        };
        let hold_id = HoldId::new(period, rid.clone(), &hold);
        let zone = configuration.organisation.zone();
        let reported_in = match charged == Amounts::ZERO {
            true => Vec::new(),
            false => Vec::from(of_usage(now, period, &zone)),
        };
        let resolved = Resolved {
            resolution: Resolution::Expired { charged },
            path,
            hold: hold.clone(),
            offset_by: None,
            reported_in,
        };
        let mut parts = vec![self.ending_item(organisation_id, &hold_id, &resolved, by, now)?];
        if charged != Amounts::ZERO {
            parts.extend(self.abandoned_items(organisation_id, &hold_id, &resolved, now));
        }
        let resolved = match self.transact(parts).await? {
            Transacted::Applied => resolved,
            Transacted::Refused(_) => match self.ending(organisation_id, &hold_id).await? {
                Ending::Ended(known) => *known,
                Ending::Open { until } => return Ok(Unsettled::Lives { rid, hold, until }),
            },
        };
        Ok(Unsettled::Ended(Box::new(Finished {
            rid,
            hold,
            charged: resolved.resolution.charged(),
            ended: resolved.hold,
        })))
    }

    /// Releases some of the lapsed holds that a caller sees in passing. It may fail: the next
    /// caller sees them again.
    pub(crate) async fn release_seen(
        &self,
        configuration: &Configuration,
        period: Month,
        cell: &Cell,
        now: Timestamp,
    ) {
        let lapsed = lapsed_holds(cell, now, |_| true);
        if lapsed.is_empty() {
            return;
        }
        if let Err(error) = self.expire(configuration, period, lapsed, now).await {
            tracing::warn!(%error, "lapsed holds are left to the next look");
        }
    }
}
