//! A database that answers and does not decide opens nothing that has to hold; one that is silent
//! is an outage.

use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::runtime::settings::Patience;
use std::time::Duration;

/// A world whose functions try no call again: ada is under a hard cap, bob under a soft one.
async fn two_caps(settings: SystemSettings) -> World {
    let world = World::with(settings).await;
    for (department, user, is_hard) in [("eng", "ada", true), ("sales", "bob", false)] {
        world.department(department, None).await;
        world.user(user, department).await;
        world
            .budget(Some(department), "tokens", json!(1_000), is_hard)
            .await;
    }
    for user in ["ada", "bob"] {
        world.hold(user, "warm", 1, 0).await;
    }
    world
}

/// Events wait, so that the calls that are made to fail are those of preflight.
fn without_retries() -> SystemSettings {
    SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    }
}

/// How often a write of a cell is tried.
const WRITES: u64 = 24;

fn fail(world: &World, calls: u64, kind: FaultKind) {
    for call in 0..calls {
        let when = When::Before;
        world.system.engine().inject(Fault { call, when, kind });
    }
}

async fn set_on_unavailable(world: &World, value: &str) {
    let body = json!({ "on_unavailable": value });
    let changed = world.admin("PATCH", "/v1/organisation", body).await;
    changed.expect(200);
    for user in ["ada", "bob"] {
        world.hold(user, value, 1, 0).await;
    }
}

#[track_caller]
fn is_overloaded(answer: &Value, decision: &str) {
    let list = if decision == "block" {
        "reasons"
    } else {
        "warnings"
    };
    assert_eq!(answer["decision"], decision, "{answer}");
    assert_eq!(answer[list][0]["code"], "overloaded", "{answer}");
    assert_eq!(
        (&answer["hold"], &answer["degraded"]),
        (&Value::Null, &json!(false))
    );
    let seconds = match decision {
        "block" => json!(2),
        _ => Value::Null,
    };
    assert_eq!(answer["retry_after_seconds"], seconds);
    assert_eq!(answer["retryable"], decision == "block");
}

#[tokio::test]
async fn a_throttled_database_blocks_under_a_hard_cap_and_lets_pass_elsewhere() {
    let world = two_caps(without_retries()).await;
    for on_unavailable in ["allow", "deny"] {
        set_on_unavailable(&world, on_unavailable).await;
        for (user, decision) in [("ada", "block"), ("bob", "allow")] {
            fail(&world, WRITES, FaultKind::Throttled);
            is_overloaded(&world.preflight(user, "r-1", 1, 0).await, decision);
            // A request of nothing is decided by a read, which may be throttled as well.
            fail(&world, 1, FaultKind::Throttled);
            is_overloaded(&world.preflight(user, "r-1", 0, 0).await, decision);
        }
    }
}

#[tokio::test]
async fn if_others_are_always_first_the_database_blocks_under_a_hard_cap() {
    let world = two_caps(without_retries()).await;
    fail(&world, WRITES, FaultKind::TransactionConflict);
    is_overloaded(&world.preflight("ada", "r-1", 1, 0).await, "block");
    world.hold("ada", "r-1", 1, 0).await;
}

#[tokio::test]
async fn a_throttled_write_is_tried_again_in_time_and_then_blocks() {
    let settings = SystemSettings {
        preflight_patience: Some(Patience::SHORT),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = two_caps(settings).await;
    fail(&world, 1, FaultKind::Throttled);
    world.hold("ada", "r-1", 1, 0).await;
    // The client tries each write twice.
    fail(&world, WRITES - 1, FaultKind::Throttled);
    world.hold("ada", "r-2", 1, 0).await;
    fail(&world, 2 * WRITES, FaultKind::Throttled);
    is_overloaded(&world.preflight("ada", "r-3", 1, 0).await, "block");
}

#[tokio::test]
async fn nobody_who_is_blocked_passes_because_the_database_is_throttled() {
    let world = two_caps(without_retries()).await;
    let body = json!({"reason": "leak"});
    let blocked = world.admin("PUT", "/v1/users/bob/block", body).await;
    blocked.expect(200);
    let refused = world.preflight("bob", "r-1", 1, 0).await;
    assert_eq!(refused["reasons"][0]["code"], "user_blocked");
    fail(&world, 1, FaultKind::Throttled);
    is_overloaded(&world.preflight("bob", "r-1", 1, 0).await, "block");
}

#[tokio::test]
async fn an_instance_that_knows_nothing_opens_nothing_while_the_database_is_throttled() {
    let world = World::with(without_retries()).await;
    fail(&world, 20, FaultKind::Throttled);
    is_overloaded(&world.preflight("ada", "r-1", 1, 0).await, "block");
}

async fn silence_is_an_outage_and_an_answer_before_it_is_not(world: &World) {
    for (on_unavailable, decision) in [("allow", "allow"), ("deny", "block")] {
        set_on_unavailable(world, on_unavailable).await;
        // Nothing was heard of the database: an outage.
        fail(world, 1, FaultKind::Silence);
        let degraded = world.preflight("ada", "r-1", 1, 0).await;
        assert_eq!(
            (&degraded["decision"], &degraded["degraded"]),
            (&json!(decision), &json!(true))
        );
        // It has answered that another one was first, and then it was silent for too long.
        let inject = |call, kind| {
            let when = When::Before;
            world.system.engine().inject(Fault { call, when, kind });
        };
        inject(0, FaultKind::TransactionConflict);
        inject(1, FaultKind::Silence);
        is_overloaded(&world.preflight("ada", "r-1", 1, 0).await, "block");
    }
}

#[tokio::test]
async fn a_silent_database_is_an_outage_and_one_that_has_answered_before_is_not() {
    let patience = Patience {
        attempt: Duration::from_millis(100),
        attempts: 1,
    };
    let settings = SystemSettings {
        preflight_patience: Some(patience),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = two_caps(settings).await;
    silence_is_an_outage_and_an_answer_before_it_is_not(&world).await;
}

#[tokio::test]
async fn a_decision_ends_at_its_deadline() {
    let settings = SystemSettings {
        decision_time: Some(Duration::from_millis(300)),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = two_caps(settings).await;
    silence_is_an_outage_and_an_answer_before_it_is_not(&world).await;
    let body = json!({
        "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 1,
        "max_output_tokens": 0,
    });
    let answered = world.call(AGENT, "POST", "/v1/preflight", body).await;
    assert_eq!(
        answered.expect(200)["decision"],
        "allow",
        "nothing is left behind"
    );
}
