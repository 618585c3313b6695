//! The law of policies: over two months of events, what fires live and what a test says are both
//! what a naive evaluator finds. No amount is round, and events happen on the edges of minutes,
//! days and months.

use super::naive::{Budget, Fired, Happened, Measured, Naive, What, micro};
use super::{active, all, draft, publish, risk, tested};
use end_to_end::World;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BEGIN: Date = date(2026, 9, 28);
const END: Date = date(2026, 12, 4);
/// When bob goes to `sales`, and when back.
const MOVES: [(Date, &str); 2] = [
    (date(2026, 10, 20), "sales"),
    (date(2026, 11, 10), "engineering"),
];
const NOVEMBER: Date = date(2026, 11, 1);
/// The day on which one policy is published that was a draft until then.
const PUBLISHED: Date = date(2026, 10, 14);
/// The day on which something happens around eight o'clock.
const AT_EIGHT: Date = date(2026, 10, 6);
/// Local times at which something arrives: around those that the conditions name.
const TIMES: [[i8; 3]; 12] = [
    [0, 0, 0],
    [0, 0, 59],
    [0, 1, 0],
    [1, 30, 0],
    [5, 0, 59],
    [5, 1, 0],
    [8, 0, 0],
    [8, 0, 59],
    [8, 1, 0],
    [20, 59, 59],
    [21, 0, 0],
    [23, 59, 59],
];

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        let n = u64::try_from(to - from + 1).unwrap();
        from + i64::try_from(self.below(n)).unwrap()
    }
}

/// The policy of this name is published later than the others.
const LATE: &str = "published late";

fn policies() -> Vec<Value> {
    let all_actions = json!([
        {"type": "email_user"}, {"type": "email_manager"}, {"type": "create_incident"},
        {"type": "webhook", "url": "https://example.com"},
    ]);
    let policy = |name: &str, trigger: Value, combine: &str, conditions: Value, actions: Value| {
        json!({
            "name": name, "trigger": trigger, "match": combine, "conditions": conditions,
            "actions": actions,
        })
    };
    let budget = |subject: &str, name: &str, value: Value| {
        json!({
            "type": "token_budget_exceeded", "subject": subject, name: value,
        })
    };
    let risks = json!({"type": "ip_risk_event"});
    let used = |tokens: i64| budget("user", "tokens", json!(tokens));
    let none = json!([]);
    vec![
        policy("user tokens", used(3_001), "all", none.clone(), all_actions),
        policy(
            "user usd at night",
            budget("user", "usd", json!(0.004333)),
            "all",
            json!([{"field": "time_of_day", "op": "between", "value": ["21:00", "05:00"]}]),
            json!([{"type": "email_user"}, {"type": "create_incident"}]),
        ),
        policy(
            "departments",
            budget("department", "tokens", json!(4_007)),
            "any",
            json!([
                {"field": "department_id", "op": "eq_exact", "value": "engineering"},
                {"field": "token_count", "op": "gt", "value": 701},
            ]),
            json!([{"type": "email_manager"}]),
        ),
        policy(
            "share of a budget",
            budget("department", "budget_percent", json!(37)),
            "all",
            none.clone(),
            none.clone(),
        ),
        policy(
            "share of the nearest budget",
            budget("user", "budget_percent", json!(7)),
            "all",
            none.clone(),
            none.clone(),
        ),
        policy(
            "engineering by small models",
            json!({
                "type": "department_threshold", "department_id": "engineering", "tokens": 6_011,
            }),
            "all",
            json!([{"field": "model_id", "op": "matches", "value": "*mini"}]),
            none.clone(),
        ),
        policy(
            "most of sales",
            json!({"type": "department_threshold", "department_id": "sales", "budget_percent": 83}),
            "all",
            json!([{"field": "model_id", "op": "ne", "value": "special"}]),
            none.clone(),
        ),
        policy(
            "wild days",
            json!({"type": "unusual_usage_pattern", "min_days": 3, "deviations": 2.55}),
            "all",
            json!([{"field": "user_id", "op": "ne", "value": "sam"}]),
            json!([{"type": "email_user"}]),
        ),
        policy(
            "wild mornings",
            json!({
                "type": "unusual_usage_pattern", "min_days": 2, "deviations": 1, "min_tokens": 333,
            }),
            "all",
            json!([{"field": "time_of_day", "op": "gte", "value": "08:00"}]),
            none.clone(),
        ),
        policy(
            "grave risks",
            risks.clone(),
            "all",
            json!([
                {"field": "risk_level", "op": "gte", "value": "high"},
                {"field": "department_id", "op": "in", "value": ["engineering"]},
            ]),
            json!([{"type": "email_user"}, {"type": "email_manager"}]),
        ),
        policy(
            "risks at eight",
            risks.clone(),
            "all",
            json!([{"field": "time_of_day", "op": "between", "value": ["08:00", "08:00"]}]),
            none.clone(),
        ),
        policy(
            "risks of some",
            risks.clone(),
            "any",
            json!([
                {"field": "risk_level", "op": "between", "value": ["medium", "high"]},
                {"field": "user_id", "op": "not_in", "value": ["ada", "sam"]},
            ]),
            none.clone(),
        ),
        policy(
            "risks until five",
            risks,
            "all",
            json!([
                {"field": "time_of_day", "op": "lte", "value": "05:00"},
                {"field": "risk_level", "op": "ne", "value": "low"},
                {"field": "model_id", "op": "not_in", "value": ["gpt-4o"]},
            ]),
            none.clone(),
        ),
        policy(
            "first at eight",
            used(1),
            "all",
            json!([{"field": "time_of_day", "op": "between", "value": ["08:00", "08:00"]}]),
            none.clone(),
        ),
        policy(
            "around midnight",
            used(1),
            "any",
            json!([
                {"field": "time_of_day", "op": "lt", "value": "00:01"},
                {"field": "time_of_day", "op": "gt", "value": "23:58"},
            ]),
            none.clone(),
        ),
        policy(
            "odd requests",
            used(1),
            "all",
            json!([
                {"field": "token_count", "op": "in", "value": [7, 333]},
                {"field": "model_id", "op": "in", "value": ["gpt-4o", "special"]},
            ]),
            none.clone(),
        ),
        policy(
            "large requests outside",
            budget("department", "tokens", json!(1)),
            "all",
            json!([
                {"field": "token_count", "op": "between", "value": [334, 1_001]},
                {"field": "department_id", "op": "ne", "value": "engineering"},
            ]),
            none.clone(),
        ),
        policy(LATE, used(1_999), "all", none.clone(), none),
    ]
}

