//! The self-audit: books that agree are left alone, and a planted difference is found with its
//! figure.

use super::{figure, world};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::former::{row_of, text};
use end_to_end::{World, changes_cell};
use reset::AuditRequest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn set(world: &World, table: &str, key: [(&str, &str); 2], name: &str, value: i64) {
    let mut update = world
        .tables()
        .update_item()
        .table_name(table)
        .update_expression("SET #n = #n + :v")
        .expression_attribute_names("#n", name)
        .expression_attribute_values(":v", AttributeValue::N(value.to_string()));
    for (name, value) in key.iter().filter(|(name, _)| !name.is_empty()) {
        update = update.key(*name, AttributeValue::S((*value).to_owned()));
    }
    update.send().await.unwrap();
}

pub(super) async fn books(world: &World, repair: bool) -> Vec<String> {
    let request = AuditRequest {
        audit: "demo".to_owned(),
        repair,
    };
    let until = Instant::now() + Duration::from_secs(60);
    let books = world.system.audit(&request, until).await.unwrap();
    assert!(!books.is_empty());
    let all = books.iter().flat_map(|month| &month.differences);
    all.map(ToString::to_string).collect()
}

async fn busy_world() -> (World, String) {
    let (world, budget) = world(10_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"abandoned_holds": "charge"}),
        )
        .await
        .expect(200);
    world.budget(None, "usd", json!(5), true).await;
    let settled = world.hold("ada", "r-1", 100, 100).await;
    let abandoned = world.hold("ada", "r-2", 30, 30).await;
    world.hold("ada", "r-3", 7, 0).await;
    world
        .report(&[
            world.usage("e-1", "ada", 100, 50, Some(&settled)),
            world.usage("e-2", "ada", 5, 0, None),
        ])
        .await;
    world.set_clock("2026-11-20T12:30:00Z").await;
    // Both unsettled holds have lapsed and are charged; for one of them its usage comes late.
    world
        .report(&[world.usage("e-3", "ada", 20, 0, Some(&abandoned))])
        .await;
    world.hold("ada", "r-4", 40, 0).await;
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    (world, budget)
}

const CELL: &str = "demo.2026-11.0.0";

#[tokio::test]
async fn books_that_agree_have_no_difference_and_one_that_is_planted_is_found_and_repaired() {
    let (world, budget) = busy_world().await;
    assert!(books(&world, false).await.is_empty());
    let before = figure(&world.figures(&budget).await);
    assert_eq!(before.0, 150 + 5 + 20 + 7);
    set(&world, "Counters", [("k", CELL), ("", "")], "t2", 1).await;
    assert_eq!(
        books(&world, false).await,
        [format!(
            "2026-11 budget {budget}: \
             the counter says 181 tokens are spent, the totals say 182 tokens"
        )]
    );
    let fired = world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    assert_eq!(fired["report"]["differences"], 1);
    let alerts = async || {
        let path = "/v1/alerts?severity=critical";
        let body = world.admin("GET", path, Value::Null).await.expect(200);
        body["items"].as_array().unwrap().clone()
    };
    let told = alerts().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "anomaly_detected");
    assert_eq!(
        (
            &told[0]["metadata"]["expected"],
            &told[0]["metadata"]["found"]
        ),
        (&json!(182), &json!(181))
    );
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    assert_eq!(alerts().await.len(), 1, "told once");
    assert_eq!(
        books(&world, true).await.len(),
        1,
        "what it repairs is said"
    );
    assert!(books(&world, false).await.is_empty());
    assert_eq!(figure(&world.figures(&budget).await), before);
}

#[tokio::test]
async fn a_total_a_resolution_and_a_carry_that_were_edited_are_found() {
    let (mut world, budget) = busy_world().await;
    world.has_wrong_books = true;
    let total = [
        ("pk", "demo#total#2026-11"),
        ("sk", "department#/eng/backend/"),
    ];
    set(&world, "Ledger", total, "pico_usd", -3).await;
    let found = books(&world, true).await;
    assert!(
        found
            .iter()
            .any(|line| line.contains("department /eng/backend/: the total says")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.contains("the counter says")),
        "{found:?}"
    );
    assert_eq!(
        books(&world, false).await,
        found,
        "nothing is repaired from totals that are wrong"
    );
    set(&world, "Ledger", total, "pico_usd", 3).await;
    // Earlier releases wrote the record and the resolution apart, so that they might differ.
    assert!(world.back_to_the_former_shape().await > 0);
    assert!(books(&world, false).await.is_empty());
    let record = [("pk", "demo#record#llm_request#ada#e-1"), ("sk", "-")];
    set(&world, "Ledger", record, "tokens", 1_000).await;
    let found = books(&world, false).await;
    assert!(
        found.contains(
            &"2026-11 event e-1 of ada: \
              its hold was charged 150 tokens, its record says 1,150 tokens"
                .to_owned()
        ),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.contains("user ada")),
        "{found:?}"
    );
    set(&world, "Ledger", record, "tokens", -1_000).await;
    assert!(books(&world, false).await.is_empty());
    world
        .admin(
            "PATCH",
            &format!("/v1/budgets/{budget}"),
            json!({"rollover": {"cap_percent": 50}}),
        )
        .await
        .expect(200);
    world.set_clock("2026-12-02T00:00:00Z").await;
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    assert!(books(&world, false).await.is_empty());
    set(
        &world,
        "Counters",
        [("k", "demo.2026-12.0.0"), ("", "")],
        "ct2",
        9,
    )
    .await;
    let found = books(&world, false).await;
    assert!(
        found
            .iter()
            .any(|line| line.contains("are carried in, the history says")),
        "{found:?}"
    );
}

