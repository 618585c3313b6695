//! Strict organisations: usage beyond its hold is debt, marked and told.

use super::books::books;
use super::{figure, world};
use end_to_end::World;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";

async fn strict(cap: i64) -> (World, String) {
    let (world, budget) = world(cap).await;
    world.set_clock(NOON).await;
    let strict = json!({"reserve": "strict"});
    world
        .admin("PATCH", "/v1/organisation", strict)
        .await
        .expect(200);
    (world, budget)
}

async fn told(world: &World) -> Vec<Value> {
    let path = "/v1/alerts?limit=100";
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    let all = page["items"].as_array().unwrap().clone();
    let is_excess = |alert: &Value| alert["metadata"]["trouble"] == "exceeded_hold";
    all.into_iter().filter(is_excess).collect()
}

async fn listed(world: &World) -> Vec<Value> {
    let path = "/v1/events?status=exceeded_hold&user_id=ada";
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn usage_beyond_its_hold_is_debt_that_is_marked_and_told_once_a_day() {
    let (world, budget) = strict(1_000).await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    let beyond = world.usage("e-1", "ada", 400, 700, Some(&hold));
    for _ in 0..2 {
        world.report(std::slice::from_ref(&beyond)).await;
        assert_eq!(
            figure(&world.figures(&budget).await),
            (1_100, 0, -100, -100)
        );
        assert_eq!(told(&world).await.len(), 1);
    }
    let events = listed(&world).await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(
        (&event["event_id"], &event["status"]),
        (&json!("e-1"), &json!("exceeded_hold"))
    );
    assert_eq!(event["charged"]["tokens"], 1_100);
    assert_eq!(event["held"]["tokens"], 1_000);
    let alert = &told(&world).await[0];
    assert_eq!(
        (&alert["severity"], &alert["user_id"]),
        (&json!("high"), &json!("ada"))
    );
    // An event that is told of is told once, also if it comes again on another day.
    world.set_clock("2026-11-25T12:00:00Z").await;
    world.report(&[beyond]).await;
    assert_eq!(told(&world).await.len(), 1);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn usage_within_its_hold_is_neither_marked_nor_told_and_its_neighbours_settle_together() {
    let (world, budget) = strict(100_000).await;
    let mut events = Vec::new();
    for n in 0..10 {
        let hold = world.hold("ada", &format!("r-{n}"), 100, 100).await;
        let output = if n == 4 { 101 } else { 100 };
        events.push(world.usage(&format!("e-{n}"), "ada", 100, output, Some(&hold)));
    }
    world.report(&events).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (2_001, 0, 97_999, 97_999)
    );
    let marked = listed(&world).await;
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0]["event_id"], "e-4");
    // A second event of a hold that was used up is beyond it whatever it says, and so is late usage
    // that is more.
    let used_up = world.hold("ada", "r-x", 100, 100).await;
    let lapsing = world.hold("ada", "r-y", 100, 100).await;
    world
        .report(&[world.usage("x-1", "ada", 100, 0, Some(&used_up))])
        .await;
    world.set_clock("2026-11-24T13:00:00Z").await;
    // A request for too much is refused, which releases the lapsed hold.
    world.preflight("ada", "r-z", 1_000_000, 0).await;
    world
        .report(&[
            world.usage("x-2", "ada", 1, 0, Some(&used_up)),
            world.usage("y-1", "ada", 200, 1, Some(&lapsing)),
        ])
        .await;
    assert_eq!(listed(&world).await.len(), 3);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn more_is_usual_if_holds_are_estimates() {
    let (world, budget) = world(1_000).await;
    world.set_clock(NOON).await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world
        .report(&[world.usage("e-1", "ada", 400, 700, Some(&hold))])
        .await;
    assert_eq!(figure(&world.figures(&budget).await).0, 1_100);
    assert!(listed(&world).await.is_empty() && told(&world).await.is_empty());
}
