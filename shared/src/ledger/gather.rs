//! Holds what the sum of the cells has although the request's own cell has too little.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use crate::domain::ledger::node::Node;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{Store, StoreError, Updated};
use jiff::Timestamp;

/// What a request wants of its cell.
#[derive(Clone, Copy)]
pub(super) enum Want<'a> {
    NewHold,
    /// A living hold gains what is requested, and lives until this Unix time.
    Growth(&'a Hold, u32),
}

/// A request that its own cell is too short for.
#[derive(Clone, Copy)]
pub(super) struct Gathering<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) period: Month,
    pub(super) request: &'a HoldRequest,
    pub(super) want: Want<'a>,
    pub(super) now: Timestamp,
}

/// The outcome of one try.
pub(super) enum Gathered {
    Placed {
        hold: Hold,
        /// Its cell, which includes it.
        cell: Cell,
    },
    /// The sum is short, too: these counters, in this sum.
    Short(Vec<Node>, Cell),
    /// The counters admit it, but its cell has no place.
    Full(Cell),
    /// Something changed meanwhile, or was cleared away: try again.
    Again,
}

impl Want<'_> {
    /// Returns the updates that `request` needs, and the hold that there is after them.
    fn of(self, request: &HoldRequest) -> Option<(CellUpdates, Hold)> {
        match self {
            Self::NewHold => Some((request.update(), request.hold.clone())),
            Self::Growth(before, expires_at) => request.growth(before, expires_at),
        }
    }
}

impl Store {
    /// Holds with quota from other cells, or says that there is none. First home is asked alone,
    /// which usually has enough. `own` is the cell of the request as it refused.
    pub(super) async fn gather(
        &self,
        of: Gathering<'_>,
        own: &Cell,
    ) -> Result<Gathered, StoreError> {
        let Gathering {
            configuration,
            period,
            request,
            want,
            now,
        } = of;
        let organisation_id = &configuration.organisation.id;
        let cell = request.rid.cell();
        let serving = |node| configuration.cells_serving(node);
        if cell != HOME {
            let Some(home) = self.cell_at(organisation_id, period, HOME).await? else {
                return Ok(Gathered::Again);
            };
            if let Some((updates, hold)) = want.of(request)
                && let Some(updates) = updates.with_transfer(cell, own, &home, serving)
            {
                return self.place(of, updates, hold).await;
            }
        }
        let Some(cells) = self.all_cells(organisation_id, period).await? else {
            return Ok(Gathered::Again);
        };
        let sum = Cell::sum(&cells);
        let met = match want {
            Want::NewHold => sum.clone(),
            Want::Growth(..) => sum.without(&request.rid),
        };
        let is_full = request.is_full(own) && matches!(want, Want::NewHold);
        let admitted = match request.rejection_by(&met, is_full, now) {
            HoldRejection::InsufficientBudget(nodes) => return Ok(Gathered::Short(nodes, sum)),
            HoldRejection::Full => return Ok(Gathered::Full(sum)),
            HoldRejection::Lapsed(lapsed) => {
                self.expire(configuration, period, lapsed, now).await?;
                return Ok(Gathered::Again);
            }
            HoldRejection::SameHold(_)
            | HoldRejection::BodyMismatch
            | HoldRejection::StaleConfiguration => return Ok(Gathered::Again),
            HoldRejection::Exempt(admitted) => *admitted,
            HoldRejection::Cleared => request.clone(),
        };
        let Some((updates, hold)) = want.of(&admitted) else {
            return Ok(Gathered::Short(request.short(&met), sum));
        };
        match updates.with_gathering(cell, &cells, serving) {
            Some(updates) => self.place(of, updates, hold).await,
            None => Ok(Gathered::Again),
        }
    }

    async fn place(
        &self,
        of: Gathering<'_>,
        updates: CellUpdates,
        hold: Hold,
    ) -> Result<Gathered, StoreError> {
        let organisation_id = &of.configuration.organisation.id;
        let updated = self.update_cells(organisation_id, of.period, updates);
        let known = match updated.await? {
            Updated::Refused(_) => return Ok(Gathered::Again),
            Updated::Applied(known) => known,
        };
        let cell = self.known_or_read(organisation_id, of.period, of.request.rid.cell(), known);
        Ok(Gathered::Placed {
            hold,
            cell: cell.await?,
        })
    }

    /// Returns the cell that a write returned, or reads it.
    pub(super) async fn known_or_read(
        &self,
        organisation_id: &str,
        period: Month,
        number: u32,
        known: Option<Cell>,
    ) -> Result<Cell, StoreError> {
        if let Some(cell) = known {
            return Ok(cell);
        }
        let cell = self.cell_at(organisation_id, period, number).await?;
        cell.ok_or_else(|| StoreError::unreadable("a cell that was written a moment ago"))
    }
}
