//! The comparison of an organisation's records with its totals ends, however many records there
//! are, however often its passes are stopped and whatever happens between them.

use super::{fire, quiet_world};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::World;
use end_to_end::former::row_of;
use jiff::{SignedDuration, Timestamp};
use local::dynamodb::{Fault, FaultKind, When};
use serde_json::{Value, json};
use shared::domain::ledger::usage::{Event, Usage};
use shared::domain::pricing::book::PriceBooks;
use shared::ledger::{Allowance, Compared};
use shared::store::StoreError;
use std::time::{Duration, Instant};

/// What a pass may read that is much less than there is.
const LITTLE: (u32, i32) = (7, 4);
/// What it may read usually.
const MUCH: (u32, i32) = (10_000, 1_000);
const PEOPLE: usize = 12;

/// `eng` with people each of whom used something: settled holds, and usage without one.
async fn company() -> World {
    let world = quiet_world().await;
    world.set_clock("2026-11-10T12:00:00Z").await;
    world.department("eng", None).await;
    world.budget(None, "tokens", json!(1_000_000), true).await;
    for n in 0..PEOPLE {
        world.user(&format!("u{n}"), "eng").await;
    }
    let mut events = Vec::new();
    for n in 0..PEOPLE {
        let user = format!("u{n}");
        let hold = world.hold(&user, "r", 10, 10).await;
        events.push(world.usage("held", &user, 10, 5, Some(&hold)));
        events.push(world.usage("unheld", &user, 3, 0, None));
    }
    world.report(&events).await;
    world
}

/// A pass of the comparison, which may read so many pages of so many records.
async fn pass(world: &World, (pages, records): (u32, i32)) -> Result<Compared, StoreError> {
    let store = world.system.store();
    let configuration = store.configuration("demo").await?.unwrap();
    let kept = store.comparison("demo").await?;
    let allowance = Allowance {
        until: Instant::now() + Duration::from_secs(60),
        pages,
        records_a_page: records,
    };
    let now = world.system.clock().now();
    store.compare_on(&configuration, kept, now, allowance).await
}

/// What a comparison found, and how many records it has read in how many passes.
#[derive(Debug, Default)]
struct Found {
    differences: Vec<String>,
    records: u64,
    passes: u32,
}

/// Goes on until a comparison ends. What fails is tried again, as by the next pass.
async fn compared(world: &World, much: (u32, i32)) -> Found {
    let mut found = Found::default();
    let mut last = String::new();
    loop {
        found.passes += 1;
        let now = world.system.clock().now();
        assert!(found.passes < 300, "{now}: it does not end: {last}");
        let compared = pass(world, much).await;
        last = format!("{compared:?}");
        let Ok(compared) = compared else { continue };
        let kept = world.system.store().comparison("demo").await;
        if kept.is_ok_and(|kept| !kept.comparison.is_due(now)) {
            // The end was stored, and the answer was lost.
            return found;
        }
        found.records += compared.records;
        let Some(over) = compared.over else { continue };
        let differences = over.differences.iter();
        found.differences = differences.map(ToString::to_string).collect();
        let ended = world.system.store().end_comparison("demo", over, now);
        if ended.await.is_ok() {
            return found;
        }
    }
}

async fn next_day(world: &World) {
    let now = world.system.clock().now() + SignedDuration::from_hours(25);
    world.set_clock(&now.to_string()).await;
}

/// Adds tokens to a total by hand.
async fn plant(world: &mut World, at: [&str; 2], tokens: i64) {
    plant_in(world, at, "tokens", tokens).await;
}

async fn plant_in(world: &mut World, [pk, sk]: [&str; 2], name: &str, tokens: i64) {
    world.has_wrong_books = true;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = world
        .tables()
        .update_item()
        .table_name("Ledger")
        .key("pk", text(pk))
        .key("sk", text(sk))
        .update_expression("ADD #n :n")
        .expression_attribute_names("#n", name)
        .expression_attribute_values(":n", AttributeValue::N(tokens.to_string()));
    update.send().await.unwrap();
}

const ENG: [&str; 2] = ["demo#total#2026-11", "department#/eng/"];

