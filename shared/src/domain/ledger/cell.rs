//! Cells: the items with an organisation's live budget counters for one period.
//!
//! A period has one cell, home, or several. Then each has a part of every counter, and what is left
//! of a budget is the sum of the parts. Every operation is a [`CellUpdate`] of one cell, or
//! [`CellUpdates`] of several: conditions and effects, applied together or not at all. The store
//! turns each into one DynamoDB expression. The model applies it to a value with
//! [`CellUpdate::apply`].
//!
//! [`CellUpdates`]: crate::domain::ledger::cell_updates::CellUpdates

use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::grant::Grant;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::{HOME, Load};
use crate::domain::period::Month;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
use crate::domain::ledger::cell_update::{CellUpdate, Condition, NotApplied};
#[cfg(test)]
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest, UsableExemption};
#[cfg(test)]
use crate::domain::ledger::settlement::{
    LateUsage, MAX_RELEASED_AT_ONCE, carry, debit, debit_late, finish, finish_as, lapsed_holds,
};

/// The most live holds of a cell.
pub const MAX_HOLDS: usize = 2_000;
/// The most exemption counters of a cell. A counter stays until the month ends, even if its
/// exemption ended before. Levels have two counters each.
pub const MAX_EXEMPTION_COUNTERS: usize = 4_000;

/// The counters and holds of one organisation and period, in one cell or added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The configuration epoch that the counters agree with.
    pub epoch: u64,
    pub version: u64,
    /// How many cells the period has beside this one. Zero in every cell but home.
    pub others: u32,
    /// Counts the writes that change a counter in two cells at once. Zero in every cell but home.
    /// Two reads of home with the same number have no such write between them, so what was read of
    /// the others meanwhile can be added up.
    pub moves: u64,
    /// The remainder of each level: amount + carried + exempted - spent - held. Without a budget
    /// the amount is zero, so the counter is minus the usage. An absent counter is zero. An
    /// exemption's counter exists from its first hold of the month on. Before that, all that it
    /// gives is left. Tokens or pico-USD, as everything in a cell.
    pub nodes: BTreeMap<Node, i128>,
    /// The counters that admit nothing, whatever they have: if one cell
    /// of several is short of a debt, the counter is shut in all, or others could go on spending.
    pub shut: BTreeSet<Node>,
    /// The amount carried into each budget from the month before, if any.
    pub carried: BTreeMap<Node, i128>,
    /// The amount that exemptions gave beyond each budget, held or spent, if any.
    pub exempted: BTreeMap<Node, i128>,
    /// Live holds, and lapsed ones that are not released yet.
    pub holds: BTreeMap<HoldKey, Hold>,
}

impl Cell {
    /// Builds the cell of `period` from `configuration` and the totals of the period. `spent`
    /// returns the spending of a department's subtree, or of the organisation. Holds, carries and
    /// exempted amounts are copied from `behind`, the previous cell.
    pub fn open(
        configuration: &Configuration,
        period: Month,
        behind: Option<&Self>,
        spent: impl Fn(Option<&str>) -> Amounts,
    ) -> Self {
        let mut cell = behind.cloned().unwrap_or_default();
        cell.epoch = configuration.epoch;
        cell.version += u64::from(behind.is_some());
        for hold in cell.holds.values_mut() {
            let path = configuration.path_at(hold.department, hold.tree);
            hold.move_to(&configuration.counters_on(&path.unwrap_or_default()));
        }
        let mut gives: BTreeMap<Node, i128> = BTreeMap::new();
        let departments = configuration.departments.keys();
        let departments = departments.map(|id| Some(id.as_str()));
        let mut departments: BTreeSet<Option<&str>> = departments.chain([None]).collect();
        for budget in configuration.budgets_in(period) {
            let given = budget.unit.counted(budget.gives_in(period));
            gives.insert(budget.counter(), given);
            departments.insert(budget.department_id.as_deref());
        }
        for department_id in departments {
            let spent = spent(department_id);
            for unit in [Unit::Tokens, Unit::Usd] {
                let Some(index) = configuration.level(department_id) else {
                    continue;
                };
                let node = Node { unit, index };
                let used = cell.held(node).saturating_add(cell.held_exempt(node));
                let used = used.saturating_add(spent.of(unit));
                let given = gives.get(&node).copied();
                let limit = given.unwrap_or(0).saturating_add(cell.carried(node));
                let limit = limit.saturating_add(cell.exempted(node));
                let rest = limit.saturating_sub(used);
                if given.is_some() || rest != 0 || cell.nodes.contains_key(&node) {
                    cell.nodes.insert(node, rest);
                }
            }
        }
        cell
    }

    /// Whether this, the cell of the hold `rid`, is not the only cell of its period.
    pub fn is_one_of_several(&self, rid: &HoldKey) -> bool {
        rid.cell() != HOME || self.others > 0
    }

