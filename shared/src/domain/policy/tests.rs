//! Random policies and events: the firings must be those of a second, naive evaluator, which
//! derives everything from all events each time.

use super::*;
use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::RiskLevel;
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::org::organisation::Organisation;
use crate::domain::period::Month;
use crate::domain::pricing::own::OwnPrices;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::{BTreeMap, BTreeSet};

const START: &str = "2026-10-30T20:00:00Z";
const USERS: [&str; 3] = ["ada", "bob", "sam"];
const DEPARTMENTS: [&str; 4] = ["eng", "backend", "data", "sales"];
const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "claude", "o"];
const LEVELS: [RiskLevel; 4] = [
    RiskLevel::Low,
    RiskLevel::Medium,
    RiskLevel::High,
    RiskLevel::Critical,
];

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn path_of(department: &str) -> Path {
    Path::from_text(match department {
        "backend" => "/eng/backend/",
        "data" => "/eng/data/",
        other => other,
    })
}

fn configuration() -> Configuration {
    let now = START.parse().unwrap();
    let zone = "Europe/Berlin".to_owned();
    let organisation = Organisation::new("acme".to_owned(), "Acme".to_owned(), zone, now);
    let budget = |node: u32, department: Option<&str>, unit: Unit, amount: i64, since: i8| Budget {
        id: format!("bud_{node}"),
        node,
        name: "b".to_owned(),
        since: Month::new(2026, since).unwrap(),
        top_ups: Vec::new(),
        department_id: department.map(str::to_owned),
        unit,
        amount,
        earlier_amounts: Vec::new(),
        hard_cap: false,
        thresholds: Vec::new(),
        rollover_cap_percent: None,
        earlier_rollovers: Vec::new(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let budgets = [
        budget(0, Some("eng"), Unit::Tokens, 1_000, 11),
        budget(1, Some("backend"), Unit::Usd, 2_001, 1),
        budget(2, Some("backend"), Unit::Tokens, 700, 12),
        budget(3, None, Unit::Tokens, 3_000, 1),
    ];
    Configuration {
        epoch: 1,
        tree: 0,
        policies: 1,
        organisation,
        departments: BTreeMap::new(),
        budgets: budgets.into_iter().map(|b| (b.id.clone(), b)).collect(),
        ended: Vec::new(),
        grants: Vec::new(),
        moves: Vec::new(),
        gone: Vec::new(),
        prices: OwnPrices::default(),
        next_department: 0,
        placement: Default::default(),
    }
}

fn texts(all: &'static [&'static str]) -> impl Strategy<Value = Vec<Scalar>> {
    let text = |text: &str| Scalar::Text(text.to_owned());
    subsequence(all, 1..=all.len()).prop_map(move |some| some.into_iter().map(text).collect())
}

fn scalars(field: Field) -> BoxedStrategy<Vec<Scalar>> {
    match field {
        Field::RiskLevel => subsequence(&LEVELS[..], 1..=4)
            .prop_map(|some| some.into_iter().map(Scalar::Level).collect())
            .boxed(),
        Field::UserId => texts(&USERS).boxed(),
        Field::DepartmentId => texts(&DEPARTMENTS).boxed(),
        Field::ModelId => texts(&["gpt-4o", "gpt*", "*mini", "*", "o", "*4*", "x"]).boxed(),
        Field::ModelAllowed => any::<bool>().prop_map(|is| vec![Scalar::Flag(is)]).boxed(),
        Field::TokenCount => {
            prop::collection::vec((0..300_i64).prop_map(Scalar::Number), 1..4).boxed()
        }
        Field::TimeOfDay => {
            prop::collection::vec((0..1_440_i64).prop_map(Scalar::Minute), 1..3).boxed()
        }
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let fields = [
        Field::RiskLevel,
        Field::UserId,
        Field::DepartmentId,
        Field::TokenCount,
        Field::TimeOfDay,
        Field::ModelId,
        Field::ModelAllowed,
    ];
    let of_field = |field: Field| {
        (
            Just(field),
            select(field.ops()),
            scalars(field),
            scalars(field),
        )
    };
    select(fields.to_vec())
        .prop_flat_map(of_field)
        .prop_map(|(field, op, values, others)| {
            let first = values[0].clone();
            let value = match op {
                Op::In | Op::NotIn => Operand::Several(values),
                Op::Between => Operand::Range(first, others[0].clone()),
                _ => Operand::One(first),
            };
            Condition { field, op, value }
        })
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        (1..1_500_i64).prop_map(Limit::Tokens),
        (1..4_000_i64).prop_map(Limit::Usd),
        (1..150_u32).prop_map(Limit::BudgetPercent),
    ]
}

fn trigger() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        Just(Trigger::IpRiskEvent),
        (
            select(&[TotalScope::User, TotalScope::Department][..]),
            limit()
        )
            .prop_map(|(subject, limit)| Trigger::TokenBudgetExceeded { subject, limit }),
        (select(&DEPARTMENTS[..]), limit()).prop_map(|(id, limit)| Trigger::DepartmentThreshold {
            department_id: id.to_owned(),
            limit,
        }),
        (100..500_i64, 1..5_usize, 0..300_i64).prop_map(
            |(deviation_hundredths, min_days, min_tokens)| {
                Trigger::UnusualUsagePattern(Unusual {
                    deviation_hundredths,
                    min_days,
                    min_tokens,
                })
            }
        ),
    ]
}

