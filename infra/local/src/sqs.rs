//! SQS in this process: durable standard queues for the official SDK and the local event source
//! mapping.
//!
//! A message is on disk before its sender gets an answer. The time when it becomes visible again is
//! only in memory: after a restart each message is visible and keeps its receive count.

mod batch;
mod checks;
mod message_table;
mod protocol;
mod receipt;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod traffic;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fault::{Fault, FaultPlan};
use crate::permissions::{Permission, PermissionLog};
use crate::transport;
use message_table::{MessageTable, Place, StoredMessage};
pub use settings::{Counts, Message, QueueError, QueueSettings};
use store::Store;

const FILE: &str = "queues.sqlite";
const URL_PREFIX: &str = "http://sqs.local/000000000000/";

/// The queues. Clones share their messages.
#[derive(Clone)]
pub struct Queues {
    shared: Arc<Mutex<Shared>>,
    arrivals: Arc<BTreeMap<String, Notify>>,
    faults: FaultPlan,
    used: PermissionLog,
    /// The function that owns the client of this clone.
    caller: &'static str,
}

struct Shared {
    store: Store,
    queues: BTreeMap<String, Queue>,
}

struct Queue {
    settings: QueueSettings,
    messages: MessageTable,
}

impl Queues {
    /// Whether `dir` contains queues.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// Opens the messages in `dir`, or empty queues in memory. A missing directory is made.
    /// Messages of queues that `queues` does not name stay on disk.
    pub fn open(dir: Option<&Path>, queues: &[QueueSettings]) -> Result<Self, QueueError> {
        settings::validate(queues)?;
        if let Some(dir) = dir {
            std::fs::create_dir_all(dir).map_err(|source| QueueError::Directory {
                path: dir.to_owned(),
                source,
            })?;
        }
        let store = Store::open(dir.map(|dir| dir.join(FILE)).as_deref())?;
        let mut queues: BTreeMap<String, Queue> = queues
            .iter()
            .map(|settings| {
                let queue = Queue {
                    settings: settings.clone(),
                    messages: MessageTable::default(),
                };
                (settings.name.clone(), queue)
            })
            .collect();
        for row in store.load()? {
            let Some(queue) = queues.get_mut(&row.queue) else {
                continue;
            };
            let stored = StoredMessage {
                message_id: row.message_id,
                body: row.body,
                sent_at_ms: row.sent_at_ms,
                receive_count: row.receive_count,
                place: Place::Ready,
            };
            queue.messages.add(row.seq, stored);
        }
        let arrivals = queues
            .keys()
            .map(|name| (name.clone(), Notify::new()))
            .collect();
        Ok(Self {
            shared: Arc::new(Mutex::new(Shared { store, queues })),
            arrivals: Arc::new(arrivals),
            faults: FaultPlan::default(),
            used: PermissionLog::default(),
            caller: "other",
        })
    }

    /// The HTTP client through which `aws-sdk-sqs` reaches these queues.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        transport::http_client(self.clone())
    }

    /// The same for a function, whose permissions are recorded.
    #[must_use]
    pub(crate) fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        transport::http_client(Self {
            caller,
            ..self.clone()
        })
    }

    /// Returns the permissions that each function used through the SDK.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
    }

    /// The URL by which an SDK names a queue.
    #[must_use]
    pub fn url(queue: &str) -> String {
        format!("{URL_PREFIX}{queue}")
    }

    /// Returns when the queue has a visible message. Another receiver may take it first.
    pub async fn wait_for_message(&self, queue: &str) -> Result<(), QueueError> {
        let unknown = || QueueError::UnknownQueue(queue.to_owned());
        let arrivals = self.arrivals.get(queue).ok_or_else(unknown)?;
        loop {
            let mut arrival = std::pin::pin!(arrivals.notified());
            arrival.as_mut().enable();
            let next_due = {
                let mut shared = self.shared();
                let table = &mut find(&mut shared.queues, queue)?.messages;
                table.promote(Instant::now());
                if table.has_ready() {
                    return Ok(());
                }
                table.next_due()
            };
            match next_due {
                None => arrival.await,
                Some(due) => tokio::select! {
                    () = arrival => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
        }
    }

    /// Counts the messages of a queue by state.
    pub fn counts(&self, queue: &str) -> Result<Counts, QueueError> {
        let mut shared = self.shared();
        let table = &mut find(&mut shared.queues, queue)?.messages;
        table.promote(Instant::now());
        Ok(table.counts())
    }

    /// [`Queues::counts`] of every queue, by name.
    #[must_use]
    pub fn depths(&self) -> BTreeMap<String, Counts> {
        let now = Instant::now();
        let mut shared = self.shared();
        shared
            .queues
            .iter_mut()
            .map(|(name, queue)| {
                queue.messages.promote(now);
                (name.clone(), queue.messages.counts())
            })
            .collect()
    }

    /// Shortens the delays of all messages by `by`, as if that time had passed.
    pub fn shorten_delays(&self, by: Duration) {
        {
            let mut shared = self.shared();
            for queue in shared.queues.values_mut() {
                queue.messages.shorten_delays(by);
            }
        }
        for queue in self.arrivals.keys() {
            self.announce(queue);
        }
    }

    /// Takes out the delayed messages whose body is `wanted`.
    pub fn take_delayed(
        &self,
        queue: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, QueueError> {
        let mut shared = self.shared();
        let Shared { store, queues } = &mut *shared;
        let table = &mut find(queues, queue)?.messages;
        let mut bodies = Vec::new();
        for seq in table.delayed(wanted) {
            store.delete(&[seq])?;
            bodies.extend(table.remove(seq).map(|stored| stored.body));
        }
        Ok(bodies)
    }

    /// Returns the oldest `max` messages, visible or not, without receiving them.
    pub fn peek(&self, queue: &str, max: usize) -> Result<Vec<Message>, QueueError> {
        let mut shared = self.shared();
        Ok(find(&mut shared.queues, queue)?.messages.peek(max))
    }

    /// Injects a fault into a later SDK call. If two faults hit the same call, the second waits for
    /// the next.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// Lets one entry of a later batch fail, as SQS does if only a part of a batch fails. It is the
    /// next entry whose body contains `part`.
    pub fn refuse_entry(&self, part: &str) {
        self.faults.refuse_entry(part);
    }

    /// Removes the faults that have not happened.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// The number of injected faults that a client has seen.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.faults.fired()
    }

    fn announce(&self, queue: &str) {
        if let Some(arrivals) = self.arrivals.get(queue) {
            arrivals.notify_waiters();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

fn find<'a>(
    queues: &'a mut BTreeMap<String, Queue>,
    name: &str,
) -> Result<&'a mut Queue, QueueError> {
    queues
        .get_mut(name)
        .ok_or_else(|| QueueError::UnknownQueue(name.to_owned()))
}
