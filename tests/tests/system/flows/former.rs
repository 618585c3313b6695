//! The ledger that an earlier release has written: its records, resolutions, rows of usage and
//! users' months are read, compared, reported and added to.

use super::books::books;
use super::{figure, world};
use end_to_end::World;
use serde_json::{Value, json};

const DAYS: &str = "start_date=2026-11-20&end_date=2026-11-21";

/// Every report of the time, and the figures of the cap.
async fn seen(world: &World, budget: &str) -> Value {
    let mut all = vec![json!(figure(&world.figures(budget).await))];
    for query in [
        format!("period=hourly&{DAYS}"),
        format!("period=hourly&{DAYS}&user_id=ada"),
        format!("period=daily&{DAYS}"),
        format!("period=daily&{DAYS}&user_id=bob"),
        "period=monthly".to_owned(),
        "period=monthly&user_id=ada".to_owned(),
    ] {
        let mut cursor = String::new();
        let mut rows = Vec::new();
        loop {
            let path = format!("/v1/usage?limit=2&{query}{cursor}");
            let page = world.admin("GET", &path, Value::Null).await.expect(200);
            rows.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.push(json!(rows));
    }
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await;
    let tree = tree.expect(200);
    all.push(tree["items"][0]["usage"].clone());
    json!(all)
}

/// Usage of two users in hours of two days: settled, unheld, charged as abandoned, and corrected.
async fn used() -> (World, String, [Value; 2], String) {
    let (world, budget) = world(100_000).await;
    world.user("bob", "eng").await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    let charge = json!({"abandoned_holds": "charge"});
    world
        .admin("PATCH", "/v1/organisation", charge)
        .await
        .expect(200);
    let settled = world.hold("ada", "r-1", 100, 100).await;
    let abandoned = world.hold("bob", "r-2", 30, 30).await;
    let of_held = world.usage("e-1", "ada", 100, 50, Some(&settled));
    let unheld = world.usage("e-2", "bob", 5, 0, None);
    world.report(&[of_held.clone(), unheld.clone()]).await;
    world.set_clock("2026-11-21T13:30:00Z").await;
    let mini = world.hold("ada", "r-3", 10, 0).await;
    let mut of_mini = world.usage("e-3", "ada", 10, 0, Some(&mini));
    of_mini["model"] = json!("gpt-4o-mini");
    world
        .report(&[of_mini, world.usage("e-4", "bob", 7, 1, None)])
        .await;
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    (world, budget, [of_held, unheld], abandoned)
}

/// Sends what came before again, and more usage in the same hours and days.
async fn use_more(world: &World, known: &[Value; 2], abandoned: &str) {
    let before = world
        .admin("GET", "/v1/usage?period=monthly", Value::Null)
        .await;
    world.report(known).await;
    world.record(&known[..1]).await;
    let after = world
        .admin("GET", "/v1/usage?period=monthly", Value::Null)
        .await;
    assert_eq!(before.expect(200), after.expect(200), "it came before");
    let hold = world.hold("ada", "r-4", 40, 0).await;
    world
        .report(&[
            world.usage("e-5", "ada", 40, 2, Some(&hold)),
            world.usage("e-6", "bob", 3, 0, Some(abandoned)),
            world.usage("e-7", "bob", 1, 0, None),
        ])
        .await;
}

#[tokio::test]
async fn what_an_earlier_release_has_written_is_read_and_added_to_as_if_this_one_had() {
    let (always, cap, known, abandoned) = used().await;
    let (changed, cap_too, known_too, abandoned_too) = used().await;
    let before = seen(&always, &cap).await;
    assert!(changed.back_to_the_former_shape().await > 0);
    assert_eq!(seen(&changed, &cap_too).await, before);
    assert!(books(&changed, false).await.is_empty());
    use_more(&always, &known, &abandoned).await;
    use_more(&changed, &known_too, &abandoned_too).await;
    let after = seen(&always, &cap).await;
    assert_ne!(after, before);
    assert_eq!(seen(&changed, &cap_too).await, after);
    assert!(books(&changed, false).await.is_empty());
    // Another event of a hold that an earlier release has settled is late.
    let hold = known_too[0]["hold_id"].as_str().unwrap();
    changed
        .record(&[changed.usage("e-8", "ada", 1, 0, Some(hold))])
        .await;
    let late = figure(&changed.figures(&cap_too).await).0;
    assert_eq!(late, figure(&always.figures(&cap).await).0 + 1);
}

#[tokio::test]
async fn a_policy_adds_up_a_months_usage_of_both_releases() {
    let (world, _) = world(100_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    let trigger = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 100});
    let body = json!({"name": "x", "trigger": trigger, "actions": [{"type": "create_incident"}]});
    let made = world.admin("POST", "/v1/policies", body).await.expect(201);
    let path = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &path, Value::Null).await.expect(200);
    world
        .report(&[world.usage("e-1", "ada", 60, 0, None)])
        .await;
    world.back_to_the_former_shape().await;
    let incidents = async || {
        let page = world.admin("GET", "/v1/incidents", Value::Null).await;
        page.expect(200)["items"].as_array().unwrap().len()
    };
    world
        .report(&[world.usage("e-2", "ada", 39, 0, None)])
        .await;
    assert_eq!(incidents().await, 0, "99 of 100");
    world.report(&[world.usage("e-3", "ada", 1, 0, None)]).await;
    assert_eq!(incidents().await, 1);
}
