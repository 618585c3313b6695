//! Secrets of the deployment that are rotated while it runs, without a deployment.

use super::oauth::{ask, client, form, token};
use super::world;
use end_to_end::{ADMIN, OPERATOR, World};
use local::system::{OPERATOR_SECRET, TOKEN_SECRET};
use serde_json::{Value, json};
use std::time::Duration;

/// After how long a secret is read again.
const FRESH: Duration = Duration::from_secs(300);

/// The answers of the three functions that take a token.
async fn answers(world: &World, token: &str) -> [u16; 3] {
    let preflight = json!({
        "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 5,
        "max_output_tokens": 0,
    });
    let events = json!({"events": [world.usage("e-1", "ada", 5, 0, None)]});
    let read = world.call(token, "GET", "/v1/users", Value::Null).await;
    let decided = world.call(token, "POST", "/v1/preflight", preflight).await;
    let sent = world.call(token, "POST", "/v1/events", events).await;
    [read, decided, sent].map(|answer| answer.status)
}

#[tokio::test(start_paused = true)]
async fn tokens_outlast_one_rotation_and_not_two() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "admin"})).await;
    let old = token(&world, &id, &secret).await;
    assert_eq!(answers(&world, &old).await, [200, 200, 202]);
    world.system.secrets().rotate(TOKEN_SECRET, "a second key");
    tokio::time::advance(FRESH).await;
    let new = token(&world, &id, &secret).await;
    assert_ne!(old, new);
    for token in [&old, &new] {
        assert_eq!(answers(&world, token).await, [200, 200, 202]);
    }
    world.system.secrets().rotate(TOKEN_SECRET, "a third key");
    tokio::time::advance(FRESH).await;
    assert_eq!(answers(&world, &old).await, [401; 3]);
    assert_eq!(answers(&world, &new).await, [200, 200, 202]);
    assert_eq!(ask(&world, form(&id, &secret), None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_new_operator_is_known_at_once_and_the_old_one_is_nobody_then() {
    let world = world(100).await;
    world.user("bob", "eng").await;
    let path = "/v1/users?limit=1";
    let page = world
        .call(ADMIN, "GET", path, Value::Null)
        .await
        .expect(200);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let status = async |key: &str| {
        let listed = world.call(key, "GET", "/v1/organisations", Value::Null);
        listed.await.status
    };
    assert_eq!(status(OPERATOR).await, 200);
    world
        .system
        .secrets()
        .rotate(OPERATOR_SECRET, "another-operator");
    assert_eq!(status("another-operator").await, 200);
    assert_eq!(status(OPERATOR).await, 401);
    assert_eq!(status("a-third-operator").await, 401);
    // Lists that are open go on.
    let next = format!("{path}&cursor={cursor}");
    let page = world
        .call(ADMIN, "GET", &next, Value::Null)
        .await
        .expect(200);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
}
