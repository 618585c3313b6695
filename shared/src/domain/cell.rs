//! The cell: one item that holds an organisation's live budget counters for one period.
//!
//! Every operation is a [`CellUpdate`]: conditions, then effects, applied at once or not at all. The store
//! turns it into one DynamoDB expression, and the model applies it to a value with [`CellUpdate::apply`].

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
/// The most counters of exemptions in a cell. One that was used stays until the month ends, even if its exemption has
/// ended. Levels have two counters each.
pub const MAX_EXEMPTION_COUNTERS: usize = 4_000;
/// The most lapsed holds that one update releases, and the most counters that it touches: an expression of
/// DynamoDB has at most 4,096 bytes.
pub const MAX_RELEASED_AT_ONCE: usize = 25;
const MAX_COUNTERS_AT_ONCE: usize = 75;
/// A counter covered by an exemption adds twice as many bytes to the expression.
const COVERED_WEIGHS: usize = 2;

/// The counters and holds of one organisation and period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The configuration's epoch that the counters agree with.
    pub epoch: u64,
    /// Counts the updates.
    pub version: u64,
    /// What remains at each level: amount + carried + exempted - spent - held. Without a budget the amount is zero, so the
    /// counter says what was used, below zero. An absent counter is zero. An exemption's counter is there from its first
    /// hold in the month on; before that nothing was taken of what it gives.
    pub nodes: BTreeMap<Node, i64>,
    /// What was carried over into the budgets from the month before, where that is anything.
    pub carried: BTreeMap<Node, i64>,
    /// What exemptions gave beyond each budget so far, held or spent, where that is anything.
    pub exempted: BTreeMap<Node, i64>,
    /// The live holds, and lapsed ones that nobody has released yet.
    pub holds: BTreeMap<Rid, Hold>,
}

impl Cell {
    /// The cell of `period` as `configuration` and the totals of the period have it; `spent` is what the subtree of a
    /// department has spent, or the organisation. Holds, carries and what exemptions gave stay as they are in `behind`, the
    /// cell before.
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

    /// The same without one hold, which takes from the counters as before.
    pub fn without(&self, rid: &Rid) -> Self {
        let mut cell = self.clone();
        cell.holds.remove(rid);
        cell
    }

    /// What was carried over into `node`.
    pub fn carried(&self, node: Node) -> i64 {
        self.carried.get(&node).copied().unwrap_or(0)
    }

    /// What exemptions gave beyond `node`, held or spent.
    pub fn exempted(&self, node: Node) -> i64 {
        self.exempted.get(&node).copied().unwrap_or(0)
    }

    /// What live and unreleased holds take from `node`.
    pub fn held(&self, node: Node) -> i64 {
        self.holds.values().map(|hold| hold.taken_from(node)).sum()
    }

    /// What live and unreleased holds of exemptions have of what is counted under `node`, without taking it from there.
    pub fn held_exempt(&self, node: Node) -> i64 {
        self.holds.values().map(|hold| hold.given_for(node)).sum()
    }
}

/// What must be true of a cell for an update to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The cell exists.
    Exists,
    /// The counters agree with this epoch of the configuration.
    EpochIs(u64),
    /// No hold of this name.
    HoldAbsent(Rid),
    /// Exactly this hold under this name.
    HoldIs(Rid, Hold),
    /// Fewer holds than this.
    FewerHoldsThan(usize),
    /// The counter holds at least this: the one `admit` rule.
    AtLeast(Node, i64),
    /// The same if the counter is there; what it would open with is enough.
    AtLeastOrNew(Node, i64),
}

/// One atomic change of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellUpdate {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The epoch afterwards, where it changes.
    pub epoch: Option<u64>,
    /// What is added to existing counters; negative takes away.
    pub add: BTreeMap<Node, i64>,
    /// What is added to counters that may not be there yet; they begin at zero.
    pub add_or_begin: BTreeMap<Node, i64>,
    /// Counters to open if they are not there yet, with what they begin at. Applied before `add`.
    pub open: BTreeMap<Node, i64>,
    /// What the carry of counters is from now on; what it adds to them is in `add`.
    pub carry: BTreeMap<Node, i64>,
    /// What is added to what exemptions gave beyond counters.
    pub exempt: BTreeMap<Node, i64>,
    /// Holds to add or to replace.
    pub put: BTreeMap<Rid, Hold>,
    /// Holds that go.
    pub remove: BTreeSet<Rid>,
}

/// Why an update took no effect on a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// A condition was false.
    #[error("a condition is false: {0:?}")]
    Condition(Box<Condition>),
    /// The update names a counter that the cell has not.
    #[error("no counter {0:?}")]
    NoSuchNode(Node),
    /// A counter would leave the range of an `i64`.
    #[error("counter {0:?} out of range")]
    OutOfRange(Node),
}

impl CellUpdate {
    /// Applies the update to a value, as the store's expression does to the item. `None` is no cell.
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

    /// Adds to a counter. Those of exemptions are opened by their first hold, those of levels begin by themselves.
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

    /// Takes a charge of `hold` from its counters; below zero it gives back.
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

/// A hold that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// Its name.
    pub rid: Rid,
    /// What it will be; `nodes` are the counters of every level of the path.
    pub hold: Hold,
    /// The counters of the hard caps.
    pub hard: Vec<Node>,
    /// The configuration's epoch that the path was read from.
    pub epoch: u64,
    /// The exemptions of the user, in the order in which they are tried; under one, only that.
    pub exemptions: Vec<UsableExemption>,
}

/// An exemption that may stand in for caps of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableExemption {
    /// The exemption.
    pub grant: Grant,
    /// The counters of the budgets on the path that it covers.
    pub covered: Vec<Node>,
}

