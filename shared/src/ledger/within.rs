//! Charges beyond holds, or without one, within the caps of a period.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::org::configuration::Caps;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The hard counters that a charge keeps to: those of a period in force. Once a period is over by
/// every clock, nobody holds in it, and its counters go below zero.
pub(super) struct Within {
    caps: Option<Caps>,
    /// The home cell as the configuration says that it is.
    home: Cell,
}

impl Within {
    pub(super) fn new(configuration: &Configuration, period: Month, now: Timestamp) -> Self {
        let is_over = configuration.is_over(period, now);
        Self {
            caps: (!is_over).then(|| configuration.caps_in(period)),
            home: Cell {
                others: configuration.placement.others,
                ..Cell::default()
            },
        }
    }

    /// Takes the cell to have what `updates` charge it. Otherwise they are refused.
    pub(super) fn assume_enough(&self, updates: &mut CellUpdates, cell: u32) {
        if let Some(caps) = &self.caps {
            updates.charge_within(caps, cell, None, &self.home);
        }
    }

    /// Charges elsewhere what the cell lacks. `own` and `home` are as they were read.
    pub(super) fn pay(&self, updates: &mut CellUpdates, cell: u32, own: &Cell, home: &Cell) {
        if let Some(caps) = &self.caps {
            updates.charge_within(caps, cell, Some(own), home);
        }
    }
}

/// Groups what is in cells by the cell: an update changes one.
pub(super) fn by_cell<T>(each: Vec<T>, cell: impl Fn(&T) -> u32) -> Vec<Vec<T>> {
    let mut groups: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for one in each {
        groups.entry(cell(&one)).or_default().push(one);
    }
    groups.into_values().collect()
}
