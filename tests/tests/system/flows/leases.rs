//! Leases: holds for several requests, made by one write and ended one by one.

use super::{figure, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, Answer, World, changes_cell, is_undecided};
use futures::future::join_all;
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Asks for a lease of `requests`, each of `tokens`.
async fn asked(world: &World, user: &str, id: &str, requests: u8, tokens: i64) -> Answer {
    let body = json!({
        "request_id": id, "user_id": user, "provider": "openai", "model": "gpt-4o",
        "input_tokens": tokens, "max_output_tokens": 0, "requests": requests,
    });
    world.call(AGENT, "POST", "/v1/preflight", body).await
}

pub(super) async fn lease(world: &World, user: &str, id: &str, requests: u8, tokens: i64) -> Value {
    asked(world, user, id, requests, tokens).await.expect(200)
}

/// The ids of the holds of a lease, the first one first.
pub(super) fn holds_of(lease: &Value) -> Vec<String> {
    let holds = lease["holds"].as_array().cloned().unwrap_or_default();
    let ids = holds.iter().map(|hold| hold["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

pub(super) async fn release(world: &World, hold: &str, query: &str) -> u16 {
    let path = format!("/v1/holds/{hold}{query}");
    world.call(AGENT, "DELETE", &path, Value::Null).await.status
}

async fn held(world: &World, budget: &str) -> i64 {
    figure(&world.figures(budget).await).1
}

#[tokio::test]
async fn a_lease_holds_for_all_its_requests_and_each_ends_by_itself() {
    let (world, budget) = world(10_000).await;
    let lease = lease(&world, "ada", "r-1", 5, 200).await;
    assert_eq!(lease["decision"], "allow", "{lease}");
    let holds = holds_of(&lease);
    assert_eq!(holds.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(lease["hold"], lease["holds"][0]);
    assert_eq!(
        (&lease["hold"]["tokens"], &lease["expires_at"]),
        (&json!(200), &json!("2026-11-24T12:01:00Z")),
        "a minute, although other holds live for two"
    );
    assert_eq!(held(&world, &budget).await, 1_000);
    world
        .report(&[
            world.usage("e-1", "ada", 150, 0, Some(&holds[0])),
            world.usage("e-2", "ada", 200, 0, Some(&holds[3])),
        ])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (350, 600, 9_650, 9_050)
    );
    assert_eq!(release(&world, &holds[1], "").await, 204);
    assert_eq!(held(&world, &budget).await, 400);
    // Any of its ids names the lease, even that of a request that is settled.
    for hold in [&holds[3], &holds[0], &holds[4]] {
        assert_eq!(release(&world, hold, "?lease=true").await, 204);
        assert_eq!(
            figure(&world.figures(&budget).await),
            (350, 0, 9_650, 9_650)
        );
    }
    let never = "hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA";
    assert_eq!(release(&world, never, "?lease=true").await, 404);
}

#[tokio::test]
async fn a_plain_hold_is_a_lease_of_itself_alone_and_its_answer_has_no_list() {
    let (world, budget) = world(10_000).await;
    let plain = world.preflight("ada", "r-1", 100, 0).await;
    assert!(plain.get("holds").is_none() && plain.get("expires_at").is_none());
    world.hold("ada", "r-2", 100, 0).await;
    let id = plain["hold"]["id"].as_str().unwrap();
    assert_eq!(release(&world, id, "?lease=true").await, 204);
    assert_eq!(held(&world, &budget).await, 100);
}

#[tokio::test]
async fn a_lease_is_held_whole_or_refused_with_what_would_fit() {
    let (world, budget) = world(1_000).await;
    let ask = async |id: &str, requests: u8, output: i64| {
        let body = json!({
            "request_id": id, "user_id": "ada", "model": "gpt-4o", "input_tokens": 100,
            "max_output_tokens": output, "requests": requests,
        });
        let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
        answer.expect(200)
    };
    let refused = ask("r-1", 3, 300).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    let reason = &refused["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["requested"], &reason["available"]),
        (&json!("budget_exhausted"), &json!(1_200), &json!(1_000))
    );
    assert_eq!(refused["offer"]["max_output_tokens"], 233);
    assert_eq!(
        (&refused["holds"], refused.get("expires_at")),
        (&json!([]), None)
    );
    assert_eq!(held(&world, &budget).await, 0);
    let passed = ask("r-1", 3, 233).await;
    assert_eq!(holds_of(&passed).len(), 3, "{passed}");
    assert_eq!(held(&world, &budget).await, 999);
    let refused = ask("r-2", 2, 0).await;
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_seconds"]),
        (&json!(true), &json!(60)),
        "only holds are in the way"
    );
}

#[tokio::test]
async fn asked_again_it_is_the_same_lease_of_which_nothing_is_held_anew_while_any_lives() {
    let (world, budget) = world(10_000).await;
    let first = lease(&world, "ada", "r-1", 4, 100).await;
    assert_eq!(lease(&world, "ada", "r-1", 4, 100).await, first);
    let other_bodies = [(3, 100), (5, 100), (4, 101)];
    for (requests, tokens) in other_bodies {
        let answer = asked(&world, "ada", "r-1", requests, tokens).await;
        assert_eq!(answer.status, 409, "{}", answer.body);
    }
    let plain = json!({
        "request_id": "r-1", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 100, "max_output_tokens": 0,
    });
    let plain = world.call(AGENT, "POST", "/v1/preflight", plain).await;
    assert_eq!(plain.status, 409);
    let mut holds = holds_of(&first);
    for n in 0..4 {
        let again = lease(&world, "ada", "r-1", 4, 100).await;
        assert_eq!(holds_of(&again), holds, "those that live");
        assert_eq!(again["hold"]["id"], json!(holds[0]));
        let left = i64::try_from(holds.len()).unwrap();
        assert_eq!(held(&world, &budget).await, 100 * left);
        // Settled or given back, first or last.
        let hold = holds.remove(if n == 2 { 1 } else { 0 });
        if n == 1 {
            assert_eq!(release(&world, &hold, "").await, 204);
        } else {
            let event = world.usage(&format!("e-{n}"), "ada", 90, 0, Some(&hold));
            world.report(&[event]).await;
        }
    }
    let second = lease(&world, "ada", "r-1", 4, 100).await;
    assert_eq!(
        holds_of(&second).len(),
        4,
        "all have ended: it is held anew"
    );
    assert!(
        holds_of(&second)
            .iter()
            .all(|id| !holds_of(&first).contains(id))
    );
    assert_eq!(
        figure(&world.figures(&budget).await),
        (270, 400, 9_730, 9_330)
    );
}

#[tokio::test]
async fn a_hold_of_it_that_is_resolved_and_still_in_the_cell_has_ended() {
    let (world, budget) = world(10_000).await;
    let holds = holds_of(&lease(&world, "ada", "r-1", 3, 100).await);
    world
        .crash(release(&world, &holds[1], ""), changes_cell)
        .await;
    let again = lease(&world, "ada", "r-1", 3, 100).await;
    assert_eq!(holds_of(&again), [holds[0].clone(), holds[2].clone()]);
    assert_eq!(held(&world, &budget).await, 200);
}

#[tokio::test]
async fn a_renewed_hold_lives_on_and_is_then_what_is_left_of_the_lease() {
    let (world, budget) = world(10_000).await;
    let holds = holds_of(&lease(&world, "ada", "r-1", 30, 100).await);
    let path = format!("/v1/holds/{}", holds[7]);
    let longer = json!({"extend_seconds": 300});
    world.call(AGENT, "PATCH", &path, longer).await.expect(200);
    world.set_clock("2026-11-24T12:01:00Z").await;
    let again = lease(&world, "ada", "r-1", 30, 100).await;
    assert_eq!(holds_of(&again), [holds[7].clone()]);
    assert_eq!(again["expires_at"], "2026-11-24T12:05:00Z");
    world.set_clock("2026-11-24T12:05:00Z").await;
    let second = lease(&world, "ada", "r-1", 30, 100).await;
    assert_eq!(holds_of(&second).len(), 30, "the first one has lapsed");
    assert_eq!(held(&world, &budget).await, 3_000);
}

#[tokio::test]
async fn a_lease_takes_a_place_for_each_of_its_requests() {
    let (world, _) = world(1_000_000).await;
    let body = json!({"user_holds_percent": 1});
    let changed = world.admin("PATCH", "/v1/organisation", body).await;
    changed.expect(200);
    let first = lease(&world, "ada", "r-1", 30, 1).await;
    assert_eq!(first["decision"], "allow");
    let refused = lease(&world, "ada", "r-2", 21, 1).await;
    assert_eq!(refused["reasons"][0]["code"], "too_many_holds", "{refused}");
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_seconds"]),
        (&json!(true), &json!(2))
    );
    lease(&world, "ada", "r-2", 20, 1).await;
    assert_eq!(lease(&world, "ada", "r-1", 30, 1).await, first, "a retry");
    // No wait helps a lease that is larger than the share.
    for user in ["ada", "bob"] {
        if user == "bob" {
            world.user("bob", "backend").await;
        }
        let refused = lease(&world, user, "r-3", 51, 1).await;
        assert_eq!(refused["reasons"][0]["code"], "too_many_holds", "{refused}");
        assert_eq!(refused["retryable"], false);
        let message = refused["reasons"][0]["message"].as_str().unwrap();
        assert!(message.contains("ask for fewer"), "{message}");
    }
}

#[tokio::test]
async fn no_exemption_admits_a_lease() {
    let (world, _) = world(100).await;
    world.user("root", "eng").await;
    let role = json!({"role": "admin"});
    world
        .admin("PATCH", "/v1/users/root", role)
        .await
        .expect(200);
    let key = async |role: &str, user_id: &str| {
        let body = json!({"role": role, "user_id": user_id});
        let made = world.admin("POST", "/v1/api-keys", body).await.expect(201);
        made["key"].as_str().unwrap().to_owned()
    };
    let (ada, root) = (key("member", "ada").await, key("admin", "root").await);
    let body = json!({
        "user_id": "ada", "kind": "lift", "reason": "a release",
        "ends_at": "2026-11-25T12:00:00Z",
    });
    let asked = world.call(&ada, "POST", "/v1/exemptions", body).await;
    let id = asked.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/exemptions/{id}/approve");
    let approved = world.call(&root, "POST", &path, json!({})).await;
    approved.expect(200);
    let refused = lease(&world, "ada", "r-1", 2, 60).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    assert_eq!(refused["exemption_id"], Value::Null);
    let passed = world.preflight("ada", "r-2", 120, 0).await;
    assert_eq!(passed["exemption_id"], json!(id), "one request has it");
}

#[tokio::test]
async fn a_strict_lease_covers_the_longest_answer_of_each_request() {
    let (world, budget) = world(1_000_000).await;
    let strict = json!({"reserve": "strict"});
    let changed = world.admin("PATCH", "/v1/organisation", strict).await;
    changed.expect(200);
    let body = json!({
        "request_id": "r-1", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_bytes": 90, "requests": 10,
    });
    let lease = world.call(AGENT, "POST", "/v1/preflight", body).await;
    let lease = lease.expect(200);
    assert_eq!(lease["hold"]["tokens"], 90 + 16_384);
    assert_eq!(held(&world, &budget).await, 10 * (90 + 16_384));
}

#[tokio::test]
async fn a_lease_of_nothing_and_one_without_a_budget_hold_nothing_and_end_after_a_minute() {
    let (world, _) = world(1_000).await;
    world.department("sales", None).await;
    world.user("bob", "sales").await;
    for (user, tokens) in [("ada", 0), ("bob", 500)] {
        let passed = lease(&world, user, "r-1", 50, tokens).await;
        assert_eq!(passed["decision"], "allow", "{passed}");
        assert_eq!(
            (&passed["hold"], &passed["holds"], &passed["expires_at"]),
            (&Value::Null, &json!([]), &json!("2026-11-24T12:01:00Z"))
        );
    }
}

#[tokio::test]
async fn money_of_a_lease_is_the_sum_of_its_requests() {
    let (world, _) = world(1_000_000).await;
    let usd = world.budget(None, "usd", json!(0.03), true).await;
    // gpt-4o: $2.50 a million, so 1,001 tokens are $0.0025025.
    let refused = lease(&world, "ada", "r-1", 12, 1_001).await;
    assert_eq!(refused["reasons"][0]["requested"].to_string(), "0.03003");
    let passed = lease(&world, "ada", "r-1", 11, 1_001).await;
    assert_eq!(passed["hold"]["usd"].to_string(), "0.002503");
    let figures = world.figures(&usd).await;
    assert_eq!(figures["held"].to_string(), "0.027528");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_leases_never_overshoot_and_each_is_held_whole_or_not_at_all() {
    const Q: i64 = 10;
    let (world, budget) = world(100 * Q).await;
    for n in 0..6 {
        world.user(&format!("u{n}"), "backend").await;
    }
    let world = Arc::new(world);
    let tasks = (0..90_usize).map(|n| {
        let world = world.clone();
        tokio::spawn(async move {
            let requests = [1, 7, 19][n % 3];
            let (user, id) = (format!("u{}", n % 6), format!("r-{n}"));
            let lease = lease(&world, &user, &id, requests, Q).await;
            let holds = holds_of(&lease).len();
            let is_whole = holds == usize::from(requests) || holds == 0;
            assert!(is_whole, "{requests}: {lease}");
            assert_eq!(lease["degraded"], false);
            (i64::from(requests), i64::try_from(holds).unwrap())
        })
    });
    let answers: Vec<(i64, i64)> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let admitted: i64 = answers.iter().map(|(_, holds)| holds).sum();
    assert_eq!(held(&world, &budget).await, admitted * Q);
    let left = 100 - admitted;
    assert!(left >= 0, "{admitted}");
    let mut refused = answers.iter().filter(|(_, holds)| *holds == 0);
    assert!(
        refused.all(|(requests, _)| *requests > left),
        "{left} fit, and were refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_of_one_lease_at_once_hold_it_once() {
    let (world, budget) = world(1_000_000).await;
    let world = Arc::new(world);
    let tasks = (0..40).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { holds_of(&lease(&world, "ada", "r-1", 20, 10).await) })
    });
    let answers = join_all(tasks).await.into_iter().map(Result::unwrap);
    let answers: BTreeSet<Vec<String>> = answers.collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(held(&world, &budget).await, 200);
}

