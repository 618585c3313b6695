//! Reads ahead in an instance that knows nothing yet: before its first request, and for that
//! request several things at once.
//!
//! Nothing is decided here. The reads fill the caches that a decision uses, under the same rules: a
//! key is believed for seconds, a configuration and its users while the cell has the same epoch.

use super::App;
use super::deadline::Deadline;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use shared::domain::ledger::estimate::PreflightRequest;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::Body;
use shared::runtime::logs::note;
use shared::store::{StoreError, watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the start may take, all of it. Nobody is answered late because of it, unless a new
/// instance is started for a request.
const START: Duration = Duration::from_secs(2);
/// How long the first request waits for the joint read. After that it reads step by step.
const PATIENCE: Duration = Duration::from_millis(150);

/// Reads ahead, for as long as the start may take. What is not read then, whoever needs it reads.
pub async fn read_ahead<T, E>(reading: impl Future<Output = Result<T, E>>)
where
    E: std::error::Error + 'static,
{
    match tokio::time::timeout(START, reading).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => note("not ready before the first request", &error),
        Err(late) => note("not ready before the first request", &late),
    }
}

impl App {
    /// Opens the connection (names, TLS, credentials), so that the first request does not wait for
    /// it, and reads the configurations if the deployment has few organisations. If this fails, the
    /// first request does it.
    pub async fn make_ready(&self) {
        read_ahead(self.cache.fill(&self.start_store)).await;
    }

    /// Reads a key and the request's user together if neither is known and it is likely whose they
    /// are, and then the other users whom the key's power depends on.
    async fn prefetch_caller(&self, parts: &Parts, user_id: &str) {
        // If the user is known, nothing is read here: the key is not hashed once more for nothing.
        let configurations = self.cache.few_without(user_id);
        if configurations.is_empty() {
            return;
        }
        let Some(digest) = self.keys.unknown(parts) else {
            return;
        };
        let ids: Vec<&str> = configurations
            .iter()
            .map(|configuration| configuration.organisation.id.as_str())
            .collect();
        let asked_at = Instant::now();
        let asked = async {
            let found = self.store.key_owner_and_users(&digest, &ids, user_id);
            let (owner, users) = found.await?;
            let Some(owner) = owner else { return Ok(None) };
            let are_read = ids.contains(&owner.organisation_id.as_str())
                && owner.backers().iter().all(|id| *id == user_id);
            let backing = match are_read {
                true => owner.backing(&users),
                false => self.store.backing(&owner).await?,
            };
            Ok::<_, StoreError>(Some((owner, backing, users)))
        };
        // If this fails, each is read alone, and that read says why.
        let Ok(Ok(Some((owner, backing, users)))) = tokio::time::timeout(PATIENCE, asked).await
        else {
            return;
        };
        let organisation_id = owner.organisation_id.clone();
        self.keys.remember(&digest, owner, backing, asked_at);
        let mut users = users.into_iter();
        let user = users.find(|(id, _)| *id == organisation_id);
        let mut configurations = configurations.iter();
        let its = configurations.find(|of| of.organisation.id == organisation_id);
        if let Some(configuration) = its
            && let Some((_, user)) = user
        {
            self.cache.keep(configuration, Arc::new(user));
        }
    }
}

/// A request for a decision: its caller and its body.
pub(super) struct Asked {
    pub(super) caller: Result<Caller, ApiError>,
    /// Whether the database answered while the caller was read.
    pub(super) has_answered: bool,
    /// The body. It is read before the caller, but an unknown caller never hears of its errors.
    pub(super) request: Result<PreflightRequest, ApiError>,
    pub(super) deadline: Deadline,
}

impl FromRequest<App> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let Body(body) = Body::from_request(whole, app).await?;
        let deadline = app.deadline();
        let request = super::request::read(&body);
        if let Ok(request) = &request {
            app.prefetch_caller(&parts, &request.user_id).await;
        }
        let finding = deadline.limit(Caller::from_request_parts(&mut parts, app));
        let (caller, has_answered) = watch(finding).await;
        let caller = caller.unwrap_or_else(|late| Err(late.into()));
        Ok(Self {
            caller,
            has_answered,
            request,
            deadline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{START, read_ahead};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_nothing_longer_than_it_may_take() {
        let begun = Instant::now();
        read_ahead(std::future::pending::<Result<(), std::fmt::Error>>()).await;
        // The clock of the runtime rounds up.
        assert!(begun.elapsed() <= START + Duration::from_millis(1));
    }
}
