//! Webhooks: signed, retried for a day, paused and resumed, with a real receiver on this machine.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod arriving;
mod changing;
mod ending;
mod pausing;
mod retrying;
mod secrets;

use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::World;
use end_to_end::receiver::Receiver;
use serde_json::{Value, json};
use shared::domain::notice::health::Health;
use shared::store::HealthChange;

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

/// Moves the clock by so many seconds and runs everything that is due by then.
async fn pass(world: &World, seconds: i64) {
    let now = world.system.clock().now() + jiff::SignedDuration::from_secs(seconds);
    world.set_clock(&now.to_string()).await;
    world.system.drain().await.unwrap();
}

/// Lets a webhook post elsewhere, whatever the API would say of it.
async fn set_url(world: &World, webhook: &Value, url: &str) {
    let row = format!("webhook#{}", webhook["id"].as_str().unwrap());
    let edited = world
        .tables()
        .update_item()
        .table_name("Governance")
        .key("pk", AttributeValue::S("demo".to_owned()))
        .key("sk", AttributeValue::S(row))
        .update_expression("SET #data.#url = :url")
        .expression_attribute_names("#data", "data")
        .expression_attribute_names("#url", "url")
        .expression_attribute_values(":url", AttributeValue::S(url.to_owned()));
    edited.send().await.unwrap();
}

/// Pauses a webhook, as a delivery does that is given up.
async fn pause(world: &World, webhook: &Value) -> Health {
    let now = world.system.clock().now();
    let paused = Health {
        failing_since: now,
        paused_at: Some(now),
        probe_at: Some(now + jiff::SignedDuration::from_mins(15)),
        turn_until: None,
        resumed_at: None,
        ended_at: None,
        version: 1,
    };
    let change = HealthChange {
        before: None,
        after: Some(&paused),
    };
    let id = webhook["id"].as_str().unwrap();
    let kept = world.system.store().set_health("demo", id, change).await;
    assert!(kept.unwrap());
    paused
}

/// Lets an event happen a second later that every webhook is told of: a user is blocked or
/// released.
async fn event(world: &World, number: usize) {
    pass(world, 1).await;
    let path = "/v1/users/ada/block";
    let answer = match number % 2 {
        0 => {
            let body = json!({"reason": format!("number {number}")});
            world.admin("PUT", path, body).await
        }
        _ => world.admin("DELETE", path, Value::Null).await,
    };
    assert!(answer.status < 300, "{}", answer.body);
    world.system.drain().await.unwrap();
}

/// A world with a webhook to the receiver, and the user whom events are about.
async fn world_with_ada() -> (World, Receiver, Value) {
    let (world, receiver) = world().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let made = webhook(&world, &receiver, json!({})).await;
    (world, receiver, made)
}

fn statuses(deliveries: &[Value]) -> Vec<&str> {
    let each = deliveries.iter();
    each.map(|delivery| delivery["status"].as_str().unwrap())
        .collect()
}
