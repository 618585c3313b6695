//! The whole path: preflight holds, usage settles, the cap is never passed.

mod alerts;
mod books;
mod changes;
mod corrections;
mod deadline;
mod exact;
mod former;
mod github;
mod halfway;
mod held_back;
mod holds;
mod identity;
mod lease_bounds;
mod leases;
mod live;
mod load;
mod models;
mod overload;
mod places;
mod refusals;
mod renewals;
mod reports;
mod storms;
mod strict;
mod tree;
mod unpriced;
mod usage;
mod usage_parts;
mod waiting;
mod whereabouts;

use end_to_end::World;
use serde_json::{Value, json};

/// A world with `eng` > `backend`, the user `ada` in it, and a hard cap of tokens on `eng`.
async fn world(cap: i64) -> (World, String) {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.user("ada", "backend").await;
    let budget = world.budget(Some("eng"), "tokens", json!(cap), true).await;
    (world, budget)
}

fn figure(budget: &Value) -> (i64, i64, i64, i64) {
    let of = |name: &str| budget[name].as_i64().unwrap();
    (of("spent"), of("held"), of("remaining"), of("available"))
}

#[tokio::test]
async fn a_request_is_held_settled_and_the_rest_comes_back() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 1_000, 4_000).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 5_000, 10_000, 5_000)
    );
    world
        .report(&[world.usage("e-1", "ada", 1_000, 500, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (1_500, 0, 8_500, 8_500)
    );
}

#[tokio::test]
async fn money_is_held_and_counted_exactly() {
    let (world, _) = world(1_000_000).await;
    let usd = world.budget(None, "usd", json!(0.05), true).await;
    // gpt-4o: $2.50 and $10 a million.
    let decision = world.preflight("ada", "r-1", 1_000, 1_000).await;
    assert_eq!(decision["hold"]["usd"].to_string(), "0.0125");
    let hold = decision["hold"]["id"].as_str().unwrap();
    world
        .report(&[world.usage("e-1", "ada", 1_000, 333, Some(hold))])
        .await;
    let after = world.figures(&usd).await;
    assert_eq!(after["spent"].to_string(), "0.00583");
    assert_eq!(after["available"].to_string(), "0.04417");
    let refused = world.preflight("ada", "r-2", 1_000, 10_000).await;
    assert_eq!(refused["reasons"][0]["unit"], "usd");
    assert_eq!(refused["offer"]["max_output_tokens"], 4_167);
}

#[tokio::test]
async fn effective_budgets_come_nearest_first_with_the_binding_one() {
    let (world, eng) = world(1_000).await;
    let all = world.budget(None, "tokens", json!(500), true).await;
    let own = world
        .budget(Some("backend"), "usd", json!(100), false)
        .await;
    let seen = world
        .admin("GET", "/v1/budgets/effective?user_id=ada", Value::Null)
        .await
        .expect(200);
    let items: Vec<(&str, bool)> = seen["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["id"].as_str().unwrap(), b["binding"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        items,
        [
            (own.as_str(), false),
            (eng.as_str(), false),
            (all.as_str(), true)
        ]
    );
    assert_eq!(seen["exemptions"], json!([]));
}

#[tokio::test]
async fn a_soft_budget_refuses_nothing_so_it_is_never_the_binding_one() {
    let (world, eng) = world(1_000).await;
    let own = world.budget(Some("backend"), "usd", json!(0), false).await;
    let binding = async || {
        let path = "/v1/budgets/effective?user_id=ada";
        let seen = world.admin("GET", path, Value::Null).await.expect(200);
        let items = seen["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|b| {
                let id = b["id"].as_str().unwrap().to_owned();
                (id, b["binding"].as_bool().unwrap())
            })
            .collect::<Vec<(String, bool)>>()
    };
    let expected = |own_is: bool| [(own.clone(), own_is), (eng.clone(), !own_is)];
    assert_eq!(binding().await, expected(false));
    let path = format!("/v1/budgets/{own}");
    let hard = world.admin("PATCH", &path, json!({"hard_cap": true})).await;
    hard.expect(200);
    assert_eq!(binding().await, expected(true), "a hard one of nothing is");
}
