//! The books of every organisation, added up again from the records: totals, users' months, rows of
//! the reports, resolutions, counters and budgets' figures must say the same. It knows nothing of
//! how the store writes them, except the self-audit, which it asks about the counters.

use super::former::in_former_shape;
use super::{ADMIN, World};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::domain::exemption::grant::Grant;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::period::Month;
use std::collections::{BTreeMap, BTreeSet};

/// Figures by their subject, and each by its name. A zero is left out.
type Sums = BTreeMap<(String, String), i128>;

/// The figures of a record that the rows of the reports add up.
const OF_ROWS: [(&str, &str); 5] = [
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cached_input_tokens", "cached_input_tokens"),
    ("tokens", "tokens"),
    ("pico_usd", "pico_usd"),
];

/// The figure of the tokens without a price.
const UNPRICED: &str = "unpriced_tokens";

fn plus(sums: &mut Sums, of: &str, figure: &str, more: i128) {
    if more == 0 {
        return;
    }
    let key = (of.to_owned(), figure.to_owned());
    let sum = sums.entry(key.clone()).or_default();
    *sum += more;
    if *sum == 0 {
        sums.remove(&key);
    }
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

/// A whole number, or the digits of one.
fn number(item: &Value, name: &str) -> i128 {
    match &item[name] {
        Value::String(digits) => digits.parse().unwrap(),
        number => number.as_i64().unwrap_or_default().into(),
    }
}

/// Every item of the ledger as JSON, in the shape that has each sum apart; bytes are left out.
async fn items_of_ledger(world: &World) -> Vec<Value> {
    let items = in_former_shape(world.ledger().await);
    let shown = items.into_iter().map(|mut item| {
        item.retain(|_, value| !value.is_b());
        // Money may be more than a number of JSON can say.
        for name in ["pico_usd", "offset_pico_usd"] {
            let digits = item.get(name).and_then(|value| value.as_n().ok()).cloned();
            item.extend(digits.map(|digits| (name.to_owned(), AttributeValue::S(digits))));
        }
        serde_dynamo::from_item(item).unwrap()
    });
    shown.collect()
}

/// Which rows of the reports a record of `at` counts in: its month's is known exactly; its hour's
/// and its day's only in UTC.
fn buckets(record: &Value, at: &str, is_utc: bool) -> [(&'static str, String); 3] {
    let is_exact = is_utc && at.len() > 13;
    let (hour, day) = match is_exact {
        true => (format!("{}:00Z", &at[..13]), at[..10].to_owned()),
        false => (String::new(), String::new()),
    };
    [
        ("hour", hour),
        ("day", day),
        ("month", text(record, "period").to_owned()),
    ]
}

fn row(kind: &str, bucket: &str, of: &Value) -> String {
    let [user, path, provider, model] =
        ["user_id", "path", "provider", "model"].map(|name| text(of, name));
    format!("reports by {kind} {bucket} {user} {path} {provider} {model}")
}

/// Whether an abandoned hold has paid a part of a record already.
fn was_paid(record: &Value) -> bool {
    number(record, "offset_tokens") != 0 || number(record, "offset_pico_usd") != 0
}

/// Under which status a record is in the list of models, if it is.
fn unsure(record: &Value) -> Option<&'static str> {
    match text(&record["price"], "match") {
        "none" | "estimate" => Some("unpriced"),
        "alias" | "dearest_provider" | "reported_doubtful" => Some("inexact"),
        _ => None,
    }
}

fn model(status: &str, month: &str, of: &Value) -> String {
    let [user, provider, model] = ["user_id", "provider", "model"].map(|name| text(of, name));
    format!("models {status} {month} {provider} {model} {user}")
}

/// The tokens of a record that have no price. A correction says how many it adds.
fn unpriced(record: &Value) -> i128 {
    match record["price"]["match"] == "none" {
        true => number(record, "tokens"),
        false => number(record, UNPRICED),
    }
}

/// The figures that follow from the records, for each book.
fn expected(records: &[&Value], is_utc: bool) -> Sums {
    let mut sums = Sums::new();
    let paid = records.iter().filter(|record| was_paid(record));
    let paid: BTreeSet<&str> = paid.map(|record| text(record, "hold_id")).collect();
    for record in records {
        let (period, path, user) = (
            text(record, "period"),
            text(record, "path"),
            text(record, "user_id"),
        );
        let department = format!("department {path} {period}");
        let of_user = format!("user {user} {period}");
        let kind = text(record, "type");
        let is_usage = kind == "llm_request";
        let is_abandoned = kind == "abandoned_hold";
        if is_abandoned || is_usage && !was_paid(record) {
            plus(&mut sums, &department, "requests", 1);
        }
        for (figure, offset) in [("tokens", "offset_tokens"), ("pico_usd", "offset_pico_usd")] {
            let charged = number(record, figure);
            plus(
                &mut sums,
                &department,
                figure,
                charged - number(record, offset),
            );
            if !is_abandoned && !user.is_empty() {
                plus(&mut sums, &of_user, figure, charged);
            }
        }
        if kind == "correction" {
            plus(&mut sums, &department, UNPRICED, unpriced(record));
        }
        if let Some(status) = unsure(record) {
            let of = model(status, period, record);
            plus(&mut sums, &of, "requests", 1);
            plus(&mut sums, &of, "tokens", number(record, "tokens"));
        }
        if is_usage {
            plus(&mut sums, &of_user, "requests", 1);
            for of in [&department, &of_user] {
                plus(&mut sums, of, UNPRICED, unpriced(record));
            }
            let day = match is_utc {
                true => text(record, "occurred_at")[..10].to_owned(),
                false => String::new(),
            };
            plus(
                &mut sums,
                &format!("days of {user} {day}"),
                "tokens",
                number(record, "tokens"),
            );
        }
        let hold = text(record, "pk").rsplit('#').next().unwrap_or_default();
        if is_abandoned && paid.contains(hold) {
            // Its usage came late and stands in the reports for it.
            continue;
        }
        // A charge without a model counts under its kind, as in the rows of the system.
        let mut of = (*record).clone();
        if !is_usage {
            of["provider"] = json!(kind);
            of["model"] = json!(kind);
        }
        let at = text(
            record,
            if is_usage {
                "occurred_at"
            } else {
                "recorded_at"
            },
        );
        let is_request = is_usage || is_abandoned;
        for (kind, bucket) in buckets(record, at, is_utc && is_request) {
            let row = row(kind, &bucket, &of);
            if is_request {
                plus(&mut sums, &row, "requests", 1);
            }
            for (figure, of_record) in OF_ROWS {
                plus(&mut sums, &row, figure, number(record, of_record));
            }
            plus(&mut sums, &row, UNPRICED, unpriced(record));
        }
    }
    sums
}

/// The figures of the totals and rows.
fn found(organisation: &str, ledger: &[Value], is_utc: bool) -> Sums {
    let mut sums = Sums::new();
    for item in ledger {
        let Some(rest) = text(item, "pk").strip_prefix(organisation) else {
            continue;
        };
        let sk = text(item, "sk");
        if let Some(period) = rest.strip_prefix("#total#") {
            let Some(path) = sk.strip_prefix("department#") else {
                continue;
            };
            let of = format!("department {path} {period}");
            for figure in ["tokens", "pico_usd", "requests", UNPRICED] {
                plus(&mut sums, &of, figure, number(item, figure));
            }
        } else if let Some(user) = rest.strip_prefix("#user#") {
            for figure in ["tokens", "pico_usd", "requests", UNPRICED] {
                plus(
                    &mut sums,
                    &format!("user {user} {sk}"),
                    figure,
                    number(item, figure),
                );
            }
            for (name, tokens) in item.as_object().into_iter().flatten() {
                let day = name.strip_prefix('d').filter(|day| day.len() == 2);
                if let Some(day) = day.filter(|day| day.parse::<u8>().is_ok()) {
                    let day = match is_utc {
                        true => format!("{sk}-{day}"),
                        false => String::new(),
                    };
                    let of = format!("days of {user} {day}");
                    plus(&mut sums, &of, "tokens", tokens.as_i64().unwrap().into());
                }
            }
        } else if let Some(month) = rest.strip_prefix("#models#") {
            let of = model(sk.split('#').next().unwrap_or_default(), month, item);
            for figure in ["tokens", "requests"] {
                plus(&mut sums, &of, figure, number(item, figure));
            }
        } else if let Some(bucket) = rest.strip_prefix("#usage#") {
            let kind = match bucket.len() {
                7 => "month",
                10 => "day",
                _ => "hour",
            };
            let is_correction = text(item, "model") == "correction";
            let is_exact = kind == "month" || is_utc && !is_correction;
            let of = row(kind, if is_exact { bucket } else { "" }, item);
            for figure in ["requests", UNPRICED] {
                plus(&mut sums, &of, figure, number(item, figure));
            }
            for (figure, _) in OF_ROWS {
                plus(&mut sums, &of, figure, number(item, figure));
            }
        }
    }
    sums
}

/// The holds whose records and resolutions contradict each other.
fn misfits(organisation: &str, ledger: &[Value], records: &[&Value]) -> Vec<String> {
    let of_kind = |kind: &str| -> BTreeMap<String, &Value> {
        let prefix = format!("{organisation}#{kind}#");
        let named = ledger.iter().filter_map(|item| {
            let name = text(item, "pk").strip_prefix(&prefix)?;
            Some((name.to_owned(), item))
        });
        named.collect()
    };
    let (resolutions, abandoned) = (of_kind("resolution"), of_kind("abandoned"));
    let by_identity = of_kind("record");
    let charged = |item: &Value| (number(item, "tokens"), number(item, "pico_usd"));
    let mut misfits = Vec::new();
    for (hold, resolution) in &resolutions {
        let of = charged(&resolution["charged"]);
        let path = text(resolution, "path");
        if let Some(event) = resolution["offset_by"].as_str() {
            let record = by_identity.get(event).copied().unwrap_or(&Value::Null);
            let offset = (
                number(record, "offset_tokens"),
                number(record, "offset_pico_usd"),
            );
            let is_late =
                text(resolution, "outcome") == "expired" && text(record, "hold_id") == hold;
            if offset != of || !is_late || record["uncounted"] == true {
                misfits.push(format!("hold {hold} is set against {record}: {resolution}"));
            }
        }
        let wanted = match text(resolution, "outcome") {
            "settled" => by_identity.get(text(resolution, "event")).copied(),
            "expired" if of != (0, 0) => abandoned.get(hold).copied(),
            _ => continue,
        };
        match wanted {
            None => misfits.push(format!(
                "hold {hold} is charged and has no record: {resolution}"
            )),
            Some(record) if charged(record) != of || text(record, "path") != path => {
                misfits.push(format!("hold {hold}: {resolution} and {record}"));
            }
            Some(_) => {}
        }
    }
    for record in records {
        let hold = text(record, "hold_id");
        let mark = text(record, "mark");
        let is_offset = was_paid(record);
        let offset_by = resolutions.get(hold).map_or("", |of| text(of, "offset_by"));
        if is_offset && (offset_by.is_empty() || !text(record, "pk").ends_with(offset_by)) {
            misfits.push(format!("an abandoned hold pays twice: {record}"));
        }
        let Some(resolution) = resolutions.get(hold) else {
            if mark == "settled" {
                misfits.push(format!("settled a hold that has not ended: {record}"));
            }
            continue;
        };
        if !["settled", "late", "lapsed"].contains(&mark) {
            continue;
        }
        let is_by_this = text(record, "pk").ends_with(text(resolution, "event"));
        let is_settled = text(resolution, "outcome") == "settled" && is_by_this;
        if is_settled != (mark == "settled") {
            misfits.push(format!("marked {mark}: {record} and {resolution}"));
        }
        let period = HoldId::parse(hold).map(|of| of.period.to_string());
        let is_there = text(record, "path") == text(resolution, "path");
        if period.as_deref() != Some(text(record, "period")) || !is_there {
            misfits.push(format!(
                "counts elsewhere than its hold: {record} and {resolution}"
            ));
        }
    }
    misfits
}

/// Everything that does not agree, each in a sentence.
pub(crate) async fn disagreements(world: &World) -> Vec<String> {
    let store = world.system.store();
    let ledger = items_of_ledger(world).await;
    let organisations = store.organisations(None, 100).await.unwrap();
    let mut wrong = Vec::new();
    for organisation in organisations.items {
        let id = organisation.id.as_str();
        let Some(configuration) = store.configuration(id).await.unwrap() else {
            continue;
        };
        // Days and hours are those of the zone that was in force; in UTC they can be told without
        // knowing it.
        let known = &configuration.organisation;
        let is_utc = known.timezone == "UTC" && known.zone_begun.is_none();
        let is_own = |item: &&Value| {
            let rest = text(item, "pk").strip_prefix(id).unwrap_or_default();
            let is_record = ["#record#", "#abandoned#", "#correction#"];
            let is_record = is_record.iter().any(|kind| rest.starts_with(kind));
            is_record && !item["type"].is_null() && item["type"] != "ip_risk"
        };
        let all: Vec<&Value> = ledger.iter().filter(is_own).collect();
        let is_counted = |item: &&&Value| item["uncounted"] != true;
        let records: Vec<&Value> = all.iter().filter(is_counted).copied().collect();
        let (expected, found) = (expected(&records, is_utc), found(id, &ledger, is_utc));
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
        for key in keys {
            let (should, is) = (expected.get(key), found.get(key));
            if should != is {
                wrong.push(format!(
                    "{id}: {key:?} is {is:?}, its records say {should:?}"
                ));
            }
        }
        wrong.extend(misfits(id, &ledger, &all));
        wrong.extend(of_counters(world, id, &records).await);
        wrong.extend(of_exemptions(world, id, &records).await);
    }
    wrong.extend(of_figures(world, &ledger).await);
    wrong
}

/// The counters that differ from the totals.
async fn of_counters(world: &World, id: &str, records: &[&Value]) -> Vec<String> {
    let (store, now) = (world.system.store(), world.system.clock().now());
    let months: BTreeSet<&str> = records
        .iter()
        .map(|record| text(record, "period"))
        .collect();
    let mut wrong = Vec::new();
    for month in months {
        let month: Month = month.parse().unwrap();
        let differences = store.compare_counters(id, month, now).await.unwrap();
        wrong.extend(differences.iter().map(|of| format!("{id}: {of}")));
    }
    wrong
}

/// The exemptions that gave less than zero in a month, and the raises that gave more than they
/// have.
async fn of_exemptions(world: &World, id: &str, records: &[&Value]) -> Vec<String> {
    let store = world.system.store();
    let exemptions = store.exemptions(id, |_| true, None, 100).await.unwrap();
    let grants: Vec<Grant> = exemptions
        .items
        .iter()
        .filter_map(|of| of.grant())
        .collect();
    let months: BTreeSet<&str> = records
        .iter()
        .map(|record| text(record, "period"))
        .collect();
    let mut wrong = Vec::new();
    for month in months {
        let Some(cell) = store.cell(id, month.parse().unwrap()).await.unwrap() else {
            continue;
        };
        for grant in &grants {
            let used = grant.used(&cell);
            for (counter, gives) in grant.opens() {
                let most = if grant.is_limited() { gives } else { i128::MAX };
                if !(0..=most).contains(&used.of(counter.unit)) {
                    wrong.push(format!("{id}: {} gave {used:?} in {month}", grant.id));
                }
            }
        }
        let below = cell.exempted.iter().filter(|(_, given)| **given < 0);
        wrong.extend(below.map(|of| format!("{id}: exempted in {month} is {of:?}")));
    }
    wrong
}

/// The budgets whose figures, as the API shows them, do not add up to the totals of its
/// department.
async fn of_figures(world: &World, ledger: &[Value]) -> Vec<String> {
    let (store, now) = (world.system.store(), world.system.clock().now());
    let Some(configuration) = store.configuration("demo").await.unwrap() else {
        return Vec::new();
    };
    let month = configuration.period_of(now);
    let answer = world
        .call(ADMIN, "GET", "/v1/budgets?limit=100", Value::Null)
        .await;
    let cell = store.cell("demo", month).await.unwrap();
    let is_resolved = |hold: &HoldId| {
        let key = format!("demo#resolution#{hold}");
        let mut rows = ledger.iter().filter(|item| text(item, "pk") == key);
        rows.any(|item| text(item, "outcome") != "renewed")
    };
    let mut holds = cell.iter().flat_map(|cell| &cell.holds);
    let is_underway = holds.any(|(rid, hold)| is_resolved(&HoldId::new(month, rid.clone(), hold)));
    // The administrator of a world may have lost their key, or what a settlement did is half done.
    if answer.status != 200 || is_underway {
        return Vec::new();
    }
    let totals = store.department_totals("demo", month).await.unwrap();
    let mut wrong = Vec::new();
    for budget in answer.body["items"].as_array().unwrap() {
        let spent = totals.spent_under(budget["department_id"].as_str());
        let is_usd = budget["unit"] == "usd";
        let shown = |name: &str| match is_usd {
            true => shared::domain::amount::micro_usd_from_json(&budget[name].to_string()).unwrap(),
            false => budget[name].as_i64().unwrap(),
        };
        let spent = if is_usd {
            // Six decimals are shown, and never less than there is.
            i64::try_from((spent.pico_usd + 999_999).div_euclid(1_000_000)).unwrap()
        } else {
            spent.tokens
        };
        if shown("spent") != spent {
            wrong.push(format!(
                "{spent} are spent in {month}, and not as in {budget}"
            ));
        }
    }
    wrong
}
