//! Mails: one for the notices of a minute, tried again where the service refuses, never lost.

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::ses::SentMail;
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::Duration;

const NOON: &str = "2026-11-24T12:00:00Z";

/// A world in which every risk of ada's is mailed to her manager max.
async fn world(settings: SystemSettings) -> World {
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("max", "eng").await;
    world.user("ada", "eng").await;
    let manager = json!({"manager_id": "max"});
    world
        .admin("PATCH", "/v1/users/ada", manager)
        .await
        .expect(200);
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"}, "actions": [{"type": "email_manager"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    world
}

fn risk(world: &World, event_id: &str) -> Value {
    json!({
        "event_id": event_id, "type": "ip_risk", "occurred_at": world.system.clock().now().to_string(),
        "user_id": "ada", "risk_level": "high", "summary": format!("a key of {event_id}"),
    })
}

async fn pass(world: &World, seconds: i64) {
    let now = world.system.clock().now() + jiff::SignedDuration::from_secs(seconds);
    world.set_clock(&now.to_string()).await;
    world.system.drain().await.unwrap();
}

fn sent(world: &World) -> Vec<SentMail> {
    world.system.mails().sent()
}

#[tokio::test]
async fn a_policy_that_fires_is_mailed_once_with_what_happened_and_why() {
    let world = world(SystemSettings::empty()).await;
    let event = risk(&world, "e-1");
    world.report(std::slice::from_ref(&event)).await;
    world.report(&[event]).await;
    let emails = world
        .admin("GET", "/local/emails", Value::Null)
        .await
        .expect(200);
    let mails = emails["items"].as_array().unwrap();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0]["to"], "max@example.com");
    assert_eq!(mails[0]["subject"], "Policy \"Leaks\" fired");
    assert_eq!(mails[0]["sent_at"], NOON);
    for part in ["text", "html"] {
        let said = mails[0][part].as_str().unwrap();
        assert!(said.contains("a key of e-1"), "{said}");
        assert!(said.contains("you are the manager of ada"), "{said}");
    }
}

#[tokio::test]
async fn notices_of_one_minute_are_one_mail_and_later_ones_another() {
    let world = world(SystemSettings::empty()).await;
    let three = ["e-1", "e-2", "e-3"].map(|id| risk(&world, id));
    world.report(&three).await;
    let mails = sent(&world);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(
        mails[0].subject,
        "3 notices: Policy \"Leaks\" fired, and more"
    );
    for id in ["e-1", "e-2", "e-3"] {
        assert!(mails[0].text.contains(&format!("a key of {id}")));
    }
    pass(&world, 120).await;
    world.report(&[risk(&world, "e-4")]).await;
    let mails = sent(&world);
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject, "Policy \"Leaks\" fired");
}

