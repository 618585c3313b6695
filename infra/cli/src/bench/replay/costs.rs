//! The costs of a replay: round trips and write units as the local engine counts them, and the sum
//! of the records.

use crate::api_client::ApiClient;
use crate::bench::{database, figures};
use crate::error::CommandError;
use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local::system::System;
use serde::Serialize;
use serde_json::Value;
use shared::store::Tables;

/// The database calls of one function. Write units are in tenths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct FunctionUsage {
    pub(super) calls: u64,
    pub(super) counters_write_units_tenths: u64,
    pub(super) ledger_write_units_tenths: u64,
}

/// The database calls of the functions since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Meter {
    pub(super) preflight: FunctionUsage,
    pub(super) evaluate: FunctionUsage,
}

/// The cost of one request, with two decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Costs {
    /// The counts from which the other fields are computed.
    pub(super) used: Meter,
    /// Round trips of one preflight.
    pub(super) round_trips_per_preflight: String,
    /// Round trips of one event.
    pub(super) round_trips_per_event: String,
    /// Write units of the cell for one hold.
    pub(super) write_units_per_hold: String,
    /// Write units of the cell for one settlement.
    pub(super) write_units_per_settle: String,
    /// Write units of the ledger for one record.
    pub(super) write_units_per_record: String,
}

/// Reads the meter of the system. None if the system has no meter.
pub(super) async fn meter(client: &ApiClient) -> Result<Option<Meter>, CommandError> {
    let (status, body) = client
        .send(Method::GET, "/local/meter", &Value::Null)
        .await?;
    let callers = &body["callers"];
    Ok((status == 200 && callers.is_object()).then(|| Meter {
        preflight: used(&callers["preflight"]),
        evaluate: used(&callers["evaluate"]),
    }))
}

fn used(caller: &Value) -> FunctionUsage {
    let tables = Tables::local();
    let units = |table: &str| {
        let units = &caller["tables"][table]["write_units_tenths"];
        units.as_u64().unwrap_or(0)
    };
    FunctionUsage {
        calls: caller["calls"].as_u64().unwrap_or(0),
        counters_write_units_tenths: units(&tables.counters),
        ledger_write_units_tenths: units(&tables.ledger),
    }
}

impl FunctionUsage {
    fn since(self, before: Self) -> Self {
        let counters = self.counters_write_units_tenths;
        let ledger = self.ledger_write_units_tenths;
        Self {
            calls: self.calls.saturating_sub(before.calls),
            counters_write_units_tenths: counters
                .saturating_sub(before.counters_write_units_tenths),
            ledger_write_units_tenths: ledger.saturating_sub(before.ledger_write_units_tenths),
        }
    }
}

impl Costs {
    /// Computes the costs between two readings.
    pub(super) fn between(
        before: Meter,
        after: Meter,
        preflights: u64,
        holds: u64,
        events: u64,
    ) -> Self {
        let preflight = after.preflight.since(before.preflight);
        let evaluate = after.evaluate.since(before.evaluate);
        let units = |tenths: u64, of: u64| each(tenths, of.saturating_mul(10));
        Self {
            used: Meter {
                preflight,
                evaluate,
            },
            round_trips_per_preflight: each(preflight.calls, preflights),
            round_trips_per_event: each(evaluate.calls, events),
            write_units_per_hold: units(preflight.counters_write_units_tenths, holds),
            write_units_per_settle: units(evaluate.counters_write_units_tenths, events),
            write_units_per_record: units(evaluate.ledger_write_units_tenths, events),
        }
    }
}

fn each(part: u64, whole: u64) -> String {
    match whole {
        0 => "n/a".to_owned(),
        _ => figures::ratio(part, whole),
    }
}

/// Returns the sum of the tokens of all records.
pub(super) async fn recorded_tokens(system: &System) -> Result<u64, CommandError> {
    let client = database(system);
    let mut sum = 0;
    let mut from = None;
    loop {
        let page = client
            .scan()
            .table_name(Tables::local().ledger)
            .filter_expression("#type = :type")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":type", AttributeValue::S("llm_request".to_owned()))
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| {
                CommandError::Answer(format!("the records cannot be read: {error:?}"))
            })?;
        for item in page.items() {
            let tokens = item.get("tokens").and_then(|value| value.as_n().ok());
            let tokens = tokens.and_then(|tokens| tokens.parse::<u64>().ok());
            sum +=
                tokens.ok_or_else(|| CommandError::Answer("a record says no tokens".to_owned()))?;
        }
        match page.last_evaluated_key {
            Some(key) if !key.is_empty() => from = Some(key),
            _ => return Ok(sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_of_the_time_between_the_readings() {
        let at = |times: u64| FunctionUsage {
            calls: 10 * times,
            counters_write_units_tenths: 30 * times,
            ledger_write_units_tenths: 70 * times,
        };
        let meter = |times| Meter {
            preflight: at(times),
            evaluate: at(times),
        };
        let costs = Costs::between(meter(1), meter(3), 8, 4, 5);
        assert_eq!(costs.used, meter(2));
        assert_eq!(costs.round_trips_per_preflight, "2.50");
        assert_eq!(costs.write_units_per_hold, "1.50");
        assert_eq!(costs.round_trips_per_event, "4.00");
        assert_eq!(costs.write_units_per_settle, "1.20");
        assert_eq!(costs.write_units_per_record, "2.80");
        assert_eq!(
            Costs::between(meter(1), meter(1), 0, 0, 0).write_units_per_hold,
            "n/a"
        );
    }
}
