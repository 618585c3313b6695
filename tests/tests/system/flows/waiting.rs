//! Usage that was accepted and waits to be recorded keeps its hold: a queue that is worked off late opens no cap.

use super::{books, figure};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

/// A world in which events wait until it is drained, with `ada` and `bob` under a hard cap of 1,000 tokens.
async fn world() -> (World, String) {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock("2026-11-10T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("bob", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    (world, budget)
}

async fn send(world: &World, event: Value) {
    let body = json!({ "events": [event] });
    let answer = world.call(AGENT, "POST", "/v1/events", body).await;
    assert_eq!(answer.expect(202)["accepted"], 1);
}

async fn listed(world: &World, path: &str) -> usize {
    let seen = world.admin("GET", path, Value::Null).await.expect(200);
    seen["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_hold_whose_usage_was_accepted_does_not_lapse_before_it_is_recorded() {
    for abandoned in ["release", "charge"] {
        let (world, budget) = world().await;
        let body = json!({"reserve": "strict", "abandoned_holds": abandoned});
        world
            .admin("PATCH", "/v1/organisation", body)
            .await
            .expect(200);
        let hold = world.hold("ada", "r-1", 600, 400).await;
        send(&world, world.usage("e-1", "ada", 600, 393, Some(&hold))).await;
        // Long after the end of the hold nobody has worked the queue off.
        for (n, now) in ["2026-11-10T12:03:00Z", "2026-11-11T18:00:00Z"]
            .into_iter()
            .enumerate()
        {
            world.set_clock(now).await;
            let refused = world.preflight("bob", &format!("b-{n}"), 1_000, 0).await;
            assert_eq!(refused["decision"], "block", "{refused}");
            assert_eq!(refused["retryable"], true, "{refused}");
            let seconds = refused["retry_after_seconds"].as_u64().unwrap();
            assert!((1..=120).contains(&seconds), "{refused}");
            world
                .admin("POST", "/local/schedule", Value::Null)
                .await
                .expect(200);
            let figures = figure(&world.figures(&budget).await);
            assert_eq!(figures, (0, 1_000, 1_000, 0), "{abandoned}");
        }
        world.system.drain().await.unwrap();
        let figures = figure(&world.figures(&budget).await);
        assert_eq!(figures, (993, 0, 7, 7), "{abandoned}");
        assert_eq!(listed(&world, "/v1/events?status=exceeded_hold").await, 0);
        let told = world.admin("GET", "/v1/alerts", Value::Null).await.body;
        let told = told.to_string();
        assert!(!told.contains("after it had lapsed"), "{told}");
        assert!(books::books(&world, false).await.is_empty());
    }
}

#[tokio::test]
async fn a_hold_cannot_be_given_back_after_its_usage_was_accepted() {
    let (world, budget) = world().await;
    let hold = world.hold("ada", "r-1", 1_000, 0).await;
    send(&world, world.usage("e-1", "ada", 999, 0, Some(&hold))).await;
    let path = format!("/v1/holds/{hold}");
    let given_back = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(given_back.status, 204);
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 1_000, 1_000, 0),
        "what was used is held until it is recorded"
    );
    let refused = world.preflight("bob", "b-1", 2, 0).await;
    assert_eq!(refused["decision"], "block");
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (999, 0, 1, 1));
}

#[tokio::test]
async fn a_renewed_hold_keeps_its_usage_waiting_too_and_can_be_renewed_after_its_report() {
    let (world, budget) = world().await;
    let hold = world.hold("ada", "r-1", 500, 0).await;
    let path = format!("/v1/holds/{hold}");
    let renew = async |body: Value| world.call(AGENT, "PATCH", &path, body).await.status;
    assert_eq!(renew(json!({"extend_seconds": 300})).await, 200);
    send(&world, world.usage("e-1", "ada", 450, 0, Some(&hold))).await;
    assert_eq!(renew(json!({"extend_seconds": 600})).await, 200);
    world.set_clock("2026-11-10T13:00:00Z").await;
    let refused = world.preflight("bob", "b-1", 501, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (450, 0, 550, 550));
}

