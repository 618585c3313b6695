//! Requests for holds: the update that holds, and why it may be rejected.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::grant::Grant;
use crate::domain::ledger::cell::{Cell, MAX_HOLDS};
use crate::domain::ledger::cell_update::{CellUpdate, Condition};
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::hold::{Exempt, Hold};
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::settlement::{MAX_RELEASED_AT_ONCE, lapsed_holds};
use crate::domain::org::placement::HOME;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

pub use crate::domain::ledger::usable_exemption::UsableExemption;

/// A request for a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The key of the hold; of a lease, that of its first request.
    pub rid: HoldKey,
    /// The hold to create; for a lease, all of it. Its `nodes` are the counters of every level of
    /// the path.
    pub hold: Hold,
    /// How many holds to create, which share the amounts of `hold`: one, or more for a lease.
    pub requests: u8,
    pub hard: Vec<Node>,
    /// The configuration epoch that the path was read from.
    pub epoch: u64,
    /// Other cells in which an earlier try of the request may hold.
    pub earlier: BTreeSet<u32>,
    /// The user's exemptions in the order to try. A request under an exemption has only that one.
    pub exemptions: Vec<UsableExemption>,
}

impl HoldRequest {
    /// Returns the update of its cell that holds at every level of the path or at none. Under an
    /// exemption home is updated, too: it has the exemption's counters.
    pub fn update(&self) -> CellUpdates {
        let cell = self.rid.cell();
        let begin = self.begins();
        let mut held = CellUpdate {
            put: self.holds().collect(),
            ..CellUpdate::default()
        };
        let absent = self.keys().map(Condition::HoldAbsent);
        held.conditions.extend(absent);
        let fewer = MAX_HOLDS.saturating_add(1) - usize::from(self.requests);
        held.conditions.push(Condition::FewerHoldsThan(fewer));
        let mut updates = CellUpdates::of(cell, held);
        for &node in &self.hard {
            let least = self.hold.taken_from(node);
            // An exemption that gives the whole amount also helps if the cap is in debt.
            if least > 0 || !self.hold.covers(node) {
                let begins_with_enough = begin.get(&node).is_some_and(|given| *given >= least);
                let of = match node.is_of_exemption() {
                    true => HOME,
                    false => cell,
                };
                updates.at(of).conditions.push(match begins_with_enough {
                    true => Condition::AtLeastOrNew(node, least),
                    false => Condition::AtLeast(node, least),
                });
            }
        }
        if !begin.is_empty() {
            updates.at(HOME).begin = begin;
        }
        let charged = self.hold.split(self.hold.amounts);
        updates.take(cell, &self.hold, charged);
        updates.require_epoch(self.epoch);
        updates
    }

    /// Returns the initial values of the exemption's counters, in case this is its first hold of
    /// the month.
    fn begins(&self) -> BTreeMap<Node, i128> {
        let Some(exempt) = &self.hold.exempt else {
            return BTreeMap::new();
        };
        let mut exemptions = self.exemptions.iter().map(|usable| &usable.grant);
        let grant = exemptions.find(|grant| grant.index == exempt.index);
        let opens = grant.into_iter().flat_map(Grant::opens);
        opens
            .filter(|(node, _)| self.hold.nodes.contains(node))
            .collect()
    }

    /// Returns the same hold with `exemption` giving what the caps of `cell` lack. None if that
    /// does not help: a short cap is not covered, or the exemption has too little left. A lift
    /// gives all of it, so it takes nothing from others.
    pub fn with_exemption(&self, exemption: &UsableExemption, cell: &Cell) -> Option<Self> {
        let short = self.short(cell);
        if short.is_empty() || !short.iter().all(|&node| exemption.covers(node)) {
            return None;
        }
        let missing = |unit: Unit| {
            let of_unit = short.iter().filter(|node| node.unit == unit);
            let left = of_unit.map(|node| cell.nodes.get(node).copied().unwrap_or(0).max(0));
            let amount = self.hold.amounts.of(unit);
            match left.min() {
                Some(left) if exemption.grant.is_limited() => amount.saturating_sub(left),
                Some(_) => amount,
                None => 0,
            }
        };
        let given = Amounts::by_unit(missing);
        let gives = |unit: Unit| short.iter().any(|node| node.unit == unit);
        let units = || [Unit::Tokens, Unit::Usd].into_iter().filter(|&u| gives(u));
        if !units().all(|unit| exemption.rest(cell, unit) >= Some(given.of(unit))) {
            return None;
        }
        let is_covered = |node: &Node| gives(node.unit) && exemption.covers(*node);
        let nodes = self.hold.nodes.iter().copied();
        let (covered, mut nodes): (Vec<Node>, Vec<Node>) = nodes.partition(is_covered);
        let own: Vec<Node> = units().map(|unit| exemption.grant.counter(unit)).collect();
        let mut hard = self.hard.clone();
        if exemption.grant.is_limited() {
            hard.extend(&own);
        }
        nodes.extend(own);
        nodes.sort_unstable();
        Some(Self {
            hold: Hold {
                nodes,
                exempt: Some(Exempt {
                    index: exemption.grant.index,
                    is_limited: exemption.grant.is_limited(),
                    covered,
                    given,
                }),
                ..self.hold.clone()
            },
            hard,
            exemptions: vec![exemption.clone()],
            ..self.clone()
        })
    }

