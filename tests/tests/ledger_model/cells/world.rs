//! The durable state of several cells, and its laws.

use super::mistakes::{Mistake, Step, plant};
use jiff::Timestamp;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::exemption::grant::{Covers, Grant, Kind, Terms};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::cell_updates::CellUpdates;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::hold_request::{HoldRequest, UsableExemption};
use shared::domain::ledger::node::Node;
use shared::domain::org::configuration::Caps;
use shared::domain::org::placement::HOME;
use std::collections::{BTreeMap, BTreeSet};

/// The counters: of the organisation, and of two departments.
pub const LEVELS: usize = 3;
/// What the exemption gives, to those requests that have one.
pub const RAISE: i64 = 12;

/// The configuration as a process reads it, reduced to what the ledger sees of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    pub epoch: u64,
    pub hard: [bool; LEVELS],
    pub amounts: [i64; LEVELS],
    /// The department of each of two users: 1 or 2.
    pub departments: [usize; 2],
    /// The cell of each user.
    pub cells: [u32; 2],
    /// The cells that a user had before.
    pub earlier: [BTreeSet<u32>; 2],
    /// How many cells there are to be beside home.
    pub others: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Home first. None is a cell that is not there yet.
    pub cells: Vec<Option<Cell>>,
    pub config: Config,
    /// What was used of each request's hold, once it has ended.
    pub resolutions: BTreeMap<u8, i64>,
    /// The events that were recorded without a hold.
    pub records: BTreeSet<u8>,
    /// What is spent at each counter: by holds that left their cells, and by records.
    pub spent: BTreeMap<Node, i64>,
}

/// What a scenario does not change while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub mistake: Option<Mistake>,
    /// The user of each request.
    pub users: [usize; 3],
    /// A refusal must have been right at some moment of its call. Without this it may mix two
    /// moments, if one request gives back while another holds.
    pub is_strict: bool,
    /// Whether requests have an exemption that covers the organisation's cap.
    pub has_exemption: bool,
}

impl Plan {
    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

/// The counter of a level.
pub fn node(level: usize) -> Node {
    Node {
        unit: Unit::Tokens,
        index: 2 * u32::try_from(level).unwrap(),
    }
}

fn grant() -> Grant {
    Grant {
        id: "exm_1".to_owned(),
        index: Node::exemption(0),
        terms: Terms {
            user_id: "ada".to_owned(),
            kind: Kind::Raise,
            tokens: Some(RAISE),
            micro_usd: None,
            covers: Covers::Path,
            starts_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
        },
    }
}

/// What stays of `hold` at a counter if `used` was used. The caps pay first, an exemption at most
/// what it gave, and the caps the rest.
fn stays(hold: &Hold, node: Node, used: i64) -> i64 {
    let given = hold.given().tokens;
    let given = (used - (hold.amounts.tokens - given)).clamp(0, given);
    if hold.covers(node) {
        used - given
    } else if !hold.nodes.contains(&node) {
        0
    } else if node.is_of_exemption() {
        given
    } else {
        used
    }
}

impl Config {
    pub fn path(&self, user: usize) -> Vec<Node> {
        vec![node(0), node(self.departments[user])]
    }

    pub fn caps(&self) -> Caps {
        let hard = (0..LEVELS).filter(|level| self.hard[*level]);
        Caps {
            hard: hard.map(node).collect(),
            epoch: self.epoch,
        }
    }

    /// The request of a process that read this.
    pub fn request(&self, plan: &Plan, request: u8, amount: i64) -> HoldRequest {
        let user = plan.users[usize::from(request)];
        let nodes = self.path(user);
        let caps = self.caps();
        let exemption = UsableExemption {
            grant: grant(),
            covered: vec![node(0)],
        };
        HoldRequest {
            rid: rid(request).in_cell(self.cells[user]),
            hold: Hold {
                fingerprint: [request; 8],
                expires_at: u32::MAX,
                amounts: Amounts::new(amount, 0),
                nodes: nodes.clone(),
                ..Hold::default()
            },
            requests: 1,
            hard: nodes
                .into_iter()
                .filter(|node| caps.hard.contains(node))
                .collect(),
            epoch: self.epoch,
            earlier: self.earlier[user].clone(),
            exemptions: Vec::from_iter(plan.has_exemption.then_some(exemption)),
        }
    }
}

/// The key of a request's hold in the home cell.
pub fn rid(request: u8) -> HoldKey {
    HoldKey::derive("acme", "ada", &request.to_string())
}

impl World {
    pub fn cell(&self, number: u32) -> Option<&Cell> {
        self.cells.get(usize::try_from(number).unwrap())?.as_ref()
    }

    pub fn home(&self) -> &Cell {
        self.cell(HOME).unwrap()
    }

    pub fn present(&self) -> impl Iterator<Item = (u32, &Cell)> {
        let each = (HOME..).zip(&self.cells);
        each.filter_map(|(number, cell)| Some((number, cell.as_ref()?)))
    }

    /// The request's hold, with its cell in the key.
    pub fn hold_of(&self, request: u8) -> Option<(HoldKey, Hold)> {
        let mut found = self.present().filter_map(|(number, cell)| {
            let key = rid(request).in_cell(number);
            let hold = cell.holds.get(&key)?.clone();
            Some((key, hold))
        });
        found.next()
    }

