//! Data that a later version has written: attributes, rows and kinds that this one does not know
//! are tolerated and kept, and data that it must not read is refused without opening a cap.

use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{AGENT, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::store::READER;
use std::collections::HashMap;

type Item = HashMap<String, AttributeValue>;

const TABLES: [&str; 4] = ["Counters", "Ledger", "Governance", "Audit"];
/// An attribute that no version knows.
const UNKNOWN: &str = "zz_later";

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Something of everything: `eng` with ada under a hard cap of 1,000 tokens, of which 100 are spent
/// and 100 are held.
async fn company() -> (World, String) {
    let world = World::with(SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await;
    world.department("eng", None).await;
    world.department("lab", Some("eng")).await;
    world.user("ada", "lab").await;
    let cap = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    world.budget(None, "usd", json!(100), false).await;
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "conditions": [{"field": "risk_level", "op": "gte", "value": "high"}],
        "actions": [{"type": "create_incident"}],
    });
    let webhook = json!({"url": "https://hooks.example.com/a"});
    for (path, body) in [("/v1/policies", policy), ("/v1/webhooks", webhook)] {
        world.admin("POST", path, body).await.expect(201);
    }
    let settled = world.hold("ada", "r-1", 60, 40).await;
    world.hold("ada", "r-2", 60, 40).await;
    let usage = world.usage("e-1", "ada", 60, 40, Some(&settled));
    world.report(&[usage]).await;
    let fired = world.admin("POST", "/local/schedule", Value::Null).await;
    assert_eq!(fired.expect(200)["report"]["failed"], json!([]));
    (world, cap)
}

async fn items(world: &World, table: &str) -> Vec<Item> {
    let scan = world
        .tables()
        .scan()
        .table_name(table)
        .consistent_read(true);
    let items = scan.into_paginator().items().send();
    items.try_collect().await.unwrap()
}

async fn put(world: &World, table: &str, item: Item) {
    let put = world.tables().put_item().table_name(table);
    put.set_item(Some(item)).send().await.unwrap();
}

fn add_unknown(item: &mut Item) {
    for value in item.values_mut() {
        if let AttributeValue::M(map) = value
            && map.values().any(|value| !value.is_b())
        {
            add_unknown(map);
        }
    }
    let later = Item::from([("kind".to_owned(), text("later"))]);
    item.insert(UNKNOWN.to_owned(), AttributeValue::M(later));
}

/// Writes what a later version might: an unknown attribute into every item and every map in it, and
/// rows of unknown kinds beside them.
async fn of_a_later_version(world: &World) -> usize {
    let mut changed = 0;
    for table in TABLES {
        for mut item in items(world, table).await {
            add_unknown(&mut item);
            put(world, table, item).await;
            changed += 1;
        }
    }
    let day = &world.system.clock().now().to_string()[..10];
    let row = |pk: &str, sk: &str| {
        Item::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(sk)),
            (UNKNOWN.to_owned(), text("later")),
        ])
    };
    for sk in [
        "config#0later",
        "config#later#1",
        "config#zz#1",
        "later#1",
        "zz#1",
    ] {
        put(world, "Governance", row("demo", sk)).await;
    }
    for pk in ["demo#later", "@later#1"] {
        put(world, "Governance", row(pk, "later")).await;
    }
    for (n, kind) in [(1, Some("later")), (2, None)] {
        let mut record = row(&format!("demo#later#{n}"), "-");
        record.insert("day".to_owned(), text(&format!("demo#{day}")));
        record.insert(
            "at".to_owned(),
            text(&format!("{day}T01:00:00.000Z#later-{n}")),
        );
        record.insert("period".to_owned(), text(&day[..7]));
        record.extend(kind.map(|kind| ("type".to_owned(), text(kind))));
        put(world, "Ledger", record).await;
    }
    changed
}

/// The governance rows and cells that have lost what a later version wrote, of those that had it.
async fn forgetful(world: &World, of: impl Fn(&str) -> bool) -> Vec<String> {
    let mut forgetful = Vec::new();
    for table in ["Counters", "Governance"] {
        for item in items(world, table).await {
            let key = item.get("sk").or_else(|| item.get("k")).unwrap();
            let key = key.as_s().unwrap().clone();
            if of(&key) && !item.contains_key(UNKNOWN) {
                forgetful.push(key);
            }
        }
    }
    forgetful
}

