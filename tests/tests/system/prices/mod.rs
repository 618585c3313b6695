//! The organisation's own prices: usage has the price that was in force when it happened.

mod audit;
mod lists;
mod reprice;
mod rules;

use end_to_end::{AGENT, World};
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";
/// An inference profile, as Bedrock names it.
const PROFILE: &str =
    "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3";

/// A world at noon with ada in `eng`, and a hard cap of $100.
async fn world() -> (World, String) {
    let world = World::at("2026-11-24T08:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(None, "usd", json!(100), true).await;
    world.set_clock(NOON).await;
    (world, budget)
}

/// Lets usage of a model without a price count in tokens only, so that its price is seen.
async fn refuse_unknown_models(world: &World) {
    let body = json!({"unknown_model": "refuse"});
    world
        .admin("PATCH", "/v1/organisation", body)
        .await
        .expect(200);
}

async fn put(world: &World, path: &str, body: Value) -> Value {
    world.admin("PUT", path, body).await.expect(200)
}

/// Usage of a million input tokens at a time of the day.
fn million(world: &World, event_id: &str, (provider, model): (&str, &str), time: &str) -> Value {
    let mut usage = world.usage(event_id, "ada", 1_000_000, 0, None);
    usage["provider"] = json!(provider);
    usage["model"] = json!(model);
    usage["occurred_at"] = json!(format!("2026-11-24T{time}Z"));
    usage
}

async fn spent(world: &World, budget: &str) -> String {
    world.figures(budget).await["spent"].to_string()
}

async fn ask(world: &World, id: &str, provider: &str, model: &str) -> Value {
    let body = json!({
        "request_id": id, "user_id": "ada", "provider": provider, "model": model,
        "input_tokens": 1_000, "max_output_tokens": 1_000,
    });
    world
        .call(AGENT, "POST", "/v1/preflight", body)
        .await
        .expect(200)
}

const GPT: (&str, &str) = ("openai", "gpt-4o");

#[tokio::test]
async fn an_own_price_counts_for_what_happens_from_its_moment_on() {
    let (world, budget) = world().await;
    let rates = json!({"input_usd_per_million": 1, "output_usd_per_million": 4});
    let price = put(&world, "/v1/prices/openai/gpt-4o", rates).await;
    assert_eq!(price["effective_from"], NOON);
    assert_eq!(price["version"], 1);
    world.set_clock("2026-11-24T13:00:00Z").await;
    world
        .report(&[million(&world, "e-1", GPT, "11:59:59")])
        .await;
    assert_eq!(spent(&world, &budget).await, "2.5", "by the table");
    world
        .report(&[million(&world, "e-2", GPT, "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "3.5");
    let dated = ("openai", "gpt-4o-2024-08-06");
    world
        .report(&[million(&world, "e-3", dated, "12:30:00")])
        .await;
    assert_eq!(
        spent(&world, &budget).await,
        "4.5",
        "of every version of it"
    );
    let decision = ask(&world, "r-1", "openai", "gpt-4o").await;
    assert_eq!(decision["hold"]["usd"].to_string(), "0.005");
}

#[tokio::test]
async fn a_price_can_be_planned_and_what_was_removed_still_counts_for_its_time() {
    let (world, budget) = world().await;
    let path = "/v1/prices/openai/gpt-4o";
    put(&world, path, json!({"input_usd_per_million": 1})).await;
    let planned = json!({
        "input_usd_per_million": 7, "effective_from": "2026-11-24T12:10:00Z",
    });
    let price = put(&world, path, planned).await;
    assert_eq!(price["input_usd_per_million"], 1, "the one in force");
    assert_eq!(price["over_time"].as_array().unwrap().len(), 2);
    world.set_clock("2026-11-24T12:20:00Z").await;
    world.admin("DELETE", path, Value::Null).await;
    assert_eq!(world.admin("GET", path, Value::Null).await.status, 404);
    assert_eq!(world.admin("DELETE", path, Value::Null).await.status, 404);
    world.set_clock("2026-11-24T12:30:00Z").await;
    for (event_id, time, expected) in [
        ("e-1", "12:09:59", "1"),
        ("e-2", "12:10:00", "8"),
        ("e-3", "12:20:00", "10.5"),
    ] {
        world.report(&[million(&world, event_id, GPT, time)]).await;
        assert_eq!(spent(&world, &budget).await, expected, "{time}");
    }
}

#[tokio::test]
async fn own_hardware_at_zero_costs_nothing_and_is_no_unknown_model() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    let refused = ask(&world, "r-1", "our-cluster", "our-llama").await;
    assert_eq!(refused["reasons"][0]["code"], "unknown_model");
    let free = json!({"input_usd_per_million": 0, "output_usd_per_million": 0});
    put(&world, "/v1/prices/our-cluster/our-llama", free.clone()).await;
    let decision = ask(&world, "r-2", "our-cluster", "our-llama").await;
    assert_eq!(decision["decision"], "allow", "{decision}");
    assert_eq!(decision["hold"]["usd"], 0);
    assert_eq!(decision["warnings"], json!([]));
    // A model that others sell is free on own hardware, too.
    put(&world, "/v1/prices/our-cluster/gpt-4o", free).await;
    let mut cached = million(&world, "e-1", ("our-cluster", "gpt-4o"), "12:00:00");
    cached["cached_input_tokens"] = json!(400_000);
    world.report(&[cached]).await;
    assert_eq!(spent(&world, &budget).await, "0");
    world
        .report(&[million(&world, "e-2", GPT, "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "2.5", "at others it is not");
}

#[tokio::test]
async fn an_alias_gives_a_deployment_and_a_profile_their_price() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    let refused = ask(&world, "r-1", "bedrock", PROFILE).await;
    assert_eq!(refused["reasons"][0]["code"], "unknown_model");
    let alias = json!({"name": PROFILE, "provider": "openai", "model": "gpt-4o"});
    let alias = put(&world, "/v1/models/aliases", alias).await;
    assert_eq!(alias["price"]["match"], "exact");
    assert_eq!(alias["price"]["model"], "gpt-4o");
    let decision = ask(&world, "r-2", "bedrock", PROFILE).await;
    assert_eq!(decision["hold"]["usd"].to_string(), "0.0125");
    assert_eq!(
        (&decision["price"]["match"], &decision["price"]["model"]),
        (&json!("organisation"), &json!("gpt-4o"))
    );
    let usage = million(
        &world,
        "e-1",
        ("bedrock", &PROFILE.to_uppercase()),
        "12:00:00",
    );
    world.report(&[usage]).await;
    assert_eq!(spent(&world, &budget).await, "2.5");
    // What the organisation said itself is sure: nobody has to look at it.
    for path in ["/v1/models?status=inexact", "/v1/alerts"] {
        let list = world.admin("GET", path, Value::Null).await.expect(200);
        assert_eq!(list["items"], json!([]), "{path}");
    }
    // Without a provider of its own it is the one that is reported.
    put(
        &world,
        "/v1/models/aliases",
        json!({"name": "our-chat", "model": "gpt-4o"}),
    )
    .await;
    put(
        &world,
        "/v1/prices/azure/gpt-4o",
        json!({"input_usd_per_million": 1}),
    )
    .await;
    world
        .report(&[million(&world, "e-2", ("azure", "our-chat"), "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "3.5");
}

#[tokio::test]
async fn a_discount_counts_for_its_provider_under_all_its_names() {
    let (world, budget) = world().await;
    let discount = put(
        &world,
        "/v1/prices/discounts/openai",
        json!({"percent": 20}),
    )
    .await;
    assert_eq!(discount["percent"], 20);
    world
        .report(&[million(&world, "e-1", GPT, "11:59:59")])
        .await;
    assert_eq!(spent(&world, &budget).await, "2.5", "not before");
    world
        .report(&[million(&world, "e-2", GPT, "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "4.5");
    put(
        &world,
        "/v1/prices/openai/gpt-4o",
        json!({"input_usd_per_million": 1}),
    )
    .await;
    world
        .report(&[million(&world, "e-3", GPT, "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "5.5", "an own price is whole");
    put(
        &world,
        "/v1/prices/discounts/openai",
        json!({"percent": 12.5}),
    )
    .await;
    let mini = ("openai", "gpt-4.1");
    world
        .report(&[million(&world, "e-4", mini, "12:00:00")])
        .await;
    assert_eq!(spent(&world, &budget).await, "7.25", "1.75 of $2");
}

#[tokio::test]
async fn the_next_decision_sees_a_price_and_another_tenant_does_not() {
    let (world, _) = world().await;
    let usd = async |id: &str| ask(&world, id, "openai", "gpt-4o").await["hold"]["usd"].clone();
    assert_eq!(usd("r-1").await.to_string(), "0.0125");
    put(
        &world,
        "/v1/prices/openai/gpt-4o",
        json!({"input_usd_per_million": 12.5}),
    )
    .await;
    assert_eq!(usd("r-2").await.to_string(), "0.0225");
    let rival = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(end_to_end::OPERATOR, "POST", "/v1/organisations", rival)
        .await;
    let rival = rival.expect(201)["admin_key"].as_str().unwrap().to_owned();
    let theirs = |path: &'static str| world.call(&rival, "GET", path, Value::Null);
    let listed = theirs("/v1/prices?status=own").await.expect(200);
    assert_eq!(listed["items"], json!([]));
    assert_eq!(theirs("/v1/prices/openai/gpt-4o").await.status, 404);
}