#[tokio::test]
async fn usage_that_the_queue_has_lost_gives_its_hold_free_when_the_queue_would_have_given_it_up() {
    let (world, budget) = world().await;
    let hold = world.hold("ada", "r-1", 900, 0).await;
    send(&world, world.usage("e-1", "ada", 900, 0, Some(&hold))).await;
    world.set_clock("2026-11-24T11:00:00Z").await;
    let refused = world.preflight("bob", "b-1", 500, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    world.set_clock("2026-11-24T12:00:01Z").await;
    let allowed = world.preflight("bob", "b-2", 500, 0).await;
    assert_eq!(allowed["decision"], "allow", "{allowed}");
    // The message is there after all: it counts, and is late.
    world.system.drain().await.unwrap();
    let spent = figure(&world.figures(&budget).await).0;
    assert_eq!(spent, 900);
}

#[tokio::test]
async fn a_renewed_hold_that_a_report_too_large_to_be_true_names_is_charged_at_once() {
    let (world, budget) = world().await;
    let hold = world.hold("ada", "r-1", 700, 0).await;
    let path = format!("/v1/holds/{hold}");
    let longer = json!({"extend_seconds": 3_600});
    world.call(AGENT, "PATCH", &path, longer).await.expect(200);
    send(
        &world,
        world.usage("e-1", "ada", 900_000_000, 0, Some(&hold)),
    )
    .await;
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (700, 0, 300, 300));
    assert_eq!(listed(&world, "/v1/events?status=held_back").await, 1);
}

#[tokio::test]
async fn holds_whose_usage_waits_are_looked_at_once_in_two_minutes_however_many_ask() {
    let (world, budget) = world().await;
    for n in 0..30 {
        let name = format!("r-{n}");
        let hold = world.hold("ada", &name, 33, 0).await;
        send(&world, world.usage(&name, "ada", 33, 0, Some(&hold))).await;
    }
    world.set_clock("2026-11-10T12:03:00Z").await;
    let updates = async |request: &str| {
        world.system.engine().reset_meter();
        let refused = world.preflight("bob", request, 100, 0).await;
        assert_eq!(refused["decision"], "block", "{refused}");
        let calls = world.system.engine().meter().calls;
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        (of("UpdateItem"), of("PutItem"))
    };
    // The hold is tried, 25 and then 5 live on, and it is tried again after each.
    assert_eq!(updates("b-1").await, (5, 30));
    assert_eq!(updates("b-2").await, (1, 0));
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (990, 0, 10, 10));
}

#[tokio::test]
async fn of_two_bodies_under_one_id_each_keeps_the_hold_that_it_names() {
    let (world, budget) = world().await;
    let first = world.hold("ada", "r-1", 300, 0).await;
    let second = world.hold("ada", "r-2", 400, 0).await;
    let events = [
        world.usage("e-1", "ada", 300, 0, Some(&first)),
        world.usage("e-1", "ada", 400, 0, Some(&second)),
    ];
    let body = json!({ "events": events });
    world
        .call(AGENT, "POST", "/v1/events", body)
        .await
        .expect(202);
    world.set_clock("2026-11-10T12:03:00Z").await;
    let refused = world.preflight("bob", "b-1", 301, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (700, 0, 300, 300));
}

#[tokio::test]
async fn usage_whose_hold_cannot_be_kept_by_an_overloaded_database_is_sent_again() {
    // Each call of the request: its claim is one of them, and its hold another.
    let mut refused = 0;
    for call in 0..4 {
        let settings = SystemSettings {
            retry: RetryConfig::disabled(),
            delivers_events: false,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        world.set_clock("2026-11-10T12:00:00Z").await;
        world.department("eng", None).await;
        world.user("ada", "eng").await;
        world.user("bob", "eng").await;
        let budget = world
            .budget(Some("eng"), "tokens", json!(1_000), true)
            .await;
        let hold = world.hold("ada", "r-1", 1_000, 0).await;
        let body = json!({"events": [world.usage("e-1", "ada", 997, 0, Some(&hold))]});
        let (when, kind) = (When::Before, FaultKind::Throttled);
        world.system.engine().inject(Fault { call, when, kind });
        let answer = world.call(AGENT, "POST", "/v1/events", body.clone()).await;
        world.system.engine().clear_faults();
        if answer.status == 503 {
            refused += 1;
            let again = world.call(AGENT, "POST", "/v1/events", body).await;
            again.expect(202);
        }
        // However it went: what is accepted keeps its hold.
        world.set_clock("2026-11-10T12:03:00Z").await;
        let asked = world.preflight("bob", "b-1", 4, 0).await;
        assert_eq!(asked["decision"], "block", "call {call}: {asked}");
        world.system.drain().await.unwrap();
        let figures = figure(&world.figures(&budget).await);
        assert_eq!(figures, (997, 0, 3, 3), "call {call}");
    }
    assert!(refused > 0);
}
