//! What an instance remembers of its writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many writes are remembered. Then all are forgotten, and made once more.
const MOST_WRITTEN: usize = 20_000;
/// How long a write is remembered. Tables may be taken back to a moment before it.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Over how many rows a sum is spread that many instances add to.
const ROWS: u8 = 16;

#[derive(Debug, Default)]
pub(super) struct Instance {
    /// The items that need to be written only once, and when they were.
    written: Mutex<HashMap<String, Instant>>,
    row: AtomicU8,
}

impl Instance {
    pub(super) fn has_written(&self, item: &str, now: Instant) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let at = written.get(item);
        at.is_some_and(|at| now.saturating_duration_since(*at) < REMEMBERED)
    }

    pub(super) fn remember(&self, item: String, now: Instant) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MOST_WRITTEN {
            written.clear();
        }
        written.insert(item, now);
    }

    /// Returns the row of spread sums that this instance adds to: the first, until it meets others
    /// there.
    pub(super) fn row(&self) -> u8 {
        self.row.load(Ordering::Relaxed)
    }

    /// Goes to another row, because others add to this one. `random` is any number.
    pub(super) fn leave_row(&self, random: u8) -> u8 {
        let steps = 1 + random % (ROWS - 1);
        let row = (self.row() + steps) % ROWS;
        self.row.store(row, Ordering::Relaxed);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_instance_that_meets_others_goes_to_any_other_row() {
        let mut met = HashSet::new();
        for random in 0..=u8::MAX {
            let instance = Instance::default();
            assert_eq!(instance.row(), 0);
            let row = instance.leave_row(random);
            assert_eq!(instance.row(), row);
            assert!((1..ROWS).contains(&row), "{row}");
            met.insert(row);
        }
        assert_eq!(met.len(), usize::from(ROWS) - 1);
    }

    #[test]
    fn what_was_written_is_remembered_for_an_hour_and_until_it_is_too_much() {
        let instance = Instance::default();
        let now = Instant::now();
        assert!(!instance.has_written("0", now));
        for number in 0..MOST_WRITTEN {
            instance.remember(number.to_string(), now);
        }
        assert!(instance.has_written("0", now + Duration::from_secs(3_599)));
        assert!(!instance.has_written("0", now + Duration::from_secs(3_600)));
        instance.remember("one more".to_owned(), now);
        assert!(!instance.has_written("0", now));
        assert!(instance.has_written("one more", now));
    }
}
