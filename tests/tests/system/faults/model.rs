//! The naive model: the holds and the charges, as two plain lists. Every figure is summed
//! again from them, and none of this is the system's code.

use super::Facts;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The months that are looked at: the one in which everything begins, and the next.
pub(super) const MONTHS: [&str; 2] = ["2026-11", "2026-12"];
const DECEMBER: &str = "2026-12-01T00:00:00Z";
/// The place that something counts in.
pub(super) const LEVELS: [&str; 4] = ["org", "eng", "backend", "sales"];
pub(super) const UNITS: [&str; 2] = ["tokens", "usd"];
/// The lifetime of a hold if the organisation sets none.
const HOLD_SECONDS: i64 = 120;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The month of a moment; whatever was before them counts as the first.
pub(super) fn month_of(at: Timestamp) -> &'static str {
    MONTHS[usize::from(at >= time(DECEMBER))]
}

/// Sums of tokens and of 10^-12 dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) tokens: i64,
    pub(super) pico_usd: i64,
}

impl Sum {
    fn of(self, unit: &str) -> i64 {
        if unit == "usd" {
            self.pico_usd
        } else {
            self.tokens
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            pico_usd: self.pico_usd + other.pico_usd,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens - other.tokens,
            pico_usd: self.pico_usd - other.pico_usd,
        }
    }
}

/// The price of gpt-4o: $2.50 a million input tokens and $10 output.
fn worth(input: i64, output: i64) -> Sum {
    Sum {
        tokens: input + output,
        pico_usd: input * 2_500_000 + output * 10_000_000,
    }
}

/// What a budget in `unit` has, as it is counted: budgets are set in micro-dollars.
fn counted(unit: &str, set: i64) -> i64 {
    if unit == "usd" { set * 1_000_000 } else { set }
}

/// What people see of an amount that is used: micro-dollars, a part of one as a whole.
fn shown(unit: &str, used: i64) -> i64 {
    if unit == "usd" {
        (used + 999_999).div_euclid(1_000_000)
    } else {
        used
    }
}

/// Whether what happens on `path` counts at `level`.
fn counts(path: &str, level: &str) -> bool {
    level == "org" || path.contains(&format!("/{level}/"))
}

/// The departments of users and departments from a moment on.
#[derive(Clone, Debug)]
struct Whereabouts {
    since: Timestamp,
    parents: BTreeMap<&'static str, Option<&'static str>>,
    homes: BTreeMap<&'static str, &'static str>,
}

#[derive(Clone, Debug)]
struct Budget {
    level: &'static str,
    unit: &'static str,
    is_hard: bool,
    /// Its amount from each of these months on; zero if it was deleted.
    amounts: BTreeMap<&'static str, i64>,
    topped_up: BTreeMap<&'static str, i64>,
    is_deleted: bool,
}

impl Budget {
    fn amount(&self, month: &str) -> i64 {
        let mut latest = self.amounts.iter().rev();
        let known = latest.find(|(from, _)| **from <= month);
        known.map_or(0, |(_, amount)| *amount)
    }

    fn topped_up(&self, month: &str) -> i64 {
        self.topped_up.get(month).copied().unwrap_or(0)
    }
}

/// How a hold ended.
#[derive(Clone, Debug)]
enum End {
    Settled {
        event: &'static str,
        charged: Sum,
    },
    Voided,
    Expired {
        charged: Sum,
        offset_by: Option<&'static str>,
    },
}

/// A hold of ada's.
#[derive(Clone, Debug)]
struct Hold {
    request: &'static str,
    month: &'static str,
    path: String,
    amounts: Sum,
    /// Tokens that the exemption gave, and the levels that it stood in for.
    given: i64,
    covered: Vec<&'static str>,
    expires: Timestamp,
    is_renewed: bool,
    end: Option<End>,
}

/// A charge of an event or of an abandoned hold.
#[derive(Clone, Debug)]
struct Charge {
    /// How usage came to be charged, or `abandoned`, or `correction`.
    mark: &'static str,
    /// The event, if there is one.
    event: &'static str,
    month: &'static str,
    path: String,
    amounts: Sum,
    /// The part that an abandoned hold had paid.
    offset: Sum,
    given: i64,
    covered: Vec<&'static str>,
}

