//! Policies: from an event to their actions, their life, and tests of them.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod acting;
mod backtest;
mod burst;
mod law;
mod life;
mod naive;
mod seed_example;
mod triggers;

use end_to_end::World;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";

/// A world with `engineering` > `backend`, `sales`, and ada in `backend`.
async fn world() -> World {
    let world = World::at(NOON).await;
    world.department("engineering", None).await;
    world.department("backend", Some("engineering")).await;
    world.department("sales", None).await;
    world.user("ada", "backend").await;
    world.user("sam", "sales").await;
    world
}

/// Makes a policy; its id.
async fn draft(world: &World, policy: Value) -> String {
    let made = world.admin("POST", "/v1/policies", policy).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn publish(world: &World, id: &str) -> Value {
    let path = format!("/v1/policies/{id}/publish");
    world.admin("POST", &path, Value::Null).await.expect(200)
}

/// Makes a policy and publishes it; its id.
async fn active(world: &World, policy: Value) -> String {
    let id = draft(world, policy).await;
    publish(world, &id).await;
    id
}

/// The whole result of a test of a policy.
async fn tested(world: &World, id: &str, days: i64) -> Value {
    let path = format!("/v1/policies/{id}/test");
    let mut asked = json!({ "window_days": days });
    loop {
        let answer = world.admin("POST", &path, asked).await.expect(200);
        match answer["next_cursor"].as_str() {
            None => return answer,
            Some(cursor) => asked = json!({ "cursor": cursor }),
        }
    }
}

/// All of a list.
async fn all(world: &World, path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut asked = format!("{path}?limit=100");
    loop {
        let page = world.admin("GET", &asked, Value::Null).await.expect(200);
        found.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            None => return found,
            Some(cursor) => asked = format!("{path}?limit=100&cursor={cursor}"),
        }
    }
}

/// The alerts of one policy.
async fn firings(world: &World, policy_id: &str) -> Vec<Value> {
    let mut alerts = all(world, "/v1/alerts").await;
    alerts.retain(|alert| alert["policy_id"] == policy_id);
    alerts
}

/// The notices that a policy fired, the oldest first.
async fn notices(world: &World) -> Vec<Value> {
    let notices = world.admin("GET", "/local/notices", Value::Null).await;
    let mut notices = notices.expect(200)["items"].as_array().unwrap().clone();
    notices.retain(|notice| notice["kind"] == "policy.fired");
    notices.reverse();
    notices
}

fn risk(world: &World, event_id: &str, user_id: Option<&str>, level: &str) -> Value {
    json!({
        "event_id": event_id, "type": "ip_risk",
        "occurred_at": world.system.clock().now().to_string(),
        "user_id": user_id, "risk_level": level, "repository": "acme/shop",
        "summary": "a key was pushed",
    })
}
