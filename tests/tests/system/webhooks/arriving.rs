//! Deliveries: their bodies, headers and order.

use super::{deliveries, path, seen, test, webhook, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::receiver::Receiver;
use end_to_end::{World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

#[tokio::test]
async fn a_policy_that_fires_is_posted_as_it_was_with_both_signatures() {
    let (world, receiver) = world().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "webhook", "url": format!("{}/policies", receiver.url)}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let secret = made["webhooks"][0]["signing_secret"].as_str().unwrap();
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    let risk = json!({
        "event_id": "e-1", "type": "ip_risk", "occurred_at": super::NOON, "user_id": "ada",
        "risk_level": "high",
        "summary": "a key was pushed",
    });
    // Delivered twice by the queue of events, told once.
    world.report(std::slice::from_ref(&risk)).await;
    world.report(&[risk]).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let got = &received[0];
    assert_eq!(got.path, "/policies");
    let body = got.json();
    assert_eq!(body["id"], got.header("webhook-id"));
    assert_eq!(
        (&body["type"], &body["org_id"]),
        (&json!("policy.fired"), &json!("demo"))
    );
    assert_eq!(body["created_at"], super::NOON);
    assert_eq!(body["data"]["facts"]["event"]["event_id"], "e-1");
    assert_eq!(got.header("content-type"), "application/json");
    let (standard, of_body) = super::secrets::signatures(secret, got);
    assert_eq!(got.header("webhook-signature"), standard);
    assert_eq!(got.header("x-toktra-signature"), of_body);
    let delivered = &deliveries(&world, &made["webhooks"][0]).await[0];
    assert_eq!(
        (
            &delivered["status"],
            &delivered["attempts"][0]["status_code"]
        ),
        (&json!("delivered"), &json!(200))
    );
}

#[tokio::test]
async fn webhooks_are_made_listed_and_deleted_each_audited_and_the_secret_is_shown_once() {
    let (world, receiver) = world().await;
    let head = async || world.system.store().head("demo").await.unwrap().unwrap();
    let before = head().await.seq;
    let made = webhook(
        &world,
        &receiver,
        json!({"events": ["policy.fired"], "description": "Ours"}),
    )
    .await;
    assert!(
        made["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    let seen = seen(&world, &made).await;
    assert_eq!(
        (&seen["events"], &seen["description"]),
        (&json!(["policy.fired"]), &json!("Ours"))
    );
    assert_eq!(
        (&seen["status"], &seen["signing_secret"]),
        (&json!("active"), &Value::Null)
    );
    let other = webhook(&world, &receiver, json!({})).await;
    let listed = world
        .admin("GET", "/v1/webhooks", Value::Null)
        .await
        .expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("whsec_"));
    assert_eq!(
        world
            .admin("DELETE", &path(&other), Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        world.admin("GET", &path(&other), Value::Null).await.status,
        404
    );
    assert_eq!(head().await.seq, before + 3);
    assert_eq!(head().await.webhooks, 1);
    for table in ["Governance", "Audit"] {
        let rows = world.tables().scan().table_name(table).send().await;
        let rows = rows.unwrap();
        assert!(
            !format!("{:?}", rows.items()).contains("whsec_"),
            "secrets are sealed in {table}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_name_or_private_address_is_reached() {
    let (world, receiver) = world().await;
    let elsewhere = Receiver::start().await;
    receiver.answer(302, &[("location", &elsewhere.url)]);
    let made = webhook(&world, &receiver, json!({})).await;
    test(&world, &made).await;
    assert_eq!(receiver.received().len(), 1);
    assert!(elsewhere.received().is_empty());
    assert_eq!(
        deliveries(&world, &made).await[0]["attempts"][0]["status_code"],
        302
    );
    // A name whose addresses are not public, and urls that were registered before private ones were
    // refused.
    let body = json!({"url": "https://metadata.example/"});
    let made = world.admin("POST", "/v1/webhooks", body).await.expect(201);
    for url in ["", "https://10.0.0.1/", "https://metadata.internal/"] {
        if !url.is_empty() {
            super::set_url(&world, &made, url).await;
        }
        test(&world, &made).await;
        let attempt = deliveries(&world, &made).await[0]["attempts"][0].clone();
        assert_eq!(
            attempt["error"], "the address of the receiver is not public",
            "{url}"
        );
    }
}

#[tokio::test]
async fn whichever_call_fails_a_notice_is_delivered_under_one_id() {
    for when in [When::Before, When::After] {
        for of_queue in [false, true] {
            for call in 0.. {
                let settings = SystemSettings {
                    retry: RetryConfig::disabled(),
                    ..SystemSettings::empty()
                };
                let world = World::with(settings).await;
                world.set_clock(super::NOON).await;
                let receiver = Receiver::start().await;
                let policy = json!({
                    "name": "x", "trigger": {"type": "ip_risk_event"},
                    "actions": [{"type": "webhook", "url": receiver.url}],
                });
                let made = world
                    .admin("POST", "/v1/policies", policy)
                    .await
                    .expect(201);
                let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
                world.admin("POST", &publish, Value::Null).await.expect(200);
                let kind = FaultKind::ConnectionReset;
                let fault = Fault { call, when, kind };
                if of_queue {
                    world.system.queues().inject(fault);
                } else {
                    world.system.engine().inject(fault);
                }
                let risk = json!({
                    "event_id": "e-1", "type": "ip_risk", "occurred_at": super::NOON,
                    "risk_level": "low", "summary": "s",
                });
                let body = json!({ "events": [risk] });
                while world
                    .call(end_to_end::AGENT, "POST", "/v1/events", body.clone())
                    .await
                    .status
                    != 202
                {}
                world.system.drain().await.unwrap();
                // An attempt whose outcome was not kept is due again at once; one that waits is due
                // after a while.
                super::pass(&world, 10).await;
                let has_fired =
                    world.system.engine().faults_fired() + world.system.queues().faults_fired() > 0;
                world.system.engine().clear_faults();
                world.system.queues().clear_faults();
                let case = format!("call {call} {when:?} of_queue {of_queue}");
                let mut ids = receiver.ids();
                ids.dedup();
                assert_eq!(ids.len(), 1, "{case}: {ids:?}");
                let delivered = deliveries(&world, &made["webhooks"][0]).await;
                assert_eq!(delivered.len(), 1, "{case}");
                assert_eq!(delivered[0]["status"], "delivered", "{case}");
                assert_eq!(
                    world.system.queues().counts("notices-dlq").unwrap().visible,
                    0,
                    "{case}"
                );
                if !has_fired {
                    assert!(
                        call > if of_queue { 2 } else { at_least(when, 15, 5) },
                        "{case}"
                    );
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_webhook_is_told_of_the_events_that_it_is_for_and_of_those_only() {
    let (world, receiver) = world().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    let url = |path: &str| json!({"url": format!("{}/{path}", receiver.url)});
    let with = |path: &str, events: Value| {
        let mut body = url(path);
        body["events"] = events;
        body
    };
    for body in [
        url("all"),
        with("exceeded", json!(["budget.exceeded"])),
        with("none", json!([])),
    ] {
        world.admin("POST", "/v1/webhooks", body).await.expect(201);
    }
    let policy = json!({
        "name": "Much",
        "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 600},
        "actions": [{"type": "webhook", "url": format!("{}/policy", receiver.url)}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    world
        .report(&[world.usage("u-1", "ada", 500, 0, None)])
        .await;
    world
        .report(&[world.usage("u-2", "ada", 500, 0, None)])
        .await;
    let received = receiver.received();
    let got = |path: &str| {
        let of = received.iter().filter(|got| got.path == path);
        let mut types: Vec<String> = of
            .map(|got| got.json()["type"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    };
    assert_eq!(
        got("/all"),
        [
            "budget.exceeded",
            "budget.threshold",
            "budget.threshold",
            "policy.fired"
        ]
    );
    assert_eq!(got("/exceeded"), ["budget.exceeded"]);
    assert_eq!(got("/policy"), ["policy.fired"], "its own policy only");
    assert!(got("/none").is_empty());
}
