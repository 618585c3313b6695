//! Two years of an organisation's months, in time zones of both hemispheres.

use super::model::{Budget, Calendar, Row, month_of, next, start};
use super::{fire, history, quiet_world};
use end_to_end::{AGENT, World};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use shared::domain::amount::micro_usd_from_json;

/// gpt-4o: $2.50 a million input tokens, in 10^-12 dollars.
fn pico_usd(tokens: i64) -> i64 {
    tokens * 2_500_000
}

/// A small generator, so that every run is the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn tokens(&mut self, most: u64) -> i64 {
        i64::try_from(self.below(most)).unwrap()
    }
}

struct Years {
    world: World,
    zone: TimeZone,
    now: Timestamp,
    chance: Chance,
    ids: [String; 3],
    /// The organisation's tokens, the department's dollars, the department's tokens with a hard
    /// cap.
    budgets: Vec<Budget>,
    calendar: Calendar,
    events: u32,
    /// Usage that is not reported yet: the time of its report, and the event.
    late: Vec<(Timestamp, i64, Timestamp)>,
    /// The month up to which the model has seen the ends.
    seen: Date,
}

impl Years {
    async fn go(&mut self, to: Timestamp) {
        assert!(to >= self.now);
        while self.seen < month_of(to, &self.zone) {
            let ended = self.seen;
            self.budgets.iter_mut().for_each(|budget| budget.end(ended));
            self.seen = next(ended);
        }
        self.now = to;
        self.world.set_clock(&to.to_string()).await;
        let due: Vec<_> = self.late.iter().filter(|l| l.0 <= to).copied().collect();
        self.late.retain(|l| l.0 > to);
        for (_, tokens, occurred_at) in due {
            self.report(tokens, occurred_at, None).await;
        }
    }

    fn charge(&mut self, month: Date, tokens: i64) {
        self.budgets[0].spend(month, tokens);
        self.budgets[1].spend(month, pico_usd(tokens));
        self.budgets[2].spend(month, tokens);
    }

    fn hold(&mut self, month: Date, tokens: i64) {
        self.budgets[0].hold(month, tokens);
        self.budgets[1].hold(month, pico_usd(tokens));
        self.budgets[2].hold(month, tokens);
    }

    /// Reports usage; it counts in the month of its hold if it has one, otherwise in its own.
    async fn report(&mut self, tokens: i64, occurred_at: Timestamp, hold: Option<(&str, Date)>) {
        self.events += 1;
        let event = json!({
            "event_id": format!("e-{}", self.events), "type": "llm_request",
            "occurred_at": occurred_at.to_string(),
            "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": tokens,
            "output_tokens": 0,
            "hold_id": hold.map(|(id, _)| id),
        });
        let times = 1 + self.chance.below(2);
        for _ in 0..times {
            let body = json!({ "events": [event] });
            let answer = self.world.call(AGENT, "POST", "/v1/events", body).await;
            let answer = answer.expect(202);
            let is_one = |name: &str| answer[name] == 1;
            assert!(is_one("accepted") != is_one("duplicates"), "{answer}");
        }
        self.world.system.drain().await.unwrap();
        let month = hold.map_or_else(|| month_of(occurred_at, &self.zone), |(_, month)| month);
        self.charge(month, tokens);
    }

    /// Holds, and settles at once or leaves that to the caller.
    async fn ask(&mut self, tokens: i64) -> (String, Date) {
        self.events += 1;
        let id = format!("r-{}", self.events);
        let hold = self.world.hold("ada", &id, tokens, 0).await;
        let month = month_of(self.now, &self.zone);
        self.hold(month, tokens);
        (hold, month)
    }

    async fn settle(&mut self, (hold, month): (String, Date), held: i64, used: i64) {
        self.hold(month, -held);
        let now = self.now;
        self.report(used, now, Some((&hold, month))).await;
    }

    async fn fire(&mut self) {
        fire(&self.world).await;
        self.calendar.fire(self.now, &mut self.budgets);
    }

    async fn change_amount(&mut self, which: usize, amount: i64) {
        self.budgets[which].amount = amount;
        let shown = if which == 1 {
            usd(amount)
        } else {
            json!(amount)
        };
        let path = format!("/v1/budgets/{}", self.ids[which]);
        let body = json!({ "amount": shown });
        self.world.admin("PATCH", &path, body).await.expect(200);
    }

    /// The current figures and the whole history are those of the model.
    async fn check(&self) {
        let month = month_of(self.now, &self.zone);
        for (which, (id, model)) in self.ids.iter().zip(&self.budgets).enumerate() {
            let number = |value: &Value| match which {
                1 => micro_usd_from_json(&value.to_string()).unwrap(),
                _ => value.as_i64().unwrap(),
            };
            let seen = self.world.figures(id).await;
            let of = |name: &str| number(&seen[name]);
            let (spent, held) = (model.spent(month), model.held(month));
            let carried = model.carried_into(month);
            let at = format!("budget {which} at {} {}: {seen}", self.now, month);
            assert_eq!(of("spent"), spent, "{at}");
            assert_eq!(of("held"), held, "{at}");
            assert_eq!(of("carried"), carried, "{at}");
            assert_eq!(of("amount"), model.amount, "{at}");
            assert_eq!(
                of("available"),
                model.amount + carried - spent - held,
                "{at}"
            );
            assert_eq!(seen["period_id"], month.to_string()[..7], "{at}");
            let end = start(next(month), &self.zone);
            assert_eq!(seen["resets_at"], end.to_string(), "{at}");
            let rows = history(&self.world, id).await;
            assert_eq!(rows.len(), model.rows.len(), "{at}");
            for (row, (month, expected)) in rows.iter().zip(model.rows.iter().rev()) {
                assert_eq!(row["from_period"], month.to_string()[..7]);
                assert_eq!(row["to_period"], next(*month).to_string()[..7]);
                let found = Row {
                    amount: number(&row["amount"]),
                    carried_in: number(&row["carried_in"]),
                    spent: number(&row["spent"]),
                    unused: number(&row["unused"]),
                    carried_out: number(&row["carried_out"]),
                };
                assert_eq!(found, *expected, "{month} of {at}");
            }
        }
    }

