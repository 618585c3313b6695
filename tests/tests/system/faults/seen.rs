//! The state of the system: budgets and people by the API, everything else from its tables as
//! `docs/data-model.md` describes them. The names are those of the model.

use super::Facts;
use super::model::{LEVELS, MONTHS, UNITS, lines, month_of, note};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::World;
use end_to_end::former::{Item, in_former_shape};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}

fn number(item: &Item, name: &str) -> i64 {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.map_or(0, |digits| digits.parse().unwrap())
}

/// The part of a counter in a cell. A counter that is shut has 10^33 less than its part.
fn part(cell: &Item, name: &str) -> i128 {
    let shut = 10_i128.pow(33);
    let stored = cell.get(name).and_then(|value| value.as_n().ok());
    let stored: i128 = stored.map_or(0, |digits| digits.parse().unwrap());
    if stored < -shut / 2 {
        stored + shut
    } else {
        stored
    }
}

/// A figure of the API in tokens or micro-dollars.
fn figure(of: &Value, name: &str, unit: &str) -> i64 {
    match unit {
        "usd" => (of[name].as_f64().unwrap() * 1e6).round() as i64,
        _ => of[name].as_i64().unwrap(),
    }
}

async fn all(world: &World, path: &str) -> Vec<Value> {
    let path = format!("{path}?limit=100");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    assert_eq!(page["has_more"], false);
    page["items"].as_array().unwrap().clone()
}

/// Everything that a step may change. Holds whose time is over are released first.
pub(super) async fn seen(world: &World, exemption: Option<&str>) -> Facts {
    let mut facts = Facts::new();
    let now = month_of(world.system.clock().now());
    let months = MONTHS.into_iter().filter(|month| *month <= now);
    let months: Vec<&str> = months.collect();
    // Opens the current month, if no request has yet.
    budgets(world, &mut facts).await;
    for month in &months {
        sweep(world, month).await;
    }
    budgets(world, &mut facts).await;
    people(world, &mut facts).await;
    if let Some(id) = exemption {
        let path = format!("/v1/exemptions/{id}");
        let seen = world.admin("GET", &path, Value::Null).await.expect(200);
        let gave = &seen["used"]["tokens"];
        let said = format!("{}, gave {gave}", seen["status"].as_str().unwrap());
        facts.insert("exemption".to_owned(), said);
    }
    for month in &months {
        counters(world, month, &mut facts).await;
    }
    ledger(world, &months, &mut facts).await;
    let dead = world.system.queues().counts("events-dlq").unwrap();
    facts.insert("dead letters".to_owned(), dead.visible.to_string());
    facts
}

/// Releases what has lapsed in a month.
async fn sweep(world: &World, month: &str) {
    let store = world.system.store();
    let now = world.system.clock().now();
    let configuration = store.configuration("demo").await.unwrap().unwrap();
    let swept = store.swept_cell(&configuration, month.parse().unwrap(), now);
    swept.await.unwrap();
}

async fn budgets(world: &World, facts: &mut Facts) {
    for budget in all(world, "/v1/budgets").await {
        let unit = budget["unit"].as_str().unwrap();
        let level = budget["department_id"].as_str().unwrap_or("org");
        let names = [
            "amount",
            "carried",
            "exempted",
            "spent",
            "held",
            "remaining",
            "available",
        ];
        let figures = names.map(|name| figure(&budget, name, unit));
        facts.insert(
            format!("budget of {level} in {unit}"),
            format!("{figures:?}"),
        );
    }
}

async fn people(world: &World, facts: &mut Facts) {
    for user in all(world, "/v1/users").await {
        let home = user["department_id"].as_str().unwrap();
        let said = format!("in {home}, blocked: {}", !user["block"].is_null());
        let id = user["id"].as_str().unwrap();
        facts.insert(format!("user {id}"), said);
    }
    for department in all(world, "/v1/departments").await {
        let parent = department["parent_id"].as_str().unwrap_or("null");
        let said = format!("under {parent}, users: {}", department["users"]);
        let id = department["id"].as_str().unwrap();
        facts.insert(format!("department {id}"), said);
    }
}

