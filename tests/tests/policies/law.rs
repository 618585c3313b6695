//! The law of tests: over the same records in order of arrival a test says what the published policy did.

use super::{active, all, tested, world};
use end_to_end::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

fn policies() -> Vec<Value> {
    let all_actions = json!([
        {"type": "email_user"}, {"type": "email_manager"}, {"type": "create_incident"}, {"type": "webhook", "url": "https://example.com"},
    ]);
    let policy = |name: &str, trigger: Value, combine: &str, conditions: Value| json!({"name": name, "trigger": trigger, "match": combine, "conditions": conditions, "actions": all_actions});
    let budget = |subject: &str, name: &str, value: Value| json!({"type": "token_budget_exceeded", "subject": subject, name: value});
    vec![
        policy(
            "user tokens",
            budget("user", "tokens", json!(3_000)),
            "all",
            json!([]),
        ),
        policy(
            "user usd at night",
            budget("user", "usd", json!(0.004)),
            "all",
            json!([
                {"field": "time_of_day", "op": "between", "value": ["21:00", "05:00"]},
            ]),
        ),
        policy(
            "departments",
            budget("department", "tokens", json!(4_000)),
            "any",
            json!([
                {"field": "department_id", "op": "eq_exact", "value": "engineering"},
                {"field": "token_count", "op": "gt", "value": 700},
            ]),
        ),
        policy(
            "share of a budget",
            budget("department", "budget_percent", json!(40)),
            "all",
            json!([]),
        ),
        policy(
            "engineering",
            json!({"type": "department_threshold", "department_id": "engineering", "tokens": 6_000}),
            "all",
            json!([
                {"field": "model_id", "op": "matches", "value": "*mini"},
            ]),
        ),
        policy(
            "wild days",
            json!({"type": "unusual_usage_pattern", "min_days": 3, "deviations": 2.5}),
            "all",
            json!([
                {"field": "user_id", "op": "ne", "value": "sam"},
            ]),
        ),
        policy(
            "grave risks",
            json!({"type": "ip_risk_event"}),
            "all",
            json!([
                {"field": "risk_level", "op": "gte", "value": "high"},
                {"field": "department_id", "op": "in", "value": ["engineering"]},
            ]),
        ),
    ]
}

fn event(world: &World, random: &mut Random, number: u64) -> Value {
    let user = random.one_of(&["ada", "bob", "sam"]);
    let id = format!("e-{number:06}");
    if random.below(4) == 0 {
        let user = (random.below(3) > 0).then_some(user);
        return super::risk(
            world,
            &id,
            user,
            random.one_of(&["low", "medium", "high", "critical"]),
        );
    }
    let most = if random.below(12) == 0 { 2_500 } else { 400 };
    let tokens = i64::try_from(1 + random.below(most)).unwrap();
    let mut usage = world.usage(&id, user, tokens, 0, None);
    usage["model"] = json!(random.one_of(&["gpt-4o", "gpt-4o-mini"]));
    if random.below(5) == 0 {
        // Reported late: some hours, or from another month.
        let hours = random.one_of(&[3_i64, 30, 80, 24 * 33, 24 * 70]);
        let now = world.system.clock().now();
        usage["occurred_at"] = json!((now - jiff::SignedDuration::from_hours(hours)).to_string());
    }
    usage
}

#[tokio::test]
async fn the_live_firings_of_a_policy_are_those_that_its_test_counts() {
    for seed in 1..=3 {
        let world = world().await;
        world.set_clock("2026-09-28T12:00:00Z").await;
        world
            .admin(
                "PATCH",
                "/v1/organisation",
                json!({"timezone": "America/New_York"}),
            )
            .await
            .expect(200);
        world.user("bob", "engineering").await;
        world
            .budget(Some("sales"), "tokens", json!(9_000), false)
            .await;
        let mut ids = Vec::new();
        for policy in policies() {
            ids.push(active(&world, policy).await);
        }
        let mut random = Random(seed);
        let mut number = 0;
        // Two months of days in some of which nothing happens.
        let mut now: jiff::Timestamp = "2026-09-28T12:00:00Z".parse().unwrap();
        for _ in 0..70 {
            now +=
                jiff::SignedDuration::from_mins(i64::try_from(60 + random.below(2_400)).unwrap());
            world.set_clock(&now.to_string()).await;
            let count = 1 + random.below(9);
            let events: Vec<Value> = (0..count)
                .map(|_| {
                    number += 1;
                    event(&world, &mut random, number)
                })
                .collect();
            world.report(&events).await;
            // A queue delivers some events twice.
            if random.below(3) == 0 {
                world.report(&events).await;
            }
        }
        let alerts = all(&world, "/v1/alerts").await;
        let mut fired = 0;
        for (id, policy) in ids.iter().zip(policies()) {
            for days in [90, 20] {
                let window = now - jiff::SignedDuration::from_hours(24 * days);
                let is_within = |alert: &&Value| {
                    let at: jiff::Timestamp =
                        alert["created_at"].as_str().unwrap().parse().unwrap();
                    alert["policy_id"] == *id && at >= window
                };
                let live: Vec<&Value> = alerts.iter().filter(is_within).collect();
                let test = tested(&world, id, days).await;
                let name = &policy["name"];
                assert_eq!(
                    test["would_trigger"],
                    live.len(),
                    "{name}, {days} days, seed {seed}: {test}"
                );
                let count = |field: &str| {
                    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                    for alert in live.iter().filter_map(|alert| alert[field].as_str()) {
                        *counts.entry(alert.to_owned()).or_default() += 1;
                    }
                    json!(counts)
                };
                assert_eq!(test["by_user"], count("user_id"), "{name}");
                assert_eq!(test["by_department"], count("department_id"), "{name}");
                let with_user = live
                    .iter()
                    .filter(|alert| !alert["user_id"].is_null())
                    .count();
                assert_eq!(
                    test["would_do"],
                    json!({
                        "email_user": with_user, "email_manager": live.len(), "block_access": 0,
                        "create_incident": live.len(), "webhook": live.len(),
                    })
                );
                let by_day = test["by_day"].as_object().unwrap().values();
                let of_days: u64 = by_day.map(|count| count.as_u64().unwrap()).sum();
                assert_eq!(of_days, live.len() as u64);
                assert_eq!(
                    test["samples"].as_array().unwrap().len(),
                    live.len().min(20)
                );
                fired += live.len();
            }
            assert!(
                alerts.iter().any(|alert| alert["policy_id"] == *id),
                "{} never fired",
                policy["name"]
            );
        }
        assert!(fired > 60, "{fired}");
    }
}
