//! Admission under an exemption, and its entries in the books.

use super::company;
use end_to_end::{ADMIN, AGENT};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_of_n_admits_exactly_n_more_under_racing_requests() {
    let company = company(1_000).await;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 550}))
        .await;
    let world = &company.world;
    let ask = async |n: usize| {
        let name = format!("r-{n}");
        let decision = world.preflight("ada", &name, 100, 0).await;
        decision["decision"] == "allow"
    };
    let all = futures::future::join_all((0..60).map(ask)).await;
    let admitted = all.into_iter().filter(|is_admitted| *is_admitted).count();
    assert_eq!(admitted, 15, "ten by the cap and five by the raise");
    assert_eq!(company.figures().await, [500, 0, 1_500, 0]);
    let bob = world.preflight("bob", "r-1", 100, 0).await;
    assert_eq!(bob["decision"], "block", "it is ada's alone");
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 500);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn a_lift_records_every_token_and_takes_nothing_from_others() {
    let company = company(1_000).await;
    company.granted(json!({"kind": "lift"})).await;
    let world = &company.world;
    let small = world.hold("ada", "r-0", 100, 0).await;
    let large = world.hold("ada", "r-1", 5_000, 0).await;
    assert_eq!(company.figures().await, [5_000, 0, 5_100, 900]);
    world
        .report(&[
            world.usage("e-0", "ada", 100, 0, Some(&small)),
            world.usage("e-1", "ada", 4_000, 0, Some(&large)),
        ])
        .await;
    assert_eq!(company.figures().await, [4_000, 4_100, 0, 900]);
    world.hold("bob", "r-2", 900, 0).await;
    assert_eq!(company.figures().await, [4_000, 4_100, 900, 0]);
    let usage = "/v1/usage?user_id=ada&period=monthly&start_date=2026-11";
    let usage = world.admin("GET", usage, Value::Null).await.expect(200);
    assert_eq!(usage["items"][0]["total_tokens"], 4_100);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn the_answer_names_the_exemption_and_a_retry_holds_once() {
    let company = company(100).await;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 1_000}))
        .await;
    let world = &company.world;
    let plain = world.preflight("ada", "r-0", 100, 0).await;
    assert_eq!(plain["exemption_id"], Value::Null, "the cap had room");
    let first = world.preflight("ada", "r-1", 300, 0).await;
    assert_eq!(first["exemption_id"], json!(id), "{first}");
    let again = world.preflight("ada", "r-1", 300, 0).await;
    assert_eq!(
        (&again["hold"], &again["exemption_id"]),
        (&first["hold"], &json!(id))
    );
    assert_eq!(company.figures().await, [300, 0, 400, 0]);
}

#[tokio::test]
async fn voided_and_lapsed_amounts_return_to_the_exemption_and_late_usage_takes_them() {
    let company = company(0).await;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 1_000}))
        .await;
    let world = &company.world;
    let voided = world.hold("ada", "r-1", 400, 0).await;
    let path = format!("/v1/holds/{voided}");
    let answer = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 204);
    assert_eq!(company.figures().await, [0, 0, 0, 0]);
    let lapsed = world.hold("ada", "r-2", 1_000, 0).await;
    world.set_clock("2026-11-24T12:30:00Z").await;
    let next = world.hold("ada", "r-3", 600, 0).await;
    assert_eq!(company.figures().await, [600, 0, 600, 0]);
    world
        .report(&[world.usage("e-2", "ada", 300, 0, Some(&lapsed))])
        .await;
    assert_eq!(company.figures().await, [900, 300, 600, 0]);
    let too_much = world.preflight("ada", "r-4", 101, 0).await;
    assert_eq!(too_much["decision"], "block", "{too_much}");
    world
        .report(&[world.usage("e-3", "ada", 600, 0, Some(&next))])
        .await;
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 900);
    assert_eq!(company.figures().await, [900, 900, 0, 0]);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn a_raise_helps_in_its_unit_only() {
    let company = company(1_000_000).await;
    let world = &company.world;
    let usd = world.budget(None, "usd", json!(0.001), true).await;
    company
        .granted(json!({"kind": "raise", "tokens": 1_000_000}))
        .await;
    // gpt-4o: $2.50 a million.
    let refused = world.preflight("ada", "r-1", 1_000, 0).await;
    assert_eq!(refused["reasons"][0]["budget_id"], json!(usd), "{refused}");
    let id = company.granted(json!({"kind": "raise", "usd": 0.01})).await;
    let passed = world.preflight("ada", "r-1", 1_000, 0).await;
    assert_eq!(passed["exemption_id"], json!(id), "{passed}");
    let after = world.figures(&usd).await;
    assert_eq!(
        after["exempted"].to_string(),
        "0.0015",
        "the cap has $0.001"
    );
    assert_eq!(
        company.figures().await,
        [0, 0, 1_000, 999_000],
        "tokens are counted as ever"
    );
    let used = company.exemption(&id).await;
    assert_eq!(used["used"], json!({"tokens": 0, "usd": 0.0015}));
}

