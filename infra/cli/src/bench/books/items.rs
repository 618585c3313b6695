//! The records, resolutions and totals that are compared.

use super::super::database;
use super::{Arguments, wrong};
use crate::api_client::ApiClient;
use crate::error::CommandError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use local::system::{ORGANISATION, System};
use serde_json::json;
use shared::domain::ledger::hold_id::HoldKey;
use std::collections::{BTreeMap, HashMap};

type Item = HashMap<String, AttributeValue>;

/// The most items of one batch write.
const BATCH: usize = 25;
/// How many records it has, each with its resolution.
const RECORDS_A_BATCH: usize = 12;
/// The age of the oldest record, in milliseconds.
const WINDOW_MS: i64 = 27 * 24 * 3_600_000;
/// The length of the end of a hold's id: its first expiry and its random bytes.
const TAIL: usize = 10;

/// The items of one settled event.
pub(super) struct Template {
    record: Item,
    resolution: Item,
    total: Item,
    usage: Item,
}

/// Settles one hold, and takes what it wrote out of the tables again.
pub(super) async fn settled(system: &System, now: Timestamp) -> Result<Template, CommandError> {
    let api = ApiClient::of_system(system);
    api.create_department("lab", None).await?;
    api.create_budget(None, "tokens", &json!(1_000_000_000_000_u64))
        .await?;
    api.create_user("u0", "lab").await?;
    let agent = api.as_agent();
    let decision = agent.preflight("u0", "template", 120).await?;
    let hold = decision["hold"]["id"].as_str().unwrap_or_default();
    let usage = json!({
        "event_id": "template", "type": "llm_request", "occurred_at": now.to_string(),
        "user_id": "u0", "provider": "openai", "model": "gpt-4o", "hold_id": hold,
        "input_tokens": 100, "output_tokens": 20,
    });
    agent.report(&[usage]).await?;
    system.drain().await?;
    let client = database(system);
    let month = &now.to_string()[..7];
    let pk = |kind: &str| format!("{ORGANISATION}#{kind}");
    let usage = format!("usage#{month}");
    Ok(Template {
        record: taken(&client, &pk("record#llm_request#u0#template"), "-").await?,
        resolution: taken(&client, &pk(&format!("resolution#{hold}")), "-").await?,
        total: taken(&client, &pk(&format!("total#{month}")), "department#/lab/").await?,
        usage: taken(&client, &pk(&usage), &only_row(&client, &pk(&usage)).await?).await?,
    })
}

/// The sort key of the only row of a partition.
async fn only_row(client: &Client, pk: &str) -> Result<String, CommandError> {
    let query = client
        .query()
        .table_name("Ledger")
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
    let answer = query.send().await.map_err(wrong)?;
    let sk = answer.items().first().and_then(|item| item.get("sk"));
    let sk = sk.and_then(|sk| sk.as_s().ok());
    sk.cloned().ok_or_else(|| wrong("there is no usage"))
}

async fn taken(client: &Client, pk: &str, sk: &str) -> Result<Item, CommandError> {
    let taken = client
        .delete_item()
        .table_name("Ledger")
        .key("pk", AttributeValue::S(pk.to_owned()))
        .key("sk", AttributeValue::S(sk.to_owned()))
        .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
        .send()
        .await
        .map_err(wrong)?;
    taken
        .attributes
        .ok_or_else(|| wrong(format!("there is no {pk}")))
}

