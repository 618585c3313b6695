//! Changes one policy.

use super::find_policy;
use crate::App;
use crate::change::{Actor, Proposal, change, check_version};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::name::is_slug;
use shared::domain::policy::Policy;
use shared::ledger::Snapshot;
use shared::runtime::error::ApiError;
use std::sync::Arc;

/// Changes one policy, unless the headers name another version. `edit` changes it and returns the
/// change and its answer.
pub(super) async fn change_policy(
    app: &App,
    actor: &Actor,
    headers: &HeaderMap,
    id: &str,
    edit: impl AsyncFnOnce(Arc<Snapshot>, Policy, Policy) -> Result<Proposal, ApiError> + Copy,
) -> Result<Response, ApiError> {
    if !is_slug(id) {
        return Err(ApiError::not_found("policy"));
    }
    let now = app.clock.now();
    change(app, actor, None, async |snapshot| {
        let before = find_policy(app, &actor.organisation_id, id).await?;
        check_version(headers, before.version)?;
        let mut after = before.clone();
        after.version += 1;
        after.updated_at = now;
        edit(snapshot, before, after).await
    })
    .await
}
