//! What clients say about usage: its parts, providers' own usage objects, pictures, costs.

use super::{figure, world};
use end_to_end::{AGENT, World};
use serde_json::{Value, json};

/// Asks for a hold and returns its tokens and dollars.
async fn held(world: &World, more: Value) -> (Value, String) {
    let mut body = json!({"request_id": "r-1", "user_id": "ada", "provider": "openai",
        "model": "gpt-4o", "max_output_tokens": 100});
    extend(&mut body, more);
    let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
    let answer = answer.expect(200);
    assert_eq!(answer["decision"], "allow", "{answer}");
    let hold = &answer["hold"];
    (hold["tokens"].clone(), hold["usd"].to_string())
}

fn extend(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("{more} is no object")
    };
    body.as_object_mut().unwrap().extend(more);
}

/// A usage event without counts, but with `more`.
fn event(world: &World, event_id: &str, more: Value) -> Value {
    let mut event = world.usage(event_id, "ada", 0, 0, None);
    let fields = event.as_object_mut().unwrap();
    fields.remove("input_tokens");
    fields.remove("output_tokens");
    extend(&mut event, more);
    event
}

#[tokio::test]
async fn usage_objects_of_every_provider_are_counted_as_their_providers_bill_them() {
    let (world, budget) = world(1_000_000).await;
    let objects = [
        json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920}}),
        json!({"input_tokens": 75, "output_tokens": 1186, "total_tokens": 1261,
            "output_tokens_details": {"reasoning_tokens": 1024}}),
        json!({"prompt_tokens": 8, "total_tokens": 8}),
        json!({"input_tokens": 2048, "cache_read_input_tokens": 1800, "output_tokens": 503,
            "cache_creation_input_tokens": 248}),
        json!({"promptTokenCount": 326, "candidatesTokenCount": 63, "thoughtsTokenCount": 154,
            "totalTokenCount": 543}),
        json!({"inputTokens": 2, "outputTokens": 19, "totalTokens": 5114,
            "cacheReadInputTokens": 100, "cacheWriteInputTokens": 4993}),
    ];
    let events = objects.into_iter().enumerate();
    let events: Vec<Value> = events
        .map(|(n, usage)| event(&world, &format!("e-{n}"), json!({ "usage": usage })))
        .collect();
    world.report(&events).await;
    let total = 2_306 + 1_261 + 8 + (2_048 + 1_800 + 248 + 503) + 543 + 5_114;
    assert_eq!(figure(&world.figures(&budget).await).0, total);
    // The same counts in the client's own words are the same event.
    let again = event(
        &world,
        "e-0",
        json!({"input_tokens": 2006, "output_tokens": 300, "cached_input_tokens": 1920}),
    );
    world.report(&[again]).await;
    assert_eq!(figure(&world.figures(&budget).await).0, total);
    let path = "/v1/usage?period=monthly&model=gpt-4o";
    let row = world.admin("GET", path, Value::Null).await.expect(200)["items"][0].clone();
    assert_eq!(row["total_cached_input_tokens"], 1_920 + 1_800 + 100);
}

#[tokio::test]
async fn an_embedding_reports_no_output_and_pictures_are_added_to_what_was_counted() {
    let (world, budget) = world(1_000_000).await;
    let embedding = json!({"input_tokens": 500, "operation": "embedding",
        "model": "text-embedding-3-small"});
    let seen = json!({"input_tokens": 10, "output_tokens": 5,
        "images": [{"width": 1024, "height": 1024}, {"bytes": 4_000_000}]});
    let events = [event(&world, "e-1", embedding), event(&world, "e-2", seen)];
    world.report(&events).await;
    let total = 500 + 10 + 765 + 1_445 + 5;
    assert_eq!(figure(&world.figures(&budget).await).0, total);
}

