//! Idempotency keys: the same request again is answered as the first time.

use super::{Bytes, all_pages, at_once, request, sent};
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use serde_json::{Value, json};

/// Every request that creates something: key, path, a body, and another body.
fn creations() -> Vec<(&'static str, &'static str, Value, Value)> {
    let user = |id: &str| {
        json!({
            "id": id, "email": format!("{id}@example.com"), "name": "X", "department_id": "eng",
            "role": "member",
        })
    };
    let budget = |amount: i64| {
        json!({
            "name": "B", "department_id": "eng", "unit": "tokens", "amount": amount,
            "hard_cap": true,
        })
    };
    let organisation = |id: &str| json!({"id": id, "name": "O", "timezone": "UTC"});
    vec![
        (
            ADMIN,
            "/v1/departments",
            json!({"id": "new", "name": "N"}),
            json!({"id": "other", "name": "N"}),
        ),
        (ADMIN, "/v1/users", user("new"), user("other")),
        (ADMIN, "/v1/budgets", budget(5), budget(6)),
        (
            ADMIN,
            "/v1/api-keys",
            json!({"role": "agent"}),
            json!({"role": "admin"}),
        ),
        (
            OPERATOR,
            "/v1/organisations",
            organisation("new"),
            organisation("other"),
        ),
        (
            OPERATOR,
            "/v1/organisations/demo/admin-keys",
            json!({}),
            Value::Null,
        ),
    ]
}

async fn counts(world: &World) -> Vec<usize> {
    let mut counts = Vec::new();
    for (key, list) in [
        (ADMIN, "departments"),
        (ADMIN, "users"),
        (ADMIN, "budgets"),
        (ADMIN, "api-keys"),
        (OPERATOR, "organisations"),
    ] {
        counts.push(
            all_pages(world, key, &format!("/v1/{list}"), "", 100)
                .await
                .len(),
        );
    }
    counts
}

async fn post(world: &World, key: &str, path: &str, idempotency_key: &str, body: &Value) -> Bytes {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let header = Some(("idempotency-key", idempotency_key));
    sent(
        world.system.router(),
        request(key, "POST", path, header, &body),
    )
    .await
}

#[tokio::test]
async fn the_same_idempotency_key_replays_the_first_answer_byte_by_byte_or_refuses_another_body() {
    let world = World::empty().await;
    world.department("eng", None).await;
    for (key, path, body, other) in creations() {
        let first = post(&world, key, path, path, &body).await;
        assert_eq!(first.0, 201, "{path} {}", String::from_utf8_lossy(&first.1));
        let made = counts(&world).await;
        assert_eq!(post(&world, key, path, path, &body).await, first, "{path}");
        let conflict = post(&world, key, path, path, &other).await;
        assert_eq!(
            conflict.0,
            409,
            "{path} {}",
            String::from_utf8_lossy(&conflict.1)
        );
        assert_eq!(post(&world, key, path, path, &body).await, first, "{path}");
        assert_eq!(counts(&world).await, made, "{path}");
    }
    for (key, path, body, _) in creations().into_iter().take(3) {
        let used_elsewhere = if path == "/v1/users" {
            "/v1/departments"
        } else {
            "/v1/users"
        };
        assert_eq!(
            post(&world, key, path, used_elsewhere, &body).await.0,
            409,
            "used for another path"
        );
    }
}

#[tokio::test]
async fn a_replay_is_the_first_answer_even_after_a_change_and_its_secret_works() {
    let world = World::empty().await;
    let body = json!({"id": "eng", "name": "First"});
    let first = post(&world, ADMIN, "/v1/departments", "k", &body).await;
    world
        .admin("PATCH", "/v1/departments/eng", json!({"name": "Second"}))
        .await
        .expect(200);
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await,
        first
    );
    let body = json!({"role": "agent"});
    post(&world, ADMIN, "/v1/api-keys", "k-2", &body).await;
    let (_, replayed) = post(&world, ADMIN, "/v1/api-keys", "k-2", &body).await;
    let replayed: Value = serde_json::from_slice(&replayed).unwrap();
    let secret = replayed["key"].as_str().unwrap();
    assert_eq!(
        world
            .call(secret, "POST", "/v1/events", json!({}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_replay_is_the_first_answer_whatever_its_texts_contain() {
    let world = World::empty().await;
    for (n, description) in ["{secret}", "{\"key\":\"{secret}\"}", "\\u007b", "tk_"]
        .into_iter()
        .enumerate()
    {
        let body = json!({"role": "agent", "description": description});
        let key = format!("k-{n}");
        let first = post(&world, ADMIN, "/v1/api-keys", &key, &body).await;
        assert_eq!(first.0, 201);
        let again = post(&world, ADMIN, "/v1/api-keys", &key, &body).await;
        let shown = |answer: &Bytes| String::from_utf8_lossy(&answer.1).into_owned();
        assert_eq!(shown(&again), shown(&first));
    }
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_the_key_that_sent_it() {
    let world = World::empty().await;
    let other = world
        .admin("POST", "/v1/api-keys", json!({"role": "admin"}))
        .await
        .expect(201);
    let other = other["key"].as_str().unwrap();
    let body = json!({"role": "agent"});
    let first = post(&world, ADMIN, "/v1/api-keys", "k", &body).await;
    let second = post(&world, other, "/v1/api-keys", "k", &body).await;
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1);
    assert_eq!(
        post(&world, AGENT, "/v1/api-keys", "k", &body).await.0,
        403,
        "a replay needs the right too"
    );
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_idempotency_key() {
    let world = World::empty().await;
    let body = json!({"id": "child", "name": "C", "parent_id": "eng"});
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await.0,
        400
    );
    world.department("eng", None).await;
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await.0,
        201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_concurrent_posts_with_one_idempotency_key_make_one_thing_and_give_one_answer() {
    let mut faults = Vec::new();
    // Who is first differs from time to time.
    for _ in 0..5 {
        let world = World::empty().await;
        world.department("eng", None).await;
        for (key, path, body, _) in creations() {
            let before: usize = counts(&world).await.iter().sum();
            let body = body.to_string();
            let one = |_| request(key, "POST", path, Some(("idempotency-key", path)), &body);
            let answers = at_once(&world, (0..20).map(one).collect()).await;
            let made = counts(&world).await.iter().sum::<usize>() - before;
            if made != 1 {
                faults.push(format!("{path} made {made}"));
            }
            let first = answers.iter().find(|(status, _)| *status == 201);
            let others = answers.iter().filter(|answer| Some(*answer) != first);
            faults.extend(others.map(|(status, body)| {
                format!("{path}: {status} {}", String::from_utf8_lossy(body))
            }));
        }
    }
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}
