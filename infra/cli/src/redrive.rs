//! `redrive`: moves dead letters back to the queue that they came from.

#[cfg(test)]
mod tests;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use clap::Args;
use indicatif::ProgressBar;
use serde::Deserialize;
use shared::domain::ledger::refused::RefusalMessage;
use shared::domain::ledger::usage::EventMessage;
use shared::domain::notice::NoticeMessage;
use shared::runtime::logs::chain;
use shared::runtime::settings::{self, Patience};
use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::CommandError;
use crate::output::say;

/// Long waits are fine: only the operator waits.
const PATIENCE: Patience = Patience {
    attempt: Duration::from_secs(10),
    attempts: 3,
};
/// The most messages that SQS returns at once.
const BATCH: i32 = 10;
/// The time that a receive waits for messages: SQS then asks all of its servers.
const WAIT_SECONDS: i32 = 1;

const HELP: &str = "\
A message is deleted only after it has arrived in the other queue. The command can be stopped and
repeated: an event that is handled twice counts once.

Needs AWS_REGION and AWS credentials in the environment:
    eval \"$(aws configure export-credentials --format env)\"

Example, with the outputs of the stack:
    redrive --from \"$DEAD_LETTERS_URL\" --to \"$EVENTS_QUEUE_URL\" --dry-run";

/// Moves dead letters back to their queue.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The URL of the dead letter queue, an output of the stack.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The URL of the queue that the messages came from.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Only lists the messages. They are visible again after `--hidden-seconds`.
    #[arg(long)]
    dry_run: bool,
    /// Deletes messages that Toktra does not know. Without it they stay in the queue.
    #[arg(long, conflicts_with = "dry_run")]
    discard_unreadable: bool,
    /// How long a listed message is hidden from others, in seconds. It must be longer than ten
    /// messages take.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 60,
        value_parser = clap::value_parser!(i32).range(1..=43_200)
    )]
    hidden_seconds: i32,
    // Shorter in tests only, which would wait for it in every run.
    #[arg(skip = WAIT_SECONDS)]
    wait_seconds: i32,
    /// Stops after this many messages.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    max: u64,
}

/// The numbers of messages by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RedriveCounts {
    seen: u64,
    moved: u64,
    unreadable: u64,
    discarded: u64,
    failed: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum QueueMessage {
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
        let message = "some messages could not be moved and are still in their queue; run it again";
        return Err(CommandError::Answer(message.to_owned()));
    }
    Ok(())
}

/// Returns the approximate number of messages in a queue.
async fn waiting(sqs: &Client, url: &str) -> Result<u64, CommandError> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let call = sqs.get_queue_attributes().queue_url(url);
    let answer = call.attribute_names(name.clone()).send().await;
    let hint = "cannot read the queue (are AWS_REGION and credentials in the environment?)";
    let answer = answer.map_err(|error| failed(hint, &error))?;
    let said = answer.attributes().and_then(|known| known.get(&name));
    Ok(said.and_then(|said| said.parse().ok()).unwrap_or(0))
}

async fn redrive(
    sqs: &Client,
    arguments: &Arguments,
    progress: &ProgressBar,
) -> Result<RedriveCounts, CommandError> {
    let mut moved = RedriveCounts::default();
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
        let answer = answer.map_err(|error| failed("cannot receive messages", &error))?;
        // A message that comes again was left on purpose, so all messages were seen.
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

/// Sends messages to a queue. Returns the ids of those that arrived.
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
        call = call.entries(entry.map_err(|error| failed("cannot send a message", &error))?);
    }
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("cannot send messages", &error))?;
    let indices = answer
        .successful()
        .iter()
        .filter_map(|entry| entry.id().parse::<usize>().ok());
    let sent = indices.filter_map(|index| messages.get(index));
    Ok(sent.map(|message| id(message).to_owned()).collect())
}

/// Deletes messages. Returns how many were deleted. The others are visible again in a minute and
/// are moved once more.
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
        call = call.entries(entry.map_err(|error| failed("cannot delete a message", &error))?);
    }
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("cannot delete messages", &error))?;
    Ok(count(answer.successful()))
}

fn read(message: &Message) -> Option<QueueMessage> {
    serde_json::from_str(message.body()?).ok()
}

fn id(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}

/// Describes a message. The content of an unknown message is not shown.
fn line(message: &Message) -> String {
    let attribute = MessageSystemAttributeName::SentTimestamp;
    let sent = message.attributes().and_then(|known| known.get(&attribute));
    let sent = sent.and_then(|ms| ms.parse().ok());
    let sent = sent.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let sent = sent.map_or("at a time unknown".to_owned(), |at| at.to_string());
    let what = match read(message) {
        Some(QueueMessage::Event(of)) => {
            format!("event {} of {}", of.event.event_id(), of.organisation_id)
        }
        Some(QueueMessage::Refusal(of)) => {
            format!(
                "refusal {} of {}",
                of.refused.refusal_id, of.organisation_id
            )
        }
        Some(QueueMessage::Notice(NoticeMessage::Notice {
            organisation_id,
            notice_id,
        })) => {
            format!("notice {notice_id} of {organisation_id}")
        }
        Some(QueueMessage::Notice(NoticeMessage::Delivery {
            organisation_id,
            webhook_id,
            delivery_id,
        })) => {
            format!("delivery {delivery_id} to {webhook_id} of {organisation_id}")
        }
        Some(QueueMessage::Notice(NoticeMessage::Mailbox {
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

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::Answer(format!("{what}: {}", chain(error)))
}
