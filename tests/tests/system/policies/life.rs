//! The life of a policy: a draft, published, changed beside what is published, disabled, published
//! again, deleted.

use super::{active, all, draft, firings, publish, risk, tested, world};
use end_to_end::World;
use serde_json::{Value, json};

fn policy(level: &str) -> Value {
    json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "conditions": [{"field": "risk_level", "op": "gte", "value": level}],
        "actions": [{"type": "create_incident"}],
    })
}

async fn reported(world: &World, event_id: &str, level: &str) {
    world
        .report(&[risk(world, event_id, Some("ada"), level)])
        .await;
}

#[tokio::test]
async fn a_draft_fires_nothing_and_a_published_policy_fires_from_the_next_event_on() {
    let world = world().await;
    let id = draft(&world, policy("high")).await;
    let path = format!("/v1/policies/{id}");
    let seen = world.admin("GET", &path, Value::Null).await.expect(200);
    assert_eq!(
        (
            &seen["status"],
            &seen["published_at"],
            &seen["effective_from"]
        ),
        (&json!("draft"), &Value::Null, &Value::Null)
    );
    assert_eq!(seen["match"], "all");
    reported(&world, "e-1", "high").await;
    assert!(firings(&world, &id).await.is_empty());
    assert_eq!(
        tested(&world, &id, 30).await["would_trigger"],
        1,
        "a draft can be tried"
    );
    world.set_clock("2026-11-24T12:00:05Z").await;
    let published = publish(&world, &id).await;
    assert_eq!(
        (&published["status"], &published["version"]),
        (&json!("active"), &json!(2))
    );
    assert_eq!(published["effective_from"], "2026-11-24T12:00:05Z");
    assert_eq!(
        publish(&world, &id).await,
        published,
        "published again, nothing changes"
    );
    reported(&world, "e-2", "high").await;
    reported(&world, "e-3", "medium").await;
    assert_eq!(firings(&world, &id).await.len(), 1);
}

#[tokio::test]
async fn an_active_policy_goes_on_as_it_was_until_its_draft_is_published() {
    let world = world().await;
    let id = active(&world, policy("high")).await;
    let path = format!("/v1/policies/{id}");
    let body = json!({"conditions": [{"field": "risk_level", "op": "gte", "value": "low"}]});
    let changed = world.admin("PATCH", &path, body).await.expect(200);
    assert_eq!(changed["status"], "active");
    assert_eq!(
        changed["conditions"][0]["value"], "high",
        "what is published stays"
    );
    assert_eq!(changed["draft"]["conditions"][0]["value"], "low");
    assert_eq!(changed["draft"]["name"], "Leaks");
    reported(&world, "e-1", "low").await;
    assert!(firings(&world, &id).await.is_empty());
    assert_eq!(
        tested(&world, &id, 1).await["would_trigger"],
        1,
        "a test tries the draft"
    );
    let published = publish(&world, &id).await;
    assert_eq!(
        (&published["draft"], &published["conditions"][0]["value"]),
        (&Value::Null, &json!("low"))
    );
    reported(&world, "e-2", "low").await;
    assert_eq!(firings(&world, &id).await.len(), 1);
}

#[tokio::test]
async fn a_disabled_policy_fires_nothing_until_it_is_published_again_and_a_deleted_one_never() {
    let world = world().await;
    let id = active(&world, policy("low")).await;
    let path = format!("/v1/policies/{id}");
    let disable = format!("{path}/disable");
    let disabled = world.admin("POST", &disable, Value::Null).await.expect(200);
    assert_eq!(
        (&disabled["status"], &disabled["effective_from"]),
        (&json!("disabled"), &Value::Null)
    );
    assert_eq!(
        world.admin("POST", &disable, Value::Null).await.expect(200),
        disabled
    );
    reported(&world, "e-1", "high").await;
    let body = json!({"name": "Every leak"});
    let changed = world.admin("PATCH", &path, body).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["draft"]),
        (&json!("Every leak"), &Value::Null)
    );
    assert!(firings(&world, &id).await.is_empty());
    publish(&world, &id).await;
    reported(&world, "e-2", "high").await;
    assert_eq!(
        firings(&world, &id).await[0]["title"],
        "Policy \"Every leak\" fired"
    );
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    reported(&world, "e-3", "high").await;
    assert_eq!(firings(&world, &id).await.len(), 1);
    assert_eq!(world.admin("GET", &path, Value::Null).await.status, 404);
    assert!(all(&world, "/v1/policies").await.is_empty());
    let never = draft(&world, policy("low")).await;
    let refused = world
        .admin(
            "POST",
            &format!("/v1/policies/{never}/disable"),
            Value::Null,
        )
        .await;
    assert_eq!(refused.status, 409);
}

#[tokio::test]
async fn every_step_of_a_policy_s_life_is_audited_and_what_does_nothing_is_not() {
    let world = world().await;
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
    let id = active(&world, policy("low")).await;
    let path = format!("/v1/policies/{id}");
    publish(&world, &id).await;
    world
        .admin("PATCH", &path, json!({"name": "Other"}))
        .await
        .expect(200);
    publish(&world, &id).await;
    world
        .admin("POST", &format!("{path}/disable"), Value::Null)
        .await
        .expect(200);
    world
        .admin("POST", &format!("{path}/disable"), Value::Null)
        .await
        .expect(200);
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(seq().await, before + 6);
    let log = "/v1/audit-log?limit=6";
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    let entries = log["items"].as_array().unwrap().iter().rev();
    let actions: Vec<&str> = entries
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "policy.create",
            "policy.publish",
            "policy.update",
            "policy.publish",
            "policy.disable",
            "policy.delete",
        ]
    );
}

#[tokio::test]
async fn a_hundred_policies_may_be_active_and_not_one_more() {
    let world = world().await;
    let mut last = String::new();
    for _ in 0..100 {
        last = active(&world, policy("critical")).await;
    }
    let one_more = draft(&world, policy("low")).await;
    let path = format!("/v1/policies/{one_more}/publish");
    let refused = world.admin("POST", &path, Value::Null).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body["message"].as_str().unwrap().contains("100"));
    world
        .admin("POST", &format!("/v1/policies/{last}/disable"), Value::Null)
        .await
        .expect(200);
    publish(&world, &one_more).await;
    let listed = world
        .admin("GET", "/v1/policies?status=active&limit=100", Value::Null)
        .await
        .expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 100);
}
