//! The rules of months and rollover, one by one.

use super::{fire, history, quiet_world};
use end_to_end::{ADMIN, AGENT, OPERATOR, World, at_least};
use jiff::Timestamp;
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::period::Month;
use std::pin::pin;
use std::time::{Duration, Instant};

/// `eng` with the user `ada` and a hard budget of 1,000 tokens that carries over `cap_percent`, in
/// November.
pub(super) async fn november(world: &World, cap_percent: i64) -> String {
    world.set_clock("2026-11-10T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let body = json!({
        "name": "b", "department_id": "eng", "unit": "tokens", "amount": 1_000, "hard_cap": true,
        "rollover": {"cap_percent": cap_percent},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

pub(super) async fn spend(world: &World, event_id: &str, occurred_at: &str, tokens: i64) {
    let mut event = world.usage(event_id, "ada", tokens, 0, None);
    event["occurred_at"] = json!(occurred_at);
    world.report(&[event]).await;
}

/// amount, carried in, spent, unused, carried out.
pub(super) fn row(row: &Value) -> [i64; 5] {
    let of = |name: &str| row[name].as_i64().unwrap();
    let names = ["amount", "carried_in", "spent", "unused", "carried_out"];
    names.map(of)
}

pub(super) async fn carried(world: &World, budget: &str) -> i64 {
    world.figures(budget).await["carried"].as_i64().unwrap()
}

#[tokio::test]
async fn an_earlier_carry_is_used_first_and_does_not_carry_again() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
    world.set_clock("2026-12-02T12:00:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 300);
    spend(&world, "dec", "2026-12-02T12:00:00Z", 250).await;
    world.set_clock("2027-01-02T12:00:00Z").await;
    fire(&world).await;
    assert_eq!(
        carried(&world, &budget).await,
        500,
        "the 50 left of the carry are gone"
    );
    spend(&world, "jan", "2027-01-02T12:00:00Z", 1_500).await;
    world.set_clock("2027-02-02T12:00:00Z").await;
    fire(&world).await;
    let rows = history(&world, &budget).await;
    let rows: Vec<[i64; 5]> = rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            [1_000, 500, 1_500, 0, 0],
            [1_000, 300, 250, 1_000, 500],
            [1_000, 0, 400, 600, 300]
        ]
    );
    let figures = world.figures(&budget).await;
    assert_eq!(
        (&figures["carried"], &figures["available"]),
        (&json!(0), &json!(1_000))
    );
}

#[tokio::test]
async fn a_carried_amount_can_be_held_and_a_refusal_names_it() {
    let world = quiet_world().await;
    november(&world, 100).await;
    world.set_clock("2026-12-02T12:00:00Z").await;
    fire(&world).await;
    world.hold("ada", "r-1", 1_900, 0).await;
    let refused = world.preflight("ada", "r-2", 101, 0).await;
    assert_eq!(refused["decision"], "block");
    let reason = &refused["reasons"][0];
    assert_eq!(
        (&reason["amount"], &reason["carried"]),
        (&json!(1_000), &json!(1_000))
    );
    assert_eq!(
        (&reason["held"], &reason["available"]),
        (&json!(1_900), &json!(100))
    );
    let effective = world
        .admin("GET", "/v1/budgets/effective?user_id=ada", Value::Null)
        .await
        .expect(200);
    assert_eq!(effective["items"][0]["remaining"], 2_000);
}

#[tokio::test]
async fn schedules_that_fire_at_the_same_time_credit_once() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    let fired = futures::future::join_all((0..4).map(|_| fire(&world))).await;
    let credited: i64 = fired
        .iter()
        .map(|report| report["rollovers_credited"].as_i64().unwrap())
        .sum();
    assert_eq!(credited, 1, "{fired:?}");
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 500);
    assert_eq!(history(&world, &budget).await.len(), 1);
}