#[tokio::test]
async fn what_a_later_version_has_written_is_tolerated_by_every_function_and_no_cap_opens() {
    let (world, cap) = company().await;
    assert!(of_a_later_version(&world).await > 25);
    assert_eq!(world.figures(&cap).await["spent"], 100);
    let held = world.hold("ada", "r-3", 60, 40).await;
    let usage = [
        world.usage("e-2", "ada", 60, 40, Some(&held)),
        world.usage("e-3", "ada", 100, 0, None),
    ];
    world.report(&usage).await;
    // 300 are spent and 100 are held.
    assert_eq!(
        world.preflight("ada", "more", 601, 0).await["decision"],
        "block"
    );
    world.hold("ada", "r-4", 600, 0).await;
    assert_eq!(
        world.preflight("ada", "one", 1, 0).await["decision"],
        "block"
    );
    for path in [
        "/v1/organisation",
        "/v1/departments",
        "/v1/budgets",
        "/v1/users",
        "/v1/api-keys",
        "/v1/policies",
        "/v1/webhooks",
        "/v1/alerts",
        "/v1/incidents",
        "/v1/audit-log",
        "/v1/audit-log/verify",
        "/v1/usage?period=monthly",
        "/v1/events",
    ] {
        let answer = world.admin("GET", path, Value::Null).await;
        assert!(answer.status < 500, "{path}: {}", answer.body);
    }
    let fired = world.admin("POST", "/local/schedule", Value::Null).await;
    let report = fired.expect(200)["report"].clone();
    assert_eq!(
        (&report["failed"], &report["differences"]),
        (&json!([]), &json!(0))
    );
    world.set_clock("2026-12-02T12:00:00Z").await;
    let fired = world.admin("POST", "/local/schedule", Value::Null).await;
    let report = fired.expect(200)["report"].clone();
    assert_eq!(
        (&report["failed"], &report["differences"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(report["months_closed"], 1);
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_know_and_removes_what_it_is_told_to() {
    let (world, cap) = company().await;
    of_a_later_version(&world).await;
    let users = world.admin("GET", "/v1/users/ada", Value::Null).await;
    assert_eq!(users.status, 200);
    for (path, body) in [
        ("/v1/organisation".to_owned(), json!({"name": "renamed"})),
        ("/v1/departments/eng".to_owned(), json!({"name": "renamed"})),
        (format!("/v1/budgets/{cap}"), json!({"amount": 2_000})),
        ("/v1/users/ada".to_owned(), json!({"name": "renamed"})),
    ] {
        let answer = world.admin("PATCH", &path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let is_changed = |key: &str| {
        let kinds = [
            "config#0head",
            "config#budget#",
            "config#department#",
            "user#",
            "demo.2026",
        ];
        kinds.iter().any(|kind| key.starts_with(kind))
    };
    assert_eq!(forgetful(&world, is_changed).await, Vec::<String>::new());
    let head = items(&world, "Governance").await.into_iter();
    let mut head = head.filter(|item| item["sk"] == text("config#0head"));
    let organisation = head.next().unwrap()["organisation"].clone();
    let organisation = organisation.as_m().unwrap();
    assert_eq!(organisation["name"], text("renamed"));
    assert!(organisation.contains_key(UNKNOWN));
    // The cell is opened again after it was out of force, and the cap has what it was raised to.
    world.hold("ada", "r-5", 1_800, 0).await;
    assert_eq!(
        world.preflight("ada", "one", 1, 0).await["decision"],
        "block"
    );
}

/// Says which form a reader has to know, as the first change of a later version does: after so many
/// new epochs.
async fn raise(world: &World, form: u32, epochs: i64) {
    for (table, key, update) in [
        (
            "Governance",
            vec![("pk", "demo"), ("sk", "config#0head")],
            "SET min_reader = :form, epoch = epoch + :n",
        ),
        (
            "Counters",
            vec![("k", "demo.2026-11.0.0")],
            "SET e = e + :n, v = v + :n",
        ),
    ] {
        let mut call = world.tables().update_item().table_name(table);
        for (name, value) in key {
            call = call.key(name, text(value));
        }
        if table == "Governance" {
            call = call.expression_attribute_values(":form", AttributeValue::N(form.to_string()));
        }
        let epochs = AttributeValue::N(epochs.to_string());
        let call = call.update_expression(update);
        call.expression_attribute_values(":n", epochs)
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn data_that_this_version_must_not_read_is_refused_and_no_cap_opens_by_any_setting() {
    let (world, cap) = company().await;
    let settings = json!({"on_unavailable": "allow"});
    world
        .admin("PATCH", "/v1/organisation", settings)
        .await
        .expect(200);
    let held = world.hold("ada", "r-3", 60, 40).await;
    raise(&world, 99, 1).await;
    for n in 0..3 {
        let decision = world.preflight("ada", &format!("no-{n}"), 1, 0).await;
        assert_eq!(decision["decision"], "block", "{decision}");
        assert_eq!(decision["retryable"], true, "{decision}");
    }
    let change = world
        .admin("PATCH", "/v1/departments/eng", json!({"name": "x"}))
        .await;
    assert_eq!(
        (change.status, &change.body["error"]),
        (503, &json!("unavailable"))
    );
    let usage = world.usage("e-9", "ada", 60, 40, Some(&held));
    let body = json!({"events": [usage]});
    let taken = world.call(AGENT, "POST", "/v1/events", body).await;
    assert_eq!(
        taken.status, 202,
        "it waits until a version that may record it is there"
    );
    raise(&world, 1, 1).await;
    world.system.drain().await.unwrap();
    assert_eq!(world.figures(&cap).await["spent"], 200);
    world.hold("ada", "r-6", 1, 0).await;
}

/// The epochs of the head and of the month's cell, and the least form.
async fn state(world: &World) -> (String, String, String) {
    let find = async |table: &str, key: &str, of: &str| {
        let all = items(world, table).await.into_iter();
        let mut found = all.filter(|item| item.get(key) == Some(&text(of)));
        found.next().unwrap()
    };
    let head = find("Governance", "sk", "config#0head").await;
    let cell = find("Counters", "k", "demo.2026-11.0.0").await;
    let number = |item: &Item, name: &str| item[name].as_n().unwrap().clone();
    (
        number(&head, "epoch"),
        number(&cell, "e"),
        number(&head, "min_reader"),
    )
}

/// The change charges the cell that has to have the new epoch, and a transaction takes one update
/// of each item.
#[tokio::test]
async fn a_charge_by_an_administrator_may_be_the_first_change_that_raises_the_form() {
    let (world, cap) = company().await;
    let held_back = world.usage("e-7", "ada", 2_000_000, 0, None);
    world.report(&[held_back]).await;
    let usage = world.usage("e-8", "ada", 10, 0, None);
    world.report(&[usage]).await;
    let rates = json!({
        "input_usd_per_million": 1_000, "output_usd_per_million": 1_000,
        "effective_from": "2026-11-01T00:00:00Z",
    });
    let price = world.admin("PUT", "/v1/prices/openai/gpt-4o", rates).await;
    price.expect(200);
    let now = world.system.clock().now();
    let hour = jiff::SignedDuration::from_hours(1);
    let reprice = json!({"from": (now - hour).to_string(), "to": (now + hour).to_string()});
    let correct = json!({
        "department_id": "eng", "month": "2026-11", "tokens": -10, "reason": "a test",
    });
    let count = json!({
        "user_id": "ada", "event_id": "e-7", "decision": "count", "reason": "asked the team",
    });
    for (path, body, status, spent) in [
        ("/v1/corrections", correct, 201, 100),
        ("/v1/prices/reprice", reprice, 200, 100),
        ("/v1/events/decisions", count, 200, 2_000_100),
    ] {
        raise(&world, 0, 0).await;
        let before = state(&world).await;
        let answer = world.admin("POST", path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let after = state(&world).await;
        let epoch: u64 = before.0.parse().unwrap();
        let next = (epoch + 1).to_string();
        assert_eq!(after, (next.clone(), next, READER.to_string()), "{path}");
        assert_eq!(world.figures(&cap).await["spent"], spent, "{path}");
    }
    let fired = world.admin("POST", "/local/schedule", Value::Null).await;
    assert_eq!(fired.expect(200)["report"]["differences"], 0);
}
