use super::*;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use local::dynamodb::{Fault, FaultKind, When};
use local::sqs::{QueueSettings, Queues};
use serde_json::json;

fn queues() -> Queues {
    let queue = |name: &str| QueueSettings {
        name: name.to_owned(),
        visibility_timeout: Duration::from_secs(60),
        max_receive_count: 5,
        dead_letter_queue: None,
    };
    Queues::open(None, &[queue("events"), queue("dead")]).unwrap()
}

fn client(queues: &Queues) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("l", "l", None, None, "test"))
        .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
        .http_client(queues.http_client());
    Client::from_conf(config.build())
}

fn arguments() -> Arguments {
    Arguments {
        from: Queues::url("dead"),
        to: Queues::url("events"),
        dry_run: false,
        discard_unreadable: false,
        hidden_seconds: 60,
        max: 100,
    }
}

fn refusal(number: usize) -> String {
    let refused = json!({
        "refusal_id": format!("rfs_{number}"), "refused_at": "2026-11-24T12:00:00Z",
        "request_id": "r", "user_id": "grace", "model": "gpt-4o", "reasons": ["over_budget"],
        "budget_ids": []
    });
    json!({"organisation_id": "demo", "refused": refused}).to_string()
}

fn filled(messages: usize) -> Queues {
    let queues = queues();
    for number in 0..messages {
        queues
            .send("dead", &refusal(number), Duration::ZERO)
            .unwrap();
    }
    queues.send("dead", "none of ours", Duration::ZERO).unwrap();
    queues
}

async fn run_on(queues: &Queues, arguments: &Arguments) -> Result<RedriveCounts, CommandError> {
    redrive(&client(queues), arguments, &ProgressBar::hidden()).await
}

fn visible(queues: &Queues, queue: &str) -> usize {
    queues.depths()[queue].visible
}

#[tokio::test]
async fn everything_of_ours_is_moved_and_the_rest_stays() {
    let queues = filled(25);
    let moved = run_on(&queues, &arguments()).await.unwrap();
    assert_eq!((moved.seen, moved.moved, moved.unreadable), (26, 25, 1));
    assert_eq!(visible(&queues, "events"), 25);
    let left = queues.depths()["dead"];
    assert_eq!((left.visible, left.in_flight), (0, 1));
}

#[tokio::test]
async fn what_is_none_of_ours_goes_only_where_that_is_said() {
    let queues = filled(1);
    let arguments = Arguments {
        discard_unreadable: true,
        ..arguments()
    };
    let moved = run_on(&queues, &arguments).await.unwrap();
    assert_eq!((moved.moved, moved.discarded), (1, 1));
    assert_eq!(queues.depths()["dead"].in_flight, 0);
}

#[tokio::test]
async fn a_dry_run_and_a_limit_move_no_more_than_they_say() {
    let queues = filled(25);
    let dry = Arguments {
        dry_run: true,
        ..arguments()
    };
    let moved = run_on(&queues, &dry).await.unwrap();
    assert_eq!((moved.seen, moved.moved), (26, 0));
    assert_eq!(visible(&queues, "events"), 0);

    let queues = filled(25);
    let ten = Arguments {
        max: 10,
        ..arguments()
    };
    assert_eq!(run_on(&queues, &ten).await.unwrap().moved, 10);
    assert_eq!(visible(&queues, "events"), 10);
}

#[tokio::test]
async fn whichever_call_fails_nothing_is_lost_and_another_run_ends_it() {
    for when in [When::Before, When::After] {
        for call in 0..=5 {
            let queues = filled(3);
            let kind = FaultKind::InternalServerError;
            queues.inject(Fault { call, kind, when });
            let fails = Arguments {
                hidden_seconds: 0,
                ..arguments()
            };
            let _ = run_on(&queues, &fails).await;
            queues.clear_faults();
            run_on(&queues, &arguments()).await.unwrap();
            let arrived = queues.peek("events", 10).unwrap();
            let bodies: BTreeSet<&str> = arrived.iter().map(|of| of.body.as_str()).collect();
            assert_eq!(bodies.len(), 3, "{when:?} call {call}");
        }
    }
}
