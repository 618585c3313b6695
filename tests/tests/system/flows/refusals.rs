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
    let warning = json!({
        "code": "soft_cap_exceeded", "budget_id": soft, "department_id": "eng", "used_percent": 103,
    });
    assert_eq!(passed["warnings"], json!([warning]));
}

async fn set_unknown_model(world: &World, setting: &str) {
    let body = json!({ "unknown_model": setting });
    let patched = world.admin("PATCH", "/v1/organisation", body).await;
    assert_eq!(patched.expect(200)["unknown_model"], setting);
}

#[tokio::test]
async fn an_unknown_model_counts_in_tokens_is_loud_and_is_refused_under_a_hard_cap_in_dollars() {
    let (world, budget) = world(10_000).await;
    set_unknown_model(&world, "refuse").await;
    let ask = |id: &str| {
        json!({
            "request_id": id, "user_id": "ada", "model": "nobody-knows-1", "input_tokens": 5,
            "max_output_tokens": 5,
        })
    };
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
    set_unknown_model(&world, "count").await;
    let counted = world
        .call(AGENT, "POST", "/v1/preflight", ask("r-2"))
        .await
        .expect(200);
    assert_eq!(counted["decision"], "allow");
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
}

#[tokio::test]
async fn an_unknown_model_passes_a_soft_cap_in_dollars_with_a_warning_and_a_hard_one_refuses_it() {
    let (world, budget) = world(10_000).await;
    let usd = world.budget(None, "usd", json!(5), false).await;
    set_unknown_model(&world, "refuse").await;
    let ask = async |id: &str| {
        let body = json!({
            "request_id": id, "user_id": "ada", "model": "nobody-knows-1", "input_tokens": 5,
            "max_output_tokens": 5,
        });
        let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
        answer.expect(200)
    };
    let passed = ask("r-1").await;
    assert_eq!(passed["decision"], "allow", "{passed}");
    let warning = &passed["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["model"]),
        (&json!("unpriced"), &json!("nobody-knows-1"))
    );
    assert_eq!(figure(&world.figures(&budget).await).1, 10);
    let path = format!("/v1/budgets/{usd}");
    let hard = world.admin("PATCH", &path, json!({"hard_cap": true})).await;
    hard.expect(200);
    let refused = ask("r-2").await;
    assert_eq!(
        (&refused["decision"], &refused["reasons"][0]["code"]),
        (&json!("block"), &json!("unknown_model"))
    );
    assert_eq!(figure(&world.figures(&budget).await).1, 10);
}

#[tokio::test]
async fn a_refusal_shows_what_is_spent_apart_from_what_is_held() {
    let (world, _) = world(1_000).await;
    world
        .report(&[world.usage("e-1", "ada", 300, 0, None)])
        .await;
    world.hold("ada", "r-1", 200, 0).await;
    let refused = world.preflight("ada", "r-2", 501, 0).await;
    let reason = &refused["reasons"][0];
    let figures = ["amount", "spent", "held", "available", "requested"];
    assert_eq!(
        figures.map(|name| reason[name].as_i64().unwrap()),
        [1_000, 300, 200, 500, 501],
        "{reason}"
    );
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

#[tokio::test]
async fn a_refusal_because_of_live_holds_alone_says_when_the_first_of_them_ends() {
    let (world, _) = world(1_000).await;
    world.hold("ada", "r-1", 600, 0).await;
    world.set_clock("2026-11-24T12:00:30Z").await;
    let second = world.hold("ada", "r-2", 400, 0).await;
    let refused = world.preflight("ada", "r-3", 10, 0).await;
    assert_eq!(refused["decision"], "block");
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_seconds"]),
        (&json!(true), &json!(90)),
        "a hold lives for two minutes"
    );
    let reason = &refused["reasons"][0];
    assert_eq!(reason["code"], "budget_exhausted");
    assert_eq!(
        (&reason["spent"], &reason["held"]),
        (&json!(0), &json!(1_000))
    );
    assert_eq!(
        reason["exemption"],
        Value::Null,
        "it is not what is missing"
    );
    let expected = "the budget \"a budget\" of eng has nothing of 1,000 tokens available and the \
        request needs 10 tokens; 1,000 tokens are held by requests in flight; \
        try again in 90 s";
    assert_eq!(reason["message"], expected);
    // Spent amounts do not come back: only a request up to the held amount may fit soon.
    world
        .report(&[world.usage("e-1", "ada", 400, 0, Some(&second))])
        .await;
    let fits_soon = world.preflight("ada", "r-4", 600, 0).await;
    assert_eq!(fits_soon["retry_after_seconds"], 90);
    let never_fits = world.preflight("ada", "r-4", 601, 0).await;
    assert_eq!(
        (&never_fits["retryable"], &never_fits["retry_after_seconds"]),
        (&json!(false), &Value::Null)
    );
    assert!(never_fits["reasons"][0]["exemption"].is_object());
    // As it said: when the hold has ended, the request passes.
    world.set_clock("2026-11-24T12:02:00Z").await;
    world.hold("ada", "r-4", 600, 0).await;
}

