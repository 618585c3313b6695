//! The end of a hold, as `shared/src/ledger/resolve.rs` takes it from its cell.

use super::mistakes::{Mistake, Step};
use super::process::{At, Ended};
use super::world::{Plan, World};
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::cell_updates::CellUpdates;
use shared::domain::ledger::settlement::finish;
use shared::domain::org::placement::HOME;

pub fn step(plan: &Plan, world: &mut World, request: u8, used: i64, at: At) -> At {
    match at {
        At::Found(key, hold) => {
            let known = world.resolutions.get(&request).copied();
            let known = known.filter(|_| !plan.makes(Mistake::EndsTwice));
            let used = known.unwrap_or(used);
            world.resolutions.insert(request, used);
            At::Ended(Box::new(Ended {
                key,
                hold,
                used,
                config: world.config.clone(),
            }))
        }
        At::Ended(ended) => finish_within(plan, world, ended),
        At::Lacks(ended, own) => {
            let home = match ended.key.cell() {
                HOME => own.clone(),
                _ => world.home().clone(),
            };
            At::Pays(ended, own, home)
        }
        At::Pays(ended, own, home) => {
            let mut updates = ended.updates();
            let caps = ended.config.caps();
            updates.charge_within(&caps, ended.key.cell(), Some(&own), &home);
            match world.send(plan, Step::Pay, updates) {
                true => At::Done,
                false => At::Ended(ended.under(world)),
            }
        }
        _ => match world.hold_of(request) {
            Some((key, hold)) => At::Found(key, hold),
            None if world.resolutions.contains_key(&request) => At::Done,
            None => At::Start,
        },
    }
}

/// Takes the hold out of its cell, which is taken to have enough.
fn finish_within(plan: &Plan, world: &mut World, ended: Box<Ended>) -> At {
    let mut updates = ended.updates();
    let home = Cell {
        others: ended.config.others,
        ..Cell::default()
    };
    updates.charge_within(&ended.config.caps(), ended.key.cell(), None, &home);
    if world.send(plan, Step::End, updates) {
        return At::Done;
    }
    let own = world.cell(ended.key.cell()).unwrap().clone();
    match own.holds.contains_key(&ended.key) {
        true if own.epoch > ended.config.epoch => At::Lacks(ended.under(world), own),
        true => At::Lacks(ended, own),
        false => At::Done,
    }
}

impl Ended {
    fn updates(&self) -> CellUpdates {
        finish([(&self.key, &self.hold, Amounts::new(self.used, 0))])
    }

    /// The same under the configuration in force.
    fn under(self: Box<Self>, world: &World) -> Box<Self> {
        Box::new(Self {
            config: world.config.clone(),
            ..*self
        })
    }
}
