//! A settlement and a void that meet in the middle of each other: whichever was written first
//! stands.

use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::former::text;
use end_to_end::{AGENT, World, changes_cell};
use local::system::SystemSettings;
use serde_json::{Value, json};

/// A world with two holds of ada under a hard cap of 1,000 tokens: the cap, and the hold of 400.
/// The other has 300.
async fn world() -> (World, String, String) {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    let hold = world.hold("ada", "r-1", 300, 100).await;
    world.hold("ada", "r-2", 200, 100).await;
    (world, budget, hold)
}

async fn void(world: &World, hold: &str) {
    let path = format!("/v1/holds/{hold}");
    let answer = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 204);
}

async fn spent_and_held(world: &World, budget: &str) -> (i64, i64) {
    let seen = world.figures(budget).await;
    let of = |name: &str| seen[name].as_i64().unwrap();
    (of("spent"), of("held"))
}

/// How the record of the event `e-1` is marked.
async fn mark(world: &World) -> AttributeValue {
    let ledger = world.ledger().await;
    let mut records = ledger.iter().filter(|item| text(item, "event_id") == "e-1");
    records.next().unwrap()["mark"].clone()
}

#[tokio::test]
async fn a_hold_that_is_given_back_in_the_middle_of_its_settlement_stays_settled() {
    let (world, budget, hold) = world().await;
    let usage = [world.usage("e-1", "ada", 50, 7, Some(&hold))];
    world.crash(world.record(&usage), changes_cell).await;
    for _ in 0..2 {
        void(&world, &hold).await;
        assert_eq!(spent_and_held(&world, &budget).await, (57, 300));
        world.record(&usage).await;
        assert_eq!(spent_and_held(&world, &budget).await, (57, 300));
    }
    assert_eq!(mark(&world).await, AttributeValue::S("settled".to_owned()));
}

#[tokio::test]
async fn usage_that_comes_while_its_hold_is_given_back_only_halfway_is_late() {
    let (world, budget, hold) = world().await;
    let usage = [world.usage("e-1", "ada", 50, 7, Some(&hold))];
    world.crash(void(&world, &hold), changes_cell).await;
    assert_eq!(spent_and_held(&world, &budget).await, (0, 700));
    for _ in 0..2 {
        world.record(&usage).await;
        assert_eq!(spent_and_held(&world, &budget).await, (57, 300));
        void(&world, &hold).await;
        assert_eq!(spent_and_held(&world, &budget).await, (57, 300));
    }
    assert_eq!(mark(&world).await, AttributeValue::S("late".to_owned()));
}
