//! Changes in the middle of things: months, budgets, departments and users.

use super::{figure, world};
use end_to_end::AGENT;
use serde_json::{Value, json};

#[tokio::test]
async fn a_new_month_begins_with_its_first_request_and_a_hold_settles_in_its_own() {
    let (world, budget) = world(100).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"timezone": "America/New_York"}),
        )
        .await
        .expect(200);
    world.set_clock("2026-12-01T04:59:00Z").await;
    let hold = world.hold("ada", "r-1", 50, 50).await;
    assert!(hold.starts_with("hold_202611_"), "{hold}");
    world.set_clock("2026-12-01T05:00:00Z").await;
    let next = world.hold("ada", "r-2", 50, 50).await;
    assert!(next.starts_with("hold_202612_"), "{next}");
    world
        .report(&[world.usage("e-1", "ada", 10, 10, Some(&hold))])
        .await;
    let december = world.figures(&budget).await;
    assert_eq!(december["period_id"], "2026-12");
    assert_eq!(december["resets_at"], "2027-01-01T05:00:00Z");
    assert_eq!(
        figure(&december),
        (0, 100, 100, 0),
        "november's usage is november's"
    );
    world.set_clock("2026-12-01T04:59:59Z").await;
    assert_eq!(figure(&world.figures(&budget).await), (20, 0, 80, 80));
}

#[tokio::test]
async fn a_budget_made_in_the_middle_of_a_month_knows_what_was_spent_and_is_held() {
    let (world, _) = world(10_000).await;
    let settled = world.hold("ada", "r-1", 100, 100).await;
    world
        .report(&[
            world.usage("e-1", "ada", 100, 50, Some(&settled)),
            world.usage("e-2", "ada", 5, 5, None),
        ])
        .await;
    let living = world.hold("ada", "r-2", 300, 0).await;
    let late = world
        .budget(Some("backend"), "tokens", json!(1_000), true)
        .await;
    assert_eq!(figure(&world.figures(&late).await), (160, 300, 840, 540));
    let beside = world.budget(None, "usd", json!(1), false).await;
    assert_eq!(world.figures(&beside).await["held"].to_string(), "0.00075");
    world
        .report(&[world.usage("e-3", "ada", 300, 40, Some(&living))])
        .await;
    assert_eq!(figure(&world.figures(&late).await), (500, 0, 500, 500));
    assert_eq!(world.figures(&beside).await["held"].to_string(), "0");
}

#[tokio::test]
async fn changed_amounts_count_at_once_in_both_directions() {
    let (world, budget) = world(100).await;
    world.hold("ada", "r-1", 60, 0).await;
    let path = format!("/v1/budgets/{budget}");
    world
        .admin("PATCH", &path, json!({"amount": 50}))
        .await
        .expect(200);
    assert_eq!(figure(&world.figures(&budget).await), (0, 60, 50, -10));
    assert_eq!(
        world.preflight("ada", "r-2", 0, 0).await["decision"],
        "block"
    );
    world
        .admin("PATCH", &path, json!({"amount": 61}))
        .await
        .expect(200);
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "allow"
    );
    world
        .admin("PATCH", &path, json!({"hard_cap": false}))
        .await
        .expect(200);
    assert_eq!(
        world.preflight("ada", "r-3", 50, 0).await["decision"],
        "allow"
    );
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(
        world.preflight("ada", "r-4", 50, 0).await["hold"],
        Value::Null
    );
}

#[tokio::test]
async fn a_deleted_budgets_holds_still_settle_and_its_successor_counts_them() {
    let (world, budget) = world(1_000).await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    world
        .admin("DELETE", &format!("/v1/budgets/{budget}"), Value::Null)
        .await;
    let successor = world.budget(Some("eng"), "tokens", json!(500), true).await;
    assert_eq!(figure(&world.figures(&successor).await), (0, 200, 500, 300));
    world
        .report(&[world.usage("e-1", "ada", 100, 20, Some(&hold))])
        .await;
    assert_eq!(figure(&world.figures(&successor).await), (120, 0, 380, 380));
}

#[tokio::test]
async fn a_moved_department_or_user_leaves_spent_and_held_where_they_were() {
    let (world, old) = world(10_000).await;
    world.department("sales", None).await;
    let new = world
        .budget(Some("sales"), "tokens", json!(10_000), true)
        .await;
    let before_move = world.hold("ada", "r-1", 100, 100).await;
    world.report(&[world.usage("e-0", "ada", 7, 0, None)]).await;
    world
        .admin(
            "PATCH",
            "/v1/departments/backend",
            json!({"parent_id": "sales"}),
        )
        .await
        .expect(200);
    let after_move = world.hold("ada", "r-2", 10, 10).await;
    assert_eq!(figure(&world.figures(&old).await), (7, 200, 9_993, 9_793));
    assert_eq!(figure(&world.figures(&new).await), (0, 20, 10_000, 9_980));
    world
        .report(&[
            world.usage("e-1", "ada", 100, 50, Some(&before_move)),
            world.usage("e-2", "ada", 10, 5, Some(&after_move)),
        ])
        .await;
    assert_eq!(figure(&world.figures(&old).await), (157, 0, 9_843, 9_843));
    assert_eq!(figure(&world.figures(&new).await), (15, 0, 9_985, 9_985));
    world
        .admin("PATCH", "/v1/users/ada", json!({"department_id": "eng"}))
        .await
        .expect(200);
    world.hold("ada", "r-3", 1, 0).await;
    assert_eq!(figure(&world.figures(&old).await).1, 1);
    // A budget made now counts each record on the path it had.
    let late = world
        .budget(Some("backend"), "tokens", json!(1_000), true)
        .await;
    assert_eq!(figure(&world.figures(&late).await), (172, 0, 828, 828));
}

#[tokio::test]
async fn usage_of_a_deleted_department_counts_in_the_path_of_its_hold() {
    let (world, budget) = world(10_000).await;
    world.set_clock("2026-11-30T23:50:00Z").await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    let unsettled = world.hold("ada", "r-2", 100, 100).await;
    world.set_clock("2026-12-01T00:20:00Z").await;
    let moved = json!({"department_id": "eng"});
    world
        .admin("PATCH", "/v1/users/ada", moved)
        .await
        .expect(200);
    let gone = world
        .admin("DELETE", "/v1/departments/backend", Value::Null)
        .await;
    assert_eq!(gone.status, 204);
    world
        .report(&[world.usage("e-1", "ada", 100, 50, Some(&hold))])
        .await;
    let path = format!("/v1/holds/{unsettled}");
    assert_eq!(
        world.call(AGENT, "DELETE", &path, Value::Null).await.status,
        204
    );
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 0, 10_000, 10_000)
    );
    world.set_clock("2026-11-30T23:59:00Z").await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (150, 0, 9_850, 9_850)
    );
}
