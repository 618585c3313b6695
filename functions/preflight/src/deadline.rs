//! Until when a request is answered.

use shared::store::StoreError;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// When a request has to be answered, by a clock that nobody sets. None if there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Returns the end of a request that begins now and may take `time`.
    pub(crate) fn after(time: Option<Duration>) -> Self {
        Self(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// Waits for `work`, but not beyond the deadline.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let Some(at) = self.0 else {
            return Ok(work.await);
        };
        let late = |late| StoreError::Unavailable(Box::new(late));
        timeout_at(at, work).await.map_err(late)
    }

    /// Returns how long to wait for work that may take `most`.
    pub(crate) fn within(self, most: Duration) -> Duration {
        let left = self.0.map(|at| at.duration_since(Instant::now()));
        left.map_or(most, |left| left.min(most))
    }
}
