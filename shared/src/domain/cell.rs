//! The cell: one item that holds an organisation's live budget counters for one period.
//!
//! Every operation is a [`CellUpdate`]: conditions, then effects, applied at once or not at all. The store
//! turns it into one DynamoDB expression, and the model applies it to a value with [`CellUpdate::apply`].

use super::amount::Amounts;
use super::exemption::Grant;
use super::hold::{Exempt, Hold, Node, Rid};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The most live holds of a cell.
pub const MAX_HOLDS: usize = 2_000;
/// The most counters of a cell: 500 budgets, and as many deleted in the period or of exemptions.
pub const MAX_NODES: usize = 1_000;
/// The most lapsed holds that one update releases, and the most counters that it touches: an expression of
/// DynamoDB has at most 4,096 bytes.
pub const MAX_RELEASED_AT_ONCE: usize = 25;
const MAX_COUNTERS_AT_ONCE: usize = 100;
/// How much longer what is said of a counter is that an exemption stands in for.
const COVERED_WEIGHS: usize = 3;

/// The counters and holds of one organisation and period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The configuration's epoch that the counters agree with.
    pub epoch: u64,
    /// Counts the updates.
    pub version: u64,
    /// What remains of each budget: amount + carried + exempted - spent - held. Below zero is a debt.
    pub nodes: BTreeMap<Node, i64>,
    /// What was carried over into the budgets from the month before, where that is anything.
    pub carried: BTreeMap<Node, i64>,
    /// What exemptions gave beyond each budget so far, held or spent, where that is anything.
    pub exempted: BTreeMap<Node, i64>,
    /// The live holds, and lapsed ones that nobody has released yet.
    pub holds: BTreeMap<Rid, Hold>,
}

impl Cell {
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
        self.holds
            .values()
            .filter(|hold| hold.nodes.contains(&node))
            .map(|hold| hold.amounts.of(node.unit))
            .sum()
    }

    /// What live and unreleased holds of exemptions have of what is counted under `node`, without taking it from there.
    pub fn held_exempt(&self, node: Node) -> i64 {
        let covers = |exempt: &Exempt| exempt.covered.contains(&node);
        self.holds
            .values()
            .filter(|hold| hold.exempt.as_ref().is_some_and(covers))
            .map(|hold| hold.amounts.of(node.unit))
            .sum()
    }
}

/// What must be true of a cell for an update to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The cell exists.
    Exists,
    /// The counters agree with this epoch of the configuration.
    EpochIs(u64),
    /// Nothing was updated since this version was read.
    VersionIs(u64),
    /// No hold of this name.
    HoldAbsent(Rid),
    /// Exactly this hold under this name.
    HoldIs(Rid, Hold),
    /// Fewer holds than this.
    FewerHoldsThan(usize),
    /// The counter holds at least this: the one `admit` rule.
    AtLeast(Node, i64),
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
    /// New counters and what they open with.
    pub open: BTreeMap<Node, i64>,
    /// What the carry of counters is from now on; what it adds to them is in `add`.
    pub carry: BTreeMap<Node, i64>,
    /// What is added to what exemptions gave beyond counters.
    pub exempt: BTreeMap<Node, i64>,
    /// A hold that comes.
    pub put: Option<(Rid, Hold)>,
    /// Holds that go.
    pub remove: BTreeSet<Rid>,
    /// All holds anew, together with [`Condition::VersionIs`].
    pub replace: Option<BTreeMap<Rid, Hold>>,
}

