//! Paused webhooks: what waits, what goes on, and who keeps what.

use super::{deliveries, event, pass, path, pause, seen, statuses, webhook, world_with_ada};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::receiver::Receiver;
use end_to_end::{World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};

#[tokio::test]
async fn a_pause_that_comes_while_a_delivery_is_posted_is_kept() {
    let (world, receiver, made) = world_with_ada().await;
    for status in [500, 503] {
        receiver.answer(status, &[]);
        receiver.hold(true);
        let before = receiver.received().len();
        let test = format!("{}/test", path(&made));
        world.admin("POST", &test, Value::Null).await.expect(202);
        let racing = async {
            receiver.wait_for(before + 1).await;
            if status == 500 {
                pause(&world, &made).await;
            }
            receiver.hold(false);
        };
        let (drained, ()) = tokio::join!(world.system.drain(), racing);
        drained.unwrap();
        let now = seen(&world, &made).await;
        assert_eq!(now["status"], "paused", "{now}");
        for delivery in deliveries(&world, &made).await {
            assert_eq!(delivery["status"], "pending");
            assert_eq!(delivery["next_attempt_at"], "2026-11-24T12:15:00Z");
        }
    }
    receiver.answer(200, &[]);
    pass(&world, 900).await;
    assert_eq!(statuses(&deliveries(&world, &made).await), ["delivered"; 2]);
    assert_eq!(seen(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn a_delivery_that_is_taken_while_the_webhook_is_paused_ends_the_pause() {
    let (world, receiver, made) = world_with_ada().await;
    receiver.hold(true);
    let test = format!("{}/test", path(&made));
    world.admin("POST", &test, Value::Null).await.expect(202);
    let racing = async {
        receiver.wait_for(1).await;
        pause(&world, &made).await;
        receiver.hold(false);
    };
    let (drained, ()) = tokio::join!(world.system.drain(), racing);
    drained.unwrap();
    assert_eq!(seen(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn after_thirty_hours_of_being_down_all_but_the_first_arrive_in_order_of_age() {
    let (world, receiver, made) = world_with_ada().await;
    receiver.answer(503, &[]);
    for number in 0..120 {
        event(&world, number).await;
        pass(&world, 900).await;
    }
    assert_eq!(seen(&world, &made).await["status"], "paused");
    let tried = receiver.received().len();
    receiver.answer(200, &[]);
    pass(&world, 900).await;
    let all = deliveries_of(&world, &made).await;
    let given_up: Vec<&Value> = all.iter().filter(|d| d["status"] == "failed").collect();
    assert_eq!((all.len(), given_up.len()), (120, 1));
    let first = given_up[0]["id"].as_str().unwrap();
    let arrived = receiver.ids().split_off(tried);
    let mut in_order = arrived.clone();
    in_order.sort();
    in_order.dedup();
    assert_eq!(arrived, in_order, "each once, the oldest first");
    assert_eq!(arrived.len(), 119);
    assert_eq!(seen(&world, &made).await["status"], "active");
    // The one that was given up, by hand; and again, which finds nothing more.
    let retry = format!("{}/retry?since={}", path(&made), super::NOON);
    for retried in [1, 0] {
        let answer = world.admin("POST", &retry, Value::Null).await.expect(202);
        assert_eq!(
            (&answer["retried"], &answer["has_more"]),
            (&json!(retried), &json!(false))
        );
        world.system.drain().await.unwrap();
    }
    assert_eq!(receiver.ids().last().unwrap(), first);
    assert_eq!(receiver.received().len(), tried + 120);
}

/// All deliveries of a webhook.
async fn deliveries_of(world: &World, webhook: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{}/deliveries?limit=100{cursor}", path(webhook));
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn while_it_is_paused_only_the_oldest_is_tried_each_quarter_of_an_hour() {
    let (world, receiver, made) = world_with_ada().await;
    pause(&world, &made).await;
    receiver.answer(503, &[]);
    for number in 0..5 {
        event(&world, number).await;
    }
    assert!(receiver.received().is_empty());
    for _ in 0..8 {
        pass(&world, 450).await;
    }
    let ids = receiver.ids();
    assert_eq!(ids.len(), 4, "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // A receiver may ask for more time.
    receiver.answer(503, &[("retry-after", "3600")]);
    pass(&world, 900).await;
    receiver.answer(200, &[]);
    for _ in 0..4 {
        assert_eq!(receiver.received().len(), 5);
        pass(&world, 900).await;
    }
    let arrived = receiver.ids().split_off(5);
    let mut in_order = arrived.clone();
    in_order.sort();
    assert_eq!((arrived.len(), &arrived), (5, &in_order));
    assert_eq!(arrived[0], ids[0]);
}

#[tokio::test]
async fn one_that_is_refused_for_what_it_is_does_not_keep_the_others_back() {
    let (world, receiver, made) = world_with_ada().await;
    pause(&world, &made).await;
    // The release tells of the block that it ended, too.
    receiver.answer_to("number 0", 422);
    for number in 0..4 {
        event(&world, number).await;
    }
    for tried in 1..=2 {
        pass(&world, 900).await;
        assert_eq!(receiver.received().len(), tried);
    }
    pass(&world, 900).await;
    let all = deliveries(&world, &made).await;
    assert_eq!(
        statuses(&all),
        ["delivered", "delivered", "pending", "pending"]
    );
    assert_eq!(seen(&world, &made).await["status"], "active");
}

#[tokio::test]
async fn a_receiver_that_is_down_again_is_left_alone_again() {
    let (world, receiver, made) = world_with_ada().await;
    pause(&world, &made).await;
    for number in 0..12 {
        event(&world, number).await;
    }
    receiver.answer_to("user.released", 503);
    receiver.answer_to("number 2", 503);
    receiver.answer_to("number 4", 503);
    pass(&world, 900).await;
    // The first is taken, and three in a row are not.
    assert_eq!(receiver.received().len(), 4);
    assert_eq!(seen(&world, &made).await["status"], "paused");
}

#[tokio::test]
async fn what_waited_for_seven_days_is_given_up() {
    let (world, receiver, made) = world_with_ada().await;
    pause(&world, &made).await;
    receiver.answer(503, &[]);
    event(&world, 0).await;
    for _ in 0..6 {
        pass(&world, 24 * 3_600).await;
    }
    assert_eq!(statuses(&deliveries(&world, &made).await), ["pending"]);
    pass(&world, 24 * 3_600).await;
    let given_up = deliveries(&world, &made).await;
    assert_eq!(statuses(&given_up), ["failed"]);
    let attempts = given_up[0]["attempts"].as_array().unwrap();
    let last = attempts.last().unwrap()["error"].as_str().unwrap();
    assert!(last.contains("seven days"), "{last}");
    let dead = world.system.queues().counts("notices-dlq").unwrap();
    assert_eq!(dead.visible, 1);
}

#[tokio::test]
async fn whichever_call_fails_what_waited_arrives_in_order_of_age() {
    for when in [When::Before, When::After] {
        for of_queue in [false, true] {
            for call in 0.. {
                let settings = SystemSettings {
                    retry: RetryConfig::disabled(),
                    ..SystemSettings::empty()
                };
                let world = World::with(settings).await;
                world.set_clock(super::NOON).await;
                world.department("eng", None).await;
                world.user("ada", "eng").await;
                let receiver = Receiver::start().await;
                let made = webhook(&world, &receiver, json!({})).await;
                pause(&world, &made).await;
                for number in 0..3 {
                    event(&world, number).await;
                }
                let kind = FaultKind::ConnectionReset;
                let fault = Fault { call, when, kind };
                if of_queue {
                    world.system.queues().inject(fault);
                } else {
                    world.system.engine().inject(fault);
                }
                // A turn that was broken off ends after a minute.
                for seconds in [900, 60, 900] {
                    pass(&world, seconds).await;
                }
                let has_fired =
                    world.system.engine().faults_fired() + world.system.queues().faults_fired() > 0;
                world.system.engine().clear_faults();
                world.system.queues().clear_faults();
                let case = format!("call {call} {when:?} of_queue {of_queue}");
                let all = deliveries(&world, &made).await;
                assert_eq!(statuses(&all), ["delivered"; 3], "{case}");
                let mut first_arrivals = Vec::new();
                for id in receiver.ids() {
                    if !first_arrivals.contains(&id) {
                        first_arrivals.push(id);
                    }
                }
                let mut in_order = first_arrivals.clone();
                in_order.sort();
                assert_eq!(first_arrivals, in_order, "{case}");
                assert_eq!(first_arrivals.len(), 3, "{case}");
                assert_eq!(seen(&world, &made).await["status"], "active", "{case}");
                let dead = world.system.queues().counts("notices-dlq").unwrap();
                assert_eq!(dead.visible, 0, "{case}");
                if !has_fired {
                    assert!(
                        call > if of_queue { 1 } else { at_least(when, 12, 6) },
                        "{case}"
                    );
                    break;
                }
            }
        }
    }
}
