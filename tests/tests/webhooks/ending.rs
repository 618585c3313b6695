//! A receiver that wants no more deliveries, and retrying what was given up.

use super::{deliveries, event, pass, path, pause, seen, statuses, test, world_with_ada};
use end_to_end::World;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::webhook::{Delivery, DeliveryStatus, EventType};

async fn incidents(world: &World) -> Vec<Value> {
    let page = world.admin("GET", "/v1/incidents", Value::Null).await;
    page.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_receiver_that_answers_410_gets_nothing_more_and_administrators_are_told_once() {
    let (world, receiver, made) = world_with_ada().await;
    let root = json!({
        "id": "root", "email": "root@example.com", "name": "Root", "department_id": "eng", "role": "admin",
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

/// A delivery that was given up, made so many seconds after noon.
async fn given_up(world: &World, webhook: &Value, seconds: i64) -> String {
    let noon: Timestamp = super::NOON.parse().unwrap();
    let made_at = noon + SignedDuration::from_secs(seconds);
    let id = format!("evt_{:012x}{seconds:016x}", made_at.as_millisecond());
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
async fn what_was_given_up_since_a_time_is_retried_a_hundred_at_a_time() {
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
        json!({"retried": 0, "skipped": 0, "has_more": false, "next_since": null})
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
async fn what_is_retried_of_a_paused_webhook_follows_the_first_that_is_taken() {
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