    /// Returns the update by which `before`, the live hold with this key, gains the requested
    /// amount and lives until `expires_at`, and the resulting hold. None if the two cannot be one
    /// hold: see [`Hold::joined`].
    pub fn growth(&self, before: &Hold, expires_at: u32) -> Option<(CellUpdates, Hold)> {
        let mut after = before.joined(&self.hold)?;
        after.live_until(expires_at);
        let mut updates = match self.hold.amounts == Amounts::ZERO {
            true => CellUpdates::default(),
            false => self.update(),
        };
        let update = updates.at(self.rid.cell());
        let is_of_place = |condition: &Condition| {
            matches!(
                condition,
                Condition::HoldAbsent(..) | Condition::FewerHoldsThan(..)
            )
        };
        update
            .conditions
            .retain(|condition| !is_of_place(condition));
        let is_before = Condition::HoldIs(self.rid.clone(), before.clone());
        update.conditions.push(is_before);
        update.put = BTreeMap::from([(self.rid.clone(), after.clone())]);
        updates.require_epoch(self.epoch);
        Some((updates, after))
    }

    /// Returns why the update was rejected on `cell`. The order of the checks is the order of the
    /// caller's remedies.
    pub fn rejection(&self, cell: &Cell, now: Timestamp) -> HoldRejection {
        self.rejection_by(cell, self.is_full(cell), now)
    }

    /// Returns whether its own cell has no place for its holds.
    pub fn is_full(&self, cell: &Cell) -> bool {
        cell.holds.len() + usize::from(self.requests) > MAX_HOLDS
    }

    /// Returns what the request holds in `cell` already: the same hold, one of another body, or
    /// lapsed ones. None if it holds nothing there.
    pub fn held_in(&self, cell: &Cell, now: Timestamp) -> Option<HoldRejection> {
        let (lapsed, living): (Vec<_>, Vec<_>) = self
            .known_in(cell)
            .partition(|(_, hold)| hold.has_lapsed(now));
        if let Some((_, first)) = living.first() {
            let is_same = |(_, hold): &(_, Hold)| hold.fingerprint == self.hold.fingerprint;
            return Some(match living.iter().all(is_same) {
                true => HoldRejection::SameHold(first.clone()),
                false => HoldRejection::BodyMismatch,
            });
        }
        let at_once: Vec<_> = lapsed.into_iter().take(MAX_RELEASED_AT_ONCE).collect();
        (!at_once.is_empty()).then_some(HoldRejection::Lapsed(at_once))
    }

    /// Returns the same request in another cell.
    #[must_use]
    pub fn in_cell(&self, cell: u32) -> Self {
        Self {
            rid: self.rid.clone().in_cell(cell),
            ..self.clone()
        }
    }

    /// Returns the same of the sum of several cells. `is_full` says whether its own has no place.
    pub fn rejection_by(&self, cell: &Cell, is_full: bool, now: Timestamp) -> HoldRejection {
        let is_stale = cell.epoch != self.epoch;
        match self.held_in(cell, now) {
            Some(HoldRejection::Lapsed(_)) if is_stale => {}
            Some(held) => return held,
            None => {}
        }
        if is_stale {
            return HoldRejection::StaleConfiguration;
        }
        let short = self.short(cell);
        let mut admitted = self.exemptions.iter();
        let admitted = admitted.find_map(|exemption| self.with_exemption(exemption, cell));
        let mut limiting = short.clone();
        if !short.is_empty() && admitted.is_none() {
            let counters = self.exemptions.iter().map(|exemption| &exemption.grant);
            let counters = counters.flat_map(|grant| grant.opens());
            limiting.extend(counters.map(|(node, _)| node));
        }
        let fits = short.is_empty() || admitted.is_some();
        let takes_place = is_full && fits;
        let is_helped_by = |hold: &Hold| limiting.iter().any(|node| hold.taken_from(*node) > 0);
        let lapsed = lapsed_holds(cell, now, |hold| takes_place || is_helped_by(hold));
        // Counters take precedence over places, so a full cell never hides an exhausted cap.
        match admitted {
            _ if !lapsed.is_empty() => HoldRejection::Lapsed(lapsed),
            None if !short.is_empty() => HoldRejection::InsufficientBudget(short),
            _ if is_full => HoldRejection::Full,
            Some(admitted) => HoldRejection::Exempt(Box::new(admitted)),
            None => HoldRejection::Cleared,
        }
    }

    /// Returns the limited exemptions that cover `node`, with their remainders.
    pub fn left_of_exemptions(&self, cell: &Cell, node: Node) -> Vec<ExemptionLeft> {
        let limited = self
            .exemptions
            .iter()
            .filter(|exemption| exemption.grant.is_limited() && exemption.covers(node));
        let left = limited.filter_map(|exemption| {
            Some(ExemptionLeft {
                id: exemption.grant.id.clone(),
                left: node.unit.rounded_down(exemption.rest(cell, node.unit)?),
            })
        });
        left.collect()
    }

    /// Returns the hard counters with less than the requested amount.
    pub fn short(&self, cell: &Cell) -> Vec<Node> {
        let admits = |node: &Node| {
            Condition::AtLeast(*node, self.hold.amounts.of(node.unit)).is_true_of(cell)
        };
        self.hard.iter().copied().filter(|n| !admits(n)).collect()
    }
}

/// Why a hold was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRejection {
    /// The same request already has a live hold, which is the answer. The first one of a lease.
    SameHold(Hold),
    /// A live hold has the same request id but another body.
    BodyMismatch,
    /// The configuration that was read is older or newer than the cell.
    StaleConfiguration,
    /// These lapsed holds must be released first.
    Lapsed(Vec<(HoldKey, Hold)>),
    /// The counters admit it, but the cell has the maximum of live holds.
    Full,
    /// These hard counters have less than the requested amount.
    InsufficientBudget(Vec<Node>),
    /// Hard counters are short, but this request under an exemption is admitted.
    Exempt(Box<HoldRequest>),
    /// The reason has vanished meanwhile: try again.
    Cleared,
}

/// The remainder of an approved exemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptionLeft {
    pub id: String,
    /// Tokens or micro-USD, rounded down.
    pub left: i64,
}
