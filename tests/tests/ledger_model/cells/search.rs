//! The search: every order of steps and crashes, each state once.
//!
//! States share their parts: each world and each process exists once and has a number, and what a
//! process does in a world is computed once.

use super::process::{At, Process, Script, is_left_behind};
use super::world::{Plan, World};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;

/// More states than this means that a scenario is too large, not that the laws hold.
const MAX_STATES: usize = 1_000_000;
/// The most calls of a request that is alone.
const MAX_CALLS: usize = 30;

/// How much there was to see.
pub struct Explored {
    pub states: usize,
    pub worlds: usize,
    pub ends: usize,
}

/// Values with numbers.
struct Known<T> {
    numbers: HashMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
}

impl<T: Eq + Hash> Known<T> {
    fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            values: Vec::new(),
        }
    }

    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap();
        let value = Rc::new(value);
        self.numbers.insert(value.clone(), number);
        self.values.push(value);
        number
    }

    fn value(&self, number: u32) -> &T {
        &self.values[usize::try_from(number).unwrap()]
    }
}

/// The numbers of the world and of the processes, and how many crashes may come.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    world: u32,
    processes: Vec<u32>,
    crashes: u8,
}

struct Search<'a> {
    plan: &'a Plan,
    scripts: &'a [Script],
    worlds: Known<World>,
    processes: Known<Process>,
    /// What a process does in a world: the world and the process afterwards.
    steps: HashMap<(u32, u32), (u32, u32)>,
    looks: HashMap<(u32, u32), u32>,
    seen: HashSet<State>,
    open: Vec<State>,
}

/// Visits every state that `scripts` can reach from `world` with at most `crashes` crashes.
pub fn explore(
    plan: &Plan,
    world: World,
    scripts: &[Script],
    crashes: u8,
) -> Result<Explored, String> {
    let mut search = Search {
        plan,
        scripts,
        worlds: Known::new(),
        processes: Known::new(),
        steps: HashMap::new(),
        looks: HashMap::new(),
        seen: HashSet::new(),
        open: Vec::new(),
    };
    world.check()?;
    let each = scripts.iter().map(|script| Process::new(*script));
    let first = State {
        processes: each.map(|of| search.processes.number(of)).collect(),
        world: search.worlds.number(world),
        crashes,
    };
    search.visit(first)?;
    let mut ends = 0;
    while let Some(state) = search.open.pop() {
        if !search.advance(&state)? {
            ends += 1;
            search.check_end(&state)?;
        }
    }
    Ok(Explored {
        states: search.seen.len(),
        worlds: search.worlds.values.len(),
        ends,
    })
}

impl Search<'_> {
    fn visit(&mut self, state: State) -> Result<(), String> {
        if self.seen.len() > MAX_STATES {
            return Err("too many states".to_owned());
        }
        if self.seen.insert(state.clone()) {
            self.open.push(state);
        }
        Ok(())
    }

    /// Visits all states that follow. Returns whether any step changes something.
    fn advance(&mut self, state: &State) -> Result<bool, String> {
        let mut moved = false;
        for index in 0..state.processes.len() {
            let number = state.processes[index];
            if self.processes.value(number).is_done() {
                continue;
            }
            let (world, process) = self.step(state.world, number)?;
            let mut next = State {
                world,
                ..state.clone()
            };
            next.processes[index] = process;
            if self.plan.is_strict {
                for process in &mut next.processes {
                    *process = self.look(world, *process);
                }
            }
            moved |= next != *state;
            self.visit(next)?;
            if state.crashes > 0
                && let Some(crashed) = self.processes.value(number).crashed()
            {
                let mut next = state.clone();
                next.crashes -= 1;
                next.processes[index] = self.processes.number(crashed);
                self.visit(next)?;
            }
        }
        Ok(moved)
    }

    fn step(&mut self, world: u32, process: u32) -> Result<(u32, u32), String> {
        if let Some(known) = self.steps.get(&(world, process)) {
            return Ok(*known);
        }
        let mut after = self.worlds.value(world).clone();
        let mut stepped = self.processes.value(process).clone();
        stepped.step(self.plan, &mut after)?;
        let is_new = !self.worlds.numbers.contains_key(&after);
        if is_new {
            after.check()?;
            self.check_alone(&after)?;
        }
        let done = (self.worlds.number(after), self.processes.number(stepped));
        self.steps.insert((world, process), done);
        Ok(done)
    }

    fn look(&mut self, world: u32, process: u32) -> u32 {
        if let Some(known) = self.looks.get(&(world, process)) {
            return *known;
        }
        let mut looked = self.processes.value(process).clone();
        looked.look_at(self.plan, self.worlds.value(world));
        let looked = self.processes.number(looked);
        self.looks.insert((world, process), looked);
        looked
    }

    /// A request that is alone from now on is held if it fits, and refused if it does not.
    fn check_alone(&self, world: &World) -> Result<(), String> {
        let plan = Plan {
            is_strict: true,
            ..*self.plan
        };
        for script in self.scripts {
            let Script::Preflight(request, amount) = *script else {
                continue;
            };
            if world.resolutions.contains_key(&request) {
                continue;
            }
            let was_held = world.hold_of(request).is_some();
            let fits = world.fits(&plan, plan.users[usize::from(request)], amount);
            let (mut world, mut process) = (world.clone(), Process::new(*script));
            for _ in 0..MAX_CALLS {
                if process.is_done() {
                    break;
                }
                process.step(&plan, &mut world)?;
            }
            match process.at {
                At::Done if was_held || fits && world.hold_of(request).is_some() => {}
                At::Refused if !fits && !was_held => {}
                at => return Err(format!("request {request}, alone and {fits}, is {at:?}")),
            }
        }
        Ok(())
    }

    /// The law of a state in which nothing more will happen.
    fn check_end(&self, state: &State) -> Result<(), String> {
        let world = self.worlds.value(state.world);
        match (0..3).find(|request| is_left_behind(world, *request)) {
            Some(request) => Err(format!("hold {request} has ended and is still held")),
            None => Ok(()),
        }
    }
}
