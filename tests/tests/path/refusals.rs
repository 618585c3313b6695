//! Refusals and warnings: who is refused, why, and until when.

use super::{figure, world};
use end_to_end::{AGENT, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_refusal_names_each_short_level_and_what_would_fit() {
    let (world, budget) = world(10_000).await;
    let own = world
        .budget(Some("backend"), "tokens", json!(8_000), true)
        .await;
    world.budget(None, "usd", json!(1_000), true).await;
    let refused = world.preflight("ada", "r-1", 5_000, 6_000).await;
    assert_eq!(refused["decision"], "block");
    assert_eq!(refused["hold"], Value::Null);
    let named: Vec<&str> = refused["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["budget_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        [own.as_str(), budget.as_str()],
        "nearest first, and only the short ones"
    );
    let reason = &refused["reasons"][0];
    assert_eq!(reason["code"], "budget_exhausted");
    assert_eq!(
        (reason["requested"].as_i64(), reason["available"].as_i64()),
        (Some(11_000), Some(8_000))
    );
    assert!(
        reason["message"].as_str().unwrap().contains("resets on"),
        "{reason}"
    );
    assert_eq!(refused["offer"]["max_output_tokens"], 3_000);
    assert_eq!(refused["retryable"], false);
    let accepted = world.preflight("ada", "r-1", 5_000, 3_000).await;
    assert_eq!(
        accepted["decision"], "allow",
        "what was offered is admitted, under the same id"
    );
}

#[tokio::test]
async fn a_soft_cap_warns_and_lets_pass() {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let soft = world.budget(Some("eng"), "tokens", json!(100), false).await;
    assert_eq!(
        world.preflight("ada", "r-1", 100, 0).await["warnings"],
        json!([])
    );
    let passed = world.preflight("ada", "r-2", 3, 0).await;
    assert_eq!(passed["decision"], "allow");
    let warning = json!({"code": "soft_cap_exceeded", "budget_id": soft, "department_id": "eng", "used_percent": 103});
    assert_eq!(passed["warnings"], json!([warning]));
}

#[tokio::test]
async fn an_unknown_model_counts_in_tokens_is_loud_and_is_refused_under_a_hard_cap_in_dollars() {
    let (world, budget) = world(10_000).await;
    let ask = |id: &str| json!({"request_id": id, "user_id": "ada", "model": "nobody-knows-1", "input_tokens": 5, "max_output_tokens": 5});
    let passed = world
        .call(AGENT, "POST", "/v1/preflight", ask("r-1"))
        .await
        .expect(200);
    assert_eq!(
        (&passed["decision"], &passed["warnings"][0]["code"]),
        (&json!("allow"), &json!("unpriced"))
    );
    assert_eq!(passed["hold"]["usd"].to_string(), "0");
    world.budget(None, "usd", json!(5), true).await;
    let refused = world
        .call(AGENT, "POST", "/v1/preflight", ask("r-2"))
        .await
        .expect(200);
    assert_eq!(refused["reasons"][0]["code"], "unknown_model");
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"unknown_model": "count"}),
        )
        .await
        .expect(200);
    let counted = world
        .call(AGENT, "POST", "/v1/preflight", ask("r-2"))
        .await
        .expect(200);
    assert_eq!(counted["decision"], "allow");
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
}

#[tokio::test]
async fn a_blocked_suspended_or_unknown_user_is_refused_at_once_and_released_at_once() {
    let (world, _) = world(10_000).await;
    world.hold("ada", "r-0", 1, 1).await;
    let code =
        async |id: &str| world.preflight("ada", id, 1, 1).await["reasons"][0]["code"].clone();
    world
        .admin("PUT", "/v1/users/ada/block", json!({"reason": "leak"}))
        .await
        .expect(200);
    assert_eq!(code("r-1").await, "user_blocked");
    world
        .admin("DELETE", "/v1/users/ada/block", Value::Null)
        .await
        .expect(204);
    assert_eq!(code("r-1").await, Value::Null);
    world
        .admin("PATCH", "/v1/users/ada", json!({"status": "suspended"}))
        .await
        .expect(200);
    assert_eq!(code("r-2").await, "user_suspended");
    assert_eq!(
        world.preflight("bob", "r-3", 1, 1).await["reasons"][0]["code"],
        "unknown_user"
    );
}

#[tokio::test]
async fn a_block_ends_by_time_without_a_job() {
    let (world, _) = world(10_000).await;
    world.set_clock("2026-11-23T12:00:00Z").await;
    let body = json!({"reason": "until lunch is over", "until": "2026-11-23T13:00:00Z"});
    world
        .admin("PUT", "/v1/users/ada/block", body)
        .await
        .expect(200);
    let refused = world.preflight("ada", "r-1", 1, 1).await;
    assert_eq!(refused["reasons"][0]["resets_at"], "2026-11-23T13:00:00Z");
    world.set_clock("2026-11-23T13:00:00Z").await;
    assert_eq!(
        world.preflight("ada", "r-1", 1, 1).await["decision"],
        "allow"
    );
}

#[tokio::test]
async fn a_user_without_any_budget_passes_without_a_hold() {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let passed = world.preflight("ada", "r-1", 1, 1).await;
    assert_eq!(
        (&passed["decision"], &passed["hold"]),
        (&json!("allow"), &Value::Null)
    );
    world.budget(None, "tokens", json!(0), true).await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 1).await["decision"],
        "block",
        "a new budget is seen at once"
    );
}