#[tokio::test]
async fn a_raise_of_both_units_gives_what_is_short_and_keeps_the_other() {
    let company = company(0).await;
    let world = &company.world;
    let usd = world.budget(None, "usd", json!(1_000), true).await;
    let both = json!({"kind": "raise", "tokens": 10_000, "usd": 0.001});
    let id = company.granted(both).await;
    // $0.0025 each: more than the raise has, and the cap in dollars is far away.
    for name in ["r-1", "r-2"] {
        world.hold("ada", name, 1_000, 0).await;
    }
    let used = company.exemption(&id).await;
    assert_eq!(used["used"], json!({"tokens": 2_000, "usd": 0}));
    let usd = world.figures(&usd).await;
    assert_eq!(usd["held"].to_string(), "0.005");
}

#[tokio::test]
async fn an_exemption_for_the_department_leaves_the_caps_above_it() {
    let company = company(100).await;
    let world = &company.world;
    world
        .budget(Some("backend"), "tokens", json!(10), true)
        .await;
    let id = company
        .granted(json!({"kind": "lift", "covers": "department"}))
        .await;
    let passed = world.preflight("ada", "r-1", 90, 0).await;
    assert_eq!(passed["exemption_id"], json!(id), "{passed}");
    assert_eq!(company.figures().await, [0, 0, 90, 10], "eng counts it");
    let refused = world.preflight("ada", "r-2", 11, 0).await;
    assert_eq!(refused["reasons"].as_array().unwrap().len(), 2, "{refused}");
}

#[tokio::test]
async fn an_offer_is_what_the_exemption_would_admit() {
    let company = company(100).await;
    company
        .granted(json!({"kind": "raise", "tokens": 1_000}))
        .await;
    let refused = company.world.preflight("ada", "r-1", 200, 901).await;
    assert_eq!(refused["offer"]["max_output_tokens"], 900, "{refused}");
}

#[tokio::test]
async fn of_several_the_one_that_ends_first_and_has_enough_gives() {
    let company = company(0).await;
    let later = company
        .granted(json!({"kind": "raise", "tokens": 500}))
        .await;
    let sooner = json!({"kind": "raise", "tokens": 100, "ends_at": "2026-11-25T00:00:00Z"});
    let sooner = company.granted(sooner).await;
    let world = &company.world;
    for (name, tokens, by) in [
        ("r-1", 200, Some(&later)),
        ("r-2", 60, Some(&sooner)),
        ("r-3", 60, Some(&later)),
        ("r-4", 300, None),
    ] {
        let decision = world.preflight("ada", name, tokens, 0).await;
        assert_eq!(decision["exemption_id"], json!(by), "{name} {decision}");
    }
}