#[tokio::test]
async fn a_hold_is_as_large_as_the_parts_and_the_pictures_of_its_request() {
    let (world, _) = world(1_000_000).await;
    let plain = held(&world, json!({"input_tokens": 1000})).await;
    assert_eq!(plain, (json!(1_100), "0.0035".to_owned()));
    let cached = json!({"request_id": "r-2", "input_tokens": 1000, "cached_input_tokens": 400});
    assert_eq!(
        held(&world, cached).await,
        (json!(1_100), "0.003".to_owned())
    );
    // What is written to a cache costs no less than other input.
    let written = json!({"request_id": "r-3", "input_tokens": 1000, "cache_write_tokens": 400});
    let (tokens, usd) = held(&world, written).await;
    assert_eq!(tokens, 1_100);
    assert!(usd.as_str() >= "0.0035", "{usd}");
    let seen = json!({"request_id": "r-4", "input_bytes": 30,
        "images": [{"width": 1024, "height": 1024}]});
    assert_eq!(held(&world, seen).await.0, 10 + 765 + 100);
    let embedding = json!({"request_id": "r-5", "input_tokens": 1000, "operation": "embedding",
        "model": "text-embedding-3-small", "max_output_tokens": null});
    assert_eq!(held(&world, embedding).await.0, 1_000);
    let body = json!({"request_id": "r-1", "user_id": "ada", "provider": "openai",
        "model": "gpt-4o", "max_output_tokens": 100, "input_tokens": 1000,
        "service_tier": "flex"});
    let other = world.call(AGENT, "POST", "/v1/preflight", body).await;
    other.expect(409);
}

#[tokio::test]
async fn labels_are_kept_with_the_usage_and_belong_to_its_body() {
    let (world, _) = world(1_000).await;
    let labels = json!({"tags": ["nightly"], "metadata": {"run": "7"}});
    let mut asked = json!({"input_tokens": 10});
    extend(&mut asked, labels.clone());
    assert_eq!(held(&world, asked).await.0, 110);
    let mut large = json!({"input_tokens": 20_000_000, "output_tokens": 0});
    extend(&mut large, labels);
    let labelled = event(&world, "e-1", large.clone());
    world.report(std::slice::from_ref(&labelled)).await;
    let path = "/v1/events?status=held_back";
    let list = world.admin("GET", path, Value::Null).await.expect(200);
    let of = &list["items"][0];
    assert_eq!(
        (&of["tags"], &of["metadata"]),
        (&json!(["nightly"]), &json!({"run": "7"}))
    );
    large["tags"] = json!(["weekly"]);
    let other = json!({"events": [event(&world, "e-1", large)]});
    let other = world.call(AGENT, "POST", "/v1/events", other).await;
    assert_eq!(
        other.body["conflicts"][0]["event_id"], "e-1",
        "{}",
        other.body
    );
}

