//! Changes after a month has ended, also deleted and new budgets: that month is closed and
//! corrected with its amounts at its end, however late the schedule comes.

use super::rules::{carried, november, row, spend};
use super::{fire, history, quiet_world};
use end_to_end::World;
use serde_json::{Value, json};

async fn delete(world: &World, budget: &str) {
    let path = format!("/v1/budgets/{budget}");
    let answer = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn set_rollover(world: &World, budget: &str, rollover: &Value) {
    let path = format!("/v1/budgets/{budget}");
    let change = json!({ "rollover": rollover });
    let changed = world.admin("PATCH", &path, change).await.expect(200);
    assert_eq!(changed["rollover"], *rollover);
}

#[tokio::test]
async fn a_rollover_that_changes_after_a_month_has_ended_is_not_that_months() {
    for (at, rollover, of_december) in [
        ("2026-12-01T00:02:00Z", json!({"cap_percent": 10}), 100),
        ("2026-12-01T00:30:00Z", Value::Null, 0),
    ] {
        let world = quiet_world().await;
        let budget = november(&world, 100).await;
        spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
        world.set_clock(at).await;
        set_rollover(&world, &budget, &rollover).await;
        fire(&world).await;
        assert_eq!(carried(&world, &budget).await, 600, "{at}");
        let rows = history(&world, &budget).await;
        assert_eq!(row(&rows[0]), [1_000, 0, 400, 600, 600]);
        assert_eq!(rows[0]["cap_percent"], 100);
        spend(&world, "late", "2026-11-30T20:00:00Z", 100).await;
        world.set_clock("2026-12-02T00:30:00Z").await;
        fire(&world).await;
        assert_eq!(carried(&world, &budget).await, 500, "{at}");
        world.set_clock("2027-01-01T00:10:00Z").await;
        fire(&world).await;
        assert_eq!(
            carried(&world, &budget).await,
            of_december,
            "december has what was set in it: {at}"
        );
    }
}

#[tokio::test]
async fn a_month_that_ended_without_a_rollover_carries_nothing_whatever_is_set_after_it() {
    let world = quiet_world().await;
    let budget = november(&world, 100).await;
    set_rollover(&world, &budget, &Value::Null).await;
    world.set_clock("2026-12-01T00:02:00Z").await;
    set_rollover(&world, &budget, &json!({"cap_percent": 100})).await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 0);
    assert_eq!(history(&world, &budget).await, Vec::<Value>::new());
    world.set_clock("2027-01-01T00:02:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 1_000, "december had one");
}

#[tokio::test]
async fn a_budget_that_is_deleted_and_made_again_has_its_carry_whenever_the_month_is_closed() {
    for closed_after in 0..3 {
        let world = quiet_world().await;
        let first = november(&world, 100).await;
        spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
        world.set_clock("2026-12-01T00:05:00Z").await;
        if closed_after == 0 {
            fire(&world).await;
        }
        delete(&world, &first).await;
        if closed_after == 1 {
            fire(&world).await;
        }
        let amount = json!(1_000);
        let second = world.budget(Some("eng"), "tokens", amount, true).await;
        if closed_after == 2 {
            fire(&world).await;
        }
        let figures = world.figures(&second).await;
        assert_eq!(
            (&figures["carried"], &figures["available"]),
            (&json!(600), &json!(1_600)),
            "{closed_after}"
        );
        let rows = history(&world, &second).await;
        assert_eq!(rows.len(), 1, "{closed_after}");
        assert_eq!(row(&rows[0]), [1_000, 0, 400, 600, 600]);
        assert_eq!(
            (&rows[0]["budget_id"], &rows[0]["cap_percent"]),
            (&json!(first), &json!(100))
        );
        spend(&world, "late", "2026-11-30T20:00:00Z", 200).await;
        world.set_clock("2026-12-02T00:05:00Z").await;
        fire(&world).await;
        assert_eq!(carried(&world, &second).await, 400, "{closed_after}");
        // The second one has no rollover.
        world.set_clock("2027-01-01T00:05:00Z").await;
        fire(&world).await;
        assert_eq!(carried(&world, &second).await, 0, "{closed_after}");
        let rows = history(&world, &second).await;
        assert_eq!(row(&rows[0]), [1_000, 400, 0, 1_000, 0], "{closed_after}");
        assert_eq!(rows.len(), 2, "{closed_after}");
    }
}

/// A hard budget of 1,000 tokens of which all that is unused carries over.
async fn made(world: &World, department: &str) -> String {
    let body = json!({
        "name": "b", "department_id": department, "unit": "tokens", "amount": 1_000,
        "hard_cap": true,
        "rollover": {"cap_percent": 100},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn late_usage_corrects_what_a_level_carries_also_if_its_budget_was_made_again() {
    let world = quiet_world().await;
    let departments = [("eng", "ada"), ("twin", "bob")];
    let used = async |event_id: &str, at: &str, tokens: i64| {
        let events = departments.map(|(_, user)| {
            let mut event = world.usage(event_id, user, tokens, 0, None);
            event["occurred_at"] = json!(at);
            event
        });
        world.report(&events).await;
    };
    world.set_clock("2027-08-10T12:00:00Z").await;
    let mut budgets = Vec::new();
    for (department, user) in departments {
        world.department(department, None).await;
        world.user(user, department).await;
        budgets.push(made(&world, department).await);
    }
    used("august", "2027-08-10T12:00:00Z", 400).await;
    world.set_clock("2027-09-01T00:10:00Z").await;
    fire(&world).await;
    for budget in &budgets {
        assert_eq!(carried(&world, budget).await, 600);
    }
    delete(&world, &budgets[0]).await;
    budgets[0] = made(&world, "eng").await;
    assert_eq!(carried(&world, &budgets[0]).await, 600);
    used("late", "2027-08-31T20:00:00Z", 600).await;
    world.set_clock("2027-09-02T00:30:00Z").await;
    fire(&world).await;
    for (budget, (department, user)) in budgets.iter().zip(departments) {
        assert_eq!(carried(&world, budget).await, 0, "{department}");
        let rows = history(&world, budget).await;
        assert_eq!(rows.len(), 1, "{department}");
        assert_eq!(row(&rows[0]), [1_000, 0, 1_000, 0, 0], "{department}");
        assert_eq!(rows[0]["corrected_at"], "2027-09-02T00:30:00Z");
        let refused = world.preflight(user, "r-1", 1_001, 0).await;
        assert_eq!(refused["decision"], "block", "{department}");
    }
    let all = world.admin("GET", "/v1/rollovers", Value::Null).await;
    let all = all.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test]
async fn months_that_nobody_has_seen_are_closed_with_a_budget_that_was_deleted_meanwhile() {
    let world = quiet_world().await;
    let first = november(&world, 100).await;
    world.set_clock("2027-01-01T00:05:00Z").await;
    delete(&world, &first).await;
    // December has no cell.
    spend(&world, "late", "2026-12-20T12:00:00Z", 300).await;
    assert_eq!(fire(&world).await["months_closed"], 2);
    let amount = json!(1_000);
    let second = world.budget(Some("eng"), "tokens", amount, true).await;
    let rows = history(&world, &second).await;
    let rows: Vec<[i64; 5]> = rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            [1_000, 1_000, 300, 1_000, 1_000],
            [1_000, 0, 0, 1_000, 1_000]
        ]
    );
    let figures = world.figures(&second).await;
    assert_eq!(
        (&figures["carried"], &figures["available"]),
        (&json!(1_000), &json!(2_000))
    );
}

#[tokio::test]
async fn a_budget_that_is_deleted_when_its_months_are_final_leaves_nothing_behind() {
    let world = quiet_world().await;
    let first = november(&world, 100).await;
    let ended = async || {
        let configuration = world.system.store().configuration("demo").await;
        configuration.unwrap().unwrap().ended.len()
    };
    world.set_clock("2026-12-01T00:05:00Z").await;
    delete(&world, &first).await;
    let second = made(&world, "eng").await;
    assert_eq!(ended().await, 1, "november is not closed");
    delete(&world, &second).await;
    assert_eq!(ended().await, 1, "it saw no month's end");
    let third = made(&world, "eng").await;
    world.set_clock("2026-12-02T00:05:00Z").await;
    fire(&world).await;
    delete(&world, &third).await;
    assert_eq!(ended().await, 0, "november is final");
}

#[tokio::test]
async fn a_budget_of_the_next_month_refuses_nothing_by_a_clock_that_is_behind() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2026-12-01T00:01:00Z").await;
    world.budget(None, "tokens", json!(10), true).await;
    world.set_clock("2026-11-30T23:59:00Z").await;
    world.hold("ada", "r-1", 500, 0).await;
    world.set_clock("2026-12-01T00:01:30Z").await;
    let refused = world.preflight("ada", "r-2", 500, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
}
