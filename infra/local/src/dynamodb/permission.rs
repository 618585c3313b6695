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
/// table or `<table>/index/<name>`. AWS does not say whether IAM sees the keys of a transaction one
/// by one or together, so each action of one needs the partitions of all its items in the table.
pub(super) fn needed(operation: &str, body: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let Ok(request) = serde_json::from_str::<Request>(body) else {
        return found;
    };
    let mut need = |action: &str, resource: String, kinds: BTreeSet<String>| {
        let known = found.entry((action.to_owned(), resource)).or_default();
        known.extend(kinds);
    };
    let parts: Vec<(String, Part)> = request
        .transact_items
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let mut touched: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, of) in &parts {
        let item = of.key.as_ref().or(of.item.as_ref());
        let kinds = touched.entry(&of.table_name).or_default();
        kinds.extend(item.map(kind_of));
    }
    for (part, of) in &parts {
        let kinds = touched.get(of.table_name.as_str());
        let kinds = kinds.cloned().unwrap_or_default();
        match part.as_str() {
            "ConditionCheck" => need("ConditionCheckItem", of.table_name.clone(), kinds),
            part => need(&format!("{part}Item"), of.table_name.clone(), kinds),
        }
    }
    for (table, batch) in request.request_items.into_iter().flatten() {
        need(operation, table, batch.keys.iter().map(kind_of).collect());
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
            Some(index) => need(operation, format!("{table}/index/{index}"), BTreeSet::new()),
            None => {
                let kind = item.or(value.map(partition));
                need(operation, table, kind.into_iter().collect());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_action_of_a_transaction_needs_all_partitions_of_its_table() {
        let item = |pk: &str| json!({"pk": {"S": pk}, "sk": {"S": "-"}});
        let put = |table: &str, pk: &str| json!({"Put": {"TableName": table, "Item": item(pk)}});
        let body = json!({"TransactItems": [
            put("Ledger", "acme#record#e-1"),
            {"Update": {"TableName": "Ledger", "Key": item("acme#total#2026-11")}},
            put("Audit", "acme"),
            {"ConditionCheck": {"TableName": "Ledger", "Key": item("acme#usage#2026-11")}},
        ]});
        let of_ledger = "org#record#id org#total#id org#usage#id";
        let expected = [
            ("ConditionCheckItem", "Ledger", of_ledger),
            ("PutItem", "Audit", "org"),
            ("PutItem", "Ledger", of_ledger),
            ("UpdateItem", "Ledger", of_ledger),
        ];
        let expected = expected.map(|(action, table, kinds)| {
            let kinds: BTreeSet<String> = kinds.split(' ').map(str::to_owned).collect();
            ((action.to_owned(), table.to_owned()), kinds)
        });
        let found = needed("TransactWriteItems", &body.to_string());
        assert_eq!(found, BTreeMap::from(expected));
    }
}
