//! The lists of prices, discounts and aliases.

use super::{put, world};
use end_to_end::World;
use serde_json::{Value, json};

async fn page(world: &World, path: &str) -> Value {
    world.admin("GET", path, Value::Null).await.expect(200)
}

/// Status, provider and model of each item.
fn named(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    items
        .map(|item| {
            ["status", "provider", "model"]
                .map(|name| text(item, name))
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn an_own_price_is_listed_before_the_row_of_the_table_that_it_overrides() {
    let (world, _) = world().await;
    put(
        &world,
        "/v1/prices/openai/gpt-4o",
        json!({"input_usd_per_million": 1}),
    )
    .await;
    let found = page(&world, "/v1/prices?search=GPT-4o&provider=OpenAI&limit=100").await;
    let names = named(&found);
    let own = names
        .iter()
        .position(|name| name == "own openai gpt-4o")
        .unwrap();
    assert_eq!(names[own + 1], "table openai gpt-4o");
    assert!(
        names
            .iter()
            .all(|name| name.contains(" openai ") && name.contains("gpt-4o"))
    );
    let items = &found["items"].as_array().unwrap()[own..];
    assert_eq!(items[0]["input_usd_per_million"], 1);
    assert_eq!(
        items[0]["output_usd_per_million"],
        Value::Null,
        "as in the table"
    );
    assert_eq!(items[1]["input_usd_per_million"].to_string(), "2.5");
    assert_eq!(items[1]["version"], "2026-11");
    let own = page(&world, "/v1/prices?status=own").await;
    assert_eq!(named(&own), ["own openai gpt-4o"]);
    assert_eq!(
        (&own["has_more"], &own["next_cursor"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn the_whole_table_is_listed_page_by_page_and_each_row_once() {
    let (world, _) = world().await;
    put(
        &world,
        "/v1/prices/own/zzz",
        json!({
            "input_usd_per_million": 0, "output_usd_per_million": 0,
        }),
    )
    .await;
    let mut all = Vec::new();
    let mut path = "/v1/prices?limit=100".to_owned();
    loop {
        let found = page(&world, &path).await;
        all.extend(named(&found));
        match found["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/prices?limit=100&cursor={cursor}"),
            None => break,
        }
    }
    assert!(all.len() > 4_000, "{}", all.len());
    assert_eq!(all.iter().filter(|name| name.starts_with("own")).count(), 1);
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[tokio::test]
async fn a_model_with_slashes_is_the_same_encoded_and_not() {
    let (world, _) = world().await;
    let body = json!({"input_usd_per_million": 1, "output_usd_per_million": 2});
    let encoded = "/v1/prices/our-router/meta%2Fllama%203%3F";
    let set = put(&world, encoded, body.clone()).await;
    assert_eq!(set["model"], "meta/llama 3?");
    put(&world, "/v1/prices/our-router/meta/llama-4", body).await;
    let found = page(&world, "/v1/prices/OUR-ROUTER/meta%2FLlama-4").await;
    assert_eq!(found["model"], "meta/llama-4");
    let own = page(&world, "/v1/prices?status=own").await;
    let expected = [
        "own our-router meta/llama 3?",
        "own our-router meta/llama-4",
    ];
    assert_eq!(named(&own), expected);
}

#[tokio::test]
async fn discounts_and_aliases_are_listed_in_pages() {
    let (world, _) = world().await;
    for n in 0..3 {
        let path = format!("/v1/prices/discounts/provider-{n}");
        put(&world, &path, json!({"percent": 5.25})).await;
        let alias = json!({"name": format!("name-{n}"), "model": "gpt-4o"});
        put(&world, "/v1/models/aliases", alias).await;
    }
    world
        .admin("DELETE", "/v1/prices/discounts/PROVIDER-1", Value::Null)
        .await;
    world
        .admin("DELETE", "/v1/models/aliases/name-1", Value::Null)
        .await;
    for (path, name) in [
        ("/v1/prices/discounts", "provider"),
        ("/v1/models/aliases", "name"),
    ] {
        let first = page(&world, &format!("{path}?limit=1")).await;
        assert_eq!(first["items"][0][name], format!("{name}-0"));
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = page(&world, &format!("{path}?limit=1&cursor={cursor}")).await;
        assert_eq!(second["items"][0][name], format!("{name}-2"));
        assert_eq!(second["has_more"], false);
    }
    let discounts = page(&world, "/v1/prices/discounts").await;
    assert_eq!(discounts["items"][0]["percent"].to_string(), "5.25");
}
