use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::{Counts, QueueError, QueueSettings, Queues};
use crate::dynamodb::{Fault, FaultKind, When};

const NOW: Duration = Duration::ZERO;

fn settings(visibility_timeout: Duration) -> [QueueSettings; 2] {
    let queue = QueueSettings {
        name: "events".to_owned(),
        visibility_timeout,
        max_receive_count: 3,
        dead_letter_queue: Some("events-dead".to_owned()),
    };
    let dead = QueueSettings {
        name: "events-dead".to_owned(),
        dead_letter_queue: None,
        ..queue.clone()
    };
    [queue, dead]
}

fn open(dir: Option<&Path>) -> Queues {
    Queues::open(dir, &settings(Duration::from_secs(30))).unwrap()
}

fn client(queues: &Queues) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(queues.http_client())
        .build();
    Client::from_conf(config)
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(body)
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_receivers_never_share_a_message_inside_its_visibility_timeout() {
    let queues = open(None);
    for number in 0..400 {
        queues.send("events", &number.to_string(), NOW).unwrap();
    }
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let client = client(&queues);
            tokio::spawn(async move {
                let mut bodies = Vec::new();
                loop {
                    let batch = client
                        .receive_message()
                        .queue_url(Queues::url("events"))
                        .max_number_of_messages(7)
                        .send()
                        .await
                        .unwrap();
                    if batch.messages().is_empty() {
                        return bodies;
                    }
                    bodies.extend(batch.messages().iter().filter_map(|m| m.body.clone()));
                }
            })
        })
        .collect();
    let mut bodies = Vec::new();
    for receiver in receivers {
        bodies.extend(receiver.await.unwrap());
    }
    assert_eq!(bodies.len(), 400);
    assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), 400);
    assert_eq!(queues.counts("events").unwrap().in_flight, 400);
}

#[tokio::test]
async fn a_released_message_comes_back_with_a_higher_receive_count() {
    let queues = open(None);
    queues.send("events", "one", NOW).unwrap();
    let first = queues.receive("events", 10).unwrap().remove(0);
    assert_eq!(first.receive_count, 1);
    let delay = Duration::from_millis(80);
    assert!(
        queues
            .release("events", &first.receipt_handle, delay)
            .unwrap()
    );
    assert!(queues.receive("events", 10).unwrap().is_empty());
    assert_eq!(queues.counts("events").unwrap().released, 1);

    let started = Instant::now();
    queues.wait_for_message("events").await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(60));
    let second = queues.receive("events", 10).unwrap().remove(0);
    assert_eq!(
        (second.id.as_str(), second.receive_count),
        (first.id.as_str(), 2)
    );
}

#[tokio::test]
async fn a_message_comes_back_when_its_visibility_timeout_ends() {
    let queues = Queues::open(None, &settings(Duration::from_millis(50))).unwrap();
    queues.send("events", "one", NOW).unwrap();
    assert_eq!(queues.receive("events", 1).unwrap().len(), 1);
    assert!(queues.receive("events", 1).unwrap().is_empty());
    queues.wait_for_message("events").await.unwrap();
    assert_eq!(queues.receive("events", 1).unwrap()[0].receive_count, 2);
}

#[tokio::test]
async fn the_fourth_receive_goes_to_the_dead_letters() {
    let queues = open(None);
    let id = queues.send("events", "poison", NOW).unwrap();
    for receive in 1..=3 {
        let message = queues.receive("events", 1).unwrap().remove(0);
        assert_eq!(message.receive_count, receive);
        queues
            .release("events", &message.receipt_handle, NOW)
            .unwrap();
    }
    queues.send("events", "good", NOW).unwrap();
    let fourth = queues.receive("events", 10).unwrap();
    assert_eq!(fourth.len(), 1);
    assert_eq!(fourth[0].body, "good");
    let dead = queues.peek("events-dead", 10).unwrap();
    assert_eq!(
        (dead[0].id.as_str(), dead[0].receive_count),
        (id.as_str(), 3)
    );
}

