//! Which schedules are tried. First those in which each actor does all of its calls at once, then
//! those with the fewest interruptions: somebody else goes on though one could, or one dies. An
//! interruption before a read costs twice as much, since what matters is mostly what happens
//! between a read and the write that follows from it. Then some by chance, with many.

use super::company::Company;
use super::laws::Laws;
use super::scenario::{Scenario, Script};
use super::stage;
use local::dynamodb::Call;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::str::FromStr;

/// How many schedules are tried for each actor, at most, and how many by chance.
const TRIED: usize = 10;
const BY_CHANCE: usize = 3;
/// The highest cost of the interruptions of a schedule.
const MOST: u32 = 3;
/// Names a schedule, as a run that fails prints it: then only that is tried.
const VARIABLE: &str = "SCHEDULE";

/// The fate of the actor whose call is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They get the answer.
    Answered,
    /// They die before the call.
    DiesBefore,
    /// The call takes effect, and they die.
    DiesAfter,
}

/// A choice: `2` is the call of actor 2; `2.1` the second of several that they make at once. With
/// `-` they die before it, with `+` after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    actor: usize,
    place: usize,
    fate: Fate,
}

impl Move {
    fn go(actor: usize) -> Self {
        Self {
            actor,
            place: 0,
            fate: Fate::Answered,
        }
    }

    fn call(self, calls: &[Call]) -> Option<&Call> {
        let mut own = calls.iter().filter(|call| call.actor == self.actor);
        own.nth(self.place)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.actor)?;
        if self.place > 0 {
            write!(f, ".{}", self.place)?;
        }
        f.write_str(match self.fate {
            Fate::Answered => "",
            Fate::DiesBefore => "-",
            Fate::DiesAfter => "+",
        })
    }
}

impl FromStr for Move {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fate = match text.chars().last() {
            Some('-') => Fate::DiesBefore,
            Some('+') => Fate::DiesAfter,
            _ => Fate::Answered,
        };
        let text = text.trim_end_matches(['-', '+']);
        let (actor, place) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self {
            actor: actor.parse()?,
            place: place.parse()?,
            fate,
        })
    }
}

/// Numbers that look as if by chance, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn of(text: &str) -> Self {
        let add = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        Self(text.bytes().fold(17, add))
    }

    /// A number below `most`.
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bits = bits ^ (bits >> 31);
        usize::try_from(bits % u64::try_from(most).unwrap()).unwrap()
    }
}

/// A choice that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    chosen: Move,
    /// The possible choices and their costs.
    others: Vec<(Move, u32)>,
    /// The call, for people.
    about: String,
}

/// Follows the given choices, and after them free ones, or by chance.
pub(super) struct Chooser {
    given: Vec<Move>,
    chance: Option<Numbers>,
    deaths: u8,
    /// Who made the last call.
    last: Option<usize>,
    steps: Rc<RefCell<Vec<Step>>>,
}

/// Whether a call changes something.
pub(super) fn is_write(call: &Call) -> bool {
    !["GetItem", "BatchGetItem", "Query", "Scan"].contains(&call.operation.as_str())
}

fn about(chosen: Move, call: &Call) -> String {
    let tables = ["Counters", "Ledger", "Governance", "Audit"].into_iter();
    let tables = tables.filter(|table| call.body.contains(&format!("\"{table}\"")));
    let tables: Vec<&str> = tables.collect();
    format!("{chosen}: {} {}", call.operation, tables.join(", "))
}

impl Chooser {
    fn new(scenario: &Scenario, given: Vec<Move>, chance: Option<Numbers>) -> Self {
        Self {
            given,
            chance,
            deaths: scenario.deaths,
            last: None,
            steps: Rc::default(),
        }
    }

    /// Chooses one of the calls that wait.
    pub(super) fn choose(&mut self, calls: &[Call]) -> (Fate, Call) {
        let at = self.steps.borrow().len();
        let mut options = self.options(calls, at == 0);
        let given = self.given.get(at).copied();
        let given = given.filter(|given| given.call(calls).is_some());
        let going = self.going(calls);
        let chosen = match (given, &mut self.chance) {
            (Some(given), _) => given,
            (None, Some(chance)) => by_chance(chance, calls, going, self.deaths),
            (None, None) => options[0].0,
        };
        let call = chosen.call(calls).unwrap().clone();
        options.retain(|(other, _)| *other != chosen);
        self.steps.borrow_mut().push(Step {
            chosen,
            others: options,
            about: about(chosen, &call),
        });
        self.last = Some(chosen.actor);
        if chosen.fate != Fate::Answered {
            self.deaths = self.deaths.saturating_sub(1);
            self.last = None;
        }
        (chosen.fate, call)
    }

    /// Who made the last call and could go on.
    fn going(&self, calls: &[Call]) -> Option<usize> {
        let is_here = |last: &usize| calls.iter().any(|call| call.actor == *last);
        self.last.filter(is_here)
    }

    /// The possible choices with their costs, the free ones first.
    fn options(&self, calls: &[Call], is_first: bool) -> Vec<(Move, u32)> {
        let going = self.going(calls);
        let usual = going.unwrap_or(calls[0].actor);
        let is_before_write = |actor: usize| {
            let call = Move::go(actor).call(calls);
            call.is_some_and(is_write)
        };
        let cost = match going {
            Some(going) if is_before_write(going) => 1,
            Some(_) => 2,
            None => u32::from(!is_first),
        };
        let mut options = vec![(Move::go(usual), 0)];
        let mut others: Vec<usize> = calls.iter().map(|call| call.actor).collect();
        others.dedup();
        others.retain(|actor| *actor != usual);
        options.extend(others.into_iter().map(|actor| (Move::go(actor), cost)));
        if self.deaths > 0 && is_before_write(usual) {
            let dies = Move {
                fate: Fate::DiesAfter,
                ..Move::go(usual)
            };
            options.push((dies, 1));
        }
        options
    }
}