#[tokio::test]
async fn a_month_begins_without_any_schedule_and_is_credited_when_one_comes() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world.set_clock("2026-12-01T00:00:00Z").await;
    let refused = world.preflight("ada", "r-1", 1_001, 0).await;
    assert_eq!(refused["decision"], "block", "nothing is credited yet");
    world.hold("ada", "r-2", 1_000, 0).await;
    world.set_clock("2026-12-09T00:00:00Z").await;
    fire(&world).await;
    let figures = world.figures(&budget).await;
    assert_eq!(
        (&figures["carried"], &figures["available"]),
        (&json!(500), &json!(1_500))
    );
    assert_eq!(figures["held"], 0, "the idle hold was swept");
}

#[tokio::test]
async fn late_usage_corrects_the_carry_once_within_the_grace_and_changes_no_carry_after_it() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 500);
    spend(&world, "late", "2026-11-30T20:00:00Z", 200).await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 500, "the grace is not over");
    world.set_clock("2026-12-02T00:00:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 400);
    spend(&world, "later", "2026-11-30T21:00:00Z", 100).await;
    world.set_clock("2026-12-20T00:00:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &budget).await, 400);
    assert_eq!(
        row(&history(&world, &budget).await[0]),
        [1_000, 0, 200, 800, 400]
    );
    let december = world.figures(&budget).await;
    assert_eq!(december["spent"], 0, "it is november's");
}

#[tokio::test]
async fn the_grace_is_the_organisations_choice() {
    let world = quiet_world().await;
    let budget = november(&world, 100).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"rollover_grace_hours": 72}),
        )
        .await
        .expect(200);
    world.set_clock("2026-12-01T00:10:00Z").await;
    fire(&world).await;
    for (at, event, expected) in [
        ("2026-12-03T00:00:00Z", "two-days", 1_000),
        ("2026-12-04T00:00:00Z", "three-days", 800),
    ] {
        world.set_clock(at).await;
        spend(&world, event, "2026-11-29T00:00:00Z", 100).await;
        fire(&world).await;
        assert_eq!(carried(&world, &budget).await, expected);
    }
}

#[tokio::test]
async fn a_hold_that_is_open_at_the_close_counts_as_spent_until_it_settles() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    let longer = json!({"hold_seconds": 600});
    let organisation = "/v1/organisation";
    world.admin("PATCH", organisation, longer).await.expect(200);
    world.set_clock("2026-11-30T23:59:00Z").await;
    let hold = world.hold("ada", "r-1", 600, 0).await;
    world.set_clock("2026-12-01T00:05:00Z").await;
    fire(&world).await;
    let closed = history(&world, &budget).await;
    assert_eq!(row(&closed[0]), [1_000, 0, 600, 400, 200]);
    assert_eq!(closed[0]["held"], 600);
    world
        .report(&[world.usage("e-1", "ada", 100, 0, Some(&hold))])
        .await;
    world.set_clock("2026-12-02T00:00:00Z").await;
    fire(&world).await;
    let corrected = history(&world, &budget).await;
    assert_eq!(row(&corrected[0]), [1_000, 0, 100, 900, 450]);
    assert_eq!(corrected[0]["corrected_at"], "2026-12-02T00:00:00Z");
    assert_eq!(corrected[0]["closed_at"], "2026-12-01T00:05:00Z");
    assert_eq!(carried(&world, &budget).await, 450);
}

#[tokio::test]
async fn a_budget_without_rollover_has_no_history_and_a_deleted_ones_stays() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    let plain = world.budget(None, "usd", json!(1), false).await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    fire(&world).await;
    assert!(history(&world, &plain).await.is_empty());
    assert_eq!(world.figures(&plain).await["carried"], 0);
    let path = format!("/v1/budgets/{budget}");
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    let all = world
        .admin("GET", "/v1/rollovers", Value::Null)
        .await
        .expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    assert_eq!(all["items"][0]["budget_id"], budget);
    // A deleted budget carries nothing over, and its successor begins with nothing.
    let successor = world.budget(Some("eng"), "tokens", json!(10), true).await;
    world.set_clock("2027-01-05T00:10:00Z").await;
    fire(&world).await;
    assert_eq!(carried(&world, &successor).await, 0);
}

