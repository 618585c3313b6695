//! Updates of several cells of one period that take effect together.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::{CellUpdate, Condition, NotApplied};
use crate::domain::ledger::hold::{Charged, Hold};
use crate::domain::ledger::node::Node;
use crate::domain::org::configuration::Caps;
use crate::domain::org::placement::HOME;
use std::collections::BTreeMap;

/// Updates of cells of one period, by the number of the cell: all of them, or nothing.
///
/// One update is a plain conditional write, several are a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellUpdates(BTreeMap<u32, CellUpdate>);

impl CellUpdates {
    /// Returns an update of one cell.
    pub fn of(cell: u32, update: CellUpdate) -> Self {
        Self(BTreeMap::from([(cell, update)]))
    }

    /// Returns the update of a cell, to be added to.
    pub fn at(&mut self, cell: u32) -> &mut CellUpdate {
        self.0.entry(cell).or_default()
    }

    pub fn get(&self, cell: u32) -> Option<&CellUpdate> {
        self.0.get(&cell)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &CellUpdate)> {
        self.0.iter().map(|(cell, update)| (*cell, update))
    }

    pub fn into_each(self) -> impl Iterator<Item = (u32, CellUpdate)> {
        self.0.into_iter()
    }

    /// Returns the only update with its cell. None if there are several, or none.
    pub fn single(&self) -> Option<(u32, &CellUpdate)> {
        let mut each = self.iter();
        let first = each.next()?;
        each.next().is_none().then_some(first)
    }

    /// Requires that each cell agrees with `epoch`.
    pub fn require_epoch(&mut self, epoch: u64) {
        for update in self.0.values_mut() {
            let condition = Condition::EpochIs(epoch);
            if !update.conditions.contains(&condition) {
                update.conditions.push(condition);
            }
        }
    }

    /// Requires no epoch.
    pub fn forget_epoch(&mut self) {
        let is_of_epoch = |condition: &Condition| matches!(condition, Condition::EpochIs(_));
        for update in self.0.values_mut() {
            update
                .conditions
                .retain(|condition| !is_of_epoch(condition));
        }
    }

    /// Has home count this write if it changes several cells: see [`Cell::moves`].
    pub fn count_move(&mut self) {
        if self.0.len() > 1 {
            self.at(HOME).is_move = true;
        }
    }

    /// Takes a charge of `hold` from its counters in `cell`. A negative charge gives back. The
    /// counters of an exemption are in the home cell.
    pub(super) fn take(&mut self, cell: u32, hold: &Hold, charged: Charged) {
        let (own, given) = (charged.own, charged.given);
        for &node in &hold.nodes {
            let (of, amount) = match node.is_of_exemption() {
                true => (HOME, given.of(node.unit)),
                false => (cell, own.of(node.unit).saturating_add(given.of(node.unit))),
            };
            if amount != 0 {
                self.at(of).add_to(node, amount.saturating_neg());
            }
        }
        for &node in hold.exempt.iter().flat_map(|exempt| &exempt.covered) {
            self.at(cell)
                .add_to(node, own.of(node.unit).saturating_neg());
            self.at(cell).exempt_at(node, given.of(node.unit));
        }
    }

    /// Applies the updates to the only cell of a period, as the store does to the item.
    pub fn apply(&self, home: &mut Option<Cell>) -> Result<(), NotApplied> {
        self.apply_to_all(std::slice::from_mut(home))
    }

    /// Applies the updates to all cells of a period, home first. If one cannot be applied, none
    /// is.
    pub fn apply_to_all(&self, cells: &mut [Option<Cell>]) -> Result<(), NotApplied> {
        let mut after = cells.to_vec();
        for (number, update) in self.iter() {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            match after.get_mut(index) {
                Some(cell) => update.apply(cell)?,
                None => update.apply(&mut None)?,
            }
        }
        cells.clone_from_slice(&after);
        Ok(())
    }

    /// Charges what the update of `cell` takes from hard counters without letting one go below
    /// zero: what the cell lacks, [`pay`](Self::pay) takes elsewhere. If home is the only cell, its
    /// counters go below zero: then they admit nothing, and no other cell can.
    ///
    /// `own` is the cell as it was read. If it is not known, it is taken to have enough.
    pub fn charge_within(&mut self, caps: &Caps, cell: u32, own: Option<&Cell>, home: &Cell) {
        let taken: Vec<(Node, i128)> = self.taken_from(cell);
        if taken.is_empty() {
            return;
        }
        if home.others == 0 {
            return self.require_others(0);
        }
        let hard = taken
            .into_iter()
            .filter(|(node, _)| caps.hard.contains(node));
        for (node, amount) in hard {
            let enough = Condition::AtLeast(node, amount);
            if own.is_none_or(|own| enough.is_true_of(own)) {
                self.at(cell).conditions.push(enough);
            } else {
                self.at(cell).add_or_begin.remove(&node);
                self.pay(node, amount, home);
            }
        }
        // Also if no counter is hard: one may be by now.
        self.require_epoch(caps.epoch);
    }

    /// Returns what the update of a cell takes from each counter of a level.
    fn taken_from(&self, cell: u32) -> Vec<(Node, i128)> {
        let taken = self.get(cell).into_iter().flat_map(|of| &of.add_or_begin);
        let taken = taken.filter(|(_, delta)| **delta < 0);
        taken
            .map(|(node, delta)| (*node, delta.saturating_neg()))
            .collect()
    }

    /// Takes `debt` from a hard counter whose part in the cell of the charge is too small. Home
    /// pays it if it can. Otherwise the counter is shut in all cells, so that none of them admits
    /// anything until the sum suffices again. `home` is the home cell as it was read.
    pub fn pay(&mut self, node: Node, debt: i128, home: &Cell) {
        let update = self.at(HOME);
        update.add_to(node, debt.saturating_neg());
        if home.shut.contains(&node) {
            update.conditions.push(Condition::IsShut(node));
        } else if home.nodes.get(&node).is_some_and(|rest| *rest >= debt) {
            update.conditions.push(Condition::AtLeast(node, debt));
        } else {
            self.shut(node, home.others);
        }
    }

    /// Shuts a counter in home and all `others`.
    pub fn shut(&mut self, node: Node, others: u32) {
        for cell in HOME..=others {
            let update = self.at(cell);
            update.conditions.push(Condition::IsOpen(node));
            update.shut.insert(node);
        }
        self.require_others(others);
    }

    /// Shuts the hard counters of a period that comes back into force: while it was over, charges
    /// took them below zero in single cells. With one cell there is nothing to do.
    pub fn shut_all(&mut self, caps: &Caps, cells: &[Cell]) {
        let others = u32::try_from(cells.len().saturating_sub(1)).unwrap_or(u32::MAX);
        // A counter that is shut at home is shut everywhere.
        let is_open = |node: &&Node| cells.iter().take(1).any(|home| !home.shut.contains(node));
        for node in caps.hard.iter().filter(|_| others > 0).filter(is_open) {
            self.shut(*node, others);
        }
    }

    /// Requires that home has as many `others`.
    pub fn require_others(&mut self, others: u32) {
        let condition = Condition::OthersAre(others);
        let home = self.at(HOME);
        if !home.conditions.contains(&condition) {
            home.conditions.push(condition);
        }
    }
}