#[tokio::test]
async fn a_mail_has_twenty_notices_and_the_next_one_those_that_are_left() {
    let world = world(SystemSettings::empty()).await;
    let ids: Vec<String> = (0..21).map(|n| format!("e-{n:02}")).collect();
    let risks: Vec<Value> = ids.iter().map(|id| risk(&world, id)).collect();
    world.report(&risks).await;
    let mails = sent(&world);
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    let twenty = "20 notices: Policy \"Leaks\" fired, and more";
    assert_eq!(subjects, [twenty, "Policy \"Leaks\" fired"]);
    for id in &ids {
        let said = format!("a key of {id}");
        let with_it = mails.iter().filter(|mail| mail.text.contains(&said));
        assert_eq!(with_it.count(), 1, "{id}");
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_is_tried_again_and_with_it_what_came_meanwhile() {
    let world = world(SystemSettings::empty()).await;
    world.system.mails().refuse(2);
    world.report(&[risk(&world, "e-1")]).await;
    assert!(sent(&world).is_empty());
    pass(&world, 31).await;
    assert!(sent(&world).is_empty());
    pass(&world, 121).await;
    assert_eq!(sent(&world).len(), 1);
    pass(&world, 100_000).await;
    assert_eq!(sent(&world).len(), 1);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_a_day_is_an_incident_and_a_dead_letter() {
    let world = world(SystemSettings::empty()).await;
    world.system.mails().refuse(1_000);
    world.report(&[risk(&world, "e-1")]).await;
    for hour in 0..30 {
        if hour == 20 {
            world.report(&[risk(&world, "e-young")]).await;
        }
        pass(&world, 3_600).await;
    }
    let incidents = world
        .admin("GET", "/v1/incidents", Value::Null)
        .await
        .expect(200);
    let incidents = incidents["items"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0]["title"], "A mail could not be sent");
    let queues = world.system.queues();
    assert_eq!(queues.counts("notices-dlq").unwrap().visible, 1);
    // One that came meanwhile is not given up with it.
    world.report(&[risk(&world, "e-2")]).await;
    world.system.mails().refuse(0);
    pass(&world, 3_600).await;
    let mails = sent(&world);
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("a key of e-2") && !mails[0].text.contains("a key of e-1"));
    assert!(mails[0].text.contains("a key of e-young"), "ten hours old");
}

#[tokio::test]
async fn whichever_call_fails_a_mail_is_not_lost_and_comes_twice_only_where_its_end_was_not_kept() {
    for when in [When::Before, When::After] {
        let mut twice = 0;
        for call in 0.. {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = world(settings).await;
            let engine = world.system.engine();
            let kind = FaultKind::ConnectionReset;
            engine.inject(Fault { call, when, kind });
            let body = json!({"events": [risk(&world, "e-1")]});
            let key = end_to_end::AGENT;
            while world
                .call(key, "POST", "/v1/events", body.clone())
                .await
                .status
                != 202
            {}
            world.system.drain().await.unwrap();
            let has_fired = engine.faults_fired() > 0;
            engine.clear_faults();
            pass(&world, 120).await;
            let mails = sent(&world);
            assert!((1..=2).contains(&mails.len()), "call {call} {when:?}");
            twice += mails.len() - 1;
            if !has_fired {
                assert!(call > at_least(when, 15, 6), "{call}");
                break;
            }
        }
        assert!(twice <= 1, "{twice} {when:?}");
    }
}

#[tokio::test]
async fn a_notice_that_is_told_again_after_its_mail_was_sent_is_not_mailed_again() {
    let world = world(SystemSettings::empty()).await;
    world.system.drain().await.unwrap();
    let keeps_as_told = |operation: &str, body: &str| {
        let is_told = body.contains("\"is_told\":{\"BOOL\":true}");
        operation == "PutItem" && is_told && body.contains("policy.fired")
    };
    let mut stopped = world.system.engine().stop_next(keeps_as_told);
    let body = json!({"events": [risk(&world, "e-1")]});
    let sending = world.call(end_to_end::AGENT, "POST", "/v1/events", body);
    sending.await.expect(202);
    stopped.arrived().await;
    let minutes = world.system.clock().now() + jiff::SignedDuration::from_secs(120);
    world.set_clock(&minutes.to_string()).await;
    // The message that is stopped is the only one left when its letter is sent.
    let queues = world.system.queues();
    let is_alone = || {
        let counts = queues.counts("notices").unwrap();
        (counts.visible, counts.in_flight) == (0, 1)
    };
    while sent(&world).is_empty() || !is_alone() {
        tokio::task::yield_now().await;
    }
    // The queue gives it to somebody else, too.
    let again = queues.peek("notices", 1).unwrap().remove(0).body;
    queues.send("notices", &again, Duration::ZERO).unwrap();
    while !is_alone() {
        tokio::task::yield_now().await;
    }
    stopped.release();
    pass(&world, 120).await;
    assert_eq!(sent(&world).len(), 1);
    assert_eq!(letters(&world).await, ["sent"]);
}

#[tokio::test]
async fn a_budget_s_levels_are_mailed_to_whoever_manages_it_or_to_the_administrators() {
    let world = world(SystemSettings::empty()).await;
    world.user("root", "eng").await;
    let patch = async |path: &str, body: Value| world.admin("PATCH", path, body).await.expect(200);
    patch("/v1/users/root", json!({"role": "admin"})).await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    world
        .report(&[world.usage("u-1", "ada", 500, 0, None)])
        .await;
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "root@example.com"));
    assert!(
        mails[0].text.contains("500 tokens of 1,000 tokens"),
        "{}",
        mails[0].text
    );
    assert!(mails[0].text.contains("nobody manages the department eng"));
    patch("/v1/departments/eng", json!({"manager_id": "max"})).await;
    pass(&world, 120).await;
    // An amount that is lowered is told of at once, by the function that changes it.
    patch(&format!("/v1/budgets/{budget}"), json!({"amount": 400})).await;
    world.system.drain().await.unwrap();
    let mails = sent(&world);
    assert_eq!((mails.len(), mails[1].to.as_str()), (2, "max@example.com"));
    assert!(
        mails[1].subject.starts_with("2 notices"),
        "80 % and the limit: {}",
        mails[1].subject
    );
    assert!(mails[1].text.contains("you manage the department eng"));
}

