//! A receiver that is down, for a while or for long.

use super::{deliveries, pass, path, seen, test, webhook, world};
use end_to_end::World;
use end_to_end::receiver::Receiver;
use jiff::SignedDuration;
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn after_an_hour_of_being_down_each_delivery_arrives_once_in_effect() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    receiver.answer(503, &[]);
    let mut expected = BTreeSet::new();
    for _ in 0..5 {
        let delivery = test(&world, &made).await;
        expected.insert(delivery["id"].as_str().unwrap().to_owned());
        pass(&world, 600).await;
    }
    pass(&world, 600).await;
    let waiting = deliveries(&world, &made).await;
    assert!(
        waiting
            .iter()
            .all(|d| d["status"] == "pending" && !d["next_attempt_at"].is_null()),
        "{waiting:?}"
    );
    assert_eq!(seen(&world, &made).await["failing_since"], super::NOON);
    let tried = receiver.received().len();
    assert!(tried >= 15, "{tried}");
    receiver.answer(200, &[]);
    pass(&world, 3_600).await;
    let arrived: Vec<String> = receiver.ids().split_off(tried);
    assert_eq!(arrived.len(), 5, "each once: {arrived:?}");
    assert_eq!(BTreeSet::from_iter(arrived), expected);
    assert!(
        deliveries(&world, &made)
            .await
            .iter()
            .all(|d| d["status"] == "delivered")
    );
    assert_eq!(seen(&world, &made).await["failing_since"], Value::Null);
    pass(&world, 100_000).await;
    assert_eq!(receiver.received().len(), tried + 5);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    receiver.answer(429, &[("retry-after", "120")]);
    test(&world, &made).await;
    receiver.answer(204, &[]);
    pass(&world, 119).await;
    assert_eq!(receiver.received().len(), 1);
    pass(&world, 1).await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_failed_delivery_opens_an_incident_and_pauses_its_webhook_until_one_is_taken() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    receiver.answer(500, &[]);
    let delivery = test(&world, &made).await;
    for _ in 0..30 {
        pass(&world, 3_600).await;
    }
    let given_up = &deliveries(&world, &made).await[0];
    assert_eq!(given_up["status"], "failed");
    assert_eq!(given_up["attempts"].as_array().unwrap().len(), 9);
    assert_eq!(given_up["next_attempt_at"], Value::Null);
    let incidents = world
        .admin("GET", "/v1/incidents", Value::Null)
        .await
        .expect(200);
    let incidents = incidents["items"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(
        incidents[0]["message"]
            .as_str()
            .unwrap()
            .contains("the last answer was 500")
    );
    assert_eq!(
        world.system.queues().counts("notices-dlq").unwrap().visible,
        1
    );
    assert_eq!(seen(&world, &made).await["status"], "paused");
    // While it is paused, one that somebody asks for is tried, and waits then.
    let before = receiver.received().len();
    test(&world, &made).await;
    assert_eq!(receiver.received().len(), before + 1);
    assert_eq!(deliveries(&world, &made).await[0]["status"], "pending");
    // By hand, and with it the webhook goes on.
    receiver.answer(200, &[]);
    let id = delivery["id"].as_str().unwrap();
    let retry = format!("{}/deliveries/{id}/retry", path(&made));
    let again = world.admin("POST", &retry, Value::Null).await.expect(202);
    assert_eq!(again["status"], "pending");
    world.system.drain().await.unwrap();
    assert_eq!(receiver.ids()[before + 1], id);
    assert_eq!(receiver.received().len(), before + 3, "what waited follows");
    assert_eq!(seen(&world, &made).await["status"], "active");
    assert_eq!(
        world
            .admin("GET", "/v1/incidents", Value::Null)
            .await
            .expect(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_delivery_that_waited_before_its_first_attempt_pauses_its_webhook_too() {
    for waits_for in [1, 90_000] {
        let settings = SystemSettings {
            delivers_events: false,
            now: Some(super::NOON.parse().unwrap()),
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        let receiver = Receiver::start().await;
        let made = webhook(&world, &receiver, json!({})).await;
        receiver.answer(500, &[]);
        let test = format!("{}/test", path(&made));
        world.admin("POST", &test, Value::Null).await.expect(202);
        let attempted_at = world.system.clock().now() + SignedDuration::from_millis(waits_for);
        world.set_clock(&attempted_at.to_string()).await;
        world.system.drain().await.unwrap();
        let failing_since = &seen(&world, &made).await["failing_since"];
        assert_eq!(*failing_since, json!(attempted_at.to_string()));
        for _ in 0..30 {
            pass(&world, 3_600).await;
        }
        let delivery = &deliveries(&world, &made).await[0];
        assert_eq!(delivery["status"], "failed", "{waits_for}");
        assert_eq!(seen(&world, &made).await["status"], "paused", "{waits_for}");
    }
}

#[tokio::test]
async fn a_webhook_that_is_deleted_while_a_delivery_waits_gets_nothing_more() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    receiver.answer(500, &[]);
    test(&world, &made).await;
    assert_eq!(
        world
            .admin("DELETE", &path(&made), Value::Null)
            .await
            .status,
        204
    );
    receiver.answer(200, &[]);
    pass(&world, 100_000).await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(
        world.system.queues().counts("notices-dlq").unwrap().visible,
        0
    );
}

#[tokio::test]
async fn a_receiver_that_takes_other_deliveries_is_not_paused_by_one_that_it_refuses() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    receiver.answer(400, &[]);
    test(&world, &made).await;
    for hour in 0..30 {
        if hour == 10 {
            // All due deliveries are tried; then another one is taken, and the first one refused
            // again.
            receiver.answer(200, &[]);
            let before = receiver.received().len();
            test(&world, &made).await;
            assert_eq!(receiver.received().len(), before + 1);
            receiver.answer(400, &[]);
        }
        pass(&world, 3_600).await;
    }
    let all = deliveries(&world, &made).await;
    let statuses: BTreeSet<&str> = all.iter().map(|d| d["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, BTreeSet::from(["delivered", "failed"]));
    assert_eq!(seen(&world, &made).await["status"], "active");
}
