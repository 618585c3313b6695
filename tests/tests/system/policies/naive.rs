//! A naive evaluator of policies, after `docs/architecture.md`, `docs/decisions/0006-policies.md`
//! and the API's document. It reads a policy as it was sent and computes everything again, for each
//! event, from a plain list of what happened. It shares no code with the project.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const LEVELS: [&str; 4] = ["low", "medium", "high", "critical"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Usage {
        model: &'static str,
        tokens: i64,
        pico_usd: i64,
    },
    Risk {
        level: &'static str,
    },
    /// It counts for its user and department, but is not an event.
    Correction {
        tokens: i64,
        pico_usd: i64,
    },
}

/// An event or a correction, in the order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) id: String,
    pub(super) received: Timestamp,
    pub(super) occurred: Timestamp,
    pub(super) user: Option<&'static str>,
    /// The departments from the topmost to the user's own, at that time.
    pub(super) path: Vec<&'static str>,
    /// The first of the month in which it counts.
    pub(super) month: Date,
    pub(super) what: What,
}

impl Happened {
    /// Its place in the order of arrival: items of the same moment are sorted by what
    /// it is.
    fn arrival(&self) -> (Timestamp, String) {
        let user = self.user.unwrap_or_default();
        let name = match self.what {
            What::Usage { .. } => format!("llm_request#{user}#{}", self.id),
            What::Risk { .. } => format!("ip_risk#{user}#{}", self.id),
            What::Correction { .. } => format!("cor_{}", self.id),
        };
        (self.received, name)
    }

    fn amount(&self, unit: &str) -> i64 {
        match self.what {
            What::Usage {
                tokens, pico_usd, ..
            }
            | What::Correction { tokens, pico_usd } => {
                if unit == "usd" {
                    pico_usd
                } else {
                    tokens
                }
            }
            What::Risk { .. } => 0,
        }
    }

    pub(super) fn is_event(&self) -> bool {
        !matches!(self.what, What::Correction { .. })
    }
}

/// A budget, with its amount from each of these months on. There is one for each level here.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// None is the organisation's.
    pub(super) department: Option<&'static str>,
    pub(super) unit: &'static str,
    /// In tokens or micro-dollars.
    pub(super) amounts: Vec<(Date, i64)>,
}

impl Budget {
    fn amount(&self, month: Date) -> i64 {
        let mut amount = self.amounts[0].1;
        for (from, other) in &self.amounts {
            if *from <= month {
                amount = *other;
            }
        }
        amount
    }
}

/// The counted unit, the amount, and the limit.
pub(super) type Measured = (&'static str, i64, i64);

/// A policy that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) event: String,
    pub(super) received: Timestamp,
    /// The local day on which the event happened.
    pub(super) day: Date,
    pub(super) user: Option<&'static str>,
    /// The department whose total it is, or the user's.
    pub(super) department: Option<&'static str>,
    pub(super) measured: Option<Measured>,
}

/// For whom an event may fire a policy: the subject, for which it fires once, and the path of the
/// department.
type Look<'a> = (String, &'a [&'static str], Option<Measured>);

pub(super) struct Naive<'a> {
    zone: TimeZone,
    budgets: &'a [Budget],
    /// In order of arrival.
    events: Vec<Happened>,
    /// The local day on which each of them happened.
    days: Vec<Date>,
}

impl<'a> Naive<'a> {
    pub(super) fn new(zone: &TimeZone, budgets: &'a [Budget], events: &[Happened]) -> Self {
        let mut events = events.to_vec();
        events.sort_by_key(Happened::arrival);
        let days = events.iter().map(|of| zone.to_datetime(of.occurred).date());
        Self {
            zone: zone.clone(),
            budgets,
            days: days.collect(),
            events,
        }
    }

    pub(super) fn events(&self) -> &[Happened] {
        &self.events
    }