/// The amount that remains at each level, with a budget or without one: the counters of the month's
/// cell. The organisation's have the number 0, those of the departments 2, 4 and 6, in the order in
/// which they were made.
async fn counters(world: &World, month: &str, facts: &mut Facts) {
    let cells = cells(world, month).await;
    for (level, at) in LEVELS.into_iter().zip([0, 2, 4, 6]) {
        for (unit, letter) in UNITS.into_iter().zip(["t", "u"]) {
            let part = |cell: &Item| part(cell, &format!("{letter}{at}"));
            let left: i128 = cells.iter().map(part).sum();
            facts.insert(
                format!("{month} left at {level} in {unit}"),
                left.to_string(),
            );
        }
    }
    let holds = cells.iter().filter_map(|cell| cell.get("p")?.as_m().ok());
    let holds: usize = holds.map(HashMap::len).sum();
    facts.insert(format!("{month} holds"), holds.to_string());
}

/// The cells of a month: home, and those that it has beside home.
async fn cells(world: &World, month: &str) -> Vec<Item> {
    let mut cells = Vec::new();
    for number in 0..64 {
        let key = AttributeValue::S(format!("demo.{month}.0.{number}"));
        let cell = world.tables().get_item().table_name("Counters");
        let cell = cell.key("k", key).consistent_read(true).send();
        match cell.await.unwrap().item {
            Some(cell) => cells.push(cell),
            None => break,
        }
    }
    cells
}

/// Records, resolutions and totals.
async fn ledger(world: &World, months: &[&str], facts: &mut Facts) {
    let items: Vec<Item> = in_former_shape(world.ledger().await);
    let (mut records, mut resolutions) = (Vec::new(), Vec::new());
    let mut reports: BTreeMap<&str, [i64; 3]> = BTreeMap::new();
    for item in &items {
        let sk = text(item, "sk");
        let Some(rest) = text(item, "pk").strip_prefix("demo#") else {
            continue;
        };
        let (kind, of) = rest.split_once('#').unwrap_or((rest, ""));
        let figures = ["tokens", "pico_usd", "requests"].map(|name| number(item, name));
        match kind {
            // A claim has no type.
            "record" | "abandoned" | "correction" if item.contains_key("type") => {
                records.push(record(item, kind));
            }
            "resolution" => resolutions.push(resolution(item)),
            "total" if months.contains(&of) => {
                if let Some(path) = sk.strip_prefix("department#") {
                    note(facts, format!("{of} total of {path}"), &figures);
                }
            }
            "user" if months.contains(&sk) => {
                note(facts, format!("{sk} total of {of}"), &figures);
                let of_day = [number(item, "d30")];
                note(facts, format!("{sk} last day of {of}"), &of_day);
            }
            "usage" if months.contains(&of) && text(item, "user_id") == "ada" => {
                let sums = reports.entry(of).or_default();
                for (sum, figure) in sums.iter_mut().zip(figures) {
                    *sum += figure;
                }
            }
            _ => {}
        }
    }
    for (month, figures) in reports {
        note(facts, format!("{month} report of ada"), &figures);
    }
    facts.insert("records".to_owned(), lines(records));
    facts.insert("resolutions".to_owned(), lines(resolutions));
}

fn record(item: &Item, kind: &str) -> String {
    let mark = match kind {
        "record" => text(item, "mark"),
        _ => kind,
    };
    let event = text(item, "event_id");
    let (month, path) = (text(item, "period"), text(item, "path"));
    let names = ["tokens", "pico_usd", "offset_tokens", "offset_pico_usd"];
    let figures = names.map(|name| number(item, name));
    format!("{mark} {event} {month} {path} {figures:?}")
}

fn resolution(item: &Item) -> String {
    let outcome = text(item, "outcome");
    if outcome == "renewed" {
        return outcome.to_owned();
    }
    let path = text(item, "path");
    let charged = item.get("charged").and_then(|charged| charged.as_m().ok());
    let of = |name: &str| charged.map_or(0, |charged| number(charged, name));
    let figures = [of("tokens"), of("pico_usd")];
    let last = |name: &str| text(item, name).rsplit('#').next().unwrap_or_default();
    match outcome {
        "voided" => format!("voided {path} {figures:?}"),
        "expired" => format!("expired {path} {figures:?} {}", last("offset_by")),
        _ => format!("{outcome} {path} {figures:?} {}", last("event")),
    }
}