/// Two months of an organisation in a time zone.
struct Months {
    world: World,
    zone: TimeZone,
    random: Random,
    now: Timestamp,
    events: Vec<Happened>,
    /// The departments of bob from these moments on.
    moves: Vec<(Timestamp, &'static str)>,
    /// A hold of ada's that waits for its usage, and the month that it is of.
    hold: Option<(String, Date)>,
    budgets: Vec<Budget>,
}

impl Months {
    async fn begin(zone: &str, seed: u64) -> Self {
        let known = TimeZone::get(zone).unwrap();
        let now = BEGIN.at(12, 0, 0, 0).to_zoned_datetime(known.clone());
        let now = now.unwrap().timestamp();
        let world = World::with(SystemSettings {
            now: Some(now),
            delivers_events: false,
            ..SystemSettings::empty()
        })
        .await;
        // Usage of a model without a price counts in tokens only, which is simple to say again.
        let body = json!({ "timezone": zone, "unknown_model": "refuse" });
        world
            .admin("PATCH", "/v1/organisation", body)
            .await
            .expect(200);
        world.department("engineering", None).await;
        world.department("backend", Some("engineering")).await;
        world.department("sales", None).await;
        world.user("ada", "backend").await;
        world.user("bob", "engineering").await;
        world.user("sam", "sales").await;
        let mut budgets = Vec::new();
        for (department, unit, amount) in [
            (Some("engineering"), "tokens", 9_001),
            (Some("backend"), "usd", 30_011),
            (Some("sales"), "usd", 10_007),
            (None, "tokens", 90_001),
        ] {
            let shown = match unit {
                "usd" => dollars(amount),
                _ => json!(amount),
            };
            world.budget(department, unit, shown, false).await;
            budgets.push(Budget {
                department,
                unit,
                amounts: vec![(BEGIN.first_of_month(), amount)],
            });
        }
        Self {
            world,
            zone: known,
            random: Random(seed),
            now,
            events: Vec::new(),
            moves: vec![(now, "engineering")],
            hold: None,
            budgets,
        }
    }

