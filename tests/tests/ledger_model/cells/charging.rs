//! Usage without a hold, as `shared/src/ledger/charge.rs` charges it.

use super::mistakes::{Mistake, Step};
use super::process::At;
use super::world::{Config, Plan, World};
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::settlement::debit;
use shared::domain::org::placement::HOME;

type Event = (u8, usize, i64);

pub fn step(plan: &Plan, world: &mut World, event: Event, at: At) -> At {
    let (id, user, used) = event;
    if world.records.contains(&id) {
        return At::Done;
    }
    match at {
        // An earlier state than the one in force is read again.
        At::Charges(config, home, own) => {
            if home.epoch != config.epoch && !plan.makes(Mistake::ChargesWithoutItsEpoch) {
                return At::Start;
            }
            charge(plan, world, event, (&config, &home, own.as_ref()))
        }
        At::Ready(config) => {
            let home = world.home().clone();
            let cell = config.cells[user];
            let gives_back = used < 0 && !plan.makes(Mistake::GivesBackInTheUsersCell);
            match cell == HOME || cell > home.others || gives_back {
                true => At::Charges(config, home, None),
                false => At::Short(config, home),
            }
        }
        At::Short(config, home) => {
            let own = world.cell(config.cells[user]).cloned();
            At::Charges(config, home, own)
        }
        _ => At::Ready(world.config.clone()),
    }
}

/// One transaction: the record, and the counters.
fn charge(
    plan: &Plan,
    world: &mut World,
    (id, user, used): Event,
    (config, home, own): (&Config, &Cell, Option<&Cell>),
) -> At {
    let cell = own.map_or(HOME, |_| config.cells[user]);
    let path = config.path(user);
    let mut updates = debit(cell, &path, Amounts::new(used, 0));
    updates.charge_within(&config.caps(), cell, Some(own.unwrap_or(home)), home);
    updates.require_epoch(home.epoch);
    if !world.send(plan, Step::Charge, updates) {
        return At::Start;
    }
    world.records.insert(id);
    for node in path {
        *world.spent.entry(node).or_default() += used;
    }
    At::Done
}
