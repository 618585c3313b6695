//! The cell: one item with an organisation's live budget counters for one period.
//!
//! Every operation is a [`CellUpdate`]: conditions and effects, applied together or not at all. The
//! store turns it into one DynamoDB expression. The model applies it to a value with
//! [`CellUpdate::apply`].

use super::amount::{Amounts, Unit};
use super::configuration::Configuration;
use super::exemption::Grant;
use super::hold::{Charged, Exempt, Hold, Node, Rid};
use super::period::Month;
use super::refusal::ExemptionLeft;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The most live holds of a cell.
pub const MAX_HOLDS: usize = 2_000;
/// The most exemption counters of a cell. A counter stays until the month ends, even if its
/// exemption ended before. Levels have two counters each.
pub const MAX_EXEMPTION_COUNTERS: usize = 4_000;
/// The most lapsed holds that one update releases, and the most counters it touches: a DynamoDB
/// expression has at most 4,096 bytes.
pub const MAX_RELEASED_AT_ONCE: usize = 25;
const MAX_COUNTERS_AT_ONCE: usize = 75;
/// A counter covered by an exemption adds twice as many bytes to the expression.
const COVERED_WEIGHS: usize = 2;

/// The counters and holds of one organisation and period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The configuration epoch that the counters agree with.
    pub epoch: u64,
    pub version: u64,
    /// The remainder of each level: amount + carried + exempted - spent - held. Without a budget
    /// the amount is zero, so the counter is minus the usage. An absent counter is zero. An
    /// exemption's counter exists from its first hold of the month on. Before that, all that it
    /// gives is left.
    pub nodes: BTreeMap<Node, i64>,
    /// The amount carried into each budget from the month before, if any.
    pub carried: BTreeMap<Node, i64>,
    /// The amount that exemptions gave beyond each budget, held or spent, if any.
    pub exempted: BTreeMap<Node, i64>,
    /// Live holds, and lapsed ones that are not released yet.
    pub holds: BTreeMap<Rid, Hold>,
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
        let mut gives: BTreeMap<Node, i64> = BTreeMap::new();
        let departments = configuration.departments.keys();
        let departments = departments.map(|id| Some(id.as_str()));
        let mut departments: BTreeSet<Option<&str>> = departments.chain([None]).collect();
        for budget in configuration.budgets_in(period) {
            gives.insert(budget.counter(), budget.gives_in(period));
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

    /// Returns a copy without one hold. Its counters still include the hold.
    pub fn without(&self, rid: &Rid) -> Self {
        let mut cell = self.clone();
        cell.holds.remove(rid);
        cell
    }

    /// Returns the amount carried into `node`.
    pub fn carried(&self, node: Node) -> i64 {
        self.carried.get(&node).copied().unwrap_or(0)
    }

    /// Returns the amount that exemptions gave beyond `node`, held or spent.
    pub fn exempted(&self, node: Node) -> i64 {
        self.exempted.get(&node).copied().unwrap_or(0)
    }

    /// Returns the amount that live and unreleased holds take from `node`.
    pub fn held(&self, node: Node) -> i64 {
        self.holds.values().map(|hold| hold.taken_from(node)).sum()
    }

    /// Returns the amount of live and unreleased holds that exemptions gave, so it was not taken
    /// from `node`.
    pub fn held_exempt(&self, node: Node) -> i64 {
        self.holds.values().map(|hold| hold.given_for(node)).sum()
    }
}

/// A precondition of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Exists,
    /// The counters agree with this configuration epoch.
    EpochIs(u64),
    /// No hold has this key.
    HoldAbsent(Rid),
    /// Exactly this hold has this key.
    HoldIs(Rid, Hold),
    /// The cell has fewer holds than this.
    FewerHoldsThan(usize),
    /// The counter has at least this much: the one rule of admission.
    AtLeast(Node, i64),
    /// Like [`Condition::AtLeast`] if the counter exists. A new counter opens with enough.
    AtLeastOrNew(Node, i64),
}

/// One atomic change of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellUpdate {
    pub conditions: Vec<Condition>,
    /// The new epoch, if it changes.
    pub epoch: Option<u64>,
    /// Amounts to add to existing counters. Negative amounts subtract.
    pub add: BTreeMap<Node, i64>,
    /// Amounts to add to counters that may not exist yet. Those start at zero.
    pub add_or_begin: BTreeMap<Node, i64>,
    /// Counters to create if they are absent, with their initial value. Applied before `add`.
    pub open: BTreeMap<Node, i64>,
    /// The new carry of counters. The change of the counters themselves is in `add`.
    pub carry: BTreeMap<Node, i64>,
    /// Amounts to add to `exempted`.
    pub exempt: BTreeMap<Node, i64>,
    /// Holds to insert or replace.
    pub put: BTreeMap<Rid, Hold>,
    pub remove: BTreeSet<Rid>,
}

