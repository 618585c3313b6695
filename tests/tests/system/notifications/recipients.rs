//! Who hears of blocks, closed months, differences of the books and failures of telling itself.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::World;
use end_to_end::receiver::Receiver;
use local::bus::PutEvent;
use local::dynamodb::{Fault, FaultKind, When};
use local::ses::SentMail;
use local::system::SystemSettings;
use serde_json::{Value, json};

const NOON: &str = "2026-11-24T12:00:00Z";

/// ada, whose manager is max, and the administrator root.
async fn world() -> World {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    for id in ["max", "ada", "root"] {
        world.user(id, "eng").await;
    }
    for (id, change) in [
        ("ada", json!({"manager_id": "max"})),
        ("root", json!({"role": "admin"})),
    ] {
        let path = format!("/v1/users/{id}");
        world.admin("PATCH", &path, change).await.expect(200);
    }
    world
}

async fn pass(world: &World, seconds: i64) {
    let now = world.system.clock().now() + jiff::SignedDuration::from_secs(seconds);
    world.set_clock(&now.to_string()).await;
    world.system.drain().await.unwrap();
}

async fn schedule(world: &World) {
    let fired = world.admin("POST", "/local/schedule", Value::Null).await;
    fired.expect(200);
    world.system.drain().await.unwrap();
}

/// The mails, but for those about the head of the audit log, which each day has.
fn sent(world: &World) -> Vec<SentMail> {
    let mut mails = world.system.mails().sent();
    mails.retain(|mail| !mail.subject.starts_with("the audit log of"));
    mails
}

/// What is on the bus, but for the same.
fn on_bus(world: &World) -> Vec<PutEvent> {
    let mut events = world.system.bus().events();
    events.retain(|event| event.detail_type != "audit.head");
    events
}

fn told(world: &World) -> Vec<String> {
    let events = on_bus(world).into_iter();
    events.map(|event| event.detail_type).collect()
}

async fn webhook(world: &World, receiver: &Receiver, events: Value) -> String {
    let body = json!({"url": receiver.url, "events": events});
    let made = world.admin("POST", "/v1/webhooks", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_is_blocked_by_hand_and_their_manager_are_told_why_until_when_and_whom_to_ask() {
    let world = world().await;
    let path = "/v1/users/ada/block";
    let block = json!({"reason": "a leak", "until": "2026-11-25T08:00:00Z"});
    for _ in 0..2 {
        world.admin("PUT", path, block.clone()).await.expect(200);
    }
    world.system.drain().await.unwrap();
    let mails = sent(&world);
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["ada@example.com", "max@example.com"], "each once");
    for said in [
        "a leak",
        "until 2026-11-25T08:00:00Z",
        "ask max (max@example.com) or an administrator",
    ] {
        assert!(
            mails.iter().all(|mail| mail.text.contains(said)),
            "{said}: {mails:?}"
        );
    }
    pass(&world, 120).await;
    for status in [204, 204] {
        assert_eq!(
            world.admin("DELETE", path, Value::Null).await.status,
            status
        );
    }
    world.system.drain().await.unwrap();
    assert_eq!(told(&world), ["user.blocked", "user.released"]);
    assert_eq!(sent(&world).len(), 4);
    assert!(sent(&world)[2].subject.contains("is released"));
}

#[tokio::test]
async fn who_has_no_manager_is_told_which_administrator_to_ask() {
    let world = world().await;
    let body = json!({"reason": "a leak"});
    world
        .admin("PUT", "/v1/users/max/block", body)
        .await
        .expect(200);
    world.system.drain().await.unwrap();
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "max@example.com"));
    assert!(
        mails[0]
            .text
            .contains("the administrator root (root@example.com)")
    );
    assert!(mails[0].text.contains("until an administrator releases it"));
}

#[tokio::test]
async fn a_policy_that_blocks_and_mails_the_user_mails_them_once_and_tells_systems_of_each() {
    let world = world().await;
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "email_user"}, {"type": "block_access"}, {"type": "create_incident"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    for id in ["e-1", "e-2"] {
        let risk = json!({
            "event_id": id, "type": "ip_risk", "occurred_at": NOON, "user_id": "ada", "risk_level": "high", "summary": "s",
        });
        world.report(std::slice::from_ref(&risk)).await;
        world.report(&[risk]).await;
        pass(&world, 120).await;
    }
    let mut told = told(&world);
    told.sort();
    let expected = [
        "incident.created",
        "incident.created",
        "policy.fired",
        "policy.fired",
        "user.blocked",
    ];
    assert_eq!(told, expected, "the second one finds them blocked");
    let mails = sent(&world);
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.to == "ada@example.com"));
    assert!(mails[0].text.contains("LLM access is blocked until"));
}

async fn month_that_ends() -> World {
    let world = world().await;
    let budget = json!({
        "name": "Lab tokens", "department_id": "eng", "unit": "tokens", "amount": 1_000, "hard_cap": true,
        "rollover": {"cap_percent": 50}, "thresholds": [],
    });
    world.admin("POST", "/v1/budgets", budget).await.expect(201);
    world.budget(None, "usd", json!(5), false).await;
    world
        .report(&[world.usage("u-1", "ada", 400, 0, None)])
        .await;
    world.set_clock("2026-12-01T00:10:00Z").await;
    world
}

