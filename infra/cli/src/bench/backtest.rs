//! `backtest`: measures the processor time of testing a policy on many stored records.
//!
//! Reports one event in the usual way, then copies its record many times with other ids, users and
//! times over the 30 days before. So the records look as `evaluate` writes them. The tests are
//! requested over the API.

use super::figures::{cpu_hundredths, ratio};
use super::{database, new_system};
use crate::api_client::ApiClient;
use crate::error::CommandError;
use crate::output::say;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use local::system::System;
use serde_json::{Value, json};
use std::collections::HashMap;

type Item = HashMap<String, AttributeValue>;

/// The most items of one batch write.
const BATCH: u64 = 25;
/// The age of the oldest record, in milliseconds.
const WINDOW_MS: i64 = 29 * 24 * 3_600_000;
/// The highest processor time that a test of a million records may take, in seconds.
const CLAIMED_SECONDS: u64 = 60;

/// Measures on a new system in memory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The number of records.
    #[arg(
        long,
        default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1..=5_000_000)
    )]
    records: u64,
    /// The number of users who own the records.
    #[arg(
        long,
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=100_000)
    )]
    users: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let system = new_system().await?;
    let api = ApiClient::of_system(&system);
    let now = system.clock().now();
    let template = first_record(&system, &api, now).await?;
    write_all(&system, &template, &arguments, now).await?;
    let Arguments { records, users } = arguments;
    say(&format!("{records} records of {users} users in 30 days"));
    say("");
    say("| trigger | would fire | calls | processor seconds | records a processor second |");
    say("| --- | --- | --- | --- | --- |");
    let mut worst = 0;
    for (name, trigger) in triggers() {
        let cost = measure(&api, name, trigger, records).await?;
        let seconds = ratio(cost.hundredths, 100);
        let rate = records.saturating_mul(100) / cost.hundredths.max(1);
        say(&format!(
            "| {name} | {} | {} | {seconds} | {rate} |",
            cost.firings, cost.calls
        ));
        worst = worst.max(cost.hundredths);
    }
    say("");
    let of_a_million = worst.saturating_mul(1_000_000) / records;
    say(&format!(
        "the dearest for a million records: {} s of {CLAIMED_SECONDS}; \
         the embedded engine's share is in it",
        ratio(of_a_million, 100)
    ));
    if of_a_million > CLAIMED_SECONDS * 100 {
        let what = format!("a test of a million records costs more than {CLAIMED_SECONDS} s");
        return Err(CommandError::Claim(what));
    }
    Ok(())
}

fn triggers() -> [(&'static str, Value); 4] {
    [
        (
            "token_budget_exceeded",
            json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 50_000}),
        ),
        (
            "department_threshold",
            json!({"type": "department_threshold", "department_id": "lab", "tokens": 1_000_000}),
        ),
        (
            "unusual_usage_pattern",
            json!({"type": "unusual_usage_pattern", "deviations": 3}),
        ),
        ("ip_risk_event", json!({"type": "ip_risk_event"})),
    ]
}

struct Cost {
    firings: u64,
    calls: u64,
    hundredths: u64,
}

async fn measure(
    api: &ApiClient,
    name: &str,
    trigger: Value,
    records: u64,
) -> Result<Cost, CommandError> {
    let policy = json!({
        "name": name, "trigger": trigger,
        "conditions": [
            {"field": "model_id", "op": "matches", "value": "gpt*"},
            {"field": "department_id", "op": "eq", "value": "lab"},
            {"field": "time_of_day", "op": "between", "value": ["06:00", "05:59"]},
        ],
    });
    let created = api.post("/v1/policies", &policy).await?;
    let id = created["id"].as_str().unwrap_or_default();
    let path = format!("/v1/policies/{id}/test");
    let begun = cpu_hundredths().unwrap_or(0);
    let mut asked = json!({"window_days": 30});
    let mut calls = 0;
    loop {
        let answer = api.post(&path, &asked).await?;
        calls += 1;
        if let Some(cursor) = answer["next_cursor"].as_str() {
            asked = json!({ "cursor": cursor });
            continue;
        }
        let evaluated = answer["events_evaluated"].as_u64().unwrap_or(0);
        if evaluated != records {
            let what = format!("{name}: {evaluated} of {records} records were evaluated");
            return Err(CommandError::Claim(what));
        }
        return Ok(Cost {
            firings: answer["would_trigger"].as_u64().unwrap_or(0),
            calls,
            hundredths: cpu_hundredths().unwrap_or(0).saturating_sub(begun),
        });
    }
}