#[tokio::test]
async fn a_refusal_is_a_sentence_that_names_people_and_groups_digits() {
    let (world, _) = world(1_234_567).await;
    world.budget(None, "usd", json!(1_234.5), true).await;
    for (id, name, role, manager) in [
        ("m-1", "Mara", "manager", None),
        ("m-2", "Ines", "admin", None),
        ("of-mara", "Bob", "member", Some("m-1")),
        ("of-ines", "Eve", "member", Some("m-2")),
    ] {
        let body = json!({
            "id": id, "email": format!("{id}@example.com"), "name": name, "department_id": "eng",
            "role": role,
            "manager_id": manager,
        });
        world.admin("POST", "/v1/users", body).await.expect(201);
    }
    let messages = async |user: &str| {
        let refused = world.preflight(user, "r-1", 900_000_000, 0).await;
        let reasons = refused["reasons"].as_array().unwrap().clone();
        let messages = reasons
            .iter()
            .map(|r| r["message"].as_str().unwrap().to_owned());
        messages.collect::<Vec<String>>()
    };
    let tokens = "the budget \"a budget\" of eng has 1,234,567 tokens of 1,234,567 tokens \
        available and the request needs 900,000,000 tokens; it resets on 2026-12-01 00:00 UTC; \
        until then request an exemption, or ask ";
    let dollars = "the budget \"a budget\" of the organisation has $1,234.50 of $1,234.50 \
        available and the request needs $2,250; it resets on 2026-12-01 00:00 UTC; \
        until then request an exemption, or ask ";
    let expected = |whom: &str| [format!("{tokens}{whom}"), format!("{dollars}{whom}")];
    assert_eq!(messages("ada").await, expected("an administrator"));
    assert_eq!(
        messages("of-mara").await,
        expected("Mara or an administrator")
    );
    assert_eq!(
        messages("of-ines").await,
        expected("Ines or another administrator")
    );
    let body = json!({"status": "suspended"});
    let suspended = world.admin("PATCH", "/v1/users/m-2", body).await;
    suspended.expect(200);
    assert_eq!(messages("of-ines").await, expected("an administrator"));
    let may_request = async || {
        let refused = world.preflight("of-ines", "r-1", 900_000_000, 0).await;
        refused["reasons"][0]["exemption"]["requested_by"].clone()
    };
    assert_eq!(may_request().await, json!(["of-ines"]));
    // The next who is active is named: the manager of the department.
    let body = json!({"manager_id": "m-1"});
    let managed = world.admin("PATCH", "/v1/departments/eng", body).await;
    managed.expect(200);
    let named = expected("Mara or an administrator");
    assert_eq!(messages("of-ines").await, named);
    assert_eq!(may_request().await, json!(["of-ines", "m-1"]));
}
