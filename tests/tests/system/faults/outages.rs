//! Outages: decisions while the database is silent, and notices that are sent once whichever call
//! fails.

use super::steps::{Step, prepare_with, settings_of};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, SHORT_TRUST, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::org::organisation::OnUnavailable;
use shared::runtime::settings::Patience;
use std::time::Duration;

const NOON: &str = "2026-11-23T12:00:00Z";

async fn report(world: &World, events: &[Value]) -> bool {
    let answer = world
        .call(AGENT, "POST", "/v1/events", json!({ "events": events }))
        .await;
    if answer.status == 202 {
        world.system.drain().await.unwrap();
    }
    answer.status == 202
}

#[tokio::test]
async fn an_instance_that_knows_nothing_decides_by_the_deployment_in_an_outage() {
    for (on_unavailable, decision) in [
        (OnUnavailable::Allow, "allow"),
        (OnUnavailable::Deny, "block"),
    ] {
        let settings = SystemSettings {
            retry: RetryConfig::disabled(),
            on_unavailable,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        for call in 0..50 {
            world.system.engine().inject(Fault {
                call,
                when: When::Before,
                kind: FaultKind::ConnectionReset,
            });
        }
        let answer = world.preflight("ada", "r-1", 1, 1).await;
        assert_eq!(
            (&answer["decision"], &answer["degraded"]),
            (&json!(decision), &json!(true))
        );
        let wrong = json!({"user_id": "ada"});
        let refused = world.call(AGENT, "POST", "/v1/preflight", wrong).await;
        assert_eq!(
            refused.status, 400,
            "a wrong body is wrong in an outage too"
        );
        world.system.engine().clear_faults();
        let unknown = world
            .call("tk_nobody", "POST", "/v1/preflight", json!({}))
            .await;
        assert_eq!(unknown.status, 401);
    }
}

#[tokio::test]
async fn a_database_that_is_silent_is_waited_for_twice_and_then_the_organisation_decides() {
    let settings = SystemSettings {
        preflight_patience: Some(Patience::SHORT),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    world.hold("ada", "r-1", 100, 0).await;
    let silence = |call: u64, when: When| {
        let kind = FaultKind::Silence;
        world.system.engine().inject(Fault { call, when, kind });
    };
    // The first attempt takes effect and its answer is lost; the second finds its hold.
    silence(0, When::After);
    let held = world.preflight("ada", "r-2", 200, 0).await;
    assert_eq!(
        (&held["decision"], &held["degraded"]),
        (&json!("allow"), &json!(false))
    );
    assert_eq!(world.figures(&budget).await["held"], 300);
    for (on_unavailable, decision) in [("allow", "allow"), ("deny", "block")] {
        let body = json!({ "on_unavailable": on_unavailable });
        world
            .admin("PATCH", "/v1/organisation", body)
            .await
            .expect(200);
        // Reads the new settings while there are answers.
        world.hold("ada", decision, 1, 0).await;
        silence(0, When::Before);
        silence(1, When::Before);
        let degraded = world.preflight("ada", "r-3", 10, 0).await;
        assert_eq!(
            (&degraded["decision"], &degraded["degraded"]),
            (&json!(decision), &json!(true))
        );
        assert_eq!(degraded["on_unavailable"], on_unavailable);
    }
    assert_eq!(world.figures(&budget).await["held"], 302);
}

#[tokio::test]
async fn in_an_outage_every_decision_is_made_by_on_unavailable() {
    let settings = SystemSettings {
        keys_believed: Some(SHORT_TRUST),
        ..settings_of(Step::Hold)
    };
    let prepared = prepare_with(Step::Hold, settings).await;
    let world = &prepared.world;
    let fail = |calls: u64| {
        for call in 0..calls {
            let kind = FaultKind::ConnectionReset;
            world.system.engine().inject(Fault {
                call,
                when: When::Before,
                kind,
            });
        }
    };
    fail(50);
    let allowed = world.preflight("ada", "r-8", 1, 1).await;
    assert_eq!(
        (&allowed["decision"], &allowed["degraded"]),
        (&json!("allow"), &json!(true))
    );
    assert_eq!(
        (&allowed["hold"], &allowed["warnings"][0]["code"]),
        (&Value::Null, &json!("unavailable"))
    );
    // Longer than a key is trusted without asking.
    tokio::time::sleep(SHORT_TRUST + Duration::from_millis(50)).await;
    assert_eq!(world.preflight("ada", "r-8", 1, 1).await["degraded"], true);
    world.system.engine().clear_faults();
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"on_unavailable": "deny"}),
        )
        .await
        .expect(200);
    assert_eq!(world.preflight("ada", "r-9", 1, 1).await["degraded"], false);
    fail(50);
    let denied = world.preflight("ada", "r-10", 1, 1).await;
    assert_eq!(
        (&denied["decision"], &denied["retryable"]),
        (&json!("block"), &json!(true))
    );
    assert_eq!(
        (&denied["on_unavailable"], &denied["degraded"]),
        (&json!("deny"), &json!(true))
    );
}

#[tokio::test]
async fn a_crossing_is_told_once_whichever_call_fails() {
    for when in [When::Before, When::After] {
        let mut call = 0;
        loop {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.set_clock(NOON).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            world
                .budget(Some("eng"), "tokens", json!(1_000), true)
                .await;
            let hold = world.hold("ada", "r-1", 600, 0).await;
            let fired = world.system.engine().faults_fired();
            world.system.engine().inject(Fault {
                call,
                when,
                kind: FaultKind::ConnectionReset,
            });
            let events = [
                world.usage("e-1", "ada", 600, 0, Some(&hold)),
                world.usage("e-2", "ada", 400, 0, None),
            ];
            while !report(&world, &events).await {}
            let has_fired = world.system.engine().faults_fired() > fired;
            world.system.engine().clear_faults();
            // Every event once more, as a queue may do.
            assert!(report(&world, &events).await);
            let path = "/v1/alerts";
            let alerts = world.admin("GET", path, Value::Null).await.expect(200);
            let mut levels: Vec<i64> = alerts["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["metadata"]["threshold"].as_i64().unwrap())
                .collect();
            levels.sort_unstable();
            assert_eq!(levels, [50, 80, 100], "call {call} {when:?}");
            if !has_fired {
                break;
            }
            call += 1;
        }
        assert!(call > 8, "{call} calls were made to fail");
    }
}