fn wrong(what: impl std::fmt::Display) -> CommandError {
    CommandError::Answer(what.to_string())
}

/// Reports one event, and takes its record out of the table again.
async fn first_record(
    system: &System,
    api: &ApiClient,
    now: Timestamp,
) -> Result<Item, CommandError> {
    api.create_department("lab", None).await?;
    api.create_user("u0", "lab").await?;
    let usage = json!({
        "event_id": "template", "type": "llm_request", "occurred_at": now.to_string(),
        "user_id": "u0", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 100, "output_tokens": 20,
    });
    api.as_agent().report(&[usage]).await?;
    system.drain().await?;
    let client = database(system);
    let pk = AttributeValue::S("demo#record#llm_request#u0#template".to_owned());
    let taken = client
        .delete_item()
        .table_name("Ledger")
        .key("pk", pk)
        .key("sk", AttributeValue::S("-".to_owned()))
        .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
        .send()
        .await
        .map_err(wrong)?;
    taken
        .attributes
        .ok_or_else(|| wrong("the usage has no record"))
}

async fn write_all(
    system: &System,
    template: &Item,
    arguments: &Arguments,
    now: Timestamp,
) -> Result<(), CommandError> {
    let client = database(system);
    let progress = ProgressBar::new(arguments.records);
    let style = ProgressStyle::with_template("writing records {bar:40} {pos}/{len}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut number = 0;
    while number < arguments.records {
        let last = (number + BATCH).min(arguments.records);
        let mut puts = Vec::new();
        for n in number..last {
            let item = record(template, n, arguments, now);
            let put = PutRequest::builder().set_item(Some(item)).build();
            puts.push(
                WriteRequest::builder()
                    .put_request(put.map_err(wrong)?)
                    .build(),
            );
        }
        let write = client.batch_write_item().request_items("Ledger", puts);
        write.send().await.map_err(wrong)?;
        progress.inc(last - number);
        number = last;
    }
    progress.finish_and_clear();
    Ok(())
}

/// Makes the `n`-th record from the template: evenly spread over the window, the users in turn,
/// with more tokens on some days.
fn record(template: &Item, n: u64, arguments: &Arguments, now: Timestamp) -> Item {
    let part =
        i64::try_from(n).unwrap_or(0) * WINDOW_MS / i64::try_from(arguments.records).unwrap_or(1);
    let at = now - SignedDuration::from_millis(WINDOW_MS - part + 1_000);
    let received = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let user = n % arguments.users;
    let tokens = 80
        + (n * 7_919) % 80
        + if (n / arguments.users) % 97 == 96 {
            4_000
        } else {
            0
        };
    let text = |text: String| AttributeValue::S(text);
    let mut item = template.clone();
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    let identity = format!("llm_request#u{user}#e-{n}");
    set("pk", text(format!("demo#record#{identity}")));
    set("event_id", text(format!("e-{n}")));
    set("day", text(format!("demo#{}", &received[..10])));
    set("at", text(format!("{received}#{identity}")));
    set("received_at", text(at.to_string()));
    set("occurred_at", text(at.to_string()));
    set("period", text(received[..7].to_owned()));
    set("user_id", text(format!("u{user}")));
    set("tokens", AttributeValue::N(tokens.to_string()));
    set(
        "pico_usd",
        AttributeValue::N((tokens * 3_000_000).to_string()),
    );
    item
}
