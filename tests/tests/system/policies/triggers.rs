//! When each trigger fires, and for whom.

use super::{active, all, firings, risk, tested, world};
use end_to_end::{AGENT, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn threshold(trigger: Value) -> Value {
    json!({"name": "Much", "trigger": trigger})
}

async fn used(world: &World, event_id: &str, user_id: &str, tokens: i64) {
    world
        .report(&[world.usage(event_id, user_id, tokens, 0, None)])
        .await;
}

#[tokio::test]
async fn a_user_s_total_fires_once_a_month_at_the_event_that_reaches_it() {
    let world = world().await;
    let id = active(
        &world,
        threshold(json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1000})),
    )
    .await;
    used(&world, "e-1", "ada", 999).await;
    used(&world, "e-2", "sam", 999).await;
    assert!(firings(&world, &id).await.is_empty());
    used(&world, "e-3", "ada", 1).await;
    used(&world, "e-4", "ada", 500).await;
    let fired = firings(&world, &id).await;
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(
        (&fired[0]["type"], &fired[0]["user_id"]),
        (&json!("policy_violation"), &json!("ada"))
    );
    assert_eq!(
        fired[0]["metadata"]["measured"],
        json!({"unit": "tokens", "value": 1000, "threshold": 1000})
    );
    assert_eq!(fired[0]["metadata"]["event"]["event_id"], "e-3");
    world.set_clock("2026-12-02T00:00:00Z").await;
    used(&world, "e-5", "ada", 1_000).await;
    assert_eq!(
        firings(&world, &id).await.len(),
        2,
        "a new month fires anew"
    );
}

#[tokio::test]
async fn events_of_one_batch_see_only_earlier_ones() {
    let world = world().await;
    let mut policy =
        threshold(json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 100}));
    policy["conditions"] = json!([{"field": "model_id", "op": "eq", "value": "special"}]);
    let id = active(&world, policy).await;
    let mut special = world.usage("e-1", "ada", 60, 0, None);
    special["model"] = json!("special");
    world
        .report(&[special.clone(), world.usage("e-2", "ada", 60, 0, None)])
        .await;
    assert!(
        firings(&world, &id).await.is_empty(),
        "60 were used when the special one came"
    );
    special["event_id"] = json!("e-3");
    special["input_tokens"] = json!(0);
    world.report(&[special]).await;
    assert_eq!(
        firings(&world, &id).await[0]["metadata"]["event"]["event_id"],
        "e-3"
    );
}

#[tokio::test]
async fn departments_fire_each_for_itself_with_their_subtree() {
    let world = world().await;
    let each = active(
        &world,
        threshold(json!({"type": "token_budget_exceeded", "subject": "department", "usd": 0.01})),
    )
    .await;
    let one = active(
        &world,
        threshold(
            json!({"type": "department_threshold", "department_id": "engineering", "tokens": 5000}),
        ),
    )
    .await;
    let mut below =
        threshold(json!({"type": "token_budget_exceeded", "subject": "department", "tokens": 1}));
    below["conditions"] = json!([{"field": "department_id", "op": "eq", "value": "backend"}]);
    let below = active(&world, below).await;
    world.user("eve", "engineering").await;
    // gpt-4o: $2.50 a million of input, so 4,000 tokens are one cent.
    used(&world, "e-1", "eve", 3_999).await;
    used(&world, "e-2", "sam", 10_000).await;
    let fired = firings(&world, &each).await;
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0]["department_id"], "sales");
    assert_eq!(
        fired[0]["metadata"]["measured"]["threshold"].to_string(),
        "0.01"
    );
    assert!(firings(&world, &one).await.is_empty());
    used(&world, "e-3", "ada", 1_001).await;
    let fired = firings(&world, &each).await;
    let departments: BTreeSet<&str> = fired
        .iter()
        .map(|alert| alert["department_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        departments,
        BTreeSet::from(["engineering", "sales"]),
        "backend has used too little itself"
    );
    assert_eq!(firings(&world, &one).await.len(), 1);
    let fired = firings(&world, &below).await;
    assert_eq!(
        (fired.len(), &fired[0]["department_id"]),
        (1, &json!("backend")),
        "a department above is not below it"
    );
}

