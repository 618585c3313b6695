//! The actions of policies: each takes effect exactly once.

use super::{active, all, firings, notices, risk, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

fn with_actions(actions: Value) -> Value {
    json!({"name": "Leaks", "trigger": {"type": "ip_risk_event"}, "actions": actions})
}

async fn decision(world: &World, user_id: &str, request_id: &str) -> Value {
    world.preflight(user_id, request_id, 1, 1).await
}

#[tokio::test]
async fn a_blocked_user_is_refused_by_the_next_preflight_until_the_block_ends_or_is_released() {
    for (until, ends_at) in [
        (json!("released"), Value::Null),
        (json!({"hours": 3}), json!("2026-11-24T15:00:00Z")),
        (json!("period_end"), json!("2026-12-01T00:00:00Z")),
    ] {
        let world = world().await;
        world.budget(None, "tokens", json!(100_000), true).await;
        assert_eq!(decision(&world, "ada", "r-1").await["decision"], "allow");
        let policy = active(
            &world,
            with_actions(json!([{"type": "block_access", "until": until}])),
        )
        .await;
        world
            .report(&[risk(&world, "e-1", Some("ada"), "low")])
            .await;
        let refused = decision(&world, "ada", "r-2").await;
        assert_eq!(refused["decision"], "block");
        assert_eq!(refused["reasons"][0]["code"], "user_blocked");
        assert!(
            refused["reasons"][0]["message"]
                .as_str()
                .unwrap()
                .contains("a key was pushed"),
            "{refused}"
        );
        assert_eq!(decision(&world, "sam", "r-2").await["decision"], "allow");
        let user = world
            .admin("GET", "/v1/users/ada", Value::Null)
            .await
            .expect(200);
        assert_eq!(
            (&user["block"]["policy_id"], &user["block"]["until"]),
            (&json!(policy), &ends_at)
        );
        match ends_at.as_str() {
            Some(at) => world.set_clock(at).await,
            None => {
                let path = "/v1/users/ada/block";
                assert_eq!(world.admin("DELETE", path, Value::Null).await.status, 204);
            }
        }
        assert_eq!(
            decision(&world, "ada", "r-3").await["decision"],
            "allow",
            "{until}"
        );
        assert_eq!(firings(&world, &policy).await[0]["severity"], "low");
    }
}

#[tokio::test]
async fn a_block_that_lasts_longer_stays_and_a_shorter_one_gives_way() {
    let world = world().await;
    active(
        &world,
        with_actions(json!([{"type": "block_access", "until": {"hours": 3}}])),
    )
    .await;
    let until = async || {
        let user = world
            .admin("GET", "/v1/users/ada", Value::Null)
            .await
            .expect(200);
        user["block"]["until"].clone()
    };
    let block = async |body: Value| {
        world
            .admin("PUT", "/v1/users/ada/block", body)
            .await
            .expect(200);
    };
    block(json!({"reason": "by hand", "until": "2026-11-24T13:00:00Z"})).await;
    world
        .report(&[risk(&world, "e-1", Some("ada"), "high")])
        .await;
    assert_eq!(until().await, "2026-11-24T15:00:00Z");
    block(json!({"reason": "by hand"})).await;
    world
        .report(&[risk(&world, "e-2", Some("ada"), "high")])
        .await;
    assert_eq!(until().await, Value::Null);
    assert_eq!(all(&world, "/v1/alerts").await.len(), 2);
}

#[tokio::test]
async fn actions_that_need_a_user_are_reported_for_an_event_without_one() {
    let world = world().await;
    world.user("root", "sales").await;
    world
        .admin("PATCH", "/v1/users/root", json!({"role": "admin"}))
        .await
        .expect(200);
    let actions =
        json!([{"type": "email_user"}, {"type": "email_manager"}, {"type": "block_access"}]);
    active(&world, with_actions(actions)).await;
    world.report(&[risk(&world, "e-1", None, "high")]).await;
    let notices = notices(&world).await;
    let told = notices[0]["recipients"].as_array().unwrap();
    assert_eq!((told.len(), &told[0]["user_id"]), (1, &json!("root")));
    assert_eq!(
        told[0]["because"],
        "the event names no known user, and you are an administrator"
    );
    let not_done = notices[0]["payload"]["not_done"].as_array().unwrap();
    assert_eq!(not_done.len(), 2, "{not_done:?}");
}

#[tokio::test]
async fn a_webhook_is_told_and_its_secret_is_shown_once() {
    let world = world().await;
    let actions = json!([
        {"type": "webhook", "url": "https://example.com/a"},
        {"type": "webhook", "url": "https://example.com/b"},
    ]);
    let body = with_actions(actions).to_string();
    let headers = [
        ("idempotency-key", "once"),
        ("content-type", "application/json"),
    ];
    let make = async || {
        world
            .raw(
                end_to_end::ADMIN,
                "POST",
                "/v1/policies",
                &headers,
                body.clone(),
            )
            .await
            .expect(201)
    };
    let made = make().await;
    let webhooks = made["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 2);
    assert_eq!(webhooks[0]["url"], "https://example.com/a");
    assert!(
        webhooks
            .iter()
            .all(|w| w["signing_secret"].as_str().unwrap().starts_with("whsec_"))
    );
    assert_ne!(webhooks[0]["signing_secret"], webhooks[1]["signing_secret"]);
    assert_eq!(
        make().await,
        made,
        "the same request again gets the same answer"
    );
    let id = made["id"].as_str().unwrap();
    let seen = world
        .admin("GET", &format!("/v1/policies/{id}"), Value::Null)
        .await
        .expect(200);
    assert!(!seen.to_string().contains("whsec_"), "{seen}");
    assert_eq!(seen["actions"][0]["webhook_id"], webhooks[0]["id"]);
    super::publish(&world, id).await;
    world.report(&[risk(&world, "e-1", None, "high")]).await;
    let told = notices(&world).await[0]["recipients"].clone();
    assert_eq!(told[0]["channel"], "webhook");
    assert_eq!(told[1]["webhook_id"], webhooks[1]["id"]);
}

#[tokio::test]
async fn an_incident_is_acknowledged_and_resolved_with_notes_and_an_audit_entry_each() {
    let world = world().await;
    active(
        &world,
        with_actions(json!([{"type": "create_incident", "severity": "critical"}])),
    )
    .await;
    world
        .report(&[risk(&world, "e-1", Some("ada"), "low")])
        .await;
    let incident = &all(&world, "/v1/incidents").await[0];
    assert_eq!(incident["severity"], "critical");
    let path = format!("/v1/incidents/{}", incident["id"].as_str().unwrap());
    let seq = async || {
        world
            .system
            .store()
            .head("demo")
            .await
            .unwrap()
            .unwrap()
            .seq
    };
    let before = seq().await;
    let body = json!({"status": "acknowledged", "note": "I look into it"});
    let seen = world.admin("PATCH", &path, body).await.expect(200);
    assert_eq!(
        (&seen["status"], &seen["notes"][0]["text"]),
        (&json!("acknowledged"), &json!("I look into it"))
    );
    let seen = world
        .admin("PATCH", &path, json!({"status": "resolved"}))
        .await
        .expect(200);
    assert_eq!(seen["resolved_at"], super::NOON);
    assert_eq!(seq().await, before + 2);
    let open = world
        .admin("GET", "/v1/incidents?status=open", Value::Null)
        .await
        .expect(200);
    assert!(open["items"].as_array().unwrap().is_empty());
    assert_eq!(
        world.admin("GET", &path, Value::Null).await.expect(200),
        seen
    );
}

/// Everything that a firing leaves behind, without ids and times.
async fn left_behind(world: &World) -> Value {
    let counts = [
        all(world, "/v1/alerts").await.len(),
        all(world, "/v1/incidents").await.len(),
        notices(world).await.len(),
    ];
    let user = world
        .admin("GET", "/v1/users/ada", Value::Null)
        .await
        .expect(200);
    let head = world.system.store().head("demo").await.unwrap().unwrap();
    let dead = world.system.queues().counts("events-dlq").unwrap().visible;
    json!([
        counts,
        user["block"]["reason"],
        user["version"],
        head.seq,
        head.epoch,
        dead
    ])
}

async fn world_that_does_everything() -> World {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(super::NOON).await;
    world.department("engineering", None).await;
    world.user("ada", "engineering").await;
    let actions = json!([
        {"type": "email_user"}, {"type": "block_access"}, {"type": "create_incident"},
        {"type": "webhook", "url": "https://example.com/hook"},
    ]);
    active(&world, with_actions(actions)).await;
    let policy = json!({
        "name": "Much",
        "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 100},
        "actions": [{"type": "create_incident"}],
    });
    active(&world, policy).await;
    world
}

async fn report(world: &World) -> bool {
    let events = json!({
        "events": [
            risk(world, "e-1", Some("ada"), "high"), world.usage("e-2", "ada", 100, 0, None),
        ],
    });
    let answer = world.call(AGENT, "POST", "/v1/events", events).await;
    world.system.drain().await.unwrap();
    answer.status == 202
}

#[tokio::test]
async fn whichever_call_of_the_database_fails_each_action_is_taken_once() {
    let peaceful = world_that_does_everything().await;
    assert!(report(&peaceful).await);
    let once = left_behind(&peaceful).await;
    assert_eq!(once[0], json!([2, 2, 2]), "{once}");
    for when in [When::Before, When::After] {
        for call in 0.. {
            let world = world_that_does_everything().await;
            let engine = world.system.engine();
            let kind = FaultKind::ConnectionReset;
            engine.inject(Fault { call, when, kind });
            while !report(&world).await {}
            let has_fired = engine.faults_fired() > 0;
            engine.clear_faults();
            // Every event once more, as a queue may do.
            assert!(report(&world).await);
            assert_eq!(left_behind(&world).await, once, "call {call} {when:?}");
            if !has_fired {
                assert!(
                    call > at_least(when, 20, 16),
                    "{call} calls were made to fail"
                );
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_notice_that_the_queue_did_not_take_is_queued_when_its_event_comes_again() {
    for when in [When::Before, When::After] {
        let world = world_that_does_everything().await;
        // The first call puts the events on their queue; the second one is the notice.
        let kind = FaultKind::ConnectionReset;
        world.system.queues().inject(Fault {
            call: 1,
            when,
            kind,
        });
        assert!(report(&world).await);
        assert_eq!(world.system.queues().faults_fired(), 1);
        assert_eq!(left_behind(&world).await[0], json!([2, 2, 2]), "{when:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_sent_again_later_fires_no_policy_that_is_newer_than_it() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(super::NOON).await;
    world.department("engineering", None).await;
    world.user("ada", "engineering").await;
    let events = [
        risk(&world, "e-1", Some("ada"), "high"),
        world.usage("e-2", "ada", 500, 0, None),
    ];
    world.report(&events).await;
    world.set_clock("2026-11-24T12:30:00Z").await;
    let risks = active(&world, with_actions(json!([{"type": "block_access"}]))).await;
    let total = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 500});
    let total = active(&world, json!({"name": "Much", "trigger": total})).await;
    // Its claim is not read, so it is queued once more.
    let engine = world.system.engine();
    for call in 0..2 {
        let (when, kind) = (When::Before, FaultKind::ConnectionReset);
        engine.inject(Fault { call, when, kind });
    }
    let body = json!({ "events": events });
    let again = world.call(AGENT, "POST", "/v1/events", body).await;
    assert_eq!(again.expect(202)["accepted"], 2);
    engine.clear_faults();
    world.system.drain().await.unwrap();
    assert!(firings(&world, &risks).await.is_empty());
    assert!(firings(&world, &total).await.is_empty());
    world.report(&[world.usage("e-3", "ada", 1, 0, None)]).await;
    assert_eq!(firings(&world, &total).await.len(), 1);
}

#[tokio::test]
async fn a_block_until_the_period_ends_is_of_the_month_it_is_about() {
    let world = world().await;
    let trigger = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 100});
    let actions = json!([{"type": "block_access", "until": "period_end"}]);
    let body = json!({"name": "Much", "trigger": trigger, "actions": actions});
    let policy = active(&world, body).await;
    world.set_clock("2026-12-01T00:05:00Z").await;
    let mut late = world.usage("e-1", "ada", 100, 0, None);
    late["occurred_at"] = json!("2026-11-30T23:59:00Z");
    world.report(&[late]).await;
    let fired = firings(&world, &policy).await;
    let said = "nobody was blocked: the month that it is about is over";
    assert_eq!(fired[0]["metadata"]["not_done"], json!([said]));
    let user = world
        .admin("GET", "/v1/users/ada", Value::Null)
        .await
        .expect(200);
    assert_eq!(user["block"], Value::Null);
}

#[tokio::test]
async fn one_of_two_batches_that_cross_a_policy_at_once_fires_it() {
    let world = world().await;
    let policy = json!({
        "name": "Much",
        "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 100},
        "actions": [{"type": "create_incident"}],
    });
    let policy = active(&world, policy).await;
    world.system.drain().await.unwrap();
    let fires =
        |operation: &str, body: &str| operation == "TransactWriteItems" && body.contains("fired#");
    let mut stopped = world.system.engine().stop_next(fires);
    let send = async |event_id: &str| {
        let usage = world.usage(event_id, "ada", 100, 0, None);
        let body = json!({ "events": [usage] });
        let sent = world.call(AGENT, "POST", "/v1/events", body).await;
        sent.expect(202);
    };
    let count = async || {
        let incidents = all(&world, "/v1/incidents").await.len();
        (firings(&world, &policy).await.len(), incidents)
    };
    send("e-1").await;
    stopped.arrived().await;
    assert_eq!(count().await, (0, 0));
    send("e-2").await;
    let events = || world.system.queues().counts("events").unwrap();
    while (events().visible, events().in_flight) != (0, 1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(count().await, (1, 1), "the second one was faster");
    stopped.release();
    world.system.drain().await.unwrap();
    assert_eq!(count().await, (1, 1));
}