#[tokio::test]
async fn each_call_of_a_lease_and_of_its_release_may_fail_and_nothing_is_held_twice_or_left() {
    let mut fired = 0;
    for (when, kind) in [
        (When::Before, FaultKind::InternalServerError),
        (When::After, FaultKind::ConnectionReset),
    ] {
        for call in 0..8 {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                delivers_events: false,
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            let budget = world.budget(Some("eng"), "tokens", json!(1_000), true);
            let budget = budget.await;
            world.hold("ada", "warm", 1, 0).await;
            let engine = world.system.engine();
            let fault = Fault { call, when, kind };
            let case = format!("call {call} {when:?}");
            engine.inject(fault);
            let mut answer = lease(&world, "ada", "r-1", 3, 100).await;
            while is_undecided(&answer) {
                answer = lease(&world, "ada", "r-1", 3, 100).await;
            }
            engine.clear_faults();
            assert_eq!(held(&world, &budget).await, 301, "{case}");
            let hold = answer["hold"]["id"].as_str().unwrap();
            engine.inject(fault);
            let mut tries = 0;
            while release(&world, hold, "?lease=true").await != 204 {
                tries += 1;
                assert!(tries < 5, "{case}");
            }
            fired += engine.faults_fired();
            engine.clear_faults();
            // If one was ended and left in the cell, the same call finishes it.
            assert_eq!(release(&world, hold, "?lease=true").await, 204);
            assert_eq!(held(&world, &budget).await, 1, "{case}");
        }
    }
    println!("{fired} calls failed");
    assert!(fired >= 10, "{fired}");
}

