//! Who acts: each process makes one call at a time, and may crash and begin again between any two.

use super::changing::Kind;
use super::mistakes::Mistake;
use super::world::{Config, Plan, World, node, rid};
use super::{changing, charging, ending, holding};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use std::collections::BTreeSet;

/// The task of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// Asks for a hold of this amount for the request.
    Preflight(u8, i64),
    /// Ends the request's hold, of which this was used.
    End(u8, i64),
    /// Charges the event's usage to a user. Below zero, it gives back.
    Charge(u8, usize, i64),
    Change(Kind),
    /// Adds up all cells, and compares the sum with what was spent.
    Audit,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Start,
    Done,
    Refused,
    /// Reads one of these earlier cells next.
    LookBack(Config, BTreeSet<u32>),
    /// Tries to hold next.
    Ready(Config),
    /// Its cell is not there.
    Absent(Config),
    /// Home has so many others, which are too few.
    TooFew(Config, u32),
    /// Its cell has too little.
    Short(Config, Cell),
    /// Home has enough.
    Transfer(Config, Cell, Cell),
    /// By mistake, home gave already.
    HalfMoved(Config, Cell, Cell),
    /// Reads all cells, home first and once more at the end.
    Reading(Config, Vec<Cell>),
    /// Read all cells.
    Read(Config, Vec<Cell>),
    /// Found the hold.
    Found(HoldKey, Hold),
    /// The resolution is written; the cell follows.
    Ended(Box<Ended>),
    /// Its cell lacks a part of what was used beyond the hold.
    Lacks(Box<Ended>, Cell),
    /// Read home as well.
    Pays(Box<Ended>, Cell, Cell),
    /// Read the home cell, and the user's cell.
    Charges(Config, Cell, Option<Cell>),
    /// What was spent at each moment since it began, and the cells that it has read.
    Auditing(BTreeSet<i64>, Vec<Cell>),
}

/// A hold that is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ended {
    pub key: HoldKey,
    pub hold: Hold,
    pub used: i64,
    /// The configuration that its end was prepared under.
    pub config: Config,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub script: Script,
    pub at: At,
    /// Whether there was a moment since its start at which its request did not fit.
    pub was_short: bool,
}

impl Process {
    pub fn new(script: Script) -> Self {
        Self {
            script,
            at: At::Start,
            was_short: false,
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.at, At::Done | At::Refused)
    }

    /// The same process after a crash. None if that is the same state.
    pub fn crashed(&self) -> Option<Self> {
        let is_midway = !self.is_done() && self.at != At::Start;
        is_midway.then(|| Self::new(self.script))
    }

    /// One step. The laws that only a step can break are checked here.
    pub fn step(&mut self, plan: &Plan, world: &mut World) -> Result<(), String> {
        let at = std::mem::replace(&mut self.at, At::Done);
        self.at = match self.script {
            Script::Preflight(request, amount) => {
                holding::step(plan, world, (request, amount), at, self.was_short)?
            }
            Script::End(request, used) => ending::step(plan, world, request, used, at),
            Script::Charge(event, user, used) => {
                charging::step(plan, world, (event, user, used), at)
            }
            Script::Change(kind) => changing::step(plan, world, kind, at),
            Script::Audit => audit(plan, world, at)?,
        };
        Ok(())
    }

    /// Notes whether its request fits at this moment, and what is spent.
    pub fn look_at(&mut self, plan: &Plan, world: &World) {
        if let At::Auditing(spent, _) = &mut self.at {
            spent.insert(spent_by_all(world));
        }
        let Script::Preflight(request, amount) = self.script else {
            return;
        };
        let user = plan.users[usize::from(request)];
        let is_short = || !world.fits(plan, user, amount);
        self.was_short = match self.at {
            At::Start | At::Done | At::Refused => false,
            _ => self.was_short || is_short(),
        };
    }
}

/// Reads the next cell of all. Returns true if nothing moved meanwhile, so that they can be added
/// up.
pub fn read_next(world: &World, cells: &mut Vec<Cell>, looks: bool) -> bool {
    let others = cells.first().map_or(0, |home| home.others);
    let next = u32::try_from(cells.len()).unwrap();
    if cells.is_empty() || next <= others {
        cells.push(world.cell(next).cloned().unwrap_or_default());
        return next == 0 && cells[0].others == 0;
    }
    let home = world.home().clone();
    let is_right = home.is_unmoved_since(&cells[0]) || !looks && home.epoch == cells[0].epoch;
    let is_right = is_right && cells[1..].iter().all(|cell| cell.epoch == home.epoch);
    match is_right {
        true => cells[0] = home,
        false => *cells = vec![home],
    }
    is_right
}

fn spent_by_all(world: &World) -> i64 {
    world.spent.get(&node(0)).copied().unwrap_or(0)
}

/// What is left of the organisation's budget and what is held is all that was not spent, at some
/// moment between its first read and its last.
fn audit(plan: &Plan, world: &World, at: At) -> Result<At, String> {
    let now = spent_by_all(world);
    let (mut spent, mut cells) = match at {
        At::Auditing(spent, cells) => (spent, cells),
        _ => (BTreeSet::from([now]), Vec::new()),
    };
    let looks = !plan.makes(Mistake::AuditsWithoutCountingMoves);
    if !read_next(world, &mut cells, looks) {
        if cells.len() == 1 {
            spent = BTreeSet::from([now]);
        }
        return Ok(At::Auditing(spent, cells));
    }
    let sum = Cell::sum(&cells);
    let left = sum.nodes.get(&node(0)).copied().unwrap_or(0);
    let counted = i128::from(world.config.amounts[0]) - left - sum.held(node(0));
    match spent.iter().any(|spent| i128::from(*spent) == counted) {
        true => Ok(At::Done),
        false => Err(format!("audited {counted} instead of {spent:?}")),
    }
}

/// Returns whether the request's hold is resolved and still in a cell.
pub fn is_left_behind(world: &World, request: u8) -> bool {
    let is_in = |(number, cell): (u32, &Cell)| {
        let key = rid(request).in_cell(number);
        cell.holds.contains_key(&key)
    };
    world.resolutions.contains_key(&request) && world.present().any(is_in)
}
