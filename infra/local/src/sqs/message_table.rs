//! The messages of one queue in memory, with the time when each may be received.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use std::time::Duration;

use tokio::time::Instant;

use super::{Counts, Message, QueueError, receipt};

/// A message and its state.
pub(super) struct StoredMessage {
    pub(super) message_id: String,
    pub(super) body: String,
    pub(super) sent_at_ms: i64,
    pub(super) receive_count: u32,
    pub(super) place: Place,
}

/// When a message may be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Ready to be received now.
    Ready,
    /// After the delay that the sender asked for.
    Delayed(Instant),
    /// After its visibility timeout.
    InFlight(Instant),
    /// After the wait with which a receiver released it.
    Released(Instant),
}

impl Place {
    fn until(self) -> Option<Instant> {
        match self {
            Self::Ready => None,
            Self::Delayed(until) | Self::InFlight(until) | Self::Released(until) => Some(until),
        }
    }
}

/// The messages that a receive takes out of the queue.
pub(super) struct Pick {
    pub(super) deliver: Vec<i64>,
    /// Messages that were received too often and become dead letters.
    pub(super) spent: Vec<i64>,
}

#[derive(Default)]
pub(super) struct MessageTable {
    messages: BTreeMap<i64, StoredMessage>,
    ready: VecDeque<i64>,
    due: BTreeSet<(Instant, i64)>,
}

impl MessageTable {
    pub(super) fn add(&mut self, seq: i64, stored: StoredMessage) {
        self.index(seq, stored.place);
        self.messages.insert(seq, stored);
    }

    pub(super) fn remove(&mut self, seq: i64) -> Option<StoredMessage> {
        let stored = self.messages.remove(&seq)?;
        self.unindex(seq, stored.place);
        Some(stored)
    }

    pub(super) fn get(&self, seq: i64) -> Option<&StoredMessage> {
        self.messages.get(&seq)
    }

    /// Returns the message of a handle. None if it is deleted or was received again since.
    pub(super) fn find(&self, handle: &str) -> Result<Option<i64>, QueueError> {
        let receipt = receipt::read(handle)?;
        let latest = self.get(receipt.seq).is_some_and(|stored| {
            stored.message_id == receipt.message_id && stored.receive_count == receipt.receive_count
        });
        Ok(latest.then_some(receipt.seq))
    }

    pub(super) fn place(&mut self, seq: i64, place: Place) {
        let Some(stored) = self.messages.get_mut(&seq) else {
            return;
        };
        let before = std::mem::replace(&mut stored.place, place);
        self.unindex(seq, before);
        self.index(seq, place);
    }

    /// Makes the messages visible that are due.
    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(&(until, seq)) = self.due.first()
            && until <= now
        {
            self.place(seq, Place::Ready);
        }
    }

    /// Returns the delayed messages whose body is `wanted`.
    pub(super) fn delayed(&self, wanted: impl Fn(&str) -> bool) -> Vec<i64> {
        let delayed = self.messages.iter().filter(|(_, stored)| {
            matches!(stored.place, Place::Delayed(_)) && wanted(&stored.body)
        });
        delayed.map(|(seq, _)| *seq).collect()
    }

    /// Shortens the delays of messages by `by`.
    pub(super) fn shorten_delays(&mut self, by: Duration) {
        let delayed = self
            .messages
            .iter()
            .filter_map(|(seq, stored)| match stored.place {
                Place::Delayed(until) => Some((*seq, until)),
                Place::Ready | Place::InFlight(_) | Place::Released(_) => None,
            });
        let delayed: Vec<(i64, Instant)> = delayed.collect();
        for (seq, until) in delayed {
            let until = until.checked_sub(by).unwrap_or_else(Instant::now);
            self.place(seq, Place::Delayed(until));
        }
    }

    /// The time when the next hidden message becomes visible.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Chooses up to `max` visible messages. Those received `limit` times are not delivered.
    pub(super) fn pick(&self, max: usize, limit: Option<u32>) -> Pick {
        let mut pick = Pick {
            deliver: Vec::new(),
            spent: Vec::new(),
        };
        for &seq in &self.ready {
            if pick.deliver.len() == max {
                break;
            }
            let receives = self.get(seq).map_or(0, |stored| stored.receive_count);
            if limit.is_some_and(|limit| receives >= limit) {
                pick.spent.push(seq);
            } else {
                pick.deliver.push(seq);
            }
        }
        pick
    }

    /// Delivers a message and hides it until `until`.
    pub(super) fn deliver(&mut self, seq: i64, until: Instant) -> Option<Message> {
        self.place(seq, Place::InFlight(until));
        let stored = self.messages.get_mut(&seq)?;
        stored.receive_count += 1;
        Some(message(seq, stored))
    }

    /// Returns the first `max` messages, visible or not.
    pub(super) fn peek(&self, max: usize) -> Vec<Message> {
        self.messages
            .iter()
            .take(max)
            .map(|(seq, stored)| message(*seq, stored))
            .collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts {
            visible: self.ready.len(),
            ..Counts::default()
        };
        for (_, seq) in &self.due {
            match self.get(*seq).map(|stored| stored.place) {
                Some(Place::InFlight(_)) => counts.in_flight += 1,
                Some(Place::Delayed(_)) => counts.delayed += 1,
                Some(Place::Released(_)) => counts.released += 1,
                Some(Place::Ready) | None => {}
            }
        }
        counts
    }

    fn index(&mut self, seq: i64, place: Place) {
        match place.until() {
            None => self.ready.push_back(seq),
            Some(until) => {
                self.due.insert((until, seq));
            }
        }
    }

    fn unindex(&mut self, seq: i64, place: Place) {
        match place.until() {
            Some(until) => {
                self.due.remove(&(until, seq));
            }
            None if self.ready.front() == Some(&seq) => {
                self.ready.pop_front();
            }
            None => self.ready.retain(|other| *other != seq),
        }
    }
}

fn message(seq: i64, stored: &StoredMessage) -> Message {
    Message {
        id: stored.message_id.clone(),
        receipt_handle: receipt::write(seq, &stored.message_id, stored.receive_count),
        body: stored.body.clone(),
        receive_count: stored.receive_count,
        sent_at_ms: stored.sent_at_ms,
    }
}
