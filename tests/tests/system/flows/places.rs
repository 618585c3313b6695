//! The places of a cell: a full one opens no hard cap, and no user takes those of all.

use super::{figure, world};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use end_to_end::{AGENT, World};
use futures::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell::MAX_HOLDS;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use std::collections::HashMap;
use std::sync::Arc;
use tower::ServiceExt;

/// Puts `holds` of other users into November's cell, by hand. They are of no budget and live for
/// `seconds` more.
pub(super) async fn fill(world: &World, holds: usize, seconds: i64) {
    // The cell has to be there.
    let first = world.hold("ada", "first", 1, 0).await;
    let path = format!("/v1/holds/{first}");
    let released = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(released.status, 204);
    let expires_at = world.system.clock().now().as_second() + seconds;
    let hold = Hold {
        expires_at: u32::try_from(expires_at).unwrap(),
        amounts: Amounts::new(1, 0),
        ..Hold::default()
    };
    let packed = AttributeValue::B(Blob::new(hold.pack()));
    let holds: HashMap<String, AttributeValue> = (0..holds)
        .map(|n| HoldKey::derive("demo", &format!("other-{}", n % 20), &n.to_string()))
        .map(|rid| (rid.as_str().to_owned(), packed.clone()))
        .collect();
    let cells = world.tables().scan().table_name("Counters").send().await;
    let mut cells = cells.unwrap().items.unwrap();
    cells.retain(|cell| cell.contains_key("p"));
    assert_eq!(cells.len(), 1);
    let call = world.tables().update_item().table_name("Counters");
    let call = call.key("k", cells[0]["k"].clone());
    let call = call.update_expression("SET p = :p, v = v + :one");
    let call = call.expression_attribute_values(":p", AttributeValue::M(holds));
    let call = call.expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    call.send().await.unwrap();
}

#[tokio::test]
async fn a_full_cell_blocks_under_a_hard_cap_whatever_is_done_in_an_outage() {
    let (world, budget) = world(1_000).await;
    fill(&world, MAX_HOLDS, 90).await;
    for on_unavailable in ["allow", "deny"] {
        let body = json!({ "on_unavailable": on_unavailable });
        let changed = world.admin("PATCH", "/v1/organisation", body).await;
        changed.expect(200);
        let refused = world.preflight("ada", "r-1", 10, 0).await;
        assert_eq!(refused["decision"], "block", "{refused}");
        assert_eq!(refused["reasons"][0]["code"], "too_many_holds");
        assert_eq!(
            (&refused["retryable"], &refused["retry_after_seconds"]),
            (&json!(true), &json!(2))
        );
        assert_eq!(refused["degraded"], false);
    }
    assert_eq!(figure(&world.figures(&budget).await).1, 0);
    // The counters decide before the places do: no request is told to wait if it will never fit.
    let refused = world.preflight("ada", "r-2", 1_001, 0).await;
    assert_eq!(refused["reasons"][0]["code"], "budget_exhausted");
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_seconds"]),
        (&json!(false), &Value::Null)
    );
    // A second before the first one ends, that is the time to wait; then it is released and gives
    // its place.
    world.set_clock("2026-11-24T12:01:29Z").await;
    let refused = world.preflight("ada", "r-1", 10, 0).await;
    assert_eq!(refused["retry_after_seconds"], 1);
    world.set_clock("2026-11-24T12:01:30Z").await;
    world.hold("ada", "r-1", 10, 0).await;
}

#[tokio::test]
async fn a_full_cell_lets_pass_without_a_hold_and_says_so_if_no_cap_is_hard() {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.budget(Some("eng"), "tokens", json!(100), false).await;
    fill(&world, MAX_HOLDS, 60).await;
    let passed = world.preflight("ada", "r-1", 10, 0).await;
    assert_eq!(
        (&passed["decision"], &passed["hold"]),
        (&json!("allow"), &Value::Null)
    );
    assert_eq!(passed["warnings"][0]["code"], "too_many_holds");
    assert_eq!(passed["degraded"], false);
}

