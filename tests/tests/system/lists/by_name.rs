//! Names with a `#`, `?` or `%` in them, which a gateway takes for something else in a path: each
//! path with a name has a form that takes it in the query or the body.

use end_to_end::World;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";
/// A mail address of the permitted characters, and the same in a query.
const ODD: [&str; 2] = [
    "o#d?b%41&c=+@example.com",
    "o%23d%3Fb%2541%26c%3D%2B%40example.com",
];
const PLAIN: &str = "max@example.com";

async fn items(world: &World, path: &str) -> Vec<Value> {
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(page["has_more"], false);
    page["items"].as_array().unwrap().clone()
}

async fn status(world: &World, method: &str, path: &str) -> u16 {
    world.admin(method, path, Value::Null).await.status
}

fn named<'a>(items: &'a [Value], field: &str) -> Vec<&'a str> {
    let names = items.iter().map(|item| item[field].as_str().unwrap());
    names.collect()
}

#[tokio::test]
async fn an_address_is_found_and_released_by_the_query_whatever_characters_it_has() {
    let world = World::at(NOON).await;
    let [odd, in_query] = ODD;
    for email in [odd, PLAIN] {
        let bounce = json!({"email": email, "type": "bounce"});
        let bounced = world.admin("POST", "/local/bounces", bounce).await;
        bounced.expect(200);
    }
    world.system.drain().await.unwrap();
    let asked = format!("/v1/suppressions?email={in_query}");
    let upper = asked.replace("example.com", "EXAMPLE.com");
    assert_eq!(items(&world, "/v1/suppressions").await.len(), 2);
    for path in [&asked, &upper] {
        assert_eq!(named(&items(&world, path).await, "email"), [odd]);
    }
    let nobody = "/v1/suppressions?email=nobody@example.com";
    assert!(items(&world, nobody).await.is_empty());
    assert_eq!(status(&world, "DELETE", nobody).await, 404);

    assert_eq!(status(&world, "DELETE", &asked).await, 204);
    assert_eq!(status(&world, "DELETE", &asked).await, 404, "once");
    let left = items(&world, "/v1/suppressions").await;
    assert_eq!(named(&left, "email"), [PLAIN], "nobody else is released");
    let log = items(&world, "/v1/audit-log?action=suppression.release").await;
    assert_eq!(named(&log, "resource"), [format!("suppression/{odd}")]);
    // The path is as good for an address that has none of these.
    let path = format!("/v1/suppressions/{PLAIN}");
    assert_eq!(status(&world, "DELETE", &path).await, 204);
}

#[tokio::test]
async fn a_price_is_set_found_and_removed_by_names_that_no_path_could_have() {
    let world = World::at(NOON).await;
    let (provider, model) = ("our#router?", "meta/llama 3%41#1");
    let body = json!({
        "provider": provider, "model": model,
        "input_usd_per_million": 1, "output_usd_per_million": 2,
    });
    let set = world.admin("PUT", "/v1/prices", body).await.expect(200);
    assert_eq!(
        (&set["provider"], &set["model"]),
        (&json!(provider), &json!(model))
    );
    let other = json!({"input_usd_per_million": 1, "output_usd_per_million": 2});
    let by_path = "/v1/prices/our%23router%3F/meta%2Fllama%203%2541%231";
    let same = world.admin("GET", by_path, Value::Null).await.expect(200);
    assert_eq!(set, same, "it is the price of that path");
    let neighbour = world
        .admin("PUT", "/v1/prices/our%23router%3F/meta", other)
        .await;
    neighbour.expect(200);

    let names = "provider=our%23router%3F&model=META%2Fllama%203%2541%231";
    let found = items(&world, &format!("/v1/prices?status=own&{names}")).await;
    assert_eq!(named(&found, "model"), [model], "and not its neighbour");
    let removed = format!("/v1/prices?{names}");
    assert_eq!(status(&world, "DELETE", &removed).await, 204);
    assert_eq!(status(&world, "DELETE", &removed).await, 404);
    let left = items(&world, "/v1/prices?status=own").await;
    assert_eq!(named(&left, "model"), ["meta"]);
}

#[tokio::test]
async fn the_version_in_if_match_holds_for_names_in_a_query_too() {
    let world = World::at(NOON).await;
    let body = json!({"provider": "openai", "model": "gpt-4o", "input_usd_per_million": 1});
    let set = world.admin("PUT", "/v1/prices", body).await.expect(200);
    assert_eq!(set["version"], 1);
    let path = "/v1/prices?provider=openai&model=gpt-4o";
    for (version, expected) in [("7", 409), ("1", 204)] {
        let headers = [("If-Match", version)];
        let answer = world
            .raw(end_to_end::ADMIN, "DELETE", path, &headers, "")
            .await;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
}

#[tokio::test]
async fn discounts_and_aliases_are_removed_by_names_that_no_path_could_have() {
    let world = World::at(NOON).await;
    let name = "a#b?c%41/d";
    let discount = json!({"provider": name, "percent": 5.25});
    let alias = json!({"name": name, "model": "gpt-4o"});
    for (path, field, body) in [
        ("/v1/prices/discounts", "provider", discount),
        ("/v1/models/aliases", "name", alias),
    ] {
        let set = world.admin("PUT", path, body).await.expect(200);
        assert_eq!(set[field], name);
        assert_eq!(named(&items(&world, path).await, field), [name]);
        let removed = format!("{path}?{field}=A%23b%3Fc%2541%2Fd");
        assert_eq!(status(&world, "DELETE", &removed).await, 204, "{path}");
        assert_eq!(status(&world, "DELETE", &removed).await, 404, "{path}");
        assert!(items(&world, path).await.is_empty());
    }
}