    /// Returns how many live holds there are in each cell of this sum, by department.
    pub fn load(&self, now: Timestamp) -> Load {
        let mut load = Load::new();
        for (rid, hold) in self.holds.iter().filter(|(_, hold)| !hold.has_lapsed(now)) {
            let of_cell = load.entry(rid.cell()).or_default();
            *of_cell.entry(hold.department).or_default() += 1;
        }
        load
    }

    /// Whether nothing moved from one cell to another since `before`. Both are home.
    pub fn is_unmoved_since(&self, before: &Self) -> bool {
        let known = (before.moves, before.others, before.epoch);
        (self.moves, self.others, self.epoch) == known
    }

    /// Returns the sum of cells of one period: what is left, and all holds. The first is home. A
    /// sum has no shut counters: a shut one is opened by whoever finds that the sum suffices.
    pub fn sum(cells: &[Self]) -> Self {
        let mut cells = cells.iter();
        let mut sum = cells.next().cloned().unwrap_or_default();
        sum.shut.clear();
        for cell in cells {
            for (&node, &rest) in &cell.nodes {
                let total = sum.nodes.entry(node).or_default();
                *total = total.saturating_add(rest);
            }
            for (&node, &given) in &cell.exempted {
                let total = sum.exempted.entry(node).or_default();
                *total = total.saturating_add(given);
            }
            let holds = cell.holds.iter();
            let holds = holds.map(|(rid, hold)| (rid.clone(), hold.clone()));
            sum.holds.extend(holds);
        }
        sum
    }

    /// Divides this sum of a period among its cells, which were `behind` before. Home gets what has
    /// changed. Hard counters of several cells are shut, so that no part of one is less than
    /// nothing; the next request opens them.
    pub fn divided_as(self, behind: &[Self], hard: &[Node]) -> Vec<Self> {
        let Some((home, others)) = behind.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return vec![self];
        };
        let at_home = |(node, rest): (&Node, &i128)| {
            let parts = others.iter().filter_map(|cell| cell.nodes.get(node));
            (
                *node,
                parts.fold(*rest, |rest, part| rest.saturating_sub(*part)),
            )
        };
        let mut divided = vec![Self {
            nodes: self.nodes.iter().map(at_home).collect(),
            ..home.clone()
        }];
        divided.extend_from_slice(others);
        for cell in &mut divided {
            cell.epoch = self.epoch;
            cell.version += 1;
            for node in hard {
                cell.nodes.entry(*node).or_default();
            }
            cell.shut = hard.iter().copied().collect();
            for (rid, hold) in &mut cell.holds {
                if let Some(moved) = self.holds.get(rid) {
                    hold.clone_from(moved);
                }
            }
        }
        divided
    }

    /// Returns the same of cells that nobody needs any longer. One cell is its own sum.
    pub fn sum_of(mut cells: Vec<Self>) -> Self {
        match cells.len() {
            1 => cells.swap_remove(0),
            _ => Self::sum(&cells),
        }
    }

    /// Returns a copy without one hold. Its counters still include the hold.
    pub fn without(&self, rid: &HoldKey) -> Self {
        let mut cell = self.clone();
        cell.holds.remove(rid);
        cell
    }

    /// Returns the amount carried into `node`.
    pub fn carried(&self, node: Node) -> i128 {
        self.carried.get(&node).copied().unwrap_or(0)
    }

    /// Returns the amount that exemptions gave beyond `node`, held or spent.
    pub fn exempted(&self, node: Node) -> i128 {
        self.exempted.get(&node).copied().unwrap_or(0)
    }

    /// Returns the amount that live and unreleased holds take from `node`.
    pub fn held(&self, node: Node) -> i128 {
        self.holds.values().map(|hold| hold.taken_from(node)).sum()
    }

    /// Returns the amount of live and unreleased holds that exemptions gave, so it was not taken
    /// from `node`.
    pub fn held_exempt(&self, node: Node) -> i128 {
        self.holds.values().map(|hold| hold.given_for(node)).sum()
    }
}

impl Grant {
    /// Returns how much of it is held or spent in `cell`.
    pub fn used(&self, cell: &Cell) -> Amounts {
        let mut used = Amounts::ZERO;
        for (node, given) in self.opens() {
            let rest = cell.nodes.get(&node).copied().unwrap_or(given);
            let of_unit = given.saturating_sub(rest);
            match node.unit {
                Unit::Tokens => used.tokens = node.unit.rounded_up(of_unit),
                Unit::Usd => used.pico_usd = of_unit,
            }
        }
        used
    }
}

#[cfg(test)]
#[path = "cell_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "exempt_tests.rs"]
mod exempt_tests;
