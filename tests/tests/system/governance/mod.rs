//! The audit log, the visibility of people and the power of keys.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod audit_log;
mod heads;
mod leavers;
mod managers;
mod oauth;
mod people;
mod rates;
mod refusals;
mod rotation;
mod unknown_keys;

use end_to_end::World;
use serde_json::{Value, json};

/// `eng` > `backend` with ada in it, and a hard cap of so many tokens on `eng`.
async fn world(cap: i64) -> World {
    let world = World::at("2026-11-24T12:00:00Z").await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.user("ada", "backend").await;
    world.budget(Some("eng"), "tokens", json!(cap), true).await;
    world
}

async fn key(world: &World, role: &str, user_id: Option<&str>) -> String {
    let body = json!({"role": role, "user_id": user_id});
    let made = world.admin("POST", "/v1/api-keys", body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

async fn schedule(world: &World) -> reset::Report {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    world.system.schedule(until).await.unwrap()
}

/// The ids, or what else is called `name`, of a list that a key sees.
async fn listed(world: &World, key: &str, path: &str, name: &str) -> Vec<String> {
    let list = world.call(key, "GET", path, Value::Null).await.expect(200);
    let items = list["items"].as_array().unwrap().iter();
    let mut found: Vec<String> = items
        .map(|item| item[name].as_str().unwrap().to_owned())
        .collect();
    found.sort_unstable();
    found
}