    fn local(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    fn moment(&self, day: Date, [hour, minute, second]: [i8; 3]) -> Timestamp {
        let local = day.at(hour, minute, second, 0);
        local
            .to_zoned_datetime(self.zone.clone())
            .unwrap()
            .timestamp()
    }

    /// The department of a user at a moment; the first one if the moment is before all moves.
    fn path(&self, user: &str, at: Timestamp) -> Vec<&'static str> {
        let mut known = self.moves.iter().rev();
        let home = match user {
            "ada" => "backend",
            "sam" => "sales",
            _ => known
                .find(|(since, _)| *since <= at)
                .map_or("engineering", |(_, home)| *home),
        };
        match home {
            "backend" => vec!["engineering", "backend"],
            home => vec![home],
        }
    }

    async fn set_clock(&mut self, now: Timestamp) {
        self.now = now;
        self.world.set_clock(&now.to_string()).await;
    }

    /// The facts of something that arrives now and happened at `occurred`.
    fn happened(
        &self,
        id: String,
        occurred: Timestamp,
        user: Option<&'static str>,
        what: What,
    ) -> Happened {
        Happened {
            id,
            received: self.now,
            occurred,
            user,
            path: user.map_or_else(Vec::new, |user| self.path(user, occurred)),
            month: self.local(occurred).first_of_month(),
            what,
        }
    }

    /// When an event of now happened: mostly now, or some hours ago, on the edge of being judged as
    /// unusual, in the last second of the month before, or a little in the future.
    fn occurred(&mut self) -> Timestamp {
        let today = self.local(self.now);
        let hours = |hours: i64| SignedDuration::from_hours(hours);
        match self.random.below(16) {
            0 => self.now - hours(3),
            1 => self.now - hours(30),
            2 => self.moment(today - 2.days(), [0, 0, 0]),
            3 => self.moment(today - 3.days(), [23, 59, 59]),
            4 => self.moment(today.first_of_month() - 1.days(), [23, 59, 59]),
            5 => self.now - hours(24 * self.random.one_of(&[33, 70])),
            6 => self.now + SignedDuration::from_secs(200),
            _ => self.now,
        }
    }

    /// How many tokens somebody uses: odd numbers, and sometimes just what brings their month or
    /// their department's to what a policy looks for, or one less.
    fn tokens(&mut self, user: &str) -> i64 {
        let usual = match self.random.below(3) {
            0 => self.random.one_of(&[1, 7, 333, 334, 701, 702, 999, 1_001]),
            _ => self.random.number(1, 401),
        };
        if self.random.below(4) > 0 {
            return usual;
        }
        let month = self.local(self.now).first_of_month();
        let of_month = self.events.iter().filter(|event| event.month == month);
        let is_there = |event: &&Happened| match user {
            "sam" => event.user == Some("sam"),
            _ => event.path.contains(&"engineering"),
        };
        let is_own = |event: &&Happened| event.user == Some(user);
        let tokens = |event: &Happened| match event.what {
            What::Usage { tokens, .. } | What::Correction { tokens, .. } => tokens,
            What::Risk { .. } => 0,
        };
        let own: i64 = of_month.clone().filter(is_own).map(tokens).sum();
        let of_department: i64 = of_month.filter(is_there).map(tokens).sum();
        let goals = [
            (own, 1_999),
            (own, 3_001),
            (of_department, 3_331),
            (of_department, 4_007),
        ];
        let missing = goals.iter().map(|(total, goal)| goal - total);
        let nearest = missing.filter(|missing| (2..2_500).contains(missing)).min();
        nearest.map_or(usual, |missing| missing - self.random.number(0, 1))
    }

    /// An event of now, as it is sent and as it is for the naive evaluator.
    fn event(&mut self) -> Value {
        let id = format!("e-{:06}", self.events.len());
        let user = self.random.one_of(&["ada", "bob", "sam"]);
        if self.random.below(4) == 0 {
            let user = (self.random.below(3) > 0).then_some(user);
            let level = self.random.one_of(&["low", "medium", "high", "critical"]);
            let occurred = self.occurred();
            return self.risk(id, user, level, occurred);
        }
        let tokens = self.tokens(user);
        let model = self.random.one_of(&["gpt-4o", "gpt-4o-mini", "special"]);
        let occurred = self.occurred();
        self.usage(id, user, model, tokens, occurred)
    }

