//! The search: every order of steps and crashes, each state once.

use super::process::Process;
use super::world::World;
use std::collections::HashSet;

/// How much there was to see.
pub struct Explored {
    pub states: usize,
    pub ends: usize,
}

/// More states than this means that a scenario is too large, not that the laws hold.
const MAX_STATES: usize = 3_000_000;

type State = (World, Vec<Process>, u8);

/// Visits every state that `processes` can reach from `world` with at most `crashes` crashes.
pub fn explore(world: World, processes: Vec<Process>, crashes: u8) -> Result<Explored, String> {
    let events: Vec<u8> = processes.iter().filter_map(Process::event).collect();
    let first: State = (world, processes, crashes);
    let mut seen: HashSet<State> = HashSet::from([first.clone()]);
    let mut open = vec![first];
    let mut ends = 0;
    while let Some((world, processes, crashes)) = open.pop() {
        let mut moved = false;
        for index in 0..processes.len() {
            if processes[index].is_done() {
                continue;
            }
            let mut next = (world.clone(), processes.clone(), crashes);
            next.1[index].step(&mut next.0)?;
            next.0.check()?;
            moved |= next.0 != world || next.1 != processes;
            visit(next, &mut seen, &mut open)?;
            if crashes > 0
                && let Some(crashed) = processes[index].crashed()
            {
                let mut next = (world.clone(), processes.clone(), crashes - 1);
                next.1[index] = crashed;
                visit(next, &mut seen, &mut open)?;
            }
        }
        if !moved {
            ends += 1;
            // Usage of a refused hold waits for ever: nothing was used.
            let used = events
                .iter()
                .filter(|event| is_used(&processes, **event))
                .copied();
            world.check_end(&used.collect::<Vec<_>>())?;
        }
    }
    Ok(Explored {
        states: seen.len(),
        ends,
    })
}

fn is_used(processes: &[Process], event: u8) -> bool {
    processes
        .iter()
        .any(|process| process.event() == Some(event) && process.is_done())
}

fn visit(state: State, seen: &mut HashSet<State>, open: &mut Vec<State>) -> Result<(), String> {
    if seen.len() > MAX_STATES {
        return Err("too many states".to_owned());
    }
    if seen.insert(state.clone()) {
        open.push(state);
    }
    Ok(())
}
