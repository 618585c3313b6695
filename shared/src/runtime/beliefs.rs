//! A short-lived cache of the owners of keys and of who gives them their power.

use crate::domain::org::authority::Backing;
use crate::store::KeyOwner;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a read is trusted. Within this time, the revocation of a key takes effect, and the
/// suspension, block or demotion of its user, or of the makers of an administrator's key without a
/// user.
const BELIEVED: Duration = Duration::from_secs(5);
/// The most keys that one instance caches.
const MAX_REMEMBERED: usize = 10_000;

/// A key as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) owner: KeyOwner,
    pub(super) backing: Backing,
}

/// The cache of an instance, by a name of the key. Clones share it.
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
    /// Creates a cache whose entries are trusted for `believed`.
    pub(super) fn lasting(believed: Duration) -> Self {
        Self {
            believed,
            ..Self::default()
        }
    }

    /// Returns an entry that is trusted.
    pub(super) fn fresh(&self, name: &str) -> Option<Known> {
        self.within(name, self.believed)
    }

    /// Returns an entry that was read less than `age` ago.
    pub(super) fn within(&self, name: &str, age: Duration) -> Option<Known> {
        let (known, read_at) = self.entries.lock().ok()?.get(name)?.clone();
        (read_at.elapsed() < age).then_some(known)
    }

    /// Returns the last entry, whatever its age.
    pub(super) fn last(&self, name: &str) -> Option<Known> {
        let entries = self.entries.lock().ok()?;
        entries.get(name).map(|(known, _)| known.clone())
    }

    /// Stores the result of a read that began at `asked_at`. None means that the key is unknown.
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
