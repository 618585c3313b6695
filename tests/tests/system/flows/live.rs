//! Budgets that are made, changed, deleted and topped up while requests go on, and what their
//! levels have used.

use super::{figure, world};
use end_to_end::{ADMIN, AGENT, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Asks and reports until it is stopped; returns the usage.
async fn traffic(world: Arc<World>, client: usize, stop: Arc<AtomicBool>, used: Arc<AtomicU64>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("c{client}-{n}");
        let decision = world.preflight("ada", &name, 3, 4).await;
        let Some(hold) = decision["hold"]["id"].as_str() else {
            continue;
        };
        let usage = world.usage(&name, "ada", 3, 1, Some(hold));
        let body = json!({"events": [usage]});
        world
            .call(AGENT, "POST", "/v1/events", body)
            .await
            .expect(202);
        used.fetch_add(4, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_are_made_changed_and_deleted_while_requests_go_on() {
    let (world, whole) = world(1_000_000_000).await;
    let world = Arc::new(world);
    let (stop, used) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients = (0..8).map(|client| {
        let (stop, used) = (stop.clone(), used.clone());
        tokio::spawn(traffic(world.clone(), client, stop, used))
    });
    let clients: Vec<_> = clients.collect();
    let mut kept = Vec::new();
    for (n, (department, unit)) in [
        (None, "tokens"),
        (Some("backend"), "tokens"),
        (None, "usd"),
        (Some("backend"), "usd"),
        (Some("eng"), "usd"),
    ]
    .into_iter()
    .cycle()
    .take(15)
    .enumerate()
    {
        // Each is answered at the first try, however many requests are under way.
        let id = world.budget(department, unit, json!(1_000_000), true).await;
        let path = format!("/v1/budgets/{id}");
        let changed = json!({"amount": 2_000_000});
        world.admin("PATCH", &path, changed).await.expect(200);
        if n < 10 {
            assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
        } else {
            kept.push((id, unit));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    world.system.drain().await.unwrap();
    let used = i64::try_from(used.load(Ordering::Relaxed)).unwrap();
    assert!(used > 0);
    assert_eq!(figure(&world.figures(&whole).await).0, used);
    for (id, unit) in kept {
        let figures = world.figures(&id).await;
        assert_eq!(figures["held"].to_string(), "0", "{figures}");
        if unit == "tokens" {
            assert_eq!(figure(&figures).0, used, "{figures}");
        }
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let books = world.system.schedule(until).await.unwrap();
    assert_eq!(books.totals.differences, 0);
}

#[tokio::test]
async fn a_budget_that_is_made_again_keeps_its_usage_and_does_not_alert_again() {
    let (world, first) = world(100).await;
    world
        .report(&[world.usage("e-1", "ada", 90, 0, None)])
        .await;
    let alerts = async || {
        let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
        alerts.expect(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(alerts().await, 2, "at 50 and 80 percent");
    let path = format!("/v1/budgets/{first}");
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    world.report(&[world.usage("e-2", "ada", 5, 0, None)]).await;
    let again = world.budget(Some("eng"), "tokens", json!(100), true).await;
    assert_eq!(figure(&world.figures(&again).await), (95, 0, 5, 5));
    assert_eq!(alerts().await, 2, "the same levels are not told again");
    world.report(&[world.usage("e-3", "ada", 5, 0, None)]).await;
    assert_eq!(alerts().await, 3, "and the next one is");
    assert_eq!(
        world
            .system
            .schedule(soon())
            .await
            .unwrap()
            .totals
            .differences,
        0
    );
}

fn soon() -> std::time::Instant {
    std::time::Instant::now() + std::time::Duration::from_secs(60)
}

#[tokio::test]
async fn a_budget_can_be_made_and_deleted_without_end() {
    let (world, _) = world(1_000).await;
    for n in 0..600 {
        let unit = if n % 2 == 0 { "usd" } else { "tokens" };
        let id = world.budget(None, unit, json!(5), true).await;
        let path = format!("/v1/budgets/{id}");
        assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    }
    let cell = world
        .system
        .store()
        .cell("demo", "2026-11".parse().unwrap());
    let counters = cell.await.unwrap().map_or(0, |cell| cell.nodes.len());
    assert!(counters <= 6, "{counters}");
}

#[tokio::test]
async fn a_department_that_is_made_again_keeps_its_usage_and_the_roots_add_up() {
    let (world, eng) = world(10_000).await;
    world.department("lab", Some("eng")).await;
    world.user("bob", "lab").await;
    let hold = world.hold("bob", "r-1", 100, 0).await;
    world
        .report(&[world.usage("e-1", "bob", 700, 0, None)])
        .await;
    world
        .report(&[world.usage("e-2", "ada", 200, 0, None)])
        .await;
    let moved = json!({"department_id": "backend"});
    world
        .admin("PATCH", "/v1/users/bob", moved)
        .await
        .expect(200);
    let gone = world
        .admin("DELETE", "/v1/departments/lab", Value::Null)
        .await;
    assert_eq!(gone.status, 204);
    world.department("lab", None).await;
    let budget = world
        .budget(Some("lab"), "tokens", json!(1_000), true)
        .await;
    assert_eq!(figure(&world.figures(&budget).await), (700, 100, 300, 200));
    // A hold of its first life settles in the budget that it was made in.
    let usage = world.usage("e-3", "bob", 50, 0, Some(&hold));
    world.report(&[usage]).await;
    assert_eq!(figure(&world.figures(&budget).await), (750, 0, 250, 250));
    assert_eq!(figure(&world.figures(&eng).await).0, 950);
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await;
    let tree = tree.expect(200);
    let roots = tree["items"].as_array().unwrap().iter();
    let sum: i64 = roots
        .map(|root| root["usage"]["tokens"].as_i64().unwrap())
        .sum();
    assert_eq!(
        (sum, &tree["usage"]["tokens"]),
        (950, &json!(950)),
        "{tree}"
    );
    assert_eq!(
        world
            .system
            .schedule(soon())
            .await
            .unwrap()
            .totals
            .differences,
        0
    );
}

#[tokio::test]
async fn a_deleted_department_keeps_its_usage_among_the_roots() {
    let (world, _) = world(10_000).await;
    world.department("lab", None).await;
    world.user("bob", "lab").await;
    world
        .report(&[world.usage("e-1", "bob", 70, 0, None)])
        .await;
    let moved = json!({"department_id": "backend"});
    world
        .admin("PATCH", "/v1/users/bob", moved)
        .await
        .expect(200);
    let gone = world
        .admin("DELETE", "/v1/departments/lab", Value::Null)
        .await;
    assert_eq!(gone.status, 204);
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await;
    let tree = tree.expect(200);
    let lab = tree["items"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&lab["id"], &lab["deleted"], &lab["usage"]["tokens"]),
        (&json!("lab"), &json!(true), &json!(70))
    );
}

async fn top_up(world: &World, budget: &str, key: &str, amount: i64) -> end_to_end::Answer {
    let path = format!("/v1/budgets/{budget}/top-ups");
    let body = json!({"amount": amount, "reason": "The release"}).to_string();
    let headers = [("idempotency-key", key)];
    world.raw(ADMIN, "POST", &path, &headers, body).await
}

#[tokio::test]
async fn a_top_up_adds_for_this_month_only_and_does_not_carry_over() {
    let (world, budget) = world(1_000).await;
    let path = format!("/v1/budgets/{budget}");
    let carries = json!({"rollover": {"cap_percent": 100}});
    world.admin("PATCH", &path, carries).await.expect(200);
    assert_eq!(
        world.preflight("ada", "r-1", 1_400, 0).await["decision"],
        "block"
    );
    for _ in 0..2 {
        // A retry under the same key adds once.
        let seen = top_up(&world, &budget, "once", 500).await.expect(201);
        assert_eq!(
            (&seen["topped_up"], &seen["available"]),
            (&json!(500), &json!(1_500))
        );
    }
    let hold = world.hold("ada", "r-2", 1_200, 0).await;
    let usage = world.usage("e-1", "ada", 1_200, 0, Some(&hold));
    world.report(&[usage]).await;
    let seen = world.figures(&budget).await;
    assert_eq!(seen["exempted"], 500);
    assert_eq!(figure(&seen), (1_200, 0, 300, 300));
    assert_eq!(
        world.preflight("ada", "r-3", 301, 0).await["decision"],
        "block"
    );
    let log = "/v1/audit-log?action=budget.top_up";
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    assert_eq!(log["items"][0]["reason"], "The release");
    world.set_clock("2026-12-02T12:00:00Z").await;
    assert_eq!(
        world
            .system
            .schedule(soon())
            .await
            .unwrap()
            .totals
            .differences,
        0
    );
    let december = world.figures(&budget).await;
    assert_eq!(
        (
            &december["carried"],
            &december["topped_up"],
            &december["available"]
        ),
        (&json!(0), &json!(0), &json!(1_000)),
        "the own amount was used up first, so nothing is unused"
    );
}
