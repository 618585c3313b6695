//! Sends, receives, deletes and releases messages.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::message_table::{Place, StoredMessage};
use super::store::NewRow;
use super::{Message, Queue, QueueError, Queues, Shared, find};
use crate::transport;

/// Replaces a delay that is too long to add to a point in time.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Queues {
    /// Stores a message that becomes visible after `delay`. Returns its id.
    pub fn send(&self, queue: &str, body: &str, delay: Duration) -> Result<String, QueueError> {
        let mut ids = self.send_all(queue, &[(body, delay)])?;
        ids.pop()
            .ok_or_else(|| QueueError::UnknownQueue(queue.to_owned()))
    }

    /// Stores all messages or none, each with its delay. Returns their ids.
    pub(crate) fn send_all(
        &self,
        queue: &str,
        messages: &[(&str, Duration)],
    ) -> Result<Vec<String>, QueueError> {
        let ids: Vec<String> = messages.iter().map(|_| new_id()).collect();
        let sent_at_ms = now_ms();
        {
            let mut shared = self.shared();
            let Shared { store, queues } = &mut *shared;
            let table = &mut find(queues, queue)?.messages;
            let rows: Vec<NewRow<'_>> = ids
                .iter()
                .zip(messages)
                .map(|(message_id, (body, _))| NewRow {
                    message_id,
                    body,
                    sent_at_ms,
                })
                .collect();
            let sequence = store.insert(queue, &rows)?;
            let now = Instant::now();
            for ((seq, row), (_, delay)) in sequence.into_iter().zip(&rows).zip(messages) {
                let stored = StoredMessage {
                    message_id: row.message_id.to_owned(),
                    body: row.body.to_owned(),
                    sent_at_ms,
                    receive_count: 0,
                    place: if delay.is_zero() {
                        Place::Ready
                    } else {
                        Place::Delayed(after(now, *delay))
                    },
                };
                table.add(seq, stored);
            }
        }
        self.announce(queue);
        Ok(ids)
    }

    /// Receives up to `max` visible messages and hides them for the visibility timeout. A message
    /// that was received `max_receive_count` times goes to the dead letter queue instead.
    pub fn receive(&self, queue: &str, max: usize) -> Result<Vec<Message>, QueueError> {
        self.receive_for(queue, max, None)
    }

    pub(crate) fn receive_for(
        &self,
        queue: &str,
        max: usize,
        visibility: Option<Duration>,
    ) -> Result<Vec<Message>, QueueError> {
        let mut shared = self.shared();
        let Shared { store, queues } = &mut *shared;
        let Queue {
            settings,
            messages: table,
        } = find(queues, queue)?;
        let now = Instant::now();
        table.promote(now);
        let dead_letters = settings.dead_letter_queue.clone();
        let limit = dead_letters.as_ref().map(|_| settings.max_receive_count);
        let pick = table.pick(max, limit);
        if pick.deliver.is_empty() && pick.spent.is_empty() {
            return Ok(Vec::new());
        }
        store.receive(&pick.deliver, &pick.spent, dead_letters.as_deref())?;

        let visibility = visibility.unwrap_or(settings.visibility_timeout);
        let spent: Vec<(i64, StoredMessage)> = pick
            .spent
            .iter()
            .filter_map(|seq| Some((*seq, table.remove(*seq)?)))
            .collect();
        let messages: Vec<Message> = pick
            .deliver
            .iter()
            .filter_map(|seq| table.deliver(*seq, after(now, visibility)))
            .collect();
        if visibility.is_zero() {
            table.promote(now);
        }
        if let Some(dead_letters) = dead_letters.filter(|_| !spent.is_empty()) {
            let table = &mut find(queues, &dead_letters)?.messages;
            for (seq, stored) in spent {
                table.add(seq, stored);
            }
            drop(shared);
            self.announce(&dead_letters);
        }
        Ok(messages)
    }

    /// Deletes messages and returns how many. The handle of an earlier receive deletes nothing.
    pub fn delete(
        &self,
        queue: &str,
        receipt_handles: &[impl AsRef<str>],
    ) -> Result<usize, QueueError> {
        let mut shared = self.shared();
        let Shared { store, queues } = &mut *shared;
        let table = &mut find(queues, queue)?.messages;
        let mut sequence = Vec::with_capacity(receipt_handles.len());
        for handle in receipt_handles {
            sequence.extend(table.find(handle.as_ref())?);
        }
        if sequence.is_empty() {
            return Ok(0);
        }
        store.delete(&sequence)?;
        Ok(sequence
            .iter()
            .filter(|seq| table.remove(**seq).is_some())
            .count())
    }

    /// Makes a received message visible again after `delay`. False if it was deleted, is visible
    /// already, or was received again since.
    pub fn release(
        &self,
        queue: &str,
        receipt_handle: &str,
        delay: Duration,
    ) -> Result<bool, QueueError> {
        self.change_place(queue, receipt_handle, delay, Place::Released)
    }

    /// Like [`Queues::release`], but the receiver keeps the message meanwhile.
    pub(crate) fn hide(
        &self,
        queue: &str,
        receipt_handle: &str,
        timeout: Duration,
    ) -> Result<bool, QueueError> {
        self.change_place(queue, receipt_handle, timeout, Place::InFlight)
    }

    fn change_place(
        &self,
        queue: &str,
        receipt_handle: &str,
        delay: Duration,
        hidden: fn(Instant) -> Place,
    ) -> Result<bool, QueueError> {
        {
            let mut shared = self.shared();
            let table = &mut find(&mut shared.queues, queue)?.messages;
            let now = Instant::now();
            table.promote(now);
            let Some(seq) = table.find(receipt_handle)? else {
                return Ok(false);
            };
            match table.get(seq).map(|stored| stored.place) {
                Some(Place::InFlight(_) | Place::Released(_)) => {}
                Some(Place::Ready | Place::Delayed(_)) | None => return Ok(false),
            }
            let place = if delay.is_zero() {
                Place::Ready
            } else {
                hidden(after(now, delay))
            };
            table.place(seq, place);
        }
        self.announce(queue);
        Ok(true)
    }
}

fn after(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or(now + FAR_FUTURE)
}

fn new_id() -> String {
    let (high, low) = (transport::random_bits(), transport::random_bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}
