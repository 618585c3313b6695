//! The audit log: complete, chained, exported, and never altered unseen.

use super::{listed, world};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{ADMIN, World};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn verified(world: &World) -> Value {
    let path = "/v1/audit-log/verify";
    world.admin("GET", path, Value::Null).await.expect(200)
}

/// Some changes of every kind.
async fn changes(world: &World) {
    for (method, path, body) in [
        (
            "PATCH",
            "/v1/organisation",
            json!({"name": "Acme \u{e9}\u{1f600}"}),
        ),
        ("PATCH", "/v1/users/ada", json!({"name": "Ada L."})),
        (
            "PUT",
            "/v1/users/ada/block",
            json!({"reason": "a \"leak\"\nof much"}),
        ),
        ("DELETE", "/v1/users/ada/block", Value::Null),
        ("POST", "/v1/api-keys", json!({"role": "agent"})),
        (
            "POST",
            "/v1/webhooks",
            json!({"url": "https://example.com/"}),
        ),
    ] {
        let status = world.admin(method, path, body).await.status;
        assert!((200..300).contains(&status), "{method} {path} {status}");
    }
}

#[tokio::test]
async fn every_change_is_an_entry_and_the_chain_holds() {
    let world = world(100).await;
    changes(&world).await;
    let found = verified(&world).await;
    let head = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!(
        (&found["ok"], &found["entries"], &found["head"]),
        (&json!(true), &json!(head.seq), &json!(head.audit_hash))
    );
    let actions = listed(&world, ADMIN, "/v1/audit-log?limit=100", "action").await;
    assert_eq!(actions.len() as u64, head.seq);
    for action in [
        "organisation.update",
        "user.update",
        "user.block",
        "user.release",
        "api_key.create",
        "webhook.create",
        "budget.create",
        "department.create",
    ] {
        assert!(actions.contains(&action.to_owned()), "{action} {actions:?}");
    }
}

#[tokio::test]
async fn one_byte_changed_in_the_table_is_found_at_its_place() {
    let mut world = world(100).await;
    world.is_tampered = true;
    changes(&world).await;
    let tables = world.tables();
    let key = |seq: u64| {
        (
            AttributeValue::S("demo".to_owned()),
            AttributeValue::S(format!("{seq:012}")),
        )
    };
    let (pk, sk) = key(6);
    let item = tables
        .get_item()
        .table_name("Audit")
        .key("pk", pk.clone())
        .key("sk", sk.clone());
    let item = item.send().await.unwrap().item.unwrap();
    for name in [
        "actor",
        "action",
        "resource",
        "after",
        "request_id",
        "hash",
        "previous_hash",
    ] {
        let mut altered = item.clone();
        let Some(AttributeValue::M(data)) = altered.get_mut("data") else {
            panic!("{item:?}");
        };
        let Some(AttributeValue::S(text)) = data.get_mut(name) else {
            panic!("{name} {data:?}");
        };
        let last = text.pop().unwrap();
        text.push(if last == 'x' { 'y' } else { 'x' });
        let put = tables
            .put_item()
            .table_name("Audit")
            .set_item(Some(altered));
        put.send().await.unwrap();
        let found = verified(&world).await;
        assert_eq!(found["ok"], false, "{name}: {found}");
        assert_eq!(found["broken"]["seq"], 6, "{name}: {found}");
    }
    let put = tables
        .put_item()
        .table_name("Audit")
        .set_item(Some(item.clone()));
    put.send().await.unwrap();
    assert_eq!(verified(&world).await["ok"], true);
    let gone = tables
        .delete_item()
        .table_name("Audit")
        .key("pk", pk)
        .key("sk", sk);
    gone.send().await.unwrap();
    assert_eq!(verified(&world).await["broken"]["seq"], 6);
    let put = tables.put_item().table_name("Audit").set_item(Some(item));
    put.send().await.unwrap();
    let head = world.system.store().head("demo").await.unwrap().unwrap();
    let (pk, sk) = key(head.seq);
    let gone = tables
        .delete_item()
        .table_name("Audit")
        .key("pk", pk)
        .key("sk", sk);
    gone.send().await.unwrap();
    assert_eq!(
        verified(&world).await["broken"]["seq"],
        head.seq,
        "the last one is missed, too"
    );
}

#[tokio::test]
async fn an_entry_is_found_by_actor_action_resource_and_time() {
    let world = world(100).await;
    world.set_clock("2026-11-25T12:00:00Z").await;
    changes(&world).await;
    let count = async |query: &str| {
        let path = format!("/v1/audit-log?limit=100&{query}");
        listed(&world, ADMIN, &path, "action").await.len()
    };
    for (query, entries) in [
        ("action=user", 4),
        ("action=user.block", 1),
        ("action=use", 0),
        ("resource=user/ada", 4),
        ("resource=user&from=2026-11-25T00:00:00Z", 3),
        ("resource=user&to=2026-11-24T23:59:59Z", 1),
        // Both ends are in it.
        ("resource=user&to=2026-11-24T12:00:00Z", 1),
        ("resource=user&to=2026-11-25T12:00:00Z", 4),
        ("resource=user&from=2026-11-25T12:00:00Z", 3),
        ("resource=user&to=2026-11-25T11:59:59Z", 1),
        ("actor=key/key_local_admin&action=department", 2),
        ("actor=operator", 1),
        ("from=2026-11-26T00:00:00Z", 0),
    ] {
        assert_eq!(count(query).await, entries, "{query}");
    }
    let newest = world
        .admin("GET", "/v1/audit-log?limit=1", Value::Null)
        .await;
    let newest = newest.expect(200);
    assert_eq!(newest["items"][0]["action"], "webhook.create");
    assert_eq!(newest["has_more"], true);
}

#[tokio::test]
async fn the_export_is_every_entry_as_a_line_with_the_hash_it_was_chained_with() {
    let world = world(100).await;
    changes(&world).await;
    let request = http::Request::builder()
        .uri("/v1/audit-log/export?after_seq=2")
        .header("authorization", format!("Bearer {ADMIN}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = world.system.router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert!(!response.headers().contains_key("x-next-after-seq"));
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let lines: Vec<Value> = std::str::from_utf8(&bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let head = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!(lines.len() as u64, head.seq - 2);
    assert_eq!(lines.last().unwrap()["hash"], json!(head.audit_hash));
    let mut pairs = lines.windows(2);
    assert!(pairs.all(|pair| pair[0]["hash"] == pair[1]["previous_hash"]));
}

#[tokio::test]
async fn a_secret_is_in_no_entry() {
    let world = world(100).await;
    let made = world
        .admin("POST", "/v1/api-keys", json!({"role": "agent"}))
        .await
        .expect(201);
    let hook = json!({"url": "https://example.com/"});
    let hook = world.admin("POST", "/v1/webhooks", hook).await.expect(201);
    let client = json!({"role": "agent"});
    let client = world
        .admin("POST", "/v1/oauth/clients", client)
        .await
        .expect(201);
    let log = world
        .admin("GET", "/v1/audit-log?limit=100", Value::Null)
        .await
        .expect(200);
    let log = log.to_string();
    for (made, name) in [
        (&made, "key"),
        (&hook, "signing_secret"),
        (&client, "client_secret"),
    ] {
        assert!(!log.contains(made[name].as_str().unwrap()), "{name}");
    }
}