#[tokio::test]
async fn a_request_of_nothing_holds_nothing_and_takes_no_place() {
    let (world, budget) = world(1_000).await;
    // As many as opened every cap when each took a place; the cell is looked at when it is full and
    // when it is not.
    for n in 0..20 {
        let passed = world.preflight("ada", &format!("zero-{n}"), 0, 0).await;
        assert_eq!(
            (&passed["decision"], &passed["hold"]),
            (&json!("allow"), &Value::Null)
        );
        assert_eq!(passed["warnings"], json!([]));
    }
    let configuration = world.system.store().configuration("demo").await.unwrap();
    let period = configuration.unwrap().period_of(world.system.clock().now());
    let cell = world.system.store().cell("demo", period).await.unwrap();
    assert_eq!(cell.unwrap().holds.len(), 0);
    fill(&world, MAX_HOLDS, 60).await;
    let passed = world.preflight("ada", "zero", 0, 0).await;
    assert_eq!(passed["decision"], "allow", "it needs no place");
    // A counter in debt refuses nothing less than everything, and says what the debt is.
    world
        .report(&[world.usage("e-1", "ada", 1_040, 0, None)])
        .await;
    let refused = world.preflight("ada", "zero", 0, 0).await;
    assert_eq!(refused["reasons"][0]["code"], "budget_exhausted");
    let message = refused["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("is overspent by 40 tokens"), "{message}");
    assert_eq!(figure(&world.figures(&budget).await).0, 1_040);
}

#[tokio::test]
async fn a_member_who_holds_as_often_as_they_can_leaves_the_places_of_the_others() {
    let (world, _) = world(1_000_000).await;
    world.user("bob", "backend").await;
    // Half of the smallest share, so that the test is short: a share of one percent is fifty
    // places.
    let body = json!({"user_holds_percent": 1});
    let changed = world.admin("PATCH", "/v1/organisation", body).await;
    assert_eq!(changed.expect(200)["user_holds_percent"], 1);
    let mut holds = Vec::new();
    for n in 0..50 {
        holds.push(world.hold("ada", &format!("r-{n}"), 1, 0).await);
    }
    let refused = world.preflight("ada", "one-more", 1, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    assert_eq!(refused["reasons"][0]["code"], "too_many_holds");
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_seconds"]),
        (&json!(true), &json!(2))
    );
    let again = world.preflight("ada", "r-7", 1, 0).await;
    assert_eq!(
        again["hold"]["id"],
        json!(holds[7]),
        "an earlier hold is still answered"
    );
    world.hold("bob", "r-1", 1, 0).await;
    let refused = world.preflight("ada", "too-much", 2_000_000, 0).await;
    assert_eq!(
        refused["reasons"][0]["code"], "budget_exhausted",
        "a cap that is reached is named before a place that is missing"
    );
    // A place comes back when its usage is settled, when it is given back, and when it ends by
    // itself.
    world
        .report(&[world.usage("e-1", "ada", 1, 0, Some(&holds[0]))])
        .await;
    world.hold("ada", "after-a-settlement", 1, 0).await;
    let path = format!("/v1/holds/{}", holds[1]);
    let released = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(released.status, 204);
    world.hold("ada", "after-a-void", 1, 0).await;
    let refused = world.preflight("ada", "one-more", 1, 0).await;
    assert_eq!(refused["reasons"][0]["code"], "too_many_holds");
    world.set_clock("2026-11-24T12:02:00Z").await;
    world.hold("ada", "after-all-have-lapsed", 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_of_one_user_at_once_exactly_the_share_is_held() {
    let (world, budget) = world(1_000_000).await;
    let body = json!({"user_holds_percent": 1});
    let changed = world.admin("PATCH", "/v1/organisation", body).await;
    changed.expect(200);
    world.hold("ada", "warm", 1, 0).await;
    let world = Arc::new(world);
    let requests = (0..120).map(|n| {
        let world = world.clone();
        tokio::spawn(async move { world.preflight("ada", &format!("r-{n}"), 1, 0).await })
    });
    let answers = join_all(requests).await;
    let admitted = answers.iter().flatten();
    let admitted = admitted.filter(|answer| answer["hold"].is_object());
    assert_eq!(admitted.count(), 49);
    assert_eq!(figure(&world.figures(&budget).await).1, 50);
    // An instance that knows nothing yet sees them with the first answer that it gets.
    let another = world.system.another_preflight().await;
    let ask = async |name: &str| {
        let body = json!({
            "request_id": name, "user_id": "ada", "provider": "openai", "model": "gpt-4o",
            "input_tokens": 1, "max_output_tokens": 0,
        });
        let request =
            Request::post("/v1/preflight").header("authorization", format!("Bearer {AGENT}"));
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = another.clone().oneshot(request).await.unwrap();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    assert_eq!(ask("first").await["decision"], "allow");
    let refused = ask("second").await;
    assert_eq!(refused["reasons"][0]["code"], "too_many_holds", "{refused}");
}
