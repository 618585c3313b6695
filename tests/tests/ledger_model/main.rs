//! Every interleaving of a few requests, explored exhaustively over the same pure code that the
//! store uses: hold, retry, settle, void, expire, late usage, delayed duplicates, a crash between
//! any two steps, a changed amount, a moved user. The laws of the ledger hold in every state, and
//! each planted mistake is found.
//!
//! The cell's updates are the store's own, and the steps around them are told again here: that lets
//! it look at every state, as deep as a scenario goes. The steps themselves, as the store and the
//! functions do them, are in `tests/tests/system/schedules`, in fewer orders.

mod cells;
mod process;
mod search;
mod world;

use process::{Process, Script};
use search::{Explored, explore};
use world::{Mistake, World};

/// A scenario: the limits of organisation, first and second department, and who does what.
struct Scenario {
    name: &'static str,
    limits: [i64; 3],
    scripts: Vec<Script>,
    crashes: u8,
}

fn scenarios() -> Vec<Scenario> {
    use Script::{ChangeAmount, Expire, MoveUser, Preflight, Usage, Void};
    vec![
        Scenario {
            name: "three requests race for two places, with a retry",
            limits: [20, 35, 100],
            scripts: vec![Preflight(0), Preflight(0), Preflight(1), Preflight(2)],
            crashes: 2,
        },
        Scenario {
            name: "a settlement and its delayed duplicate, beside another hold",
            limits: [20, 100, 100],
            scripts: vec![Preflight(0), Usage(0, 0), Usage(0, 0), Preflight(1)],
            crashes: 3,
        },
        Scenario {
            name: "a void against a settlement",
            limits: [20, 15, 100],
            scripts: vec![Preflight(0), Void(0), Usage(0, 0), Preflight(1)],
            crashes: 2,
        },
        Scenario {
            name: "an expiry against a settlement and late usage",
            limits: [30, 30, 100],
            scripts: vec![Preflight(0), Expire(0), Usage(0, 0), Usage(0, 1)],
            crashes: 2,
        },
        Scenario {
            name: "an expiry against a void, twice",
            limits: [30, 30, 100],
            scripts: vec![Preflight(0), Expire(0), Void(0), Expire(0)],
            crashes: 2,
        },
        Scenario {
            name: "a changed amount while two hold and one settles",
            limits: [20, 100, 100],
            scripts: vec![Preflight(0), Preflight(1), Usage(0, 0), ChangeAmount(10)],
            crashes: 2,
        },
        Scenario {
            name: "a moved user while their requests hold and settle",
            limits: [100, 20, 10],
            scripts: vec![Preflight(0), Preflight(1), Usage(0, 0), MoveUser],
            crashes: 2,
        },
        Scenario {
            name: "usage without a hold beside a hold and a change",
            limits: [40, 40, 40],
            scripts: vec![
                Usage(2, 2),
                Usage(2, 2),
                Preflight(0),
                ChangeAmount(5),
                MoveUser,
            ],
            crashes: 2,
        },
        Scenario {
            name: "everything at once",
            limits: [25, 20, 20],
            scripts: vec![
                Preflight(0),
                Preflight(1),
                Usage(0, 0),
                Usage(0, 1),
                Void(1),
                Expire(0),
                ChangeAmount(15),
                MoveUser,
            ],
            crashes: 1,
        },
    ]
}

fn run(scenario: &Scenario, mistake: Option<Mistake>) -> Result<Explored, String> {
    let world = World::new(scenario.limits, mistake);
    let processes: Vec<Process> = scenario
        .scripts
        .iter()
        .map(|script| Process::new(*script))
        .collect();
    explore(world, processes, scenario.crashes)
}

#[test]
fn the_laws_hold_in_every_state_of_every_interleaving() {
    for scenario in scenarios() {
        match run(&scenario, None) {
            Ok(explored) => {
                println!(
                    "{}: {} states, {} ends",
                    scenario.name, explored.states, explored.ends
                );
                assert!(explored.ends > 0 && explored.states > 100);
            }
            Err(violation) => panic!("{}: {violation}", scenario.name),
        }
    }
}

#[test]
fn each_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        let found = scenarios().iter().find_map(|scenario| {
            let violation = run(scenario, Some(mistake)).err()?;
            Some(format!("{}: {violation}", scenario.name))
        });
        match found {
            Some(found) => println!(
                "{mistake:?} is found in: {}",
                found.lines().next().unwrap_or_default()
            ),
            None => panic!("{mistake:?} was not found"),
        }
    }
}
