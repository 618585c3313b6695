//! Who acts: each process takes one atomic step at a time, and may crash and restart between any
//! two.

use super::world::{AFTER, BEFORE, Mistake, Q, Record, Resolution, World, node, rid};
use jiff::Timestamp;
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell_update::{CellUpdate, Condition};
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_request::HoldRejection;
use shared::domain::ledger::settlement::debit;
use shared::domain::org::placement::HOME;

/// The task of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// Asks for a hold for the request.
    Preflight(u8),
    /// Delivers the event with this id, of the request's hold; request 2 stands for no hold.
    Usage(u8, u8),
    /// Gives the request's hold back.
    Void(u8),
    /// Finds the request's hold lapsed.
    Expire(u8),
    /// Sets the organisation's amount.
    ChangeAmount(i64),
    /// Puts the user into the other department.
    MoveUser,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Start,
    /// Read the configuration: its epoch and the user's department.
    Configured(u64, u8),
    /// Read the hold in the cell.
    Found(Hold),
    /// Wrote the resolution, the cell follows.
    Resolved(Hold, i64),
    /// Wrote the cell first, by mistake; the resolution follows.
    CellFirst(Hold),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    script: Script,
    at: At,
}

/// The usage of an event. The first uses more than its hold, so that wrong signs show.
fn used(event: u8) -> i64 {
    match event {
        0 => 7,
        1 => 4,
        _ => 5,
    }
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap()
}

impl Process {
    pub fn new(script: Script) -> Self {
        Self {
            script,
            at: At::Start,
        }
    }

    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The event that it delivers.
    pub fn event(&self) -> Option<u8> {
        match self.script {
            Script::Usage(_, event) => Some(event),
            _ => None,
        }
    }

    /// The same process after a crash; None if that is the same state.
    pub fn crashed(&self) -> Option<Self> {
        let is_midway = !matches!(self.at, At::Start | At::Done);
        is_midway.then(|| Self::new(self.script))
    }

    /// One step; the laws that only a step can break are checked here.
    pub fn step(&mut self, world: &mut World) -> Result<(), String> {
        let at = std::mem::replace(&mut self.at, At::Done);
        self.at = match self.script {
            Script::Preflight(request) => preflight(world, request, at)?,
            Script::Usage(2, event) => unreserved(world, event),
            Script::Usage(request, event) => settle(world, request, event, at),
            Script::Void(request) => resolve(
                world,
                request,
                at,
                Resolution {
                    event: None,
                    charged: 0,
                },
                false,
            ),
            Script::Expire(request) => resolve(
                world,
                request,
                at,
                Resolution {
                    event: None,
                    charged: 0,
                },
                true,
            ),
            Script::ChangeAmount(amount) => change_amount(world, amount),
            Script::MoveUser => move_user(world),
        };
        Ok(())
    }
}

fn preflight(world: &mut World, request: u8, at: At) -> Result<At, String> {
    let At::Configured(epoch, department) = at else {
        return Ok(At::Configured(world.epoch, world.department));
    };
    // The name of a hold that ended is free again; one request each is enough here.
    if world.resolutions.contains_key(&request) {
        return Ok(At::Done);
    }
    let asked = world.request(request, epoch, department);
    let update = world.hold_update(&asked);
    let could_fit = asked.hard.iter().all(|n| world.cell().nodes[n] >= Q.into());
    if update.apply(&mut world.cell).is_ok() {
        if epoch != world.epoch {
            return Err("a hold under an old state succeeded after a change".to_owned());
        }
        return Ok(At::Done);
    }
    match asked.rejection(world.cell(), second(BEFORE)) {
        HoldRejection::SameHold(_) => Ok(At::Done),
        HoldRejection::StaleConfiguration if world.cell().epoch == epoch => {
            Err("an epoch that is not another".to_owned())
        }
        HoldRejection::StaleConfiguration => Ok(At::Start),
        HoldRejection::InsufficientBudget(short) if could_fit => {
            Err(format!("refused although it fits: {short:?}"))
        }
        HoldRejection::InsufficientBudget(_) => Ok(At::Done),
        other => Err(format!("{other:?}")),
    }
}

/// The department whose counter the hold was taken from, or by mistake today's.
fn department_of(world: &World, hold: &Hold) -> u8 {
    if world.makes(Mistake::ChargesTodaysDepartment) {
        return world.department;
    }
    u8::from(hold.nodes.contains(&node(2)))
}

fn put_record(world: &mut World, event: u8, department: u8) -> bool {
    let is_new = !world.records.contains_key(&event);
    if is_new || world.makes(Mistake::RecordsADuplicate) {
        let record = world.records.entry(event).or_insert(Record {
            times: 0,
            charged: used(event),
            department,
        });
        record.times += 1;
        return true;
    }
    false
}

