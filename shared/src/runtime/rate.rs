//! How many requests a key may make in a minute.
//!
//! Each instance of a function counts for itself, in memory. One that has seen a tenth of a limit tells the others, by one write for
//! each twentieth of it, so a limit may be passed by a tenth for each instance. Where nobody is told, it holds for each instance.

use super::logs::note;
use crate::store::Store;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What the management API takes of a key in a minute.
pub const MANAGEMENT: u32 = 1_000;
/// What preflight and events take of a key in a minute, each.
pub const TRAFFIC: u32 = 60_000;
/// The most keys that an instance counts in a minute.
const MAX_KEYS: usize = 10_000;

/// How much a key has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it may do in a minute.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// When it begins anew, in seconds since 1970.
    pub resets_at: i64,
    /// How many seconds that are.
    pub resets_in: i64,
    /// Whether the request is one too many.
    pub is_over: bool,
}

/// What a key did in a minute, as far as an instance knows.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    minute: i64,
    /// Requests of this instance.
    own: u32,
    /// Those of them that the others know of.
    shared: u32,
    /// Requests of the others that this one knows of.
    others: u32,
}

/// Counts the requests of keys. Clones count together.
#[derive(Clone, Debug)]
pub struct Rates {
    limit: Option<u32>,
    /// Where instances tell each other.
    store: Option<Store>,
    windows: Arc<Mutex<HashMap<String, Window>>>,
}

impl Rates {
    /// So many requests a minute for each key; each instance by itself.
    pub fn of(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            store: None,
            windows: Arc::default(),
        }
    }

    /// The same, told to the other instances through `store`.
    #[must_use]
    pub fn shared(self, store: Store) -> Self {
        Self {
            store: Some(store),
            ..self
        }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self {
            limit: None,
            store: None,
            windows: Arc::default(),
        }
    }

    /// Whether nothing is counted.
    pub(super) fn is_unlimited(&self) -> bool {
        self.limit.is_none()
    }

    /// Counts a request of a key at `now`; none where there is no limit.
    pub async fn take(
        &self,
        organisation_id: &str,
        key_id: &str,
        now: Timestamp,
    ) -> Option<Standing> {
        let limit = self.limit?;
        let minute = now.as_second().div_euclid(60);
        let name = format!("{organisation_id}\0{key_id}");
        let (window, untold) = self.count(&name, minute, limit)?;
        let mut used = window.own.saturating_add(window.others);
        if let (Some(store), true) = (&self.store, untold > 0) {
            match store
                .add_requests(organisation_id, key_id, minute, untold)
                .await
            {
                Ok(total) => {
                    used = total.max(window.own);
                    self.learn(&name, minute, total);
                }
                Err(error) => note("requests are counted alone", &error),
            }
        }
        let resets_at = (minute + 1) * 60;
        Some(Standing {
            limit,
            remaining: limit.saturating_sub(used),
            resets_at,
            resets_in: resets_at - now.as_second(),
            is_over: used > limit,
        })
    }

    /// Counts one more; what this instance knows then, and how many it has to tell of.
    fn count(&self, name: &str, minute: i64, limit: u32) -> Option<(Window, u32)> {
        let mut windows = self.windows.lock().ok()?;
        if windows.len() >= MAX_KEYS {
            windows.retain(|_, window| window.minute == minute);
            if windows.len() >= MAX_KEYS {
                windows.clear();
            }
        }
        let window = windows.entry(name.to_owned()).or_default();
        if window.minute != minute {
            *window = Window {
                minute,
                ..Window::default()
            };
        }
        window.own = window.own.saturating_add(1);
        let untold = window.own - window.shared;
        // One who is over has been told of, and goes on asking.
        let is_due = window.own >= limit / 10
            && untold >= (limit / 20).max(1)
            && window.own <= limit.saturating_add(limit / 10);
        if !is_due {
            return Some((*window, 0));
        }
        window.shared = window.own;
        Some((*window, untold))
    }

    fn learn(&self, name: &str, minute: i64, total: u32) {
        if let Ok(mut windows) = self.windows.lock()
            && let Some(window) = windows.get_mut(name).filter(|w| w.minute == minute)
        {
            window.others = window.others.max(total.saturating_sub(window.shared));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_key_may_do_so_much_in_a_minute_and_again_in_the_next() {
        let rates = Rates::of(3);
        let now = at("2026-11-24T12:00:20Z");
        for remaining in [2, 1, 0] {
            let standing = rates.take("demo", "key_1", now).await.unwrap();
            assert_eq!((standing.remaining, standing.is_over), (remaining, false));
        }
        let over = rates.take("demo", "key_1", now).await.unwrap();
        assert!(over.is_over);
        assert_eq!((over.limit, over.remaining, over.resets_in), (3, 0, 40));
        for (organisation, key) in [("demo", "key_2"), ("other", "key_1")] {
            let other = rates.take(organisation, key, now).await.unwrap();
            assert!(!other.is_over, "{organisation} {key}");
        }
        let next = rates
            .take("demo", "key_1", at("2026-11-24T12:01:00Z"))
            .await;
        assert_eq!(next.unwrap().remaining, 2);
    }

    #[tokio::test]
    async fn where_there_is_no_limit_nothing_is_counted() {
        let now = at("2026-11-24T12:00:20Z");
        assert_eq!(Rates::unlimited().take("demo", "key_1", now).await, None);
    }
}