/// Why an update was not applied to a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    #[error("a condition is false: {0:?}")]
    Condition(Box<Condition>),
    /// The update names a counter that does not exist.
    #[error("no counter {0:?}")]
    NoSuchNode(Node),
    /// A counter would leave the range of an `i64`.
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
        for (&node, &given) in &self.open {
            after.nodes.entry(node).or_insert(given);
        }
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
    fn add_to(&mut self, node: Node, delta: i64) {
        let counters = match node.is_of_exemption() {
            true => &mut self.add,
            false => &mut self.add_or_begin,
        };
        if delta != 0 {
            let sum = counters.entry(node).or_default();
            *sum = sum.saturating_add(delta);
        }
    }

    fn exempt_at(&mut self, node: Node, delta: i64) {
        if delta != 0 {
            let sum = self.exempt.entry(node).or_default();
            *sum = sum.saturating_add(delta);
        }
    }

    /// Takes a charge of `hold` from its counters. A negative charge gives back.
    fn take(&mut self, hold: &Hold, charged: Charged) {
        let (own, given) = (charged.own, charged.given);
        for &node in &hold.nodes {
            let amount = match node.is_of_exemption() {
                true => given.of(node.unit),
                false => own.of(node.unit).saturating_add(given.of(node.unit)),
            };
            self.add_to(node, amount.saturating_neg());
        }
        for &node in hold.exempt.iter().flat_map(|exempt| &exempt.covered) {
            self.add_to(node, own.of(node.unit).saturating_neg());
            self.exempt_at(node, given.of(node.unit));
        }
    }
}

impl Condition {
    fn is_true_of(&self, cell: &Cell) -> bool {
        match self {
            Self::Exists => true,
            Self::EpochIs(epoch) => cell.epoch == *epoch,
            Self::HoldAbsent(rid) => !cell.holds.contains_key(rid),
            Self::HoldIs(rid, hold) => cell.holds.get(rid) == Some(hold),
            Self::FewerHoldsThan(most) => cell.holds.len() < *most,
            Self::AtLeast(node, least) => cell.nodes.get(node).is_some_and(|rest| rest >= least),
            Self::AtLeastOrNew(node, least) => {
                let is_new = !cell.nodes.contains_key(node);
                is_new || Self::AtLeast(*node, *least).is_true_of(cell)
            }
        }
    }
}

/// A request for a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    pub rid: Rid,
    /// The hold to create. Its `nodes` are the counters of every level of the path.
    pub hold: Hold,
    pub hard: Vec<Node>,
    /// The configuration epoch that the path was read from.
    pub epoch: u64,
    /// The user's exemptions in the order to try. A request under an exemption has only that one.
    pub exemptions: Vec<UsableExemption>,
}

/// An exemption that may cover caps of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableExemption {
    pub grant: Grant,
    /// The counters of the budgets on the path that it covers.
    pub covered: Vec<Node>,
}

impl UsableExemption {
    fn covers(&self, node: Node) -> bool {
        self.grant.gives(node.unit) && self.covered.contains(&node)
    }

    /// Returns the exemption's remainder in `unit`. None if it gives nothing in that unit.
    pub fn rest(&self, cell: &Cell, unit: Unit) -> Option<i64> {
        let (counter, given) = self.grant.opens_in(unit)?;
        let rest = cell.nodes.get(&counter).copied();
        Some(match self.grant.is_limited() {
            true => rest.unwrap_or(given),
            false => i64::MAX,
        })
    }

    /// Returns how much `node`, a counter of the path, admits together with the exemption.
    pub fn available(&self, cell: &Cell, node: Node) -> Option<i64> {
        let available = cell.nodes.get(&node).copied()?;
        if !self.covers(node) {
            return Some(available);
        }
        match self.rest(cell, node.unit) {
            Some(rest) => Some(available.max(0).saturating_add(rest.max(0))),
            None => Some(available),
        }
    }
}