impl UsableExemption {
    fn covers(&self, node: Node) -> bool {
        self.grant.gives(node.unit) && self.covered.contains(&node)
    }

    /// What the exemption has left in `unit`. None if it gives nothing in that.
    pub fn rest(&self, cell: &Cell, unit: Unit) -> Option<i64> {
        let (counter, given) = self.grant.opens_in(unit)?;
        let rest = cell.nodes.get(&counter).copied();
        Some(match self.grant.is_limited() {
            true => rest.unwrap_or(given),
            false => i64::MAX,
        })
    }

    /// What `node`, a counter of the path, admits together with the exemption.
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
    /// The one update that holds at every level of the path, or at none.
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
            // An exemption that gives all of it also helps where the cap is in debt.
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

    /// What the counters open with of the exemption that it is under, if nobody has used that in the month before.
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

    /// The same hold with `exemption` giving what the caps of `cell` lack. None if that does not help: a short cap is not
    /// covered, or the exemption has less than what is missing. A lift gives all of it, so it takes nothing from others.
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

    /// The one update by which `before`, the living hold of this name, gains what is asked for and lives until `expires_at`, and
    /// the hold that it is then. None if it cannot have both what it has and what it gains: see [`Hold::joined`].
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

    /// Why the update did not take effect on `cell`, in the order in which a caller acts on it.
    pub fn rejection(&self, cell: &Cell, now: Timestamp) -> HoldRejection {
        let known = cell.holds.get(&self.rid);
        if let Some(known) = known.filter(|known| !known.has_lapsed(now)) {
            return if known.fingerprint == self.hold.fingerprint {
                HoldRejection::SameHold(known.clone())
            } else {
                HoldRejection::BodyMismatch
            };
        }
        if cell.epoch != self.epoch {
            return HoldRejection::StaleConfiguration;
        }
        if let Some(known) = known {
            return HoldRejection::Lapsed(vec![(self.rid.clone(), known.clone())]);
        }
        let is_full = cell.holds.len() >= MAX_HOLDS;
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
        // The counters decide before the places do: a full cell never hides that a cap is reached.
        match admitted {
            _ if !lapsed.is_empty() => HoldRejection::Lapsed(lapsed),
            None if !short.is_empty() => HoldRejection::InsufficientBudget(short),
            _ if is_full => HoldRejection::Full,
            Some(admitted) => HoldRejection::Exempt(Box::new(admitted)),
            None => HoldRejection::Cleared,
        }
    }

    /// The limited exemptions that cover `node`, and what each has left.
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

    /// The hard counters that have less than is asked for.
    pub fn short(&self, cell: &Cell) -> Vec<Node> {
        let admits = |node: &Node| {
            Condition::AtLeast(*node, self.hold.amounts.of(node.unit)).is_true_of(cell)
        };
        self.hard.iter().copied().filter(|n| !admits(n)).collect()
    }
}

/// What stood in the way of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRejection {
    /// The same request holds already: its hold is the answer.
    SameHold(Hold),
    /// The request id lives with another body.
    BodyMismatch,
    /// The configuration was read too early or too late.
    StaleConfiguration,
    /// These lapsed holds have to be released first.
    Lapsed(Vec<(Rid, Hold)>),
    /// The counters admit it, and the cell has as many live holds as it takes.
    Full,
    /// These hard counters have less than was asked for.
    InsufficientBudget(Vec<Node>),
    /// Hard counters have less than was asked for; this request under an exemption is admitted.
    Exempt(Box<HoldRequest>),
    /// Nothing any more: try again.
    Cleared,
}

/// Holds of `cell` that count no more at `now` and that matter, as many as one update can release.
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

/// `resolved` in parts that one update each can finish: its expression has a length.
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

/// How many of `holds`, from the first on, one update can release.
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

/// Removes holds that are resolved and gives back what each did not use: `held - charged`, at every counter it
/// was taken from. Takes effect only while each hold is the same, so a second delivery changes nothing.
pub fn finish<'a>(resolved: impl IntoIterator<Item = (&'a Rid, &'a Hold, Amounts)>) -> CellUpdate {
    let resolved = resolved.into_iter();
    finish_as(resolved.map(|(rid, hold, charged)| (rid, hold, hold, charged)))
}

/// The same for holds that may have changed since they ended: each as its cell has it, and as it was when it ended. The charge
/// is paid as that says, and what a hold was given after its end goes back.
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

/// Extends holds, each to its own second since 1970. Takes effect only if none has changed.
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

/// Charges usage that no hold stands for at `nodes`, the counters of its path; they may go below zero. No exemption pays for
/// it: none admitted it.
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

/// The first usage that came for a hold after it had lapsed.
#[derive(Clone, Copy, Debug)]
pub struct LateUsage<'a> {
    /// The hold as it was when it ended.
    pub lapsed: &'a Hold,
    /// What it was charged then: all that it held, or nothing.
    pub paid: Amounts,
    /// What was used.
    pub used: Amounts,
}

/// Charges the difference between late usage and what its hold was charged at `nodes`, the counters of its path; they may go
/// below zero. An exemption pays as [`Hold::split_late`] says, and a raise no more than it has left in `cell`: what lapsed came
/// back to it and may be used up. The second usage for a hold is no other than a [`debit`].
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

/// Brings the carry of counters to what it is to be: each gains what that is more than before.
pub fn carry(cell: &Cell, carried: &BTreeMap<Node, i64>) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (&node, &carried) in carried {
        // Also if there is no budget: one that is made again at the level has the carry.
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
