//! Every interleaving of a few requests on a month with several cells: holds with transfers,
//! gatherings and reopened counters, long answers and other debts, changed caps, splits, moved
//! users, audits, and a crash between any two calls. In every state the parts add up, no cap gives
//! what it does not have, and a request alone is held if it fits and refused if it does not.
//!
//! Each call is a step that is told again here; the conditions and effects of each write are the
//! domain's own.

mod changing;
mod charging;
mod ending;
mod holding;
mod mistakes;
mod process;
mod scenarios;
mod search;
mod world;

use mistakes::{MISTAKES, Mistake};
use scenarios::{Scenario, scenarios};
use search::{Explored, explore};

fn run(scenario: Scenario, mistake: Option<Mistake>) -> Result<Explored, String> {
    let Scenario {
        mut plan,
        world,
        scripts,
        crashes,
        ..
    } = scenario;
    plan.mistake = mistake;
    explore(&plan, world, &scripts, crashes)
}

#[test]
fn the_laws_of_several_cells_hold_in_every_state_of_every_interleaving() {
    for scenario in scenarios() {
        let name = scenario.name;
        match run(scenario, None) {
            Ok(explored) => {
                let Explored {
                    states,
                    worlds,
                    ends,
                } = explored;
                println!("{name}: {states} states, {worlds} worlds, {ends} ends");
                assert!(ends > 0 && states > 100, "{name}");
            }
            Err(violation) => panic!("{name}: {violation}"),
        }
    }
}

#[test]
fn each_planted_mistake_with_several_cells_is_found() {
    let mut missed = Vec::new();
    for (mistake, name) in MISTAKES {
        let mut scenarios = scenarios().into_iter();
        let scenario = scenarios.find(|scenario| scenario.name == *name);
        match run(scenario.unwrap(), Some(*mistake)) {
            Err(violation) => {
                let first = violation.lines().next().unwrap_or_default().to_owned();
                assert_ne!(first, "too many states", "{mistake:?}");
                println!("{mistake:?} is found in {name}: {first}");
            }
            Ok(_) => missed.push(format!("{mistake:?} is not found in {name}")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
