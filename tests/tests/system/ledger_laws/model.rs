//! The naive model, which sums everything again.

use super::USERS;
use std::collections::{BTreeMap, BTreeSet};

/// gpt-4o: $2.50 a million input tokens, $10 output, in 10^-12 dollars a token.
const INPUT_PRICE: i64 = 2_500_000;
const OUTPUT_PRICE: i64 = 10_000_000;

pub(super) fn pico_usd(input: i64, output: i64) -> i64 {
    input * INPUT_PRICE + output * OUTPUT_PRICE
}

/// What people see of tokens or dollars that are used: millionths, and a part of one as a whole.
pub(super) fn shown(is_usd: bool, used: i64) -> i64 {
    if is_usd {
        (used + 999_999).div_euclid(1_000_000)
    } else {
        used
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) tokens: i64,
    pub(super) pico_usd: i64,
}

impl Sum {
    pub(super) fn of(self, is_usd: bool) -> i64 {
        if is_usd { self.pico_usd } else { self.tokens }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ModelHold {
    pub(super) id: String,
    pub(super) path: Vec<String>,
    pub(super) amounts: Sum,
    pub(super) expires: i64,
    pub(super) body: (i64, i64),
    pub(super) is_over: bool,
    /// Whether its owner gave it back while its usage waited to be recorded.
    pub(super) is_unwanted: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ModelBudget {
    pub(super) id: String,
    pub(super) department: Option<String>,
    pub(super) is_usd: bool,
    /// In tokens or micro-dollars.
    pub(super) amount: i64,
    pub(super) hard: bool,
}

impl ModelBudget {
    /// Its amount in tokens or 10^-12 dollars.
    fn gives(&self) -> i64 {
        if self.is_usd {
            self.amount * 1_000_000
        } else {
            self.amount
        }
    }

    pub(super) fn counts(&self, path: &[String]) -> bool {
        self.department
            .as_ref()
            .is_none_or(|department| path.contains(department))
    }
}

/// The department of each user from a moment on.
#[derive(Clone)]
pub(super) struct Whereabouts {
    since: i64,
    parents: BTreeMap<String, Option<String>>,
    homes: BTreeMap<String, String>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) now: i64,
    /// How many budgets were asked for.
    pub(super) asked: u32,
    pub(super) parents: BTreeMap<String, Option<String>>,
    pub(super) homes: BTreeMap<String, String>,
    pub(super) budgets: Vec<ModelBudget>,
    /// By user and request: the last hold of that name.
    pub(super) holds: BTreeMap<(usize, u8), ModelHold>,
    /// Holds whose name was taken by a later one.
    pub(super) earlier: Vec<ModelHold>,
    pub(super) charges: Vec<(Vec<String>, Sum)>,
    pub(super) counted: BTreeSet<String>,
    /// Reported and not yet delivered: what, whose, of which hold, how much and when it happened.
    pub(super) waiting: Vec<(String, usize, Option<String>, Sum, i64)>,
    /// After each move, in order.
    pub(super) whereabouts: Vec<Whereabouts>,
}

fn path_in(parents: &BTreeMap<String, Option<String>>, department: &str) -> Vec<String> {
    let mut path = vec![department.to_owned()];
    let mut next = parents[department].clone();
    while let Some(parent) = next {
        next = parents[&parent].clone();
        path.push(parent);
    }
    path
}

impl Model {
    pub(super) fn path(&self, department: &str) -> Vec<String> {
        path_in(&self.parents, department)
    }

    /// Notes that somebody or something has moved now.
    pub(super) fn note_move(&mut self) {
        self.whereabouts.push(Whereabouts {
            since: self.now,
            parents: self.parents.clone(),
            homes: self.homes.clone(),
        });
    }

    /// The path of a user at a moment; before everything, that of the beginning.
    fn path_at(&self, user: &str, at: i64) -> Vec<String> {
        let begin = self.whereabouts[0].since;
        let mut known = self.whereabouts.iter().rev();
        let then = known.find(|w| w.since <= at.max(begin)).unwrap();
        path_in(&then.parents, &then.homes[user])
    }

    fn all_holds(&self) -> impl Iterator<Item = &ModelHold> {
        self.holds.values().chain(&self.earlier)
    }

    pub(super) fn spent(&self, budget: &ModelBudget) -> i64 {
        let counted = self.charges.iter().filter(|(path, _)| budget.counts(path));
        counted.map(|(_, sum)| sum.of(budget.is_usd)).sum()
    }

    pub(super) fn held(&self, budget: &ModelBudget, with_lapsed: bool) -> i64 {
        let living = |hold: &&ModelHold| !hold.is_over && (with_lapsed || self.lives(hold));
        let mine = self
            .all_holds()
            .filter(living)
            .filter(|hold| budget.counts(&hold.path));
        mine.map(|hold| hold.amounts.of(budget.is_usd)).sum()
    }

    fn lives(&self, hold: &ModelHold) -> bool {
        hold.expires > self.now && !hold.is_unwanted
    }

    /// Whether its usage waits to be recorded.
    pub(super) fn waits(&self, hold: &ModelHold) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|(_, _, of, ..)| of.as_ref() == Some(&hold.id))
    }

    /// Whether it lives although its time is over or it was given back, because its usage waits. It
    /// may have ended before the usage was reported, or a call may have failed that would have kept
    /// it.
    pub(super) fn may_live(&self, hold: &ModelHold) -> bool {
        !hold.is_over && !self.lives(hold) && self.waits(hold)
    }

    /// The most that `budget` may have left.
    pub(super) fn available(&self, budget: &ModelBudget) -> i64 {
        budget.gives() - self.spent(budget) - self.held(budget, false)
    }

    /// The least that `budget` may have left, if all holds live that may.
    pub(super) fn surely_available(&self, budget: &ModelBudget) -> i64 {
        let mine = self
            .all_holds()
            .filter(|hold| self.may_live(hold) && budget.counts(&hold.path));
        let held: i64 = mine.map(|hold| hold.amounts.of(budget.is_usd)).sum();
        self.available(budget) - held
    }

    fn hold_of(&mut self, id: &str) -> Option<&mut ModelHold> {
        self.holds
            .values_mut()
            .chain(&mut self.earlier)
            .find(|hold| hold.id == id)
    }

    pub(super) fn deliver(&mut self) {
        for (event, user, hold, sum, at) in std::mem::take(&mut self.waiting) {
            if !self.counted.insert(event) {
                continue;
            }
            let path = match hold.and_then(|id| {
                self.hold_of(&id).map(|hold| {
                    hold.is_over = true;
                    hold.path.clone()
                })
            }) {
                Some(path) => path,
                None => self.path_at(USERS[user], at),
            };
            self.charges.push((path, sum));
        }
    }
}