#[tokio::test]
async fn a_share_is_of_the_nearest_budget_for_a_user_and_of_its_own_for_a_department() {
    let world = world().await;
    world
        .budget(Some("engineering"), "tokens", json!(1_000), false)
        .await;
    world.budget(Some("sales"), "usd", json!(1), false).await;
    let user = active(
        &world,
        threshold(
            json!({"type": "token_budget_exceeded", "subject": "user", "budget_percent": 50}),
        ),
    )
    .await;
    let department = active(
        &world,
        threshold(
            json!({"type": "token_budget_exceeded", "subject": "department", "budget_percent": 80}),
        ),
    )
    .await;
    used(&world, "e-1", "ada", 499).await;
    used(&world, "e-2", "sam", 199_000).await;
    assert!(
        all(&world, "/v1/alerts")
            .await
            .iter()
            .all(|alert| alert["policy_id"].is_null())
    );
    used(&world, "e-3", "ada", 1).await;
    used(&world, "e-4", "sam", 1_000).await;
    assert_eq!(firings(&world, &user).await.len(), 2);
    used(&world, "e-5", "ada", 300).await;
    let fired = firings(&world, &department).await;
    assert_eq!(
        (fired.len(), &fired[0]["department_id"]),
        (1, &json!("engineering"))
    );
}

#[tokio::test]
async fn a_day_far_above_the_user_s_own_last_days_fires_once() {
    let world = world().await;
    let id = active(
        &world,
        json!({
            "name": "Wild",
            "trigger": {"type": "unusual_usage_pattern", "deviations": 3, "min_days": 7},
            "actions": [{"type": "email_user"}],
        }),
    )
    .await;
    for day in 1..=8 {
        world
            .set_clock(&format!("2026-11-{:02}T10:00:00Z", day + 10))
            .await;
        used(&world, &format!("a-{day}"), "ada", 90 + day * 2).await;
        used(
            &world,
            &format!("s-{day}"),
            "sam",
            if day > 3 { 100 } else { 0 },
        )
        .await;
    }
    assert!(firings(&world, &id).await.is_empty());
    world.set_clock("2026-11-24T09:00:00Z").await;
    // The days are 92 to 106: median 99, median deviation 4, but at least a tenth of the median: 99
    // + 3 x 9.9.
    used(&world, "a-9", "ada", 127).await;
    used(&world, "s-9", "sam", 1_000_000).await;
    assert!(
        firings(&world, &id).await.is_empty(),
        "sam has too few days"
    );
    used(&world, "a-10", "ada", 1).await;
    used(&world, "a-11", "ada", 5_000).await;
    let fired = firings(&world, &id).await;
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(
        (&fired[0]["type"], &fired[0]["user_id"]),
        (&json!("anomaly_detected"), &json!("ada"))
    );
    assert_eq!(
        fired[0]["metadata"]["measured"],
        json!({"unit": "tokens", "value": 128, "threshold": 128})
    );
    world.set_clock("2026-11-25T09:00:00Z").await;
    used(&world, "a-12", "ada", 5_000).await;
    assert_eq!(
        firings(&world, &id).await.len(),
        2,
        "another day fires anew"
    );
}

