//! Usage: every event counts once, and bad ones do not harm their neighbours.

use super::{figure, world};
use end_to_end::{ADMIN, AGENT, World};
use local::system::SystemSettings;
use serde_json::{Value, json};

#[tokio::test]
async fn usage_without_a_hold_counts_and_every_event_counts_once() {
    let (world, budget) = world(1_000).await;
    let event = world.usage("e-1", "ada", 10, 5, None);
    world.report(std::slice::from_ref(&event)).await;
    world.report(&[event.clone(), event]).await;
    assert_eq!(figure(&world.figures(&budget).await), (15, 0, 985, 985));
    let hold = world.hold("ada", "r-1", 10, 10).await;
    let settle = world.usage("e-2", "ada", 10, 10, Some(&hold));
    world.report(&[settle.clone(), settle.clone()]).await;
    world.report(&[settle]).await;
    world
        .report(&[world.usage("e-3", "ada", 1, 1, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (15 + 20 + 2, 0, 963, 963),
        "a second event of one hold counts too"
    );
}

#[tokio::test]
async fn a_hundred_events_of_one_user_are_settled_together_to_the_same_sum() {
    let (world, budget) = world(100_000).await;
    let mut events = Vec::new();
    for n in 0..100 {
        let hold = world.hold("ada", &format!("r-{n}"), 100, 100).await;
        events.push(world.usage(&format!("e-{n}"), "ada", 100, n, Some(&hold)));
    }
    world.report(&events).await;
    let sum = 100 * 100 + (0..100).sum::<i64>();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (sum, 0, 100_000 - sum, 100_000 - sum)
    );
    world.report(&events).await;
    assert_eq!(figure(&world.figures(&budget).await).0, sum);
}

#[tokio::test]
async fn settlements_of_two_days_in_one_batch_are_each_of_their_own_day() {
    let (world, budget) = world(10_000).await;
    world.set_clock("2026-11-23T23:59:00Z").await;
    let first = world.hold("ada", "r-1", 100, 100).await;
    let second = world.hold("ada", "r-2", 100, 100).await;
    let before = world.usage("e-1", "ada", 100, 1, Some(&first));
    world.set_clock("2026-11-24T00:00:30Z").await;
    let after = world.usage("e-2", "ada", 100, 20, Some(&second));
    world.report(&[before, after]).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (221, 0, 9_779, 9_779)
    );
    assert_eq!(
        days_of_ada(&world).await,
        [
            ("2026-11-23".to_owned(), 101),
            ("2026-11-24".to_owned(), 120)
        ]
    );
}

/// The days of ada's usage, each with its tokens.
async fn days_of_ada(world: &World) -> Vec<(String, i64)> {
    let path = "/v1/usage?period=daily&user_id=ada";
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    let rows = page["items"].as_array().unwrap().iter();
    let day = |row: &Value| row["period_id"].as_str().unwrap().to_owned();
    rows.map(|row| (day(row), row["total_tokens"].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_aborted_request_without_a_count_keeps_its_estimate_and_zero_is_zero() {
    let (world, budget) = world(10_000).await;
    let cut_off = world.hold("ada", "r-1", 100, 400).await;
    let failed = world.hold("ada", "r-2", 100, 400).await;
    let mut unknown = world.usage("e-1", "ada", 0, 0, Some(&cut_off));
    unknown["outcome"] = json!("aborted");
    unknown["input_tokens"] = Value::Null;
    unknown["output_tokens"] = Value::Null;
    let mut zero = world.usage("e-2", "ada", 0, 0, Some(&failed));
    zero["outcome"] = json!("failed");
    world.report(&[unknown, zero]).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (500, 0, 9_500, 9_500)
    );
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_and_its_neighbours_are_done() {
    let (world, budget) = world(1_000).await;
    world
        .system
        .queues()
        .send("events", "{not an event", std::time::Duration::ZERO)
        .unwrap();
    let foreign = json!({"organisation_id": "nobody", "received_at": "2026-11-23T12:00:00Z",
    "event": {
        "type": "ip_risk", "event_id": "x", "occurred_at": "2026-11-23T12:00:00Z",
        "risk_level": "low", "summary": "s",
    }});
    world
        .system
        .queues()
        .send("events", &foreign.to_string(), std::time::Duration::ZERO)
        .unwrap();
    world
        .report(&[world.usage("e-1", "ada", 10, 0, None)])
        .await;
    assert_eq!(figure(&world.figures(&budget).await).0, 10);
    let queues = world
        .call(ADMIN, "GET", "/local/queues", Value::Null)
        .await
        .expect(200);
    assert!(queues.to_string().contains("{not an event"), "{queues}");
}

#[tokio::test]
async fn bad_events_are_named_and_never_refuse_their_neighbours() {
    let (world, budget) = world(1_000).await;
    let good = world.usage("e-1", "ada", 10, 0, None);
    let mut old = world.usage("e-2", "ada", 10, 0, None);
    old["occurred_at"] = json!("2020-01-01T00:00:00Z");
    let mut future = world.usage("e-3", "ada", 10, 0, None);
    future["occurred_at"] = json!("2099-01-01T00:00:00Z");
    let prompt = json!({
        "event_id": "e-4", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z",
        "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": 1,
        "output_tokens": -1, "prompt": "secret",
    });
    let unknown = world.usage("e-5", "bob", 1, 1, None);
    let body = json!({"events": [old, good, future, prompt, unknown, 5, {"type": "nonsense"}]});
    let answer = world
        .call(AGENT, "POST", "/v1/events", body)
        .await
        .expect(202);
    assert_eq!(answer["accepted"], 1);
    let rejected: Vec<(u64, Value, Vec<String>)> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let fields = r["details"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d["field"].as_str().unwrap().to_owned())
                .collect();
            (r["index"].as_u64().unwrap(), r["error"].clone(), fields)
        })
        .collect();
    let bad = json!("bad_request");
    assert_eq!(
        rejected[0],
        (0, bad.clone(), vec!["events[0].occurred_at".to_owned()])
    );
    assert_eq!(
        rejected[1],
        (2, bad.clone(), vec!["events[2].occurred_at".to_owned()])
    );
    assert_eq!(
        rejected[2],
        (
            3,
            bad.clone(),
            vec![
                "events[3].output_tokens".to_owned(),
                "events[3].prompt".to_owned()
            ]
        )
    );
    assert_eq!(rejected[3], (4, json!("unknown_user"), vec![]));
    assert_eq!(rejected[4].2, ["events[5]"]);
    assert_eq!(
        rejected[5].2,
        [
            "events[6].event_id",
            "events[6].type",
            "events[6].occurred_at"
        ]
    );
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await).0, 10);
}