impl HoldRequest {
    /// Returns the update that holds at every level of the path or at none.
    pub fn update(&self) -> CellUpdate {
        let open = self.opens();
        let mut update = CellUpdate {
            conditions: vec![
                Condition::EpochIs(self.epoch),
                Condition::HoldAbsent(self.rid.clone()),
                Condition::FewerHoldsThan(MAX_HOLDS),
            ],
            put: BTreeMap::from([(self.rid.clone(), self.hold.clone())]),
            ..CellUpdate::default()
        };
        for &node in &self.hard {
            let least = self.hold.taken_from(node);
            // An exemption that gives the whole amount also helps if the cap is in debt.
            if least > 0 || !self.hold.covers(node) {
                let opens_with_enough = open.get(&node).is_some_and(|given| *given >= least);
                update.conditions.push(match opens_with_enough {
                    true => Condition::AtLeastOrNew(node, least),
                    false => Condition::AtLeast(node, least),
                });
            }
        }
        update.open = open;
        let charged = self.hold.split(self.hold.amounts);
        update.take(&self.hold, charged);
        update
    }

    /// Returns the initial values of the exemption's counters, in case this is its first hold of
    /// the month.
    fn opens(&self) -> BTreeMap<Node, i64> {
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
    pub fn under(&self, exemption: &UsableExemption, cell: &Cell) -> Option<Self> {
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
        let given = Amounts::new(missing(Unit::Tokens), missing(Unit::Usd));
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
    pub fn growth(&self, before: &Hold, expires_at: u32) -> Option<(CellUpdate, Hold)> {
        let mut after = before.joined(&self.hold)?;
        after.live_until(expires_at);
        let mut update = match self.hold.amounts == Amounts::ZERO {
            true => CellUpdate::default(),
            false => self.update(),
        };
        let is_of_cap = |condition: &Condition| {
            matches!(
                condition,
                Condition::AtLeast(..) | Condition::AtLeastOrNew(..)
            )
        };
        update.conditions.retain(is_of_cap);
        update.conditions.push(Condition::EpochIs(self.epoch));
        let is_before = Condition::HoldIs(self.rid.clone(), before.clone());
        update.conditions.push(is_before);
        update.put = BTreeMap::from([(self.rid.clone(), after.clone())]);
        Some((update, after))
    }

    /// Returns why the update was rejected on `cell`. The order of the checks is the order of the
    /// caller's remedies.
    pub fn obstacle(&self, cell: &Cell, now: Timestamp) -> Obstacle {
        let known = cell.holds.get(&self.rid);
        if let Some(known) = known.filter(|known| !known.has_lapsed(now)) {
            return if known.fingerprint == self.hold.fingerprint {
                Obstacle::SameHold(known.clone())
            } else {
                Obstacle::AnotherBody
            };
        }
        if cell.epoch != self.epoch {
            return Obstacle::AnotherEpoch;
        }
        if let Some(known) = known {
            return Obstacle::Lapsed(vec![(self.rid.clone(), known.clone())]);
        }
        let is_full = cell.holds.len() >= MAX_HOLDS;
        let short = self.short(cell);
        let mut admitted = self.exemptions.iter();
        let admitted = admitted.find_map(|exemption| self.under(exemption, cell));
        let mut scarce = short.clone();
        if !short.is_empty() && admitted.is_none() {
            let counters = self.exemptions.iter().map(|exemption| &exemption.grant);
            let counters = counters.flat_map(|grant| grant.opens());
            scarce.extend(counters.map(|(node, _)| node));
        }
        let fits = short.is_empty() || admitted.is_some();
        let takes_place = is_full && fits;
        let is_helped_by = |hold: &Hold| scarce.iter().any(|node| hold.taken_from(*node) > 0);
        let lapsed = lapsed_holds(cell, now, |hold| takes_place || is_helped_by(hold));
        // Counters take precedence over places, so a full cell never hides an exhausted cap.
        match admitted {
            _ if !lapsed.is_empty() => Obstacle::Lapsed(lapsed),
            None if !short.is_empty() => Obstacle::Short(short),
            _ if is_full => Obstacle::Full,
            Some(admitted) => Obstacle::Exempt(Box::new(admitted)),
            None => Obstacle::Gone,
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
                left: exemption.rest(cell, node.unit)?,
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
pub enum Obstacle {
    /// The same request already has a live hold, which is the answer.
    SameHold(Hold),
    /// A live hold has the same request id but another body.
    AnotherBody,
    /// The configuration that was read is older or newer than the cell.
    AnotherEpoch,
    /// These lapsed holds must be released first.
    Lapsed(Vec<(Rid, Hold)>),
    /// The counters admit it, but the cell has the maximum of live holds.
    Full,
    /// These hard counters have less than the requested amount.
    Short(Vec<Node>),
    /// Hard counters are short, but this request under an exemption is admitted.
    Exempt(Box<HoldRequest>),
    /// The reason has vanished meanwhile: try again.
    Gone,
}

/// Returns lapsed holds of `cell` for which `matters` is true, as many as one update can release.
pub fn lapsed_holds(
    cell: &Cell,
    now: Timestamp,
    matters: impl Fn(&Hold) -> bool,
) -> Vec<(Rid, Hold)> {
    let lapsed = cell.holds.iter().filter(|(_, hold)| hold.has_lapsed(now));
    let lapsed: Vec<(&Rid, &Hold)> = lapsed
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
pub fn finishable(resolved: &[(Rid, Hold, Amounts)]) -> Vec<&[(Rid, Hold, Amounts)]> {
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
pub fn finish<'a>(resolved: impl IntoIterator<Item = (&'a Rid, &'a Hold, Amounts)>) -> CellUpdate {
    let resolved = resolved.into_iter();
    finish_as(resolved.map(|(rid, hold, charged)| (rid, hold, hold, charged)))
}

/// Like [`finish`], for holds that may have changed since they ended: each with its state in the
/// cell and its state at its end. The latter decides who pays the charge. Anything the hold gained
/// after its end goes back.
pub fn finish_as<'a>(
    resolved: impl IntoIterator<Item = (&'a Rid, &'a Hold, &'a Hold, Amounts)>,
) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (rid, hold, ended, charged) in resolved {
        update
            .conditions
            .push(Condition::HoldIs(rid.clone(), hold.clone()));
        update.remove.insert(rid.clone());
        let (held, stays) = (hold.split(hold.amounts), hold.split_as(ended, charged));
        let change = Charged {
            own: stays.own.saturating_sub(held.own),
            given: stays.given.saturating_sub(held.given),
        };
        update.take(hold, change);
    }
    update
}

/// Extends each hold to its own Unix time. Applies only if none of them has changed.
pub fn prolong(holds: &[(Rid, Hold, i64)]) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (rid, hold, until) in holds {
        let mut after = hold.clone();
        after.live_until(u32::try_from(*until).unwrap_or(u32::MAX));
        let is_before = Condition::HoldIs(rid.clone(), hold.clone());
        update.conditions.push(is_before);
        update.put.insert(rid.clone(), after);
    }
    update
}

/// Charges usage without a hold at `nodes`, the counters of its path. They may go below zero. No
/// exemption pays, because none admitted it.
pub fn debit(nodes: &[Node], charged: Amounts) -> CellUpdate {
    let mut update = CellUpdate {
        conditions: vec![Condition::Exists],
        ..CellUpdate::default()
    };
    for &node in nodes {
        update.add_to(node, charged.of(node.unit).saturating_neg());
    }
    update
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
/// counters of its path. They may go below zero. An exemption pays as [`Hold::split_late`] says,
/// and a raise at most its remainder in `cell`: the lapsed part went back to it and may be used up.
/// Later usage for the same hold is a plain [`debit`].
pub fn debit_late(cell: &Cell, nodes: &[Node], of: LateUsage<'_>) -> CellUpdate {
    let mut update = CellUpdate {
        conditions: vec![Condition::Exists],
        ..CellUpdate::default()
    };
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
        let Some(&left) = cell.nodes.get(&counter) else {
            return 0;
        };
        let more = after.given.of(unit).saturating_sub(before.given.of(unit));
        let more = match exempt.is_limited {
            true => more.min(left.max(0)),
            false => more,
        };
        if exempt.is_limited && more > 0 {
            update.conditions.push(Condition::AtLeast(counter, more));
        }
        more
    };
    let given = Amounts::new(given(Unit::Tokens), given(Unit::Usd));
    let more = of.used.saturating_sub(of.paid);
    let change = Charged {
        own: more.saturating_sub(given),
        given,
    };
    update.take(&hold, change);
    update
}

/// Sets the carry of counters. Each counter gains the difference to its previous carry.
pub fn carry(cell: &Cell, carried: &BTreeMap<Node, i64>) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (&node, &carried) in carried {
        // Also without a budget: one that is created again at this level gets the carry.
        update.add_to(node, carried.saturating_sub(cell.carried(node)));
        update.carry.insert(node, carried);
    }
    update
}

#[cfg(test)]
#[path = "cell_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "exempt_tests.rs"]
mod exempt_tests;
