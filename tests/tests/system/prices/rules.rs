//! What cannot be set, and who may not set it.

use super::{put, world};
use end_to_end::{ADMIN, World};
use serde_json::{Value, json};

const PRICE: &str = "/v1/prices/openai/gpt-4o";

async fn with_version(world: &World, version: &str, body: Value) -> u16 {
    let headers = [("if-match", version)];
    let answer = world
        .raw(ADMIN, "PUT", PRICE, &headers, body.to_string())
        .await;
    answer.status
}

#[tokio::test]
async fn a_price_with_a_stale_version_is_not_set() {
    let (world, _) = world().await;
    let rates = |usd: i64| json!({"input_usd_per_million": usd});
    assert_eq!(with_version(&world, "1", rates(1)).await, 409);
    assert_eq!(
        with_version(&world, "0", rates(1)).await,
        200,
        "0 says that there is none"
    );
    assert_eq!(with_version(&world, "1", rates(2)).await, 200);
    assert_eq!(with_version(&world, "\"1\"", rates(3)).await, 409);
    let headers = [("if-match", "1")];
    let stale = world.raw(ADMIN, "DELETE", PRICE, &headers, "").await;
    assert_eq!(stale.status, 409);
    let price = world.admin("GET", PRICE, Value::Null).await.expect(200);
    assert_eq!(
        (&price["version"], &price["input_usd_per_million"]),
        (&json!(2), &json!(2))
    );
}

#[tokio::test]
async fn what_does_not_fit_what_is_there_is_a_conflict_that_names_its_field() {
    let (world, _) = world().await;
    put(
        &world,
        "/v1/models/aliases",
        json!({"name": "our-chat", "model": "gpt-4o"}),
    )
    .await;
    for (path, body, field) in [
        (
            "/v1/prices/own/ours",
            json!({"output_usd_per_million": 1}),
            "input_usd_per_million",
        ),
        (
            "/v1/prices/own/ours",
            json!({"input_usd_per_million": 1}),
            "output_usd_per_million",
        ),
        (
            "/v1/models/aliases",
            json!({"name": "a", "model": "OUR-chat"}),
            "model",
        ),
        (
            "/v1/models/aliases",
            json!({"name": "GPT-4o", "model": "gpt-4.1"}),
            "name",
        ),
        (
            "/v1/models/aliases",
            json!({"name": "a", "model": "A"}),
            "model",
        ),
    ] {
        let refused = world.admin("PUT", path, body).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (409, vec![field.to_owned()]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn there_are_limits() {
    let (world, _) = world().await;
    for n in 0..14 {
        let from = format!("2026-11-24T13:{n:02}:00Z");
        let rates = json!({"input_usd_per_million": n, "effective_from": from});
        put(&world, PRICE, rates).await;
    }
    let one_more = json!({"input_usd_per_million": 99});
    let refused = world.admin("PUT", PRICE, one_more).await;
    let fields = vec!["effective_from".to_owned()];
    assert_eq!((refused.status, refused.fields()), (409, fields));
    for n in 0..50 {
        put(
            &world,
            &format!("/v1/prices/discounts/p{n}"),
            json!({"percent": 1}),
        )
        .await;
    }
    let path = "/v1/prices/discounts/one-more";
    let refused = world.admin("PUT", path, json!({"percent": 1})).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (409, vec!["provider".to_owned()])
    );
    put(&world, "/v1/prices/discounts/p7", json!({"percent": 2})).await;
}

#[tokio::test]
async fn members_and_managers_set_nothing() {
    let (world, _) = world().await;
    let head = async || {
        world
            .system
            .store()
            .head("demo")
            .await
            .unwrap()
            .unwrap()
            .seq
    };
    for role in ["member", "manager"] {
        let body = json!({"role": role, "user_id": "ada"});
        if role == "manager" {
            let role = json!({"role": "manager"});
            world
                .admin("PATCH", "/v1/users/ada", role)
                .await
                .expect(200);
        }
        let key = world.admin("POST", "/v1/api-keys", body).await.expect(201);
        let key = key["key"].as_str().unwrap();
        let before = head().await;
        for (method, path, body) in [
            ("PUT", PRICE, json!({"input_usd_per_million": 0})),
            ("DELETE", PRICE, Value::Null),
            (
                "PUT",
                "/v1/prices/discounts/openai",
                json!({"percent": 100}),
            ),
            (
                "PUT",
                "/v1/models/aliases",
                json!({"name": "gpt-4o", "model": "gpt-4o-mini"}),
            ),
        ] {
            let refused = world.call(key, method, path, body).await;
            assert_eq!(refused.status, 403, "{role} {method} {path}");
        }
        assert_eq!(head().await, before);
    }
}

#[tokio::test]
async fn what_was_removed_can_be_set_again_and_its_version_goes_on() {
    let (world, _) = world().await;
    let rates = json!({"input_usd_per_million": 1});
    assert_eq!(put(&world, PRICE, rates.clone()).await["version"], 1);
    world.set_clock("2026-11-24T12:00:01Z").await;
    assert_eq!(world.admin("DELETE", PRICE, Value::Null).await.status, 204);
    world.set_clock("2026-11-24T12:00:02Z").await;
    let again = put(&world, PRICE, rates).await;
    assert_eq!(again["version"], 3);
    assert_eq!(again["over_time"].as_array().unwrap().len(), 3);
    assert_eq!(again["over_time"][1]["rates"], Value::Null);
}
