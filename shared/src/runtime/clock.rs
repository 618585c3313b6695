//! The clock of every function.

use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The computer's clock, or one that stands still at a given time.
#[derive(Clone, Debug)]
pub struct Clock {
    fixed_ms: Arc<AtomicI64>,
}

const NOT_FIXED: i64 = i64::MIN;

impl Default for Clock {
    fn default() -> Self {
        Self {
            fixed_ms: Arc::new(AtomicI64::new(NOT_FIXED)),
        }
    }
}

impl Clock {
    /// Returns a clock that stands still at `at`, to the millisecond.
    pub fn standing_at(at: Timestamp) -> Self {
        let clock = Self::default();
        clock.set(at);
        clock
    }

    /// Now, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let ms = match self.fixed_ms.load(Ordering::SeqCst) {
            NOT_FIXED => Timestamp::now().as_millisecond(),
            ms => ms,
        };
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Makes the clock and all its clones stand still at `at`, to the millisecond.
    pub fn set(&self, at: Timestamp) {
        self.fixed_ms.store(at.as_millisecond(), Ordering::SeqCst);
    }
}
