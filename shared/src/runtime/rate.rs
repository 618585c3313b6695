//! Limits the requests of a key in a minute.
//!
//! Each instance counts in memory. After a tenth of a limit, it shares its count with the others,
//! by one write for each further twentieth. So a limit may be exceeded by a tenth for each
//! instance. Without a store, the limit applies to each instance separately.

use super::logs::note;
use crate::store::Store;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The management API's limit for a key in a minute.
pub const MANAGEMENT: u32 = 1_000;
/// The limits of preflight and of events for a key in a minute.
pub const TRAFFIC: u32 = 60_000;
/// The most keys that an instance counts in a minute.
const MAX_KEYS: usize = 10_000;

/// The state of a key's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// The requests allowed in a minute.
    pub limit: u32,
    /// The requests left in this minute.
    pub remaining: u32,
    /// When the next minute begins, in seconds since 1970.
    pub resets_at: i64,
    /// How many seconds that takes.
    pub resets_in: i64,
    /// Whether the request is above the limit.
    pub is_over: bool,
}

/// A key's requests in a minute, as far as an instance knows.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    minute: i64,
    /// Requests of this instance.
    own: u32,
    /// Those of them that are shared.
    shared: u32,
    /// Requests of other instances that this one knows of.
    others: u32,
}

/// Counts the requests of keys. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Rates {
    limit: Option<u32>,
    /// The counts that all instances share.
    store: Option<Store>,
    windows: Arc<Mutex<HashMap<String, Window>>>,
}

impl Rates {
    /// Creates a limit of requests a minute for each key, counted in this instance only.
    pub fn of(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            store: None,
            windows: Arc::default(),
        }
    }

    /// Shares the counts with other instances through `store`.
    #[must_use]
    pub fn shared(self, store: Store) -> Self {
        Self {
            store: Some(store),
            ..self
        }
    }

    pub fn unlimited() -> Self {
        Self {
            limit: None,
            store: None,
            windows: Arc::default(),
        }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.limit.is_none()
    }

    /// Counts a request of a key at `now`. Returns None if there is no limit.
    pub async fn take(
        &self,
        organisation_id: &str,
        key_id: &str,
        now: Timestamp,
    ) -> Option<RateLimitStatus> {
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
                Err(error) => note("requests are counted in this instance only", &error),
            }
        }
        let resets_at = (minute + 1) * 60;
        Some(RateLimitStatus {
            limit,
            remaining: limit.saturating_sub(used),
            resets_at,
            resets_in: resets_at - now.as_second(),
            is_over: used > limit,
        })
    }

    /// Counts one more request. Returns the window and how many requests are due to be shared.
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
        // A key above the limit is shared already, and further requests change nothing.
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
            let rate_limit = rates.take("demo", "key_1", now).await.unwrap();
            assert_eq!(
                (rate_limit.remaining, rate_limit.is_over),
                (remaining, false)
            );
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
