//! A request's hold, as `shared/src/ledger/{hold,gather,cells}.rs` place it.

use super::ending;
use super::mistakes::{Mistake, Step};
use super::process::{At, Ended, read_next};
use super::world::{Config, Plan, World, rid};
use jiff::Timestamp;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::cell_update::CellUpdate;
use shared::domain::ledger::cell_updates::CellUpdates;
use shared::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use shared::domain::org::placement::HOME;
use std::collections::BTreeSet;

type Asked = (u8, i64);

pub fn step(
    plan: &Plan,
    world: &mut World,
    asked: Asked,
    at: At,
    was_short: bool,
) -> Result<At, String> {
    let (request, amount) = asked;
    // The name of a hold that ended is free again. One hold each is enough here.
    if world.resolutions.contains_key(&request) && !is_ending(&at) {
        return Ok(left_in_a_cell(world, request));
    }
    Ok(match at {
        At::Start => begin(plan, world, request),
        At::LookBack(config, earlier) => look_back(world, request, config, earlier),
        At::Ready(config) => return hold(plan, world, asked, config, was_short),
        At::Absent(config) => {
            let home = world.home();
            if home.epoch != config.epoch {
                At::Start
            } else if home.others >= config.others {
                At::Ready(config)
            } else {
                At::TooFew(config, home.others)
            }
        }
        At::TooFew(config, others) => {
            open_others(plan, world, &config, others);
            At::Ready(config)
        }
        At::Short(config, own) => {
            let home = world.home().clone();
            let asked = config.request(plan, request, amount);
            match asked.rid.cell() != HOME && transferred(&asked, &own, &home).is_some() {
                true => At::Transfer(config, own, home),
                false => At::Reading(config, Vec::new()),
            }
        }
        At::Transfer(config, own, home) => {
            let asked = config.request(plan, request, amount);
            let updates = transferred(&asked, &own, &home).unwrap();
            if plan.makes(Mistake::MovesInTwoWrites) {
                let of_home = updates.get(HOME).unwrap().clone();
                return Ok(match world.make(&CellUpdates::of(HOME, of_home)) {
                    true => At::HalfMoved(config, own, home),
                    false => At::Ready(config),
                });
            }
            return place(plan, world, Step::Transfer, (request, config), updates);
        }
        At::HalfMoved(config, own, home) => {
            let asked = config.request(plan, request, amount);
            let updates = transferred(&asked, &own, &home).unwrap();
            let of_cell = updates.get(asked.rid.cell()).unwrap().clone();
            let updates = CellUpdates::of(asked.rid.cell(), of_cell);
            return place(plan, world, Step::Transfer, (request, config), updates);
        }
        At::Reading(config, mut cells) => {
            let looks = !plan.makes(Mistake::RefusesWithoutCountingMoves);
            if !read_next(world, &mut cells, looks) {
                return Ok(At::Reading(config, cells));
            }
            let asked = config.request(plan, request, amount);
            match asked.rejection_by(&Cell::sum(&cells), false, Timestamp::UNIX_EPOCH) {
                HoldRejection::InsufficientBudget(_) => {
                    return refuse(plan, world, (request, amount), was_short);
                }
                HoldRejection::Exempt(_) | HoldRejection::Cleared => At::Read(config, cells),
                _ => At::Ready(config),
            }
        }
        At::Read(config, cells) => {
            let asked = config.request(plan, request, amount);
            let sum = Cell::sum(&cells);
            let asked = match asked.rejection_by(&sum, false, Timestamp::UNIX_EPOCH) {
                HoldRejection::Exempt(admitted) => *admitted,
                _ => asked,
            };
            let serving = |_| config.others + 1;
            let updates = asked
                .update()
                .with_gathering(asked.rid.cell(), &cells, serving);
            match updates {
                Some(updates) => {
                    return place(plan, world, Step::Gather, (request, config), updates);
                }
                None => At::Ready(config),
            }
        }
        at => ending::step(plan, world, request, 0, at),
    })
}

fn is_ending(at: &At) -> bool {
    matches!(at, At::Ended(..) | At::Lacks(..) | At::Pays(..))
}

/// A hold that has ended is removed by whoever meets it.
fn left_in_a_cell(world: &World, request: u8) -> At {
    match world.hold_of(request) {
        Some((key, hold)) => At::Ended(Box::new(Ended {
            key,
            hold,
            used: world.resolutions[&request],
            config: world.config.clone(),
        })),
        None => At::Done,
    }
}