#[tokio::test]
async fn a_closed_month_is_told_once_to_the_administrators_with_what_carries_over() {
    let world = month_that_ends().await;
    schedule(&world).await;
    schedule(&world).await;
    // A day later usage that came late would be seen to, which nobody is told of.
    for hour in [12, 14] {
        world.set_clock(&format!("2026-12-02T{hour}:00:00Z")).await;
        schedule(&world).await;
    }
    assert_eq!(told(&world), ["period.closed"]);
    let data = on_bus(&world)[0].detail["data"].clone();
    assert_eq!(
        (&data["period"], &data["next_period"]),
        (&json!("2026-11"), &json!("2026-12"))
    );
    let [lab, usd] = [&data["budgets"][0], &data["budgets"][1]];
    assert_eq!(
        (
            &lab["amount"],
            &lab["spent"],
            &lab["unused"],
            &lab["carried_out"]
        ),
        (&json!(1_000), &json!(400), &json!(600), &json!(300))
    );
    assert_eq!(
        (&usd["amount"], &usd["carried_out"]),
        (&json!(5), &json!(0))
    );
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "root@example.com"));
    // The head of the audit log's day is in the same mail.
    assert!(
        mails[0].text.contains("\n2026-11 is closed\n"),
        "{}",
        mails[0].text
    );
    let said = "Lab tokens (eng): 400 tokens spent of 1,000 tokens, 600 tokens unused, 300 tokens carry over";
    assert!(mails[0].text.contains(said), "{}", mails[0].text);
}

async fn whichever_call_fails_a_closed_month_is_told_once(when: When) {
    for of_queue in [false, true] {
        for call in 0.. {
            let world = month_that_ends().await;
            let kind = FaultKind::ConnectionReset;
            let fault = Fault { call, when, kind };
            if of_queue {
                world.system.queues().inject(fault);
            } else {
                world.system.engine().inject(fault);
            }
            world.admin("POST", "/local/schedule", Value::Null).await;
            let has_fired =
                world.system.engine().faults_fired() + world.system.queues().faults_fired() > 0;
            world.system.engine().clear_faults();
            world.system.queues().clear_faults();
            for _ in 0..2 {
                pass(&world, 3_600).await;
                schedule(&world).await;
            }
            let case = format!("call {call} {when:?} {of_queue}");
            let mut ids: Vec<Value> = on_bus(&world)
                .into_iter()
                .map(|event| event.detail["id"].clone())
                .collect();
            ids.dedup();
            assert_eq!(ids.len(), 1, "{case}");
            assert_eq!(sent(&world).len(), 1, "{case}");
            if !has_fired {
                assert!(call >= if of_queue { 1 } else { 8 }, "{case}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn whichever_call_fails_before_it_is_applied_a_closed_month_is_told_once() {
    whichever_call_fails_a_closed_month_is_told_once(When::Before).await;
}

#[tokio::test]
async fn whichever_answer_is_lost_a_closed_month_is_told_once() {
    whichever_call_fails_a_closed_month_is_told_once(When::After).await;
}

#[tokio::test]
async fn a_difference_of_the_books_is_told_once_to_the_administrators() {
    let mut world = month_that_ends().await;
    world.has_wrong_books = true;
    world.set_clock(NOON).await;
    let edited = world
        .tables()
        .update_item()
        .table_name("Counters")
        .key("k", AttributeValue::S("demo.2026-11.0.0".to_owned()))
        .update_expression("SET t2 = t2 + :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    edited.send().await.unwrap();
    schedule(&world).await;
    schedule(&world).await;
    assert_eq!(told(&world), ["alert.created"]);
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "root@example.com"));
    assert!(
        mails[0].text.contains("The runbook says"),
        "{}",
        mails[0].text
    );
}

#[tokio::test]
async fn two_webhooks_that_refuse_all_do_not_tell_each_other_for_ever() {
    let world = world().await;
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    for receiver in [&one, &other] {
        receiver.answer(400, &[]);
    }
    let first = webhook(&world, &one, Value::Null).await;
    webhook(&world, &other, json!(["incident.created"])).await;
    let test = format!("/v1/webhooks/{first}/test");
    world.admin("POST", &test, Value::Null).await.expect(202);
    for _ in 0..120 {
        pass(&world, 3_600).await;
    }
    let incidents = world.admin("GET", "/v1/incidents", Value::Null).await;
    let incidents = incidents.expect(200)["items"].as_array().unwrap().len();
    assert_eq!(incidents, 1, "of the test; none of what tells of it");
    assert_eq!(told(&world), ["incident.created"]);
    let of_others = |got: &end_to_end::receiver::Received| got.json()["type"] != "webhook.test";
    assert!(
        !one.received().iter().any(of_others),
        "not of its own failure"
    );
    assert!(other.received().iter().any(of_others));
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "root@example.com"));
    assert_eq!(mails[0].subject, "A webhook was given up");
}

#[tokio::test]
async fn a_test_under_one_idempotency_key_is_sent_once_and_another_request_is_a_conflict() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let ids = [
        webhook(&world, &receiver, json!([])).await,
        webhook(&world, &receiver, json!([])).await,
    ];
    let test = async |id: &str| {
        let path = format!("/v1/webhooks/{id}/test");
        let headers = [("idempotency-key", "once")];
        world
            .raw(end_to_end::ADMIN, "POST", &path, &headers, "")
            .await
    };
    // The answer is kept, and the queue does not take the delivery.
    world.system.queues().inject(Fault {
        call: 0,
        when: When::Before,
        kind: FaultKind::ConnectionReset,
    });
    assert_eq!(test(&ids[0]).await.status, 503);
    let first = test(&ids[0]).await.expect(202);
    world.system.drain().await.unwrap();
    assert_eq!(receiver.ids(), [first["id"].as_str().unwrap()]);
    assert_eq!(test(&ids[0]).await.expect(202), first);
    world.system.drain().await.unwrap();
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(test(&ids[1]).await.status, 409);
}
