//! `redrive`: moves messages from a queue of dead letters back to where they came from.

use super::{CommandError, say};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use clap::Args;
use indicatif::ProgressBar;
use serde::Deserialize;
use shared::domain::notice::NoticeMessage;
use shared::domain::refused::RefusalMessage;
use shared::domain::usage::EventMessage;
use shared::runtime::logs::chain;
use shared::runtime::settings::{self, Patience};
use std::collections::BTreeSet;
use std::time::Duration;

/// Nobody is kept waiting but whoever runs it.
const PATIENCE: Patience = Patience {
    attempt: Duration::from_secs(10),
    attempts: 3,
};
/// The most that SQS hands out at once.
const BATCH: i32 = 10;
/// The time that a receive waits for messages: SQS then asks all of its servers.
const WAIT_SECONDS: i32 = 1;

/// Said below the options.
const HELP: &str = "\
Each message is deleted only when it is in the other queue. It may be stopped and repeated: what is handled twice counts once.
Needs AWS_REGION and AWS credentials in the environment:
    eval \"$(aws configure export-credentials --format env)\"

Example, with the outputs of the stack:
    redrive --from \"$DEAD_LETTERS_URL\" --to \"$EVENTS_QUEUE_URL\" --dry-run";

/// Moves dead letters back to their queue.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The URL of the queue of dead letters: an output of the stack.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The URL of the queue that they came from.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Only shows what there is. What it has looked at comes again after `--hidden-seconds`.
    #[arg(long)]
    dry_run: bool,
    /// Deletes messages that are none of ours; without it they stay where they are.
    #[arg(long, conflicts_with = "dry_run")]
    discard_unreadable: bool,
    /// How long a message that was looked at is hidden from others, in seconds; longer than ten messages take.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(i32).range(1..=43_200))]
    hidden_seconds: i32,
    // Shorter in tests only, which would wait for it in every run.
    #[arg(skip = WAIT_SECONDS)]
    wait_seconds: i32,
    /// Stops after this many messages.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    max: u64,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    seen: u64,
    moved: u64,
    unreadable: u64,
    discarded: u64,
    failed: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Known {
    Event(EventMessage),
    Refusal(RefusalMessage),
    Notice(NoticeMessage),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let sqs = Client::new(&settings::aws(PATIENCE).await);
    let waiting = waiting(&sqs, &arguments.from).await?;
    say(&format!("{waiting} messages wait in {}", arguments.from));
    let progress = ProgressBar::new(waiting.min(arguments.max));
    let moved = redrive(&sqs, &arguments, &progress).await?;
    progress.finish_and_clear();
    say(&format!(
        "{} looked at, {} moved, {} none of ours ({} deleted), {} could not be moved",
        moved.seen, moved.moved, moved.unreadable, moved.discarded, moved.failed
    ));
    if moved.failed > 0 {
        let message = "some messages could not be moved and are where they were; run it again";
        return Err(CommandError::Answer(message.to_owned()));
    }
    Ok(())
}

/// How many messages a queue says that it has.
async fn waiting(sqs: &Client, url: &str) -> Result<u64, CommandError> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let call = sqs.get_queue_attributes().queue_url(url);
    let answer = call.attribute_names(name.clone()).send().await;
    let failed =
        "the queue cannot be looked at (are AWS_REGION and credentials in the environment?)";
    let answer = answer.map_err(|error| refused(failed, &error))?;
    let said = answer.attributes().and_then(|known| known.get(&name));
    Ok(said.and_then(|said| said.parse().ok()).unwrap_or(0))
}

async fn redrive(
    sqs: &Client,
    arguments: &Arguments,
    progress: &ProgressBar,
) -> Result<Moved, CommandError> {
    let mut moved = Moved::default();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while moved.seen < arguments.max {
        let call = sqs
            .receive_message()
            .queue_url(&arguments.from)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(arguments.wait_seconds)
            .visibility_timeout(arguments.hidden_seconds)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = call.send().await;
        let answer = answer.map_err(|error| refused("no message can be received", &error))?;
        // One that comes again was left on purpose: then all were seen.
        let is_new = |message: &Message| seen.insert(id(message).to_owned());
        let batch: Vec<Message> = answer.messages.unwrap_or_default();
        let batch: Vec<Message> = batch.into_iter().filter(is_new).collect();
        if batch.is_empty() {
            break;
        }
        for message in &batch {
            progress.suspend(|| say(&line(message)));
        }
        moved.seen += count(&batch);
        progress.inc(count(&batch));
        let (ours, others): (Vec<Message>, Vec<Message>) = batch
            .into_iter()
            .partition(|message| read(message).is_some());
        moved.unreadable += count(&others);
        if arguments.discard_unreadable {
            moved.discarded += delete(sqs, &arguments.from, &others).await?;
        }
        if !arguments.dry_run && !ours.is_empty() {
            let sent = send(sqs, &arguments.to, &ours).await?;
            let done: Vec<Message> = ours
                .iter()
                .filter(|of| sent.contains(id(of)))
                .cloned()
                .collect();
            moved.failed += count(&ours) - count(&done);
            moved.moved += delete(sqs, &arguments.from, &done).await?;
        }
    }
    Ok(moved)
}