#[tokio::test]
async fn the_usual_days_of_a_user_reach_into_the_month_before() {
    let world = World::at("2026-10-28T10:00:00Z").await;
    world.department("engineering", None).await;
    world.user("ada", "engineering").await;
    let id = active(
        &world,
        json!({
            "name": "Wild",
            "trigger": {"type": "unusual_usage_pattern", "deviations": 3, "min_days": 7},
            "actions": [{"type": "email_user"}],
        }),
    )
    .await;
    let usual = [
        "10-28", "10-29", "10-30", "10-31", "11-02", "11-03", "11-04",
    ];
    for day in usual {
        world.set_clock(&format!("2026-{day}T10:00:00Z")).await;
        used(&world, day, "ada", 100).await;
    }
    assert!(firings(&world, &id).await.is_empty());
    world.set_clock("2026-11-06T10:00:00Z").await;
    used(&world, "wild", "ada", 5_000).await;
    let fired = firings(&world, &id).await;
    assert_eq!(fired.len(), 1, "four of the seven days are of October");
    // All days are the same, so a tenth of them is the scale: 100 + 3 x 10.
    assert_eq!(
        fired[0]["metadata"]["measured"],
        json!({"unit": "tokens", "value": 5_000, "threshold": 130})
    );
}

#[tokio::test]
async fn a_conflict_that_is_charged_to_a_hold_of_its_own_fires_like_any_other_event() {
    let world = world().await;
    world.budget(None, "tokens", json!(1_000_000), true).await;
    let id = active(
        &world,
        threshold(json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 100})),
    )
    .await;
    used(&world, "e-1", "ada", 10).await;
    world.set_clock("2026-11-24T12:01:00Z").await;
    // The client counts its events from 1 again.
    let hold = world.hold("ada", "r-1", 200, 0).await;
    let body = json!({"events": [world.usage("e-1", "ada", 200, 0, Some(&hold))]});
    let answer = world.call(AGENT, "POST", "/v1/events", body).await;
    assert_eq!(answer.expect(400)["conflicts"][0]["error"], "conflict");
    world.system.drain().await.unwrap();
    let fired = firings(&world, &id).await;
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(
        fired[0]["metadata"]["measured"],
        json!({"unit": "tokens", "value": 210, "threshold": 100})
    );
}

#[tokio::test]
async fn conditions_use_the_local_time_and_tokens_and_a_missing_value_matches_only_denials() {
    let world = world().await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"timezone": "Asia/Tokyo"}),
        )
        .await
        .expect(200);
    let trigger = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1});
    let with = |conditions: Value, combine: &str| {
        json!({
            "name": "x", "trigger": trigger, "match": combine, "conditions": conditions,
        })
    };
    let night = active(
        &world,
        with(
            json!([{"field": "time_of_day", "op": "between", "value": ["22:00", "06:00"]}]),
            "all",
        ),
    )
    .await;
    let missing = active(
        &world,
        with(
            json!([{"field": "risk_level", "op": "eq", "value": "high"}]),
            "all",
        ),
    )
    .await;
    let denied = active(
        &world,
        with(
            json!([{"field": "risk_level", "op": "ne", "value": "high"}]),
            "all",
        ),
    )
    .await;
    let either = active(
        &world,
        with(
            json!([
                {"field": "token_count", "op": "gte", "value": 10_000},
                {"field": "user_id", "op": "in", "value": ["sam"]},
            ]),
            "any",
        ),
    )
    .await;
    // Half past nine in the evening in Tokyo.
    world.set_clock("2026-11-24T12:30:00Z").await;
    used(&world, "e-1", "ada", 10).await;
    used(&world, "e-2", "sam", 10).await;
    assert_eq!(firings(&world, &night).await.len(), 0);
    assert_eq!(firings(&world, &missing).await.len(), 0);
    let fired = firings(&world, &denied).await;
    assert_eq!(fired.len(), 2);
    assert_eq!(
        fired[0]["metadata"]["conditions"][0],
        "risk_level ne high: holds, the event has no risk_level"
    );
    assert_eq!(firings(&world, &either).await[0]["user_id"], "sam");
    world.set_clock("2026-11-24T20:59:00Z").await;
    used(&world, "e-3", "ada", 10).await;
    assert_eq!(
        firings(&world, &night).await.len(),
        1,
        "one minute before six in the morning"
    );
}

