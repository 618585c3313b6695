//! Usage beyond the amount of an exemption, or after a hold under it has ended: the caps pay,
//! and are in debt.

use super::{Company, company, company_with};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{ADMIN, AGENT, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::ledger::usage::Event;
use shared::domain::pricing::book::PriceBooks;

impl Company {
    /// Ada reports that she used so many tokens, and names a hold.
    async fn uses(&self, event_id: &str, tokens: i64, hold: &str) {
        let event = self.world.usage(event_id, "ada", tokens, 0, Some(hold));
        self.world.report(&[event]).await;
    }

    async fn gives_back(&self, hold: &str) {
        let path = format!("/v1/holds/{hold}");
        let answer = self.world.call(AGENT, "DELETE", &path, Value::Null).await;
        assert_eq!(answer.status, 204);
    }

    /// The time of every hold is over, and the schedule has seen it.
    async fn holds_lapse(&self) {
        self.world.set_clock("2026-11-24T12:30:00Z").await;
        assert_eq!(self.differences().await, 0);
    }

    /// How many tokens an exemption says that it gave.
    async fn used(&self, id: &str) -> Value {
        self.exemption(id).await["used"]["tokens"].clone()
    }

    async fn charges_abandoned_holds(&self) {
        let body = json!({"abandoned_holds": "charge"});
        let changed = self.world.admin("PATCH", "/v1/organisation", body).await;
        changed.expect(200);
    }

    async fn passes(&self, user_id: &str, request_id: &str, tokens: i64) -> bool {
        let decision = self.world.preflight(user_id, request_id, tokens, 0).await;
        decision["decision"] == "allow"
    }
}

fn raise(tokens: i64) -> Value {
    json!({"kind": "raise", "tokens": tokens})
}

fn lift() -> Value {
    json!({"kind": "lift"})
}

#[tokio::test]
async fn a_raise_of_one_token_pays_one_however_long_the_answer_is() {
    let company = company(5_000).await;
    let id = company.granted(raise(1)).await;
    let world = &company.world;
    let hold = world.hold("ada", "r-1", 5_001, 0).await;
    let usage = world.usage("e-1", "ada", 5_001, 16_000, Some(&hold));
    world.report(&[usage]).await;
    assert_eq!(company.figures().await, [1, 21_001, 0, -16_000]);
    assert_eq!(company.used(&id).await, 1);
    assert!(!company.passes("bob", "r-2", 1).await);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn usage_beyond_a_raise_is_seen_by_colleagues_and_carries_nothing_over() {
    let company = company(1_000).await;
    let world = &company.world;
    let path = format!("/v1/budgets/{}", company.budget);
    let rollover = json!({"rollover": {"cap_percent": 100}});
    world.admin("PATCH", &path, rollover).await.expect(200);
    company.granted(raise(500)).await;
    let hold = world.hold("ada", "r-1", 1_500, 0).await;
    company.uses("e-1", 10_400, &hold).await;
    assert_eq!(company.figures().await, [500, 10_400, 0, -8_900]);
    let amount = json!({"amount": 5_000});
    world.admin("PATCH", &path, amount).await.expect(200);
    assert_eq!(company.figures().await, [500, 10_400, 0, -4_900]);
    assert!(!company.passes("bob", "r-2", 4_000).await);
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alerts = alerts.expect(200).to_string();
    assert!(alerts.contains("is overspent"), "{alerts}");
    world.set_clock("2026-12-02T12:00:00Z").await;
    assert_eq!(company.differences().await, 0);
    let closed = format!("{path}/rollovers");
    let closed = world.admin("GET", &closed, Value::Null).await.expect(200);
    let month = &closed["items"][0];
    for (figure, expected) in [
        ("exempted", 500),
        ("spent", 10_400),
        ("unused", 0),
        ("carried_out", 0),
    ] {
        assert_eq!(month[figure], json!(expected), "{figure}: {month}");
    }
}

#[tokio::test]
async fn a_settled_hold_of_a_lift_that_was_revoked_pays_for_nothing_more() {
    let company = company(1_000).await;
    let id = company.granted(lift()).await;
    let world = &company.world;
    let old = world.hold("ada", "r-0", 2_000, 0).await;
    company.uses("e-0", 2_000, &old).await;
    company.step(ADMIN, &id, "revoke").await.expect(200);
    assert_eq!(company.figures().await, [2_000, 2_000, 0, 1_000]);
    // Somebody asks, reports under the old hold, and gives the new one back.
    let new = world.hold("ada", "r-1", 900, 0).await;
    company.uses("e-1", 900, &old).await;
    company.gives_back(&new).await;
    assert_eq!(company.figures().await, [2_000, 2_900, 0, 100]);
    assert!(!company.passes("ada", "r-2", 900).await);
    company.uses("e-2", 900, &old).await;
    assert_eq!(company.figures().await, [2_000, 3_800, 0, -800]);
    assert_eq!(company.used(&id).await, 2_000);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn usage_that_names_a_settled_or_given_back_hold_takes_nothing_from_a_raise() {
    let company = company(1_000).await;
    let id = company.granted(raise(5_000)).await;
    let world = &company.world;
    let settled = world.hold("ada", "r-1", 3_000, 0).await;
    let voided = world.hold("ada", "r-2", 500, 0).await;
    company.uses("e-1", 2_500, &settled).await;
    company.gives_back(&voided).await;
    assert_eq!(company.figures().await, [1_500, 2_500, 0, 0]);
    company.uses("e-2", 2_000, &settled).await;
    company.uses("e-3", 400, &voided).await;
    assert_eq!(company.figures().await, [1_500, 4_900, 0, -2_400]);
    assert_eq!(company.used(&id).await, 1_500);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn late_usage_of_a_lapsed_hold_is_paid_by_its_lift_once_and_up_to_what_that_gave() {
    let company = company(1_000).await;
    let id = company.granted(lift()).await;
    let world = &company.world;
    let (first, second) = (
        world.hold("ada", "r-1", 2_000, 0).await,
        world.hold("ada", "r-2", 2_000, 0).await,
    );
    company.holds_lapse().await;
    assert_eq!(company.figures().await, [0, 0, 0, 1_000]);
    company.step(ADMIN, &id, "revoke").await.expect(200);
    company.uses("e-1", 1_500, &first).await;
    assert_eq!(company.figures().await, [1_500, 1_500, 0, 1_000]);
    company.uses("e-2", 100, &first).await;
    assert_eq!(company.figures().await, [1_500, 1_600, 0, 900]);
    company.uses("e-3", 2_300, &second).await;
    assert_eq!(company.figures().await, [3_500, 3_900, 0, 600]);
    assert_eq!(company.used(&id).await, 3_500);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn late_usage_gets_no_more_of_a_raise_than_others_have_left() {
    let company = company(0).await;
    let id = company.granted(raise(1_000)).await;
    let world = &company.world;
    let lapsed = world.hold("ada", "r-1", 1_000, 0).await;
    company.holds_lapse().await;
    let next = world.hold("ada", "r-2", 600, 0).await;
    company.uses("e-2", 600, &next).await;
    company.uses("e-1", 1_000, &lapsed).await;
    assert_eq!(company.figures().await, [1_000, 1_600, 0, -600]);
    assert_eq!(company.used(&id).await, 1_000);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn late_usage_of_an_abandoned_hold_returns_the_unused_part_to_a_raise() {
    for (used, exempted, available) in [(300, 200, 0), (60, 0, 40), (900, 400, -400)] {
        let company = company(100).await;
        company.charges_abandoned_holds().await;
        let id = company.granted(raise(1_000)).await;
        let hold = company.world.hold("ada", "r-1", 500, 0).await;
        company.holds_lapse().await;
        assert_eq!(company.figures().await, [400, 500, 0, 0]);
        company.uses("e-1", used, &hold).await;
        let expected = [exempted, used, 0, available];
        assert_eq!(company.figures().await, expected);
        assert_eq!(company.used(&id).await, exempted);
        company.uses("e-2", 50, &hold).await;
        let expected = [exempted, used + 50, 0, available - 50];
        assert_eq!(company.figures().await, expected, "the second in full");
        assert_eq!(company.differences().await, 0);
    }
}

#[tokio::test]
async fn an_event_that_was_held_back_is_counted_beyond_its_exemption_as_debt() {
    let counted = 2_000_000;
    for (asked, given, available) in [(raise(1_000), 400, 0), (lift(), 500, 100)] {
        let company = company(100).await;
        let id = company.granted(asked).await;
        let world = &company.world;
        let hold = world.hold("ada", "r-1", 500, 0).await;
        company.uses("e-1", counted, &hold).await;
        assert_eq!(company.figures().await, [given, 500, 0, available]);
        let decision = json!({
            "user_id": "ada", "event_id": "e-1", "decision": "count", "reason": "it is true"
        });
        let decided = world.admin("POST", "/v1/events/decisions", decision).await;
        decided.expect(200);
        let expected = [given, counted, 0, available + 500 - counted];
        assert_eq!(company.figures().await, expected);
        assert_eq!(company.used(&id).await, given);
        company.uses("e-2", 10, &hold).await;
        assert_eq!(company.used(&id).await, given);
        assert_eq!(company.differences().await, 0);
    }
}

#[tokio::test]
async fn a_conflict_that_names_a_lapsed_hold_is_the_one_that_is_set_against_it() {
    let company = company(0).await;
    let id = company.granted(raise(1_000)).await;
    let world = &company.world;
    let settled = world.hold("ada", "r-1", 10, 0).await;
    company.uses("e-1", 10, &settled).await;
    let lapsed = world.hold("ada", "r-2", 500, 0).await;
    company.holds_lapse().await;
    // The client counts from 1 again.
    let again = world.usage("e-1", "ada", 300, 0, Some(&lapsed));
    let body = json!({"events": [again]});
    for _ in 0..2 {
        let answer = world.call(AGENT, "POST", "/v1/events", body.clone()).await;
        answer.expect(400);
        world.system.drain().await.unwrap();
        assert_eq!(company.figures().await, [310, 310, 0, 0]);
    }
    company.uses("e-2", 50, &lapsed).await;
    assert_eq!(company.figures().await, [310, 360, 0, -50]);
    assert_eq!(company.used(&id).await, 310);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn a_raise_pays_for_a_hold_that_grew_into_it_up_to_its_gain() {
    let company = company(100).await;
    let id = company.granted(raise(50)).await;
    let hold = company.world.hold("ada", "r-1", 60, 0).await;
    let path = format!("/v1/holds/{hold}");
    let more = json!({"tokens": 150});
    let grown = company.world.call(AGENT, "PATCH", &path, more).await;
    assert_eq!(grown.expect(200)["decision"], "allow");
    assert_eq!(company.figures().await, [50, 0, 150, 0]);
    company.uses("e-1", 400, &hold).await;
    assert_eq!(company.figures().await, [50, 400, 0, -250]);
    assert_eq!(company.used(&id).await, 50);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn in_dollars_a_raise_pays_no_more_than_it_gave_either() {
    let company = company(1_000_000).await;
    let world = &company.world;
    let usd = world.budget(None, "usd", json!(0.001), true).await;
    let id = company.granted(json!({"kind": "raise", "usd": 0.01})).await;
    // gpt-4o: $2.50 a million, so $0.0025 are held, of which the cap has $0.001.
    let hold = world.hold("ada", "r-1", 1_000, 0).await;
    company.uses("e-1", 3_000, &hold).await;
    let usd = world.figures(&usd).await;
    let shown = ["exempted", "spent", "remaining"].map(|name| usd[name].to_string());
    assert_eq!(shown, ["0.0015", "0.0075", "-0.005"]);
    let used = company.exemption(&id).await["used"].clone();
    assert_eq!(used, json!({"tokens": 0, "usd": 0.0015}));
    assert_eq!(company.figures().await, [0, 3_000, 0, 997_000]);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn every_level_that_a_raise_covers_is_in_debt_and_the_others_count_all() {
    for (covers, exempted, available) in [("path", 50, -50), ("department", 0, -100)] {
        let company = company(100).await;
        let world = &company.world;
        let backend = world
            .budget(Some("backend"), "tokens", json!(10), true)
            .await;
        let mut asked = raise(50);
        asked["covers"] = json!(covers);
        company.granted(asked).await;
        let hold = world.hold("ada", "r-1", 60, 0).await;
        company.uses("e-1", 200, &hold).await;
        let expected = [exempted, 200, 0, available];
        assert_eq!(company.figures().await, expected, "{covers}");
        let backend = world.figures(&backend).await;
        let shown = ["exempted", "spent", "available"].map(|name| backend[name].clone());
        assert_eq!(shown, [json!(50), json!(200), json!(-140)], "{covers}");
        assert_eq!(company.differences().await, 0);
    }
}

#[tokio::test]
async fn late_usage_of_a_month_that_is_over_is_paid_by_the_raise_of_that_month() {
    let company = company(100).await;
    let world = &company.world;
    let mut asked = raise(300);
    asked["ends_at"] = json!("2026-12-05T00:00:00Z");
    let id = company.granted(asked).await;
    world.set_clock("2026-11-30T23:59:00Z").await;
    let hold = world.hold("ada", "r-1", 300, 0).await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    assert_eq!(company.differences().await, 0);
    company.uses("e-1", 250, &hold).await;
    company.uses("e-2", 20, &hold).await;
    assert_eq!(company.used(&id).await, 150);
    assert_eq!(company.figures().await, [0, 0, 0, 100], "december's");
    assert_eq!(company.differences().await, 0);
}

/// Records usage of 300 tokens, as it is done behind the queue.
async fn record(world: &World, event_id: &str, hold: &str) {
    let mut event = world.usage(event_id, "ada", 300, 0, Some(hold));
    event["cached_input_tokens"] = json!(0);
    event["outcome"] = json!("completed");
    let Ok(Event::LlmRequest(usage)) = serde_json::from_value(event) else {
        panic!("it is no usage");
    };
    let store = world.system.store();
    let configuration = store.configuration("demo").await.unwrap().unwrap();
    let now = world.system.clock().now();
    let usages = [(&usage, now)];
    let recorded = store.record_usages(&configuration, PriceBooks::built_in(), &usages, now);
    for result in recorded.await {
        result.unwrap();
    }
}

#[tokio::test]
async fn of_late_events_that_come_at_once_one_is_paid_by_the_raise() {
    let company = company(0).await;
    let id = company.granted(raise(1_000)).await;
    let hold = company.world.hold("ada", "r-1", 500, 0).await;
    company.holds_lapse().await;
    let names: Vec<String> = (0..6).map(|n| format!("e-{n}")).collect();
    let reports = names.iter().map(|name| record(&company.world, name, &hold));
    futures::future::join_all(reports).await;
    assert_eq!(company.figures().await, [300, 1_800, 0, -1_500]);
    assert_eq!(company.used(&id).await, 300);
    assert_eq!(company.differences().await, 0);
}

async fn whichever_call_fails_late_usage_is_paid_by_the_raise_once(when: When) {
    let mut call = 0;
    loop {
        let settings = SystemSettings {
            retry: RetryConfig::disabled(),
            delivers_events: false,
            ..SystemSettings::empty()
        };
        let company = company_with(settings, 100).await;
        let world = &company.world;
        let id = company.granted(raise(1_000)).await;
        let hold = world.hold("ada", "r-1", 500, 0).await;
        company.holds_lapse().await;
        let fault = Fault {
            call,
            when,
            kind: FaultKind::ConnectionReset,
        };
        world.system.engine().inject(fault);
        let body = json!({"events": [world.usage("e-1", "ada", 450, 0, Some(&hold))]});
        while world
            .call(AGENT, "POST", "/v1/events", body.clone())
            .await
            .status
            != 202
        {}
        world.system.drain().await.unwrap();
        let has_fired = world.system.engine().faults_fired() > 0;
        world.system.engine().clear_faults();
        let case = format!("call {call} {when:?}");
        assert_eq!(company.figures().await, [350, 450, 0, 0], "{case}");
        company.uses("e-2", 50, &hold).await;
        assert_eq!(company.figures().await, [350, 500, 0, -50], "{case}");
        assert_eq!(company.used(&id).await, 350, "{case}");
        if !has_fired {
            break;
        }
        call += 1;
    }
    assert!(call > 5, "{call} calls were made to fail");
}

#[tokio::test]
async fn whichever_call_fails_before_it_is_applied_late_usage_is_paid_by_the_raise_once() {
    whichever_call_fails_late_usage_is_paid_by_the_raise_once(When::Before).await;
}

#[tokio::test]
async fn whichever_answer_is_lost_late_usage_is_paid_by_the_raise_once() {
    whichever_call_fails_late_usage_is_paid_by_the_raise_once(When::After).await;
}