#[tokio::test]
async fn a_reported_cost_is_kept_and_charged_only_if_the_organisation_says_so() {
    let (world, _) = world(1_000_000).await;
    let usd = world.budget(None, "usd", json!(1), true).await;
    let spent = async || world.figures(&usd).await["spent"].to_string();
    let counts = json!({"input_tokens": 1000, "output_tokens": 100, "cost_usd": 0.0123});
    world.report(&[event(&world, "e-1", counts.clone())]).await;
    assert_eq!(spent().await, "0.0035");
    let setting = json!({"price_source": "reported"});
    let organisation = world.admin("PATCH", "/v1/organisation", setting).await;
    assert_eq!(organisation.expect(200)["price_source"], "reported");
    world.report(&[event(&world, "e-2", counts.clone())]).await;
    assert_eq!(spent().await, "0.0158");
    let mut unknown = counts;
    extend(
        &mut unknown,
        json!({"model": "our-own", "cost_usd": 2.5e-2}),
    );
    world.report(&[event(&world, "e-3", unknown.clone())]).await;
    assert_eq!(spent().await, "0.0408");
    let without = json!({"input_tokens": 1000, "output_tokens": 100});
    world.report(&[event(&world, "e-4", without)]).await;
    assert_eq!(spent().await, "0.0443");
    // None of them is far from its price, but this one is: it counts and is listed.
    let inexact = async || {
        let path = "/v1/models?status=inexact";
        let list = world.admin("GET", path, Value::Null).await.expect(200);
        list["items"].as_array().unwrap().clone()
    };
    assert!(inexact().await.is_empty());
    let odd = json!({"input_tokens": 1000, "output_tokens": 100, "cost_usd": 0.0001});
    world.report(&[event(&world, "e-6", odd)]).await;
    assert_eq!(spent().await, "0.0444");
    let of = inexact().await;
    assert_eq!(
        (of.len(), &of[0]["price"]["match"]),
        (1, &json!("reported_doubtful"))
    );
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alerts = alerts.expect(200)["items"].clone();
    let is_of_cost = |alert: &&Value| alert["metadata"]["price"]["match"] == "reported_doubtful";
    assert_eq!(
        alerts.as_array().unwrap().iter().filter(is_of_cost).count(),
        1
    );
    // So does one of a model without a price, if its cost is far below the dearest of its provider.
    extend(&mut unknown, json!({ "cost_usd": 2.5e-3 }));
    world.report(&[event(&world, "e-7", unknown)]).await;
    assert_eq!(spent().await, "0.0469");
    let mut of: Vec<Value> = inexact()
        .await
        .iter()
        .map(|of| of["model"].clone())
        .collect();
    of.sort_by_key(Value::to_string);
    assert_eq!(of, ["gpt-4o", "our-own"]);
    // The key of one user sets no price: what it reports is charged by the table.
    let key = json!({"role": "member", "user_id": "ada"});
    let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let own = json!({"input_tokens": 1000, "output_tokens": 100, "cost_usd": 0});
    let body = json!({"events": [event(&world, "e-5", own)]});
    let key = key["key"].as_str().unwrap();
    world
        .call(key, "POST", "/v1/events", body)
        .await
        .expect(202);
    world.system.drain().await.unwrap();
    assert_eq!(spent().await, "0.0504");
    // No forecast that is far too low opens a cap.
    let low = json!({"request_id": "r-low", "input_tokens": 1000, "cost_usd": 0});
    assert_eq!(held(&world, low).await.1, "0.0035");
    let unknown = async |setting: &str| {
        let setting = json!({ "unknown_model": setting });
        let set = world.admin("PATCH", "/v1/organisation", setting).await;
        set.expect(200);
        let body = json!({"request_id": "r-unknown", "user_id": "ada", "provider": "openai",
            "model": "our-own", "input_tokens": 1000, "max_output_tokens": 100, "cost_usd": 0});
        world
            .call(AGENT, "POST", "/v1/preflight", body)
            .await
            .expect(200)
    };
    let refused = unknown("refuse").await;
    assert_eq!(refused["reasons"][0]["code"], "unknown_model", "{refused}");
    let estimated = unknown("estimate").await;
    assert_eq!(estimated["price"]["match"], "estimate");
    assert_eq!(estimated["hold"]["usd"].to_string(), "0.21");
    // A model without a price is not refused under a hard cap if its cost is known.
    let asked = json!({"model": "our-own", "input_tokens": 10, "cost_usd": 0.5});
    assert_eq!(held(&world, asked).await, (json!(110), "0.5".to_owned()));
    let body = json!({"request_id": "r-2", "user_id": "ada", "model": "our-own",
        "input_tokens": 10, "max_output_tokens": 10, "cost_usd": 0.9});
    let refused = world.call(AGENT, "POST", "/v1/preflight", body).await;
    let refused = refused.expect(200);
    assert_eq!(refused["reasons"][0]["code"], "budget_exhausted");
    assert_eq!(refused["offer"], Value::Null);
}

#[tokio::test]
async fn an_event_that_needs_attention_shows_its_parts() {
    let (world, _) = world(1_000_000).await;
    let parts = json!({"model": "our-own", "input_tokens": 20_000_000, "output_tokens": 9,
        "cached_input_tokens": 5, "cache_write_1h_tokens": 4, "reasoning_tokens": 3,
        "service_tier": "flex", "cost_usd": 0.000_000_5});
    world.report(&[event(&world, "e-1", parts)]).await;
    let path = "/v1/events?status=held_back";
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    let shown = &page["items"][0];
    for (name, expected) in [
        ("input_tokens", json!(20_000_000)),
        ("cached_input_tokens", json!(5)),
        ("cache_write_tokens", json!(0)),
        ("cache_write_1h_tokens", json!(4)),
        ("reasoning_tokens", json!(3)),
        ("audio_output_tokens", json!(0)),
        ("service_tier", json!("flex")),
        ("cost_usd", json!(0.000_001)),
    ] {
        assert_eq!(shown[name], expected, "{name}");
    }
    let decision = json!({"user_id": "ada", "event_id": "e-1", "decision": "count",
        "reason": "it was so"});
    let counted = world.admin("POST", "/v1/events/decisions", decision).await;
    let counted = counted.expect(200);
    assert_eq!(counted["cache_write_1h_tokens"], 4);
    assert_eq!(counted["charged"]["tokens"], 20_000_009);
}
