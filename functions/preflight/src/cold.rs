//! An instance that knows nothing yet: what it reads before its first request, and what that request reads at once.
//!
//! Nothing is decided here. What is read goes where the decision looks first, under the same rules: a key is believed for
//! seconds, a configuration while the cell has its epoch, a user who was read after it likewise.

use super::{App, Deadline};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::Body;
use shared::runtime::logs::note;
use shared::store::{StoreError, watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a start takes at most.
const START: Duration = Duration::from_millis(400);
/// How long the first request waits for reading at once what it could read step by step.
const PATIENCE: Duration = Duration::from_millis(150);

impl App {
    /// Opens the connection before the first request, which would wait for it: names, TLS, credentials; and reads by what a
    /// deployment of few organisations decides. What fails here, the first request does.
    pub async fn make_ready(&self) {
        match tokio::time::timeout(START, self.cache.fill()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => note("not ready before the first request", &error),
            Err(late) => note("not ready before the first request", &late),
        }
    }

    /// Reads a key and the request's user together, where neither is known and it is likely whose they are; and then the other users
    /// whom the key's power depends on.
    async fn meet(&self, parts: &Parts, body: &[u8]) {
        let (Some(digest), Ok(request)) = (self.keys.unknown(parts), super::read(body)) else {
            return;
        };
        let configurations = self.cache.few_without(&request.user_id);
        if configurations.is_empty() {
            return;
        }
        let ids: Vec<&str> = configurations
            .iter()
            .map(|configuration| configuration.organisation.id.as_str())
            .collect();
        let asked_at = Instant::now();
        let asked = async {
            let found = self
                .store
                .key_owner_and_users(&digest, &ids, &request.user_id);
            let (owner, users) = found.await?;
            let Some(owner) = owner else { return Ok(None) };
            let are_read = ids.contains(&owner.organisation_id.as_str())
                && owner.backers().iter().all(|id| *id == request.user_id);
            let backing = match are_read {
                true => owner.backing(&users),
                false => self.store.backing(&owner).await?,
            };
            Ok::<_, StoreError>(Some((owner, backing, users)))
        };
        // Where it fails, each is asked for by itself, and that says why it fails.
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

/// A request for a decision: whose it is, and its body.
pub(super) struct Asked {
    pub(super) caller: Result<Caller, ApiError>,
    /// Whether the database answered while that was found out.
    pub(super) has_answered: bool,
    pub(super) body: axum::body::Bytes,
    /// When it has to be decided.
    pub(super) deadline: Deadline,
}

impl FromRequest<App> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let Body(body) = Body::from_request(whole, app).await?;
        let deadline = app.deadline();
        app.meet(&parts, &body).await;
        let finding = deadline.limit(Caller::from_request_parts(&mut parts, app));
        let (caller, has_answered) = watch(finding).await;
        let caller = caller.unwrap_or_else(|late| Err(StoreError::Unavailable(late.into()).into()));
        Ok(Self {
            caller,
            has_answered,
            body,
            deadline,
        })
    }
}
