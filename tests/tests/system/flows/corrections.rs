//! Corrections: signed amounts in open and closed months, in every book.

use super::books::books;
use super::{figure, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{ADMIN, Answer, World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";

async fn correct(world: &World, body: Value) -> Answer {
    world.admin("POST", "/v1/corrections", body).await
}

fn of_ada(month: &str, tokens: i64) -> Value {
    json!({"user_id": "ada", "month": month, "tokens": tokens, "reason": "a test was reported"})
}

async fn rows(world: &World, query: &str) -> Vec<Value> {
    let path = format!("/v1/usage?limit=100&{query}");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

fn sum(rows: &[Value]) -> i64 {
    let tokens = rows.iter().map(|row| row["total_tokens"].as_i64().unwrap());
    tokens.sum()
}

async fn schedule(world: &World) {
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_correction_moves_budgets_totals_and_reports_both_ways_and_the_books_agree() {
    let (world, budget) = world(10_000).await;
    world.set_clock(NOON).await;
    let usd = world.budget(None, "usd", json!(5), true).await;
    world
        .report(&[world.usage("e-1", "ada", 4_000, 0, None)])
        .await;
    let made = correct(&world, of_ada("2026-11", -1_500)).await.expect(201);
    assert!(made["id"].as_str().unwrap().starts_with("cor_"));
    assert_eq!(
        (&made["tokens"], &made["usd"], &made["department_id"]),
        (&json!(-1_500), &json!(0), &json!("backend"))
    );
    assert_eq!(
        figure(&world.figures(&budget).await),
        (2_500, 0, 7_500, 7_500)
    );
    assert!(books(&world, false).await.is_empty());
    let both = json!({
        "department_id": "eng", "month": "2026-11", "tokens": 700, "usd": 1.25, "reason": "an invoice"
    });
    correct(&world, both).await.expect(201);
    assert_eq!(figure(&world.figures(&budget).await).0, 3_200);
    let spent = world.figures(&usd).await["spent"].to_string();
    assert_eq!(spent, "1.26", "0.01 was used");
    for period in ["hourly", "daily", "monthly"] {
        let query = format!("period={period}&start_date=2026-11-24&end_date=2026-11-24");
        let query = query.replace(
            "monthly&start_date=2026-11-24",
            "monthly&start_date=2026-11",
        );
        let all = rows(&world, &query).await;
        assert_eq!(sum(&all), 3_200, "{period}: {all:?}");
        let requests = all.iter().map(|r| r["total_requests"].as_i64().unwrap());
        assert_eq!(requests.sum::<i64>(), 1, "a correction is no request");
    }
    let of_user = rows(&world, "period=monthly&start_date=2026-11&user_id=ada").await;
    assert_eq!(sum(&of_user), 2_500);
    let of_model = rows(&world, "period=monthly&start_date=2026-11&model=correction").await;
    assert_eq!(sum(&of_model), -800);
    assert!(
        of_model
            .iter()
            .any(|row| row["user_id"] == "" && row["department_id"] == "eng")
    );
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await
        .expect(200);
    assert_eq!(tree["items"][0]["usage"]["tokens"], 3_200);
    assert!(books(&world, false).await.is_empty());
    let listed = async |query: &str| {
        let path = format!("/v1/corrections?{query}");
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(listed("").await, 2);
    assert_eq!(listed("user_id=ada&month=2026-11").await, 1);
    assert_eq!(listed("department_id=backend").await, 1);
    assert_eq!(listed("month=2026-10").await, 0);
    let path = "/v1/audit-log?action=correction.create";
    let log = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 2);
    assert_eq!(log["items"][0]["reason"], "an invoice");
}

#[tokio::test]
async fn what_was_counted_by_mistake_can_be_taken_back_to_the_last_token() {
    let (world, budget) = world(100_000).await;
    world.set_clock(NOON).await;
    world
        .report(&[world.usage("e-1", "ada", 1_000_000_000, 1_000_000_000, None)])
        .await;
    let count =
        json!({"user_id": "ada", "event_id": "e-1", "decision": "count", "reason": "by mistake"});
    world
        .admin("POST", "/v1/events/decisions", count)
        .await
        .expect(200);
    assert_eq!(figure(&world.figures(&budget).await).0, 2_000_000_000);
    assert_eq!(
        world.preflight("ada", "r-1", 1, 1).await["decision"],
        "block"
    );
    let back = json!({
        "user_id": "ada", "month": "2026-11", "tokens": -2_000_000_000, "usd": -12_500, "reason": "it was one"
    });
    correct(&world, back).await.expect(201);
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 0, 100_000, 100_000)
    );
    world.hold("ada", "r-1", 50_000, 50_000).await;
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_closed_month_moves_its_carry_while_its_grace_lasts_and_is_only_recorded_later() {
    let (world, budget) = world(1_000).await;
    world.set_clock(NOON).await;
    world
        .admin(
            "PATCH",
            &format!("/v1/budgets/{budget}"),
            json!({"rollover": {"cap_percent": 100}}),
        )
        .await
        .expect(200);
    world
        .report(&[world.usage("e-1", "ada", 400, 0, None)])
        .await;
    let carried = async || world.figures(&budget).await["carried"].as_i64().unwrap();
    world.set_clock("2026-12-01T00:10:00Z").await;
    schedule(&world).await;
    assert_eq!(carried().await, 600);
    correct(&world, of_ada("2026-11", -150)).await.expect(201);
    world.set_clock("2026-12-02T00:10:00Z").await;
    schedule(&world).await;
    assert_eq!(
        carried().await,
        750,
        "corrected once, at the end of the grace"
    );
    assert!(books(&world, false).await.is_empty());
    correct(&world, of_ada("2026-11", 500)).await.expect(201);
    schedule(&world).await;
    assert_eq!(carried().await, 750, "what carried over is final");
    assert_eq!(
        sum(&rows(&world, "period=monthly&start_date=2026-11&end_date=2026-11").await),
        750
    );
    let last = rows(
        &world,
        "period=daily&start_date=2026-11-30&end_date=2026-11-30",
    )
    .await;
    assert_eq!(
        sum(&last),
        350,
        "reports by the day have it at the end of the month"
    );
    assert_eq!(figure(&world.figures(&budget).await).0, 0, "another month");
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_month_without_a_cell_and_where_its_user_was_are_corrected_too() {
    let (world, _) = world(1_000).await;
    world.department("sales", None).await;
    world.set_clock("2026-11-25T12:00:00Z").await;
    world
        .admin("PATCH", "/v1/users/ada", json!({"department_id": "sales"}))
        .await
        .expect(200);
    let old = correct(&world, of_ada("2026-02", 300)).await.expect(201);
    assert_eq!(old["department_id"], "backend", "before the move");
    let new = correct(&world, of_ada("2026-11", 40)).await.expect(201);
    assert_eq!(new["department_id"], "sales");
    let found = rows(&world, "period=monthly&start_date=2026-02&end_date=2026-11").await;
    assert_eq!(sum(&found), 340);
    assert_eq!(found[0]["department_id"], "backend");
    assert_eq!(
        correct(&world, of_ada("2025-10", 1)).await.expect(201)["month"],
        "2025-10"
    );
    for month in ["2025-09", "2026-12"] {
        let refused = correct(&world, of_ada(month, 1)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (400, vec!["month".to_owned()])
        );
    }
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_level_that_a_correction_leaves_is_told_again() {
    let (world, _) = world(1_000).await;
    world.set_clock(NOON).await;
    let thresholds = async || {
        let page = world
            .admin("GET", "/v1/alerts", Value::Null)
            .await
            .expect(200);
        let all = page["items"].as_array().unwrap().clone();
        let mut all: Vec<i64> = all
            .iter()
            .filter_map(|alert| alert["metadata"]["threshold"].as_i64())
            .collect();
        all.sort_unstable();
        all
    };
    world
        .report(&[world.usage("e-1", "ada", 900, 0, None)])
        .await;
    assert_eq!(thresholds().await, [50, 80]);
    correct(&world, of_ada("2026-11", -300)).await.expect(201);
    assert_eq!(thresholds().await, [50, 80]);
    // More of it is told at once.
    correct(&world, of_ada("2026-11", 250)).await.expect(201);
    assert_eq!(thresholds().await, [50, 80, 80]);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn whichever_call_fails_a_correction_counts_once() {
    for when in [When::Before, When::After] {
        let mut call = 0;
        loop {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.set_clock(NOON).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            let budget = world
                .budget(Some("eng"), "tokens", json!(1_000), true)
                .await;
            let fault = Fault {
                call,
                when,
                kind: FaultKind::ConnectionReset,
            };
            world.system.engine().inject(fault);
            let body = of_ada("2026-11", 100).to_string();
            let headers = [("idempotency-key", "c-1")];
            let mut tries = 0;
            while world
                .raw(ADMIN, "POST", "/v1/corrections", &headers, body.clone())
                .await
                .status
                != 201
            {
                tries += 1;
                assert!(tries < 10, "call {call} {when:?}");
            }
            let has_fired = world.system.engine().faults_fired() > 0;
            world.system.engine().clear_faults();
            let spent = figure(&world.figures(&budget).await).0;
            assert_eq!(spent, 100, "call {call} {when:?}");
            assert!(books(&world, false).await.is_empty());
            if !has_fired {
                break;
            }
            call += 1;
        }
        assert!(
            call >= at_least(when, 6, 1),
            "{call} calls were made to fail"
        );
    }
}

#[tokio::test]
async fn a_correction_takes_away_at_most_what_was_recorded() {
    let (world, budget) = world(10_000).await;
    world.set_clock(NOON).await;
    world.user("bob", "eng").await;
    world
        .report(&[
            world.usage("e-1", "ada", 2_900, 0, None),
            world.usage("e-1", "bob", 700, 0, None),
        ])
        .await;
    let of_department = |tokens: i64, usd: f64| json!({"department_id": "eng", "month": "2026-11", "tokens": tokens, "usd": usd, "reason": "r"});
    for (body, field) in [
        (of_ada("2026-11", -2_901), "tokens"),
        (of_ada("2026-10", -1), "tokens"),
        (of_department(-3_601, 0.0), "tokens"),
        (of_department(-1, -0.009_001), "usd"),
    ] {
        let refused = correct(&world, body).await;
        assert_eq!(refused.status, 409);
        let said = refused.body["message"].as_str().unwrap();
        assert!(said.starts_with(field), "{said}");
    }
    assert_eq!(figure(&world.figures(&budget).await).0, 3_600);
    correct(&world, of_ada("2026-11", -2_900)).await.expect(201);
    correct(&world, of_department(-700, -0.009))
        .await
        .expect(201);
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 0, 10_000, 10_000)
    );
    // Once it is taken away at a level above, it is not there any more below.
    world
        .report(&[world.usage("e-2", "ada", 1_000, 0, None)])
        .await;
    correct(&world, of_department(-1_000, 0.0))
        .await
        .expect(201);
    let again = correct(&world, of_ada("2026-11", -1)).await;
    assert_eq!(again.status, 409, "{}", again.body);
    let refused = correct(&world, of_department(-1, 0.0)).await;
    assert_eq!(
        refused.status, 409,
        "two corrections do not take it away together"
    );
}
