//! The permissions that database calls need in a deployment.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    index_name: Option<String>,
    request_items: Option<BTreeMap<String, Batch>>,
    transact_items: Option<Vec<BTreeMap<String, Part>>>,
    key: Option<Item>,
    item: Option<Item>,
    key_condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_values: Item,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    #[serde(default)]
    keys: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    table_name: String,
    key: Option<Item>,
    item: Option<Item>,
}

type Item = BTreeMap<String, Value>;

/// Returns the permissions that a call needs: the kinds of partitions for each action and each
/// table or `<table>/index/<name>`.
pub(super) fn needed(operation: &str, body: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let Ok(request) = serde_json::from_str::<Request>(body) else {
        return found;
    };
    let mut need = |action: &str, resource: String, kind: Option<String>| {
        let kinds = found.entry((action.to_owned(), resource)).or_default();
        kinds.extend(kind);
    };
    for (part, of) in request.transact_items.into_iter().flatten().flatten() {
        let kind = of.key.or(of.item).map(|item| kind_of(&item));
        match part.as_str() {
            "ConditionCheck" => need("ConditionCheckItem", of.table_name, kind),
            part => need(&format!("{part}Item"), of.table_name, kind),
        }
    }
    for (table, batch) in request.request_items.into_iter().flatten() {
        for key in batch.keys {
            need(operation, table.clone(), Some(kind_of(&key)));
        }
    }
    if let Some(table) = request.table_name {
        let item = request.key.or(request.item).map(|item| kind_of(&item));
        // The condition on the partition key comes first.
        let condition = request.key_condition_expression.unwrap_or_default();
        let name = condition
            .split_whitespace()
            .find(|word| word.starts_with(':'));
        let value = name.and_then(|name| request.expression_attribute_values.get(name));
        match request.index_name {
            Some(index) => need(operation, format!("{table}/index/{index}"), None),
            None => need(operation, table, item.or(value.map(partition))),
        }
    }
    found
}

/// Returns the kind of partition of an item or a key.
fn kind_of(item: &Item) -> String {
    let key = item.get("pk").or_else(|| item.get("k"));
    key.map(partition).unwrap_or_default()
}

/// Returns the kind of a partition key: `org#record#id` for `acme#record#e-1`.
fn partition(value: &Value) -> String {
    let key = value["S"].as_str().unwrap_or_default();
    if let Some((cell, _)) = key.split_once('.').filter(|(org, _)| !org.contains('#')) {
        return format!("{}.id", if cell.is_empty() { "" } else { "org" });
    }
    let mut parts = key.split('#');
    let first = parts.next().unwrap_or_default();
    let is_place = first.starts_with('@');
    let mut kind = if is_place { first } else { "org" }.to_owned();
    let named = if is_place { None } else { parts.next() };
    if let Some(named) = named {
        kind.push('#');
        kind.push_str(named);
    }
    if parts.next().is_some() {
        kind.push_str("#id");
    }
    kind
}