/// The current actor continues in half of the cases; one in a dozen dies.
fn by_chance(chance: &mut Numbers, calls: &[Call], going: Option<usize>, deaths: u8) -> Move {
    let chosen = match going {
        Some(going) if chance.below(2) == 0 => Move::go(going),
        _ => {
            let call = &calls[chance.below(calls.len())];
            let own = calls.iter().filter(|other| other.actor == call.actor);
            let place = own.take_while(|other| other.number < call.number).count();
            Move {
                place,
                ..Move::go(call.actor)
            }
        }
    };
    let fate = match chance.below(24) {
        0 if deaths > 0 => Fate::DiesBefore,
        1 if deaths > 0 => Fate::DiesAfter,
        _ => Fate::Answered,
    };
    Move { fate, ..chosen }
}

fn text(steps: &[Step]) -> String {
    let moves = steps.iter().map(|step| step.chosen.to_string());
    moves.collect::<Vec<_>>().join(" ")
}

/// Runs once in a new world; returns the choices. If a law is broken, it prints the schedule.
fn run(name: &str, scenario: &Scenario, mut chooser: Chooser) -> Vec<Step> {
    let steps = chooser.steps.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let performing = async {
        let company = Company::new(&scenario.setting).await;
        let mut laws = Laws::new(&company, scenario).await;
        let outcomes = stage::perform(&company, scenario, &mut chooser, &mut laws).await;
        let is_reported = |script: &Script| matches!(script, Script::Report(_));
        if scenario.scripts.iter().any(is_reported) {
            company.world.system.drain().await.unwrap();
        }
        laws.end(&outcomes).await;
    };
    let performed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(performing)));
    let steps = steps.take();
    if let Err(panic) = performed {
        let each: Vec<&str> = steps.iter().map(|step| step.about.as_str()).collect();
        let schedule = text(&steps);
        eprintln!(
            "{name}: {:?}\n{}\nagain: {VARIABLE}='{schedule}' \
             cargo test -p end-to-end --test system schedules {name}",
            scenario.scripts,
            each.join("\n")
        );
        resume_unwind(panic);
    }
    steps
}

/// Takes one of those that cost least.
fn take_cheapest(
    open: &mut BTreeMap<u32, Vec<Vec<Move>>>,
    numbers: &mut Numbers,
) -> Option<(u32, Vec<Move>)> {
    let mut cheapest = open.first_entry()?;
    let cost = *cheapest.key();
    let all = cheapest.get_mut();
    let at = numbers.below(all.len());
    let given = all.swap_remove(at);
    if all.is_empty() {
        cheapest.remove();
    }
    Some((cost, given))
}

/// Tries the schedules of a scenario, in each of which every law must hold.
pub(super) fn explore(name: &str, scenario: &Scenario) {
    if let Ok(schedule) = std::env::var(VARIABLE) {
        let given = schedule.split_whitespace().map(str::parse);
        let given = given.collect::<Result<Vec<Move>, _>>().unwrap();
        run(name, scenario, Chooser::new(scenario, given, None));
        return;
    }
    let mut numbers = Numbers::of(name);
    let mut open: BTreeMap<u32, Vec<Vec<Move>>> = BTreeMap::from([(0, vec![Vec::new()])]);
    let most = TRIED * scenario.scripts.len();
    let (mut tried, mut calls) = (0_usize, 0_usize);
    while tried < most
        && let Some((cost, given)) = take_cheapest(&mut open, &mut numbers)
    {
        let length = given.len();
        let steps = run(name, scenario, Chooser::new(scenario, given, None));
        (tried, calls) = (tried + 1, calls.max(steps.len()));
        for (at, step) in steps.iter().enumerate().skip(length) {
            for (other, more) in &step.others {
                if cost + more <= MOST {
                    let before = steps[..at].iter().map(|step| step.chosen);
                    let given: Vec<Move> = before.chain([*other]).collect();
                    open.entry(cost + more).or_default().push(given);
                }
            }
        }
    }
    for number in 0..BY_CHANCE * scenario.scripts.len() {
        let chance = Numbers::of(&format!("{name} {number}"));
        let steps = run(
            name,
            scenario,
            Chooser::new(scenario, Vec::new(), Some(chance)),
        );
        (tried, calls) = (tried + 1, calls.max(steps.len()));
    }
    let all = if open.is_empty() { "all" } else { "some" };
    println!(
        "{name}: {tried} schedules of up to {calls} calls, {all} of those that cost at most {MOST}"
    );
    assert!(tried > scenario.scripts.len(), "{tried}");
}

/// A random schedule can be repeated: the same calls come in the same order.
pub(super) fn repeat(name: &str, scenario: &Scenario) {
    for number in 0..3 {
        let chance = Numbers::of(&format!("{name} {number}"));
        let chooser = Chooser::new(scenario, Vec::new(), Some(chance));
        let first = run(name, scenario, chooser);
        let given = text(&first);
        let given = given.split_whitespace().map(str::parse);
        let given = given.collect::<Result<Vec<Move>, _>>().unwrap();
        let again = run(name, scenario, Chooser::new(scenario, given, None));
        assert!(first.len() > scenario.scripts.len());
        assert_eq!(first, again);
    }
}