    /// Every firing of a policy that was published at `since`, in order of arrival.
    pub(super) fn firings(&self, policy: &Value, since: Timestamp) -> Vec<Fired> {
        let mut done = BTreeSet::new();
        let mut fired = Vec::new();
        for at in 0..self.events.len() {
            let event = &self.events[at];
            if event.received < since {
                continue;
            }
            for (subject, path, measured) in self.looks(&policy["trigger"], at) {
                if !self.conditions_hold(policy, event, path) || !done.insert(subject) {
                    continue;
                }
                fired.push(Fired {
                    event: event.id.clone(),
                    received: event.received,
                    day: self.days[at],
                    user: event.user,
                    department: path.last().copied(),
                    measured,
                });
            }
        }
        fired
    }

    fn day(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    fn looks(&self, trigger: &Value, at: usize) -> Vec<Look<'_>> {
        let event = &self.events[at];
        let is_usage = matches!(event.what, What::Usage { .. });
        let path = event.path.as_slice();
        let month = event.month;
        // Only this month's totals and the last one's are looked at.
        let earliest = self.day(event.received).first_of_month() - 1.month();
        let is_counted = is_usage && month >= earliest;
        let mut looks = Vec::new();
        match trigger["type"].as_str().unwrap() {
            "ip_risk_event" if matches!(event.what, What::Risk { .. }) => {
                looks.push((format!("event {}", event.id), path, None));
            }
            "token_budget_exceeded" if is_counted && trigger["subject"] == "user" => {
                let user = event.user.unwrap();
                let nearest = path.iter().rev().map(|id| Some(*id)).chain([None]);
                let mut budgets = nearest.filter_map(|of| self.budget(of));
                let total = |unit: &str| self.total(at, month, unit, |e| e.user == Some(user));
                let measured = reached(trigger, budgets.next(), month, total);
                let subject = format!("user {user} {month}");
                looks.extend(measured.map(|measured| (subject, path, Some(measured))));
            }
            "token_budget_exceeded" if is_counted => {
                for depth in 1..=path.len() {
                    looks.extend(self.department(trigger, at, &path[..depth]));
                }
            }
            "department_threshold" if is_counted => {
                let named = trigger["department_id"].as_str().unwrap();
                let depth = path.iter().position(|id| *id == named);
                let found = depth.map(|depth| self.department(trigger, at, &path[..=depth]));
                looks.extend(found.flatten());
            }
            "unusual_usage_pattern" if is_usage => {
                let day = self.days[at];
                let user = event.user.unwrap();
                let is_late = self.day(event.received) > day + 2.days();
                let measured = self.unusual(trigger, at, user, day);
                let measured = measured.filter(|_| !is_late);
                let subject = format!("day {user} {day}");
                looks.extend(measured.map(|measured| (subject, path, Some(measured))));
            }
            _ => {}
        }
        looks
    }