#[tokio::test]
async fn a_restart_keeps_every_message_and_its_receives() {
    let dir = tempfile::tempdir().unwrap();
    {
        let queues = open(Some(dir.path()));
        for body in ["deleted", "received", "waiting"] {
            queues.send("events", body, NOW).unwrap();
        }
        let received = queues.receive("events", 2).unwrap();
        queues
            .delete("events", &[&received[0].receipt_handle])
            .unwrap();
        queues
            .send("events", "delayed", Duration::from_secs(900))
            .unwrap();
    }
    let queues = open(Some(dir.path()));
    let messages = queues.receive("events", 10).unwrap();
    let bodies: Vec<_> = messages
        .iter()
        .map(|message| (message.body.as_str(), message.receive_count))
        .collect();
    assert_eq!(bodies, [("received", 2), ("waiting", 1), ("delayed", 1)]);
}

#[tokio::test]
async fn a_file_of_messages_belongs_to_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(Some(dir.path()));
    let second = Queues::open(Some(dir.path()), &settings(NOW));
    assert!(matches!(second, Err(QueueError::Database(_))));
}

#[tokio::test]
async fn a_stale_handle_deletes_and_releases_nothing() {
    let queues = open(None);
    queues.send("events", "one", NOW).unwrap();
    let first = queues.receive("events", 1).unwrap().remove(0);
    queues
        .release("events", &first.receipt_handle, NOW)
        .unwrap();
    let second = queues.receive("events", 1).unwrap().remove(0);

    assert_eq!(
        queues.delete("events", &[&first.receipt_handle]).unwrap(),
        0
    );
    assert!(
        !queues
            .release("events", &first.receipt_handle, NOW)
            .unwrap()
    );
    client(&queues)
        .delete_message()
        .queue_url(Queues::url("events"))
        .receipt_handle(&first.receipt_handle)
        .send()
        .await
        .unwrap();
    assert_eq!(queues.counts("events").unwrap().in_flight, 1);
    assert_eq!(
        queues.delete("events", &[&second.receipt_handle]).unwrap(),
        1
    );
    assert_eq!(
        queues.delete("events", &[&second.receipt_handle]).unwrap(),
        0
    );
    assert!(matches!(
        queues.delete("events", &["nonsense"]),
        Err(QueueError::MalformedReceipt(_))
    ));
}

