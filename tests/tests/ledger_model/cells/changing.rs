//! Changes of the configuration, as `shared/src/ledger/change.rs` commits them.

use super::mistakes::{Mistake, Step};
use super::process::{At, read_next};
use super::world::{Config, LEVELS, Plan, World, node};
use jiff::Timestamp;
use shared::domain::amount::Unit;
use shared::domain::change::Effect;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::cell_updates::CellUpdates;
use shared::domain::org::budget::Budget;
use shared::domain::org::placement::HOME;
use shared::domain::period::Month;

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The amount of a level's budget.
    Amount(usize, i64),
    /// Whether it is a hard cap.
    Hard(usize, bool),
    /// The budget is created, as a hard cap.
    Create(usize, i64),
    Delete(usize),
    /// A user gets another department and cell.
    Move(usize, usize, u32),
    /// A user gets another cell, of so many beside home.
    Split(usize, u32, u32),
}

impl Kind {
    fn change(self, before: &Config) -> Config {
        let mut after = before.clone();
        after.epoch += 1;
        match self {
            Self::Amount(level, amount) => after.amounts[level] = amount,
            Self::Hard(level, is_hard) => after.hard[level] = is_hard,
            Self::Create(level, amount) => {
                after.amounts[level] = amount;
                after.hard[level] = true;
            }
            Self::Delete(level) => {
                after.amounts[level] = 0;
                after.hard[level] = false;
            }
            Self::Move(user, department, cell) => {
                after.departments[user] = department;
                place(&mut after, user, cell);
            }
            Self::Split(user, cell, others) => {
                after.others = after.others.max(others);
                place(&mut after, user, cell);
            }
        }
        after
    }
}

fn place(after: &mut Config, user: usize, cell: u32) {
    after.earlier[user].insert(after.cells[user]);
    after.earlier[user].remove(&cell);
    after.cells[user] = cell;
}

pub fn step(plan: &Plan, world: &mut World, kind: Kind, at: At) -> At {
    match at {
        At::Reading(config, mut cells) => {
            let is_whole = read_next(world, &mut cells, true);
            if cells[0].epoch != config.epoch {
                return At::Start;
            }
            match is_whole {
                true => At::Read(config, cells),
                false => At::Reading(config, cells),
            }
        }
        At::Read(config, cells) => {
            let after = kind.change(&config);
            let mut updates = updates(kind, &config, &after, &cells);
            if plan.makes(Mistake::HardensOnlyWhatItReads) {
                for (number, cell) in (HOME..).zip(&cells) {
                    let update = updates.at(number);
                    update.shut.retain(|node| cell.nodes.contains_key(node));
                }
            }
            let is_in_force = world.config.epoch == config.epoch;
            match is_in_force && world.send(plan, Step::Change, updates) {
                true => {
                    world.config = after;
                    At::Done
                }
                false => At::Start,
            }
        }
        _ => At::Reading(world.config.clone(), Vec::new()),
    }
}

fn budget(config: &Config, level: usize, month: Month) -> Budget {
    Budget {
        id: format!("bud_{level}"),
        node: node(level).index,
        name: String::new(),
        department_id: None,
        unit: Unit::Tokens,
        amount: config.amounts[level],
        since: month,
        earlier_amounts: Vec::new(),
        top_ups: Vec::new(),
        hard_cap: config.hard[level],
        thresholds: Vec::new(),
        rollover_cap_percent: None,
        earlier_rollovers: Vec::new(),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// The updates of all cells by the change, in one transaction.
fn updates(kind: Kind, before: &Config, after: &Config, cells: &[Cell]) -> CellUpdates {
    let month = Month::new(2026, 11).unwrap();
    let changed = (0..LEVELS).find(|level| {
        (before.amounts[*level], before.hard[*level]) != (after.amounts[*level], after.hard[*level])
    });
    let (was, is) = match changed {
        Some(level) => (
            Some(budget(before, level, month)),
            Some(budget(after, level, month)),
        ),
        None => (None, None),
    };
    let effect = match kind {
        Kind::Move(..) | Kind::Split(..) => Effect::NewEpoch,
        Kind::Create(..) => Effect::Budget {
            before: None,
            after: is.as_ref(),
        },
        Kind::Delete(_) => Effect::Budget {
            before: was.as_ref(),
            after: None,
        },
        Kind::Amount(..) | Kind::Hard(..) => Effect::Budget {
            before: was.as_ref(),
            after: is.as_ref(),
        },
    };
    let mut updates = effect.updates(cells, &before.caps(), month, month);
    let others = u32::try_from(cells.len() - 1).unwrap();
    for cell in HOME..=others {
        updates.at(cell).epoch = Some(after.epoch);
    }
    updates.require_epoch(before.epoch);
    updates.require_others(others);
    updates
}
