//! Secrets of the deployment. They are in Secrets Manager, and a function has only their names: it
//! reads them when it starts, and again from time to time, so that a secret can be rotated without
//! a deployment.

mod reader;
#[cfg(test)]
pub(super) mod tests;

pub use reader::SecretReader;

use super::error::{ApiError, ErrorCode};
use super::logs::note;
use aws_smithy_runtime_api::box_error::BoxError;
use reader::Stage;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// After how long a secret is read again.
const FRESH: Duration = Duration::from_secs(300);
/// How long nothing is read after a try: callers can bring one about with anything that looks
/// signed.
const PAUSE: Duration = Duration::from_secs(30);
/// How long somebody who has a value already waits for a newer one.
const PATIENCE: Duration = Duration::from_millis(300);

/// Why a secret is not known.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("a secret of the deployment cannot be read")]
    Unavailable(#[source] BoxError),
    #[error("a secret of the deployment has no value")]
    Empty,
}

impl From<Unread> for ApiError {
    fn from(error: Unread) -> Self {
        note("a request failed", &error);
        Self::new(
            ErrorCode::Unavailable,
            "a secret of the deployment cannot be read; retry the request",
        )
    }
}

/// The values of a secret: new things are made with the current one, older ones are known by the
/// previous one.
#[derive(Clone, PartialEq, Eq)]
pub struct Versions {
    current: Arc<str>,
    previous: Option<Arc<str>>,
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Versions")
    }
}

impl Versions {
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Returns every value, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let current = std::iter::once(&*self.current);
        current.chain(self.previous.as_deref())
    }
}

#[derive(Default)]
struct Kept {
    versions: Option<Versions>,
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
    searched_at: Option<Instant>,
}

/// Whether `time` is over since `at`.
fn is_over(at: Option<Instant>, time: Duration, now: Instant) -> bool {
    at.is_none_or(|at| now.saturating_duration_since(at) >= time)
}

/// A secret of the deployment, as it was read last. Clones share it.
#[derive(Clone)]
pub struct Secret {
    reader: SecretReader,
    id: Arc<str>,
    kept: Arc<Mutex<Kept>>,
    first_read: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

impl Secret {
    /// Creates the secret with a name or ARN. It is read when its value is needed.
    pub fn new(reader: &SecretReader, id: impl Into<Arc<str>>) -> Self {
        Self {
            reader: reader.clone(),
            id: id.into(),
            kept: Arc::default(),
            first_read: Arc::default(),
        }
    }

    /// Returns the values, as they were read at most five minutes ago. If Secrets Manager does not
    /// answer, those that are known stay in use.
    pub async fn versions(&self) -> Result<Versions, Unread> {
        let now = Instant::now();
        if let Some(known) = self.known() {
            let is_due = self.begin(|kept| {
                let is_due =
                    is_over(kept.read_at, FRESH, now) && is_over(kept.tried_at, PAUSE, now);
                (is_due, &mut kept.tried_at)
            });
            if is_due {
                self.patiently(self.read()).await;
            }
            return Ok(self.known().unwrap_or(known));
        }
        let _turn = self.first_read.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => self.read().await,
        }
    }

    /// Returns the values that were read last, without reading any.
    pub fn known(&self) -> Option<Versions> {
        self.kept().versions.clone()
    }

    /// Returns other values than `known`, none of which fits something: it may have been made
    /// before the secret was rotated, or since. None if there are none, or none were found within
    /// the last half minute.
    pub async fn others(&self, known: &Versions) -> Option<Versions> {
        let now = Instant::now();
        if self.known().is_some_and(|newer| newer != *known) {
            return self.known();
        }
        let is_due = self.begin(|kept| {
            let is_due = is_over(kept.searched_at, PAUSE, now);
            (is_due, &mut kept.searched_at)
        });
        if !is_due {
            return None;
        }
        self.patiently(self.search()).await;
        self.known().filter(|found| found != known)
    }

    /// Returns whether a try is due, and notes that it begins: others do not try meanwhile.
    fn begin(&self, due: impl FnOnce(&mut Kept) -> (bool, &mut Option<Instant>)) -> bool {
        let mut kept = self.kept();
        let (is_due, tried_at) = due(&mut kept);
        if is_due {
            *tried_at = Some(Instant::now());
        }
        is_due
    }

    async fn patiently(&self, reading: impl Future<Output = Result<Versions, Unread>>) {
        match timeout(PATIENCE, reading).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => note("the values of a secret stay in use", &error),
            Err(late) => note("the values of a secret stay in use", &late),
        }
    }

    /// Reads the current value. If it is another one, the one before is not known: it need not be
    /// the one that was read last.
    async fn read(&self) -> Result<Versions, Unread> {
        let current = self.value(Stage::Current).await?.ok_or(Unread::Empty)?;
        let known = self.known().filter(|known| known.current == current);
        let previous = known.and_then(|known| known.previous);
        Ok(self.keep(Versions { current, previous }))
    }

    /// Reads both values.
    async fn search(&self) -> Result<Versions, Unread> {
        let current = self.value(Stage::Current).await?.ok_or(Unread::Empty)?;
        let previous = self.value(Stage::Previous).await?;
        Ok(self.keep(Versions { current, previous }))
    }

    async fn value(&self, stage: Stage) -> Result<Option<Arc<str>>, Unread> {
        let value = self.reader.value(&self.id, stage).await;
        let value = value.map_err(Unread::Unavailable)?;
        Ok(value.filter(|value| !value.is_empty()).map(Arc::from))
    }

    fn keep(&self, versions: Versions) -> Versions {
        let mut kept = self.kept();
        kept.versions = Some(versions.clone());
        kept.read_at = Some(Instant::now());
        versions
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
