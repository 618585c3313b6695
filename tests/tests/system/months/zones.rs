//! A time zone that is changed at the edge of a month: no month comes back, and no carry is spent
//! twice.

use super::{fire, history, quiet_world};
use end_to_end::World;
use serde_json::{Value, json};

async fn set_zone(world: &World, zone: &str) {
    let body = json!({ "timezone": zone });
    let path = "/v1/organisation";
    world.admin("PATCH", path, body).await.expect(200);
}

/// The user `ada` and a hard budget of 1,000 tokens of which all that is unused carries over, in
/// November.
async fn november(world: &World) -> String {
    world.set_clock("2026-11-10T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let body = json!({
        "name": "b", "department_id": "eng", "unit": "tokens", "amount": 1_000, "hard_cap": true,
        "rollover": {"cap_percent": 100},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn period(world: &World, budget: &str) -> Value {
    world.figures(budget).await["period_id"].clone()
}

/// Holds and uses `tokens`; whether they were admitted.
async fn spends(world: &World, id: &str, tokens: i64) -> bool {
    let decision = world.preflight("ada", id, tokens, 0).await;
    let Some(hold) = decision["hold"]["id"].as_str() else {
        return false;
    };
    let event = world.usage(id, "ada", tokens, 0, Some(hold));
    world.report(&[event]).await;
    true
}

#[tokio::test]
async fn a_zone_changed_and_changed_back_does_not_spend_a_carry_twice() {
    let world = quiet_world().await;
    let budget = november(&world).await;
    world.set_clock("2026-11-30T12:00:00Z").await;
    set_zone(&world, "Pacific/Kiritimati").await;
    assert_eq!(fire(&world).await["rollovers_credited"], 1);
    assert_eq!(period(&world, &budget).await, "2026-12");
    assert!(spends(&world, "with-the-carry", 2_000).await);
    world.set_clock("2026-11-30T13:00:00Z").await;
    set_zone(&world, "UTC").await;
    assert!(
        !spends(&world, "again", 1).await,
        "november is over, and what it had is carried over and spent"
    );
    assert_eq!(period(&world, &budget).await, "2026-12");
    let figures = world.figures(&budget).await;
    assert_eq!(figures["resets_at"], "2027-01-01T00:00:00Z");
    for at in [
        "2026-12-01T00:10:00Z",
        "2026-12-02T00:10:00Z",
        "2027-01-01T00:10:00Z",
    ] {
        world.set_clock(at).await;
        fire(&world).await;
    }
    let rows = history(&world, &budget).await;
    let months: Vec<&Value> = rows.iter().map(|row| &row["from_period"]).collect();
    assert_eq!(months, ["2026-12", "2026-11"], "each is closed once");
    let (spent, carried) = (&rows[0]["spent"], &rows[0]["carried_in"]);
    assert_eq!((spent, carried), (&json!(2_000), &json!(1_000)));
    assert_eq!(rows[1]["spent"], 0);
}

#[tokio::test]
async fn a_month_that_has_begun_goes_on_if_a_zone_further_west_has_not_reached_it() {
    let world = quiet_world().await;
    let budget = november(&world).await;
    world.set_clock("2026-12-01T00:30:00Z").await;
    fire(&world).await;
    assert!(spends(&world, "december", 2_000).await);
    set_zone(&world, "America/New_York").await;
    assert!(!spends(&world, "again", 1).await);
    assert_eq!(period(&world, &budget).await, "2026-12");
    world.set_clock("2027-01-01T04:59:59Z").await;
    fire(&world).await;
    assert!(!spends(&world, "still", 1).await);
    world.set_clock("2027-01-01T05:00:00Z").await;
    fire(&world).await;
    assert!(spends(&world, "january", 1_000).await);
    assert_eq!(history(&world, &budget).await.len(), 2);
}

#[tokio::test]
async fn the_books_agree_when_a_month_began_in_another_zone() {
    let world = quiet_world().await;
    let budget = november(&world).await;
    set_zone(&world, "Pacific/Kiritimati").await;
    world.set_clock("2026-11-30T10:30:00Z").await;
    assert!(spends(&world, "first", 100).await);
    world.set_clock("2026-12-05T00:00:00Z").await;
    set_zone(&world, "Etc/GMT+12").await;
    // It compares the records with the totals, and finds no difference.
    let compared = fire(&world).await["records_compared"].as_u64();
    assert!(compared > Some(0), "{compared:?}");
    assert_eq!(world.figures(&budget).await["spent"], 100);
    let path = "/v1/usage?period=monthly";
    let usage = world.admin("GET", path, Value::Null).await.expect(200);
    let row = &usage["items"][0];
    assert_eq!(row["period_id"], "2026-12", "{usage}");
    assert_eq!(row["starts_at"], "2026-12-01T12:00:00Z");
}

#[tokio::test]
async fn a_zone_that_goes_round_the_world_every_hour_gives_no_month_twice() {
    let world = quiet_world().await;
    let budget = november(&world).await;
    let zones = ["Pacific/Kiritimati", "Etc/GMT+12", "UTC", "Asia/Kolkata"];
    let mut admitted = 0;
    for (hour, zone) in (0..48).zip(zones.iter().cycle()) {
        let day = ["11-30", "12-01"][hour / 24];
        let at = format!("2026-{day}T{:02}:00:00Z", hour % 24);
        world.set_clock(&at).await;
        set_zone(&world, zone).await;
        fire(&world).await;
        if spends(&world, &format!("h-{hour}"), 50).await {
            admitted += 50;
        }
    }
    assert_eq!(admitted, 2_000, "november's own and december's own");
    assert_eq!(period(&world, &budget).await, "2026-12");
}