    /// The last department of a path, if its total has reached the limit.
    fn department<'b>(
        &self,
        trigger: &Value,
        at: usize,
        path: &'b [&'static str],
    ) -> Option<Look<'b>> {
        let (id, month) = (*path.last()?, self.events[at].month);
        let total = |unit: &str| self.total(at, month, unit, |e| e.path.contains(&id));
        let measured = reached(trigger, self.budget(Some(id)), month, total)?;
        Some((format!("department {id} {month}"), path, Some(measured)))
    }

    fn budget(&self, department: Option<&str>) -> Option<&Budget> {
        let mut budgets = self.budgets.iter();
        budgets.find(|budget| budget.department == department)
    }

    /// The usage that counts in a month and arrived up to an event, that one included.
    fn total(&self, at: usize, month: Date, unit: &str, is_of: impl Fn(&Happened) -> bool) -> i64 {
        let arrived = self.events[..=at].iter();
        let counted = arrived.filter(|event| event.month == month && is_of(event));
        counted.map(|event| event.amount(unit)).sum()
    }

    /// The usage of a user on a local day, as far as it has arrived.
    fn of_day(&self, at: usize, user: &str, day: Date) -> i64 {
        let arrived = self.events[..=at].iter().zip(&self.days);
        let own = arrived.filter(|(event, on)| **on == day && event.user == Some(user));
        let usage = own.filter(|(event, _)| matches!(event.what, What::Usage { .. }));
        usage.map(|(event, _)| event.amount("tokens")).sum()
    }

    /// A day against the 28 before it on which anything was used: median + deviations x scale. The
    /// scale is 1.4826 x the median of how far they are from it, and at least a tenth of the median
    /// and one token. Fractions are left out.
    fn unusual(&self, trigger: &Value, at: usize, user: &str, day: Date) -> Option<Measured> {
        let before = (1..=28_i64).map(|ago| self.of_day(at, user, day - ago.days()));
        let days: Vec<i64> = before.filter(|tokens| *tokens > 0).collect();
        let least = trigger["min_days"].as_u64().unwrap_or(7);
        if days.is_empty() || (days.len() as u64) < least {
            return None;
        }
        let middle = median(&days);
        let away: Vec<i64> = days.iter().map(|of| (of - middle).abs()).collect();
        let hundredths = (trigger["deviations"].as_f64().unwrap_or(3.0) * 100.0).round() as i64;
        // In millionths of a token.
        let scale = (median(&away) * 14_826).max(middle * 1_000).max(10_000) * hundredths;
        let threshold = middle + (scale / 1_000_000).max(1);
        let threshold = threshold.max(trigger["min_tokens"].as_i64().unwrap_or(0));
        let today = self.of_day(at, user, day);
        (today > 0 && today >= threshold).then_some(("tokens", today, threshold))
    }

    fn conditions_hold(&self, policy: &Value, event: &Happened, path: &[&str]) -> bool {
        let conditions = policy["conditions"].as_array();
        let each = conditions.into_iter().flatten();
        let held: Vec<bool> = each.map(|c| self.holds(c, event, path)).collect();
        match policy["match"].as_str() {
            Some("any") => held.is_empty() || held.contains(&true),
            _ => !held.contains(&false),
        }
    }

    fn holds(&self, condition: &Value, event: &Happened, path: &[&str]) -> bool {
        let field = condition["field"].as_str().unwrap();
        let op = condition["op"].as_str().unwrap();
        let value = &condition["value"];
        let texts = |matches: &dyn Fn(&str) -> bool| compared(op, value, matches);
        match field {
            // A missing field equals nothing.
            "user_id" | "model_id" => {
                let actual = match (field, &event.what) {
                    ("user_id", _) => event.user,
                    (_, What::Usage { model, .. }) => Some(*model),
                    _ => None,
                };
                match (op, actual) {
                    ("matches", Some(actual)) => wildcard(actual, value.as_str().unwrap()),
                    ("matches", None) => false,
                    _ => texts(&|wanted: &str| actual == Some(wanted)),
                }
            }
            // Itself and its descendants; exactly one.
            "department_id" if op == "eq_exact" => path.last().copied() == value.as_str(),
            "department_id" => texts(&|wanted: &str| path.contains(&wanted)),
            _ => {
                let local = self.zone.to_datetime(event.occurred);
                let actual = match (field, &event.what) {
                    ("risk_level", What::Risk { level }) => Some(number(field, &json!(level))),
                    ("token_count", What::Usage { tokens, .. }) => Some(*tokens),
                    ("time_of_day", _) => {
                        Some(i64::from(local.hour()) * 60 + i64::from(local.minute()))
                    }
                    _ => None,
                };
                numbers(op, field, value, actual)
            }
        }
    }
}

/// Equal to one value or to one of several, or to none of them.
fn compared(op: &str, value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    let one = || is(value.as_str().unwrap());
    let any = || {
        let mut values = value.as_array().unwrap().iter();
        values.any(|value| is(value.as_str().unwrap()))
    };
    match op {
        "eq" => one(),
        "ne" => !one(),
        "in" => any(),
        "not_in" => !any(),
        other => panic!("{other}"),
    }
}

