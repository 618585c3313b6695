//! Every call to the database fails once, before it is applied or after: what is repeated is done once.

use super::{asking, company, company_with};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{ADMIN, AGENT, Answer, at_least, changes_cell, is_undecided};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

async fn each_step_is_done_once_whichever_call_fails(when: When) {
    for call in 0.. {
        let kind = FaultKind::ConnectionReset;
        if lives_through(Fault { call, when, kind }).await == 0 {
            assert!(
                call > at_least(when, 40, 30),
                "{call} calls were made to fail"
            );
            break;
        }
    }
}

#[tokio::test]
async fn whichever_call_fails_before_it_is_applied_each_step_is_done_once() {
    each_step_is_done_once_whichever_call_fails(When::Before).await;
}

#[tokio::test]
async fn whichever_answer_is_lost_each_step_is_done_once() {
    each_step_is_done_once_whichever_call_fails(When::After).await;
}

/// A whole life with one fault; how often it fired.
async fn lives_through(fault: Fault) -> u64 {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let company = company_with(settings, 100).await;
    let world = &company.world;
    world.system.engine().inject(fault);
    let persist = async |key: &str, method: &str, path: &str, body: Value| -> Answer {
        loop {
            let headers = [("idempotency-key", path)];
            let body = match &body {
                Value::Null => String::new(),
                body => body.to_string(),
            };
            let answer = world.raw(key, method, path, &headers, body).await;
            if answer.status != 503 && !is_undecided(&answer.body) {
                return answer;
            }
        }
    };
    let raise = asking(json!({"kind": "raise", "tokens": 500}));
    let asked = persist(&company.ada, "POST", "/v1/exemptions", raise).await;
    let id = asked.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/exemptions/{id}/approve");
    let approved = persist(ADMIN, "POST", &path, json!({})).await;
    // An answer that was lost is a decision that was made.
    assert!(
        matches!(approved.status, 200 | 409),
        "{fault:?} {}",
        approved.body
    );
    let ask = |name: &str, tokens: i64| {
        json!({
            "request_id": name, "user_id": "ada", "provider": "openai", "model": "gpt-4o",
            "input_tokens": tokens, "max_output_tokens": 0,
        })
    };
    let mut holds = Vec::new();
    for name in ["r-1", "r-2"] {
        let held = persist(AGENT, "POST", "/v1/preflight", ask(name, 200)).await;
        let held = held.expect(200);
        assert_eq!(held["exemption_id"], json!(id), "{fault:?} {held}");
        holds.push(held["hold"]["id"].as_str().unwrap().to_owned());
    }
    let refused = persist(AGENT, "POST", "/v1/preflight", ask("r-3", 201)).await;
    assert_eq!(refused.expect(200)["decision"], "block", "{fault:?}");
    let events = json!({"events": [world.usage("e-1", "ada", 150, 0, Some(&holds[0]))]});
    persist(AGENT, "POST", "/v1/events", events)
        .await
        .expect(202);
    world.system.drain().await.unwrap();
    let void = format!("/v1/holds/{}", holds[1]);
    assert_eq!(
        persist(AGENT, "DELETE", &void, Value::Null).await.status,
        204
    );
    let path = format!("/v1/exemptions/{id}/revoke");
    let revoked = persist(ADMIN, "POST", &path, json!({})).await;
    assert!(
        matches!(revoked.status, 200 | 409),
        "{fault:?} {}",
        revoked.body
    );
    let fired = world.system.engine().faults_fired();
    world.system.engine().clear_faults();
    world.system.drain().await.unwrap();
    let hours = std::time::Instant::now() + std::time::Duration::from_secs(60);
    world.set_clock("2026-11-24T12:20:00Z").await;
    world.system.schedule(hours).await.unwrap();
    world.system.drain().await.unwrap();

    assert_eq!(company.figures().await, [50, 150, 0, 0], "{fault:?}");
    let seen = company.exemption(&id).await;
    assert_eq!(
        (&seen["status"], &seen["used"]["tokens"]),
        (&json!("revoked"), &json!(50)),
        "{fault:?}"
    );
    let log = "/v1/audit-log?action=exemption&limit=100";
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    let actions: Vec<&str> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["exemption.revoke", "exemption.approve", "exemption.request"],
        "{fault:?}"
    );
    let bus = world
        .admin("GET", "/local/bus", Value::Null)
        .await
        .expect(200);
    let bus = bus.to_string();
    for kind in [
        "exemption.requested",
        "exemption.approved",
        "exemption.revoked",
    ] {
        assert!(bus.contains(kind), "{fault:?} {kind} {bus}");
    }
    fired
}

#[tokio::test]
async fn the_books_agree_while_a_hold_under_an_exemption_is_settled_only_halfway() {
    let company = company(100).await;
    let raise = json!({"kind": "raise", "tokens": 300});
    company.granted(raise).await;
    let world = &company.world;
    let hold = world.hold("ada", "r-1", 300, 0).await;
    assert_eq!(company.figures().await, [200, 0, 300, 0]);
    let usage = [world.usage("e-1", "ada", 250, 0, Some(&hold))];
    world.crash(world.record(&usage), changes_cell).await;
    let (store, now) = (world.system.store(), world.system.clock().now());
    let month = "2026-11".parse().unwrap();
    let differences = async || store.compare_counters("demo", month, now).await.unwrap();
    assert_eq!(differences().await, [], "what is underway is no difference");
    world.record(&usage).await;
    assert_eq!(company.figures().await, [150, 250, 0, 0]);
    assert_eq!(differences().await, []);
}