pub(super) async fn write_all(
    system: &System,
    template: &Template,
    arguments: &Arguments,
    now: Timestamp,
) -> Result<(), CommandError> {
    let client = database(system);
    let progress = ProgressBar::new(arguments.records);
    let style = ProgressStyle::with_template("writing records {bar:40} {pos}/{len}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    // How many records each user has in each month.
    let mut counts: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let mut items = Vec::new();
    for n in 0..arguments.records {
        let part = i64::try_from(n).unwrap_or(0) * WINDOW_MS
            / i64::try_from(arguments.records).unwrap_or(1);
        let at = now - SignedDuration::from_millis(WINDOW_MS - part + 1_000);
        let user = n % arguments.users;
        items.extend(settlement(template, n, user, at)?);
        *counts
            .entry((at.to_string()[..7].to_owned(), user))
            .or_default() += 1;
        if items.len() >= 2 * RECORDS_A_BATCH {
            write(&client, std::mem::take(&mut items)).await?;
        }
        progress.inc(1);
    }
    write(&client, items).await?;
    for totals in totals(template, &counts)?.chunks(BATCH) {
        write(&client, totals.to_vec()).await?;
    }
    progress.finish_and_clear();
    Ok(())
}

async fn write(client: &Client, items: Vec<Item>) -> Result<(), CommandError> {
    if items.is_empty() {
        return Ok(());
    }
    let mut puts = Vec::new();
    for item in items {
        let put = PutRequest::builder().set_item(Some(item)).build();
        let put = put.map_err(wrong)?;
        puts.push(WriteRequest::builder().put_request(put).build());
    }
    let write = client.batch_write_item().request_items("Ledger", puts);
    write.send().await.map_err(wrong)?;
    Ok(())
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Makes the `n`-th record and its resolution from the template.
fn settlement(
    template: &Template,
    n: u64,
    user: u64,
    at: Timestamp,
) -> Result<[Item; 2], CommandError> {
    let received = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let month = &received[..7];
    let identity = format!("llm_request#u{user}#e-{n}");
    let known = template.record.get("hold_id").and_then(|id| id.as_s().ok());
    let tail = known.and_then(|id| id.get(id.len().checked_sub(TAIL)?..));
    let tail = tail.ok_or_else(|| wrong("a hold has no id"))?;
    let rid = HoldKey::derive(ORGANISATION, &format!("u{user}"), &format!("r-{n}"));
    let hold = format!("hold_{}_{}_{tail}", month.replace('-', ""), rid.as_str());
    let mut record = template.record.clone();
    record.extend([
        (
            "pk".to_owned(),
            text(format!("{ORGANISATION}#record#{identity}")),
        ),
        ("event_id".to_owned(), text(format!("e-{n}"))),
        (
            "day".to_owned(),
            text(format!("{ORGANISATION}#{}", &received[..10])),
        ),
        ("at".to_owned(), text(format!("{received}#{identity}"))),
        ("received_at".to_owned(), text(at.to_string())),
        ("occurred_at".to_owned(), text(at.to_string())),
        ("period".to_owned(), text(month)),
        ("user_id".to_owned(), text(format!("u{user}"))),
        ("hold_id".to_owned(), text(hold.clone())),
    ]);
    let mut resolution = template.resolution.clone();
    resolution.extend([
        (
            "pk".to_owned(),
            text(format!("{ORGANISATION}#resolution#{hold}")),
        ),
        ("event".to_owned(), text(identity)),
    ]);
    Ok([record, resolution])
}

/// Makes the totals of the department and of each user in each month.
fn totals(
    template: &Template,
    counts: &BTreeMap<(String, u64), u64>,
) -> Result<Vec<Item>, CommandError> {
    let number = |name: &str| -> Result<u64, CommandError> {
        let digits = template
            .record
            .get(name)
            .and_then(|value| value.as_n().ok());
        let number = digits.and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| wrong(format!("a record without {name}")))
    };
    let (tokens, pico_usd) = (number("tokens")?, number("pico_usd")?);
    let filled = |item: &Item, pk: String, sk: String, count: u64| {
        let of = |each: u64| AttributeValue::N((u128::from(each) * u128::from(count)).to_string());
        let mut item = item.clone();
        item.extend([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(sk)),
            ("tokens".to_owned(), of(tokens)),
            ("pico_usd".to_owned(), of(pico_usd)),
            ("requests".to_owned(), of(1)),
        ]);
        item
    };
    let mut months: BTreeMap<&str, u64> = BTreeMap::new();
    let mut items = Vec::new();
    for ((month, user), count) in counts {
        *months.entry(month).or_default() += count;
        let pk = format!("{ORGANISATION}#usage#{month}");
        let mut row = filled(&template.usage, pk, format!("u{user}#0"), *count);
        row.insert("user_id".to_owned(), text(format!("u{user}")));
        items.push(row);
    }
    for (month, count) in months {
        let pk = format!("{ORGANISATION}#total#{month}");
        items.push(filled(
            &template.total,
            pk,
            "department#/lab/".to_owned(),
            count,
        ));
    }
    Ok(items)
}
