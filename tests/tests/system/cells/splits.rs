//! Cells that are split while people work.

use super::company;
use end_to_end::World;
use end_to_end::cells::place;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The number of cells beside home that the configuration asks for.
async fn others(world: &World) -> u32 {
    let configuration = world.system.store().configuration("demo").await;
    configuration.unwrap().unwrap().placement.others
}

#[tokio::test]
async fn a_request_that_was_held_before_a_split_is_the_same_request_after_it() {
    let company = company(1, 1_000).await;
    let world = &company.world;
    let first = world.preflight("u0", "r-0", 600, 0).await;
    place(&world.system, 4).await;
    let again = world.preflight("u0", "r-0", 600, 0).await;
    assert_eq!(again["hold"]["id"], first["hold"]["id"]);
    assert_eq!(company.figures().await, [0, 600, 400]);
    let hold = first["hold"]["id"].as_str().unwrap();
    world
        .report(&[world.usage("e-0", "u0", 500, 0, Some(hold))])
        .await;
    assert_eq!(company.figures().await, [500, 0, 500]);
    assert!(company.is_allowed("u0", "r-1", 500).await);
}

#[tokio::test]
async fn a_debt_of_the_time_before_a_split_still_stops_everybody() {
    let company = company(1, 1_000).await;
    company.use_up("u0", "r-0", 100, 1_200).await;
    place(&company.world.system, 4).await;
    for n in 0..9 {
        assert!(
            !company
                .is_allowed(&format!("u{n}"), &format!("s-{n}"), 1)
                .await
        );
    }
    company.change(json!({"amount": 1_300})).await;
    assert!(company.is_allowed("u1", "t-1", 100).await);
    assert!(!company.is_allowed("u2", "t-2", 1).await);
}

#[tokio::test]
async fn a_user_who_moves_to_a_department_of_another_cell_keeps_a_hold_that_is_retried() {
    let company = company(4, 1_000).await;
    let world = &company.world;
    let first = world.preflight("u1", "r-1", 300, 0).await;
    let moved = json!({"department_id": "c"});
    world
        .admin("PATCH", "/v1/users/u1", moved)
        .await
        .expect(200);
    let again = world.preflight("u1", "r-1", 300, 0).await;
    assert_eq!(again["hold"]["id"], first["hold"]["id"]);
    assert_eq!(company.figures().await, [0, 300, 700]);
}

#[tokio::test]
async fn crowded_cells_are_split_by_those_who_record_usage() {
    let company = company(1, 1_000_000).await;
    let world = &company.world;
    for n in 0..40 {
        world
            .hold(&format!("u{}", n % 9), &format!("r-{n}"), 10, 0)
            .await;
    }
    let record = async |name: &str| {
        world.report(&[world.usage(name, "u0", 1, 0, None)]).await;
    };
    record("e-0").await;
    assert_eq!(others(world).await, 0, "it may be a moment's burst");
    world.set_clock("2026-11-24T12:01:00Z").await;
    record("e-1").await;
    assert!(others(world).await >= 2, "{}", others(world).await);
    let log = world.admin("GET", "/v1/audit-log?action=cells.place", Value::Null);
    let log = log.await.expect(200);
    assert_eq!(log["items"][0]["actor"], "schedule", "{log}");
    let before = company.figures().await;
    assert_eq!(before, [2, 400, 999_598]);
    assert!(company.is_allowed("u0", "later", 10).await);
    assert_eq!(company.figures().await, [2, 410, 999_588]);
}

#[tokio::test]
async fn a_month_of_several_cells_is_closed_with_the_sum_and_the_next_one_has_the_same_cells() {
    let company = company(4, 1_000).await;
    let world = &company.world;
    let rollover = json!({"rollover": {"cap_percent": 100}});
    company.change(rollover).await;
    for user in ["u0", "u1", "u2"] {
        company.use_up(user, &format!("r-{user}"), 100, 100).await;
    }
    world.set_clock("2026-12-01T01:00:00Z").await;
    let until = Instant::now() + Duration::from_secs(60);
    world.system.schedule(until).await.unwrap();
    let figures = world.figures(&company.cap).await;
    assert_eq!(figures["carried"], json!(700), "{figures}");
    assert_eq!(company.figures().await, [0, 0, 1_700]);
    assert!(company.is_allowed("u1", "s-1", 900).await);
    assert!(company.is_allowed("u2", "s-2", 800).await);
    assert!(!company.is_allowed("u0", "s-3", 1).await);
}