fn policy() -> impl Strategy<Value = ActivePolicy> {
    let combine = select(&[Match::All, Match::Any][..]);
    (trigger(), combine, prop::collection::vec(condition(), 0..4)).prop_map(
        |(trigger, combine, conditions)| ActivePolicy {
            id: "pol".to_owned(),
            version: 1,
            rule: Rule {
                name: "x".to_owned(),
                description: String::new(),
                trigger,
                combine,
                conditions,
                actions: vec![Action::EmailUser, Action::EmailManager],
            },
        },
    )
}

/// Events in order of arrival, some hours apart, some of them reported late.
fn events() -> impl Strategy<Value = Vec<Facts>> {
    let late = prop_oneof![4 => Just(0_i64), 1 => 1..80_i64, 1 => select(&[800_i64, 1_600][..])];
    let who = prop::option::weighted(0.9, select(&USERS[..]));
    let one = (
        0..30_i64,
        late,
        who,
        select(&DEPARTMENTS[..]),
        0..10_u32,
        0..400_i64,
        select(&MODELS[..]),
        select(&LEVELS[..]),
    );
    prop::collection::vec(one, 1..60).prop_map(|all| {
        let mut now: Timestamp = START.parse().unwrap();
        let zone = zone();
        let mut events = Vec::new();
        for (n, (hours, late, user, department, kind, tokens, model, risk_level)) in
            all.into_iter().enumerate()
        {
            now += SignedDuration::from_hours(hours);
            let occurred_at = now - SignedDuration::from_hours(late);
            let spent = Spent {
                period: Month::of(occurred_at, &zone),
                charged: Amounts::new(tokens, i128::from(tokens) * 3_000_001),
                offset: match kind % 2 {
                    0 => Amounts::ZERO,
                    _ => Amounts::new(tokens / 10, i128::from(tokens) * 1_000_003 / 7),
                },
            };
            let kind = match kind {
                2 => Kind::Correction(spent),
                0..3 => Kind::Risk {
                    risk_level,
                    repository: None,
                    summary: String::new(),
                },
                3 => Kind::AbandonedHold(spent),
                _ => Kind::Usage {
                    model: model.to_owned(),
                    matched: (tokens % 3 == 0).then(|| "gpt-4o".to_owned()),
                    is_allowed: tokens % 5 > 0,
                    spent,
                },
            };
            // Usage always has a user, and a charged hold never.
            let user = match kind {
                Kind::Usage { .. } => Some(user.unwrap_or("ada")),
                Kind::AbandonedHold(_) => None,
                Kind::Risk { .. } | Kind::Correction(_) => user,
            };
            let path = user.map_or_else(|| path_of(department), |_| path_of(department));
            let path = if matches!(kind, Kind::Risk { .. }) && user.is_none() {
                Path::default()
            } else {
                path
            };
            let user = user.map(str::to_owned);
            events.push(Facts::new(
                EventIdentity::from_key(&format!("e-{n:03}")),
                format!("e-{n:03}"),
                [now, occurred_at],
                &zone,
                user,
                path,
                kind,
            ));
        }
        events
    })
}