#[tokio::test]
async fn cached_tokens_without_input_make_no_budget_larger() {
    let (world, _) = world(10_000).await;
    let mut event = world.usage("e-1", "ada", 0, 0, None);
    event["outcome"] = json!("aborted");
    event["input_tokens"] = Value::Null;
    event["output_tokens"] = Value::Null;
    event["cached_input_tokens"] = json!(1_000_000_000);
    let body = json!({"events": [event]});
    let answer = world
        .call(AGENT, "POST", "/v1/events", body)
        .await
        .expect(400);
    assert_eq!(answer["accepted"], 0);
    let field = &answer["rejected"][0]["details"][0]["field"];
    assert_eq!(field, "events[0].cached_input_tokens");
}

#[tokio::test]
async fn a_hold_in_dollars_does_not_become_free_under_an_unknown_name() {
    let (world, _) = world(10_000).await;
    let refuse = json!({"unknown_model": "refuse"});
    world
        .admin("PATCH", "/v1/organisation", refuse)
        .await
        .expect(200);
    let usd = world.budget(None, "usd", json!(1), true).await;
    let hold = world.hold("ada", "r-1", 1_000, 1_000).await;
    let mut event = world.usage("e-1", "ada", 1_000, 500, Some(&hold));
    event["model"] = json!("our-deployment");
    world.report(&[event]).await;
    assert_eq!(world.figures(&usd).await["spent"].to_string(), "0.0125");
}

#[tokio::test]
async fn a_settlement_releases_other_lapsed_holds() {
    let (world, budget) = world(10_000).await;
    world.set_clock("2026-11-23T12:00:00Z").await;
    for n in 0..5 {
        world.hold("ada", &format!("abandoned-{n}"), 100, 100).await;
    }
    world.set_clock("2026-11-23T12:09:00Z").await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    world.set_clock("2026-11-23T12:11:00Z").await;
    world
        .report(&[world.usage("e-1", "ada", 100, 50, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (150, 0, 9_850, 9_850)
    );
}

#[tokio::test]
async fn usage_of_two_days_in_one_request_counts_on_the_day_of_each() {
    // Events that wait in the queue are recorded together.
    let world = World::with(SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await;
    world.set_clock("2026-11-23T23:58:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let longer = json!({"hold_seconds": 600});
    let organisation = "/v1/organisation";
    world.admin("PATCH", organisation, longer).await.expect(200);
    let budget = world.budget(None, "tokens", json!(1_000), true).await;
    let mut events = Vec::new();
    for (name, tokens, at) in [
        ("1", 10, "2026-11-23T23:59:00Z"),
        ("2", 200, "2026-11-24T00:01:00Z"),
    ] {
        let hold = world.hold("ada", name, 300, 0).await;
        let mut event = world.usage(name, "ada", tokens, 0, Some(&hold));
        event["occurred_at"] = json!(at);
        events.push(event);
    }
    world.set_clock("2026-11-24T00:02:00Z").await;
    world.report(&events).await;
    assert_eq!(figure(&world.figures(&budget).await), (210, 0, 790, 790));
    assert_eq!(
        days_of_ada(&world).await,
        [
            ("2026-11-23".to_owned(), 10),
            ("2026-11-24".to_owned(), 200)
        ]
    );
}
