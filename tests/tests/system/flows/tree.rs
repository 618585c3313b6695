//! The department tree with budgets and usage in one answer.

use super::{figure, world};
use serde_json::{Value, json};

#[tokio::test]
async fn the_tree_shows_each_subtrees_usage_and_budgets_and_who_was_given_too_much() {
    let (world, _) = world(10_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world.department("frontend", Some("eng")).await;
    world.department("sales", None).await;
    world.user("bob", "frontend").await;
    world.user("cy", "sales").await;
    let backend = world
        .budget(Some("backend"), "tokens", json!(6_000), true)
        .await;
    world.hold("ada", "r-1", 50, 50).await;
    world
        .report(&[
            world.usage("e-1", "ada", 100, 10, None),
            world.usage("e-2", "bob", 20, 0, None),
            world.usage("e-3", "cy", 7, 0, None),
        ])
        .await;
    let tree = async || {
        let body = world
            .admin("GET", "/v1/departments/tree", Value::Null)
            .await;
        body.expect(200)
    };
    let seen = tree().await;
    assert_eq!(seen["period"], "2026-11");
    let roots = seen["items"].as_array().unwrap();
    let ids: Vec<&str> = roots.iter().map(|n| n["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["eng", "sales"]);
    let eng = &roots[0];
    assert_eq!(eng["usage"]["tokens"], 130);
    assert_eq!(eng["usage"]["requests"], 2);
    assert_eq!(eng["usage"]["usd"].to_string(), "0.0004");
    assert_eq!(roots[1]["usage"]["tokens"], 7);
    assert_eq!(
        seen["usage"]["tokens"], 137,
        "the organisation's is the sum of the roots"
    );
    assert_eq!(eng["parent_id"], Value::Null);
    assert_eq!(figure(&eng["budgets"][0]), (130, 100, 9_870, 9_770));
    assert_eq!(eng["over_allocated"], false);
    let under: Vec<&Value> = eng["children"].as_array().unwrap().iter().collect();
    assert_eq!(under[0]["id"], "backend");
    assert_eq!(under[0]["budgets"][0], world.figures(&backend).await);
    assert_eq!(under[1]["budgets"], json!([]));
    world
        .budget(Some("frontend"), "tokens", json!(4_001), false)
        .await;
    assert_eq!(tree().await["items"][0]["over_allocated"], true);
    world
        .admin(
            "PATCH",
            "/v1/departments/backend",
            json!({"parent_id": "sales"}),
        )
        .await
        .expect(200);
    let seen = tree().await;
    assert_eq!(seen["items"][0]["over_allocated"], false);
    assert_eq!(
        seen["items"][0]["usage"]["tokens"], 130,
        "spent stays where it was spent"
    );
    assert_eq!(seen["items"][1]["usage"]["tokens"], 7);
    assert_eq!(seen["items"][1]["children"][0]["usage"]["tokens"], 110);
    let unknown = world
        .admin("GET", "/v1/departments/tree?x=1", Value::Null)
        .await;
    assert_eq!(unknown.fields(), ["x"]);
}

#[tokio::test]
async fn an_absent_budget_in_between_does_not_hide_what_is_given_below_it() {
    let (world, _) = world(1_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world.department("leaf", Some("backend")).await;
    world
        .budget(Some("leaf"), "tokens", json!(1_001), false)
        .await;
    world.budget(None, "tokens", json!(1_000), false).await;
    let seen = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await
        .expect(200);
    assert_eq!(seen["items"][0]["over_allocated"], true);
    assert_eq!(seen["over_allocated"], false, "eng itself was given 1,000");
    assert_eq!(seen["budgets"][0]["department_id"], Value::Null);
}
