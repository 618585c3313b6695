//! A receiver that wants no further deliveries, and retries of failed ones.

use super::{deliveries, event, pass, path, pause, seen, statuses, test, webhook, world_with_ada};
use end_to_end::World;
use end_to_end::receiver::Receiver;
use jiff::{SignedDuration, Timestamp};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus};
use shared::domain::notice::event_type::EventType;

async fn incidents(world: &World) -> Vec<Value> {
    let page = world.admin("GET", "/v1/incidents", Value::Null).await;
    page.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_receiver_that_answers_410_gets_nothing_more_and_administrators_are_told_once() {
    let (world, receiver, made) = world_with_ada().await;
    let root = json!({
        "id": "root", "email": "root@example.com", "name": "Root", "department_id": "eng",
        "role": "admin",
    });
    world.admin("POST", "/v1/users", root).await.expect(201);
    receiver.answer(503, &[]);
    event(&world, 0).await;
    receiver.answer(410, &[]);
    for number in 1..4 {
        event(&world, number).await;
    }
    assert_eq!(seen(&world, &made).await["status"], "ended");
    let gone = receiver.received().len();
    for _ in 0..30 {
        pass(&world, 3_600).await;
    }
    event(&world, 4).await;
    assert_eq!(receiver.received().len(), gone, "nothing more is sent");
    assert_eq!(statuses(&deliveries(&world, &made).await), ["failed"; 2]);
    let opened = incidents(&world).await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["title"], "A webhook was ended by its receiver");
    let mails = world.system.mails().sent();
    let told = mails
        .iter()
        .filter(|mail| mail.subject.contains("ended by its receiver"));
    let told: Vec<&str> = told.map(|mail| mail.to.as_str()).collect();
    assert_eq!(told, ["root@example.com"]);
    let dead = world.system.queues().counts("notices-dlq").unwrap();
    assert_eq!(dead.visible, 0);

    let retry = format!("{}/retry?since={}", path(&made), super::NOON);
    let refused = world.admin("POST", &retry, Value::Null).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    // It goes on when the receiver takes one that somebody asked for.
    test(&world, &made).await;
    assert_eq!(seen(&world, &made).await["status"], "ended");
    receiver.answer(200, &[]);
    test(&world, &made).await;
    assert_eq!(seen(&world, &made).await["status"], "active");
    let answer = world.admin("POST", &retry, Value::Null).await.expect(202);
    assert_eq!(answer["retried"], 3);
    world.system.drain().await.unwrap();
    assert_eq!(statuses(&deliveries(&world, &made).await), ["delivered"; 4]);
    assert_eq!(incidents(&world).await.len(), 1);
}