impl Charge {
    /// The amount that it adds to its department's total.
    fn of_department(&self) -> Sum {
        self.amounts.minus(self.offset)
    }

    fn is_usage(&self) -> bool {
        !matches!(self.mark, "abandoned" | "correction")
    }

    /// The number of requests that it adds to its department: zero if its abandoned hold was one
    /// already.
    fn requests(&self) -> i64 {
        i64::from(self.mark != "correction" && self.offset == Sum::default())
    }
}

/// An exemption of ada's: so many tokens more in each month.
#[derive(Clone, Debug)]
struct Exemption {
    tokens: i64,
    status: &'static str,
    was_approved: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) now: Timestamp,
    /// Whether abandoned holds are charged.
    pub(super) charges_abandoned: bool,
    whereabouts: Vec<Whereabouts>,
    budgets: Vec<Budget>,
    holds: Vec<Hold>,
    charges: Vec<Charge>,
    /// Events and idempotency keys that took effect.
    done: BTreeSet<&'static str>,
    exemption: Option<Exemption>,
    is_blocked: bool,
}

impl Model {
    /// `eng` > `backend` with ada, and `sales` with bob.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            charges_abandoned: false,
            whereabouts: vec![Whereabouts {
                since: now,
                parents: BTreeMap::from([("eng", None), ("backend", Some("eng")), ("sales", None)]),
                homes: BTreeMap::from([("ada", "backend"), ("bob", "sales")]),
            }],
            budgets: Vec::new(),
            holds: Vec::new(),
            charges: Vec::new(),
            done: BTreeSet::new(),
            exemption: None,
            is_blocked: false,
        }
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The path of ada's department at a moment, in the tree of then.
    fn path_at(&self, at: Timestamp) -> String {
        let mut known = self.whereabouts.iter().rev();
        let then = known.find(|then| then.since <= at);
        let then = then.unwrap_or(&self.whereabouts[0]);
        let mut path = "/".to_owned();
        let mut next = Some(then.homes["ada"]);
        while let Some(department) = next {
            path = format!("/{department}{path}");
            next = then.parents[department];
        }
        path
    }

    fn moved(&mut self, change: impl Fn(&mut Whereabouts)) {
        let mut then = self.whereabouts.last().unwrap().clone();
        then.since = self.now;
        change(&mut then);
        self.whereabouts.push(then);
    }

    pub(super) fn move_user(&mut self, department: &'static str) {
        self.moved(|then| {
            then.homes.insert("ada", department);
        });
    }

    pub(super) fn move_department(&mut self, department: &'static str, parent: &'static str) {
        self.moved(|then| {
            then.parents.insert(department, Some(parent));
        });
    }

    pub(super) fn block(&mut self) {
        self.is_blocked = true;
    }

    fn budget(&mut self, level: &str, unit: &str) -> Option<&mut Budget> {
        let mut known = self.budgets.iter_mut().filter(|budget| !budget.is_deleted);
        known.find(|budget| budget.level == level && budget.unit == unit)
    }

    /// Makes a budget, unless there is one of this level and unit.
    pub(super) fn create_budget(
        &mut self,
        level: &'static str,
        unit: &'static str,
        amount: i64,
        is_hard: bool,
    ) {
        if self.budget(level, unit).is_some() {
            return;
        }
        self.budgets.push(Budget {
            level,
            unit,
            is_hard,
            amounts: BTreeMap::from([(month_of(self.now), amount)]),
            topped_up: BTreeMap::new(),
            is_deleted: false,
        });
    }

    /// Months before it keep their amounts.
    pub(super) fn change_amount(&mut self, level: &str, unit: &str, amount: i64) {
        let month = month_of(self.now);
        if let Some(budget) = self.budget(level, unit) {
            budget.amounts.insert(month, amount);
        }
    }

    pub(super) fn delete_budget(&mut self, level: &str, unit: &str) {
        let month = month_of(self.now);
        if let Some(budget) = self.budget(level, unit) {
            budget.amounts.insert(month, 0);
            budget.is_deleted = true;
        }
    }

    /// Adds to a budget for the month, once for each key.
    pub(super) fn top_up(&mut self, key: &'static str, level: &str, unit: &str, more: i64) {
        let month = month_of(self.now);
        if !self.done.insert(key) {
            return;
        }
        if let Some(budget) = self.budget(level, unit) {
            *budget.topped_up.entry(month).or_default() += more;
        }
    }

    /// Corrects ada's November, once for each key: in their department at its end, or in today's if
    /// it goes on.
    pub(super) fn correct(&mut self, key: &'static str, amounts: Sum) {
        if !self.done.insert(key) {
            return;
        }
        let last = time(DECEMBER) - SignedDuration::from_secs(1);
        let path = self.path_at(self.now.min(last));
        self.charges.push(Charge {
            mark: "correction",
            event: "",
            month: MONTHS[0],
            path,
            amounts,
            offset: Sum::default(),
            given: 0,
            covered: Vec::new(),
        });
    }

    pub(super) fn ask_for_exemption(&mut self, tokens: i64) {
        self.exemption = Some(Exemption {
            tokens,
            status: "pending",
            was_approved: false,
        });
    }

    pub(super) fn approve(&mut self) {
        let exemption = self.exemption.as_mut().unwrap();
        if exemption.status == "pending" {
            exemption.status = "approved";
            exemption.was_approved = true;
        }
    }

    pub(super) fn revoke(&mut self) {
        self.exemption.as_mut().unwrap().status = "revoked";
    }

    fn spent(&self, level: &str, unit: &str, month: &str) -> i64 {
        let charges = self.charges.iter();
        let counted = charges.filter(|of| of.month == month && counts(&of.path, level));
        counted.map(|of| of.of_department().of(unit)).sum()
    }

    fn held_in<'a>(&'a self, month: &'a str) -> impl Iterator<Item = &'a Hold> {
        let of_month = self.holds.iter().filter(move |hold| hold.month == month);
        of_month.filter(|hold| hold.end.is_none())
    }

    fn held(&self, level: &str, unit: &str, month: &str) -> i64 {
        let counted = self.held_in(month).filter(|hold| counts(&hold.path, level));
        counted.map(|hold| hold.amounts.of(unit)).sum()
    }

    /// The amount that the exemption gave beyond the budget of a level.
    fn exempted(&self, level: &str, unit: &str, month: &str) -> i64 {
        if unit != "tokens" {
            return 0;
        }
        let held = self.held_in(month).filter(|of| of.covered.contains(&level));
        let charged = self.charges.iter().filter(|of| of.month == month);
        let charged = charged.filter(|of| of.covered.contains(&level));
        held.map(|of| of.given).sum::<i64>() + charged.map(|of| of.given).sum::<i64>()
    }

    /// The amount that the exemption gave in a month.
    fn given(&self, month: &str) -> i64 {
        let charged = self.charges.iter().filter(|of| of.month == month);
        let charged: i64 = charged.map(|of| of.given).sum();
        charged + self.held_in(month).map(|of| of.given).sum::<i64>()
    }

    /// The amount that remains at a level, with a budget or without one.
    fn available(&self, level: &str, unit: &str, month: &str) -> i64 {
        let of_level = self.budgets.iter().filter(|budget| budget.level == level);
        let of_level = of_level.filter(|budget| budget.unit == unit);
        let gives: i64 = of_level
            .map(|budget| budget.amount(month) + budget.topped_up(month))
            .sum();
        let gives = counted(unit, gives);
        gives + self.exempted(level, unit, month)
            - self.spent(level, unit, month)
            - self.held(level, unit, month)
    }

    /// The hard caps on a path that have less than is asked for.
    fn short(&self, path: &str, asked: Sum, month: &str) -> Vec<(&'static str, &'static str)> {
        let on_path = self.budgets.iter().filter(|budget| !budget.is_deleted);
        let hard = on_path.filter(|budget| budget.is_hard && counts(path, budget.level));
        let levels = hard.map(|budget| (budget.level, budget.unit));
        let has_less =
            |(level, unit): &(&str, &str)| self.available(level, unit, month) < asked.of(unit);
        levels.filter(has_less).collect()
    }

    /// The amount that the exemption gives if these caps are short, and the levels that it covers.
    fn raise(
        &self,
        short: &[(&'static str, &'static str)],
        path: &str,
        asked: Sum,
        month: &str,
    ) -> Option<(i64, Vec<&'static str>)> {
        let exemption = self.exemption.as_ref()?;
        let is_in_tokens = short.iter().all(|(_, unit)| *unit == "tokens");
        if exemption.status != "approved" || !is_in_tokens {
            return None;
        }
        let left = short.iter();
        let left = left.map(|(level, unit)| self.available(level, unit, month).max(0));
        let given = asked.tokens - left.min()?;
        if given > exemption.tokens - self.given(month) {
            return None;
        }
        let on_path = self.budgets.iter().filter(|budget| !budget.is_deleted);
        let covered = on_path.filter(|b| b.unit == "tokens" && counts(path, b.level));
        Some((given, covered.map(|budget| budget.level).collect()))
    }

    /// Lets the time of a hold be over.
    fn expire(&mut self, at: usize) {
        let hold = &mut self.holds[at];
        let charged = match self.charges_abandoned {
            true => hold.amounts,
            false => Sum::default(),
        };
        hold.end = Some(End::Expired {
            charged,
            offset_by: None,
        });
        if charged != Sum::default() {
            self.charges.push(Charge {
                mark: "abandoned",
                event: "",
                month: hold.month,
                path: hold.path.clone(),
                amounts: charged,
                offset: Sum::default(),
                given: 0,
                covered: Vec::new(),
            });
        }
    }

    /// The holds that have lapsed and were not released.
    fn lapsed(&self) -> Vec<usize> {
        let is_lapsed = |at: &usize| {
            let hold = &self.holds[*at];
            hold.end.is_none() && hold.expires <= self.now
        };
        (0..self.holds.len()).filter(is_lapsed).collect()
    }

    /// Asks for a hold for ada: the one that the same request has, or another if every hard cap has
    /// enough, or if the exemption gives the rest.
    pub(super) fn preflight(&mut self, request: &'static str, input: i64, output: i64) {
        if self.is_blocked {
            return;
        }
        let month = month_of(self.now);
        let same = self
            .holds
            .iter()
            .position(|hold| hold.request == request && hold.month == month && hold.end.is_none());
        if let Some(at) = same {
            if self.holds[at].expires > self.now {
                return;
            }
            self.expire(at);
        }
        let (asked, path) = (worth(input, output), self.path_at(self.now));
        // Lapsed holds are released before a request is refused, if that helps.
        let short = self.short(&path, asked, month);
        for at in self.lapsed() {
            let hold = &self.holds[at];
            let helps = short.iter().any(|(level, _)| counts(&hold.path, level));
            if helps && hold.month == month {
                self.expire(at);
            }
        }
        let short = self.short(&path, asked, month);
        let (given, covered) = match short.is_empty() {
            true => (0, Vec::new()),
            false => match self.raise(&short, &path, asked, month) {
                Some(raised) => raised,
                None => return,
            },
        };
        self.holds.push(Hold {
            request,
            month,
            path,
            amounts: asked,
            given,
            covered,
            expires: self.now + SignedDuration::from_secs(HOLD_SECONDS),
            is_renewed: false,
            end: None,
        });
    }

    /// The first hold of a request: the one that the client knows.
    fn first_of(&self, request: &str) -> usize {
        let mut holds = self.holds.iter();
        holds.position(|hold| hold.request == request).unwrap()
    }

    pub(super) fn void(&mut self, request: &str) {
        let at = self.first_of(request);
        self.holds[at].end.get_or_insert(End::Voided);
    }

    /// Lets a hold have more and live longer, or nothing of it: if it has ended, if a cap has too
    /// little, or if it is to grow and its month is over.
    pub(super) fn renew(&mut self, request: &str, tokens: i64, seconds: i64) {
        let at = self.first_of(request);
        let hold = self.holds[at].clone();
        if hold.end.is_some() || hold.expires <= self.now {
            return;
        }
        let mut amounts = hold.amounts;
        if tokens > amounts.tokens {
            amounts.pico_usd = (amounts.pico_usd * tokens + amounts.tokens - 1) / amounts.tokens;
            amounts.tokens = tokens;
            let gains = amounts.minus(hold.amounts);
            let is_over = hold.month < month_of(self.now);
            if is_over || !self.short(&hold.path, gains, hold.month).is_empty() {
                return;
            }
        }
        let until = self.now + SignedDuration::from_secs(seconds);
        let hold = &mut self.holds[at];
        hold.amounts = amounts;
        hold.expires = hold.expires.max(until);
        hold.is_renewed = true;
    }

    /// Counts an event of ada once: it settles the hold that it names, or is charged in its
    /// department; if it names none, in ada's department when it happened.
    pub(super) fn usage(
        &mut self,
        event: &'static str,
        request: Option<&str>,
        [input, output]: [i64; 2],
        at: Timestamp,
    ) {
        if !self.done.insert(event) {
            return;
        }
        let amounts = worth(input, output);
        let mut charge = Charge {
            mark: "unreserved",
            event,
            month: month_of(at),
            path: self.path_at(at),
            amounts,
            offset: Sum::default(),
            given: 0,
            covered: Vec::new(),
        };
        if let Some(request) = request {
            let at = self.first_of(request);
            let hold = &mut self.holds[at];
            charge.month = hold.month;
            charge.path.clone_from(&hold.path);
            let may_give = match &hold.end {
                None => true,
                Some(End::Expired { offset_by, .. }) => offset_by.is_none(),
                Some(End::Settled { .. } | End::Voided) => false,
            };
            if !hold.covered.is_empty() && may_give {
                // The caps pay first, up to the amount taken from them; the raise pays at most what
                // it gave.
                let own = hold.amounts.tokens - hold.given;
                charge.given = (amounts.tokens - own).clamp(0, hold.given);
                charge.covered.clone_from(&hold.covered);
            }
            charge.mark = match &mut hold.end {
                None => {
                    hold.end = Some(End::Settled {
                        event,
                        charged: amounts,
                    });
                    "settled"
                }
                Some(End::Settled { .. } | End::Voided) => "late",
                Some(End::Expired { charged, offset_by }) => {
                    let is_set_against = *charged != Sum::default() || hold.given > 0;
                    if is_set_against && offset_by.is_none() {
                        charge.offset = *charged;
                        *offset_by = Some(event);
                    }
                    "lapsed"
                }
            };
        }
        self.charges.push(charge);
    }

    /// Everything that the system must say by now. What has lapsed is released first.
    pub(super) fn facts(mut self) -> Facts {
        for at in self.lapsed() {
            self.expire(at);
        }
        let mut facts = Facts::new();
        self.people(&mut facts);
        self.budgets_now(&mut facts);
        let now = month_of(self.now);
        for month in MONTHS.into_iter().filter(|month| *month <= now) {
            for level in LEVELS {
                for unit in UNITS {
                    let left = self.available(level, unit, month);
                    facts.insert(
                        format!("{month} left at {level} in {unit}"),
                        left.to_string(),
                    );
                }
            }
            let live = self.held_in(month).count();
            facts.insert(format!("{month} holds"), live.to_string());
            self.totals(month, &mut facts);
        }
        let records: Vec<String> = self.charges.iter().map(record).collect();
        let resolutions = self.holds.iter().filter_map(resolution).collect();
        facts.insert("records".to_owned(), lines(records));
        facts.insert("resolutions".to_owned(), lines(resolutions));
        if let Some(exemption) = &self.exemption {
            let given: i64 = MONTHS.iter().map(|month| self.given(month)).sum();
            let given = match exemption.was_approved {
                true => given.to_string(),
                false => "null".to_owned(),
            };
            let said = format!("{}, gave {given}", exemption.status);
            facts.insert("exemption".to_owned(), said);
        }
        facts.insert("dead letters".to_owned(), "0".to_owned());
        facts
    }

    fn people(&self, facts: &mut Facts) {
        let then = self.whereabouts.last().unwrap();
        for (user, home) in &then.homes {
            let is_blocked = *user == "ada" && self.is_blocked;
            let said = format!("in {home}, blocked: {is_blocked}");
            facts.insert(format!("user {user}"), said);
        }
        for (department, parent) in &then.parents {
            let users = then.homes.values().filter(|home| *home == department);
            let parent = parent.unwrap_or("null");
            let said = format!("under {parent}, users: {}", users.count());
            facts.insert(format!("department {department}"), said);
        }
    }

    /// The budgets that there are, as the API shows them in the month that is now.
    fn budgets_now(&self, facts: &mut Facts) {
        let month = month_of(self.now);
        for budget in self.budgets.iter().filter(|budget| !budget.is_deleted) {
            let Budget { level, unit, .. } = budget;
            let amount = budget.amount(month);
            let beyond = self.exempted(level, unit, month) + budget.topped_up(month);
            let (spent, held) = (
                shown(unit, self.spent(level, unit, month)),
                shown(unit, self.held(level, unit, month)),
            );
            let remaining = amount + beyond - spent;
            let figures = [amount, 0, beyond, spent, held, remaining, remaining - held];
            facts.insert(
                format!("budget of {level} in {unit}"),
                format!("{figures:?}"),
            );
        }
    }

    /// Totals of departments and users.
    fn totals(&self, month: &str, facts: &mut Facts) {
        let mut departments: BTreeMap<&str, (Sum, i64)> = BTreeMap::new();
        let (mut user, mut requests, mut of_day) = (Sum::default(), 0, 0);
        for charge in self.charges.iter().filter(|of| of.month == month) {
            let (sum, count) = departments.entry(&charge.path).or_default();
            *sum = sum.plus(charge.of_department());
            *count += charge.requests();
            if charge.mark == "abandoned" {
                continue;
            }
            user = user.plus(charge.amounts);
            if charge.is_usage() {
                requests += 1;
                of_day += charge.amounts.tokens;
            }
        }
        for (path, (sum, count)) in departments {
            let figures = [sum.tokens, sum.pico_usd, count];
            note(facts, format!("{month} total of {path}"), &figures);
        }
        let figures = [user.tokens, user.pico_usd, requests];
        note(facts, format!("{month} total of ada"), &figures);
        note(facts, format!("{month} report of ada"), &figures);
        note(facts, format!("{month} last day of ada"), &[of_day]);
    }
}