/// Why an update took no effect on a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// A condition was false.
    #[error("a condition is false: {0:?}")]
    Condition(Condition),
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
            return Err(NotApplied::Condition(Condition::Exists));
        };
        if let Some(failed) = self.conditions.iter().find(|c| !c.is_true_of(before)) {
            return Err(NotApplied::Condition(failed.clone()));
        }
        let mut after = before.clone();
        after.version += 1;
        after.epoch = self.epoch.unwrap_or(after.epoch);
        for (&node, &delta) in &self.add {
            let value = after
                .nodes
                .get_mut(&node)
                .ok_or(NotApplied::NoSuchNode(node))?;
            *value = value
                .checked_add(delta)
                .ok_or(NotApplied::OutOfRange(node))?;
        }
        after.nodes.extend(&self.open);
        after.carried.extend(&self.carry);
        for (&node, &delta) in &self.exempt {
            let sum = after.exempted.entry(node).or_default();
            *sum = sum.checked_add(delta).ok_or(NotApplied::OutOfRange(node))?;
        }
        if let Some(holds) = &self.replace {
            after.holds.clone_from(holds);
        }
        for rid in &self.remove {
            after.holds.remove(rid);
        }
        if let Some((rid, hold)) = &self.put {
            after.holds.insert(rid.clone(), hold.clone());
        }
        *cell = Some(after);
        Ok(())
    }

    fn add_to(&mut self, node: Node, delta: i64) {
        let sum = self.add.entry(node).or_default();
        *sum = sum.saturating_add(delta);
    }

    fn exempt_at(&mut self, node: Node, delta: i64) {
        let sum = self.exempt.entry(node).or_default();
        *sum = sum.saturating_add(delta);
    }

    /// Takes `amounts` from what `hold` is about, or gives them back where they are below zero: from its counters, and
    /// beyond those that an exemption stands in for.
    fn take(&mut self, hold: &Hold, of: impl Fn(Node) -> i64) {
        for &node in &hold.nodes {
            self.add_to(node, -of(node));
        }
        for &node in hold.exempt.iter().flat_map(|exempt| &exempt.covered) {
            self.exempt_at(node, of(node));
        }
    }
}

impl Condition {
    fn is_true_of(&self, cell: &Cell) -> bool {
        match self {
            Self::Exists => true,
            Self::EpochIs(epoch) => cell.epoch == *epoch,
            Self::VersionIs(version) => cell.version == *version,
            Self::HoldAbsent(rid) => !cell.holds.contains_key(rid),
            Self::HoldIs(rid, hold) => cell.holds.get(rid) == Some(hold),
            Self::FewerHoldsThan(most) => cell.holds.len() < *most,
            Self::AtLeast(node, least) => cell.nodes.get(node).is_some_and(|rest| rest >= least),
        }
    }
}

/// A hold that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// Its name.
    pub rid: Rid,
    /// What it will be; `nodes` are all counters on the path, soft ones too.
    pub hold: Hold,
    /// Those of the path whose cap is hard.
    pub hard: Vec<Node>,
    /// The configuration's epoch that the path was read from.
    pub epoch: u64,
    /// The same hold under each exemption of the user, in the order in which they are tried.
    pub exempt: Vec<HoldRequest>,
}

impl HoldRequest {
    /// The one update that holds at every level of the path, or at none.
    pub fn update(&self) -> CellUpdate {
        let mut update = CellUpdate {
            conditions: vec![
                Condition::EpochIs(self.epoch),
                Condition::HoldAbsent(self.rid.clone()),
                Condition::FewerHoldsThan(MAX_HOLDS),
            ],
            put: Some((self.rid.clone(), self.hold.clone())),
            ..CellUpdate::default()
        };
        for &node in &self.hard {
            let asked = self.hold.amounts.of(node.unit);
            update.conditions.push(Condition::AtLeast(node, asked));
        }
        update.take(&self.hold, |node| self.hold.amounts.of(node.unit));
        update
    }

    /// The same hold where `grant` stands in for the counters of `covered` among those of the path: they give way to its
    /// own, which admit no more than there is left of a raise, and anything under a lift. None where it covers none of
    /// them.
    pub fn under(&self, grant: &Grant, covered: &[Node]) -> Option<Self> {
        let is_covered = |node: &Node| grant.gives(node.unit) && covered.contains(node);
        let (given, mut nodes): (Vec<Node>, Vec<Node>) =
            self.hold.nodes.iter().copied().partition(is_covered);
        let mut own: Vec<Node> = given.iter().map(|node| grant.counter(node.unit)).collect();
        own.sort_unstable();
        own.dedup();
        if own.is_empty() {
            return None;
        }
        let hard = self.hard.iter().copied().filter(|node| !is_covered(node));
        let limits = own.iter().copied().filter(|_| grant.is_limited());
        let hard = hard.chain(limits).collect();
        nodes.extend(own);
        nodes.sort_unstable();
        Some(Self {
            hold: Hold {
                nodes,
                exempt: Some(Exempt {
                    index: grant.index,
                    covered: given,
                }),
                ..self.hold.clone()
            },
            hard,
            exempt: Vec::new(),
            ..self.clone()
        })
    }

