//! Webhooks: signed, retried for a day, paused and resumed, with a real receiver on this machine.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod arriving;
mod retrying;
mod secrets;

use end_to_end::World;
use end_to_end::receiver::Receiver;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";

async fn world() -> (World, Receiver) {
    let world = World::at(NOON).await;
    (world, Receiver::start().await)
}

/// Makes a webhook to the receiver.
async fn webhook(world: &World, receiver: &Receiver, extra: Value) -> Value {
    let mut body = json!({"url": format!("{}/hook", receiver.url)});
    let extra = extra.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(extra);
    world.admin("POST", "/v1/webhooks", body).await.expect(201)
}

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

/// Sends the webhook's test event; its delivery.
async fn test(world: &World, webhook: &Value) -> Value {
    let path = format!("{}/test", path(webhook));
    let made = world.admin("POST", &path, Value::Null).await.expect(202);
    world.system.drain().await.unwrap();
    made
}

async fn deliveries(world: &World, webhook: &Value) -> Vec<Value> {
    let path = format!("{}/deliveries?limit=100", path(webhook));
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

async fn seen(world: &World, webhook: &Value) -> Value {
    world
        .admin("GET", &path(webhook), Value::Null)
        .await
        .expect(200)
}

/// Moves the clock by so many seconds and lets what is due by then happen.
async fn pass(world: &World, seconds: i64) {
    let now = world.system.clock().now() + jiff::SignedDuration::from_secs(seconds);
    world.set_clock(&now.to_string()).await;
    world.system.drain().await.unwrap();
}