    /// Makes the updates, with the planted mistake. Returns whether they took effect.
    pub fn send(&mut self, plan: &Plan, step: Step, mut updates: CellUpdates) -> bool {
        if updates.single().is_none() {
            updates.count_move();
        }
        let updates = plant(plan.mistake, step, updates);
        self.make(&updates)
    }

    /// Makes the updates as they are.
    pub fn make(&mut self, updates: &CellUpdates) -> bool {
        let before = self.cells.clone();
        if updates.apply_to_all(&mut self.cells).is_err() {
            return false;
        }
        // It counts the writes, which would make all states different.
        for cell in self.cells.iter_mut().flatten() {
            cell.version = 0;
        }
        for (number, update) in updates.iter() {
            let cell = before[usize::try_from(number).unwrap()].as_ref();
            let removed = update.remove.iter();
            for (key, hold) in removed.filter_map(|key| Some((key, cell?.holds.get(key)?))) {
                let known = self.resolutions.iter();
                let mut known = known.filter(|of| rid(*of.0).in_cell(number) == *key);
                let used = *known.next().unwrap().1;
                let about: BTreeSet<Node> = hold.about().collect();
                for node in about {
                    *self.spent.entry(node).or_default() += stays(hold, node, used);
                }
            }
        }
        true
    }

    /// What is left of a level: its amount without what is held and spent, whatever the counters
    /// say.
    pub fn left(&self, level: usize) -> i128 {
        i128::from(self.config.amounts[level]) - self.used(node(level))
    }

    fn used(&self, node: Node) -> i128 {
        let holds = self.present().flat_map(|(_, cell)| cell.holds.values());
        let held: i128 = holds.map(|hold| hold.taken_from(node)).sum();
        held + i128::from(self.spent.get(&node).copied().unwrap_or(0))
    }

    /// Whether a user's request fits, by what is really left.
    pub fn fits(&self, plan: &Plan, user: usize, amount: i64) -> bool {
        let caps = [0, self.config.departments[user]];
        let mut caps = caps.into_iter().filter(|level| self.config.hard[*level]);
        let raise = grant().counter(Unit::Tokens);
        let raise = match plan.has_exemption {
            true => i128::from(RAISE) - self.used(raise),
            false => 0,
        };
        caps.all(|level| {
            let more = if level == 0 { raise } else { 0 };
            let left = self.left(level);
            left >= i128::from(amount) || more > 0 && left.max(0) + more >= i128::from(amount)
        })
    }

    /// The law of a grant: under the state in force, and no cap gave what it did not have.
    pub fn check_grant(&self, read: &Config, request: u8) -> Result<(), String> {
        if read.epoch != self.config.epoch {
            return Err(format!("request {request} holds under an earlier state"));
        }
        let (_, hold) = self.hold_of(request).unwrap();
        for level in (0..LEVELS).filter(|level| self.config.hard[*level]) {
            let left = self.left(level);
            if hold.taken_from(node(level)) > 0 && left < 0 {
                return Err(format!(
                    "request {request} holds what {level} lacks: {left}"
                ));
            }
        }
        match self.used(grant().counter(Unit::Tokens)) > i128::from(RAISE) {
            true => Err("the exemption gave more than it has".to_owned()),
            false => Ok(()),
        }
    }

    /// The laws that hold in every state.
    pub fn check(&self) -> Result<(), String> {
        for level in 0..LEVELS {
            let parts: Vec<(i128, bool)> = self
                .present()
                .filter_map(|(_, cell)| {
                    let rest = *cell.nodes.get(&node(level))?;
                    Some((rest, cell.shut.contains(&node(level))))
                })
                .collect();
            let sum: i128 = parts.iter().map(|(rest, _)| rest).sum();
            if sum != self.left(level) {
                return Err(format!(
                    "the parts of {level} are {sum}, not {}",
                    self.left(level)
                ));
            }
            let is_shut = parts.iter().all(|(_, is_shut)| *is_shut) && !parts.is_empty();
            let is_open = parts.iter().all(|(_, is_shut)| !is_shut);
            let is_alone = parts.len() == 1 && self.home().nodes.contains_key(&node(level));
            let is_kept = is_alone || parts.iter().all(|(rest, _)| *rest >= 0);
            let is_right = match self.config.hard[level] {
                true => is_shut || is_open && is_kept,
                false => is_open,
            };
            if !is_right {
                return Err(format!("parts of {level} and whether shut: {parts:?}"));
            }
        }
        let raise = grant().counter(Unit::Tokens);
        if let Some(rest) = self.home().nodes.get(&raise)
            && *rest != i128::from(RAISE) - self.used(raise)
        {
            return Err(format!("the exemption has {rest}"));
        }
        for request in 0..3 {
            let of_request = |(number, cell): &(u32, &Cell)| {
                cell.holds.contains_key(&rid(request).in_cell(*number))
            };
            let holds = self.present().filter(of_request).count();
            if holds > 1 && !self.resolutions.contains_key(&request) {
                return Err(format!("request {request} has {holds} live holds"));
            }
        }
        let mut present = self.present();
        match present.find(|(_, cell)| cell.epoch != self.config.epoch) {
            Some((number, _)) => Err(format!("cell {number} is of another epoch")),
            None => Ok(()),
        }
    }
}
