//! The clients and caches that all requests of the function share.

use super::Refusals;
use super::deadline::Deadline;
use super::places::Places;
use super::storms::Storms;
use super::sums::Sums;
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use shared::domain::org::organisation::OnUnavailable;
use shared::runtime::auth::{Caller, Keys};
use shared::runtime::clock::Clock;
use shared::runtime::configuration_cache::ConfigurationCache;
use shared::runtime::error::ApiError;
use shared::runtime::rate::{self, Rates};
use shared::runtime::token::Tokens;
use shared::store::Store;
use std::time::Duration;

/// How often a decision starts again because the configuration changed meanwhile.
pub(crate) const ATTEMPTS: u32 = 8;
/// How long a request may take, with all its calls and their retries: a person waits for it before
/// anything is sent.
const TIME: Duration = Duration::from_millis(1_500);

/// The parts that all requests share.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Store,
    /// The store of the start, which nobody waits for.
    pub(crate) start_store: Store,
    pub(crate) keys: Keys,
    pub(crate) cache: ConfigurationCache,
    pub(crate) clock: Clock,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) refusals: Refusals,
    pub(crate) places: Places,
    pub(crate) sums: Sums,
    pub(crate) storms: Storms,
    time: Option<Duration>,
}

impl App {
    /// Creates the function on `store`. It queues what it refuses on `refusals`. If not even the
    /// configuration can be read, it answers with `on_unavailable`.
    pub fn new(
        store: Store,
        clock: Clock,
        on_unavailable: OnUnavailable,
        (tokens, refusals): (Tokens, Refusals),
    ) -> Self {
        let rates = Rates::of(rate::TRAFFIC);
        let keys = Keys::new(store.clone(), tokens, rates, clock.clone());
        Self {
            keys: keys.through_outages("/v1/preflight"),
            cache: ConfigurationCache::new(store.clone()),
            start_store: store.clone(),
            store,
            clock,
            on_unavailable,
            refusals,
            places: Places::default(),
            sums: Sums::default(),
            storms: Storms::new(true),
            time: Some(TIME),
        }
    }

    /// Lets an instance read through `store` before its first request.
    #[must_use]
    pub fn starting_with(self, store: Store) -> Self {
        Self {
            start_store: store,
            ..self
        }
    }

    /// Sets the limits for each key.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self {
            keys: self.keys.with_rates(rates),
            ..self
        }
    }

    /// Sets how long a key that was read is believed.
    #[must_use]
    pub fn believing_keys(self, believed: Duration) -> Self {
        Self {
            keys: self.keys.believing(believed),
            ..self
        }
    }

    /// Sets the time limit of a request; None for no limit.
    #[must_use]
    pub fn with_time(self, time: Option<Duration>) -> Self {
        Self { time, ..self }
    }

    /// Sets whether a refusal that is asked for again and again is repeated from memory.
    #[must_use]
    pub fn repeating_refusals(self, repeats: bool) -> Self {
        Self {
            storms: Storms::new(repeats),
            ..self
        }
    }

    /// Returns the end of a request that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.time)
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

/// A caller whose request has to be answered until the deadline, which counts from its start.
pub(crate) struct Timed {
    pub(crate) caller: Caller,
    pub(crate) deadline: Deadline,
}

impl FromRequestParts<App> for Timed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let deadline = app.deadline();
        let finding = deadline.limit(Caller::from_request_parts(parts, app));
        let caller = finding.await??;
        Ok(Self { caller, deadline })
    }
}
