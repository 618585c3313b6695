//! Which event is which: by its user, its type and its id, with a digest of its body.

use super::books::books;
use super::{figure, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{AGENT, Answer, World};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::identity::{BodyDigest, EventIdentity};
use shared::domain::ledger::usage::{Event, Usage};
use shared::store::{Claim, Claimant};
use std::time::Duration;

const NOON: &str = "2026-11-24T12:00:00Z";

async fn send(world: &World, events: &[Value]) -> Answer {
    world
        .call(AGENT, "POST", "/v1/events", json!({ "events": events }))
        .await
}

/// The fields of an answer: accepted, duplicates, and the places of those in conflict and rejected.
fn said(answer: &Value) -> (u64, u64, Vec<u64>, Vec<u64>) {
    let places = |name: &str| -> Vec<u64> {
        let items = answer[name].as_array().unwrap().iter();
        items.map(|item| item["index"].as_u64().unwrap()).collect()
    };
    (
        answer["accepted"].as_u64().unwrap(),
        answer["duplicates"].as_u64().unwrap(),
        places("conflicts"),
        places("rejected"),
    )
}

async fn alerts(world: &World) -> Vec<Value> {
    let path = "/v1/alerts?limit=100";
    let body = world.admin("GET", path, Value::Null).await.expect(200);
    let all = body["items"].as_array().unwrap().clone();
    let is_conflict = |alert: &Value| alert["metadata"]["trouble"] == "conflict";
    all.into_iter().filter(is_conflict).collect()
}

/// The marks of the records of one event id, each with the tokens charged for it.
async fn marks(world: &World, event_id: &str) -> Vec<(String, i64)> {
    let scan = world.tables().scan().table_name("Ledger").send();
    let mut found = Vec::new();
    for item in scan.await.unwrap().items() {
        let text = |name: &str| match item.get(name) {
            Some(AttributeValue::S(text)) => Some(text.clone()),
            _ => None,
        };
        let tokens = match item.get("tokens") {
            Some(AttributeValue::N(tokens)) => tokens.parse().unwrap(),
            _ => 0,
        };
        if text("event_id").as_deref() == Some(event_id) && item.contains_key("day") {
            found.push((text("mark").unwrap_or_default(), tokens));
        }
    }
    found.sort();
    found
}

fn mark(mark: &str, tokens: i64) -> (String, i64) {
    (mark.to_owned(), tokens)
}

async fn two_users() -> (World, String) {
    let (world, budget) = world(100_000).await;
    world.set_clock(NOON).await;
    world.user("bob", "backend").await;
    (world, budget)
}

async fn spent(world: &World, budget: &str) -> i64 {
    figure(&world.figures(budget).await).0
}

#[tokio::test]
async fn two_users_may_give_their_events_the_same_id() {
    let (world, budget) = two_users().await;
    let events = [
        world.usage("1", "ada", 10, 0, None),
        world.usage("1", "bob", 200, 0, None),
        world.usage("None", "ada", 3_000, 0, None),
        world.usage("None", "bob", 40_000, 0, None),
    ];
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (4, 0, vec![], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 43_210);
    assert!(alerts(&world).await.is_empty());
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_usage_and_a_risk_of_one_id_both_count_and_each_fires_its_policies() {
    let (world, budget) = two_users().await;
    let policy = json!({
        "name": "risks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "create_incident"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let path = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &path, Value::Null).await.expect(200);
    let risk = |user: Option<&str>| {
        json!({
            "event_id": "e-1", "type": "ip_risk", "occurred_at": NOON, "user_id": user,
            "risk_level": "high",
            "summary": format!("of {user:?}"),
        })
    };
    let events = [
        world.usage("e-1", "ada", 10, 0, None),
        risk(Some("ada")),
        risk(Some("bob")),
        risk(None),
    ];
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (4, 0, vec![], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 10);
    let incidents = async || {
        let seen = world.admin("GET", "/v1/incidents", Value::Null).await;
        seen.expect(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(incidents().await, 3, "each risk has an incident of its own");
    let tested = async || {
        let test = json!({"window_days": 1});
        let path = format!("/v1/policies/{}/test", made["id"].as_str().unwrap());
        let tested = world.admin("POST", &path, test).await.expect(200);
        let count = |name: &str| tested[name].as_u64().unwrap();
        (count("events_evaluated"), count("would_trigger"))
    };
    assert_eq!(tested().await, (4, 3));
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (0, 4, vec![], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(incidents().await, 3);
    let mut other = risk(Some("bob"));
    other["risk_level"] = json!("critical");
    let answer = send(&world, &[other]).await.expect(400);
    assert_eq!(said(&answer), (0, 0, vec![0], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(incidents().await, 3, "a risk in conflict fires nothing");
    assert_eq!(tested().await, (4, 3), "and no test sees it");
    assert_eq!(alerts(&world).await.len(), 1);
}

#[tokio::test]
async fn a_request_says_of_each_event_whether_it_is_new_a_duplicate_or_in_conflict() {
    let (world, budget) = two_users().await;
    let first = world.usage("e-1", "ada", 10, 0, None);
    let other = world.usage("e-1", "ada", 500, 0, None);
    let events = [first.clone(), first.clone(), other.clone(), first.clone()];
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (1, 2, vec![2], vec![]));
    let conflict = &answer["conflicts"][0];
    assert_eq!(
        (&conflict["event_id"], &conflict["error"]),
        (&json!("e-1"), &json!("conflict"))
    );
    world.system.drain().await.unwrap();
    // The earlier report decides, not the order in the request.
    let answer = send(&world, &[other.clone(), first.clone()])
        .await
        .expect(202);
    assert_eq!(said(&answer), (0, 1, vec![0], vec![]));
    let refused = send(&world, std::slice::from_ref(&other)).await.expect(400);
    assert_eq!(said(&refused), (0, 0, vec![0], vec![]));
    assert_eq!(refused["error"], "bad_request");
    assert!(refused["request_id"].as_str().unwrap().starts_with("req_"));
    let mut bad = first.clone();
    bad["model"] = json!("");
    let refused = send(&world, &[other, bad]).await;
    assert_eq!(refused.fields(), ["events[1].model"]);
    assert_eq!(said(&refused.expect(400)), (0, 0, vec![0], vec![1]));
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 10);
    let expected = [mark("conflict", 0), mark("unreserved", 10)];
    assert_eq!(marks(&world, "e-1").await, expected);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_body_sent_many_times_at_once_is_accepted_once() {
    let (world, budget) = two_users().await;
    let events: Vec<Value> = (0..20)
        .map(|n| world.usage(&format!("e-{n}"), "ada", 10, 0, None))
        .collect();
    let sent = (0..8).map(|_| send(&world, &events));
    let (mut accepted, mut duplicates) = (0, 0);
    for answer in futures::future::join_all(sent).await {
        let said = said(&answer.expect(202));
        accepted += said.0;
        duplicates += said.1;
    }
    assert_eq!((accepted, duplicates), (20, 140));
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 200);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_conflict_is_marked_and_told_once_a_day_and_user() {
    let (world, budget) = two_users().await;
    for user in ["ada", "bob"] {
        for tokens in [10, 20, 30] {
            let event = world.usage("1", user, tokens, 0, None);
            send(&world, &[event]).await;
            world.system.drain().await.unwrap();
        }
    }
    assert_eq!(spent(&world, &budget).await, 20, "the first of each user");
    let told = alerts(&world).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (&told[0]["type"], &told[0]["severity"]),
        (&json!("anomaly_detected"), &json!("high"))
    );
    let mut whose: Vec<&str> = told.iter().filter_map(|a| a["user_id"].as_str()).collect();
    whose.sort_unstable();
    assert_eq!(whose, ["ada", "bob"]);
    assert_eq!(marks(&world, "1").await.len(), 6);
    world.set_clock("2026-11-25T12:00:00Z").await;
    let event = world.usage("1", "ada", 10, 0, None);
    send(&world, &[event]).await.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(alerts(&world).await.len(), 3, "again on the next day");
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_conflict_that_names_a_hold_of_its_own_settles_it_and_no_other_is_charged() {
    let (world, budget) = two_users().await;
    let first = world.hold("ada", "r-1", 100, 100).await;
    let second = world.hold("ada", "r-2", 100, 100).await;
    let lapsing = world.hold("ada", "r-3", 100, 100).await;
    world
        .report(&[world.usage("1", "ada", 100, 1, Some(&first))])
        .await;
    // The client counts from 1 again: another request, which was held for.
    let again = world.usage("1", "ada", 100, 2, Some(&second));
    for _ in 0..2 {
        send(&world, std::slice::from_ref(&again)).await.expect(400);
        world.system.drain().await.unwrap();
    }
    assert_eq!(
        figure(&world.figures(&budget).await),
        (203, 200, 99_797, 99_597)
    );
    // The request that was counted already, told in other words, by either event.
    let retold = world.usage("1", "ada", 100, 50, Some(&first));
    let doubled = world.usage("1", "ada", 100, 60, Some(&second));
    send(&world, &[retold, doubled]).await.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 203);
    // A hold that has ended by time is charged late.
    world.set_clock("2026-11-24T12:30:00Z").await;
    let late = world.usage("1", "ada", 7, 0, Some(&lapsing));
    world.hold("ada", "r-4", 100_000 - 500, 0).await;
    send(&world, &[late]).await.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 210);
    let expected = [
        mark("conflict", 0),
        mark("conflict", 0),
        mark("conflict", 7),
        mark("conflict", 102),
        mark("settled", 101),
    ];
    assert_eq!(marks(&world, "1").await, expected);
    assert!(books(&world, false).await.is_empty());
}

/// The id that a hold of the same request would have, and that nothing was ever held under.
fn with_another_nonce(hold_id: &str) -> String {
    let at = hold_id.len() - 2;
    let other = if &hold_id[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &hold_id[..at], &hold_id[at + 1..])
}

#[tokio::test]
async fn a_conflict_that_names_a_hold_that_never_was_is_not_charged() {
    let (world, budget) = two_users().await;
    world
        .report(&[world.usage("e-1", "ada", 10, 0, None)])
        .await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    let never_asked = HoldKey::derive("demo", "ada", "never");
    let never = [
        with_another_nonce(&hold),
        format!("hold_202611_{}_AAAAAAAAAA", never_asked.as_str()),
    ];
    for (n, hold) in (1..).zip(&never) {
        let event = world.usage("e-1", "ada", 100 + n, 0, Some(hold.as_str()));
        let answer = send(&world, &[event]).await.expect(400);
        assert_eq!(said(&answer), (0, 0, vec![0], vec![]));
        world.system.drain().await.unwrap();
        assert_eq!(
            figure(&world.figures(&budget).await),
            (10, 200, 99_990, 99_790),
            "{hold}"
        );
    }
    let expected = [
        mark("conflict", 0),
        mark("conflict", 0),
        mark("unreserved", 10),
    ];
    assert_eq!(marks(&world, "e-1").await, expected);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_hold_that_the_claimed_event_names_waits_for_that_event() {
    let (world, budget) = two_users().await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    let own = world.usage("1", "ada", 100, 1, Some(&hold));
    // The instance dies after the claim and before the queue has the event.
    claim(&world, &own, "died").await;
    let other = world.usage("1", "ada", 100, 50, Some(&hold));
    send(&world, &[other]).await.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 200, 100_000, 99_800)
    );
    let answer = send(&world, &[own]).await.expect(202);
    assert_eq!(said(&answer), (0, 1, vec![], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (101, 0, 99_899, 99_899)
    );
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_hold_that_an_event_names_which_the_queue_refused_waits_for_that_event() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(None, "tokens", json!(100_000), true).await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    let own = world.usage("1", "ada", 100, 1, Some(&hold));
    // It is claimed by then.
    world.system.queues().inject(Fault {
        call: 0,
        when: When::Before,
        kind: FaultKind::ConnectionReset,
    });
    let refused = send(&world, std::slice::from_ref(&own)).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    let other = world.usage("1", "ada", 100, 50, Some(&hold));
    send(&world, &[other]).await.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 200, 100_000, 99_800)
    );
    send(&world, &[own]).await.expect(202);
    world.system.drain().await.unwrap();
    assert_eq!(
        figure(&world.figures(&budget).await),
        (101, 0, 99_899, 99_899)
    );
    assert!(books(&world, false).await.is_empty());
}

/// Claims an event as an instance does that gets no further.
async fn claim(world: &World, event: &Value, report: &str) -> Claim {
    let event: Event = serde_json::from_value({
        let mut event = event.clone();
        event["outcome"] = json!("completed");
        event["cached_input_tokens"] = json!(0);
        event
    })
    .unwrap();
    let Event::LlmRequest(usage) = &event else {
        unreachable!("a usage event")
    };
    let usage: &Usage = usage;
    let claimant = Claimant {
        identity: &EventIdentity::of_usage(usage),
        digest: &BodyDigest::of_usage(usage),
        hold_id: usage.hold_id.as_deref(),
        report,
    };
    let now = world.system.clock().now();
    let store = world.system.store();
    store.claim("demo", claimant, now).await.unwrap()
}

#[tokio::test]
async fn a_claim_whose_event_was_never_queued_is_queued_by_its_next_sender() {
    let (world, budget) = two_users().await;
    let event = world.usage("e-1", "ada", 10, 0, None);
    assert_eq!(claim(&world, &event, "died").await, Claim::New);
    assert_eq!(claim(&world, &event, "died").await, Claim::New, "its own");
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 0);
    for _ in 0..2 {
        let answer = send(&world, std::slice::from_ref(&event)).await.expect(202);
        assert_eq!(said(&answer), (0, 1, vec![], vec![]));
        world.system.drain().await.unwrap();
        assert_eq!(spent(&world, &budget).await, 10);
    }
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn an_event_that_the_queue_refused_is_queued_by_the_next_try_and_counts_once() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(None, "tokens", json!(100_000), true).await;
    let event = world.usage("e-1", "ada", 10, 0, None);
    let events = [event.clone(), event];
    for when in [When::Before, When::After] {
        let kind = FaultKind::ConnectionReset;
        let fault = Fault {
            call: 0,
            when,
            kind,
        };
        world.system.queues().inject(fault);
        let answer = send(&world, &events).await;
        assert_eq!(answer.status, 503, "{when:?}: {}", answer.body);
    }
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (0, 2, vec![], vec![]), "claimed before");
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 10);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn an_event_that_the_queue_refused_alone_is_unavailable_and_counts_when_it_is_sent_again() {
    let (world, budget) = two_users().await;
    let events = ["e-1", "e-2", "e-3"].map(|id| world.usage(id, "ada", 10, 0, None));
    let refuse = |id: &str| {
        let part = format!("\"event_id\":\"{id}\"");
        world.system.queues().refuse_entry(&part);
    };
    refuse("e-2");
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (2, 0, vec![], vec![1]), "{answer}");
    let refused = &answer["rejected"][0];
    assert_eq!(
        (&refused["event_id"], &refused["error"]),
        (&json!("e-2"), &json!("unavailable"))
    );
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 20);
    let answer = send(&world, &events).await.expect(202);
    assert_eq!(said(&answer), (0, 3, vec![], vec![]), "claimed before");
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 30);
    // If it was the only one, the request fails with it.
    let last = [world.usage("e-4", "ada", 10, 0, None)];
    refuse("e-4");
    let answer = send(&world, &last).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    send(&world, &last).await.expect(202);
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 40);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn whichever_answer_is_lost_a_new_event_is_accepted_and_no_duplicate_of_itself() {
    for call in 0.. {
        let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let settings = SystemSettings {
            retry,
            delivers_events: false,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        world.set_clock(NOON).await;
        world.department("eng", None).await;
        world.user("ada", "eng").await;
        let budget = world.budget(None, "tokens", json!(100_000), true).await;
        let engine = world.system.engine();
        // The client of the database tries again by itself: it meets what its first try has
        // written.
        engine.inject(Fault {
            call,
            when: When::After,
            kind: FaultKind::ConnectionReset,
        });
        let answer = send(&world, &[world.usage("e-1", "ada", 10, 0, None)]).await;
        let has_fired = engine.faults_fired() > 0;
        engine.clear_faults();
        let answer = answer.expect(202);
        assert_eq!(said(&answer), (1, 0, vec![], vec![]), "call {call}");
        world.system.drain().await.unwrap();
        assert_eq!(spent(&world, &budget).await, 10, "call {call}");
        if !has_fired {
            assert!(call >= 1, "the claim: {call}");
            break;
        }
    }
}

#[tokio::test]
async fn events_are_accepted_without_claims_while_the_database_is_silent_and_sorted_out_later() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(None, "tokens", json!(100_000), true).await;
    world.report(&[world.usage("e-0", "ada", 1, 0, None)]).await;
    let fail = || {
        let kind = FaultKind::ConnectionReset;
        world.system.engine().inject(Fault {
            call: 0,
            when: When::Before,
            kind,
        });
    };
    let first = world.usage("e-1", "ada", 10, 0, None);
    let other = world.usage("e-1", "ada", 500, 0, None);
    for event in [&first, &first, &other] {
        fail();
        let answer = send(&world, std::slice::from_ref(event)).await.expect(202);
        assert_eq!(said(&answer), (1, 0, vec![], vec![]), "taken for new");
    }
    world.system.engine().clear_faults();
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 11);
    let expected = [mark("conflict", 0), mark("unreserved", 10)];
    assert_eq!(marks(&world, "e-1").await, expected);
    assert_eq!(alerts(&world).await.len(), 1);
    // A claim made meanwhile decides before any record does.
    fail();
    let late = world.usage("e-2", "ada", 500, 0, None);
    send(&world, &[late]).await.expect(202);
    let claimed = world.usage("e-2", "ada", 20, 0, None);
    let answer = send(&world, &[claimed]).await.expect(202);
    assert_eq!(said(&answer), (1, 0, vec![], vec![]));
    world.system.drain().await.unwrap();
    assert_eq!(spent(&world, &budget).await, 31);
    assert!(books(&world, false).await.is_empty());
}
