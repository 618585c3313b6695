//! Atomic changes of a cell: conditions and effects.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use std::collections::{BTreeMap, BTreeSet};

/// A precondition of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Exists,
    /// The counters agree with this configuration epoch.
    EpochIs(u64),
    /// No hold has this key.
    HoldAbsent(HoldKey),
    /// Exactly this hold has this key.
    HoldIs(HoldKey, Hold),
    /// The cell has fewer holds than this.
    FewerHoldsThan(usize),
    /// The counter has at least this much: the one rule of admission.
    AtLeast(Node, i128),
    /// Like [`Condition::AtLeast`] if the counter exists. A new counter opens with enough.
    AtLeastOrNew(Node, i128),
    /// The cell has no such counter.
    IsAbsent(Node),
    /// The period has as many cells beside home. Only home can say so.
    OthersAre(u32),
    /// The counter is not shut. It may be missing.
    IsOpen(Node),
    IsShut(Node),
    /// The counter is shut, and has at least this much.
    IsShutWith(Node, i128),
}

/// One atomic change of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellUpdate {
    pub conditions: Vec<Condition>,
    /// The new epoch, if it changes.
    pub epoch: Option<u64>,
    /// Amounts to add to existing counters. Negative amounts subtract.
    pub add: BTreeMap<Node, i128>,
    /// Amounts to add to counters that may not exist yet. Those start at zero.
    pub add_or_begin: BTreeMap<Node, i128>,
    /// Counters to create if they are absent, with their initial value. Applied before `add`.
    pub begin: BTreeMap<Node, i128>,
    /// Counters to shut. Absent ones are created with zero.
    pub shut: BTreeSet<Node>,
    /// Counters to open again.
    pub reopen: BTreeSet<Node>,
    /// The new number of cells beside home, if it changes.
    pub others: Option<u32>,
    /// Whether home counts a write that changes a counter in two cells.
    pub is_move: bool,
    /// The new carry of counters. The change of the counters themselves is in `add`.
    pub carry: BTreeMap<Node, i128>,
    /// Amounts to add to `exempted`.
    pub exempt: BTreeMap<Node, i128>,
    /// Holds to insert or replace.
    pub put: BTreeMap<HoldKey, Hold>,
    pub remove: BTreeSet<HoldKey>,
}

/// Why an update was not applied to a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    #[error("a condition is false: {0:?}")]
    Condition(Box<Condition>),
    /// The update names a counter that does not exist.
    #[error("no counter {0:?}")]
    NoSuchNode(Node),
    /// A counter would leave the range of an `i128`.
    #[error("counter {0:?} out of range")]
    OutOfRange(Node),
}

impl CellUpdate {
    /// Applies the update to a value, as the store's expression does to the item. None is an absent
    /// cell.
    pub fn apply(&self, cell: &mut Option<Cell>) -> Result<(), NotApplied> {
        let Some(before) = cell.as_ref() else {
            return Err(NotApplied::Condition(Box::new(Condition::Exists)));
        };
        if let Some(failed) = self.conditions.iter().find(|c| !c.is_true_of(before)) {
            return Err(NotApplied::Condition(Box::new(failed.clone())));
        }
        let mut after = before.clone();
        after.version += 1;
        after.epoch = self.epoch.unwrap_or(after.epoch);
        after.others = self.others.unwrap_or(after.others);
        after.moves += u64::from(self.is_move);
        for (&node, &given) in &self.begin {
            after.nodes.entry(node).or_insert(given);
        }
        for &node in &self.shut {
            after.nodes.entry(node).or_default();
            after.shut.insert(node);
        }
        after.shut.retain(|node| !self.reopen.contains(node));
        for (&node, &delta) in &self.add {
            let value = after
                .nodes
                .get_mut(&node)
                .ok_or(NotApplied::NoSuchNode(node))?;
            *value = value
                .checked_add(delta)
                .ok_or(NotApplied::OutOfRange(node))?;
        }
        for (&node, &delta) in &self.add_or_begin {
            let value = after.nodes.entry(node).or_default();
            *value = value
                .checked_add(delta)
                .ok_or(NotApplied::OutOfRange(node))?;
        }
        after.carried.extend(&self.carry);
        for (&node, &delta) in &self.exempt {
            let sum = after.exempted.entry(node).or_default();
            *sum = sum.checked_add(delta).ok_or(NotApplied::OutOfRange(node))?;
        }
        for rid in &self.remove {
            after.holds.remove(rid);
        }
        after.holds.extend(
            self.put
                .iter()
                .map(|(rid, hold)| (rid.clone(), hold.clone())),
        );
        *cell = Some(after);
        Ok(())
    }

    /// Adds to a counter. Exemption counters are created by their first hold, level counters on any
    /// addition.
    pub(crate) fn add_to(&mut self, node: Node, delta: i128) {
        let counters = match node.is_of_exemption() {
            true => &mut self.add,
            false => &mut self.add_or_begin,
        };
        if delta != 0 {
            let sum = counters.entry(node).or_default();
            *sum = sum.saturating_add(delta);
        }
    }

    /// Adds to the counter of a level, which exists afterwards even if nothing is added.
    ///
    /// A cell in which somebody holds has all the counters of the hold: when that ends, it gives
    /// back to what is there, shut or not.
    pub(super) fn begin_and_add(&mut self, node: Node, delta: i128) {
        let sum = self.add_or_begin.entry(node).or_default();
        *sum = sum.saturating_add(delta);
    }

    pub(super) fn forget(&mut self, condition: &Condition) {
        self.conditions.retain(|known| known != condition);
    }

    pub(super) fn exempt_at(&mut self, node: Node, delta: i128) {
        if delta != 0 {
            let sum = self.exempt.entry(node).or_default();
            *sum = sum.saturating_add(delta);
        }
    }
}

impl Condition {
    pub(super) fn is_true_of(&self, cell: &Cell) -> bool {
        match self {
            Self::Exists => true,
            Self::EpochIs(epoch) => cell.epoch == *epoch,
            Self::HoldAbsent(rid) => !cell.holds.contains_key(rid),
            Self::HoldIs(rid, hold) => cell.holds.get(rid) == Some(hold),
            Self::FewerHoldsThan(most) => cell.holds.len() < *most,
            Self::AtLeast(node, least) => {
                !cell.shut.contains(node) && cell.nodes.get(node).is_some_and(|rest| rest >= least)
            }
            Self::AtLeastOrNew(node, least) => {
                let is_new = !cell.nodes.contains_key(node);
                is_new || Self::AtLeast(*node, *least).is_true_of(cell)
            }
            Self::IsAbsent(node) => !cell.nodes.contains_key(node),
            Self::OthersAre(others) => cell.others == *others,
            Self::IsOpen(node) => !cell.shut.contains(node),
            Self::IsShut(node) => cell.shut.contains(node),
            Self::IsShutWith(node, least) => {
                let rest = cell.nodes.get(node).copied().unwrap_or(0);
                cell.shut.contains(node) && rest >= *least
            }
        }
    }
}