#[tokio::test]
async fn a_delivery_in_flight_does_not_revive_a_webhook_that_the_receiver_ended() {
    // An event, or a request that was sent before the end.
    for (older, kind) in [("PUT", "user.blocked"), ("POST", "webhook.test")] {
        let (world, receiver, made) = world_with_ada().await;
        let block = "/v1/users/ada/block";
        let reason = json!({"reason": "a key was pushed"});
        if kind == "webhook.test" {
            let blocked = world.admin("PUT", block, reason.clone()).await;
            assert!(blocked.status < 300, "{}", blocked.body);
            world.system.drain().await.unwrap();
        }
        let before = receiver.received().len();
        receiver.hold_to(&format!(r#""type":"{kind}""#));
        receiver.answer_to(r#""type":"user.released""#, 410);
        let began = match kind {
            "webhook.test" => {
                let path = format!("{}/test", path(&made));
                world.admin(older, &path, Value::Null).await
            }
            _ => world.admin(older, block, reason).await,
        };
        assert!(began.status < 300, "{}", began.body);
        let racing = async {
            receiver.wait_for(before + 1).await;
            let later = world.system.clock().now() + SignedDuration::from_secs(1);
            world.set_clock(&later.to_string()).await;
            let released = world.admin("DELETE", block, Value::Null).await;
            assert!(released.status < 300, "{}", released.body);
            while seen(&world, &made).await["status"] != "ended" {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            receiver.hold(false);
        };
        let (drained, ()) = tokio::join!(world.system.drain(), racing);
        drained.unwrap();
        let all = deliveries(&world, &made).await;
        let of = |kind: &str| {
            let found = all.iter().find(|delivery| delivery["type"] == kind);
            found.unwrap()["status"].clone()
        };
        assert_eq!(
            (of(kind), of("user.released")),
            (json!("delivered"), json!("failed"))
        );
        assert_eq!(seen(&world, &made).await["status"], "ended", "{kind}");
        let posted = receiver.received().len();
        assert_eq!(posted, before + 2, "{kind}");
        event(&world, 0).await;
        assert_eq!(
            receiver.received().len(),
            posted,
            "{kind}: nothing more is sent"
        );
        // A delivery that is requested now is sent.
        test(&world, &made).await;
        assert_eq!(seen(&world, &made).await["status"], "active", "{kind}");
        assert_eq!(incidents(&world).await.len(), 1, "{kind}");
    }
}

/// A delivery that was given up, made so many seconds after noon.
async fn given_up(world: &World, webhook: &Value, seconds: i64) -> String {
    given_up_of(world, webhook, seconds, seconds).await
}

/// The same, of an event so many seconds after noon, by which deliveries are sorted.
async fn given_up_of(world: &World, webhook: &Value, event: i64, seconds: i64) -> String {
    let noon: Timestamp = super::NOON.parse().unwrap();
    let event_at = noon + SignedDuration::from_secs(event);
    let made_at = noon + SignedDuration::from_secs(seconds);
    let id = format!(
        "evt_{:012x}{:016x}",
        event_at.as_millisecond(),
        event.unsigned_abs()
    );
    let of = webhook["id"].as_str().unwrap().to_owned();
    let mut delivery = Delivery::new(
        id.clone(),
        of,
        EventType::UserBlocked,
        "{}".to_owned(),
        made_at,
    );
    delivery.status = DeliveryStatus::Failed;
    delivery.next_attempt_at = None;
    delivery.attempts.push(Attempt {
        at: made_at,
        status_code: Some(503),
        error: None,
    });
    world
        .system
        .store()
        .add_delivery("demo", &delivery)
        .await
        .unwrap();
    id
}

async fn retry(world: &World, webhook: &Value, since: &str) -> Value {
    let path = format!("{}/retry?since={since}", path(webhook));
    let answer = world.admin("POST", &path, Value::Null).await.expect(202);
    world.system.drain().await.unwrap();
    answer
}

#[tokio::test]
async fn failed_deliveries_since_a_time_are_retried_a_hundred_at_a_time() {
    let (world, receiver, made) = world_with_ada().await;
    let mut ids = Vec::new();
    for seconds in 0..230 {
        ids.push(given_up(&world, &made, seconds).await);
    }
    let mut since = "2026-11-24T12:00:10Z".to_owned();
    for expected in [100, 100, 20] {
        let answer = retry(&world, &made, &since).await;
        assert_eq!(answer["retried"], expected, "{answer}");
        assert_eq!(answer["has_more"], expected == 100, "{answer}");
        if let Some(next) = answer["next_since"].as_str() {
            since = next.to_owned();
        }
    }
    let mut arrived = receiver.ids();
    arrived.sort();
    assert_eq!(arrived, ids[10..]);
    let nothing = retry(&world, &made, "2026-11-24T12:00:10Z").await;
    assert_eq!(
        nothing,
        json!({
            "retried": 0, "skipped": 0, "has_more": false, "next_cursor": null, "next_since": null,
        })
    );
    assert_eq!(
        retry(&world, &made, "2026-11-24T12:00:00Z").await["retried"],
        10
    );
    for wrong in [
        "",
        "?since=",
        "?since=yesterday",
        "?since=2026-11-24",
        "?from=x",
    ] {
        let path = format!("{}/retry{wrong}", path(&made));
        let refused = world.admin("POST", &path, Value::Null).await;
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(refused.fields().contains(&"since".to_owned()), "{wrong}");
    }
}

#[tokio::test]
async fn retries_of_a_paused_webhook_follow_the_first_that_is_taken() {
    let (world, receiver, made) = world_with_ada().await;
    pause(&world, &made).await;
    let mut ids = Vec::new();
    for seconds in 0..5 {
        ids.push(given_up(&world, &made, seconds).await);
    }
    receiver.answer(503, &[]);
    let answer = retry(&world, &made, super::NOON).await;
    assert_eq!(answer["retried"], 5);
    assert_eq!(receiver.ids(), ids[..1], "only one is tried");
    // Asked for again, they wait already.
    assert_eq!(retry(&world, &made, super::NOON).await["retried"], 0);
    receiver.answer(200, &[]);
    pass(&world, 900).await;
    assert_eq!(receiver.ids()[1..], ids);
    assert_eq!(seen(&world, &made).await["status"], "active");
}

/// Deliveries that were given up, by the order of their events, which are a second apart. They are
/// made ten at a time, and the one of the last event first.
async fn three_hundred(world: &World, webhook: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..300 {
        let made = number / 10 * 10 + 19 - number % 10;
        ids.push(given_up_of(world, webhook, number, made).await);
    }
    ids
}

#[tokio::test]
async fn none_is_lost_between_two_calls_though_deliveries_are_not_made_in_the_order_of_events() {
    for by in ["cursor", "since"] {
        let (world, receiver, made) = world_with_ada().await;
        let ids = three_hundred(&world, &made).await;
        let mut since = super::NOON.to_owned();
        let mut retried = Vec::new();
        loop {
            let answer = retry(&world, &made, &since).await;
            retried.push(answer["retried"].as_u64().unwrap());
            if answer["has_more"] == false {
                assert_eq!(
                    (&answer["next_cursor"], &answer["next_since"]),
                    (&Value::Null, &Value::Null)
                );
                break;
            }
            since = match by {
                "cursor" => {
                    let cursor = answer["next_cursor"].as_str().unwrap();
                    format!("{}&cursor={cursor}", super::NOON)
                }
                _ => answer["next_since"].as_str().unwrap().to_owned(),
            };
        }
        assert_eq!(retried, [100, 100, 100], "{by}");
        let mut arrived = receiver.ids();
        arrived.sort();
        assert_eq!(arrived, ids, "{by}: each once");
        let last = statuses(&deliveries(&world, &made).await).join(" ");
        assert!(!last.contains("failed"), "{by}: {last}");
    }
}

/// A world at one o'clock whose queues are handled when it is drained only.
async fn slow_world() -> (World, Receiver, Value) {
    let settings = SystemSettings {
        delivers_events: false,
        now: Some("2026-11-24T13:00:00Z".parse().unwrap()),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let receiver = Receiver::start().await;
    let made = webhook(&world, &receiver, json!({})).await;
    (world, receiver, made)
}

#[tokio::test]
async fn by_the_cursor_each_is_queued_once_though_nothing_of_the_calls_before_was_handled() {
    let (world, receiver, made) = slow_world().await;
    let ids = three_hundred(&world, &made).await;
    let mut path = format!("{}/retry?since={}", path(&made), super::NOON);
    let first = path.clone();
    for has_more in [true, true, false] {
        let answer = world.admin("POST", &path, Value::Null).await.expect(202);
        assert_eq!(
            (&answer["retried"], &answer["has_more"]),
            (&json!(100), &json!(has_more))
        );
        let cursor = answer["next_cursor"].as_str().unwrap_or_default();
        path = format!("{first}&cursor={cursor}");
    }
    let queued = world.system.queues().counts("notices").unwrap();
    assert_eq!(queued.visible, 300);
    world.system.drain().await.unwrap();
    let mut arrived = receiver.ids();
    arrived.sort();
    assert_eq!(arrived, ids);
}

#[tokio::test]
async fn a_late_delivery_is_found_by_the_time_of_its_creation() {
    let (world, receiver, made) = world_with_ada().await;
    let days = 13 * 24 * 3_600;
    let id = given_up_of(&world, &made, -days, 5).await;
    given_up_of(&world, &made, -days - 1, -1).await;
    assert_eq!(retry(&world, &made, super::NOON).await["retried"], 1);
    assert_eq!(receiver.ids(), [id]);
}

#[tokio::test]
async fn one_retry_to_a_receiver_that_is_still_down_fails_and_the_others_wait() {
    let (world, receiver, made) = world_with_ada().await;
    let mut ids = Vec::new();
    for seconds in 0..61 {
        ids.push(given_up(&world, &made, seconds).await);
    }
    pass(&world, 600).await;
    receiver.answer(503, &[]);
    let url = json!({"url": format!("{}/mended", receiver.url)});
    world.admin("PATCH", &path(&made), url).await.expect(200);
    assert_eq!(retry(&world, &made, super::NOON).await["retried"], 61);
    for _ in 0..30 {
        pass(&world, 3_600).await;
    }
    assert_eq!(seen(&world, &made).await["status"], "paused");
    let all = deliveries(&world, &made).await;
    let given_up = all.iter().filter(|delivery| delivery["status"] == "failed");
    let given_up: Vec<&str> = given_up.map(|d| d["id"].as_str().unwrap()).collect();
    assert_eq!((all.len(), given_up.len()), (61, 1), "{given_up:?}");
    let opened = incidents(&world).await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    // And when it is there again, all of them arrive in order.
    let tried = receiver.received().len();
    receiver.answer(200, &[]);
    pass(&world, 900).await;
    ids.retain(|id| id != given_up[0]);
    assert_eq!(receiver.ids()[tried..], ids);
    assert_eq!(seen(&world, &made).await["status"], "active");
    assert_eq!(incidents(&world).await.len(), 1);
}
