//! The whole path: preflight holds, usage settles, the cap is never passed.

use end_to_end::{ADMIN, AGENT, World};
use serde_json::{Value, json};

/// A world with `eng` > `backend`, the user `ada` in it, and a hard cap of tokens on `eng`.
async fn world(cap: i64) -> (World, String) {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.user("ada", "backend").await;
    let budget = world.budget(Some("eng"), "tokens", json!(cap), true).await;
    (world, budget)
}

fn figure(budget: &Value) -> (i64, i64, i64, i64) {
    let of = |name: &str| budget[name].as_i64().unwrap();
    (of("spent"), of("held"), of("remaining"), of("available"))
}

#[tokio::test]
async fn a_request_is_held_settled_and_the_rest_comes_back() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 1_000, 4_000).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 5_000, 10_000, 5_000)
    );
    world
        .report(&[world.usage("e-1", "ada", 1_000, 500, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (1_500, 0, 8_500, 8_500)
    );
}

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
async fn money_is_held_and_counted_exactly() {
    let (world, _) = world(1_000_000).await;
    let usd = world.budget(None, "usd", json!(0.05), true).await;
    // gpt-4o: $2.50 and $10 a million.
    let decision = world.preflight("ada", "r-1", 1_000, 1_000).await;
    assert_eq!(decision["hold"]["usd"].to_string(), "0.0125");
    let hold = decision["hold"]["id"].as_str().unwrap();
    world
        .report(&[world.usage("e-1", "ada", 1_000, 333, Some(hold))])
        .await;
    let after = world.figures(&usd).await;
    assert_eq!(after["spent"].to_string(), "0.00583");
    assert_eq!(after["available"].to_string(), "0.04417");
    let refused = world.preflight("ada", "r-2", 1_000, 10_000).await;
    assert_eq!(refused["reasons"][0]["unit"], "usd");
    assert_eq!(refused["offer"]["max_output_tokens"], 4_167);
}

#[tokio::test]
async fn the_same_request_again_is_the_same_hold_and_another_body_is_a_conflict() {
    let (world, budget) = world(10_000).await;
    let first = world.preflight("ada", "r-1", 10, 10).await;
    let again = world.preflight("ada", "r-1", 10, 10).await;
    assert_eq!(first, again);
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
    let other =
        json!({"request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 11});
    let answer = world.call(AGENT, "POST", "/v1/preflight", other).await;
    assert_eq!(answer.status, 409);
}

#[tokio::test]
async fn a_voided_hold_comes_back_once_and_its_request_may_be_asked_again() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 10, 10).await;
    let path = format!("/v1/holds/{hold}");
    for _ in 0..2 {
        assert_eq!(
            world.call(AGENT, "DELETE", &path, Value::Null).await.status,
            204
        );
        assert_eq!(
            figure(&world.figures(&budget).await),
            (0, 0, 10_000, 10_000)
        );
    }
    let second = world.hold("ada", "r-1", 10, 10).await;
    assert_ne!(
        hold, second,
        "another hold, which the first one's void does not touch"
    );
    assert_eq!(
        world.call(AGENT, "DELETE", &path, Value::Null).await.status,
        204
    );
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
    let never = "hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA";
    assert_eq!(
        world
            .call(AGENT, "DELETE", &format!("/v1/holds/{never}"), Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_lapsed_hold_is_released_before_anybody_is_refused_and_its_late_usage_counts() {
    let (world, budget) = world(100).await;
    world.set_clock("2026-11-23T12:00:00Z").await;
    let hold = world.hold("ada", "r-1", 40, 60).await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "block"
    );
    world.set_clock("2026-11-23T12:10:00Z").await;
    let second = world.hold("ada", "r-2", 40, 60).await;
    world
        .report(&[world.usage("e-2", "ada", 40, 50, Some(&second))])
        .await;
    world
        .report(&[world.usage("e-1", "ada", 40, 10, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (140, 0, -40, -40),
        "recorded debt"
    );
    assert_eq!(
        world.preflight("ada", "r-3", 0, 0).await["decision"],
        "block"
    );
}

#[tokio::test]
async fn an_abandoned_hold_is_charged_where_the_organisation_wants_it_and_late_usage_only_the_difference()
 {
    let (world, budget) = world(1_000).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"abandoned_holds": "charge"}),
        )
        .await
        .expect(200);
    world.set_clock("2026-11-23T12:00:00Z").await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world.set_clock("2026-11-23T12:10:01Z").await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "block"
    );
    assert_eq!(figure(&world.figures(&budget).await), (1_000, 0, 0, 0));
    world
        .report(&[world.usage("e-1", "ada", 400, 100, Some(&hold))])
        .await;
    assert_eq!(figure(&world.figures(&budget).await), (500, 0, 500, 500));
    world
        .report(&[world.usage("e-1b", "ada", 10, 0, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (510, 0, 490, 490),
        "a second one counts in full"
    );
}

#[tokio::test]
async fn usage_without_a_hold_counts_and_every_event_counts_once() {
    let (world, budget) = world(1_000).await;
    let event = world.usage("e-1", "ada", 10, 5, None);
    world.report(std::slice::from_ref(&event)).await;
    world.report(&[event.clone(), event]).await;
    assert_eq!(figure(&world.figures(&budget).await), (15, 0, 985, 985));
    let hold = world.hold("ada", "r-1", 10, 10).await;
    let settle = world.usage("e-2", "ada", 10, 10, Some(&hold));
    world.report(&[settle.clone(), settle.clone()]).await;
    world.report(&[settle]).await;
    world
        .report(&[world.usage("e-3", "ada", 1, 1, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (15 + 20 + 2, 0, 963, 963),
        "a second event of one hold counts too"
    );
}

#[tokio::test]
async fn a_hundred_events_of_one_user_are_settled_together_to_the_same_sum() {
    let (world, budget) = world(100_000).await;
    let mut events = Vec::new();
    for n in 0..100 {
        let hold = world.hold("ada", &format!("r-{n}"), 100, 100).await;
        events.push(world.usage(&format!("e-{n}"), "ada", 100, n, Some(&hold)));
    }
    world.report(&events).await;
    let sum = 100 * 100 + (0..100).sum::<i64>();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (sum, 0, 100_000 - sum, 100_000 - sum)
    );
    world.report(&events).await;
    assert_eq!(figure(&world.figures(&budget).await).0, sum);
}

#[tokio::test]
async fn an_aborted_request_without_a_count_keeps_its_estimate_and_zero_is_zero() {
    let (world, budget) = world(10_000).await;
    let cut_off = world.hold("ada", "r-1", 100, 400).await;
    let failed = world.hold("ada", "r-2", 100, 400).await;
    let mut unknown = world.usage("e-1", "ada", 0, 0, Some(&cut_off));
    unknown["outcome"] = json!("aborted");
    unknown["input_tokens"] = Value::Null;
    unknown["output_tokens"] = Value::Null;
    let mut zero = world.usage("e-2", "ada", 0, 0, Some(&failed));
    zero["outcome"] = json!("failed");
    world.report(&[unknown, zero]).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (500, 0, 9_500, 9_500)
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
        (&json!("allow"), &json!("unpriced_model"))
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
    let released = world
        .admin("DELETE", "/v1/users/ada/block", Value::Null)
        .await
        .expect(200);
    assert_eq!(released["block"], Value::Null);
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
async fn strict_organisations_reserve_the_models_maximum() {
    let (world, _) = world(1_000_000).await;
    let ask = json!({"request_id": "r", "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_bytes": 90});
    let first = world
        .call(AGENT, "POST", "/v1/preflight", ask.clone())
        .await
        .expect(200);
    assert_eq!(first["hold"]["tokens"], 30 + 4_096);
    world
        .admin("PATCH", "/v1/organisation", json!({"reserve": "strict"}))
        .await
        .expect(200);
    let mut second = ask;
    second["request_id"] = json!("r-2");
    let second = world
        .call(AGENT, "POST", "/v1/preflight", second)
        .await
        .expect(200);
    assert_eq!(second["hold"]["tokens"], 90 + 16_384);
}

#[tokio::test]
async fn effective_budgets_come_nearest_first_with_the_binding_one() {
    let (world, eng) = world(1_000).await;
    let all = world.budget(None, "tokens", json!(500), true).await;
    let own = world
        .budget(Some("backend"), "usd", json!(100), false)
        .await;
    let seen = world
        .admin("GET", "/v1/budgets/effective?user_id=ada", Value::Null)
        .await
        .expect(200);
    let items: Vec<(&str, bool)> = seen["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["id"].as_str().unwrap(), b["binding"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        items,
        [
            (own.as_str(), false),
            (eng.as_str(), false),
            (all.as_str(), true)
        ]
    );
    assert_eq!(seen["exemptions"], json!([]));
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_and_its_neighbours_are_done() {
    let (world, budget) = world(1_000).await;
    world
        .system
        .queues()
        .send("events", "{not an event", std::time::Duration::ZERO)
        .unwrap();
    let foreign = json!({"organisation_id": "nobody", "received_at": "2026-11-23T12:00:00Z",
        "event": {"type": "ip_risk", "event_id": "x", "occurred_at": "2026-11-23T12:00:00Z", "risk_level": "low", "summary": "s"}});
    world
        .system
        .queues()
        .send("events", &foreign.to_string(), std::time::Duration::ZERO)
        .unwrap();
    world
        .report(&[world.usage("e-1", "ada", 10, 0, None)])
        .await;
    assert_eq!(figure(&world.figures(&budget).await).0, 10);
    let queues = world
        .call(ADMIN, "GET", "/local/queues", Value::Null)
        .await
        .expect(200);
    assert!(queues.to_string().contains("{not an event"), "{queues}");
}

#[tokio::test]
async fn bad_events_are_named_and_never_refuse_their_neighbours() {
    let (world, budget) = world(1_000).await;
    let good = world.usage("e-1", "ada", 10, 0, None);
    let mut old = world.usage("e-2", "ada", 10, 0, None);
    old["occurred_at"] = json!("2020-01-01T00:00:00Z");
    let mut future = world.usage("e-3", "ada", 10, 0, None);
    future["occurred_at"] = json!("2099-01-01T00:00:00Z");
    let prompt = json!({"event_id": "e-4", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada",
        "provider": "openai", "model": "gpt-4o", "input_tokens": 1, "output_tokens": -1, "prompt": "secret"});
    let unknown = world.usage("e-5", "bob", 1, 1, None);
    let body = json!({"events": [old, good, future, prompt, unknown, 5, {"type": "nonsense"}]});
    let answer = world
        .call(AGENT, "POST", "/v1/events", body)
        .await
        .expect(202);
    assert_eq!(answer["accepted"], 1);
    let rejected: Vec<(u64, Value, Vec<String>)> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let fields = r["details"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d["field"].as_str().unwrap().to_owned())
                .collect();
            (r["index"].as_u64().unwrap(), r["error"].clone(), fields)
        })
        .collect();
    let bad = json!("bad_request");
    assert_eq!(
        rejected[0],
        (0, bad.clone(), vec!["events[0].occurred_at".to_owned()])
    );
    assert_eq!(
        rejected[1],
        (2, bad.clone(), vec!["events[2].occurred_at".to_owned()])
    );
    assert_eq!(
        rejected[2],
        (
            3,
            bad.clone(),
            vec![
                "events[3].output_tokens".to_owned(),
                "events[3].prompt".to_owned()
            ]
        )
    );
    assert_eq!(rejected[3], (4, json!("unknown_user"), vec![]));
    assert_eq!(rejected[4].2, ["events[5]"]);
    assert_eq!(
        rejected[5].2,
        [
            "events[6].event_id",
            "events[6].type",
            "events[6].occurred_at"
        ]
    );
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await).0, 10);
}