#[tokio::test]
async fn late_events_are_judged_in_the_department_of_their_time() {
    let world = world().await;
    let of =
        |department: &str| json!([{"field": "department_id", "op": "eq", "value": department}]);
    let mut policies = Vec::new();
    for department in ["engineering", "sales"] {
        let mut risks = json!({"name": "Risks", "trigger": {"type": "ip_risk_event"}});
        risks["conditions"] = of(department);
        let used =
            json!({"type": "department_threshold", "department_id": department, "tokens": 100});
        policies.push((
            active(&world, risks).await,
            active(&world, threshold(used)).await,
        ));
    }
    let mut leak = risk(&world, "leak", Some("ada"), "high");
    let mut usage = world.usage("usage", "ada", 100, 0, None);
    world.set_clock("2026-11-24T13:00:00Z").await;
    let body = json!({"department_id": "sales"});
    world
        .admin("PATCH", "/v1/users/ada", body)
        .await
        .expect(200);
    world.report(&[leak.clone(), usage.clone()]).await;
    for (n, (risks, used)) in policies.iter().enumerate() {
        let expected = usize::from(n == 0);
        assert_eq!(firings(&world, risks).await.len(), expected, "{n}");
        assert_eq!(firings(&world, used).await.len(), expected, "{n}");
        for id in [risks, used] {
            let tested = tested(&world, id, 1).await;
            assert_eq!(tested["would_trigger"], expected, "a test agrees: {tested}");
        }
    }
    // Events from now on belong to sales.
    for (event, id) in [(&mut leak, "leak-2"), (&mut usage, "usage-2")] {
        event["event_id"] = json!(id);
        event["occurred_at"] = json!("2026-11-24T13:00:00Z");
    }
    world.report(&[leak, usage]).await;
    let (risks, used) = &policies[1];
    assert_eq!(firings(&world, risks).await.len(), 1);
    assert_eq!(firings(&world, used).await.len(), 1);
}

#[tokio::test]
async fn a_share_is_of_no_budget_that_was_made_after_the_month() {
    let world = world().await;
    world.set_clock("2027-09-01T12:00:00Z").await;
    world.budget(None, "tokens", json!(100_000), false).await;
    world.set_clock("2027-10-05T12:00:00Z").await;
    let backend = Some("backend");
    world.budget(backend, "tokens", json!(1_000), false).await;
    let of_user = json!({"type": "token_budget_exceeded", "subject": "user", "budget_percent": 50});
    let of_user = active(&world, threshold(of_user)).await;
    let of_each =
        json!({"type": "token_budget_exceeded", "subject": "department", "budget_percent": 50});
    let of_each = active(&world, threshold(of_each)).await;
    let of_one = json!({
        "type": "department_threshold", "department_id": "backend", "budget_percent": 50
    });
    let of_one = active(&world, threshold(of_one)).await;
    let late = async |event_id: &str, tokens: i64| {
        let mut event = world.usage(event_id, "ada", tokens, 0, None);
        event["occurred_at"] = json!("2027-09-20T12:00:00Z");
        world.report(&[event]).await;
    };
    let fired = async || {
        let mut fired = Vec::new();
        for id in [&of_user, &of_each, &of_one] {
            let live = firings(&world, id).await.len();
            let test = tested(&world, id, 30).await;
            assert_eq!(test["would_trigger"], live, "a test agrees: {test}");
            fired.push(live);
        }
        fired
    };
    late("e-1", 5_000).await;
    assert_eq!(fired().await, [0, 0, 0]);
    // The nearest budget of September is the organisation's.
    late("e-2", 45_000).await;
    assert_eq!(fired().await, [1, 0, 0]);
    let alerts = firings(&world, &of_user).await;
    assert_eq!(alerts[0]["metadata"]["measured"]["threshold"], 50_000);
    used(&world, "e-3", "ada", 500).await;
    assert_eq!(fired().await, [2, 1, 1], "october is its own");
}