/// A level by its rank, a time of day in minutes, or the number itself.
fn number(field: &str, value: &Value) -> i64 {
    match (field, value.as_str()) {
        ("risk_level", Some(level)) => {
            let rank = LEVELS.iter().position(|of| *of == level);
            i64::try_from(rank.unwrap()).unwrap()
        }
        ("time_of_day", Some(time)) => {
            let hour: i64 = time[..2].parse().unwrap();
            let minute: i64 = time[3..].parse().unwrap();
            hour * 60 + minute
        }
        _ => value.as_i64().unwrap(),
    }
}

fn numbers(op: &str, field: &str, value: &Value, actual: Option<i64>) -> bool {
    let Some(actual) = actual else {
        return matches!(op, "ne" | "not_in");
    };
    let values: Vec<i64> = match value {
        Value::Array(values) => values.iter().map(|value| number(field, value)).collect(),
        one => vec![number(field, one)],
    };
    match op {
        "eq" => actual == values[0],
        "ne" => actual != values[0],
        "in" => values.contains(&actual),
        "not_in" => !values.contains(&actual),
        "gt" => actual > values[0],
        "gte" => actual >= values[0],
        "lt" => actual < values[0],
        "lte" => actual <= values[0],
        "between" if field == "time_of_day" => {
            // A hand goes round the clock from the first to the second.
            let mut minute = values[0];
            while minute != actual && minute != values[1] {
                minute = (minute + 1) % 1_440;
            }
            minute == actual
        }
        "between" => actual >= values[0] && actual <= values[1],
        other => panic!("{other}"),
    }
}

fn wildcard(text: &str, pattern: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            (0..=text.len()).any(|at| wildcard(&text[at..], rest))
        }
        Some(first) => text.starts_with(first) && wildcard(&text[1..], &pattern[1..]),
    }
}

/// Returns the part of a limit that a total has reached: a number of tokens or dollars, or a share
/// of a budget's amount, shown as whole tokens or micro-dollars. A total of zero never reaches a
/// limit.
fn reached(
    trigger: &Value,
    budget: Option<&Budget>,
    month: Date,
    total: impl Fn(&str) -> i64,
) -> Option<Measured> {
    // Limits are set in micro-dollars, and usage counts in parts of one.
    let parts = |unit: &str| if unit == "usd" { 1_000_000 } else { 1 };
    let (unit, by_100) = match (&trigger["tokens"], &trigger["usd"]) {
        (Value::Null, Value::Null) => {
            let budget = budget?;
            let percent = trigger["budget_percent"].as_i64().unwrap();
            (budget.unit, budget.amount(month) * percent)
        }
        (Value::Null, usd) => ("usd", micro(usd) * 100),
        (tokens, _) => ("tokens", tokens.as_i64().unwrap() * 100),
    };
    let value = total(unit);
    let parts = parts(unit);
    let is_reached = value > 0 && value * 100 >= by_100 * parts;
    // People see a part as a whole.
    let shown = (value + parts - 1).div_euclid(parts);
    is_reached.then_some((unit, shown, (by_100 + 99) / 100))
}

/// A JSON number of dollars in micro-dollars.
pub(super) fn micro(usd: &Value) -> i64 {
    (usd.as_f64().unwrap() * 1e6).round() as i64
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    (low + high) / 2
}

#[test]
fn the_naive_evaluator_reads_the_clock_as_people_do() {
    let is = |from: &str, to: &str, at: &str| {
        let actual = number("time_of_day", &json!(at));
        numbers("between", "time_of_day", &json!([from, to]), Some(actual))
    };
    assert!(is("08:00", "08:00", "08:00"));
    assert!(!is("08:00", "08:00", "08:01") && !is("08:00", "08:00", "07:59"));
    assert!(is("21:00", "05:00", "00:00") && is("21:00", "05:00", "05:00"));
    assert!(!is("21:00", "05:00", "05:01") && !is("21:00", "05:00", "20:59"));
    assert!(is("05:00", "21:00", "05:00") && !is("05:00", "21:00", "21:01"));
}
