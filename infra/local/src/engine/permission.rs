//! Which permissions calls need where they are deployed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// What a function did: an action of IAM, the table, or `<table>/index/<name>`, and the kind of partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The function whose client it was.
    pub caller: &'static str,
    /// `PutItem`, `ConditionCheckItem`, ...
    pub action: String,
    /// The table or index.
    pub resource: String,
    /// The partition key with `org` for the organisation and `id` for an id: `org#record#id`, `@key#id`. Empty for a call that
    /// names none.
    pub partition: String,
}

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

/// The permissions that a call needs, each as its action, resource and kind of partition.
pub(super) fn needed(operation: &str, body: &str) -> BTreeSet<(String, String, String)> {
    let Ok(request) = serde_json::from_str::<Request>(body) else {
        return BTreeSet::new();
    };
    if let Some(parts) = request.transact_items {
        let action = |part: &str| match part {
            "ConditionCheck" => "ConditionCheckItem".to_owned(),
            part => format!("{part}Item"),
        };
        let parts = parts.into_iter().flatten();
        return parts
            .map(|(part, of)| {
                let kind = of.key.or(of.item).map(|item| kind_of(&item));
                (action(&part), of.table_name, kind.unwrap_or_default())
            })
            .collect();
    }
    let batches = request.request_items.unwrap_or_default().into_iter();
    let batches = batches.flat_map(|(table, batch)| {
        let kinds = batch.keys.into_iter().map(|key| kind_of(&key));
        kinds.map(move |kind| (table.clone(), kind))
    });
    let kind = match (
        request.key.or(request.item),
        request.key_condition_expression,
    ) {
        (Some(item), _) => kind_of(&item),
        // The condition on the partition comes first.
        (None, Some(condition)) => {
            let name = condition
                .split_whitespace()
                .find(|word| word.starts_with(':'));
            let value = name.and_then(|name| request.expression_attribute_values.get(name));
            value.map(partition).unwrap_or_default()
        }
        (None, None) => String::new(),
    };
    let table = request.table_name.map(|table| match request.index_name {
        Some(index) => (format!("{table}/index/{index}"), String::new()),
        None => (table, kind),
    });
    batches
        .chain(table)
        .map(|(resource, kind)| (operation.to_owned(), resource, kind))
        .collect()
}

/// The kind of partition that an item or a key is in.
fn kind_of(item: &Item) -> String {
    let key = item.get("pk").or_else(|| item.get("k"));
    key.map(partition).unwrap_or_default()
}

/// `acme#record#e-1` as `org#record#id`.
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
