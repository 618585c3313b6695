//! Reports that are too large to be true: kept, told, counted nowhere, until an administrator decides.

use super::books::books;
use super::{figure, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, Answer, World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";
const BILLION: i64 = 1_000_000_000;

async fn noon(cap: i64) -> (World, String) {
    let (world, budget) = world(cap).await;
    world.set_clock(NOON).await;
    (world, budget)
}

async fn listed(world: &World, status: &str) -> Vec<Value> {
    let path = format!("/v1/events?status={status}");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

async fn decide(world: &World, event_id: &str, decision: &str) -> Answer {
    let body = json!({
        "user_id": "ada", "event_id": event_id, "decision": decision, "reason": "asked the team"
    });
    world.admin("POST", "/v1/events/decisions", body).await
}

async fn alerts(world: &World) -> Vec<Value> {
    let path = "/v1/alerts?limit=100";
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    let all = page["items"].as_array().unwrap().clone();
    let is_held_back = |alert: &Value| alert["metadata"]["trouble"] == "held_back";
    all.into_iter().filter(is_held_back).collect()
}

async fn used(world: &World, month: &str) -> i64 {
    let path = format!("/v1/usage?period=monthly&start_date={month}&end_date={month}");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    let rows = page["items"].as_array().unwrap().iter();
    rows.map(|row| row["total_tokens"].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn a_report_of_a_billion_tokens_blocks_nobody_and_an_administrator_discards_it() {
    let (world, budget) = noon(100_000).await;
    world
        .report(&[world.usage("e-1", "ada", BILLION, BILLION, None)])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (0, 0, 100_000, 100_000)
    );
    assert_eq!(used(&world, "2026-11").await, 0);
    world.hold("ada", "r-1", 50_000, 50_000).await;
    let told = alerts(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["severity"], &told[0]["user_id"]),
        (&json!("critical"), &json!("ada"))
    );
    let waiting = listed(&world, "held_back").await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["event_id"], "e-1");
    assert_eq!(
        waiting[0]["excess"],
        json!({"of": "input", "tokens": BILLION, "most": 1_280_000})
    );
    assert_eq!(waiting[0]["charged"], json!({"tokens": 0, "usd": 0}));
    assert_eq!(waiting[0]["decision"], Value::Null);
    assert!(books(&world, false).await.is_empty());
    for _ in 0..2 {
        let discarded = decide(&world, "e-1", "discard").await.expect(200);
        assert_eq!(discarded["status"], "discarded");
        assert_eq!(discarded["decision"]["reason"], "asked the team");
    }
    assert_eq!(decide(&world, "e-1", "count").await.status, 409);
    assert!(listed(&world, "held_back").await.is_empty());
    assert_eq!(listed(&world, "discarded").await.len(), 1);
    let path = "/v1/audit-log?action=event.discard";
    let log = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "once");
    assert_eq!(log["items"][0]["reason"], "asked the team");
    // Sent again, it stays what it is.
    world
        .report(&[world.usage("e-1", "ada", BILLION, BILLION, None)])
        .await;
    assert!(listed(&world, "held_back").await.is_empty());
    assert_eq!(alerts(&world).await.len(), 1);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn counted_it_is_charged_once_in_its_month_and_where_its_user_was() {
    let world = World::empty().await;
    world.set_clock("2026-10-30T12:00:00Z").await;
    world.department("backend", None).await;
    world.department("sales", None).await;
    world.user("ada", "backend").await;
    let budget = world
        .budget(Some("backend"), "tokens", json!(10_000_000), true)
        .await;
    // The month has a cell.
    world.hold("ada", "r-1", 1, 1).await;
    let event = world.usage("e-1", "ada", 2_000_000, 0, None);
    world.set_clock(NOON).await;
    world
        .admin("PATCH", "/v1/users/ada", json!({"department_id": "sales"}))
        .await
        .expect(200);
    world.report(std::slice::from_ref(&event)).await;
    assert_eq!(used(&world, "2026-10").await, 0);
    for _ in 0..2 {
        let counted = decide(&world, "e-1", "count").await.expect(200);
        assert_eq!(counted["status"], "counted");
        assert_eq!(counted["charged"], json!({"tokens": 2_000_000, "usd": 5}));
        assert_eq!(
            (&counted["department_id"], &counted["period"]),
            (&json!("backend"), &json!("2026-10"))
        );
        assert_eq!(used(&world, "2026-10").await, 2_000_000);
    }
    world.report(&[event]).await;
    assert_eq!(used(&world, "2026-10").await, 2_000_000);
    assert_eq!(used(&world, "2026-11").await, 0);
    assert_eq!(figure(&world.figures(&budget).await).0, 0);
    assert_eq!(listed(&world, "counted").await.len(), 1);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn its_hold_is_charged_in_full_and_set_against_what_is_counted() {
    let (world, budget) = noon(10_000_000).await;
    let first = world.hold("ada", "r-1", 100, 100).await;
    let second = world.hold("ada", "r-2", 100, 300).await;
    world
        .report(&[
            world.usage("e-1", "ada", 2_000_000, 0, Some(&first)),
            world.usage("e-2", "ada", 3_000_000, 0, Some(&second)),
        ])
        .await;
    let spent = async || {
        let figures = figure(&world.figures(&budget).await);
        (figures.0, figures.1)
    };
    assert_eq!(spent().await, (600, 0), "no hold is left behind");
    assert!(books(&world, false).await.is_empty());
    let waiting = listed(&world, "held_back").await;
    let held: Vec<&Value> = waiting.iter().map(|e| &e["held"]["tokens"]).collect();
    assert!(held.contains(&&json!(200)) && held.contains(&&json!(400)));
    decide(&world, "e-1", "count").await.expect(200);
    assert_eq!(spent().await, (2_000_400, 0));
    decide(&world, "e-2", "discard").await.expect(200);
    assert_eq!(spent().await, (2_000_400, 0), "what is known of it stays");
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_conflict_too_large_to_be_true_ends_the_hold_that_it_names() {
    let (world, budget) = noon(10_000_000).await;
    world
        .report(&[world.usage("e-1", "ada", 10, 0, None)])
        .await;
    let hold = world.hold("ada", "r-1", 100, 100).await;
    let body = json!({"events": [world.usage("e-1", "ada", 2_000_000, 0, Some(&hold))]});
    for _ in 0..2 {
        let answer = world.call(AGENT, "POST", "/v1/events", body.clone()).await;
        assert_eq!(answer.expect(400)["conflicts"][0]["event_id"], "e-1");
        world.system.drain().await.unwrap();
        assert_eq!(
            figure(&world.figures(&budget).await),
            (210, 0, 9_999_790, 9_999_790),
            "the hold is charged, and not what is reported"
        );
    }
    assert!(listed(&world, "held_back").await.is_empty());
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_report_too_large_is_mailed_to_the_administrators_and_not_to_the_manager() {
    let (world, _) = noon(100_000).await;
    for id in ["max", "root"] {
        world.user(id, "backend").await;
    }
    for (path, change) in [
        ("/v1/users/ada", json!({"manager_id": "max"})),
        ("/v1/users/root", json!({"role": "admin"})),
    ] {
        world.admin("PATCH", path, change).await.expect(200);
    }
    let to = || {
        let mails = world.system.mails().sent().into_iter();
        mails.map(|mail| mail.to).collect::<Vec<String>>()
    };
    world
        .report(&[world.usage("e-1", "ada", BILLION, 0, None)])
        .await;
    assert_eq!(to(), ["root@example.com"]);
    let mail = &world.system.mails().sent()[0];
    assert!(mail.text.contains("too large to be true"), "{}", mail.text);
    // The manager hears of what they can see to.
    world
        .report(&[world.usage("e-2", "ada", 10, 0, None)])
        .await;
    let body = json!({"events": [world.usage("e-2", "ada", 20, 0, None)]});
    let conflict = world.call(AGENT, "POST", "/v1/events", body).await;
    conflict.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(to(), ["root@example.com", "max@example.com"]);
}

#[tokio::test]
async fn embeddings_batches_and_sums_have_limits_of_their_own() {
    let (world, budget) = noon(1_000_000_000).await;
    let limit = json!({"max_tokens_per_request": 20_000});
    world
        .admin("PATCH", "/v1/organisation", limit)
        .await
        .expect(200);
    let mut events = Vec::new();
    for (operation, most) in [
        (Some("chat"), 20_000),
        (None, 20_000),
        (Some("embedding"), 20_000),
        (Some("batch"), 200_000),
        (Some("aggregate"), 2_000_000),
    ] {
        for (tokens, name) in [(most, "fits"), (most + 1, "too-large")] {
            let event_id = format!("{operation:?}-{name}").replace('"', "");
            let mut event = world.usage(&event_id, "ada", tokens, 0, None);
            event["model"] = json!("our-own");
            event["operation"] = json!(operation);
            events.push(event);
        }
    }
    world.report(&events).await;
    assert_eq!(figure(&world.figures(&budget).await).0, 2_260_000);
    let waiting = listed(&world, "held_back").await;
    assert_eq!(waiting.len(), 5);
    let all = waiting.iter();
    assert!(all.into_iter().all(|event| {
        event["event_id"].as_str().unwrap().ends_with("too-large")
            && event["excess"]["of"] == "total"
    }));
    // Whoever reports for one user only has no sums of requests to report.
    let key = json!({"role": "member", "user_id": "ada"});
    let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let key = key["key"].as_str().unwrap();
    for operation in ["aggregate", "batch"] {
        let mut sum = world.usage("e-sum", "ada", 1, 0, None);
        sum["operation"] = json!(operation);
        let body = json!({"events": [sum]});
        let refused = world
            .call(key, "POST", "/v1/events", body)
            .await
            .expect(400);
        assert_eq!(refused["rejected"][0]["error"], "forbidden");
    }
    // An embedding has no answer, and a model that answers makes none: the word does not lift the limit.
    for (model, input, output) in [("our-own", 100, 1), ("gpt-4o", 100, 163_841)] {
        let mut event = world.usage(&format!("e-{model}"), "ada", input, output, None);
        event["model"] = json!(model);
        event["operation"] = json!("embedding");
        world.report(&[event]).await;
    }
    assert_eq!(listed(&world, "held_back").await.len(), 7);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn no_policy_sees_what_is_held_back() {
    let (world, _) = noon(100_000_000).await;
    let trigger = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1_000_000});
    let policy =
        json!({"name": "much", "trigger": trigger, "actions": [{"type": "create_incident"}]});
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let path = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &path, Value::Null).await.expect(200);
    world
        .report(&[world.usage("e-1", "ada", 5_000_000, 0, None)])
        .await;
    world.report(&[world.usage("e-2", "ada", 1, 0, None)]).await;
    let incidents = async || {
        let seen = world.admin("GET", "/v1/incidents", Value::Null).await;
        seen.expect(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(incidents().await, 0);
    decide(&world, "e-1", "count").await.expect(200);
    world.report(&[world.usage("e-3", "ada", 1, 0, None)]).await;
    assert_eq!(incidents().await, 1, "the next event sees the total");
}

#[tokio::test]
async fn no_test_of_a_policy_sees_what_is_in_no_total() {
    let (world, _) = noon(100_000_000).await;
    let policy = json!({
        "name": "special", "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 100},
        "conditions": [{"field": "model_id", "op": "eq", "value": "special"}],
        "actions": [{"type": "create_incident"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let policy = format!("/v1/policies/{}", made["id"].as_str().unwrap());
    let path = format!("{policy}/publish");
    world.admin("POST", &path, Value::Null).await.expect(200);
    // How many events a test evaluates and how often it fires for them, and how often the policy fired.
    let seen = async || {
        let path = format!("{policy}/test");
        let test = world.admin("POST", &path, Value::Null).await.expect(200);
        let incidents = world.admin("GET", "/v1/incidents", Value::Null).await;
        let incidents = incidents.expect(200)["items"].as_array().unwrap().len();
        let count = |name: &str| test[name].as_u64().unwrap();
        (count("events_evaluated"), count("would_trigger"), incidents)
    };
    let special = |event_id: &str, tokens: i64| {
        let mut event = world.usage(event_id, "ada", tokens, 0, None);
        event["model"] = json!("special");
        event
    };
    // With what ada has used by now, any event of the model fires.
    world
        .report(&[world.usage("e-1", "ada", 100, 0, None)])
        .await;
    world.set_clock("2026-11-24T12:01:00Z").await;
    world.report(&[special("e-2", BILLION)]).await;
    let another = json!({"events": [special("e-1", 20)]});
    let conflict = world.call(AGENT, "POST", "/v1/events", another).await;
    conflict.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(listed(&world, "held_back").await.len(), 1);
    assert_eq!(listed(&world, "conflict").await.len(), 1);
    assert_eq!(seen().await, (1, 0, 0));
    decide(&world, "e-2", "discard").await.expect(200);
    assert_eq!(seen().await, (1, 0, 0), "it is in no total for ever");
    world.set_clock("2026-11-24T12:02:00Z").await;
    world.report(&[special("e-3", 1)]).await;
    assert_eq!(seen().await, (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_decide_at_once_one_decides() {
    let (world, budget) = noon(10_000_000).await;
    world
        .report(&[world.usage("e-1", "ada", 2_000_000, 0, None)])
        .await;
    let decisions = ["count", "discard", "count", "discard"];
    let decided = decisions.map(|decision| decide(&world, "e-1", decision));
    let answers = futures::future::join_all(decided).await;
    let is_counted = answers.iter().any(|a| a.body["status"] == "counted");
    for (answer, decision) in answers.iter().zip(decisions) {
        let expected = if (decision == "count") == is_counted {
            200
        } else {
            409
        };
        assert_eq!(answer.status, expected, "{decision}: {}", answer.body);
    }
    let expected = if is_counted { 2_000_000 } else { 0 };
    assert_eq!(figure(&world.figures(&budget).await).0, expected);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn whichever_call_fails_it_is_held_back_and_counted_once() {
    for when in [When::Before, When::After] {
        let mut call = 0;
        loop {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                delivers_events: false,
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.set_clock(NOON).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            let budget = world.budget(None, "tokens", json!(10_000_000), true).await;
            let hold = world.hold("ada", "r-1", 100, 100).await;
            let fault = Fault {
                call,
                when,
                kind: FaultKind::ConnectionReset,
            };
            world.system.engine().inject(fault);
            let body = json!({"events": [world.usage("e-1", "ada", 2_000_000, 0, Some(&hold))]});
            while world
                .call(AGENT, "POST", "/v1/events", body.clone())
                .await
                .status
                != 202
            {}
            world.system.drain().await.unwrap();
            let mut tries = 0;
            while decide(&world, "e-1", "count").await.status != 200 {
                tries += 1;
                assert!(tries < 10, "call {call} {when:?}");
            }
            let has_fired = world.system.engine().faults_fired() > 0;
            world.system.engine().clear_faults();
            let case = format!("call {call} {when:?}");
            assert_eq!(
                figure(&world.figures(&budget).await),
                (2_000_000, 0, 8_000_000, 8_000_000),
                "{case}"
            );
            assert_eq!(alerts(&world).await.len(), 1, "{case}");
            assert!(listed(&world, "held_back").await.is_empty(), "{case}");
            assert_eq!(listed(&world, "counted").await.len(), 1, "{case}");
            if !has_fired {
                break;
            }
            call += 1;
        }
        assert!(
            call > at_least(when, 15, 7),
            "{call} calls were made to fail"
        );
    }
}