/// Records usage that was received at another time than now.
async fn record_late(world: &World, event_id: &str, received_at: Timestamp) {
    let mut event = world.usage(event_id, "u0", 100, 0, None);
    event["outcome"] = json!("completed");
    event["cached_input_tokens"] = json!(0);
    let Event::LlmRequest(usage) = serde_json::from_value(event).unwrap() else {
        panic!("it is usage");
    };
    let store = world.system.store();
    let configuration = store.configuration("demo").await.unwrap().unwrap();
    let now = world.system.clock().now();
    let reports: [(&Usage, Timestamp); 1] = [(&usage, received_at)];
    let books = PriceBooks::built_in();
    let recorded = store.record_usages(&configuration, books, &reports, now);
    for result in recorded.await {
        result.unwrap();
    }
}

#[tokio::test]
async fn records_that_no_pass_can_read_at_once_are_compared_to_the_end_by_several() {
    let world = company().await;
    let many = compared(&world, LITTLE).await;
    assert!(many.differences.is_empty(), "{many:?}");
    assert!(many.passes > 5, "{many:?}");
    assert_eq!(many.records, 2 * PEOPLE as u64, "each is read once");
    next_day(&world).await;
    next_day(&world).await;
    next_day(&world).await;
    let later = compared(&world, MUCH).await;
    assert_eq!(
        (later.records, later.passes),
        (24, 1),
        "they were of an open day"
    );
    next_day(&world).await;
    let settled = compared(&world, MUCH).await;
    assert_eq!(settled.records, 0, "what is settled is not read again");
    assert!(settled.differences.is_empty(), "{settled:?}");
}

#[tokio::test]
async fn a_planted_difference_is_found_once_in_whichever_passes_and_known_the_next_day() {
    for much in [LITTLE, MUCH] {
        let mut world = company().await;
        plant(&mut world, ENG, 1).await;
        let said =
            "2026-11 department /eng/: the total says 217 tokens, its records say 216 tokens";
        assert_eq!(compared(&world, much).await.differences, [said]);
        for _ in 0..4 {
            next_day(&world).await;
            let again = compared(&world, MUCH).await;
            assert_eq!(again.differences, [said]);
            assert!(again.records <= 24, "it needs no further looks: {again:?}");
        }
    }
}

#[tokio::test]
async fn a_difference_in_what_is_settled_is_found_by_the_next_comparison() {
    let mut world = company().await;
    for _ in 0..4 {
        compared(&world, MUCH).await;
        next_day(&world).await;
    }
    let (pk, sk, tokens) = row_of(&world.ledger().await, "2026-11", "u3#");
    plant_in(&mut world, [&pk, &sk], &tokens, -2).await;
    let found = compared(&world, LITTLE).await.differences;
    let said = "2026-11 user u3: the total says 16 tokens, their records say 18 tokens";
    assert_eq!(found, [said]);
}

#[tokio::test]
async fn the_schedule_raises_one_alert_of_it() {
    let mut world = company().await;
    plant(&mut world, ENG, 1).await;
    for _ in 0..3 {
        let fired = world.admin("POST", "/local/schedule", Value::Null).await;
        assert_eq!(fired.expect(200)["report"]["failed"], json!([]));
        next_day(&world).await;
    }
    let path = "/v1/alerts?severity=critical";
    let alerts = world.admin("GET", path, Value::Null).await.expect(200);
    let alerts = alerts["items"].as_array().unwrap().clone();
    let of_records = |alert: &&Value| alert.to_string().contains("its records say");
    assert_eq!(alerts.iter().filter(of_records).count(), 1, "{alerts:?}");
}

#[tokio::test]
async fn usage_that_comes_between_the_passes_is_no_difference_however_late_it_is_recorded() {
    let world = company().await;
    let mut passes = 0;
    loop {
        passes += 1;
        let now = world.system.clock().now();
        let event = format!("now-{passes}");
        world.report(&[world.usage(&event, "u0", 7, 0, None)]).await;
        // It waited in the queue for nine days, so its day may have been read.
        let received_at = now - SignedDuration::from_hours(9 * 24);
        record_late(&world, &format!("late-{passes}"), received_at).await;
        let compared = pass(&world, LITTLE).await.unwrap();
        let Some(over) = compared.over else { continue };
        assert!(over.differences.is_empty(), "{:?}", over.differences);
        let ended = world.system.store().end_comparison("demo", over, now);
        ended.await.unwrap();
        break;
    }
    assert!(passes > 5, "{passes}");
    next_day(&world).await;
    let received_at = world.system.clock().now() - SignedDuration::from_hours(5 * 24);
    record_late(&world, "after", received_at).await;
    let after = compared(&world, MUCH).await;
    assert!(after.differences.is_empty(), "{after:?}");
}

