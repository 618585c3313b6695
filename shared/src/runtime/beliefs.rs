//! Whose each key is and what its user or its makers give it, as an instance has read both a moment ago.

use crate::domain::authority::Backing;
use crate::store::KeyOwner;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long what was read is believed without asking again: a key that is revoked, or whose user is suspended, blocked or
/// demoted, ends within it, and the power of an administrator's key without a user with that of its makers.
const BELIEVED: Duration = Duration::from_secs(5);
/// The most keys that one instance remembers.
const MAX_REMEMBERED: usize = 10_000;

/// A key as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) owner: KeyOwner,
    pub(super) backing: Backing,
}

/// What an instance remembers, by a name of the key. Clones remember together.
#[derive(Clone, Debug)]
pub(super) struct Beliefs {
    entries: Arc<Mutex<HashMap<String, (Known, Instant)>>>,
    believed: Duration,
}

impl Default for Beliefs {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            believed: BELIEVED,
        }
    }
}

impl Beliefs {
    /// Beliefs that end after `believed`.
    pub(super) fn lasting(believed: Duration) -> Self {
        Self {
            believed,
            ..Self::default()
        }
    }

    /// Returns what is believed now.
    pub(super) fn fresh(&self, name: &str) -> Option<Known> {
        self.within(name, self.believed)
    }

    /// Returns what was read less than `age` ago.
    pub(super) fn within(&self, name: &str, age: Duration) -> Option<Known> {
        let (known, read_at) = self.entries.lock().ok()?.get(name)?.clone();
        (read_at.elapsed() < age).then_some(known)
    }

    /// Returns what was read last, whenever that was.
    pub(super) fn last(&self, name: &str) -> Option<Known> {
        let entries = self.entries.lock().ok()?;
        entries.get(name).map(|(known, _)| known.clone())
    }

    /// Remembers what a read found that began at `asked_at`; nothing means that the key is nobody's.
    pub(super) fn remember(&self, name: &str, known: Option<Known>, asked_at: Instant) {
        let Ok(mut entries) = self.entries.lock() else {
            return;
        };
        if entries.len() >= MAX_REMEMBERED {
            entries.clear();
        }
        match known {
            Some(known) => entries.insert(name.to_owned(), (known, asked_at)),
            None => entries.remove(name),
        };
    }
}