#[tokio::test]
async fn a_notice_whose_message_was_lost_is_told_by_the_schedule() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = world(settings).await;
    let manager = json!({"manager_id": "max"});
    world
        .admin("PATCH", "/v1/departments/eng", manager)
        .await
        .expect(200);
    world
        .budget(Some("eng"), "tokens", json!(1_000), false)
        .await;
    // The first call puts the event on its queue, the second one is the notice.
    world.system.queues().inject(Fault {
        call: 1,
        when: When::Before,
        kind: FaultKind::ConnectionReset,
    });
    world
        .report(&[world.usage("u-1", "ada", 500, 0, None)])
        .await;
    assert!(sent(&world).is_empty());
    for _ in 0..2 {
        pass(&world, 3_600).await;
        world
            .admin("POST", "/local/schedule", Value::Null)
            .await
            .expect(200);
        world.system.drain().await.unwrap();
    }
    assert_eq!(sent(&world).len(), 1);
}

/// The ids of the events that the notices on the bus are about, in order.
fn on_bus(world: &World) -> Vec<String> {
    let events = world.system.bus().events().into_iter();
    let mut ids: Vec<String> = events
        .map(|event| {
            let id = &event.detail["data"]["facts"]["event"]["event_id"];
            id.as_str().unwrap().to_owned()
        })
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_notice_that_the_bus_refused_alone_comes_again_until_it_is_on_it() {
    let world = world(SystemSettings::empty()).await;
    let bus = world.system.bus();
    bus.refuse_entry("a key of e-2");
    world
        .report(&["e-1", "e-2", "e-3"].map(|id| risk(&world, id)))
        .await;
    assert_eq!(bus.faults_fired(), 1, "it was refused");
    assert_eq!(on_bus(&world), ["e-1", "e-2", "e-3"], "each once");
}

#[tokio::test]
async fn each_notice_is_on_the_bus_as_webhooks_are_sent_it_and_not_lost_where_the_bus_fails() {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = world(settings).await;
    for kind in [FaultKind::ConnectionReset, FaultKind::InternalServerError] {
        let when = When::Before;
        world.system.bus().inject(Fault {
            call: 0,
            when,
            kind,
        });
    }
    world
        .report(&["e-1", "e-2", "e-3"].map(|id| risk(&world, id)))
        .await;
    assert_eq!(on_bus(&world), ["e-1", "e-2", "e-3"]);
    let first = &world.system.bus().events()[0];
    assert_eq!(
        (first.source.as_str(), first.detail_type.as_str()),
        ("toktra", "policy.fired")
    );
    assert_eq!(first.detail["org_id"], "demo");
    assert!(first.detail["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(sent(&world).len(), 1, "and the mail is sent once");
    let seen = world
        .admin("GET", "/local/bus", Value::Null)
        .await
        .expect(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 3);
}

async fn bounce(world: &World, report: Value) {
    let asked = world.admin("POST", "/local/bounces", report).await;
    asked.expect(200);
    world.system.drain().await.unwrap();
}

async fn items(world: &World, path: &str) -> Vec<Value> {
    let page = world.admin("GET", path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// What has become of each letter, the oldest first.
async fn letters(world: &World) -> Vec<String> {
    let rows = world
        .tables()
        .scan()
        .table_name("Governance")
        .send()
        .await
        .unwrap();
    let letter = |item: &std::collections::HashMap<String, AttributeValue>| {
        let sk = item["sk"].as_s().unwrap().clone();
        let status = item.get("data")?.as_m().unwrap().get("status")?;
        let status = status.as_s().unwrap().clone();
        sk.starts_with("letter#").then_some((sk, status))
    };
    let mut found: Vec<(String, String)> = rows.items().iter().filter_map(letter).collect();
    found.sort();
    found.into_iter().map(|(_, status)| status).collect()
}

#[tokio::test]
async fn a_bounce_ends_the_mails_to_an_address_until_an_administrator_releases_it() {
    let world = world(SystemSettings::empty()).await;
    world.report(&[risk(&world, "e-1")]).await;
    let mail = &sent(&world)[0];
    assert_eq!(mail.tags["organisation"], "demo");
    assert_eq!(mail.configuration_set, "local");
    bounce(
        &world,
        json!({"email": "max@example.com", "type": "bounce"}),
    )
    .await;
    let suppressed = items(&world, "/v1/suppressions").await;
    assert_eq!(
        suppressed,
        [json!({
            "email": "max@example.com", "reason": "bounce", "since": NOON, "detail": "smtp; 550 5.1.1 user unknown",
        })]
    );
    let incidents = items(&world, "/v1/incidents").await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(
        (&incidents[0]["title"], &incidents[0]["severity"]),
        (&json!("Mails to max@example.com bounce"), &json!("low"))
    );
    pass(&world, 120).await;
    world.report(&[risk(&world, "e-2")]).await;
    assert_eq!(sent(&world).len(), 1, "nothing goes there");
    assert_eq!(letters(&world).await, ["sent", "suppressed"]);
    let notices = items(&world, "/local/notices").await;
    let last = notices
        .iter()
        .find(|notice| notice["payload"]["facts"]["event"]["event_id"] == "e-2");
    assert_eq!(last.unwrap()["recipients"][0]["status"], "suppressed");
    let head = async || world.system.store().head("demo").await.unwrap().unwrap();
    let before = head().await.seq;
    let path = "/v1/suppressions/MAX@example.com";
    let release = async || world.admin("DELETE", path, Value::Null).await.status;
    assert_eq!((release().await, release().await), (204, 404));
    assert_eq!(head().await.seq, before + 1, "audited once");
    assert!(items(&world, "/v1/suppressions").await.is_empty());
    pass(&world, 120).await;
    world.report(&[risk(&world, "e-3")]).await;
    let mails = sent(&world);
    assert_eq!(mails.len(), 2);
    assert!(mails[1].text.contains("a key of e-3") && !mails[1].text.contains("a key of e-2"));
}

#[tokio::test]
async fn a_letter_that_waits_while_its_address_bounces_is_not_sent_and_the_others_are() {
    let settings = SystemSettings::empty();
    let world = world(settings).await;
    world.user("root", "eng").await;
    let patch = json!({"role": "admin"});
    world
        .admin("PATCH", "/v1/users/root", patch)
        .await
        .expect(200);
    world.system.mails().refuse(1);
    world.report(&[risk(&world, "e-1")]).await;
    assert!(sent(&world).is_empty());
    bounce(
        &world,
        json!({"email": "max@example.com", "type": "bounce"}),
    )
    .await;
    pass(&world, 600).await;
    let to: Vec<String> = sent(&world).into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["root@example.com"], "the administrators hear of it");
    // With a clock that stands still, what was made at one moment is in any order.
    let mut statuses = letters(&world).await;
    statuses.sort_unstable();
    assert_eq!(statuses, ["sent", "suppressed"]);
}

#[tokio::test]
async fn a_bounce_that_passes_ends_nothing_and_a_complaint_does() {
    let world = world(SystemSettings::empty()).await;
    let soft = json!({"email": "max@example.com", "type": "bounce", "permanent": false});
    bounce(&world, soft).await;
    assert!(items(&world, "/v1/suppressions").await.is_empty());
    assert!(items(&world, "/v1/incidents").await.is_empty());
    world.report(&[risk(&world, "e-1")]).await;
    assert_eq!(sent(&world).len(), 1);
    bounce(
        &world,
        json!({"email": "max@example.com", "type": "complaint"}),
    )
    .await;
    let suppressed = items(&world, "/v1/suppressions").await;
    assert_eq!(
        (&suppressed[0]["reason"], &suppressed[0]["detail"]),
        (&json!("complaint"), &json!("abuse"))
    );
}

/// What SES reports of a mail of `organisation`.
fn report_of(organisation: &str, id: &str) -> String {
    json!({
        "eventType": "Bounce",
        "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "feedbackId": id, "bouncedRecipients": []},
        "mail": {"destination": ["max@example.com"], "tags": {"organisation": [organisation]}},
    })
    .to_string()
}

#[tokio::test]
async fn a_report_that_comes_twice_leaves_the_state_of_once_and_undoes_no_release() {
    let world = world(SystemSettings::empty()).await;
    let queue = async |id: &str| {
        let body = report_of("demo", id);
        let queues = world.system.queues();
        queues.send("notices", &body, Duration::ZERO).unwrap();
        world.system.drain().await.unwrap();
    };
    let counts = async || {
        [
            items(&world, "/v1/suppressions").await.len(),
            items(&world, "/v1/incidents").await.len(),
            items(&world, "/local/notices").await.len(),
        ]
    };
    queue("f-1").await;
    assert_eq!(counts().await, [1, 1, 1]);
    queue("f-1").await;
    queue("f-2").await;
    assert_eq!(
        counts().await,
        [1, 1, 1],
        "another report of the same address"
    );
    let path = "/v1/suppressions/max@example.com";
    assert_eq!(world.admin("DELETE", path, Value::Null).await.status, 204);
    queue("f-1").await;
    assert_eq!(counts().await, [0, 1, 1], "an old report undoes no release");
    queue("f-3").await;
    assert_eq!(counts().await, [1, 2, 2]);
}

#[tokio::test]
async fn whichever_call_fails_a_report_is_heeded_once() {
    for when in [When::Before, When::After] {
        for call in 0.. {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.set_clock(NOON).await;
            let engine = world.system.engine();
            let kind = FaultKind::ConnectionReset;
            engine.inject(Fault { call, when, kind });
            let body = report_of("demo", "f-1");
            let queues = world.system.queues();
            queues.send("notices", &body, Duration::ZERO).unwrap();
            world.system.drain().await.unwrap();
            let has_fired = engine.faults_fired() > 0;
            engine.clear_faults();
            assert_eq!(items(&world, "/v1/suppressions").await.len(), 1, "{call}");
            assert_eq!(items(&world, "/v1/incidents").await.len(), 1, "{call}");
            let schedule = world.admin("POST", "/local/schedule", Value::Null).await;
            schedule.expect(200);
            assert_eq!(queues.counts("notices-dlq").unwrap().visible, 0);
            if !has_fired {
                assert!(call >= 2, "{call}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_report_that_nobody_can_read_is_a_dead_letter_and_its_neighbours_are_heeded() {
    let world = world(SystemSettings::empty()).await;
    let queues = world.system.queues();
    let greeting = "Successfully validated SNS topic for Amazon SES event publishing.";
    for body in [
        "{\"eventType\":\"Bounce\"}",
        "no report at all",
        &report_of("no#slug", "f-1"),
        greeting,
        &report_of("demo", "f-2"),
    ] {
        queues.send("notices", body, Duration::ZERO).unwrap();
    }
    world.system.drain().await.unwrap();
    assert_eq!(queues.counts("notices-dlq").unwrap().visible, 3);
    assert_eq!(items(&world, "/v1/suppressions").await.len(), 1);
}