    /// One month from its first day to its last second, and over it.
    async fn month(&mut self, first: Date) {
        let begin = start(first, &self.zone);
        let end = start(next(first), &self.zone);
        let is_quiet = self.chance.below(6) == 0;
        let days = [4_u64, 11, 12, 20, 27];
        for day in days {
            let hours = day * 24 + self.chance.below(24);
            let at = begin + SignedDuration::from_hours(i64::try_from(hours).unwrap());
            if at <= self.now || at >= end {
                continue;
            }
            self.go(at).await;
            if day == 11 && self.chance.below(2) == 0 {
                let amount = 20_000 + self.chance.tokens(20_000);
                let which = usize::try_from(self.chance.below(3)).unwrap();
                self.change_amount(which, amount * [1, 3, 2][which]).await;
            }
            if is_quiet {
                continue;
            }
            let tokens = self.chance.tokens(4_000);
            if self.chance.below(3) == 0 {
                let occurred_at = self.now;
                self.report(tokens, occurred_at, None).await;
            } else {
                let held = tokens + self.chance.tokens(500);
                let hold = self.ask(held).await;
                self.settle(hold, held, tokens).await;
            }
            if day == 20 {
                self.fire().await;
            }
        }
        // The last second of the month and the first of the next one.
        self.go(end - 1.second()).await;
        if self.chance.below(3) == 0 {
            self.fire().await;
        }
        let held = 300 + self.chance.tokens(300);
        let hold = self.ask(held).await;
        let last = self.now;
        self.report(7, last, None).await;
        self.go(end).await;
        self.report(11, end, None).await;
        let late = (self.now, last);
        for days in [1_i64, 3] {
            if self.chance.below(2) == 0 {
                let tokens = 1 + self.chance.tokens(900);
                let at = late.0 + SignedDuration::from_hours(days * 24 - 2);
                self.late.push((at, tokens, late.1));
            }
        }
        let used = self.chance.tokens(300);
        match self.chance.below(5) {
            // On time, while a hold is open; settled after it.
            0 => {
                self.go(end + 6.minutes()).await;
                self.fire().await;
                self.check().await;
                self.settle(hold, held, used).await;
            }
            // Twice.
            1 => {
                self.settle(hold, held, used).await;
                self.go(end + 10.minutes()).await;
                self.fire().await;
                self.fire().await;
            }
            // In the first second, then a day late.
            2 => {
                self.fire().await;
                self.check().await;
                self.settle(hold, held, used).await;
                self.go(end + 25.hours()).await;
                self.fire().await;
            }
            // Missing for a week.
            3 => {
                self.settle(hold, held, used).await;
                self.go(end + SignedDuration::from_hours(7 * 24)).await;
                self.fire().await;
            }
            // On time and then again when the grace is over.
            _ => {
                self.settle(hold, held, used).await;
                self.go(end + 1.hour()).await;
                self.fire().await;
                self.go(end + 24.hours()).await;
                self.fire().await;
            }
        }
        self.check().await;
    }
}

fn usd(micro: i64) -> Value {
    serde_json::from_str(&format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)).unwrap()
}

/// Lives through so many months, from January 2027 on.
async fn months(name: &str, count: usize) {
    let zone = TimeZone::get(name).unwrap();
    let world = quiet_world().await;
    let now: Timestamp = "2027-01-15T12:00:00Z".parse().unwrap();
    world.set_clock(&now.to_string()).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({ "timezone": name, "hold_seconds": 600 }),
        )
        .await
        .expect(200);
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let mut ids = Vec::new();
    for (department, unit, amount, hard, cap) in [
        (None, "tokens", json!(20_000), false, 50),
        (Some("eng"), "usd", json!(0.06), false, 33),
        (Some("eng"), "tokens", json!(40_000), true, 100),
    ] {
        let body = json!({
            "name": "b", "department_id": department, "unit": unit, "amount": amount,
            "hard_cap": hard,
            "rollover": {"cap_percent": cap},
        });
        let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let first = month_of(now, &zone);
    let seed = name
        .bytes()
        .fold(7_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut years = Years {
        world,
        now,
        chance: Chance(seed),
        ids: ids.try_into().unwrap(),
        budgets: vec![
            Budget::new(20_000, 50),
            Budget::new(60_000, 33).in_dollars(),
            Budget::new(40_000, 100),
        ],
        calendar: Calendar::new(zone.clone(), first, 24),
        events: 0,
        late: Vec::new(),
        seen: first,
        zone,
    };
    let mut month = first;
    for _ in 0..=count {
        years.month(month).await;
        month = next(month);
    }
    assert!(years.budgets[0].rows.len() >= count);
}

#[tokio::test]
async fn two_years_in_auckland() {
    months("Pacific/Auckland", 24).await;
}

#[tokio::test]
async fn two_years_in_berlin() {
    months("Europe/Berlin", 24).await;
}

#[tokio::test]
async fn a_year_in_new_york() {
    months("America/New_York", 12).await;
}

#[tokio::test]
async fn a_year_in_kolkata() {
    months("Asia/Kolkata", 12).await;
}

#[tokio::test]
async fn a_year_in_sao_paulo() {
    months("America/Sao_Paulo", 12).await;
}

#[tokio::test]
async fn a_year_in_lord_howe_with_its_half_hour() {
    months("Australia/Lord_Howe", 12).await;
}