    fn risk(
        &mut self,
        id: String,
        user: Option<&'static str>,
        level: &'static str,
        occurred: Timestamp,
    ) -> Value {
        let mut event = risk(&self.world, &id, user, level);
        event["occurred_at"] = json!(occurred.to_string());
        let happened = self.happened(id, occurred, user, What::Risk { level });
        self.events.push(happened);
        event
    }

    fn usage(
        &mut self,
        id: String,
        user: &'static str,
        model: &'static str,
        tokens: i64,
        occurred: Timestamp,
    ) -> Value {
        let output = tokens % 13;
        let input = tokens - output;
        let mut event = self.world.usage(&id, user, input, output, None);
        event["model"] = json!(model);
        event["occurred_at"] = json!(occurred.to_string());
        let what = What::Usage {
            model,
            tokens,
            pico_usd: worth(model, input, output),
        };
        let happened = self.happened(id, occurred, Some(user), what);
        self.events.push(happened);
        event
    }

    /// Settles the hold that waits: it counts in the department and month of the hold.
    fn settle(&mut self) -> Option<Value> {
        let (hold, month) = self.hold.take()?;
        let id = format!("e-{:06}", self.events.len());
        let mut event = self.usage(id, "ada", "gpt-4o", 337, self.now);
        event["hold_id"] = json!(hold);
        self.events.last_mut().unwrap().month = month;
        Some(event)
    }

    async fn correct(&mut self) {
        let user = self.random.one_of(&["ada", "bob", "sam"]);
        let this = self.local(self.now).first_of_month();
        let month = self.random.one_of(&[this, this, this - 1.month()]);
        let tokens = self.random.number(-333, 57);
        let micro_usd = self.random.number(101, 997);
        let last = self.moment(month.last_of_month(), [23, 59, 59]);
        let body = |tokens: i64| {
            json!({
                "user_id": user, "month": &month.to_string()[..7], "tokens": tokens,
                "usd": dollars(micro_usd),
                "reason": "it was reported wrong",
            })
        };
        let path = "/v1/corrections";
        let answer = self.world.admin("POST", path, body(tokens)).await;
        // It takes away at most the recorded amount.
        let is_too_much = answer.status == 409 && tokens < 0;
        let tokens = if is_too_much { -tokens } else { tokens };
        if is_too_much {
            let answer = self.world.admin("POST", path, body(tokens)).await;
            answer.expect(201);
        } else {
            answer.expect(201);
        }
        let what = What::Correction {
            tokens,
            pico_usd: micro_usd * 1_000_000,
        };
        let id = format!("{:06}", self.events.len());
        let occurred = self.now.min(last);
        let corrected = self.happened(id, occurred, Some(user), what);
        self.events.push(Happened { month, ..corrected });
    }

    /// The moments of a day at which something arrives.
    fn moments(&mut self, day: Date) -> Vec<Timestamp> {
        let mut times = match day.weekday() {
            Weekday::Saturday | Weekday::Sunday if self.random.below(2) == 0 => Vec::new(),
            _ => vec![self.random.one_of(&TIMES)],
        };
        if self.random.below(5) == 0 {
            times.push(self.random.one_of(&TIMES));
        }
        if day == AT_EIGHT {
            times.extend([[7, 59, 59], [8, 0, 0], [8, 0, 59], [8, 1, 0]]);
        }
        if day == day.first_of_month() {
            times.push([0, 0, 0]);
        }
        if day == day.last_of_month() {
            times.push([23, 59, 59]);
        }
        if day == PUBLISHED || MOVES.iter().any(|(on, _)| *on == day) {
            times.push([12, 0, 0]);
        }
        times.sort_unstable();
        times.dedup();
        let moments = times.iter().map(|time| self.moment(day, *time));
        moments.filter(|at| *at > self.now).collect()
    }