#[tokio::test]
async fn a_lease_is_one_write_whose_units_are_the_size_of_the_cell() {
    for requests in [1_u8, 10, 50, 100] {
        let (world, budget) = world(1_000_000).await;
        world.hold("ada", "warm", 1, 0).await;
        let engine = world.system.engine();
        let spent = || {
            let meter = engine.meter();
            engine.reset_meter();
            let cells = meter
                .tables
                .get("Counters")
                .map_or(0, |t| t.write_units_tenths);
            let writes = meter.calls.get("UpdateItem").copied().unwrap_or(0);
            (writes, cells / 10)
        };
        spent();
        let lease = lease(&world, "ada", "r-1", requests, 10).await;
        let (writes, units) = spent();
        assert_eq!(writes, 1);
        let holds = holds_of(&lease);
        let events = holds
            .iter()
            .enumerate()
            .map(|(n, hold)| world.usage(&format!("e-{n}"), "ada", 9, 0, Some(hold)));
        world.report(&events.collect::<Vec<_>>()).await;
        let (_, settled) = spent();
        println!(
            "a lease of {requests}: one write of {units} units; its settlement {settled} more"
        );
        // About 60 bytes for each hold: its key and its value.
        assert!(units <= 1 + u64::from(requests) / 14, "{units}");
        let spent = 9 * i64::from(requests);
        let expected = (spent, 1, 1_000_000 - spent, 1_000_000 - spent - 1);
        assert_eq!(figure(&world.figures(&budget).await), expected);
    }
}
