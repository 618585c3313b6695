//! The catalogue of events says what is sent: every type, and every field of each.

use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::World;
use end_to_end::receiver::Receiver;
use serde_json::{Value, json};
use shared::domain::notice::event_type::EVENT_TYPES;
use std::collections::{BTreeMap, BTreeSet};

/// The types of the catalogue, each with its fields.
fn catalogue() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("| type | when | `data` |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        // The text in brackets describes the contents of a field.
        let mut depth = 0;
        let bare = |c: &char| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        };
        let bare: String = cell.chars().filter(bare).collect();
        bare.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        let fields = quoted(cells[3]).into_iter().collect();
        (quoted(cells[1]).remove(0), fields)
    })
    .collect()
}

#[test]
fn the_catalogue_has_every_type_that_can_be_subscribed_to_and_no_other() {
    let types: BTreeSet<&str> = EVENT_TYPES.iter().map(|(name, _)| *name).collect();
    let catalogue = catalogue();
    assert_eq!(
        catalogue
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        types
    );
}

async fn put(world: &World, method: &str, path: &str, body: Value) -> Value {
    let answer = world.admin(method, path, body).await;
    assert!(
        (200..300).contains(&answer.status),
        "{path} {}",
        answer.body
    );
    answer.body
}

/// Lets every event of the catalogue happen once; returns the bodies that a webhook got.
async fn everything_sent() -> Vec<Value> {
    let mut world = World::at("2026-11-24T12:00:00Z").await;
    world.has_wrong_books = true;
    let mut last = String::new();
    let receiver = Receiver::start().await;
    let hook = put(&world, "POST", "/v1/webhooks", json!({"url": receiver.url})).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("bob", "eng").await;
    world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "create_incident"}, {"type": "block_access"}],
    });
    let policy = put(&world, "POST", "/v1/policies", policy).await;
    let publish = format!("/v1/policies/{}/publish", policy["id"].as_str().unwrap());
    put(&world, "POST", &publish, Value::Null).await;
    let risk = json!({
        "event_id": "r-1", "type": "ip_risk", "occurred_at": "2026-11-24T12:00:00Z",
        "user_id": "ada", "risk_level": "high",
        "summary": "a key was pushed",
    });
    let mut unknown = world.usage("u-2", "bob", 1, 0, None);
    unknown["model"] = json!("nobody-knows");
    world
        .report(&[risk, world.usage("u-1", "bob", 1_000, 0, None), unknown])
        .await;
    put(
        &world,
        "PUT",
        "/v1/users/bob/block",
        json!({"reason": "a leak"}),
    )
    .await;
    put(&world, "DELETE", "/v1/users/bob/block", Value::Null).await;
    let bounce = json!({"email": "ada@example.com", "type": "bounce"});
    put(&world, "POST", "/local/bounces", bounce).await;
    let test = format!("/v1/webhooks/{}/test", hook["id"].as_str().unwrap());
    put(&world, "POST", &test, Value::Null).await;
    let ask = json!({
        "user_id": "ada", "kind": "lift", "reason": "the release",
        "ends_at": "2026-12-01T00:00:00Z",
    });
    let bob = json!({"role": "manager", "user_id": "bob"});
    for (path, body) in [
        ("/v1/users/ada", json!({"manager_id": "bob"})),
        ("/v1/users/bob", json!({"role": "manager"})),
    ] {
        put(&world, "PATCH", path, body).await;
    }
    let bob = put(&world, "POST", "/v1/api-keys", bob).await;
    for step in ["approve", "deny", "approve"] {
        let key = bob["key"].as_str().unwrap();
        let made = world.call(key, "POST", "/v1/exemptions", ask.clone()).await;
        let id = made.expect(201)["id"].as_str().unwrap().to_owned();
        let step = format!("/v1/exemptions/{id}/{step}");
        put(&world, "POST", &step, Value::Null).await;
        last = id;
    }
    let revoke = format!("/v1/exemptions/{last}/revoke");
    put(&world, "POST", &revoke, Value::Null).await;
    world.set_clock("2026-11-30T12:00:00Z").await;
    put(&world, "POST", "/local/schedule", Value::Null).await;
    // A counter is edited by hand, which the schedule finds; then the month ends.
    let edited = world
        .tables()
        .update_item()
        .table_name("Counters")
        .key("k", AttributeValue::S("demo.2026-11.0.0".to_owned()))
        .update_expression("SET t2 = t2 + :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    edited.send().await.unwrap();
    put(&world, "POST", "/local/schedule", Value::Null).await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    put(&world, "POST", "/local/schedule", Value::Null).await;
    world.system.drain().await.unwrap();
    receiver.received().iter().map(|got| got.json()).collect()
}

#[tokio::test]
async fn every_event_has_exactly_the_fields_that_the_catalogue_names() {
    let catalogue = catalogue();
    let sent = everything_sent().await;
    let mut seen = BTreeSet::new();
    for event in &sent {
        let kind = event["type"].as_str().unwrap();
        let data = event["data"].as_object().unwrap();
        let fields: BTreeSet<String> = data.keys().cloned().collect();
        assert_eq!(fields, catalogue[kind], "{kind}: {event}");
        seen.insert(kind.to_owned());
    }
    assert_eq!(seen, catalogue.into_keys().collect());
}
