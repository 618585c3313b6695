//! Counts the calls of the engine and the capacity that it reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::fault::When;

/// The counts since the engine was opened or its meter reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Requests by operation, failed ones included. A request that an injected fault stopped is not
    /// counted.
    pub calls: BTreeMap<String, u64>,
    /// The read capacity of all tables, in tenths of a unit.
    pub read_units_tenths: u64,
    /// The write capacity of all tables, in tenths of a unit.
    pub write_units_tenths: u64,
    /// The capacity by table name. Only successful calls with `ReturnConsumedCapacity` report it.
    pub tables: BTreeMap<String, TableUnits>,
    /// The calls and capacity by calling function.
    pub callers: BTreeMap<String, CallerUnits>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerUnits {
    /// The number of requests, which are round trips.
    pub calls: u64,
    pub tables: BTreeMap<String, TableUnits>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUnits {
    pub read_units_tenths: u64,
    pub write_units_tenths: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "ConsumedCapacity")]
    consumed: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Consumed),
    Many(Vec<Consumed>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Consumed {
    table_name: String,
    capacity_units: Option<Number>,
    read_capacity_units: Option<Number>,
    write_capacity_units: Option<Number>,
}

pub(super) fn writes(operation: &str) -> bool {
    ![
        "GetItem",
        "BatchGetItem",
        "Query",
        "Scan",
        "TransactGetItems",
    ]
    .contains(&operation)
}

impl Meter {
    /// The number of counted requests that a fault of this kind can hit.
    pub fn calls_that_fail(&self, when: When) -> u64 {
        let meets = |operation: &str| when == When::Before || writes(operation);
        let met = self.calls.iter().filter(|(operation, _)| meets(operation));
        met.map(|(_, calls)| calls).sum()
    }

    pub(super) fn record_call(&mut self, caller: &str, operation: &str) {
        self.callers.entry(caller.to_owned()).or_default().calls += 1;
        match self.calls.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                self.calls.insert(operation.to_owned(), 1);
            }
        }
    }

    pub(super) fn record_answer(&mut self, caller: &str, operation: &str, body: &str) {
        if !body.contains("\"ConsumedCapacity\"") {
            return;
        }
        let Ok(Answer {
            consumed: Some(consumed),
        }) = serde_json::from_str(body)
        else {
            return;
        };
        let consumed = match consumed {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        for entry in consumed {
            self.add(caller, operation, &entry);
        }
    }

    fn add(&mut self, caller: &str, operation: &str, consumed: &Consumed) {
        let read = consumed.read_capacity_units.as_ref().map(tenths);
        let write = consumed.write_capacity_units.as_ref().map(tenths);
        let (read, write) = match (read, write) {
            (None, None) => {
                let units = consumed.capacity_units.as_ref().map_or(0, tenths);
                if is_write(operation) {
                    (0, units)
                } else {
                    (units, 0)
                }
            }
            (read, write) => (read.unwrap_or(0), write.unwrap_or(0)),
        };
        self.read_units_tenths += read;
        self.write_units_tenths += write;
        let caller = self.callers.entry(caller.to_owned()).or_default();
        for tables in [&mut self.tables, &mut caller.tables] {
            let table = tables.entry(consumed.table_name.clone()).or_default();
            table.read_units_tenths += read;
            table.write_units_tenths += write;
        }
    }
}

fn is_write(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems"
    )
}

/// Converts a JSON decimal to tenths. Further digits are cut off. Anything but a plain decimal
/// becomes 0.
fn tenths(units: &Number) -> u64 {
    let text = units.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let whole: u64 = whole.parse().unwrap_or(0);
    let first: u64 = fraction.get(..1).and_then(|d| d.parse().ok()).unwrap_or(0);
    whole * 10 + first
}
