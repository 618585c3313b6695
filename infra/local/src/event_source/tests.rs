use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};

use super::Mapping;
use crate::sqs::{Counts, QueueSettings, Queues};

const NO_DELAY: Duration = Duration::ZERO;

fn settings() -> [QueueSettings; 2] {
    let queue = QueueSettings {
        name: "events".to_owned(),
        visibility_timeout: Duration::from_secs(30),
        max_receive_count: 3,
        dead_letter_queue: Some("events-dlq".to_owned()),
    };
    let dead = QueueSettings {
        name: "events-dlq".to_owned(),
        dead_letter_queue: None,
        ..queue.clone()
    };
    [queue, dead]
}

fn queues() -> Queues {
    Queues::open(None, &settings()).unwrap()
}

/// How often the function received each body, and its highest receive count.
type Seen = Arc<Mutex<BTreeMap<String, (u32, u32)>>>;

/// A mapping to a function that does as each body says.
fn mapping(queues: &Queues, is_automatic: bool) -> (Mapping, Seen) {
    let seen = Seen::default();
    let given = seen.clone();
    let function = move |event: SqsEvent| {
        let given = given.clone();
        async move {
            let mut response = SqsBatchResponse::default();
            for record in event.records {
                let body = record.body.clone().unwrap();
                let receives: u32 = record.attributes["ApproximateReceiveCount"]
                    .parse()
                    .unwrap();
                {
                    let mut given = given.lock().unwrap();
                    let (times, most) = given.entry(body.clone()).or_default();
                    (*times, *most) = (*times + 1, receives.max(*most));
                }
                match body.split_once(':').map_or(body.as_str(), |(kind, _)| kind) {
                    "slow" => tokio::time::sleep(Duration::from_millis(500)).await,
                    "stuck" => std::future::pending().await,
                    "panic" => panic!("as the message says"),
                    "poison" => response.batch_item_failures.push(failure(&record)),
                    "twice" if receives < 2 => response.batch_item_failures.push(failure(&record)),
                    "stranger" if receives < 2 => {
                        response
                            .batch_item_failures
                            .push(BatchItemFailure::default());
                    }
                    _ => {}
                }
            }
            response
        }
    };
    let [queue, _] = settings();
    (
        Mapping::new(queues.clone(), queue, is_automatic, function),
        seen,
    )
}

fn failure(record: &SqsMessage) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = record.message_id.clone().unwrap();
    failure
}

fn dead_letters(queues: &Queues) -> Vec<String> {
    let dead = queues.peek("events-dlq", 10).unwrap();
    dead.into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn a_poison_message_becomes_a_dead_letter_and_its_neighbours_are_handled_once() {
    let queues = queues();
    for body in ["a", "poison", "b"] {
        queues.send("events", body, NO_DELAY).unwrap();
    }
    let (mapping, seen) = mapping(&queues, true);
    let running = mapping.run().unwrap();
    mapping.drain().await.unwrap();
    assert_eq!(dead_letters(&queues), ["poison"]);
    assert_eq!(queues.counts("events").unwrap(), Counts::default());
    let expected = [("a", (1, 1)), ("b", (1, 1)), ("poison", (3, 3))];
    let expected = expected.map(|(body, times)| (body.to_owned(), times));
    assert_eq!(*seen.lock().unwrap(), BTreeMap::from(expected));
    running.stop().await;
}

#[tokio::test]
async fn a_panic_fails_its_batch_only() {
    let queues = queues();
    queues.send("events", "panic", NO_DELAY).unwrap();
    let (mapping, seen) = mapping(&queues, true);
    let running = mapping.run().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    queues.send("events", "a", NO_DELAY).unwrap();
    mapping.drain().await.unwrap();
    assert_eq!(dead_letters(&queues), ["panic"]);
    assert_eq!(seen.lock().unwrap()["a"].0, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_drain_waits_for_the_slow_and_the_failed_but_not_for_the_delayed() {
    let queues = queues();
    for body in ["slow", "twice", "stranger"] {
        queues.send("events", body, NO_DELAY).unwrap();
    }
    queues
        .send("events", "later", Duration::from_secs(600))
        .unwrap();
    let (mapping, seen) = mapping(&queues, true);
    let running = mapping.run().unwrap();
    mapping.drain().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen["twice"], (2, 2));
    assert_eq!(seen["stranger"], (2, 2));
    assert!(!seen.contains_key("later"));
    assert_eq!(queues.counts("events").unwrap().delayed, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_batch_is_delivered_once_and_what_failed_waits_for_a_drain() {
    let queues = queues();
    for body in ["a", "twice"] {
        queues.send("events", body, NO_DELAY).unwrap();
    }
    let (mapping, seen) = mapping(&queues, false);
    mapping.deliver_once().await.unwrap();
    assert_eq!(seen.lock().unwrap()["twice"], (1, 1));
    let left = queues.counts("events").unwrap();
    assert_eq!(left.visible + left.in_flight + left.released, 1);
    mapping.drain().await.unwrap();
    assert_eq!(seen.lock().unwrap()["a"], (1, 1));
    assert_eq!(seen.lock().unwrap()["twice"], (2, 2));
}

#[tokio::test]
async fn four_batches_are_handled_at_the_same_time() {
    let queues = queues();
    for number in 0..40 {
        queues
            .send(
                "events",
                &format!("{}:{number}", if number % 10 == 0 { "slow" } else { "a" }),
                NO_DELAY,
            )
            .unwrap();
    }
    let (mapping, _) = mapping(&queues, true);
    let begun = tokio::time::Instant::now();
    let running = mapping.run().unwrap();
    mapping.drain().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(1_500));
    running.stop().await;
}

#[tokio::test]
async fn a_mapping_that_is_not_automatic_delivers_in_a_drain_only() {
    let queues = queues();
    queues.send("events", "twice", NO_DELAY).unwrap();
    let (mapping, seen) = mapping(&queues, false);
    assert!(mapping.run().is_none());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(queues.counts("events").unwrap().visible, 1);
    mapping.drain().await.unwrap();
    assert_eq!(seen.lock().unwrap()["twice"], (2, 2));
}

#[tokio::test]
async fn what_a_stop_interrupts_stays_in_the_queue() {
    let queues = queues();
    queues.send("events", "stuck", NO_DELAY).unwrap();
    let (mapping, _) = mapping(&queues, true);
    let running = mapping.run().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.stop().await;
    assert_eq!(queues.counts("events").unwrap().in_flight, 1);
}