/// The key of the row of charged holds, and the name of its tokens.
async fn row_of_charged_holds(world: &World) -> (String, String, String) {
    let ledger = world.ledger().await;
    let found = row_of(&ledger, "2026-11", "#2026-11-20#");
    let row = ledger.iter().find(|item| text(item, "sk") == found.1);
    assert_eq!(text(row.unwrap(), "model"), "abandoned_hold");
    found
}

#[tokio::test]
async fn charged_holds_in_the_reports_are_compared_with_their_records() {
    let (world, _) = busy_world().await;
    let (pk, sk, tokens) = row_of_charged_holds(&world).await;
    let key = [("pk", pk.as_str()), ("sk", sk.as_str())];
    set(&world, "Ledger", key, &tokens, 5).await;
    assert_eq!(
        books(&world, false).await,
        ["2026-11 usage without a user: the reports say 12 tokens, its records say 7 tokens"]
    );
    set(&world, "Ledger", key, &tokens, -5).await;
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_hold_that_an_earlier_release_charged_is_missed_in_no_report_and_taken_out_of_none() {
    let (world, _) = busy_world().await;
    // That release wrote neither rows of charged holds nor their places.
    let (_, sk, _) = row_of_charged_holds(&world).await;
    let scan = world.tables().scan().table_name("Ledger");
    let items = scan.into_paginator().items().send();
    let items: Vec<_> = items.try_collect().await.unwrap();
    let (mut rows, mut holds) = (0, Vec::new());
    for item in items {
        let of = |name: &str| item[name].as_s().unwrap().clone();
        let (pk, tables) = (of("pk"), world.tables());
        if of("sk") == sk {
            rows += 1;
            let row = tables.delete_item().table_name("Ledger");
            let row = row.key("pk", AttributeValue::S(pk));
            let row = row.key("sk", AttributeValue::S(sk.clone()));
            row.send().await.unwrap();
        } else if item.contains_key("reported_in") {
            let resolution = tables.update_item().table_name("Ledger");
            let resolution = resolution.key("pk", AttributeValue::S(pk.clone()));
            let resolution = resolution.key("sk", AttributeValue::S(of("sk")));
            let resolution = resolution.update_expression("REMOVE reported_in");
            resolution.send().await.unwrap();
            holds.push(pk.rsplit('#').next().unwrap().to_owned());
        }
    }
    assert_eq!((rows, holds.len()), (1, 1));
    assert!(books(&world, false).await.is_empty());
    world
        .report(&[world.usage("e-4", "ada", 5, 0, Some(&holds[0]))])
        .await;
    let path = "/v1/usage?period=monthly&model=abandoned_hold";
    let rows = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(rows["items"], json!([]));
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_repair_in_the_middle_of_a_settlement_counts_its_usage_once() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 300, 0).await;
    let usage = [world.usage("e-1", "ada", 250, 0, Some(&hold))];
    world.crash(world.record(&usage), changes_cell).await;
    set(&world, "Counters", [("k", CELL), ("", "")], "t2", 1).await;
    assert_eq!(books(&world, true).await.len(), 1);
    let once = (250, 0, 9_750, 9_750);
    assert_eq!(figure(&world.figures(&budget).await), once);
    assert!(books(&world, false).await.is_empty());
    // It has lapsed, and the next request looks for lapsed holds.
    world.set_clock("2026-11-24T12:30:00Z").await;
    let refused = world.preflight("ada", "r-2", 10_000, 0).await;
    assert_eq!(refused["decision"], "block");
    assert_eq!(figure(&world.figures(&budget).await), once);
    world.record(&usage).await;
    assert_eq!(figure(&world.figures(&budget).await), once);
    assert!(books(&world, false).await.is_empty());
}
