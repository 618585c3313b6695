//! Holds that live longer or have more: under the rules of a new one, and ending once.

use super::{figure, world};
use end_to_end::{ADMIN, AGENT, Answer, World, at_least, changes_cell};
use futures::poll;
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::pin::pin;
use std::task::Poll;

const BEGIN: &str = "2026-11-23T12:00:00Z";
/// A second before the first end of a hold that is made at [`BEGIN`], and a second after it.
const BEFORE: &str = "2026-11-23T12:01:59Z";
const AFTER: &str = "2026-11-23T12:02:01Z";

async fn renew(world: &World, hold: &str, body: Value) -> Answer {
    let path = format!("/v1/holds/{hold}");
    world.call(AGENT, "PATCH", &path, body).await
}

/// The hold as the answer has it, which must have let it be renewed.
#[track_caller]
fn renewed(answer: Answer) -> Value {
    let body = answer.expect(200);
    assert_eq!(body["decision"], "allow", "{body}");
    body["hold"].clone()
}

async fn void(world: &World, hold: &str) {
    let path = format!("/v1/holds/{hold}");
    let answer = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 204);
}

/// Whether somebody else who asks for `tokens` is let through.
async fn passes(world: &World, request_id: &str, tokens: i64) -> bool {
    world.preflight("bob", request_id, tokens, 0).await["decision"] == "allow"
}

/// A world at [`BEGIN`] with a cap of tokens, ada and bob, and a hold of ada's.
async fn holding(cap: i64, tokens: i64) -> (World, String, String) {
    let (world, budget) = world(cap).await;
    world.set_clock(BEGIN).await;
    world.user("bob", "backend").await;
    let hold = world.hold("ada", "r-1", tokens, 0).await;
    (world, budget, hold)
}

#[tokio::test]
async fn an_extended_hold_keeps_its_id_and_lives_on() {
    let (world, budget, hold) = holding(100, 100).await;
    world.set_clock(BEFORE).await;
    let body = json!({"extend_seconds": 600});
    for _ in 0..2 {
        let seen = renewed(renew(&world, &hold, body.clone()).await);
        assert_eq!(seen["id"], hold, "every event that names it means it");
        assert_eq!(seen["expires_at"], "2026-11-23T12:11:59Z");
        assert_eq!(seen["tokens"], 100);
    }
    world.set_clock("2026-11-23T12:11:58Z").await;
    assert!(!passes(&world, "b-1", 1).await, "it lives");
    // The request's own retry still gets the same hold.
    let again = world.preflight("ada", "r-1", 100, 0).await;
    assert_eq!(again["hold"]["id"], hold);
    assert_eq!(again["hold"]["expires_at"], "2026-11-23T12:11:59Z");
    let events = ["e-1", "e-1"].map(|id| world.usage(id, "ada", 30, 0, Some(&hold)));
    world.report(&events).await;
    assert_eq!(figure(&world.figures(&budget).await), (30, 0, 70, 70));
}

