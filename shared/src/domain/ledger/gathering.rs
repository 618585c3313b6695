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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::{Amounts, Unit};
    use crate::domain::ledger::hold::Hold;
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::ledger::hold_request::HoldRequest;
    use crate::domain::org::configuration::Caps;
    use std::collections::{BTreeMap, BTreeSet};

    const CAP: Node = Node {
        unit: Unit::Tokens,
        index: 0,
    };

    /// Cells with these parts of the cap. None is a cell without it.
    fn cells(parts: &[Option<i128>]) -> Vec<Cell> {
        let others = u32::try_from(parts.len()).unwrap() - 1;
        let cell = |(number, part): (u32, &Option<i128>)| Cell {
            others: if number == HOME { others } else { 0 },
            nodes: part.iter().map(|part| (CAP, *part)).collect(),
            ..Cell::default()
        };
        (HOME..).zip(parts).map(cell).collect()
    }

    fn shut(mut cells: Vec<Cell>) -> Vec<Cell> {
        for cell in &mut cells {
            if cell.nodes.contains_key(&CAP) {
                cell.shut = BTreeSet::from([CAP]);
            }
        }
        cells
    }

    /// The updates of a hold of `tokens` in `cell`.
    fn hold(cell: u32, tokens: i64) -> CellUpdates {
        let request = HoldRequest {
            rid: HoldKey::derive("acme", "ada", "r-1").in_cell(cell),
            hold: Hold {
                amounts: Amounts::new(tokens, 0),
                nodes: vec![CAP],
                ..Hold::default()
            },
            requests: 1,
            hard: vec![CAP],
            epoch: 0,
            earlier: BTreeSet::new(),
            exemptions: Vec::new(),
        };
        request.update()
    }

    /// The parts after the updates. None if they were refused.
    fn parts_after(updates: &CellUpdates, cells: &[Cell]) -> Option<Vec<Option<i128>>> {
        let mut after: Vec<Option<Cell>> = cells.iter().cloned().map(Some).collect();
        updates.apply_to_all(&mut after).ok()?;
        let part = |cell: &Option<Cell>| cell.as_ref().unwrap().nodes.get(&CAP).copied();
        Some(after.iter().map(part).collect())
    }

    #[test]
    fn home_gives_what_is_missing_or_half_of_an_even_share() {
        let known = cells(&[Some(500), Some(150), Some(250)]);
        let moved = |tokens, serving| {
            let updates = hold(1, tokens);
            let updates = updates.with_transfer(1, &known[1], &known[0], |_| serving);
            parts_after(&updates?, &known)
        };
        assert_eq!(moved(200, 2), Some(vec![Some(375), Some(75), Some(250)]));
        assert_eq!(moved(600, 2), Some(vec![Some(50), Some(0), Some(250)]));
        assert_eq!(moved(200, 1), Some(vec![Some(0), Some(450), Some(250)]));
        assert_eq!(moved(651, 2), None, "home has too little");
    }

    #[test]
    fn a_cell_without_the_counter_begins_it_with_what_it_gets() {
        let known = cells(&[Some(100), None]);
        let updates = hold(1, 10).with_transfer(1, &known[1], &known[0], |_| 2);
        let after = parts_after(&updates.unwrap(), &known);
        assert_eq!(after, Some(vec![Some(75), Some(15)]));
        let alone = parts_after(&hold(1, 0), &known);
        assert_eq!(alone, None, "a missing hard counter admits nothing");
    }

    #[test]
    fn what_is_missing_is_gathered_from_the_richest_first() {
        let known = cells(&[Some(40), Some(60), Some(300)]);
        let updates = hold(1, 250).with_gathering(1, &known, |_| 2).unwrap();
        let after = parts_after(&updates, &known).unwrap();
        assert_eq!(after, [Some(40), Some(0), Some(110)]);
        let all = hold(1, 400).with_gathering(1, &known, |_| 2).unwrap();
        assert_eq!(parts_after(&all, &known).unwrap(), [Some(0); 3]);
        assert!(hold(1, 401).with_gathering(1, &known, |_| 2).is_none());
    }

    #[test]
    fn a_donor_that_has_less_by_now_refuses_the_whole_hold() {
        let known = cells(&[Some(0), Some(0), Some(100)]);
        let updates = hold(1, 80).with_gathering(1, &known, |_| 1).unwrap();
        let by_now = cells(&[Some(0), Some(0), Some(79)]);
        assert_eq!(parts_after(&updates, &by_now), None);
        assert_eq!(parts_after(&updates, &shut(known)), None, "shut meanwhile");
    }

    #[test]
    fn a_shut_counter_is_opened_by_the_first_request_that_fits_into_the_sum() {
        let known = shut(cells(&[Some(-60), Some(20), Some(110), None]));
        assert!(hold(1, 71).with_gathering(1, &known, |_| 2).is_none());
        let updates = hold(1, 50).with_gathering(1, &known, |_| 2).unwrap();
        let mut after: Vec<Option<Cell>> = known.iter().cloned().map(Some).collect();
        // 30 came back since the cells were read.
        *after[2].as_mut().unwrap().nodes.get_mut(&CAP).unwrap() += 30;
        updates.apply_to_all(&mut after).unwrap();
        let after: Vec<Cell> = after.into_iter().flatten().collect();
        let part = |cell: &Cell| cell.nodes.get(&CAP).copied();
        let parts: Vec<Option<i128>> = after.iter().map(part).collect();
        assert_eq!(parts, [Some(20), Some(0), Some(30), None]);
        assert!(after.iter().all(|cell| cell.shut.is_empty()));
        assert_eq!(
            Cell::sum(&after).nodes,
            BTreeMap::from([(CAP, 70 + 30 - 50)])
        );
    }

    #[test]
    fn a_shut_counter_is_not_opened_with_parts_that_are_less_by_now() {
        let known = shut(cells(&[Some(-60), Some(20), Some(110)]));
        let updates = hold(1, 50).with_gathering(1, &known, |_| 2).unwrap();
        let less = shut(cells(&[Some(-61), Some(20), Some(110)]));
        assert_eq!(parts_after(&updates, &less), None);
    }

    #[test]
    fn a_counter_that_was_opened_meanwhile_is_not_opened_again() {
        let known = shut(cells(&[Some(10), Some(20), None]));
        let updates = hold(1, 5).with_gathering(1, &known, |_| 2).unwrap();
        let open = cells(&[Some(10), Some(20), None]);
        assert_eq!(parts_after(&updates, &open), None);
        let begun = shut(cells(&[Some(10), Some(20), Some(0)]));
        assert_eq!(parts_after(&updates, &begun), None);
        let mut grown = known.clone();
        grown[0].others = 3;
        assert_eq!(parts_after(&updates, &grown), None);
    }

    #[test]
    fn a_debt_is_paid_by_home_or_shuts_the_counter_everywhere() {
        let caps = Caps {
            hard: vec![CAP],
            epoch: 0,
        };
        let charged = |known: &[Cell], amount: i128| {
            let mut updates = CellUpdates::default();
            updates.at(1).add_to(CAP, -amount);
            updates.charge_within(&caps, 1, Some(&known[1]), &known[0]);
            let mut after: Vec<Option<Cell>> = known.iter().cloned().map(Some).collect();
            updates.apply_to_all(&mut after).unwrap();
            let after: Vec<Cell> = after.into_iter().flatten().collect();
            let parts: Vec<i128> = after.iter().map(|cell| cell.nodes[&CAP]).collect();
            (parts, after.iter().all(|cell| cell.shut.contains(&CAP)))
        };
        let rich = cells(&[Some(90), Some(20), Some(5)]);
        assert_eq!(charged(&rich, 20), (vec![90, 0, 5], false));
        assert_eq!(charged(&rich, 80), (vec![10, 20, 5], false));
        assert_eq!(charged(&rich, 91), (vec![-1, 20, 5], true));
        let in_debt = shut(cells(&[Some(-1), Some(20), Some(5)]));
        assert_eq!(charged(&in_debt, 7), (vec![-8, 20, 5], true));
        let lacking = cells(&[Some(3), Some(0), None]);
        assert_eq!(charged(&lacking, 4), (vec![-1, 0, 0], true));
    }

    #[test]
    fn the_only_cell_goes_below_zero_and_shuts_nothing() {
        let caps = Caps {
            hard: vec![CAP],
            epoch: 0,
        };
        let known = cells(&[Some(3)]);
        let mut updates = CellUpdates::default();
        updates.at(HOME).add_to(CAP, -10);
        updates.charge_within(&caps, HOME, Some(&known[0]), &known[0]);
        assert_eq!(parts_after(&updates, &known), Some(vec![Some(-7)]));
        assert_eq!(
            parts_after(&updates, &cells(&[Some(3), None])),
            None,
            "it is no longer the only one"
        );
    }
}