#[tokio::test]
async fn months_that_nobody_saw_are_closed_in_order_with_their_own_amounts() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    let path = format!("/v1/budgets/{budget}");
    world.set_clock("2026-12-10T00:00:00Z").await;
    world
        .admin("PATCH", &path, json!({"amount": 600}))
        .await
        .expect(200);
    world.set_clock("2027-02-20T00:00:00Z").await;
    world
        .admin("PATCH", &path, json!({"amount": 10}))
        .await
        .expect(200);
    let report = fire(&world).await;
    assert_eq!(
        (&report["months_closed"], &report["months_corrected"]),
        (&json!(3), &json!(3))
    );
    let rows = history(&world, &budget).await;
    let rows: Vec<[i64; 5]> = rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            [600, 300, 0, 600, 300],
            [600, 500, 0, 600, 300],
            [1_000, 0, 0, 1_000, 500]
        ]
    );
    let figures = world.figures(&budget).await;
    assert_eq!(
        (&figures["amount"], &figures["carried"]),
        (&json!(10), &json!(300))
    );
}

#[tokio::test]
async fn a_budget_made_after_a_month_has_ended_does_not_carry_that_month() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2026-12-01T00:01:00Z").await;
    let body = json!({
        "name": "new", "unit": "tokens", "amount": 500, "hard_cap": true,
        "rollover": {"cap_percent": 100},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    world.set_clock("2026-12-01T00:10:00Z").await;
    fire(&world).await;
    assert!(
        history(&world, made["id"].as_str().unwrap())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn more_budgets_than_one_transaction_takes_are_all_credited() {
    let world = quiet_world().await;
    november(&world, 50).await;
    let mut ids = Vec::new();
    for n in 0..90 {
        let id = format!("d{n}");
        world.department(&id, None).await;
        let body = json!({
            "name": "b", "department_id": id, "unit": "tokens", "amount": 100 + n, "hard_cap": true,
            "rollover": {"cap_percent": 100},
        });
        let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    world.set_clock("2026-12-01T00:10:00Z").await;
    assert_eq!(fire(&world).await["rollovers_credited"], 91);
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(carried(&world, id).await, 100 + i64::try_from(n).unwrap());
    }
    let mut seen = 0;
    let mut cursor = String::new();
    loop {
        let page = world
            .admin(
                "GET",
                &format!("/v1/rollovers?limit=40{cursor}"),
                Value::Null,
            )
            .await
            .expect(200);
        seen += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 91);
}

#[tokio::test]
async fn every_close_is_in_the_audit_log_with_its_rows_and_changes_the_epoch_once() {
    let world = quiet_world().await;
    november(&world, 50).await;
    let before = world.system.store().head("demo").await.unwrap().unwrap();
    world.set_clock("2026-12-01T00:10:00Z").await;
    fire(&world).await;
    fire(&world).await;
    let after = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!((after.seq, after.epoch), (before.seq + 1, before.epoch + 1));
    assert_eq!(after.closed_through.unwrap().to_string(), "2026-11");
}

async fn whichever_call_of_the_schedule_fails_the_credit_is_there_once(when: When) {
    for call in 0.. {
        let world = World::with(SystemSettings {
            retry: aws_sdk_dynamodb::config::retry::RetryConfig::disabled(),
            delivers_events: false,
            ..SystemSettings::empty()
        })
        .await;
        let budget = november(&world, 50).await;
        spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
        world.set_clock("2026-11-30T23:59:00Z").await;
        world.hold("ada", "r-1", 100, 0).await;
        world.set_clock("2026-12-03T00:00:00Z").await;
        let fired = world.system.engine().faults_fired();
        world.system.engine().inject(Fault {
            call,
            when,
            kind: FaultKind::ConnectionReset,
        });
        loop {
            let answer = world.admin("POST", "/local/schedule", Value::Null).await;
            if answer.status == 200 && answer.body["report"]["failed"] == json!([]) {
                break;
            }
        }
        let has_fired = world.system.engine().faults_fired() > fired;
        world.system.engine().clear_faults();
        fire(&world).await;
        assert_eq!(carried(&world, &budget).await, 300, "call {call} {when:?}");
        let rows = history(&world, &budget).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(row(&rows[0]), [1_000, 0, 400, 600, 300]);
        if !has_fired {
            assert!(
                call > at_least(when, 20, 7),
                "{call} calls were made to fail"
            );
            break;
        }
    }
}

#[tokio::test]
async fn whichever_call_of_the_schedule_fails_before_it_is_applied_the_credit_is_there_once() {
    whichever_call_of_the_schedule_fails_the_credit_is_there_once(When::Before).await;
}

#[tokio::test]
async fn whichever_answer_to_the_schedule_is_lost_the_credit_is_there_once() {
    whichever_call_of_the_schedule_fails_the_credit_is_there_once(When::After).await;
}

#[tokio::test]
async fn an_organisation_in_another_zone_is_closed_at_its_own_midnight() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"timezone": "Pacific/Auckland"}),
        )
        .await
        .expect(200);
    // Midnight in Auckland is eleven in the morning.
    for (at, expected) in [
        ("2026-11-30T10:59:00Z", 0),
        ("2026-11-30T10:59:59.999Z", 0),
        ("2026-11-30T11:00:00Z", 500),
    ] {
        world.set_clock(at).await;
        fire(&world).await;
        assert_eq!(carried(&world, &budget).await, expected, "{at}");
    }
    let at: Timestamp = "2026-11-30T11:00:00Z".parse().unwrap();
    assert_eq!(world.figures(&budget).await["period_id"], "2026-12");
    assert_eq!(
        history(&world, &budget).await[0]["closed_at"],
        at.to_string()
    );
}