    /// The changes in the organisation on a day, before anything arrives.
    async fn change(&mut self, day: Date, policy: &str) -> Option<Timestamp> {
        for (_, department) in MOVES.into_iter().filter(|(on, _)| *on == day) {
            let body = json!({ "department_id": department });
            self.world
                .admin("PATCH", "/v1/users/bob", body)
                .await
                .expect(200);
            self.moves.push((self.now, department));
        }
        if day == NOVEMBER {
            // The months before keep their amounts.
            let known = all(&self.world, "/v1/budgets").await;
            let of_engineering = |budget: &&Value| budget["department_id"] == "engineering";
            let known = known.iter().find(of_engineering).unwrap();
            let path = format!("/v1/budgets/{}", known["id"].as_str().unwrap());
            let body = json!({"amount": 7_003});
            self.world.admin("PATCH", &path, body).await.expect(200);
            self.budgets[0].amounts.push((NOVEMBER, 7_003));
        }
        if day == PUBLISHED {
            publish(&self.world, policy).await;
            return Some(self.now);
        }
        None
    }
}

fn dollars(micro_usd: i64) -> Value {
    json!(micro_usd as f64 / 1e6)
}

/// The price of a request in 10^-12 dollars: $2.50 and $10 a million tokens, $0.15 and $0.60, or no
/// price.
fn worth(model: &str, input: i64, output: i64) -> i64 {
    match model {
        "gpt-4o" => input * 2_500_000 + output * 10_000_000,
        "gpt-4o-mini" => input * 150_000 + output * 600_000,
        _ => 0,
    }
}

/// The facts of a firing: its event, user, department and figures.
type Said = (
    String,
    Option<String>,
    Option<String>,
    Option<(String, i64, i64)>,
);

fn said(fired: &Fired) -> Said {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let figures = |(unit, value, threshold): Measured| (unit.to_owned(), value, threshold);
    (
        fired.event.clone(),
        owned(fired.user),
        owned(fired.department),
        fired.measured.map(figures),
    )
}

/// The same as the API says it: `event_id` and `measured` are in `facts`.
fn said_by(of: &Value, event_id: &Value, measured: &Value) -> Said {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let figure = |name: &str| match measured["unit"] == "usd" {
        true => micro(&measured[name]),
        false => measured[name].as_i64().unwrap(),
    };
    let figures = text(&measured["unit"]).map(|unit| (unit, figure("value"), figure("threshold")));
    (
        text(event_id).unwrap(),
        text(&of["user_id"]),
        text(&of["department_id"]),
        figures,
    )
}

fn counted<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

async fn two_months(zone: &str, seed: u64) {
    let mut months = Months::begin(zone, seed).await;
    let begin = months.now;
    let mut ids = Vec::new();
    for policy in policies() {
        ids.push(match policy["name"] == LATE {
            true => draft(&months.world, policy).await,
            false => active(&months.world, policy).await,
        });
    }
    let late = ids.last().unwrap().clone();
    let mut published = None;
    let mut day = BEGIN;
    let mut changed = None;
    while day < END {
        for moment in months.moments(day) {
            months.set_clock(moment).await;
            if changed != Some(day) {
                changed = Some(day);
                published = months.change(day, &late).await.or(published);
            }
            let mut events: Vec<Value> = months.settle().into_iter().collect();
            if day == AT_EIGHT {
                let id = format!("e-{:06}", months.events.len());
                events.push(months.usage(id, "sam", "special", 7, moment));
                let id = format!("e-{:06}", months.events.len());
                events.push(months.risk(id, Some("sam"), "low", moment));
            }
            for _ in 0..months.random.number(1, 5) {
                events.push(months.event());
            }
            months.world.report(&events).await;
            if months.random.below(4) == 0 {
                // A queue delivers some events twice.
                months.world.report(&events).await;
            }
            if day == day.last_of_month() {
                let request = format!("r-{day}");
                let hold = months.world.hold("ada", &request, 311, 41).await;
                let month = months.local(moment).first_of_month();
                months.hold = Some((hold, month));
            }
            // Not in the last second of a month: the first one of the next is for something else.
            if day != day.last_of_month() && months.random.below(6) == 0 {
                months
                    .set_clock(moment + SignedDuration::from_secs(1))
                    .await;
                months.correct().await;
            }
        }
        day = day.tomorrow().unwrap();
    }
    let published = published.unwrap();
    let naive = Naive::new(&months.zone, &months.budgets, &months.events);
    let alerts = all(&months.world, "/v1/alerts").await;
    let mut silent = Vec::new();
    let mut most = 0;
    for (id, policy) in ids.iter().zip(policies()) {
        let name = &policy["name"];
        let case = format!("{name} in {zone}");
        let since = if *id == late { published } else { begin };
        let fired = naive.firings(&policy, since);
        let mut live: Vec<Said> = alerts
            .iter()
            .filter(|alert| alert["policy_id"] == *id)
            .map(|alert| {
                let facts = &alert["metadata"];
                said_by(alert, &facts["event"]["event_id"], &facts["measured"])
            })
            .collect();
        let mut wanted: Vec<Said> = fired.iter().map(said).collect();
        live.sort();
        wanted.sort();
        assert_eq!(live, wanted, "live: {case}");
        // A test looks at all that is known, whenever the policy was published.
        let fired = naive.firings(&policy, begin);
        if fired.is_empty() {
            silent.push(name.clone());
        }
        most = most.max(fired.len());
        for days in [90, 20, 3] {
            let from = months.now - SignedDuration::from_hours(24 * days);
            let case = format!("{case}, {days} days");
            compare_test(&months, &naive, id, &policy, &fired, (from, days), &case).await;
        }
    }
    assert!(most > 20, "a test shows no more than 20: {most}");
    assert!(silent.len() < 3, "never fired: {silent:?}");
    assert!(
        !silent.contains(&json!("risks at eight")) && !silent.contains(&json!("first at eight"))
    );
}

/// Compares what the test of a policy says of the last days with those of `fired` that are in them.
async fn compare_test(
    months: &Months,
    naive: &Naive<'_>,
    id: &str,
    policy: &Value,
    fired: &[Fired],
    (from, days): (Timestamp, i64),
    case: &str,
) {
    let test = tested(&months.world, id, days).await;
    let wanted: Vec<&Fired> = fired.iter().filter(|of| of.received >= from).collect();
    let arrived = naive.events().iter().filter(|of| of.received >= from);
    let arrived = arrived.filter(|of| of.is_event()).count();
    assert_eq!(test["events_evaluated"], arrived, "{case}");
    assert_eq!(test["would_trigger"], wanted.len(), "{case}: {test}");
    let by_user = counted(wanted.iter().filter_map(|of| of.user));
    assert_eq!(test["by_user"], json!(by_user), "{case}");
    let by_department = counted(wanted.iter().filter_map(|of| of.department));
    assert_eq!(test["by_department"], json!(by_department), "{case}");
    let by_day = counted(wanted.iter().map(|of| of.day.to_string()));
    assert_eq!(test["by_day"], json!(by_day), "{case}");
    let has = |kind: &str| {
        let mut actions = policy["actions"].as_array().unwrap().iter();
        u64::from(actions.any(|action| action["type"] == kind))
    };
    let all = wanted.len() as u64;
    let with_user = wanted.iter().filter(|of| of.user.is_some()).count() as u64;
    assert_eq!(
        test["would_do"],
        json!({
            "email_user": with_user * has("email_user"),
            "email_manager": all * has("email_manager"), "block_access": 0,
            "create_incident": all * has("create_incident"), "webhook": all * has("webhook"),
        }),
        "{case}"
    );
    let samples = test["samples"].as_array().unwrap().iter();
    let samples: Vec<Said> = samples
        .map(|sample| said_by(sample, &sample["event_id"], &sample["measured"]))
        .collect();
    let first = wanted.iter().take(20).map(|of| said(of));
    assert_eq!(samples, first.collect::<Vec<Said>>(), "{case}");
}

#[tokio::test]
async fn policies_fire_as_the_naive_evaluator_says_if_clocks_are_set_back_meanwhile() {
    two_months("America/New_York", 1).await;
}

#[tokio::test]
async fn policies_fire_as_the_naive_evaluator_says_if_hours_are_not_whole() {
    two_months("Asia/Kathmandu", 2).await;
}

#[tokio::test]
async fn policies_fire_as_the_naive_evaluator_says_if_days_begin_first() {
    two_months("Pacific/Auckland", 3).await;
}