fn begin(plan: &Plan, world: &World, request: u8) -> At {
    let config = world.config.clone();
    let mut earlier = config.request(plan, request, 0).earlier;
    if plan.makes(Mistake::LooksBackNowhere) {
        earlier.clear();
    }
    if plan.makes(Mistake::LooksBackIntoOneCell) && earlier.len() > 1 {
        earlier.pop_first();
    }
    match earlier.is_empty() {
        true => At::Ready(config),
        false => At::LookBack(config, earlier),
    }
}

fn look_back(world: &World, request: u8, config: Config, mut earlier: BTreeSet<u32>) -> At {
    let Some(number) = earlier.pop_first() else {
        return At::Ready(config);
    };
    let cell = world.cell(number);
    if cell.is_some_and(|cell| cell.epoch > config.epoch) {
        return At::Start;
    }
    let key = rid(request).in_cell(number);
    match cell.is_some_and(|cell| cell.holds.contains_key(&key)) {
        true => At::Done,
        false if earlier.is_empty() => At::Ready(config),
        false => At::LookBack(config, earlier),
    }
}

/// The plain update of the request's own cell, and what follows from its refusal.
fn hold(
    plan: &Plan,
    world: &mut World,
    (request, amount): Asked,
    config: Config,
    was_short: bool,
) -> Result<At, String> {
    let asked = config.request(plan, request, amount);
    if world.send(plan, Step::Hold, asked.update()) {
        world.check_grant(&config, request)?;
        return Ok(At::Done);
    }
    let Some(own) = world.cell(asked.rid.cell()).cloned() else {
        return Ok(At::Absent(config));
    };
    Ok(match asked.rejection(&own, Timestamp::UNIX_EPOCH) {
        HoldRejection::SameHold(_) => At::Done,
        HoldRejection::StaleConfiguration => At::Start,
        HoldRejection::InsufficientBudget(_) | HoldRejection::Exempt(_)
            if own.is_one_of_several(&asked.rid)
                && !plan.makes(Mistake::RefusesFromItsCellAlone) =>
        {
            At::Short(config, own)
        }
        HoldRejection::InsufficientBudget(_) => {
            return refuse(plan, world, (request, amount), was_short);
        }
        other => return Err(format!("{other:?}")),
    })
}

fn transferred(asked: &HoldRequest, own: &Cell, home: &Cell) -> Option<CellUpdates> {
    let serving = |_| home.others + 1;
    let updates = asked.update();
    updates.with_transfer(asked.rid.cell(), own, home, serving)
}

/// Sends a hold together with the moves that it needs.
fn place(
    plan: &Plan,
    world: &mut World,
    step: Step,
    (request, config): (u8, Config),
    updates: CellUpdates,
) -> Result<At, String> {
    if !world.send(plan, step, updates) {
        return Ok(At::Ready(config));
    }
    world.check_grant(&config, request)?;
    Ok(At::Done)
}

fn refuse(
    plan: &Plan,
    world: &World,
    (request, amount): Asked,
    was_short: bool,
) -> Result<At, String> {
    let user = plan.users[usize::from(request)];
    let always_fitted = !was_short && world.fits(plan, user, amount);
    match plan.is_strict && always_fitted {
        true => Err(format!(
            "request {request} is refused although it always fitted"
        )),
        false => Ok(At::Refused),
    }
}

/// Opens the cells that the configuration has and the period has not, empty.
fn open_others(plan: &Plan, world: &mut World, config: &Config, others: u32) {
    let more = CellUpdate {
        others: Some(config.others),
        ..CellUpdate::default()
    };
    let mut updates = CellUpdates::of(HOME, more);
    updates.require_epoch(config.epoch);
    let overwrites = plan.makes(Mistake::OpensOverACell);
    if !overwrites {
        updates.require_others(others);
    }
    let new: Vec<usize> = (others + 1..=config.others)
        .map(|number| usize::try_from(number).unwrap())
        .collect();
    let is_there = new.iter().any(|number| world.cells[*number].is_some());
    if (overwrites || !is_there) && world.send(plan, Step::Open, updates) {
        for number in new {
            world.cells[number] = Some(Cell {
                epoch: config.epoch,
                ..Cell::default()
            });
        }
    }
}