#[tokio::test]
async fn a_month_that_ends_between_the_passes_is_compared_and_the_next_one_after_it() {
    let world = company().await;
    world.set_clock("2026-11-30T23:00:00Z").await;
    for _ in 0..3 {
        assert!(pass(&world, LITTLE).await.unwrap().over.is_none());
    }
    world.set_clock("2026-12-02T12:00:00Z").await;
    fire(&world).await;
    let usage = world.usage("december", "u1", 50, 0, None);
    world.report(&[usage]).await;
    for _ in 0..4 {
        let found = compared(&world, LITTLE).await;
        assert!(found.differences.is_empty(), "{found:?}");
        next_day(&world).await;
    }
}

/// Stops a pass that has read two pages of records when it stores `part`, lets another one read two
/// pages more, and lets the first go on. Returns how many records are read after that.
async fn overtaken(part: &'static str) -> u64 {
    let world = company().await;
    let stores = move |operation: &str, body: &str| {
        operation == "PutItem" && body.contains("demo#books") && body.contains(part)
    };
    // The days before the first records have a page each.
    let days = 42;
    let first = pass(&world, (days + 2, 4));
    let other = pass(&world, (days + 4, 4));
    let (first, other) = world.meanwhile(first, stores, other).await;
    assert_eq!((first.unwrap().records, other.unwrap().records), (8, 16));
    let found = compared(&world, MUCH).await;
    assert!(found.differences.is_empty(), "{found:?}");
    for _ in 0..4 {
        next_day(&world).await;
        let later = compared(&world, MUCH).await;
        assert!(later.differences.is_empty(), "{later:?}");
    }
    found.records
}

#[tokio::test]
async fn of_two_passes_at_once_one_counts_and_sums_that_do_not_belong_to_a_place_are_not_used() {
    assert_eq!(
        overtaken("\"comparison\"").await,
        8,
        "the other pass is gone on with"
    );
    assert_eq!(overtaken("sums#").await, 24, "everything is read again");
}

/// The calls of a comparison of open days in passes of a few pages each.
async fn calls(world: &World) -> u64 {
    world.system.engine().reset_meter();
    compared(world, (3, 4)).await;
    let meter = world.system.engine().meter();
    meter.calls_that_fail(When::Before)
}

#[tokio::test]
async fn a_comparison_whose_calls_fail_finds_what_one_in_peace_finds() {
    for (when, kind) in [
        (When::Before, FaultKind::InternalServerError),
        (When::After, FaultKind::ConnectionReset),
    ] {
        let world = company().await;
        compared(&world, MUCH).await;
        next_day(&world).await;
        let calls = calls(&world).await;
        assert!(calls > 10, "{calls}");
        for call in 0..calls {
            next_day(&world).await;
            let event = format!("e-{call}");
            world
                .report(&[world.usage(&event, "u2", 11, 0, None)])
                .await;
            let engine = world.system.engine();
            // Four times in a row: the client itself tries three times.
            for again in 0..4 {
                let call = call + again;
                engine.inject(Fault { call, when, kind });
            }
            let found = compared(&world, (3, 4)).await;
            assert!(found.differences.is_empty(), "call {call}: {found:?}");
            engine.clear_faults();
        }
        assert!(world.system.engine().faults_fired() > 8);
    }
}

#[tokio::test]
async fn an_organisation_whose_records_are_not_compared_for_three_days_is_reported() {
    let world = company().await;
    assert_eq!(fire(&world).await["books_not_compared"], 0);
    let begins = |operation: &str, body: &str| operation == "Query" && body.contains("by_day");
    let late = async |hours: i64| {
        let now = world.system.clock().now() + SignedDuration::from_hours(hours);
        world.set_clock(&now.to_string()).await;
        let until = Instant::now() + Duration::from_secs(2);
        let mut stopped = world.system.engine().stop_next(begins);
        let mut pass = std::pin::pin!(world.system.schedule(until));
        tokio::select! {
            over = &mut pass => return over.unwrap().totals.books_not_compared,
            () = stopped.arrived() => {}
        }
        tokio::time::sleep_until(until.into()).await;
        stopped.release();
        pass.await.unwrap().totals.books_not_compared
    };
    assert_eq!(late(71).await, 0);
    assert_eq!(late(1).await, 1);
    assert_eq!(fire(&world).await["books_not_compared"], 0);
}