#[tokio::test]
async fn a_sender_wakes_a_waiting_receiver() {
    let queues = open(None);
    let waiting = tokio::spawn({
        let queues = queues.clone();
        async move { queues.wait_for_message("events").await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    queues.send("events", "one", NOW).unwrap();
    waiting.await.unwrap().unwrap();
    let unknown = queues.wait_for_message("nowhere").await;
    assert!(matches!(unknown, Err(QueueError::UnknownQueue(_))));
}

#[tokio::test]
async fn the_sdk_sends_receives_and_deletes_batches() {
    let queues = open(None);
    let client = client(&queues);
    let url = client
        .get_queue_url()
        .queue_name("events")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    let sent = client
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("a", "first"))
        .entries(entry("b", "bad \u{1}"))
        .entries(entry("c", "third"))
        .send()
        .await
        .unwrap();
    let ids: Vec<_> = sent.successful().iter().map(|entry| entry.id()).collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!(sent.failed()[0].id(), "b");
    assert_eq!(sent.failed()[0].code(), "InvalidMessageContents");

    client
        .send_message()
        .queue_url(&url)
        .message_body("later")
        .delay_seconds(900)
        .send()
        .await
        .unwrap();
    let received = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(10)
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
        .send()
        .await
        .unwrap();
    let counts: Vec<_> = received
        .messages()
        .iter()
        .map(|m| &m.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount])
        .collect();
    assert_eq!(counts, ["1", "1"]);
    let handle = received.messages()[0].receipt_handle().unwrap();
    client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(handle)
        .visibility_timeout(60)
        .send()
        .await
        .unwrap();
    let attributes = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    let number = |name| attributes[&name].as_str();
    assert_eq!(number(QueueAttributeName::ApproximateNumberOfMessages), "0");
    assert_eq!(
        number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        "2"
    );
    assert_eq!(
        number(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        "1"
    );

    let delete = |id: &str, handle: &str| {
        DeleteMessageBatchRequestEntry::builder()
            .id(id)
            .receipt_handle(handle)
            .build()
            .unwrap()
    };
    let deleted = client
        .delete_message_batch()
        .queue_url(&url)
        .entries(delete("good", handle))
        .entries(delete("bad", "nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.successful()[0].id(), "good");
    assert_eq!(deleted.failed()[0].code(), "ReceiptHandleIsInvalid");
    assert_eq!(queues.counts("events").unwrap().in_flight, 1);
}

#[tokio::test]
async fn the_limits_of_a_batch_are_those_of_sqs() {
    let queues = open(None);
    let client = client(&queues);
    let send = async |queue: &str, entries: Vec<SendMessageBatchRequestEntry>| {
        let result = client
            .send_message_batch()
            .queue_url(Queues::url(queue))
            .set_entries(Some(entries))
            .send()
            .await;
        result
            .err()
            .and_then(|error| error.code().map(str::to_owned))
    };
    let code = |name: &str| Some(format!("AWS.SimpleQueueService.{name}"));
    let eleven = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    assert_eq!(
        send("events", eleven).await,
        code("TooManyEntriesInBatchRequest")
    );
    assert_eq!(send("events", Vec::new()).await, code("EmptyBatchRequest"));
    let twice = vec![entry("a", "x"), entry("a", "y")];
    assert_eq!(
        send("events", twice).await,
        code("BatchEntryIdsNotDistinct")
    );
    assert_eq!(
        send("events", vec![entry("a b", "x")]).await,
        code("InvalidBatchEntryId")
    );
    let half = "x".repeat(524_288);
    let over = vec![entry("a", &half), entry("b", &half), entry("c", "x")];
    assert_eq!(send("events", over).await, code("BatchRequestTooLong"));
    assert_eq!(
        send("nowhere", vec![entry("a", "x")]).await,
        code("NonExistentQueue")
    );
    assert_eq!(queues.counts("events").unwrap(), Counts::default());
    let exact = vec![entry("a", &half), entry("b", &half)];
    assert_eq!(send("events", exact).await, None);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_message_in_the_queue() {
    let queues = open(None);
    let client = client(&queues);
    for (when, kind, stored) in [
        (When::Before, FaultKind::InternalServerError, 0),
        (When::Before, FaultKind::Throttled, 0),
        (When::After, FaultKind::ConnectionReset, 1),
    ] {
        queues.inject(Fault {
            call: 0,
            when,
            kind,
        });
        client
            .send_message()
            .queue_url(Queues::url("events"))
            .message_body("one")
            .send()
            .await
            .unwrap_err();
        assert_eq!(queues.counts("events").unwrap().visible, stored);
    }
    assert_eq!(queues.faults_fired(), 3);
}

#[tokio::test]
async fn one_entry_of_a_batch_is_refused_on_demand_and_its_neighbours_are_taken() {
    let queues = open(None);
    let client = client(&queues);
    queues.refuse_entry("two");
    let send = async || {
        let entries = vec![
            entry("a", "one"),
            entry("b", "number two"),
            entry("c", "three"),
        ];
        let sent = client
            .send_message_batch()
            .queue_url(Queues::url("events"))
            .set_entries(Some(entries))
            .send()
            .await
            .unwrap();
        let failed = sent.failed().iter();
        failed
            .map(|entry| {
                let (id, code) = (entry.id().to_owned(), entry.code().to_owned());
                (id, entry.sender_fault(), code)
            })
            .collect::<Vec<_>>()
    };
    let refused = ("b".to_owned(), false, "InternalError".to_owned());
    assert_eq!(send().await, [refused]);
    assert_eq!(queues.counts("events").unwrap().visible, 2);
    assert!(send().await.is_empty(), "once");
    assert_eq!(queues.counts("events").unwrap().visible, 5);
    assert_eq!(queues.faults_fired(), 1);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let [queue, dead] = settings(NOW);
    for queues in [
        vec![queue.clone()],
        vec![dead.clone(), dead.clone()],
        vec![QueueSettings {
            max_receive_count: 0,
            ..dead
        }],
    ] {
        let opened = Queues::open(None, &queues);
        assert!(matches!(opened, Err(QueueError::Settings(_))));
    }
}