#[tokio::test]
async fn the_next_month_is_opened_ahead_and_sees_what_changes_before_it_begins() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    let december = "2026-12".parse().unwrap();
    let cell = async || world.system.store().cell("demo", december).await.unwrap();
    world.set_clock("2026-11-29T12:00:00Z").await;
    fire(&world).await;
    assert!(cell().await.is_none(), "not yet");
    world.set_clock("2026-11-30T12:00:00Z").await;
    fire(&world).await;
    assert_eq!(cell().await.unwrap().nodes.values().sum::<i128>(), 1_000);
    let path = format!("/v1/budgets/{budget}");
    world
        .admin("PATCH", &path, json!({"amount": 700}))
        .await
        .expect(200);
    assert_eq!(cell().await.unwrap().nodes.values().sum::<i128>(), 700);
    world.set_clock("2026-12-01T00:00:00Z").await;
    assert_eq!(
        world.preflight("ada", "r-1", 701, 0).await["decision"],
        "block"
    );
    assert_eq!(
        world.preflight("ada", "r-2", 700, 0).await["decision"],
        "allow"
    );
}

async fn organisation(world: &World, id: &str) {
    let body = json!({"id": id, "name": id, "timezone": "UTC"});
    let path = "/v1/organisations";
    let made = world.call(OPERATOR, "POST", path, body).await;
    made.expect(201);
}

/// A pass of the schedule whose time is over while the first of its calls of the database that
/// `fits` waits.
async fn pass_whose_time_ends_at(
    world: &World,
    fits: impl Fn(&str, &str) -> bool + Copy + Send + 'static,
) -> reset::Report {
    // How long it takes to come so far is the computer's, so each try has twice as long.
    for tries in 0..10 {
        let until = Instant::now() + Duration::from_millis(50_u64 << tries);
        let mut stopped = world.system.engine().stop_next(fits);
        let mut pass = pin!(world.system.schedule(until));
        tokio::select! {
            _ = &mut pass => continue,
            () = stopped.arrived() => {}
        }
        tokio::time::sleep_until(until.into()).await;
        stopped.release();
        return pass.await.unwrap();
    }
    panic!("no pass came so far");
}

