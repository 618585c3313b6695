//! Charges usage without a living hold to the counters, totals and reports of its month.

use super::within::Within;
use crate::domain::amount::Amounts;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::ledger::settlement::{LateUsage, debit, debit_late};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{Added, Entry, Resolved, Store, StoreError, Sums, Write, expires_at};
use jiff::Timestamp;

/// The lapsed hold that a direct charge is set against, with the charge at its lapse. Each hold is
/// used once.
pub(crate) struct Offset<'a> {
    pub(crate) hold_id: &'a HoldId,
    pub(crate) hold: &'a Hold,
    pub(crate) charged: Amounts,
    /// The buckets whose rows include the hold, and its path there.
    reported_in: (&'a [String], &'a Path),
}

impl<'a> Offset<'a> {
    /// Returns the offset of a usage of `hold_id`, if the hold lapsed, nothing was set against it
    /// yet, and it matters: the hold was charged, or used an exemption. A hold that was settled or
    /// voided has nothing left to offset.
    pub(crate) fn of(hold_id: Option<&'a HoldId>, resolved: Option<&'a Resolved>) -> Option<Self> {
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

/// The change of a direct charge to the counters. Below zero, it gives back.
pub(crate) struct Debit<'a> {
    pub(crate) period: Month,
    pub(crate) path: &'a Path,
    /// The user, or None for a correction of a department.
    pub(crate) user_id: Option<&'a str>,
    /// The full usage, or the amounts of a correction.
    pub(crate) amounts: Amounts,
    pub(crate) offset: Option<&'a Offset<'a>>,
    pub(crate) expires_at: i64,
}

impl Store {
    /// Returns the rows that a direct charge writes beside the record and the row of its model, as
    /// parts of its transaction. Returns None if `configuration` is not in force.
    pub(crate) async fn charge_items(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        offset: Option<&Offset<'_>>,
        now: Timestamp,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let used = entry.charge.amounts;
        let paid = offset.map_or(Amounts::ZERO, |offset| offset.charged);
        let more = used
            .checked_sub(paid)
            .ok_or_else(|| StoreError::unreadable("a charge out of range"))?;
        let debit = Debit {
            period: entry.period,
            path: &entry.path,
            user_id: Some(&entry.report.usage.user_id),
            amounts: used,
            offset,
            expires_at: expires_at(entry.received_at),
        };
        let Some(mut parts) = self.debit_items(configuration, &debit, now).await? else {
            return Ok(None);
        };
        let of_user = Sums::charged(&entry.charge);
        let of_department = Sums {
            // A charged hold was already counted as a request.
            requests: i64::from(paid == Amounts::ZERO),
            unpriced: of_user.unpriced,
            ..Sums::one(more)
        };
        parts.push(self.total_item(configuration, entry, of_department));
        parts.extend(self.usage_items(configuration, [entry]));
        if let Some(offset) = offset {
            let event = &entry.report.identity;
            let organisation_id = &configuration.organisation.id;
            parts.push(self.offset_item(organisation_id, offset.hold_id, event));
            // The reports get the full usage and lose the abandoned hold, as the totals get only
            // the difference.
            let taken = Added::abandoned(offset.charged).taken_away();
            let of = offset.reported_in;
            parts.extend(self.abandoned_rows(organisation_id, of, taken, expires_at(now)));
        }
        Ok(Some(parts))
    }

    /// Returns the updates of the month's counters by a direct charge, as parts of its transaction.
    /// Returns None if `configuration` is not in force.
    pub(crate) async fn debit_items(
        &self,
        configuration: &Configuration,
        of: &Debit<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let is_in_force = configuration.periods_in_force(now).contains(&of.period);
        // The levels to charge follow from the configuration, so for the month in force it must be
        // in force.
        let home = if is_in_force {
            match self.home_in_force(configuration, of.period).await? {
                None => return Ok(None),
                home => home,
            }
        } else {
            self.cell_at(organisation_id, of.period, HOME).await?
        };
        let Some(home) = home else {
            // A caller that opens the month meanwhile sees the count, and reads the totals again.
            return Ok(Some(vec![
                self.charge_without_cell_item(organisation_id, of.period, of.expires_at),
                self.no_cell_item(organisation_id, of.period),
            ]));
        };
        let cell = match is_in_force {
            true => of.cell(configuration, &home),
            false => HOME,
        };
        let own = match cell {
            HOME => None,
            cell => self.cell_at(organisation_id, of.period, cell).await?,
        };
        let nodes = configuration.counters_on(of.path);
        let mut updates = match of.offset {
            None => debit(cell, &nodes, of.amounts),
            Some(offset) => {
                let late = LateUsage {
                    lapsed: offset.hold,
                    paid: offset.charged,
                    used: of.amounts,
                };
                debit_late(cell, &home, &nodes, late)
            }
        };
        let within = Within::new(configuration, of.period, now);
        within.pay(&mut updates, cell, own.as_ref().unwrap_or(&home), &home);
        updates.require_epoch(home.epoch);
        updates.count_move();
        Ok(Some(self.cells_items(organisation_id, of.period, updates)))
    }
}

impl Debit<'_> {
    /// Returns the cell that is charged. Any may be, so home is if the user's cell is not there
    /// yet. What gives back goes home as well: a cell without the counter would begin it, though it
    /// may be shut in all others.
    fn cell(&self, configuration: &Configuration, home: &Cell) -> u32 {
        let paid = self.offset.map_or(Amounts::ZERO, |offset| offset.charged);
        let more = self.amounts.saturating_sub(paid);
        let user_id = self
            .user_id
            .filter(|_| more.tokens >= 0 && more.pico_usd >= 0);
        let cell = user_id.map_or(HOME, |id| configuration.cell_on_path(self.path, id));
        if cell <= home.others { cell } else { HOME }
    }
}