#[tokio::test]
async fn a_budget_made_meanwhile_and_a_move_keep_the_books() {
    let company = company(0).await;
    company.granted(json!({"kind": "lift"})).await;
    let world = &company.world;
    let hold = world.hold("ada", "r-1", 400, 0).await;
    let all = world.budget(None, "tokens", json!(10_000), true).await;
    world.department("sales", None).await;
    world
        .admin("PATCH", "/v1/users/ada", json!({"department_id": "sales"}))
        .await
        .expect(200);
    world
        .report(&[world.usage("e-1", "ada", 300, 0, Some(&hold))])
        .await;
    assert_eq!(company.figures().await, [300, 300, 0, 0]);
    let all = world.figures(&all).await;
    assert_eq!(
        (&all["spent"], &all["available"]),
        (&json!(300), &json!(9_700))
    );
    assert_eq!(company.differences().await, 0);
    let repair = world
        .system
        .store()
        .repair_cell("demo", "2026-11".parse().unwrap());
    repair.await.unwrap();
    assert_eq!(company.figures().await, [300, 300, 0, 0]);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn a_refusal_says_what_to_ask_for_and_whom_and_it_helps() {
    let company = company(100).await;
    let world = &company.world;
    let refused = world.preflight("ada", "r-1", 500, 0).await;
    let help = &refused["reasons"][0]["exemption"];
    assert_eq!(help["requested_by"], json!(["ada", "mo"]), "{refused}");
    let mut body = help["request"].clone();
    body["reason"] = json!("the release");
    let id = company.ask(&company.ada, body).await;
    company.step(ADMIN, &id, "approve").await.expect(200);
    let passed = world.preflight("ada", "r-1", 500, 0).await;
    assert_eq!(passed["exemption_id"], json!(id), "{passed}");
}

#[tokio::test]
async fn the_proposed_exemption_is_in_the_units_that_are_short_and_it_helps() {
    // gpt-4o: $2.50 a million, so 1,000 tokens are a quarter of a cent.
    for (tokens, dollars, expected) in [
        (1_000_000, json!(0.001), ["null", "0.0025"]),
        (10, json!(1_000), ["1000", "null"]),
        (10, json!(0.001), ["1000", "0.0025"]),
    ] {
        let company = company(tokens).await;
        let world = &company.world;
        world.budget(None, "usd", dollars, true).await;
        let refused = world.preflight("ada", "r-1", 1_000, 0).await;
        let reasons = refused["reasons"].as_array().unwrap();
        let short = expected.iter().filter(|amount| **amount != "null").count();
        assert_eq!(reasons.len(), short, "{refused}");
        for reason in reasons {
            let request = &reason["exemption"]["request"];
            let amounts = ["tokens", "usd"].map(|name| request[name].to_string());
            assert_eq!(amounts, expected, "{reason}");
        }
        let mut body = reasons[0]["exemption"]["request"].clone();
        body["reason"] = json!("the release");
        let id = company.ask(&company.ada, body).await;
        company.step(ADMIN, &id, "approve").await.expect(200);
        let passed = world.preflight("ada", "r-1", 1_000, 0).await;
        assert_eq!(passed["exemption_id"], json!(id), "{passed}");
    }
}

#[tokio::test]
async fn a_blocked_user_stays_blocked() {
    let company = company(100).await;
    company.granted(json!({"kind": "lift"})).await;
    let world = &company.world;
    world
        .admin("PUT", "/v1/users/ada/block", json!({"reason": "a leak"}))
        .await
        .expect(200);
    let refused = world.preflight("ada", "r-1", 500, 0).await;
    assert_eq!(refused["reasons"][0]["code"], "user_blocked");
}

#[tokio::test]
async fn exempt_usage_lowers_no_rollover_and_crosses_no_level() {
    let company = company(1_000).await;
    let world = &company.world;
    let path = format!("/v1/budgets/{}", company.budget);
    world
        .admin("PATCH", &path, json!({"rollover": {"cap_percent": 100}}))
        .await
        .expect(200);
    company.granted(json!({"kind": "lift"})).await;
    let hold = world.hold("ada", "r-1", 5_000, 0).await;
    world
        .report(&[world.usage("e-1", "ada", 5_000, 0, Some(&hold))])
        .await;
    let alerts = world
        .admin("GET", "/v1/alerts", Value::Null)
        .await
        .expect(200);
    assert_eq!(alerts["items"], json!([]));
    world.set_clock("2026-12-02T12:00:00Z").await;
    assert_eq!(company.differences().await, 0);
    let closed = format!("{path}/rollovers");
    let closed = world.admin("GET", &closed, Value::Null).await.expect(200);
    let month = &closed["items"][0];
    assert_eq!(
        [
            &month["exempted"],
            &month["spent"],
            &month["unused"],
            &month["carried_out"]
        ],
        [&json!(5_000), &json!(5_000), &json!(1_000), &json!(1_000)]
    );
}

#[tokio::test]
async fn nothing_is_held_under_one_that_was_revoked() {
    let company = company(0).await;
    let id = company.granted(json!({"kind": "lift"})).await;
    let world = &company.world;
    world.hold("ada", "r-1", 100, 0).await;
    company.step(ADMIN, &id, "revoke").await.expect(200);
    let refused = world.preflight("ada", "r-2", 100, 0).await;
    assert_eq!(refused["decision"], "block");
    assert_eq!(company.figures().await, [100, 0, 100, 0]);
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 100);
}

#[tokio::test]
async fn a_raise_adds_to_what_is_left_and_a_refusal_names_it_and_its_rest() {
    let company = company(1_000).await;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 5_000}))
        .await;
    let world = &company.world;
    let large = world.preflight("ada", "r-1", 5_500, 0).await;
    assert_eq!(large["exemption_id"], json!(id), "{large}");
    assert_eq!(company.figures().await, [4_500, 0, 5_500, 0]);
    let refused = world.preflight("ada", "r-2", 501, 0).await;
    assert_eq!(refused["decision"], "block");
    let reason = &refused["reasons"][0];
    let left = json!([{"exemption_id": id, "left": 500}]);
    assert_eq!(reason["exemptions_left"], left, "{reason}");
    let message = reason["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("{id} has 500 tokens left")),
        "{message}"
    );
    world.hold("ada", "r-3", 500, 0).await;
    let refused = world.preflight("ada", "r-4", 1, 0).await;
    assert_eq!(
        refused["decision"], "block",
        "5,000 more and not one beyond"
    );
    let hold = large["hold"]["id"].as_str().unwrap();
    world
        .report(&[world.usage("e-1", "ada", 300, 0, Some(hold))])
        .await;
    // The cap pays first, so what comes back is the raise and 700 of the cap.
    assert_eq!(company.figures().await, [500, 300, 500, 700]);
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 500);
    assert_eq!(company.differences().await, 0);
}