mod naive {
    use super::*;

    fn wildcard(text: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| wildcard(&text[at..], rest)),
            Some((first, rest)) => text.first() == Some(first) && wildcard(&text[1..], rest),
        }
    }

    /// Everything as a number or a text, by the name of the field.
    fn value(facts: &Facts, path: &Path, field: Field) -> Option<(i64, String)> {
        match field {
            Field::RiskLevel => match facts.kind {
                Kind::Risk { risk_level, .. } => Some((
                    LEVELS.iter().position(|l| *l == risk_level).unwrap() as i64,
                    String::new(),
                )),
                _ => None,
            },
            Field::TokenCount => match facts.kind {
                Kind::Usage { spent, .. } => Some((spent.charged.tokens, String::new())),
                _ => None,
            },
            Field::ModelId => match &facts.kind {
                Kind::Usage { model, .. } => Some((0, model.clone())),
                _ => None,
            },
            Field::ModelAllowed => match facts.kind {
                Kind::Usage { is_allowed, .. } => Some((i64::from(is_allowed), String::new())),
                _ => None,
            },
            Field::UserId => facts.user_id.clone().map(|id| (0, id)),
            Field::DepartmentId => (path.to_text() != "/").then(|| (0, path.to_text())),
            Field::TimeOfDay => {
                let local = facts.occurred_at.to_zoned_datetime(zone()).time();
                Some((
                    i64::from(local.hour()) * 60 + i64::from(local.minute()),
                    String::new(),
                ))
            }
        }
    }

    fn number(scalar: &Scalar) -> i64 {
        match scalar {
            Scalar::Level(level) => LEVELS.iter().position(|l| l == level).unwrap() as i64,
            Scalar::Number(number) | Scalar::Minute(number) => *number,
            Scalar::Flag(flag) => i64::from(*flag),
            Scalar::Text(_) => 0,
        }
    }

    fn is_equal(field: Field, (actual, text): &(i64, String), wanted: &Scalar) -> bool {
        match (field, wanted) {
            (Field::DepartmentId, Scalar::Text(id)) => text.contains(&format!("/{id}/")),
            (_, Scalar::Text(wanted)) => text == wanted,
            _ => *actual == number(wanted),
        }
    }

    /// A model has two names: a condition holds if it holds for one of them, a denial for both.
    fn holds(condition: &Condition, facts: &Facts, path: &Path) -> bool {
        if let (
            Field::ModelId,
            Kind::Usage {
                matched: Some(name),
                ..
            },
        ) = (condition.field, &facts.kind)
        {
            let mut other = facts.clone();
            let mut own = facts.clone();
            for (facts, name) in [(&mut other, Some(name.clone())), (&mut own, None)] {
                if let Kind::Usage { model, matched, .. } = &mut facts.kind {
                    *model = name.unwrap_or_else(|| model.clone());
                    *matched = None;
                }
            }
            let each = [own, other].map(|facts| holds(condition, &facts, path));
            return match condition.op {
                Op::Ne | Op::NotIn => each == [true, true],
                _ => each.contains(&true),
            };
        }
        let Condition {
            field,
            op,
            value: wanted,
        } = condition;
        let Some(actual) = value(facts, path, *field) else {
            return matches!(op, Op::Ne | Op::NotIn);
        };
        let all: Vec<&Scalar> = match wanted {
            Operand::One(one) => vec![one],
            Operand::Several(several) => several.iter().collect(),
            Operand::Range(from, to) => vec![from, to],
        };
        let first = number(all[0]);
        match op {
            Op::Eq | Op::In => all.iter().any(|one| is_equal(*field, &actual, one)),
            Op::Ne | Op::NotIn => all.iter().all(|one| !is_equal(*field, &actual, one)),
            Op::EqExact => actual.1.ends_with(&format!("/{}/", all[0])),
            Op::Gt => actual.0 > first,
            Op::Gte => actual.0 >= first,
            Op::Lt => actual.0 < first,
            Op::Lte => actual.0 <= first,
            Op::Matches => wildcard(actual.1.as_bytes(), all[0].to_string().as_bytes()),
            Op::Between => {
                let last = number(all[1]);
                let mut minutes = first..=last;
                if *field == Field::TimeOfDay && first > last {
                    return (first..1_440)
                        .chain(0..=last)
                        .any(|minute| minute == actual.0);
                }
                minutes.any(|minute| minute == actual.0)
            }
        }
    }

    fn conditions(rule: &Rule, facts: &Facts, path: &Path) -> bool {
        let held: Vec<bool> = rule
            .conditions
            .iter()
            .map(|c| holds(c, facts, path))
            .collect();
        held.is_empty()
            || match rule.combine {
                Match::All => !held.contains(&false),
                Match::Any => held.contains(&true),
            }
    }

    fn spent(facts: &Facts) -> Option<Spent> {
        match &facts.kind {
            Kind::Usage { spent, .. } | Kind::AbandonedHold(spent) | Kind::Correction(spent) => {
                Some(*spent)
            }
            Kind::Risk { .. } => None,
        }
    }

    fn of_user(seen: &[Facts], user: &str, period: Month, unit: Unit) -> i128 {
        let own = seen.iter().filter(|f| f.user_id.as_deref() == Some(user));
        own.filter_map(spent)
            .filter(|s| s.period == period)
            .map(|s| s.charged.of(unit))
            .sum()
    }

    fn of_department(seen: &[Facts], id: &str, period: Month, unit: Unit) -> i128 {
        let below = seen
            .iter()
            .filter(|f| f.path.to_text().contains(&format!("/{id}/")));
        let spent = below.filter_map(spent).filter(|s| s.period == period);
        spent.map(|s| s.charged.of(unit) - s.offset.of(unit)).sum()
    }

    fn reaches(limit: Limit, budgets: &[&Budget], total: impl Fn(Unit) -> i128) -> bool {
        let is = |unit: Unit, by_100: i64| {
            let by_100 = i128::from(by_100) * if unit == Unit::Usd { 1_000_000 } else { 1 };
            total(unit) > 0 && total(unit) * 100 >= by_100
        };
        match limit {
            Limit::Tokens(tokens) => is(Unit::Tokens, tokens * 100),
            Limit::Usd(micro_usd) => is(Unit::Usd, micro_usd * 100),
            Limit::BudgetPercent(percent) => budgets
                .iter()
                .any(|b| is(b.unit, b.amount * i64::from(percent))),
        }
    }

    fn is_unusual(unusual: &Unusual, seen: &[Facts], user: &str, day: Date) -> bool {
        let of_day = |day: Date| -> i64 {
            let own = seen
                .iter()
                .filter(|f| f.user_id.as_deref() == Some(user) && f.day == day);
            own.filter(|f| matches!(f.kind, Kind::Usage { .. }))
                .filter_map(spent)
                .map(|s| s.charged.tokens)
                .sum()
        };
        let mut days: Vec<i64> = (1..=28)
            .map(|ago| of_day(day - ago.days()))
            .filter(|n| *n > 0)
            .collect();
        let middle = |values: &mut Vec<i64>| {
            values.sort();
            let n = values.len();
            if n % 2 == 1 {
                values[n / 2]
            } else {
                (values[n / 2 - 1] + values[n / 2]) / 2
            }
        };
        if days.is_empty() || days.len() < unusual.min_days {
            return false;
        }
        let median = middle(&mut days);
        let mad = middle(&mut days.iter().map(|n| (n - median).abs()).collect());
        let scale = (mad * 14_826).max(median * 1_000).max(10_000);
        let above = (unusual.deviation_hundredths * scale / 1_000_000).max(1);
        let today = of_day(day);
        today > 0 && today >= median + above && today >= unusual.min_tokens
    }

    /// Returns the subjects for which the last of `seen` fires `rule`.
    pub(super) fn fires(
        rule: &Rule,
        seen: &[Facts],
        configuration: &Configuration,
    ) -> BTreeSet<String> {
        let facts = seen.last().unwrap();
        let steps: Vec<&String> = facts.path.0.iter().collect();
        let budgets = |id: &str, period: Month| -> Vec<&Budget> {
            configuration
                .budgets
                .values()
                .filter(|b| b.department_id.as_deref() == Some(id) && b.since <= period)
                .collect()
        };
        let up_to = |id: &str| {
            let at = steps.iter().position(|step| *step == id).unwrap();
            Path(facts.path.0[..=at].to_vec())
        };
        let mut found = BTreeSet::new();
        match (&rule.trigger, &facts.kind, &facts.user_id) {
            (Trigger::IpRiskEvent, Kind::Risk { .. }, _)
                if conditions(rule, facts, &facts.path) =>
            {
                found.insert(format!("event#{}", facts.identity));
            }
            (Trigger::UnusualUsagePattern(unusual), Kind::Usage { .. }, Some(user)) => {
                let is_late = facts.received_day > facts.day + 2.days();
                if !is_late
                    && is_unusual(unusual, seen, user, facts.day)
                    && conditions(rule, facts, &facts.path)
                {
                    found.insert(format!("day#{}#{user}", facts.day));
                }
            }
            (
                Trigger::TokenBudgetExceeded { subject, limit },
                Kind::Usage { spent, .. },
                Some(user),
            ) => {
                let period = spent.period;
                if period < facts.received_period.prev() {
                    return found;
                }
                if *subject == TotalScope::User {
                    // The nearest budget of the month: backend's in tokens, then eng's, then the
                    // organisation's.
                    let nearest: &[&str] = match facts.path.to_text().as_str() {
                        "/eng/backend/" => &["bud_2", "bud_1", "bud_0", "bud_3"],
                        "/eng/" | "/eng/data/" => &["bud_0", "bud_3"],
                        _ => &["bud_3"],
                    };
                    let nearest = nearest.iter().map(|id| &configuration.budgets[*id]);
                    let mut nearest = nearest.filter(|budget| budget.since <= period);
                    let nearest: Vec<&Budget> = nearest.next().into_iter().collect();
                    let total = |unit| of_user(seen, user, period, unit);
                    if reaches(*limit, &nearest, total) && conditions(rule, facts, &facts.path) {
                        found.insert(format!("user#{period}#{user}"));
                    }
                    return found;
                }
                for id in steps.iter().copied() {
                    let total = |unit| of_department(seen, id, period, unit);
                    if reaches(*limit, &budgets(id, period), total)
                        && conditions(rule, facts, &up_to(id))
                    {
                        found.insert(format!("department#{period}#{id}"));
                    }
                }
            }
            (
                Trigger::DepartmentThreshold {
                    department_id: id,
                    limit,
                },
                Kind::Usage { spent, .. },
                _,
            ) => {
                let period = spent.period;
                let is_below = steps.contains(&id) && period >= facts.received_period.prev();
                let total = |unit| of_department(seen, id, period, unit);
                if is_below
                    && reaches(*limit, &budgets(id, period), total)
                    && conditions(rule, facts, &up_to(id))
                {
                    found.insert(format!("department#{period}#{id}"));
                }
            }
            _ => {}
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn a_second_naive_evaluator_says_the_same(policy in policy(), events in events()) {
        let configuration = configuration();
        let needs = Needs::of([&policy.rule.trigger]);
        let mut usage_totals = UsageTotals::default();
        for at in 0..events.len() {
            usage_totals.count(&events[at], &needs);
            let fired = firings(&policy, &events[at], &usage_totals, &configuration);
            let fired: BTreeSet<String> = fired.iter().map(|f| f.subject.to_string()).collect();
            let expected = naive::fires(&policy.rule, &events[..=at], &configuration);
            prop_assert_eq!(fired, expected, "event {}", at);
        }
    }

    #[test]
    fn a_replay_counts_each_subject_once_and_may_stop_and_go_on_anywhere(
        policy in policy(), events in events(), stop in 0..60_usize, from in 0..60_usize,
    ) {
        let configuration = configuration();
        let window = Window {
            from: events[from.min(events.len() - 1)].received_at,
            to: events.last().unwrap().received_at,
        };
        let mut replay = Replay::new(policy.clone(), window);
        let mut expected = BTreeSet::new();
        let mut before = BTreeSet::new();
        for at in 0..events.len() {
            if at == stop {
                let text = serde_json::to_string(&replay).unwrap();
                replay = serde_json::from_str(&text).unwrap();
            }
            replay.arrive(&events[at], &configuration);
            let fired = naive::fires(&policy.rule, &events[..=at], &configuration);
            let is_within = events[at].received_at >= window.from;
            expected.extend(fired.difference(&before).filter(|_| is_within).cloned());
            before.extend(fired);
        }
        let is_event = |facts: &&Facts| matches!(facts.kind,
            Kind::Usage { .. } | Kind::Risk { .. });
        let evaluated = events.iter().filter(|facts| facts.received_at >= window.from);
        prop_assert_eq!(replay.tally.events_evaluated, evaluated.filter(is_event).count() as u64);
        prop_assert_eq!(replay.tally.would_trigger, expected.len() as u64);
        prop_assert_eq!(replay.tally.would_do.email_manager, expected.len() as u64);
        let of_days: u64 = replay.tally.by_day.values().sum();
        prop_assert_eq!(of_days, expected.len() as u64);
    }

    #[test]
    fn what_is_counted_and_taken_away_again_is_as_if_it_never_came(events in events()) {
        let needs = Needs { users: true, days: true, departments: true, named: BTreeSet::new() };
        let mut usage_totals = UsageTotals::default();
        for facts in &events {
            usage_totals.count(facts, &needs);
        }
        for facts in events.iter().rev() {
            usage_totals.subtract(facts, &needs);
        }
        for user in USERS {
            for facts in &events {
                prop_assert_eq!(usage_totals.of_user(user, facts.received_period), Amounts::ZERO);
            }
        }
        for department in DEPARTMENTS {
            for facts in &events {
                prop_assert_eq!(usage_totals.of_department(department, facts.received_period),
                    Amounts::ZERO);
            }
        }
    }
}

#[test]
fn an_edit_changes_what_will_be_published_and_never_what_was() {
    let rule = |name: &str| Rule {
        name: name.to_owned(),
        description: String::new(),
        trigger: Trigger::IpRiskEvent,
        combine: Match::All,
        conditions: Vec::new(),
        actions: vec![Action::EmailManager],
    };
    let now: Timestamp = START.parse().unwrap();
    let policy = |status, draft: Option<&str>| Policy {
        id: "pol_1".to_owned(),
        status,
        rule: rule("old"),
        draft: draft.map(rule),
        version: 3,
        created_at: now,
        updated_at: now,
        published_at: Some(now),
    };
    for (status, draft, published) in [
        (PolicyStatus::Draft, None, "new"),
        (PolicyStatus::Active, None, "old"),
        (PolicyStatus::Active, Some("draft"), "old"),
        (PolicyStatus::Disabled, None, "new"),
        (PolicyStatus::Disabled, Some("draft"), "old"),
    ] {
        let mut policy = policy(status, draft);
        assert_eq!(policy.newest().name, draft.unwrap_or("old"));
        policy.editable().name = "new".to_owned();
        assert_eq!(policy.newest().name, "new", "{status:?} {draft:?}");
        assert_eq!(policy.rule.name, published, "{status:?} {draft:?}");
    }
}
