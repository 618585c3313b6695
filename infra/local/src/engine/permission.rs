//! Which permissions calls need where they are deployed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What a function did: an action of IAM and the table, or `<table>/index/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The function whose client it was.
    pub caller: &'static str,
    /// `PutItem`, `ConditionCheckItem`, ...
    pub action: String,
    /// The table or index.
    pub resource: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    index_name: Option<String>,
    request_items: Option<BTreeMap<String, IgnoredAny>>,
    transact_items: Option<Vec<BTreeMap<String, Part>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    table_name: String,
}

/// The permissions that a call needs, each as its action and resource.
pub(super) fn needed(operation: &str, body: &str) -> BTreeSet<(String, String)> {
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
            .map(|(part, of)| (action(&part), of.table_name))
            .collect();
    }
    let tables = request.request_items.unwrap_or_default().into_keys();
    let table = request.table_name.map(|table| match request.index_name {
        Some(index) => format!("{table}/index/{index}"),
        None => table,
    });
    tables
        .chain(table)
        .map(|resource| (operation.to_owned(), resource))
        .collect()
}