#[tokio::test]
async fn an_extended_hold_lapses_when_its_new_time_is_over() {
    let (world, budget, hold) = holding(100, 100).await;
    renewed(renew(&world, &hold, json!({"extend_seconds": 600})).await);
    world.set_clock("2026-11-23T12:09:59Z").await;
    assert!(!passes(&world, "b-1", 1).await);
    world.set_clock("2026-11-23T12:10:00Z").await;
    assert!(passes(&world, "b-1", 100).await);
    let late = renew(&world, &hold, json!({"extend_seconds": 60})).await;
    assert_eq!(late.status, 409, "{}", late.body);
    let event = world.usage("e-1", "ada", 30, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(figure(&world.figures(&budget).await).0, 30, "it counts");
}

#[tokio::test]
async fn a_hold_grows_under_every_cap_of_its_path_or_not_at_all() {
    let (world, eng) = world(10_000).await;
    let all = world.budget(None, "tokens", json!(5_000), true).await;
    // gpt-4o: $2.50 a million input tokens.
    let usd = world
        .budget(Some("backend"), "usd", json!(0.01), true)
        .await;
    let hold = world.hold("ada", "r-1", 1_000, 0).await;
    let seen = renewed(renew(&world, &hold, json!({"tokens": 3_000})).await);
    assert_eq!(
        (&seen["tokens"], seen["usd"].to_string()),
        (&json!(3_000), "0.0075".to_owned())
    );
    let held = async |id: &str| world.figures(id).await["held"].to_string();
    let all_held = async || (held(&eng).await, held(&all).await, held(&usd).await);
    let expected = ("3000".to_owned(), "3000".to_owned(), "0.0075".to_owned());
    assert_eq!(all_held().await, expected);
    for tokens in [3_000, 2_000, 1] {
        let seen = renewed(renew(&world, &hold, json!({ "tokens": tokens })).await);
        assert_eq!(seen["tokens"], 3_000, "it never has less");
    }
    for (tokens, unit) in [(4_001, "usd"), (5_001, "tokens")] {
        let refused = renew(
            &world,
            &hold,
            json!({"tokens": tokens, "extend_seconds": 600}),
        )
        .await;
        let refused = refused.expect(200);
        assert_eq!(
            (&refused["decision"], &refused["hold"]),
            (&json!("block"), &Value::Null)
        );
        let units: Vec<&Value> = refused["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["unit"])
            .collect();
        assert!(units.contains(&&json!(unit)), "{refused}");
        assert_eq!(all_held().await, expected, "nothing has changed");
    }
    let again = world.preflight("ada", "r-1", 1_000, 0).await;
    assert_eq!(again["hold"]["tokens"], 3_000);
    let event = world.usage("e-1", "ada", 2_500, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(figure(&world.figures(&all).await), (2_500, 0, 2_500, 2_500));
    assert_eq!(held(&usd).await, "0");
}

#[tokio::test]
async fn a_refusal_to_grow_says_what_it_needs_and_when_it_may_pass() {
    let (world, budget, hold) = holding(100, 60).await;
    let refused = renew(&world, &hold, json!({"tokens": 101}))
        .await
        .expect(200);
    let reason = &refused["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["budget_id"]),
        (&json!("budget_exhausted"), &json!(budget))
    );
    assert_eq!(
        (&reason["requested"], &reason["available"]),
        (&json!(41), &json!(40))
    );
    assert_eq!(
        refused["retryable"], false,
        "no other hold will end: {refused}"
    );
    let other = world.hold("bob", "r-b", 30, 0).await;
    let refused = renew(&world, &hold, json!({"tokens": 90}))
        .await
        .expect(200);
    assert_eq!(refused["retryable"], true, "{refused}");
    assert_eq!(refused["retry_after_seconds"], 120);
    void(&world, &other).await;
    renewed(renew(&world, &hold, json!({"tokens": 90})).await);
}

#[tokio::test]
async fn who_may_not_ask_for_a_hold_may_not_renew_one() {
    let (world, budget, hold) = holding(100, 60).await;
    let body = json!({"extend_seconds": 600, "tokens": 80});
    let block = json!({"reason": "a look"});
    let path = "/v1/users/ada/block";
    world.admin("PUT", path, block).await.expect(200);
    let refused = renew(&world, &hold, body.clone()).await.expect(200);
    assert_eq!(refused["reasons"][0]["code"], "user_blocked", "{refused}");
    world.admin("DELETE", path, Value::Null).await;
    let user = "/v1/users/ada";
    let suspended = json!({"status": "suspended"});
    world.admin("PATCH", user, suspended).await.expect(200);
    let refused = renew(&world, &hold, body.clone()).await.expect(200);
    assert_eq!(refused["reasons"][0]["code"], "user_suspended");
    assert_eq!(figure(&world.figures(&budget).await).1, 60);
    let active = json!({"status": "active"});
    world.admin("PATCH", user, active).await.expect(200);
    renewed(renew(&world, &hold, body).await);
}

#[tokio::test]
async fn a_member_renews_their_own_hold_and_no_other() {
    let (world, _, hold) = holding(1_000, 60).await;
    let theirs = world.hold("bob", "r-b", 60, 0).await;
    let key = json!({"role": "member", "user_id": "ada"});
    let made = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let key = made["key"].as_str().unwrap();
    let body = json!({"tokens": 70});
    let path = |hold: &str| format!("/v1/holds/{hold}");
    let own = world.call(key, "PATCH", &path(&hold), body.clone()).await;
    assert_eq!(renewed(own)["tokens"], 70);
    let other = world.call(key, "PATCH", &path(&theirs), body.clone()).await;
    assert_eq!(other.status, 404);
    let admin = world.call(ADMIN, "PATCH", &path(&theirs), body).await;
    assert_eq!(renewed(admin)["tokens"], 70);
}

#[tokio::test]
async fn a_hold_of_a_user_without_an_entry_for_it_is_found_all_the_same() {
    let (world, _, hold) = holding(1_000, 60).await;
    let tables = world.tables();
    let names = tables.list_tables().send().await.unwrap();
    let is_wanted = |name: &&String| name.to_lowercase().contains("governance");
    let table = names.table_names().iter().find(is_wanted).unwrap();
    let found = tables.scan().table_name(table).send().await.unwrap();
    let mut deleted = 0;
    for item in found.items.unwrap() {
        if item["sk"].as_s().unwrap().starts_with("holder#") {
            let key = tables.delete_item().table_name(table);
            let key = key
                .key("pk", item["pk"].clone())
                .key("sk", item["sk"].clone());
            key.send().await.unwrap();
            deleted += 1;
        }
    }
    assert_eq!(deleted, 2);
    assert_eq!(
        renewed(renew(&world, &hold, json!({"tokens": 70})).await)["tokens"],
        70
    );
}

#[tokio::test]
async fn a_hold_lives_at_most_a_day_in_all() {
    let (world, _, hold) = holding(1_000, 60).await;
    let too_long = renew(&world, &hold, json!({"extend_seconds": 86_401})).await;
    assert_eq!(
        (too_long.status, too_long.fields()),
        (400, vec!["extend_seconds".to_owned()])
    );
    let day = renewed(renew(&world, &hold, json!({"extend_seconds": 86_400})).await);
    assert_eq!(day["expires_at"], "2026-11-24T12:00:00Z");
    world.set_clock("2026-11-24T11:59:00Z").await;
    let more = renew(&world, &hold, json!({"extend_seconds": 61})).await;
    assert_eq!(
        (more.status, more.fields()),
        (400, vec!["extend_seconds".to_owned()])
    );
    assert!(
        more.body.to_string().contains("at most 60"),
        "{}",
        more.body
    );
    let rest = renewed(renew(&world, &hold, json!({"extend_seconds": 60})).await);
    assert_eq!(rest["expires_at"], "2026-11-24T12:00:00Z");
}

#[tokio::test]
async fn an_ended_hold_cannot_be_renewed() {
    let (world, budget, settled) = holding(1_000, 10).await;
    let voided = world.hold("ada", "r-2", 10, 0).await;
    let lapsed = world.hold("ada", "r-3", 10, 0).await;
    let event = world.usage("e-1", "ada", 10, 0, Some(&settled));
    world.report(&[event]).await;
    void(&world, &voided).await;
    let body = json!({"extend_seconds": 600, "tokens": 500});
    for hold in [&settled, &voided] {
        assert_eq!(renew(&world, hold, body.clone()).await.status, 409);
    }
    world.set_clock(AFTER).await;
    assert_eq!(renew(&world, &lapsed, body.clone()).await.status, 409);
    let never = "hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA";
    assert_eq!(renew(&world, never, body).await.status, 404);
    assert_eq!(figure(&world.figures(&budget).await).0, 10);
}

#[tokio::test]
async fn over_the_end_of_its_month_a_hold_lives_on_in_it_and_no_longer_grows() {
    let world = World::with(SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await;
    world.set_clock("2026-11-30T23:59:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let body = json!({
        "name": "b", "department_id": "eng", "unit": "tokens", "amount": 1_000, "hard_cap": true,
        "rollover": {"cap_percent": 100},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    let budget = made["id"].as_str().unwrap();
    let hold = world.hold("ada", "r-1", 100, 0).await;
    renewed(renew(&world, &hold, json!({"extend_seconds": 3_600})).await);
    world.set_clock("2026-12-01T00:10:00Z").await;
    let path = "/local/schedule";
    world.admin("POST", path, Value::Null).await.expect(200);
    let december = async || world.figures(budget).await;
    assert_eq!(december().await["carried"], 900, "the hold counts as spent");
    // The unused amount belongs to december by now: a hold in november would spend it twice.
    let grown = renew(&world, &hold, json!({"tokens": 101})).await;
    assert_eq!(grown.status, 409, "{}", grown.body);
    let longer = renewed(renew(&world, &hold, json!({"extend_seconds": 7_200})).await);
    assert_eq!(
        (&longer["id"], &longer["tokens"]),
        (&json!(hold), &json!(100))
    );
    world.set_clock("2026-12-01T02:00:00Z").await;
    world.admin("POST", path, Value::Null).await.expect(200);
    let event = world.usage("e-1", "ada", 40, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(december().await["spent"], 0);
    world.set_clock("2026-12-02T00:10:00Z").await;
    let fired = world.admin("POST", path, Value::Null).await.expect(200);
    assert_eq!(fired["report"]["differences"], 0, "{fired}");
    assert_eq!(december().await["carried"], 960);
}

#[tokio::test]
async fn an_exemption_gives_what_the_caps_lack_and_gets_it_back() {
    let (world, budget, hold) = holding(100, 60).await;
    let raise = json!({
        "user_id": "ada", "kind": "raise", "tokens": 50, "covers": "path", "reason": "a release",
        "ends_at": "2026-11-25T00:00:00Z",
    });
    let key = json!({"role": "member", "user_id": "ada"});
    let made = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let key = made["key"].as_str().unwrap();
    let made = world.call(key, "POST", "/v1/exemptions", raise).await;
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/exemptions/{id}/approve");
    world.admin("POST", &path, json!({})).await.expect(200);
    let grown = renew(&world, &hold, json!({"tokens": 151}))
        .await
        .expect(200);
    assert_eq!(grown["decision"], "block", "40 are left, and 50 are given");
    let grown = renew(&world, &hold, json!({"tokens": 140}))
        .await
        .expect(200);
    assert_eq!(
        (&grown["decision"], &grown["exemption_id"]),
        (&json!("allow"), &json!(id))
    );
    assert!(!passes(&world, "b-1", 1).await);
    let grown = renewed(renew(&world, &hold, json!({"tokens": 150})).await);
    assert_eq!(grown["tokens"], 150);
    let used = async || {
        let path = format!("/v1/exemptions/{id}");
        let seen = world.admin("GET", &path, Value::Null).await.expect(200);
        seen["used"]["tokens"].clone()
    };
    assert_eq!(used().await, 50);
    let event = world.usage("e-1", "ada", 110, 0, Some(&hold));
    world.report(&[event]).await;
    let seen = world.figures(&budget).await;
    assert_eq!(
        (&seen["held"], &seen["available"]),
        (&json!(0), &json!(0)),
        "{seen}"
    );
    assert_eq!(used().await, 10, "the caps pay first");
}

#[tokio::test]
async fn many_who_grow_at_once_get_exactly_what_is_left() {
    let (world, budget) = world(1_000).await;
    let mut holds = Vec::new();
    for n in 0..20 {
        holds.push(world.hold("ada", &format!("r-{n}"), 10, 0).await);
    }
    let grow = holds
        .iter()
        .map(|hold| renew(&world, hold, json!({"tokens": 110})));
    let answers = futures::future::join_all(grow).await;
    let decided = answers
        .into_iter()
        .map(|answer| answer.expect(200)["decision"] == "allow");
    assert_eq!(decided.filter(|is_allowed| *is_allowed).count(), 8);
    assert_eq!(figure(&world.figures(&budget).await), (0, 1_000, 1_000, 0));
    for hold in &holds {
        void(&world, hold).await;
    }
    assert_eq!(figure(&world.figures(&budget).await), (0, 0, 1_000, 1_000));
}

/// Records usage of 30 tokens, as it is done behind the queue.
async fn settle(world: &World, hold: &str) {
    world
        .record(&[world.usage("e-1", "ada", 30, 0, Some(hold))])
        .await;
}

/// Begins `first`, stops it before its `calls`th call of the database, does `then`, and goes on.
/// None if `first` was done before it was stopped.
async fn interrupted<A, B>(
    calls: usize,
    first: impl Future<Output = A>,
    then: impl Future<Output = B>,
) -> (A, Option<B>) {
    let mut first = pin!(first);
    for _ in 0..calls {
        if let Poll::Ready(answer) = poll!(first.as_mut()) {
            return (answer, None);
        }
        // The runtime wakes what has yielded. A part of `first` that is not woken is not polled.
        tokio::task::yield_now().await;
    }
    let then = then.await;
    (first.await, Some(then))
}

#[tokio::test]
async fn whenever_a_hold_is_settled_or_given_back_while_it_is_renewed_it_ends_once() {
    for is_settled in [true, false] {
        for is_renewed_first in [true, false] {
            for calls in 0.. {
                let (world, budget, hold) = holding(200, 100).await;
                let body = json!({"extend_seconds": 600, "tokens": 150});
                let renewal = renew(&world, &hold, body.clone());
                let ending = async {
                    match is_settled {
                        true => settle(&world, &hold).await,
                        false => void(&world, &hold).await,
                    }
                };
                let (answer, is_over) = match is_renewed_first {
                    true => {
                        let (answer, then) = interrupted(calls, renewal, ending).await;
                        (Some(answer), then.is_none())
                    }
                    false => {
                        let ((), answer) = interrupted(calls, ending, renewal).await;
                        let is_over = answer.is_none();
                        (answer, is_over)
                    }
                };
                if is_over {
                    assert!(calls > 3, "{calls}");
                    break;
                }
                let answer = answer.unwrap();
                assert!(matches!(answer.status, 200 | 409), "{}", answer.body);
                world.system.drain().await.unwrap();
                let spent = if is_settled { 30 } else { 0 };
                let at = format!("{is_settled} {is_renewed_first} {calls} {}", answer.body);
                let rest = 200 - spent;
                assert_eq!(
                    figure(&world.figures(&budget).await),
                    (spent, 0, rest, rest),
                    "{at}"
                );
                assert_eq!(renew(&world, &hold, body).await.status, 409, "{at}");
                assert!(passes(&world, "b-1", rest).await);
            }
        }
    }
}

#[tokio::test]
async fn whenever_a_hold_lapses_while_it_is_renewed_one_of_both_is_true() {
    for tokens in [100, 130] {
        let mut outcomes = [0, 0];
        for calls in 0.. {
            let (world, budget, hold) = holding(130, 100).await;
            world.set_clock(BEFORE).await;
            let body = json!({"extend_seconds": 600, "tokens": tokens});
            let renewal = renew(&world, &hold, body);
            let lapse = async {
                world.set_clock(AFTER).await;
                passes(&world, "b-1", 130).await
            };
            let (answer, other) = interrupted(calls, renewal, lapse).await;
            let Some(has_other) = other else {
                assert!(calls > 3, "{calls}");
                break;
            };
            let at = format!("{calls} {has_other} {}", answer.body);
            let lives = answer.status == 200 && answer.body["decision"] == "allow";
            assert!(lives || matches!(answer.status, 200 | 409), "{at}");
            assert!(!(lives && has_other), "both got the same tokens: {at}");
            outcomes[usize::from(lives)] += 1;
            let held = if lives { tokens } else { 0 } + if has_other { 130 } else { 0 };
            // The next look releases lapsed holds.
            let _ = passes(&world, "b-2", 131).await;
            assert_eq!(figure(&world.figures(&budget).await).1, held, "{at}");
            let event = world.usage("e-1", "ada", 30, 0, Some(&hold));
            world.report(&[event]).await;
            assert_eq!(figure(&world.figures(&budget).await).0, 30, "{at}");
            if lives {
                assert_eq!(figure(&world.figures(&budget).await).1, 0, "{at}");
            }
        }
        assert!(outcomes.iter().all(|n| *n > 0), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_slow_reader_of_a_lapsed_hold_does_not_end_it_after_its_renewal() {
    let mut renewed_in_time = 0;
    for calls in 0.. {
        let (world, budget, hold) = holding(100, 100).await;
        world.set_clock(AFTER).await;
        let looking = passes(&world, "b-1", 100);
        // By the clock of the renewal, which is behind, it has not lapsed.
        let renewal = async {
            world.set_clock(BEFORE).await;
            let answer = renew(&world, &hold, json!({"extend_seconds": 600})).await;
            world.set_clock(AFTER).await;
            answer
        };
        let (has_other, answer) = interrupted(calls, looking, renewal).await;
        let Some(answer) = answer else {
            assert!(calls > 3, "{calls}");
            break;
        };
        let lives = answer.status == 200;
        assert!(lives || answer.status == 409, "{}", answer.body);
        let at = format!("{calls} {has_other} {}", answer.body);
        assert_ne!(lives, has_other, "one has the tokens: {at}");
        assert_eq!(figure(&world.figures(&budget).await).1, 100, "{at}");
        renewed_in_time += usize::from(lives);
        let event = world.usage("e-1", "ada", 30, 0, Some(&hold));
        world.report(&[event]).await;
        let seen = figure(&world.figures(&budget).await);
        let held = if has_other { 100 } else { 0 };
        assert_eq!((seen.0, seen.1), (30, held), "{at}");
    }
    assert!(renewed_in_time > 0);
}

#[tokio::test]
async fn a_hold_that_is_renewed_after_its_end_was_written_ends_even_if_its_renewal_dies() {
    let (world, budget, hold) = holding(100, 100).await;
    world.set_clock(AFTER).await;
    // A reader has written that its time is over, and is about to take it out of the
    // cell.
    let takes_out =
        |operation: &str, body: &str| changes_cell(operation, body) && body.contains("REMOVE");
    let body = json!({"extend_seconds": 600});
    // By the clock of the renewal, which is behind, it lives. The renewal dies before it can see
    // that it has ended.
    let renewal = async {
        world.set_clock(BEFORE).await;
        let says_so = |operation: &str, body: &str| {
            operation == "TransactWriteItems" && body.contains("lives_until")
        };
        let renewal = renew(&world, &hold, body.clone());
        world.crash(renewal, says_so).await;
        world.set_clock(AFTER).await;
    };
    let looking = passes(&world, "b-1", 100);
    let (has_other, ()) = world.meanwhile(looking, takes_out, renewal).await;
    assert!(has_other, "nobody has the tokens of a hold that has ended");
    assert_eq!(figure(&world.figures(&budget).await), (0, 100, 100, 0));
    let again = renew(&world, &hold, body).await;
    assert_eq!(again.status, 409, "{}", again.body);
    let event = world.usage("e-1", "ada", 30, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(figure(&world.figures(&budget).await), (30, 100, 70, -30));
}

/// A world at [`BEGIN`] with ada in which no failed call is tried again.
async fn untried() -> World {
    let world = World::with(SystemSettings {
        retry: aws_sdk_dynamodb::config::retry::RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await;
    world.set_clock(BEGIN).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world
}

#[tokio::test]
async fn whichever_call_of_a_renewal_fails_it_is_there_once_when_it_is_repeated() {
    for when in [When::Before, When::After] {
        for call in 0.. {
            let world = untried().await;
            let budget = world.budget(Some("eng"), "tokens", json!(150), true).await;
            let hold = world.hold("ada", "r-1", 100, 0).await;
            let fired = world.system.engine().faults_fired();
            let kind = FaultKind::ConnectionReset;
            world.system.engine().inject(Fault { call, when, kind });
            let body = json!({"extend_seconds": 600, "tokens": 150});
            let mut answer = renew(&world, &hold, body.clone()).await;
            while answer.status == 503 {
                answer = renew(&world, &hold, body.clone()).await;
            }
            let has_fired = world.system.engine().faults_fired() > fired;
            world.system.engine().clear_faults();
            let seen = renewed(answer);
            assert_eq!(
                seen["expires_at"], "2026-11-23T12:10:00Z",
                "{call} {when:?}"
            );
            assert_eq!(figure(&world.figures(&budget).await), (0, 150, 150, 0));
            world.set_clock(AFTER).await;
            let refused = world.preflight("ada", "r-2", 1, 0).await;
            assert_eq!(refused["decision"], "block", "{call} {when:?}");
            let event = world.usage("e-1", "ada", 30, 0, Some(&hold));
            world.report(&[event]).await;
            assert_eq!(figure(&world.figures(&budget).await), (30, 0, 120, 120));
            if !has_fired {
                assert!(
                    call > at_least(when, 2, 1),
                    "{call} calls were made to fail"
                );
                break;
            }
        }
    }
}

#[tokio::test]
async fn usage_of_a_lapsed_hold_is_marked_and_told_once_a_day_and_user() {
    let (world, budget, first) = holding(1_000, 10).await;
    let second = world.hold("ada", "r-2", 10, 0).await;
    let other = world.hold("bob", "r-b", 10, 0).await;
    let extended = world.hold("ada", "r-3", 10, 0).await;
    renewed(renew(&world, &extended, json!({"extend_seconds": 600})).await);
    world.set_clock(AFTER).await;
    // A refused request has released the lapsed holds.
    assert!(!passes(&world, "b-1", 5_000).await);
    let used = |id: &str, user: &str, hold: &str| world.usage(id, user, 10, 0, Some(hold));
    let events = [
        used("e-1", "ada", &first),
        used("e-2", "ada", &second),
        used("e-3", "bob", &other),
        used("e-4", "ada", &extended),
    ];
    world.report(&events).await;
    // The message comes again, as after a fault.
    for event in &events {
        let message = json!({
            "organisation_id": "demo", "received_at": AFTER, "event": {
                "cached_input_tokens": 0, "outcome": "completed", "type": "llm_request",
                "event_id": event["event_id"], "occurred_at": event["occurred_at"],
                "user_id": event["user_id"], "provider": "openai", "model": "gpt-4o",
                "input_tokens": 10, "output_tokens": 0, "hold_id": event["hold_id"],
            },
        });
        let queues = world.system.queues();
        let now = std::time::Duration::ZERO;
        queues.send("events", &message.to_string(), now).unwrap();
    }
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await).0, 40);
    let told = async || {
        let alerts = world
            .admin("GET", "/v1/alerts?limit=100", Value::Null)
            .await;
        let alerts = alerts.expect(200)["items"].as_array().unwrap().clone();
        let of_holds = alerts
            .into_iter()
            .filter(|a| a["metadata"]["trouble"] == "lapsed_hold");
        let mut users: Vec<String> = of_holds
            .map(|alert| alert["user_id"].as_str().unwrap().to_owned())
            .collect();
        users.sort_unstable();
        users
    };
    assert_eq!(told().await, ["ada", "bob"]);
    let marks = marks(&world).await;
    let of = |id: &str| {
        marks
            .iter()
            .find(|(known, _)| known == id)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(
        ["e-1", "e-2", "e-3", "e-4"].map(of),
        ["lapsed", "lapsed", "lapsed", "settled"]
    );
    let path = "/v1/events?status=lapsed";
    let listed = world.admin("GET", path, Value::Null).await.expect(200);
    let listed = listed["items"].as_array().unwrap().len();
    assert_eq!(listed, 3, "each is listed, told or not");
    world.set_clock("2026-11-24T12:00:00Z").await;
    let next = world.hold("ada", "r-4", 10, 0).await;
    world.set_clock("2026-11-24T12:03:00Z").await;
    assert!(!passes(&world, "b-2", 5_000).await);
    world.report(&[used("e-5", "ada", &next)]).await;
    assert_eq!(told().await, ["ada", "ada", "bob"], "another day");
}

#[tokio::test]
async fn whichever_call_fails_usage_of_a_lapsed_hold_is_told() {
    for when in [When::Before, When::After] {
        for call in 0.. {
            let world = untried().await;
            let budget = world
                .budget(Some("eng"), "tokens", json!(1_000), true)
                .await;
            let hold = world.hold("ada", "r-1", 10, 0).await;
            world.set_clock(AFTER).await;
            let refused = world.preflight("ada", "r-2", 5_000, 0).await;
            assert_eq!(refused["decision"], "block");
            let event = world.usage("e-1", "ada", 10, 0, Some(&hold));
            let body = json!({ "events": [event] });
            let posted = world.call(AGENT, "POST", "/v1/events", body).await;
            posted.expect(202);
            let fired = world.system.engine().faults_fired();
            let kind = FaultKind::InternalServerError;
            world.system.engine().inject(Fault { call, when, kind });
            world.system.drain().await.unwrap();
            let has_fired = world.system.engine().faults_fired() > fired;
            world.system.engine().clear_faults();
            assert_eq!(
                figure(&world.figures(&budget).await).0,
                10,
                "{call} {when:?}"
            );
            let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
            let alerts = alerts.expect(200)["items"].as_array().unwrap().clone();
            let of_hold = |alert: &&Value| alert["metadata"]["trouble"] == "lapsed_hold";
            assert_eq!(alerts.iter().filter(of_hold).count(), 1, "{call} {when:?}");
            if !has_fired {
                assert!(
                    call > at_least(when, 5, 3),
                    "{call} calls were made to fail"
                );
                break;
            }
        }
    }
}

/// The event id and mark of each record.
async fn marks(world: &World) -> Vec<(String, String)> {
    let tables = world.tables();
    let names = tables.list_tables().send().await.unwrap();
    let is_wanted = |name: &&String| name.to_lowercase().contains("ledger");
    let table = names.table_names().iter().find(is_wanted).unwrap();
    let found = tables.scan().table_name(table).send().await.unwrap();
    let text = |value: &aws_sdk_dynamodb::types::AttributeValue| value.as_s().unwrap().clone();
    let records = found.items.unwrap().into_iter();
    let records = records.filter(|item| item.contains_key("mark"));
    records
        .map(|item| (text(&item["event_id"]), text(&item["mark"])))
        .collect()
}

#[tokio::test]
async fn a_renewal_keeps_the_tier_of_its_hold_and_says_its_price() {
    let (world, _) = world(1_000_000).await;
    world.budget(None, "usd", json!(1), true).await;
    let body = json!({
        "request_id": "r-1", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 1_000, "max_output_tokens": 0, "service_tier": "priority",
    });
    let held = world.call(AGENT, "POST", "/v1/preflight", body).await;
    let held = held.expect(200);
    assert_eq!(held["hold"]["usd"].to_string(), "0.00425");
    let hold = held["hold"]["id"].as_str().unwrap();
    let more = json!({"tokens": 2_000, "model": "gpt-4o", "provider": "openai"});
    let grown = renew(&world, hold, more).await.expect(200);
    // 1,000 tokens of output at $17 a million.
    assert_eq!(grown["hold"]["usd"].to_string(), "0.02125");
    assert_eq!(grown["price"], held["price"]);
    let unknown = json!({"tokens": 2_001, "model": "nobody-knows", "provider": "openai"});
    let grown = renew(&world, hold, unknown).await.expect(200);
    assert_eq!(grown["price"]["match"], "estimate");
    assert_eq!(grown["warnings"][0]["code"], "unpriced", "{grown}");
    let longer = json!({"extend_seconds": 600});
    let extended = renew(&world, hold, longer).await.expect(200);
    assert_eq!(extended["price"], Value::Null);
    assert_eq!(extended["warnings"], json!([]));
}

#[tokio::test]
async fn a_hold_that_grows_has_the_dollars_of_the_dearest_tokens_of_its_model() {
    let (world, _) = world(1_000_000).await;
    let usd = world.budget(None, "usd", json!(0.05), true).await;
    world
        .admin("PATCH", "/v1/organisation", json!({"reserve": "strict"}))
        .await
        .expect(200);
    let large = world.preflight("ada", "r-1", 1_000, 16_000).await;
    assert_eq!(large["decision"], "block");
    let hold = world.hold("ada", "r-2", 1_000, 0).await;
    let path = format!("/v1/holds/{hold}");
    let grow = async |body: Value| world.call(AGENT, "PATCH", &path, body).await;
    let unnamed = grow(json!({"tokens": 17_000})).await;
    assert_eq!(unnamed.status, 409);
    let said = unnamed.body["message"].to_string();
    assert!(said.contains("model is missing"), "{said}");
    let named = |tokens: i64| json!({"tokens": tokens, "model": "gpt-4o", "provider": "openai"});
    let refused = grow(named(17_000)).await.expect(200);
    assert_eq!(refused["decision"], "block", "{refused}");
    // 0.0025 dollars are held; 4,750 tokens of an answer are the other 0.0475.
    let refused = grow(named(5_751)).await.expect(200);
    assert_eq!(refused["decision"], "block", "{refused}");
    let grown = grow(named(5_750)).await.expect(200);
    assert_eq!(grown["decision"], "allow", "{grown}");
    let event = world.usage("e-1", "ada", 1_000, 4_750, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(world.figures(&usd).await["spent"].to_string(), "0.05");
}
