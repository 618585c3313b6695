//! Updates that end or extend holds and charge usage.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::{CellUpdate, Condition};
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::hold::{Charged, Hold};
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use crate::domain::org::placement::HOME;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The most lapsed holds that one update releases, and the most counters it touches: a DynamoDB
/// expression has at most 4,096 bytes.
pub const MAX_RELEASED_AT_ONCE: usize = 25;
const MAX_COUNTERS_AT_ONCE: usize = 75;
/// A counter covered by an exemption adds twice as many bytes to the expression.
const COVERED_WEIGHS: usize = 2;

/// Returns lapsed holds of `cell` for which `matters` is true, as many as one update can release.
pub fn lapsed_holds(
    cell: &Cell,
    now: Timestamp,
    matters: impl Fn(&Hold) -> bool,
) -> Vec<(HoldKey, Hold)> {
    let lapsed = cell.holds.iter().filter(|(_, hold)| hold.has_lapsed(now));
    let lapsed: Vec<(&HoldKey, &Hold)> = lapsed
        .filter(|(_, hold)| matters(hold))
        .take(MAX_RELEASED_AT_ONCE)
        .collect();
    let fitting = fitting(lapsed.iter().map(|(_, hold)| *hold));
    let lapsed = lapsed.into_iter().take(fitting);
    lapsed
        .map(|(rid, hold)| (rid.clone(), hold.clone()))
        .collect()
}

/// Splits `resolved` into parts that fit into one update each: the length of an expression is
/// limited.
pub fn finishable(resolved: &[(HoldKey, Hold, Amounts)]) -> Vec<&[(HoldKey, Hold, Amounts)]> {
    let mut parts = Vec::new();
    let mut rest = resolved;
    while !rest.is_empty() {
        let holds = rest.iter().map(|(_, hold, _)| hold);
        let (part, later) = rest.split_at(fitting(holds).clamp(1, rest.len()));
        parts.push(part);
        rest = later;
    }
    parts
}

/// Counts how many of `holds`, from the first on, one update can release.
fn fitting<'a>(holds: impl Iterator<Item = &'a Hold>) -> usize {
    let mut counters: BTreeSet<Node> = BTreeSet::new();
    let mut covered: BTreeSet<Node> = BTreeSet::new();
    holds
        .take(MAX_RELEASED_AT_ONCE)
        .take_while(|hold| {
            counters.extend(&hold.nodes);
            covered.extend(hold.exempt.iter().flat_map(|exempt| &exempt.covered));
            counters.len() + covered.len() * COVERED_WEIGHS <= MAX_COUNTERS_AT_ONCE
        })
        .count()
}

/// Removes resolved holds and gives back `held - charged` of each at every counter it was taken
/// from. Applies only if each hold is unchanged, so a second delivery has no effect.
pub fn finish<'a>(
    resolved: impl IntoIterator<Item = (&'a HoldKey, &'a Hold, Amounts)>,
) -> CellUpdates {
    let resolved = resolved.into_iter();
    finish_as(resolved.map(|(rid, hold, charged)| (rid, hold, hold, charged)))
}

/// Like [`finish`], for holds that may have changed since they ended: each with its state in the
/// cell and its state at its end. The latter decides who pays the charge. Anything the hold gained
/// after its end goes back.
pub fn finish_as<'a>(
    resolved: impl IntoIterator<Item = (&'a HoldKey, &'a Hold, &'a Hold, Amounts)>,
) -> CellUpdates {
    let mut updates = CellUpdates::default();
    for (rid, hold, ended, charged) in resolved {
        let update = updates.at(rid.cell());
        update
            .conditions
            .push(Condition::HoldIs(rid.clone(), hold.clone()));
        update.remove.insert(rid.clone());
        let (held, stays) = (hold.split(hold.amounts), hold.split_as(ended, charged));
        let change = Charged {
            own: stays.own.saturating_sub(held.own),
            given: stays.given.saturating_sub(held.given),
        };
        updates.take(rid.cell(), hold, change);
    }
    updates
}

/// Extends each hold to its own Unix time. Applies only if none of them has changed.
pub fn prolong(holds: &[(HoldKey, Hold, i64)]) -> CellUpdates {
    let mut updates = CellUpdates::default();
    for (rid, hold, until) in holds {
        let update = updates.at(rid.cell());
        let mut after = hold.clone();
        after.live_until(u32::try_from(*until).unwrap_or(u32::MAX));
        let is_before = Condition::HoldIs(rid.clone(), hold.clone());
        update.conditions.push(is_before);
        update.put.insert(rid.clone(), after);
    }
    updates
}

/// Charges usage without a hold at `nodes`, the counters of its path in `cell`. They may go below
/// zero. No exemption pays, because none admitted it.
pub fn debit(cell: u32, nodes: &[Node], charged: Amounts) -> CellUpdates {
    let mut update = CellUpdate {
        conditions: vec![Condition::Exists],
        ..CellUpdate::default()
    };
    for &node in nodes {
        update.add_to(node, charged.of(node.unit).saturating_neg());
    }
    CellUpdates::of(cell, update)
}

/// The first usage reported for a hold after it lapsed.
#[derive(Clone, Copy, Debug)]
pub struct LateUsage<'a> {
    /// The hold at its end.
    pub lapsed: &'a Hold,
    /// The charge at its end: all of it, or nothing.
    pub paid: Amounts,
    pub used: Amounts,
}

/// Charges the difference between late usage and the earlier charge of its hold at `nodes`, the
/// counters of its path in `cell`. They may go below zero. An exemption pays as
/// [`Hold::split_late`] says, and a raise at most its remainder at `home`: the lapsed part went
/// back to it and may be used up. Later usage for the same hold is a plain [`debit`].
pub fn debit_late(cell: u32, home: &Cell, nodes: &[Node], of: LateUsage<'_>) -> CellUpdates {
    let mut updates = debit(cell, &[], Amounts::ZERO);
    let mut hold = of.lapsed.clone();
    hold.move_to(nodes);
    let (before, after) = (hold.split(of.paid), hold.split_late(of.used));
    let mut given = |unit: Unit| {
        let Some(exempt) = &hold.exempt else {
            return 0;
        };
        let counter = Node {
            unit,
            index: exempt.index,
        };
        let Some(&left) = home.nodes.get(&counter) else {
            return 0;
        };
        let more = after.given.of(unit).saturating_sub(before.given.of(unit));
        let more = match exempt.is_limited {
            true => more.min(left.max(0)),
            false => more,
        };
        if exempt.is_limited && more > 0 {
            let enough = Condition::AtLeast(counter, more);
            updates.at(HOME).conditions.push(enough);
        }
        more
    };
    let given = Amounts::by_unit(&mut given);
    let more = of.used.saturating_sub(of.paid);
    let change = Charged {
        own: more.saturating_sub(given),
        given,
    };
    updates.take(cell, &hold, change);
    updates
}

/// Sets the carry of counters, in tokens or micro-USD. Each counter gains the difference to its
/// previous carry.
pub fn carry(cell: &Cell, carried: &BTreeMap<Node, i64>) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (&node, &carried) in carried {
        let carried = node.unit.counted(carried);
        // Also without a budget: one that is created again at this level gets the carry.
        update.add_to(node, carried.saturating_sub(cell.carried(node)));
        update.carry.insert(node, carried);
    }
    update
}
