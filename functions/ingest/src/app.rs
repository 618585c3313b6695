//! The clients and caches that all requests of the function share.

use axum::extract::FromRef;
use shared::runtime::auth::Keys;
use shared::runtime::clock::Clock;
use shared::runtime::error::ApiError;
use shared::runtime::rate::{self, Rates};
use shared::runtime::sealing::Vault;
use shared::runtime::token::Tokens;
use shared::store::Store;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many bodies above the usual limit an instance holds in memory at the same time.
const LARGE_AT_ONCE: usize = 4;
/// The most users that an instance remembers.
const MAX_KNOWN_USERS: usize = 100_000;

/// The parts that all requests share.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queue_url: String,
    pub(crate) clock: Clock,
    pub(crate) vault: Vault,
    /// Users that exist, by organisation and id. A user is never deleted.
    known_users: Arc<Mutex<HashSet<(String, String)>>>,
    /// Places for webhook bodies that are larger than the bodies of other requests.
    pub(crate) large_bodies: Arc<Semaphore>,
}

impl App {
    /// Creates the function in front of the queue at `queue_url`.
    pub fn new(
        store: Store,
        sqs: aws_sdk_sqs::Client,
        queue_url: String,
        (vault, tokens): (Vault, Tokens),
        clock: Clock,
    ) -> Self {
        let rates = Rates::of(rate::TRAFFIC);
        Self {
            vault,
            keys: Keys::new(store.clone(), tokens, rates, clock.clone()),
            store,
            sqs,
            queue_url,
            clock,
            known_users: Arc::default(),
            large_bodies: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
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

    pub(crate) async fn user_exists(
        &self,
        organisation_id: &str,
        user_id: &str,
    ) -> Result<bool, ApiError> {
        let key = (organisation_id.to_owned(), user_id.to_owned());
        let known = self.known_users.lock();
        if known.is_ok_and(|known| known.contains(&key)) {
            return Ok(true);
        }
        let exists = self.store.user(organisation_id, user_id).await?.is_some();
        if exists && let Ok(mut known) = self.known_users.lock() {
            if known.len() >= MAX_KNOWN_USERS {
                known.clear();
            }
            known.insert(key);
        }
        Ok(exists)
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}