#[tokio::test]
async fn a_pass_that_ran_out_of_time_halfway_is_continued_from_its_end() {
    let world = quiet_world().await;
    // Eight are tended at the same time, demo among them.
    for n in 1..=9 {
        organisation(&world, &format!("org-{n}")).await;
    }
    let is_of_first = |_: &str, body: &str| body.contains("org-1");
    let out_of_time = pass_whose_time_ends_at(&world, is_of_first).await;
    assert!(!out_of_time.is_complete);
    assert_eq!(out_of_time.organisations, 8);
    assert_eq!(fire(&world).await["organisations"], 2);
    assert_eq!(fire(&world).await["organisations"], 10);
}

#[tokio::test]
async fn records_that_a_pass_had_no_time_to_compare_are_compared_by_the_next_one_and_then_daily() {
    let world = quiet_world().await;
    november(&world, 50).await;
    spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
    let reads_records =
        |operation: &str, body: &str| operation == "Query" && body.contains("by_day");
    let out_of_time = pass_whose_time_ends_at(&world, reads_records).await;
    assert_eq!(out_of_time.totals.records_compared, 0);
    assert_eq!(fire(&world).await["records_compared"], 1);
    assert_eq!(fire(&world).await["records_compared"], 0, "it was today");
    world.set_clock("2026-11-11T12:00:00Z").await;
    assert_eq!(fire(&world).await["records_compared"], 1);
}

#[tokio::test]
async fn a_pass_that_ran_out_of_time_is_continued_and_the_next_one_begins_again() {
    let world = quiet_world().await;
    for id in ["alpha", "beta", "omega"] {
        organisation(&world, id).await;
    }
    let out_of_time = world.system.schedule(Instant::now()).await.unwrap();
    assert!(!out_of_time.is_complete);
    assert_eq!(out_of_time.organisations, 0);
    let store = world.system.store();
    store
        .set_schedule_cursor(Some("beta".to_owned()))
        .await
        .unwrap();
    assert_eq!(fire(&world).await["organisations"], 2, "demo and omega");
    assert_eq!(fire(&world).await["organisations"], 4);
}

#[tokio::test]
async fn an_amount_that_changes_in_the_first_minutes_of_a_month_is_no_amount_of_the_month_before() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
    let path = format!("/v1/budgets/{budget}");
    let change = async |amount: i64| {
        let change = json!({"amount": amount});
        world.admin("PATCH", &path, change).await.expect(200);
    };
    world.set_clock("2026-12-01T00:01:00Z").await;
    change(500_000).await;
    fire(&world).await;
    change(500_001).await;
    world.set_clock("2026-12-02T12:00:00Z").await;
    fire(&world).await;
    let rows = history(&world, &budget).await;
    assert_eq!(row(&rows[0]), [1_000, 0, 400, 600, 300]);
    let figures = world.figures(&budget).await;
    assert_eq!(
        (
            &figures["amount"],
            &figures["carried"],
            &figures["available"]
        ),
        (&json!(500_001), &json!(300), &json!(500_301))
    );
}

#[tokio::test]
async fn a_budget_of_the_first_minutes_of_a_month_counts_from_that_month_on() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2026-12-01T00:01:00Z").await;
    let late = world.budget(None, "tokens", json!(100), true).await;
    spend(&world, "nov", "2026-11-30T23:59:00Z", 500).await;
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alerts = alerts.expect(200);
    let about_late = |alert: &&Value| alert["budget_id"] == json!(late);
    let items = alerts["items"].as_array().unwrap();
    assert_eq!(items.iter().filter(about_late).count(), 0, "{alerts}");
    assert_eq!(
        items.len(),
        1,
        "the budget of November has reached 50 %: {alerts}"
    );
    world.set_clock("2026-12-02T12:00:00Z").await;
    fire(&world).await;
    assert_eq!(history(&world, &late).await, Vec::<Value>::new());
    assert_eq!(world.figures(&late).await["available"], 100);
}

