//! The contents of the tables: no key in clear text, and nothing without an owner.

use super::{RIVAL, text, two_tenants};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Every item of every table, read as the functions read them.
async fn items(world: &World) -> Vec<(String, HashMap<String, AttributeValue>)> {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(world.system.engine().http_client());
    let client = Client::from_conf(config.build());
    let mut found = Vec::new();
    for table in client.list_tables().send().await.unwrap().table_names() {
        let pages = client
            .scan()
            .table_name(table)
            .into_paginator()
            .items()
            .send();
        let items = pages.try_collect().await.unwrap();
        found.extend(items.into_iter().map(|item| (table.clone(), item)));
    }
    found
}

/// Every text in a value: strings, keys of maps, and bytes as far as they are text.
fn texts(value: &AttributeValue, into: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) => into.push(text.clone()),
        AttributeValue::B(bytes) => into.push(String::from_utf8_lossy(bytes.as_ref()).into_owned()),
        AttributeValue::L(values) => values.iter().for_each(|value| texts(value, into)),
        AttributeValue::M(values) => {
            into.extend(values.keys().cloned());
            values.values().for_each(|value| texts(value, into));
        }
        AttributeValue::Ss(values) => into.extend(values.iter().cloned()),
        _ => {}
    }
}

#[tokio::test]
async fn no_table_holds_a_key_in_clear() {
    let (world, first, rival) = two_tenants().await;
    let mut secrets = vec![ADMIN.to_owned(), AGENT.to_owned(), OPERATOR.to_owned()];
    for keys in [&first.keys, &rival.keys] {
        secrets.extend([&keys.admin, &keys.agent, &keys.manager, &keys.member].map(Clone::clone));
    }
    for (key, path, body, name) in [
        (ADMIN, "/v1/api-keys", r#"{"role": "agent"}"#, "key"),
        (
            OPERATOR,
            "/v1/organisations/demo/admin-keys",
            "{}",
            "admin_key",
        ),
        (
            OPERATOR,
            "/v1/organisations",
            r#"{"id": "third", "name": "T", "timezone": "UTC"}"#,
            "admin_key",
        ),
    ] {
        let idempotency_key = format!("again {path}");
        let headers = [("idempotency-key", idempotency_key.as_str())];
        secrets.push(text(
            &world
                .raw(key, "POST", path, &headers, body)
                .await
                .expect(201),
            name,
        ));
    }
    let items = items(&world).await;
    assert!(items.len() > 40, "{}", items.len());
    for (table, item) in &items {
        let mut found = Vec::new();
        item.values().for_each(|value| texts(value, &mut found));
        for secret in &secrets {
            assert!(secret.starts_with("tk_"));
            let bare = secret.trim_start_matches("tk_");
            let is_long = bare.len() > 20;
            let holds = found
                .iter()
                .any(|text| text.contains(secret) || is_long && text.contains(bare));
            assert!(!holds, "{table}: {item:?}");
        }
    }
}

#[tokio::test]
async fn every_partition_belongs_to_one_organisation_or_leads_to_one() {
    let (world, first, rival) = two_tenants().await;
    for (tenant, hold) in [(&first, Some(first.ids["hold"].as_str())), (&rival, None)] {
        let body = json!({"events": [world.usage("demo#e-1", "ada", 1, 0, hold)]});
        world
            .call(&tenant.keys.agent, "POST", "/v1/events", body)
            .await
            .expect(202);
    }
    let idempotent = [("idempotency-key", "again")];
    world
        .raw(
            ADMIN,
            "POST",
            "/v1/api-keys",
            &idempotent,
            r#"{"role": "agent"}"#,
        )
        .await
        .expect(201);
    world.system.drain().await.unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (table, item) in items(&world).await {
        let partition = item
            .get("pk")
            .or_else(|| item.get("k"))
            .unwrap()
            .as_s()
            .unwrap();
        let owner = partition.split(['#', '.']).next().unwrap();
        let is_known = [RIVAL, "demo"].contains(&owner) || partition.starts_with('@');
        assert!(is_known, "{table}: {partition}");
        if let Some(day) = item.get("day") {
            assert!(
                day.as_s().unwrap().starts_with(&format!("{owner}#")),
                "{item:?}"
            );
        }
        let kind = if partition.starts_with('@') {
            "@"
        } else {
            owner
        };
        *seen.entry(format!("{table} {kind}")).or_default() += 1;
    }
    for table in ["Counters", "Ledger", "Governance", "Audit"] {
        for owner in ["demo", RIVAL] {
            assert!(seen.contains_key(&format!("{table} {owner}")), "{seen:?}");
        }
    }
}
