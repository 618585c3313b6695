//! Moves parts of counters between the cells of a period, so that a request that fits into the sum
//! also fits into its own cell.
//!
//! Each move is a part of the write that needs it: in one transaction the cells give, the request's
//! cell takes, and it holds. Nothing is ever on its way.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::Condition;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::node::Node;
use crate::domain::org::placement::HOME;

/// A hard counter of which a request needs more than its cell has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    node: Node,
    /// The amount that the request takes.
    asked: i128,
    /// The amount that its cell has.
    own: i128,
}

impl Short {
    /// Returns the amount that is missing in the cell.
    fn need(&self) -> i128 {
        self.asked.saturating_sub(self.own)
    }
}

impl CellUpdates {
    /// Returns these updates, which take from hard counters of `cell`, with what it lacks taken
    /// from home. `own` and `home` are the two cells as they were read. `serving` returns how many
    /// cells serve a counter: home gives what is missing, or half of an even share if that is more,
    /// so that the next requests need no move. None if home has too little, or a counter is shut.
    pub fn with_transfer(
        mut self,
        cell: u32,
        own: &Cell,
        home: &Cell,
        serving: impl Fn(Node) -> u32,
    ) -> Option<Self> {
        for short in self.short(cell, own) {
            let node = short.node;
            if own.shut.contains(&node) || home.shut.contains(&node) {
                return None;
            }
            let has = home.nodes.get(&node).copied().unwrap_or(0);
            let share = match serving(node) {
                0 | 1 => has,
                cells => has / (2 * i128::from(cells)),
            };
            let moved = short.need().max(share);
            if has < moved {
                return None;
            }
            self.give(HOME, node, moved);
            self.receive(cell, own, short, moved);
        }
        Some(self)
    }

    /// Returns these updates, which take from hard counters of `cell`, with what it lacks gathered
    /// from all `cells`, home first, as they were read. Counters that are shut are opened again.
    /// None if the sum does not suffice.
    pub fn with_gathering(
        mut self,
        cell: u32,
        cells: &[Cell],
        serving: impl Fn(Node) -> u32,
    ) -> Option<Self> {
        let own = cells.get(usize::try_from(cell).ok()?)?;
        for short in self.short(cell, own) {
            let parts = cells.iter().filter_map(|of| of.nodes.get(&short.node));
            let sum = parts.fold(0_i128, |sum, part| sum.saturating_add(*part));
            if sum < short.asked {
                return None;
            }
            match cells.iter().any(|of| of.shut.contains(&short.node)) {
                true => self.reopen(cell, cells, short, sum),
                false => self.gather(cell, cells, short, sum, serving(short.node))?,
            }
        }
        Some(self)
    }

    /// Returns the hard counters of which the update of `cell` takes more than `own` has.
    fn short(&self, cell: u32, own: &Cell) -> Vec<Short> {
        let conditions = self.get(cell).into_iter().flat_map(|of| &of.conditions);
        let failing = conditions.filter(|condition| !condition.is_true_of(own));
        let short = failing.filter_map(|condition| match condition {
            Condition::AtLeast(node, asked) => Some(Short {
                node: *node,
                asked: *asked,
                own: own.nodes.get(node).copied().unwrap_or(0),
            }),
            _ => None,
        });
        short.collect()
    }

    /// Takes `moved` from a cell, which must have it.
    fn give(&mut self, cell: u32, node: Node, moved: i128) {
        let update = self.at(cell);
        update.conditions.push(Condition::AtLeast(node, moved));
        update.add_to(node, moved.saturating_neg());
    }

    /// Adds `moved` to the cell of the request. It needs only the rest of what is asked for.
    fn receive(&mut self, cell: u32, own: &Cell, short: Short, moved: i128) {
        let least = short.asked.saturating_sub(moved);
        let rest = match own.nodes.contains_key(&short.node) {
            true => Condition::AtLeast(short.node, least),
            false => Condition::AtLeastOrNew(short.node, least),
        };
        let update = self.at(cell);
        update.forget(&Condition::AtLeast(short.node, short.asked));
        update.conditions.push(rest);
        update.begin_and_add(short.node, moved);
    }

    /// Takes from the richest cells first: what is missing, or an even share of the sum if that is
    /// more. A cell gives at most half of its part, unless more is missing.
    fn gather(
        &mut self,
        cell: u32,
        cells: &[Cell],
        short: Short,
        sum: i128,
        serving: u32,
    ) -> Option<()> {
        let even = sum / i128::from(serving.max(1));
        let wanted = short.need().max(even.saturating_sub(short.own));
        let mut donors: Vec<(i128, u32)> = (HOME..)
            .zip(cells)
            .filter(|(number, _)| *number != cell)
            .filter_map(|(number, of)| Some((*of.nodes.get(&short.node)?, number)))
            .filter(|(part, _)| *part > 0)
            .collect();
        donors.sort_unstable_by(|a, b| b.cmp(a));
        let mut moved = 0_i128;
        for (part, number) in donors {
            if moved >= wanted {
                break;
            }
            let missing = short.need().saturating_sub(moved);
            let gives = part.min((part / 2).max(missing));
            if gives > 0 {
                self.give(number, short.node, gives);
                moved = moved.saturating_add(gives);
            }
        }
        if moved < short.need() {
            return None;
        }
        let own = cells.get(usize::try_from(cell).ok()?)?;
        self.receive(cell, own, short, moved);
        Some(())
    }

    /// Opens a shut counter in all cells. Each gives what it has, which may be less than nothing,
    /// and keeps what was given back since it was read. The request gets what it asks for, and home
    /// the rest.
    fn reopen(&mut self, cell: u32, cells: &[Cell], short: Short, sum: i128) {
        let node = short.node;
        for (number, of) in (HOME..).zip(cells) {
            let update = self.at(number);
            match of.nodes.get(&node) {
                Some(&part) => {
                    update.conditions.push(Condition::IsShutWith(node, part));
                    update.reopen.insert(node);
                    update.begin_and_add(node, part.saturating_neg());
                }
                // It was opened while the counter was shut. If it has a part by now, the counter
                // was open in between.
                None => update.conditions.push(Condition::IsAbsent(node)),
            }
        }
        let own = self.at(cell);
        own.forget(&Condition::AtLeast(node, short.asked));
        own.begin_and_add(node, short.asked);
        let rest = sum.saturating_sub(short.asked);
        self.at(HOME).begin_and_add(node, rest);
        let others = cells.len().saturating_sub(1);
        self.require_others(others.try_into().unwrap_or(u32::MAX));
    }
}