#[tokio::test]
async fn late_usage_of_an_unused_month_alerts() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world.set_clock("2027-01-20T12:00:00Z").await;
    spend(&world, "dec", "2026-12-20T12:00:00Z", 900).await;
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alerts = alerts.expect(200)["items"].clone();
    let levels: Vec<&Value> = alerts.as_array().unwrap().iter().collect();
    assert_eq!(levels.len(), 2, "{alerts}");
    for alert in levels {
        assert_eq!(alert["budget_id"], json!(budget));
        assert_eq!(alert["metadata"]["period"], "2026-12");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_of_a_month_without_a_cell_is_counted_if_the_cell_is_opened_meanwhile() {
    for round in 0..8 {
        let world = quiet_world().await;
        november(&world, 50).await;
        world.set_clock("2027-11-20T12:00:00Z").await;
        let store = world.system.store().clone();
        let configuration = store.configuration("demo").await.unwrap().unwrap();
        let now = world.system.clock().now();
        let mut months = configuration.months_with_usage(now);
        months.retain(|month| *month >= "2026-12".parse().unwrap());
        months.pop();
        for month in &months {
            let mut usage = world.usage(&format!("e-{month}"), "ada", 10, 0, None);
            usage["occurred_at"] = json!(format!("{month}-15T12:00:00Z"));
            let body = json!({"events": [usage]});
            let answer = world.call(AGENT, "POST", "/v1/events", body);
            answer.await.expect(202);
        }
        let opening = months.iter().map(|month| {
            let (store, configuration, month) = (store.clone(), configuration.clone(), *month);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(300 * round)).await;
                store.swept_cell(&configuration, month, now).await.unwrap();
            })
        });
        let opening: Vec<_> = opening.collect();
        world.system.drain().await.unwrap();
        futures::future::join_all(opening).await;
        for month in months {
            let found = store.compare_counters("demo", month, now).await.unwrap();
            assert_eq!(found, [], "round {round}");
        }
    }
}

/// Whether a call is a transaction in which the cell of a month is.
fn is_about_cell(month: &'static str) -> impl Fn(&str, &str) -> bool + Send + 'static {
    move |operation, body| {
        operation == "TransactWriteItems" && body.contains(&format!("demo.{month}."))
    }
}

#[tokio::test]
async fn usage_of_a_month_without_a_cell_and_the_cell_that_is_opened_wait_for_each_other() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2027-02-20T12:00:00Z").await;
    let store = world.system.store();
    let configuration = store.configuration("demo").await.unwrap().unwrap();
    let now = world.system.clock().now();
    for (name, is_opened_first) in [("2026-12", true), ("2027-01", false)] {
        let month: Month = name.parse().unwrap();
        let mut usage = world.usage(name, "ada", 10, 0, None);
        usage["occurred_at"] = json!(format!("{name}-15T12:00:00Z"));
        let usage = [usage];
        let open = async || store.swept_cell(&configuration, month, now).await.unwrap();
        // Each has read what there was, and writes what follows from it after the other has
        // written.
        match is_opened_first {
            true => {
                let charge = world.record(&usage);
                world.meanwhile(open(), is_about_cell(name), charge).await;
            }
            false => {
                let charge = world.record(&usage);
                world.meanwhile(charge, is_about_cell(name), open()).await;
            }
        }
        assert!(open().await.is_some());
        let found = store.compare_counters("demo", month, now).await.unwrap();
        assert_eq!(found, [], "{name}");
        let totals = store.department_totals("demo", month).await.unwrap();
        assert_eq!(totals.spent_under(None).tokens, 10, "{name}");
    }
}