/// Sends messages to a queue; the ids of those that are there.
async fn send(
    sqs: &Client,
    to: &str,
    messages: &[Message],
) -> Result<BTreeSet<String>, CommandError> {
    let mut call = sqs.send_message_batch().queue_url(to);
    for (index, message) in messages.iter().enumerate() {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(message.body().unwrap_or_default())
            .build();
        call = call.entries(entry.map_err(|error| refused("a message cannot be sent", &error))?);
    }
    let answer = call.send().await;
    let answer = answer.map_err(|error| refused("the queue does not take messages", &error))?;
    let indices = answer
        .successful()
        .iter()
        .filter_map(|entry| entry.id().parse::<usize>().ok());
    let sent = indices.filter_map(|index| messages.get(index));
    Ok(sent.map(|message| id(message).to_owned()).collect())
}

/// Deletes messages; how many are gone. One that is not is there again in a minute, and is moved once more.
async fn delete(sqs: &Client, from: &str, messages: &[Message]) -> Result<u64, CommandError> {
    if messages.is_empty() {
        return Ok(0);
    }
    let mut call = sqs.delete_message_batch().queue_url(from);
    for (index, message) in messages.iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .receipt_handle(message.receipt_handle().unwrap_or_default())
            .build();
        call = call.entries(entry.map_err(|error| refused("a message cannot be deleted", &error))?);
    }
    let answer = call.send().await;
    let answer = answer.map_err(|error| refused("messages cannot be deleted", &error))?;
    Ok(count(answer.successful()))
}

fn read(message: &Message) -> Option<Known> {
    serde_json::from_str(message.body()?).ok()
}

fn id(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}

/// A line about a message; nothing of one that is none of ours.
fn line(message: &Message) -> String {
    let attribute = MessageSystemAttributeName::SentTimestamp;
    let sent = message.attributes().and_then(|known| known.get(&attribute));
    let sent = sent.and_then(|ms| ms.parse().ok());
    let sent = sent.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let sent = sent.map_or("at a time unknown".to_owned(), |at| at.to_string());
    let what = match read(message) {
        Some(Known::Event(of)) => {
            format!("event {} of {}", of.event.event_id(), of.organisation_id)
        }
        Some(Known::Refusal(of)) => {
            format!(
                "refusal {} of {}",
                of.refused.refusal_id, of.organisation_id
            )
        }
        Some(Known::Notice(NoticeMessage::Notice {
            organisation_id,
            notice_id,
        })) => {
            format!("notice {notice_id} of {organisation_id}")
        }
        Some(Known::Notice(NoticeMessage::Delivery {
            organisation_id,
            webhook_id,
            delivery_id,
        })) => {
            format!("delivery {delivery_id} to {webhook_id} of {organisation_id}")
        }
        Some(Known::Notice(NoticeMessage::Mailbox {
            organisation_id, ..
        })) => {
            format!("letters of {organisation_id}")
        }
        None => format!(
            "none of ours, {} bytes",
            message.body().unwrap_or_default().len()
        ),
    };
    format!("{sent}  {}  {what}", id(message))
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::Answer(format!("{what}: {}", chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
    use local::engine::{Fault, FaultKind, When};
    use local::queue::{QueueSettings, Queues};
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
            wait_seconds: 0,
            max: 100,
        }
    }

    fn refusal(number: usize) -> String {
        let refused = json!({
            "refusal_id": format!("rfs_{number}"), "refused_at": "2026-11-24T12:00:00Z", "request_id": "r",
            "user_id": "grace", "model": "gpt-4o", "reasons": ["over_budget"], "budget_ids": []
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

    async fn run_on(queues: &Queues, arguments: &Arguments) -> Result<Moved, CommandError> {
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
}
