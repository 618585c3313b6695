//! Refused preflights: a record each, one entry of the audit log for each hour, user and reason.

use super::{schedule, world};
use end_to_end::World;
use local::dynamodb::{Fault, FaultKind, When};
use serde_json::{Value, json};

async fn entries(world: &World) -> Vec<Value> {
    let path = "/v1/audit-log?action=preflight.refused&limit=100";
    let log = world.admin("GET", path, Value::Null).await.expect(200);
    log["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_refusals_of_an_hour_are_one_entry_for_each_user_and_reason() {
    let world = world(10).await;
    world.user("bob", "backend").await;
    for minute in [1, 20, 59] {
        world
            .set_clock(&format!("2026-11-24T12:{minute:02}:00Z"))
            .await;
        let refused = world.preflight("ada", &format!("r-{minute}"), 100, 0).await;
        assert_eq!(refused["decision"], "block");
    }
    world.preflight("bob", "r-1", 100, 0).await;
    world.preflight("nobody", "r-1", 100, 0).await;
    world.preflight("noone", "r-2", 100, 0).await;
    world.hold("ada", "r-ok", 5, 0).await;
    world.system.drain().await.unwrap();
    world.set_clock("2026-11-24T13:05:00Z").await;
    schedule(&world).await;
    assert_eq!(
        entries(&world).await,
        Vec::<Value>::new(),
        "some may be on their way"
    );
    world.set_clock("2026-11-24T13:10:00Z").await;
    assert_eq!(schedule(&world).await.totals.refusals_audited, 3);
    assert_eq!(
        schedule(&world).await.totals.refusals_audited,
        0,
        "told once"
    );
    let mut seen: Vec<(String, Value)> = entries(&world)
        .await
        .into_iter()
        .map(|entry| {
            (
                entry["resource"].as_str().unwrap().to_owned(),
                entry["after"].clone(),
            )
        })
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    let hour = |user: &str, reason: &str, first: &str, last: &str, count: u64| {
        let after = json!({
            "hour": "2026-11-24T12", "user_id": user, "reason": reason, "first": first,
            "last": last, "count": count,
        });
        (format!("user/{user}"), after)
    };
    let last = "2026-11-24T12:59:00Z";
    assert_eq!(
        seen,
        [
            hour("ada", "budget_exhausted", "2026-11-24T12:01:00Z", last, 3),
            hour("bob", "budget_exhausted", last, last, 1),
            hour("unknown", "unknown_user", last, last, 2),
        ]
    );
    let verified = "/v1/audit-log/verify";
    let verified = world.admin("GET", verified, Value::Null).await.expect(200);
    assert_eq!(verified["ok"], true, "{verified}");
}

#[tokio::test]
async fn late_refusals_are_a_second_entry_of_the_hour() {
    let world = world(10).await;
    world.preflight("ada", "r-1", 100, 0).await;
    world.system.drain().await.unwrap();
    world.set_clock("2026-11-24T13:30:00Z").await;
    schedule(&world).await;
    world.set_clock("2026-11-24T12:30:00Z").await;
    world.preflight("ada", "r-2", 100, 0).await;
    world.preflight("ada", "r-3", 100, 0).await;
    world.system.drain().await.unwrap();
    world.set_clock("2026-11-24T13:40:00Z").await;
    schedule(&world).await;
    schedule(&world).await;
    let counts: Vec<Value> = entries(&world)
        .await
        .iter()
        .map(|e| e["after"]["count"].clone())
        .collect();
    assert_eq!(counts, [json!(2), json!(1)], "the newest first");
}

#[tokio::test]
async fn a_refusal_that_is_delivered_twice_counts_once() {
    let world = world(10).await;
    let refused = shared::domain::ledger::refused::RefusalMessage {
        organisation_id: "demo".to_owned(),
        refused: shared::domain::ledger::refused::Refused {
            refusal_id: "rfs_1".to_owned(),
            refused_at: "2026-11-24T12:00:00Z".parse().unwrap(),
            request_id: "r-1".to_owned(),
            user_id: "ada".to_owned(),
            model: "gpt-4o".to_owned(),
            reasons: vec!["budget_exhausted".to_owned()],
            budget_ids: vec![],
        },
    };
    let body = serde_json::to_string(&refused).unwrap();
    for _ in 0..3 {
        world
            .system
            .queues()
            .send("events", &body, std::time::Duration::ZERO)
            .unwrap();
    }
    world.system.drain().await.unwrap();
    world.set_clock("2026-11-24T14:00:00Z").await;
    schedule(&world).await;
    assert_eq!(entries(&world).await[0]["after"]["count"], 1);
}

#[tokio::test]
async fn a_queue_that_is_down_changes_no_decision() {
    let world = world(10).await;
    let before = world.preflight("ada", "r-1", 100, 0).await;
    for kind in [FaultKind::Silence, FaultKind::ConnectionReset] {
        for call in 0..3 {
            world.system.queues().inject(Fault {
                call,
                when: When::Before,
                kind,
            });
        }
    }
    let after = world.preflight("ada", "r-1", 100, 0).await;
    assert_eq!(
        (&after["decision"], &after["reasons"], &after["degraded"]),
        (&json!("block"), &before["reasons"], &json!(false))
    );
    assert!(world.system.queues().faults_fired() > 0);
    world.system.queues().clear_faults();
    let admitted = world.preflight("ada", "r-2", 5, 0).await;
    assert_eq!(admitted["decision"], "allow");
}