/// Notes figures, unless all of them are zero.
pub(super) fn note(facts: &mut Facts, name: String, figures: &[i64]) {
    if figures.iter().any(|figure| *figure != 0) {
        facts.insert(name, format!("{figures:?}"));
    }
}

/// Lines in an order of their own.
pub(super) fn lines(mut lines: Vec<String>) -> String {
    lines.sort();
    lines.join("\n")
}

fn record(charge: &Charge) -> String {
    let Charge {
        mark,
        event,
        month,
        path,
        amounts,
        offset,
        ..
    } = charge;
    let figures = [
        amounts.tokens,
        amounts.pico_usd,
        offset.tokens,
        offset.pico_usd,
    ];
    format!("{mark} {event} {month} {path} {figures:?}")
}

/// The row at the place of a hold's resolution, if there is one.
fn resolution(hold: &Hold) -> Option<String> {
    let path = &hold.path;
    let figures = |charged: &Sum| format!("{:?}", [charged.tokens, charged.pico_usd]);
    match &hold.end {
        None => hold.is_renewed.then(|| "renewed".to_owned()),
        Some(End::Voided) => Some(format!("voided {path} [0, 0]")),
        Some(End::Settled { event, charged }) => {
            Some(format!("settled {path} {} {event}", figures(charged)))
        }
        Some(End::Expired { charged, offset_by }) => {
            let offset_by = offset_by.unwrap_or_default();
            Some(format!("expired {path} {} {offset_by}", figures(charged)))
        }
    }
}
