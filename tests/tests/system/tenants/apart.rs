//! The usage of each tenant counts only for itself.

use super::{Tenant, everything, fill, rival_of, text, two_tenants};
use end_to_end::{ADMIN, World};
use serde_json::{Value, json};

#[tokio::test]
async fn the_same_requests_and_events_count_in_each_tenant_by_themselves() {
    let world = World::empty().await;
    let first = fill(&world, ADMIN).await;
    let rival = rival_of(&world).await;
    let figures = async |tenant: &Tenant| {
        let path = format!("/v1/budgets/{}", tenant.ids["budget"]);
        let budget = world
            .call(&tenant.keys.admin, "GET", &path, Value::Null)
            .await
            .expect(200);
        (
            budget["spent"].as_i64().unwrap(),
            budget["held"].as_i64().unwrap(),
        )
    };
    let hold = async |tenant: &Tenant, tokens: i64| {
        let ask = json!({
            "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": tokens,
            "max_output_tokens": 0,
        });
        let decision = world
            .call(&tenant.keys.agent, "POST", "/v1/preflight", ask)
            .await
            .expect(200);
        text(&decision["hold"], "id")
    };
    let now = world.system.clock().now().to_string();
    let report = async |tenant: &Tenant, tokens: i64, hold: Option<&str>| {
        let mut event = world.usage("e-1", "ada", tokens, 0, hold);
        event["occurred_at"] = json!(now);
        let body = json!({"events": [event]});
        let answer = world
            .call(&tenant.keys.agent, "POST", "/v1/events", body)
            .await
            .expect(202);
        assert_eq!(answer["conflicts"], json!([]));
        world.system.drain().await.unwrap();
    };
    let first_hold = hold(&first, 100).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((0, 100), (0, 0))
    );
    let rival_hold = hold(&rival, 40).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((0, 100), (0, 40))
    );
    report(&first, 70, Some(&first_hold)).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (0, 40))
    );
    report(&rival, 5, Some(&rival_hold)).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (5, 0))
    );
    report(&first, 70, Some(&first_hold)).await;
    report(&rival, 5, Some(&rival_hold)).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (5, 0)),
        "each id once in each"
    );
}

#[tokio::test]
async fn a_tenants_changes_do_not_reach_the_other_one() {
    let (world, _, rival) = two_tenants().await;
    let before = everything(&world, ADMIN).await;
    let admin = &rival.keys.admin;
    let usd = format!("/v1/budgets/{}", rival.ids["usd"]);
    for (method, path, body) in [
        (
            "PATCH",
            "/v1/organisation",
            json!({"name": "New", "hold_seconds": 30, "models": {"deny": ["*"]}}),
        ),
        ("PATCH", "/v1/departments/eng", json!({"name": "New"})),
        ("PATCH", "/v1/users/ada", json!({"status": "suspended"})),
        ("PUT", "/v1/users/bob/block", json!({"reason": "leak"})),
        ("PATCH", usd.as_str(), json!({"amount": 0})),
    ] {
        world.call(admin, method, path, body).await.expect(200);
    }
    assert_eq!(
        world.call(admin, "DELETE", &usd, Value::Null).await.status,
        204
    );
    assert_eq!(everything(&world, ADMIN).await, before);
    assert_eq!(
        world.preflight("bob", "r-2", 1, 1).await["decision"],
        "allow"
    );
}
