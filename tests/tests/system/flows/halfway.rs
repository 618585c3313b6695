//! A settlement is written first, and its cell follows. What others do between the two changes no
//! sum.

use super::figure;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::ledger::usage::Usage;
use shared::domain::period::Month;
use shared::domain::pricing::book::PriceBooks;

/// A world in which nothing is tried again or handled by itself, with ada in `eng`, which has a
/// hard cap of tokens.
async fn world(cap: i64) -> (World, String) {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(Some("eng"), "tokens", json!(cap), true).await;
    (world, budget)
}

/// Records a usage event as an instance does whose call of this number fails, if one is given;
/// whether it failed.
async fn record(world: &World, event: &Value, failing: Option<u64>) -> bool {
    let mut event = event.clone();
    event["outcome"] = json!("completed");
    event["cached_input_tokens"] = json!(0);
    let usage: Usage = serde_json::from_value(event).unwrap();
    let (store, engine) = (world.system.store(), world.system.engine());
    let configuration = store.configuration("demo").await.unwrap().unwrap();
    let (books, now) = (PriceBooks::built_in(), world.system.clock().now());
    let fired = engine.faults_fired();
    if let Some(call) = failing {
        let (when, kind) = (When::Before, FaultKind::ConnectionReset);
        engine.inject(Fault { call, when, kind });
    }
    let recorded = store
        .record_usage(&configuration, books, &usage, now, now)
        .await;
    engine.clear_faults();
    let has_failed = engine.faults_fired() > fired;
    assert!(has_failed || recorded.is_ok(), "{recorded:?}");
    has_failed
}

/// The counters of a month that differ from its totals.
async fn differences(world: &World, month: &str) -> Vec<String> {
    let (store, now) = (world.system.store(), world.system.clock().now());
    let month: Month = month.parse().unwrap();
    let found = store.compare_counters("demo", month, now).await.unwrap();
    found.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_void_gives_back_what_was_not_used() {
    for call in 0.. {
        let (world, budget) = world(1_000).await;
        let hold = world.hold("ada", "r-1", 100, 100).await;
        let event = world.usage("e-1", "ada", 100, 50, Some(&hold));
        let has_failed = record(&world, &event, Some(call)).await;
        let path = format!("/v1/holds/{hold}");
        let voided = world.call(AGENT, "DELETE", &path, Value::Null).await;
        assert_eq!(voided.status, 204, "call {call}");
        world.report(&[event]).await;
        assert_eq!(
            figure(&world.figures(&budget).await),
            (150, 0, 850, 850),
            "call {call}"
        );
        if !has_failed {
            assert!(call > 1, "{call}");
            break;
        }
    }
}

#[tokio::test]
async fn a_month_that_is_opened_again_counts_it_once() {
    for call in 0.. {
        let (world, _) = world(1_000).await;
        let hold = world.hold("ada", "r-1", 100, 100).await;
        let event = world.usage("e-1", "ada", 100, 50, Some(&hold));
        let has_failed = record(&world, &event, Some(call)).await;
        // The month is no longer in force, so a change passes it by. The next reader brings it up
        // to date.
        world.set_clock("2027-01-20T12:00:00Z").await;
        world.budget(None, "usd", json!(5), true).await;
        let store = world.system.store();
        let configuration = store.configuration("demo").await.unwrap().unwrap();
        let november: Month = "2026-11".parse().unwrap();
        let behind = store.cell("demo", november).await.unwrap().unwrap();
        assert!(behind.epoch < configuration.epoch, "call {call}");
        let opened = store.cell_in_force(&configuration, november).await;
        assert!(opened.unwrap().is_some(), "call {call}");
        // Its message comes again.
        assert!(!record(&world, &event, None).await, "call {call}");
        let found = differences(&world, "2026-11").await;
        assert!(found.is_empty(), "call {call}: {found:?}");
        if !has_failed {
            assert!(call > 1, "{call}");
            break;
        }
    }
}

#[tokio::test]
async fn a_hold_under_an_exemption_is_no_difference_of_the_books() {
    for call in 0.. {
        let (world, _) = world(100).await;
        let key = json!({"role": "member", "user_id": "ada"});
        let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
        let lift = json!({
            "user_id": "ada", "kind": "lift", "reason": "the release",
            "ends_at": "2026-11-30T12:00:00Z",
        });
        let key = key["key"].as_str().unwrap();
        let asked = world.call(key, "POST", "/v1/exemptions", lift).await;
        let asked = asked.expect(201);
        let path = format!("/v1/exemptions/{}/approve", asked["id"].as_str().unwrap());
        world.admin("POST", &path, json!({})).await.expect(200);
        let hold = world.hold("ada", "r-1", 400, 0).await;
        let event = world.usage("e-1", "ada", 300, 0, Some(&hold));
        let has_failed = record(&world, &event, Some(call)).await;
        for is_whole in [false, true] {
            let found = differences(&world, "2026-11").await;
            assert!(found.is_empty(), "call {call}, {is_whole}: {found:?}");
            assert!(!record(&world, &event, None).await, "call {call}");
        }
        if !has_failed {
            assert!(call > 1, "{call}");
            break;
        }
    }
}
