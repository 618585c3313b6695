//! A queue as the event source of a function, as Lambda maps it: batches of messages are handed to the function, those
//! it handled are deleted, and those it names as failed come again later.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use futures::future::BoxFuture;
use shared::runtime::logs::note;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::sqs::{Counts, Message, QueueError, QueueSettings, Queues};

/// The most messages of one batch, unless the mapping says otherwise.
const BATCH: usize = 10;
/// How many batches the function handles at the same time.
const CONCURRENT_BATCHES: usize = 4;
/// How long a message that failed once waits. Lambda waits for the visibility timeout, which nobody at a screen does.
pub(crate) const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The most by which the wait of a failed message grows.
const LONGEST: u32 = 16;
/// How long the mapping rests after the queue failed.
const REST: Duration = Duration::from_millis(200);
/// How often a drain looks at the queue.
const LOOK: Duration = Duration::from_millis(5);
/// How long batches may go on when the mapping stops.
const GRACE: Duration = Duration::from_secs(1);

type Function = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;

/// A queue and the function that handles its messages. Clones are the same mapping.
#[derive(Clone)]
pub struct Mapping {
    queues: Queues,
    queue: QueueSettings,
    function: Function,
    is_automatic: bool,
    batch: usize,
    first_retry: Duration,
}

/// A mapping at work. It ends when this is dropped; [`Running::stop`] waits for the end.
#[derive(Debug)]
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Mapping {
    /// The mapping of `queue`, one of `queues`, to `function`. Where it `is_automatic`, messages are delivered once
    /// it runs; otherwise they wait for [`Mapping::drain`].
    pub fn new<F, R>(queues: Queues, queue: QueueSettings, is_automatic: bool, function: F) -> Self
    where
        F: Fn(SqsEvent) -> R + Send + Sync + 'static,
        R: Future<Output = SqsBatchResponse> + Send + 'static,
    {
        Self {
            queues,
            queue,
            function: Arc::new(move |event| function(event).boxed()),
            is_automatic,
            batch: BATCH,
            first_retry: FIRST_RETRY,
        }
    }

    /// The same, but a message that failed once waits this long, and four times as long after each further failure.
    #[must_use]
    pub fn with_first_retry(self, first_retry: Duration) -> Self {
        Self {
            first_retry,
            ..self
        }
    }

    /// The same with so many messages in a batch at the most.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Begins to deliver, on the runtime it is called on. None where the mapping is not automatic.
    pub fn run(&self) -> Option<Running> {
        self.is_automatic.then(|| {
            let (stop, stopping) = oneshot::channel();
            let task = tokio::spawn(self.clone().deliver_until(stopping));
            Running { stop, task }
        })
    }

    /// Returns when no message is due: none is visible, with the function, or failed and waiting to come again. A
    /// message that was sent with a delay, or is a dead letter, is not due.
    pub async fn drain(&self) -> Result<(), QueueError> {
        while !self.is_idle()? {
            if self.queues.counts(&self.queue.name)?.visible > 0 && !self.is_automatic {
                self.deliver_once().await?;
            } else {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Hands one batch of the visible messages to the function. Those that fail come again later, as always.
    pub async fn deliver_once(&self) -> Result<(), QueueError> {
        let messages = self.queues.receive(&self.queue.name, self.batch)?;
        self.deliver(messages).await;
        Ok(())
    }

    fn is_idle(&self) -> Result<bool, QueueError> {
        let Counts {
            visible,
            in_flight,
            released,
            delayed: _,
        } = self.queues.counts(&self.queue.name)?;
        Ok(visible + in_flight + released == 0)
    }

    async fn deliver_until(self, mut stopping: oneshot::Receiver<()>) {
        let mut batches = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stopping => break,
                Some(_) = batches.join_next(), if !batches.is_empty() => {}
                messages = self.next_batch(), if batches.len() < CONCURRENT_BATCHES => {
                    let mapping = self.clone();
                    batches.spawn(async move { mapping.deliver(messages).await });
                }
            }
        }
        let ended = async { while batches.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!(
                queue = self.queue.name,
                "stopped in the middle of a batch, which will come again"
            );
            batches.shutdown().await;
        }
    }

    /// The next messages. Between their receipt and the return nothing waits, so a caller that gives up loses none.
    async fn next_batch(&self) -> Vec<Message> {
        loop {
            let name = &self.queue.name;
            let received = match self.queues.wait_for_message(name).await {
                Ok(()) => self.queues.receive(name, self.batch),
                Err(error) => Err(error),
            };
            match received {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => return messages,
                Err(error) => {
                    note("the queue did not give its messages", &error);
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Hands a batch to the function and ends or releases each message of it.
    async fn deliver(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let event = event(&self.queue.name, &messages);
        // A function may panic before it gives its future, or in it.
        let called = AssertUnwindSafe(async { (self.function)(event).await });
        let failed = match called.catch_unwind().await {
            Ok(response) => failed(&response, &messages),
            Err(_) => {
                tracing::error!(
                    queue = self.queue.name,
                    "the function panicked; its batch will come again"
                );
                messages.iter().map(|message| message.id.as_str()).collect()
            }
        };
        let (again, handled): (Vec<&Message>, Vec<&Message>) = messages
            .iter()
            .partition(|message| failed.contains(message.id.as_str()));
        let handled: Vec<&str> = handled
            .iter()
            .map(|message| message.receipt_handle.as_str())
            .collect();
        if let Err(error) = self.queues.delete(&self.queue.name, &handled) {
            note(
                "handled messages were not deleted and will come again",
                &error,
            );
        }
        for message in again {
            let delay = self.retry_delay(message.receive_count);
            let released = self
                .queues
                .release(&self.queue.name, &message.receipt_handle, delay);
            if let Err(error) = released {
                note(
                    "a failed message was not released and comes again later",
                    &error,
                );
            }
        }
    }

    /// How long a message waits that failed `receive_count` times; one that becomes a dead letter does not wait.
    fn retry_delay(&self, receive_count: u32) -> Duration {
        if self.queue.dead_letter_queue.is_some() && receive_count >= self.queue.max_receive_count {
            return Duration::ZERO;
        }
        let factor = 4_u32.saturating_pow(receive_count.saturating_sub(1));
        self.first_retry.saturating_mul(factor.min(LONGEST))
    }
}

/// The mappings of several queues, one of which may fill another.
#[derive(Clone, Debug)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// All of these.
    pub fn new(mappings: impl IntoIterator<Item = Mapping>) -> Self {
        Self(mappings.into_iter().collect())
    }

    /// Begins to deliver from all of them; see [`Mapping::run`].
    pub fn run(&self) -> Vec<Running> {
        self.0.iter().filter_map(Mapping::run).collect()
    }

    /// Hands one batch of a queue to its function; see [`Mapping::deliver_once`].
    pub async fn deliver_once(&self, queue: &str) -> Result<(), QueueError> {
        for mapping in self.0.iter().filter(|mapping| mapping.queue.name == queue) {
            mapping.deliver_once().await?;
        }
        Ok(())
    }

    /// Returns when no message of any of them is due; see [`Mapping::drain`].
    pub async fn drain(&self) -> Result<(), QueueError> {
        loop {
            for mapping in &self.0 {
                mapping.drain().await?;
            }
            let mut are_idle = true;
            for mapping in &self.0 {
                are_idle &= mapping.is_idle()?;
            }
            if are_idle {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Takes no more messages, and returns when the batches that were begun are over or have had a second. What was
    /// not over stays in the queue.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            note("the event source mapping failed", &error);
        }
    }
}

/// The ids of the messages that failed: those that are named, or all where a name is not one of the batch's.
fn failed<'a>(response: &SqsBatchResponse, messages: &'a [Message]) -> BTreeSet<&'a str> {
    let named: BTreeSet<&str> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    let all: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    if named.is_subset(&all) {
        all.into_iter().filter(|id| named.contains(id)).collect()
    } else {
        tracing::error!("the function named a failed message that it was not given");
        all
    }
}

fn event(queue: &str, messages: &[Message]) -> SqsEvent {
    let records = messages.iter().map(|message| {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.receipt_handle = Some(message.receipt_handle.clone());
        record.body = Some(message.body.clone());
        record.attributes = [
            ("ApproximateReceiveCount", message.receive_count.to_string()),
            ("SentTimestamp", message.sent_at_ms.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(format!("arn:aws:sqs:us-east-1:000000000000:{queue}"));
        record.aws_region = Some("us-east-1".to_owned());
        record
    });
    let mut event = SqsEvent::default();
    event.records = records.collect();
    event
}