fn settle(world: &mut World, request: u8, event: u8, at: At) -> At {
    match at {
        At::Found(hold) => {
            if world.makes(Mistake::CellBeforeResolution) {
                world.finish(request, &hold, used(event));
                return At::CellFirst(hold);
            }
            // One transaction: the record if absent, the resolution if absent.
            let department = department_of(world, &hold);
            match world.resolutions.get(&request).copied() {
                None if !world.records.contains_key(&event) => {
                    put_record(world, event, department);
                    let resolution = Resolution {
                        event: Some(event),
                        charged: used(event),
                    };
                    world.resolutions.insert(request, resolution);
                    At::Resolved(hold, used(event))
                }
                None => At::Done,
                Some(known) => {
                    if world.makes(Mistake::RecordsADuplicate) {
                        put_record(world, event, department);
                    }
                    if world.makes(Mistake::DuplicateLeavesTheCell) {
                        return At::Done;
                    }
                    world.finish(request, &hold, known.charged);
                    At::Start
                }
            }
        }
        At::Resolved(hold, charged) => {
            world.finish(request, &hold, charged);
            At::Done
        }
        At::CellFirst(hold) => {
            let department = department_of(world, &hold);
            put_record(world, event, department);
            world.resolutions.insert(
                request,
                Resolution {
                    event: Some(event),
                    charged: used(event),
                },
            );
            At::Done
        }
        _ => match world.cell().holds.get(&rid(request)) {
            Some(hold) => At::Found(hold.clone()),
            None => after_the_hold(world, request, event),
        },
    }
}

/// Usage of a hold that is not in the cell: counted already, late, or without a hold.
fn after_the_hold(world: &mut World, request: u8, event: u8) -> At {
    match world.resolutions.get(&request) {
        Some(known) if known.event == Some(event) => At::Done,
        Some(_) => charge(world, event, 0),
        // The hold may still come; usage is charged without one only if it never does.
        None => At::Start,
    }
}

/// One transaction: the record if absent, and the debit of the cell under the epoch in force.
fn charge(world: &mut World, event: u8, department: u8) -> At {
    if world.records.contains_key(&event) && !world.makes(Mistake::RecordsADuplicate) {
        return At::Done;
    }
    let nodes = [node(0), node(1 + u32::from(department))];
    let mut update = debit(HOME, &nodes, Amounts::new(used(event), 0));
    update.require_epoch(world.cell().epoch);
    put_record(world, event, department);
    world.was_unheld = true;
    if !world.makes(Mistake::LateUsageIsFree) {
        update.apply(&mut world.cell).unwrap();
    }
    At::Done
}

fn unreserved(world: &mut World, event: u8) -> At {
    let department = world.department;
    charge(world, event, department)
}

/// Void, and expiry: the resolution if absent, then the cell.
fn resolve(world: &mut World, request: u8, at: At, resolution: Resolution, is_expiry: bool) -> At {
    match at {
        At::Found(hold) => {
            let overwrites = !is_expiry && world.makes(Mistake::VoidOverwritesAResolution);
            let known = world
                .resolutions
                .get(&request)
                .copied()
                .filter(|_| !overwrites);
            let stands = known.unwrap_or(resolution);
            world.resolutions.insert(request, stands);
            At::Resolved(hold, stands.charged)
        }
        At::Resolved(hold, charged) => {
            world.finish(request, &hold, charged);
            At::Done
        }
        _ => match world.cell().holds.get(&rid(request)) {
            Some(hold) if !is_expiry || hold.has_lapsed(second(AFTER)) => At::Found(hold.clone()),
            _ => At::Done,
        },
    }
}

/// One transaction: the configuration and its epoch, the cell's counters and epoch.
fn change(world: &mut World, add: Option<i64>) {
    let before = world.epoch;
    world.epoch += 1;
    let mut update = CellUpdate {
        conditions: vec![Condition::EpochIs(before)],
        ..CellUpdate::default()
    };
    update.epoch = Some(world.epoch);
    if let Some(delta) = add {
        update.add.insert(node(0), delta.into());
    }
    if world.makes(Mistake::ChangeLeavesTheCellsEpoch) {
        update.conditions.clear();
        update.epoch = None;
    }
    update.apply(&mut world.cell).unwrap();
}

fn change_amount(world: &mut World, amount: i64) -> At {
    let delta = amount - world.limits[0];
    world.was_lowered |= delta < 0;
    world.limits[0] = amount;
    change(world, Some(delta));
    At::Done
}

fn move_user(world: &mut World) -> At {
    world.department = 1 - world.department;
    change(world, None);
    At::Done
}