    /// Why the update did not take effect on `cell`, in the order in which a caller acts on it.
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
        // An exemption helps where it stands in for all that is short and has counters in this month.
        let is_usable = |node: &Node| !short.contains(node) && cell.nodes.contains_key(node);
        let helps = |request: &&Self| request.hold.nodes.iter().all(is_usable);
        let ways: Vec<&Self> = self.exempt.iter().filter(helps).collect();
        let way = ways.iter().find(|way| way.short(cell).is_empty());
        let mut scarce = short.clone();
        if way.is_none() {
            scarce.extend(ways.iter().flat_map(|way| way.short(cell)));
        }
        let fits = short.is_empty() || way.is_some();
        let takes_place = is_full && fits;
        let matters =
            |hold: &Hold| takes_place || hold.nodes.iter().any(|node| scarce.contains(node));
        let lapsed = lapsed_holds(cell, now, matters);
        // The counters decide before the places do: a full cell never hides that a cap is reached.
        match way {
            _ if !lapsed.is_empty() => Obstacle::Lapsed(lapsed),
            _ if !fits => Obstacle::Short(short),
            _ if is_full => Obstacle::Full,
            Some(way) if !short.is_empty() => Obstacle::Exempt(Box::new((*way).clone())),
            _ => Obstacle::Gone,
        }
    }

    fn short(&self, cell: &Cell) -> Vec<Node> {
        let admits = |node: &Node| {
            Condition::AtLeast(*node, self.hold.amounts.of(node.unit)).is_true_of(cell)
        };
        self.hard.iter().copied().filter(|n| !admits(n)).collect()
    }
}

/// What stood in the way of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The same request holds already: its hold is the answer.
    SameHold(Hold),
    /// The request id lives with another body.
    AnotherBody,
    /// The configuration was read too early or too late.
    AnotherEpoch,
    /// These lapsed holds have to be released first.
    Lapsed(Vec<(Rid, Hold)>),
    /// The counters admit it, and the cell has as many live holds as it takes.
    Full,
    /// These hard counters have less than was asked for.
    Short(Vec<Node>),
    /// Hard counters have less than was asked for; this request under an exemption is admitted.
    Exempt(Box<HoldRequest>),
    /// Nothing any more: try again.
    Gone,
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
    let mut update = CellUpdate::default();
    for (rid, hold, charged) in resolved {
        update
            .conditions
            .push(Condition::HoldIs(rid.clone(), hold.clone()));
        update.remove.insert(rid.clone());
        update.take(hold, |node| {
            charged.of(node.unit) - hold.amounts.of(node.unit)
        });
    }
    update
}

/// Charges usage that no hold stands for at `nodes`, the counters of its path; they may go below zero. Where `ended`, the hold
/// that it names, was taken from an exemption, so is this.
pub fn debit(nodes: &[Node], ended: Option<&Hold>, charged: Amounts) -> CellUpdate {
    let mut update = CellUpdate {
        conditions: vec![Condition::Exists],
        ..CellUpdate::default()
    };
    let mut charged_to = ended.cloned().unwrap_or_default();
    charged_to.move_to(nodes);
    update.take(&charged_to, |node| charged.of(node.unit));
    update
}

/// Opens the counter of a budget made in the middle of a period: it starts at `limit` less what its subtree
/// has `spent` and less what `members`, the live holds of its subtree, hold; those holds give back to it too.
/// Bound to the version of `cell`, so nothing is missed or counted twice.
pub fn open_node(
    cell: &Cell,
    node: Node,
    limit: i64,
    spent: i64,
    members: &BTreeSet<Rid>,
) -> CellUpdate {
    let mut holds = cell.holds.clone();
    let mut held = 0_i64;
    for (_, hold) in holds.iter_mut().filter(|(rid, _)| members.contains(rid)) {
        hold.nodes.push(node);
        hold.nodes.sort_unstable();
        held = held.saturating_add(hold.amounts.of(node.unit));
    }
    CellUpdate {
        conditions: vec![Condition::VersionIs(cell.version)],
        open: BTreeMap::from([(node, limit.saturating_sub(spent).saturating_sub(held))]),
        replace: (!members.is_empty()).then_some(holds),
        ..CellUpdate::default()
    }
}

/// Brings the carry of counters to what it is to be: each gains what that is more than before.
pub fn carry(cell: &Cell, carried: &BTreeMap<Node, i64>) -> CellUpdate {
    let mut update = CellUpdate::default();
    for (&node, &carried) in carried {
        // A budget that is no more has nothing to carry into.
        if cell.nodes.contains_key(&node) {
            update.add_to(node, carried.saturating_sub(cell.carried(node)));
            update.carry.insert(node, carried);
        }
    }
    update
}

#[cfg(test)]
#[path = "cell_tests.rs"]
mod tests;
