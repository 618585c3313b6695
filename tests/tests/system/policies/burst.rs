//! Four thousand events at once: each is evaluated, each firing happens once.

use super::{active, all, risk, tested, world};
use end_to_end::AGENT;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_four_thousand_events_fires_once_for_each_risk_and_threshold() {
    let world = world().await;
    let each = active(
        &world,
        json!({
            "name": "Risks", "trigger": {"type": "ip_risk_event"},
            "actions": [{"type": "create_incident"}, {"type": "block_access"}],
        }),
    )
    .await;
    let total = active(
        &world,
        json!({
            "name": "Much",
            "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 20_000},
            "actions": [{"type": "email_user"}],
        }),
    )
    .await;
    let events: Vec<Value> = (0..4_000)
        .map(|n| match n % 50 {
            0 => risk(&world, &format!("r-{n}"), Some("ada"), "high"),
            _ => world.usage(
                &format!("e-{n}"),
                if n % 2 == 0 { "ada" } else { "sam" },
                20,
                0,
                None,
            ),
        })
        .collect();
    let sent = events.chunks(500).map(|some| {
        let body = json!({ "events": some });
        world.call(AGENT, "POST", "/v1/events", body)
    });
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.expect(202)["accepted"], 500);
    }
    world.system.drain().await.unwrap();
    let queues = world.system.queues();
    assert_eq!(queues.counts("events-dlq").unwrap().visible, 0);
    let alerts = all(&world, "/v1/alerts").await;
    let of = |id: &str| {
        alerts
            .iter()
            .filter(|alert| alert["policy_id"] == id)
            .count()
    };
    assert_eq!((of(&each), of(&total)), (80, 2));
    assert_eq!(all(&world, "/v1/incidents").await.len(), 80);
    let user = world
        .admin("GET", "/v1/users/ada", Value::Null)
        .await
        .expect(200);
    assert_eq!(user["version"], 2, "blocked once");
    let test = tested(&world, &each, 1).await;
    assert_eq!(
        (&test["events_evaluated"], &test["would_trigger"]),
        (&json!(4_000), &json!(80))
    );
    assert_eq!(tested(&world, &total, 1).await["would_trigger"], 2);
}
