//! Alerts: one for each budget, month and level, at once if an amount changes, possible again if
//! it is raised.

use super::{figure, world};
use end_to_end::{AGENT, World};
use local::system::SystemSettings;
use serde_json::{Value, json};

async fn alerts(world: &World, query: &str) -> Vec<Value> {
    let path = format!("/v1/alerts?limit=100{query}");
    let body = world.admin("GET", &path, Value::Null).await.expect(200);
    body["items"].as_array().unwrap().clone()
}

fn thresholds(alerts: &[Value]) -> Vec<i64> {
    let percent = |alert: &Value| alert["metadata"]["threshold"].as_i64();
    let mut all: Vec<i64> = alerts.iter().filter_map(percent).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn each_level_is_told_once_however_often_and_concurrently_usage_comes() {
    let world = World::at("2026-11-20T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    assert!(alerts(&world, "").await.is_empty());
    world
        .report(&[world.usage("e-1", "ada", 499, 0, None)])
        .await;
    assert!(alerts(&world, "").await.is_empty(), "49.9 % is below 50 %");
    world.report(&[world.usage("e-2", "ada", 1, 0, None)]).await;
    let first = alerts(&world, "").await;
    assert_eq!(thresholds(&first), [50]);
    let alert = &first[0];
    assert_eq!(alert["type"], "budget_threshold");
    assert_eq!(
        (&alert["severity"], &alert["status"]),
        (&json!("low"), &json!("open"))
    );
    assert_eq!(alert["budget_id"], budget);
    assert_eq!(alert["department_id"], "eng");
    assert_eq!(alert["org_id"], "demo");
    assert_eq!(alert["metadata"]["spent"], 500);
    // Many at once, each twice, in batches that run beside each other.
    let events: Vec<Value> = (0..60)
        .map(|n| world.usage(&format!("m-{n}"), "ada", 10, 0, None))
        .collect();
    let mut sent = Vec::new();
    for _ in 0..2 {
        for chunk in events.chunks(15) {
            let body = json!({ "events": chunk });
            sent.push(world.call(AGENT, "POST", "/v1/events", body));
        }
    }
    for answer in futures::future::join_all(sent).await {
        answer.expect(202);
    }
    world.system.drain().await.unwrap();
    let all = alerts(&world, "").await;
    assert_eq!(thresholds(&all), [50, 80, 100]);
    assert_eq!(alerts(&world, "&severity=high").await.len(), 1);
    let passed = &alerts(&world, "&severity=high").await[0];
    assert_eq!(passed["type"], "budget_exceeded");
    assert!(passed["message"].as_str().unwrap().contains("soft cap"));
    // A new month alerts again.
    world.set_clock("2027-01-05T00:00:00Z").await;
    world
        .report(&[world.usage("n-1", "ada", 600, 0, None)])
        .await;
    assert_eq!(thresholds(&alerts(&world, "").await), [50, 50, 80, 100]);
}

#[tokio::test]
async fn one_of_two_batches_that_see_a_crossing_at_once_alerts() {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    let send = async |event_id: &str, tokens: i64| {
        let usage = world.usage(event_id, "ada", tokens, 0, None);
        let body = json!({ "events": [usage] });
        let sent = world.call(AGENT, "POST", "/v1/events", body).await;
        sent.expect(202);
    };
    send("e-1", 500).await;
    // The first batch has read that nothing was told yet.
    let tells =
        |operation: &str, body: &str| operation == "TransactWriteItems" && body.contains("told#");
    let first = world.system.deliver_events_once();
    let second = async {
        send("e-2", 1).await;
        world.system.deliver_events_once().await.unwrap();
        thresholds(&alerts(&world, "").await)
    };
    let (first, told) = world.meanwhile(first, tells, second).await;
    first.unwrap();
    assert_eq!(told, [50], "the second one was faster");
    world.system.drain().await.unwrap();
    assert_eq!(thresholds(&alerts(&world, "").await), [50]);
    let notices = world.admin("GET", "/local/notices", Value::Null).await;
    let notices = notices.expect(200);
    assert_eq!(notices["items"].as_array().unwrap().len(), 1, "{notices}");
    assert_eq!(figure(&world.figures(&budget).await).0, 501);
}

#[tokio::test]
async fn raising_the_amount_resets_the_levels_above_it_and_lowering_it_alerts_at_once() {
    let (world, budget) = world(1_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    let path = format!("/v1/budgets/{budget}");
    let amount = async |amount: i64| {
        let body = json!({ "amount": amount });
        world.admin("PATCH", &path, body).await.expect(200)
    };
    world
        .report(&[world.usage("e-1", "ada", 850, 0, None)])
        .await;
    assert_eq!(thresholds(&alerts(&world, "").await), [50, 80]);
    amount(1_500).await;
    assert_eq!(
        thresholds(&alerts(&world, "").await),
        [50, 80],
        "56 %: 50 stays told"
    );
    amount(1_000).await;
    assert_eq!(
        thresholds(&alerts(&world, "").await),
        [50, 80, 80],
        "80 was armed again"
    );
    amount(800).await;
    let all = alerts(&world, "").await;
    assert_eq!(thresholds(&all), [50, 80, 80, 100]);
    assert!(
        all[0]["metadata"]["threshold"].is_null(),
        "the gravest of one moment comes first"
    );
    assert_eq!(all[1]["metadata"]["threshold"], 100);
    let debt: Vec<&Value> = all
        .iter()
        .filter(|a| a["metadata"]["threshold"].is_null())
        .collect();
    assert_eq!(
        debt.len(),
        1,
        "a hard cap below what is spent is told as overspent"
    );
    assert_eq!(debt[0]["severity"], "critical");
    assert_eq!(figure(&world.figures(&budget).await), (850, 0, -50, -50));
    amount(800).await;
    assert_eq!(
        alerts(&world, "").await.len(),
        all.len(),
        "nothing is told twice"
    );
}

#[tokio::test]
async fn a_new_budget_or_threshold_below_the_spent_amount_alerts_at_once() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world
        .report(&[world.usage("e-1", "ada", 700, 0, None)])
        .await;
    let late = world
        .budget(Some("backend"), "tokens", json!(1_000), false)
        .await;
    assert_eq!(thresholds(&alerts(&world, "").await), [50]);
    let path = format!("/v1/budgets/{late}");
    world
        .admin("PATCH", &path, json!({"thresholds": [10, 70, 90]}))
        .await
        .expect(200);
    assert_eq!(thresholds(&alerts(&world, "").await), [10, 50, 70]);
}

#[tokio::test]
async fn usage_after_midnight_of_a_hold_before_it_alerts_for_the_month_of_the_hold() {
    let world = World::at("2026-11-30T23:59:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    let hold = world.hold("ada", "r-1", 600, 0).await;
    world.set_clock("2026-12-01T00:00:30Z").await;
    world
        .report(&[world.usage("e-1", "ada", 600, 0, Some(&hold))])
        .await;
    let told = alerts(&world, "").await;
    assert_eq!(thresholds(&told), [50], "{told:?}");
    let told = &told[0];
    assert_eq!(
        (&told["budget_id"], &told["metadata"]["period"]),
        (&json!(budget), &json!("2026-11"))
    );
}

#[tokio::test]
async fn an_alert_that_is_resolved_again_was_over_at_the_first_time() {
    let (world, _) = world(1_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world
        .report(&[world.usage("e-1", "ada", 500, 0, None)])
        .await;
    let all = alerts(&world, "").await;
    let path = format!("/v1/alerts/{}", all[0]["id"].as_str().unwrap());
    for (hour, status, resolved_at) in [
        (12, "resolved", json!("2026-11-20T12:00:00Z")),
        (13, "resolved", json!("2026-11-20T12:00:00Z")),
        (14, "open", Value::Null),
        (15, "resolved", json!("2026-11-20T15:00:00Z")),
    ] {
        world.set_clock(&format!("2026-11-20T{hour}:00:00Z")).await;
        let changed = world
            .admin("PATCH", &path, json!({ "status": status }))
            .await;
        assert_eq!(changed.expect(200)["resolved_at"], resolved_at, "{hour}");
        let seen = world.admin("GET", &path, Value::Null).await.expect(200);
        assert_eq!(seen["resolved_at"], resolved_at, "{hour}");
    }
}

#[tokio::test]
async fn alerts_are_listed_newest_first_and_can_be_acknowledged_and_resolved() {
    let (world, _) = world(1_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    for (n, tokens) in [(1, 500), (2, 300), (3, 200)] {
        world.set_clock(&format!("2026-11-2{n}T12:00:00Z")).await;
        world
            .report(&[world.usage(&format!("e-{n}"), "ada", tokens, 0, None)])
            .await;
    }
    let all = alerts(&world, "").await;
    let percent: Vec<&Value> = all.iter().map(|a| &a["metadata"]["threshold"]).collect();
    assert_eq!(percent, [&json!(100), &json!(80), &json!(50)]);
    let page = world
        .admin("GET", "/v1/alerts?limit=2", Value::Null)
        .await
        .expect(200);
    assert_eq!(page["has_more"], true);
    let next = format!(
        "/v1/alerts?limit=2&cursor={}",
        page["next_cursor"].as_str().unwrap()
    );
    let rest = world.admin("GET", &next, Value::Null).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap(), &all[2..]);
    let path = format!("/v1/alerts/{}", all[0]["id"].as_str().unwrap());
    let acknowledged = world
        .admin("PATCH", &path, json!({"status": "acknowledged"}))
        .await
        .expect(200);
    assert_eq!(acknowledged["resolved_at"], Value::Null);
    let resolved = world
        .admin("PATCH", &path, json!({"status": "resolved"}))
        .await
        .expect(200);
    assert_eq!(resolved["resolved_at"], "2026-11-23T12:00:00Z");
    assert_eq!(
        world.admin("GET", &path, Value::Null).await.expect(200),
        resolved
    );
    assert_eq!(alerts(&world, "&status=open").await.len(), 2);
    assert_eq!(alerts(&world, "&status=resolved").await, [resolved]);
    let wrong = world.admin("PATCH", &path, json!({"status": "gone"})).await;
    assert_eq!(
        (wrong.status, wrong.fields()),
        (400, vec!["status".to_owned()])
    );
    let unknown = world.admin("GET", "/v1/alerts/alr_0", Value::Null).await;
    assert_eq!(unknown.status, 404);
    let wrong = world
        .admin("GET", "/v1/alerts?status=new&severity=x", Value::Null)
        .await;
    assert_eq!(wrong.fields(), ["severity", "status"]);
}

#[tokio::test]
async fn a_soft_cap_without_thresholds_alerts_at_its_limit_and_requests_pass_with_a_warning() {
    let world = World::at("2026-11-20T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let body = json!({
        "name": "soft", "department_id": "eng", "unit": "tokens", "amount": 100, "hard_cap": false,
        "thresholds": [],
    });
    world.admin("POST", "/v1/budgets", body).await.expect(201);
    let hold = world.hold("ada", "r-1", 100, 0).await;
    world
        .report(&[world.usage("e-1", "ada", 100, 0, Some(&hold))])
        .await;
    assert_eq!(thresholds(&alerts(&world, "").await), [100]);
    let decision = world.preflight("ada", "r-2", 3, 0).await;
    assert_eq!(decision["decision"], "allow");
    assert_eq!(decision["warnings"][0]["code"], "soft_cap_exceeded");
    assert_eq!(decision["warnings"][0]["used_percent"], 103);
}
