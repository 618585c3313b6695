//! The event source mapping of Lambda: hands batches of a queue's messages to a function, deletes
//! those that it handled, and lets failed ones come again later.

mod invocation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures::FutureExt;
use futures::future::BoxFuture;
use invocation::{event, failed};
use shared::runtime::logs::note;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::sqs::{Counts, Message, QueueError, QueueSettings, Queues};

/// The default size of a batch.
const DEFAULT_BATCH: usize = 10;
/// The number of batches that the function handles at once.
const CONCURRENT_BATCHES: usize = 4;
/// The wait after the first failure of a message. Lambda waits for the visibility timeout, which is
/// too long for a developer.
pub(crate) const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The largest factor by which this wait grows.
const MAX_RETRY_FACTOR: u32 = 16;
/// The pause after the queue has failed.
const ERROR_PAUSE: Duration = Duration::from_millis(200);
/// The interval at which a drain looks at the queue.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long open batches may continue after the mapping is told to stop.
const GRACE: Duration = Duration::from_secs(1);

type Function = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;

/// A queue and the function that handles its messages. Clones share the queue.
#[derive(Clone)]
pub struct Mapping {
    queues: Queues,
    queue: QueueSettings,
    function: Function,
    is_automatic: bool,
    batch: usize,
    first_retry: Duration,
}

/// A running mapping. It ends when this is dropped. [`Running::stop`] waits for the end.
#[derive(Debug)]
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Mapping {
    /// Maps `queue`, one of `queues`, to `function`. If it `is_automatic`, messages are delivered
    /// while it runs. Otherwise they wait for [`Mapping::drain`].
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
            batch: DEFAULT_BATCH,
            first_retry: FIRST_RETRY,
        }
    }

    /// Sets the wait after the first failure of a message. Each further failure multiplies it by
    /// four.
    #[must_use]
    pub fn with_first_retry(self, first_retry: Duration) -> Self {
        Self {
            first_retry,
            ..self
        }
    }

    /// Sets the size of a batch.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Starts to deliver on the current runtime. None if the mapping is not automatic.
    pub fn run(&self) -> Option<Running> {
        self.is_automatic.then(|| {
            let (stop, stopping) = oneshot::channel();
            let task = tokio::spawn(self.clone().deliver_until(stopping));
            Running { stop, task }
        })
    }

    /// Returns when no message is due. A message is due if it is visible, in flight, or released
    /// after a failure. Delayed messages and dead letters are not due.
    pub async fn drain(&self) -> Result<(), QueueError> {
        while !self.is_idle()? {
            if self.queues.counts(&self.queue.name)?.visible > 0 && !self.is_automatic {
                self.deliver_once().await?;
            } else {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Hands one batch of visible messages to the function. Failed messages come again later.
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

    /// Returns the next messages. It does not wait between receiving and returning, so that
    /// cancelling it loses no message.
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
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Hands a batch to the function, then deletes or releases each message.
    async fn deliver(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let event = event(&self.queue.name, &messages);
        // A function may panic before it returns its future, or in it.
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

    /// Returns the wait of a message that failed `receive_count` times. A message that becomes a
    /// dead letter does not wait.
    fn retry_delay(&self, receive_count: u32) -> Duration {
        if self.queue.dead_letter_queue.is_some() && receive_count >= self.queue.max_receive_count {
            return Duration::ZERO;
        }
        let factor = 4_u32.saturating_pow(receive_count.saturating_sub(1));
        self.first_retry
            .saturating_mul(factor.min(MAX_RETRY_FACTOR))
    }
}

/// The mappings of several queues. Handling one queue may fill another.
#[derive(Clone, Debug)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    pub fn new(mappings: impl IntoIterator<Item = Mapping>) -> Self {
        Self(mappings.into_iter().collect())
    }

    /// Starts all mappings. See [`Mapping::run`].
    pub fn run(&self) -> Vec<Running> {
        self.0.iter().filter_map(Mapping::run).collect()
    }

    /// Hands one batch of a queue to its function. See [`Mapping::deliver_once`].
    pub async fn deliver_once(&self, queue: &str) -> Result<(), QueueError> {
        for mapping in self.0.iter().filter(|mapping| mapping.queue.name == queue) {
            mapping.deliver_once().await?;
        }
        Ok(())
    }

    /// Returns when no message of any queue is due. See [`Mapping::drain`].
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
    /// Stops receiving, then waits up to a second for open batches. Unfinished messages stay in the
    /// queue.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            note("the event source mapping failed", &error);
        }
    }
}