#[tokio::test]
async fn a_month_is_not_opened_by_a_configuration_that_is_no_longer_in_force() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2026-12-10T12:00:00Z").await;
    let asking = world.preflight("ada", "r-1", 900, 0);
    let block = json!({"reason": "a leak"});
    let blocking = world.admin("PUT", "/v1/users/ada/block", block);
    let opens = is_about_cell("2026-12");
    let (decision, blocked) = world.meanwhile(asking, opens, blocking).await;
    blocked.expect(200);
    assert_eq!(decision["decision"], "block", "{decision}");
    assert_eq!(decision["reasons"][0]["code"], "user_blocked");
}

#[tokio::test]
async fn a_top_up_on_the_last_day_of_a_month_is_not_of_the_next_month_which_is_open_already() {
    let world = quiet_world().await;
    let budget = november(&world, 50).await;
    world.set_clock("2026-11-30T12:00:00Z").await;
    fire(&world).await;
    let path = format!("/v1/budgets/{budget}/top-ups");
    let body = json!({"amount": 500, "reason": "The release"}).to_string();
    let headers = [("idempotency-key", "once")];
    let topped_up = world.raw(ADMIN, "POST", &path, &headers, body).await;
    assert_eq!(topped_up.expect(201)["available"], 1_500);
    let december = "2026-12".parse().unwrap();
    let december = world.system.store().cell("demo", december).await.unwrap();
    assert_eq!(december.unwrap().nodes.values().sum::<i128>(), 1_000);
    world.set_clock("2026-12-01T00:00:00Z").await;
    assert_eq!(world.figures(&budget).await["available"], 1_000);
    for (tokens, decision) in [(1_001, "block"), (1_000, "allow")] {
        let name = format!("r-{tokens}");
        let decided = world.preflight("ada", &name, tokens, 0).await;
        assert_eq!(decided["decision"], decision, "{decided}");
    }
}

#[tokio::test]
async fn a_hold_that_ends_after_its_month_is_given_back_by_the_schedule() {
    let world = quiet_world().await;
    november(&world, 50).await;
    world.set_clock("2026-11-30T23:59:00Z").await;
    let hold = world.hold("ada", "r-1", 100, 0).await;
    let longer = json!({"extend_seconds": 3_600});
    let path = format!("/v1/holds/{hold}");
    let longer = world.call(AGENT, "PATCH", &path, longer).await.expect(200);
    assert_eq!(longer["decision"], "allow", "{longer}");
    for (at, held) in [("2026-12-01T00:10:00Z", 1), ("2026-12-01T02:00:00Z", 0)] {
        world.set_clock(at).await;
        fire(&world).await;
        let november = "2026-11".parse().unwrap();
        let november = world.system.store().cell("demo", november).await.unwrap();
        assert_eq!(november.unwrap().holds.len(), held, "{at}");
    }
}

#[tokio::test]
async fn budgets_of_one_department_in_tokens_and_in_dollars_carry_each_its_own() {
    let world = quiet_world().await;
    let tokens = november(&world, 50).await;
    let body = json!({
        "name": "in dollars", "department_id": "eng", "unit": "usd", "amount": 0.01,
        "hard_cap": false,
        "rollover": {"cap_percent": 100},
    });
    let usd = world.admin("POST", "/v1/budgets", body).await.expect(201);
    // gpt-4o: $2.50 a million.
    spend(&world, "nov", "2026-11-10T12:00:00Z", 400).await;
    world.set_clock("2026-12-02T12:00:00Z").await;
    // It compares the carried amounts with the history, and finds no difference.
    fire(&world).await;
    assert_eq!(carried(&world, &tokens).await, 300);
    let usd = world.figures(usd["id"].as_str().unwrap()).await;
    assert_eq!(usd["carried"].to_string(), "0.009");
}
