//! What the engine was asked to do, and the capacity that it reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::fault::When;

/// Counts since the engine was opened or its meter reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Requests that the engine ran, by operation, refused ones included. A request that a
    /// fault stopped before the engine is not counted.
    pub calls: BTreeMap<String, u64>,
    /// Read capacity of all tables, in tenths of a unit.
    pub read_units_tenths: u64,
    /// Write capacity of all tables, in tenths of a unit.
    pub write_units_tenths: u64,
    /// Capacity by table name. Only calls that asked for `ReturnConsumedCapacity` and were not
    /// refused report it.
    pub tables: BTreeMap<String, TableUnits>,
    /// The same by who called: the function whose client it was.
    pub callers: BTreeMap<String, CallerUnits>,
}

/// What one function asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerUnits {
    /// Requests: round trips.
    pub calls: u64,
    /// Capacity by table name.
    pub tables: BTreeMap<String, TableUnits>,
}

/// The capacity used of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUnits {
    /// Read capacity, in tenths of a unit.
    pub read_units_tenths: u64,
    /// Write capacity, in tenths of a unit.
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

/// Whether an operation may change anything.
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
    /// How many of the requests a fault of this kind can meet.
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

/// Tenths of a decimal number as JSON writes it; further digits are cut, and 0 stands for what
/// is not a plain decimal.
fn tenths(units: &Number) -> u64 {
    let text = units.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let whole: u64 = whole.parse().unwrap_or(0);
    let first: u64 = fraction.get(..1).and_then(|d| d.parse().ok()).unwrap_or(0);
    whole * 10 + first
}
