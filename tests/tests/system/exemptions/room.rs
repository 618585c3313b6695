//! The room that exemptions take in a month: none before they are used.

use super::{Company, asking, company};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::ADMIN;
use serde_json::{Value, json};
use shared::domain::ledger::cell::MAX_EXEMPTION_COUNTERS;

/// How many counters of exemptions the cell of November has.
async fn counters(company: &Company) -> usize {
    let november = "2026-11".parse().unwrap();
    let cell = company.world.system.store().cell("demo", november).await;
    let cell = cell.unwrap().unwrap_or_default();
    let of_exemptions = cell.nodes.keys().filter(|node| node.is_of_exemption());
    of_exemptions.count()
}

/// Gives the cell of November `count` counters of exemptions that have ended.
async fn fill(company: &Company, count: usize) {
    // It is opened.
    company.figures().await;
    let tables = company.world.tables();
    let key = AttributeValue::S("demo.2026-11.0.0".to_owned());
    let cell = tables.get_item().table_name("Counters").key("k", key);
    let cell = cell.consistent_read(true).send().await.unwrap();
    let mut cell = cell.item.unwrap();
    for n in 0..count {
        let name = format!("t{}", 1_000_001 + 2 * n);
        cell.insert(name, AttributeValue::N("0".to_owned()));
    }
    let put = tables.put_item().table_name("Counters");
    put.set_item(Some(cell)).send().await.unwrap();
}

async fn lift(company: &Company) -> String {
    company.granted(json!({"kind": "lift"})).await
}

async fn revoke(company: &Company, id: &str) {
    company.step(ADMIN, id, "revoke").await.expect(200);
}

/// Whether one more is approved; it is left waiting if not.
async fn has_room(company: &Company, terms: Value) -> bool {
    let id = company.ask(&company.ada, asking(terms)).await;
    let answer = company.step(ADMIN, &id, "approve").await;
    assert!(matches!(answer.status, 200 | 409), "{}", answer.body);
    answer.status == 200
}

#[tokio::test]
async fn an_unused_exemption_takes_no_room_and_a_used_one_keeps_its_amount() {
    let company = company(100).await;
    company.figures().await;
    for _ in 0..3 {
        let id = lift(&company).await;
        revoke(&company, &id).await;
    }
    assert_eq!(counters(&company).await, 0);
    let id = company
        .granted(json!({"kind": "raise", "tokens": 500}))
        .await;
    assert_eq!(counters(&company).await, 0);
    let refused = company.world.preflight("ada", "r-1", 601, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    let hold = company.world.hold("ada", "r-2", 600, 0).await;
    assert_eq!(counters(&company).await, 1);
    let usage = company.world.usage("e-1", "ada", 350, 0, Some(&hold));
    company.world.report(&[usage]).await;
    revoke(&company, &id).await;
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 250);
    assert_eq!(company.figures().await, [250, 350, 0, 0]);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn a_full_month_has_room_again_if_unused_exemptions_are_revoked() {
    let company = company(100).await;
    fill(&company, MAX_EXEMPTION_COUNTERS - 2).await;
    let first = lift(&company).await;
    let terms = json!({"kind": "lift"});
    assert!(
        !has_room(&company, terms.clone()).await,
        "the first one may still be used"
    );
    revoke(&company, &first).await;
    let second = lift(&company).await;
    let passed = company.world.preflight("ada", "r-1", 500, 0).await;
    assert_eq!(passed["exemption_id"], json!(second), "{passed}");
    revoke(&company, &second).await;
    assert!(
        !has_room(&company, terms).await,
        "what the second one gave is known until the month ends"
    );
    company.world.set_clock("2026-12-01T00:10:00Z").await;
    let terms = json!({"kind": "lift", "ends_at": "2026-12-05T00:00:00Z"});
    assert!(has_room(&company, terms).await);
}
