//! Recorded usage is priced anew, and the difference is booked once.

use super::{GPT, NOON, million, put, refuse_unknown_models, spent, world};
use end_to_end::{ADMIN, World};
use serde_json::{Value, json};

const PRICE: &str = "/v1/prices/openai/gpt-4o";

/// A price of so many dollars for all of today.
async fn all_day(world: &World, usd: Value) {
    let rates = json!({"input_usd_per_million": usd, "effective_from": "2026-11-24T00:00:00Z"});
    put(world, PRICE, rates).await;
}

fn window(dry_run: bool) -> Value {
    json!({"from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z", "dry_run": dry_run})
}

async fn reprice(world: &World, body: Value) -> Value {
    world
        .admin("POST", "/v1/prices/reprice", body)
        .await
        .expect(200)
}

async fn corrections(world: &World) -> Vec<Value> {
    let page = world
        .admin("GET", "/v1/corrections", Value::Null)
        .await
        .expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_difference_is_shown_by_department_and_budget_and_booked_once() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    world
        .report(&[million(
            &world,
            "e-2",
            ("openai", "nobody-knows"),
            "11:00:00",
        )])
        .await;
    all_day(&world, json!(4)).await;
    let shown = reprice(&world, window(true)).await;
    assert_eq!(
        (&shown["records"], &shown["next_cursor"]),
        (&json!(2), &Value::Null)
    );
    let expected = json!([{
        "department_id": "eng", "month": "2026-11", "recorded_usd": 2.5, "repriced_usd": 4,
        "difference_usd": 1.5, "correction_id": null, "refused": null,
    }]);
    assert_eq!(shown["departments"], expected);
    assert_eq!(shown["budgets"][0]["budget_id"], budget);
    assert_eq!(shown["budgets"][0]["difference_usd"].to_string(), "1.5");
    assert_eq!(spent(&world, &budget).await, "2.5", "it was only shown");
    assert_eq!(corrections(&world).await.len(), 0);
    let booked = reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "4");
    let made = corrections(&world).await;
    assert_eq!(made.len(), 1);
    assert_eq!(booked["departments"][0]["correction_id"], made[0]["id"]);
    assert_eq!(
        (&made[0]["tokens"], made[0]["usd"].to_string().as_str()),
        (&json!(0), "1.5")
    );
    let again = reprice(&world, window(false)).await;
    assert_eq!(again["departments"][0]["difference_usd"], 0);
    assert_eq!(corrections(&world).await.len(), 1);
}

#[tokio::test]
async fn what_was_booked_is_taken_back_with_the_price_and_windows_may_overlap() {
    let (world, budget) = world().await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    world.set_clock("2026-11-24T15:30:00Z").await;
    world
        .report(&[million(&world, "e-2", GPT, "15:00:00")])
        .await;
    all_day(&world, json!(4)).await;
    let first = json!({"from": NOON, "to": "2026-11-24T13:00:00Z"});
    reprice(&world, first).await;
    assert_eq!(spent(&world, &budget).await, "6.5");
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "8");
    all_day(&world, json!(2.5)).await;
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "5");
    all_day(&world, json!(0)).await;
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "0");
    assert_eq!(corrections(&world).await.len(), 4);
}

#[tokio::test]
async fn each_department_has_a_correction_and_a_retry_has_the_first_answer() {
    let (world, budget) = world().await;
    world.department("sales", None).await;
    world.user("bob", "sales").await;
    let mut theirs = million(&world, "e-2", GPT, "11:00:00");
    theirs["user_id"] = json!("bob");
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00"), theirs])
        .await;
    all_day(&world, json!(5)).await;
    let headers = [("idempotency-key", "once")];
    let call = async || {
        let body = window(false).to_string();
        world
            .raw(ADMIN, "POST", "/v1/prices/reprice", &headers, body)
            .await
            .expect(200)
    };
    let first = call().await;
    assert_eq!(first["departments"].as_array().unwrap().len(), 2);
    assert_eq!(first["budgets"][0]["difference_usd"], 5);
    assert_eq!(call().await, first);
    assert_eq!(corrections(&world).await.len(), 2);
    assert_eq!(spent(&world, &budget).await, "10");
}

#[tokio::test]
async fn a_difference_that_takes_away_more_than_there_is_is_refused_and_said() {
    let (world, budget) = world().await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    let back = json!({
        "department_id": "eng", "month": "2026-11", "usd": -2, "reason": "an agreement",
    });
    world
        .admin("POST", "/v1/corrections", back)
        .await
        .expect(201);
    all_day(&world, json!(0)).await;
    let shown = reprice(&world, window(false)).await;
    let refused = shown["departments"][0]["refused"].as_str().unwrap();
    assert!(refused.contains("more than there is"), "{refused}");
    assert_eq!(shown["departments"][0]["correction_id"], Value::Null);
    assert_eq!(spent(&world, &budget).await, "0.5");
}
