//! What an instance remembers of its writes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many writes are remembered. Then all are forgotten, and made once more.
const MOST_WRITTEN: usize = 20_000;

/// Over how many rows a sum is spread that many instances add to.
const ROWS: u8 = 16;

#[derive(Debug, Default)]
pub(super) struct Instance {
    /// The keys of items that need to be written only once.
    written: Mutex<HashSet<String>>,
    row: AtomicU8,
}

impl Instance {
    pub(super) fn has_written(&self, key: &str) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.contains(key)
    }

    pub(super) fn remember(&self, key: String) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MOST_WRITTEN {
            written.clear();
        }
        written.insert(key);
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
    fn what_was_written_is_remembered_until_it_is_too_much() {
        let instance = Instance::default();
        assert!(!instance.has_written("0"));
        for number in 0..MOST_WRITTEN {
            instance.remember(number.to_string());
        }
        assert!(instance.has_written("0"));
        instance.remember("one more".to_owned());
        assert!(!instance.has_written("0"));
        assert!(instance.has_written("one more"));
    }
}
