//! GitHub's webhooks: the signing secret, the users behind logins, and the risk of each event.

mod body;
mod schema;

use self::body::{read_rows, read_secret, read_users};
use self::schema::{PutGithub, PutGithubRisks};
use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use shared::domain::change::{Audited, Change};
use shared::domain::github::{RiskRow, default_rows};
use shared::domain::integration::{GithubIntegration, GithubRisks};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::openapi::{Denied, Invalid, Moment, TooLarge, Unknown};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = GithubIntegration)]
struct IntegrationView<'a> {
    /// The path of the API at which GitHub's webhooks arrive.
    receiver: String,
    users: &'a BTreeMap<String, String>,
    #[schema(value_type = Moment)]
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GithubRisks)]
struct RisksView<'a> {
    items: &'a [RiskRow],
    /// Whether these are the default rows of every organisation.
    is_default: bool,
    #[schema(value_type = Option<Moment>, required = true)]
    updated_at: Option<String>,
}

fn integration_json(organisation_id: &str, integration: &GithubIntegration) -> String {
    to_json(&IntegrationView {
        receiver: format!("/v1/integrations/github/{organisation_id}"),
        users: &integration.users,
        updated_at: integration.updated_at.to_string(),
    })
}

/// Sets the secret that GitHub signs with and the users of its logins.
#[shared::endpoint(PUT "/v1/integrations/github", ADMIN)]
#[utoipa::path(
    operation_id = "putGithub",
    tag = "GitHub",
    request_body = PutGithub,
    responses(
        (status = 200, description = "The integration.", body = IntegrationView),
        Invalid, Unknown, TooLarge, Denied,
    ),
)]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let secret = fields.required("secret", read_secret);
    let users = fields.required("users", read_users);
    fields.finish()?;
    let organisation_id = &owner.organisation_id;
    let integration = GithubIntegration {
        sealed_secret: app.vault.seal(organisation_id, &secret).await?,
        users,
        updated_at: app.clock.now(),
    };
    let named: BTreeSet<&String> = integration.users.values().collect();
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        for user_id in &named {
            let user = app.store.user(organisation_id, user_id).await?;
            if user.is_none() {
                return Err(ApiError::field("users", "there is no such user"));
            }
        }
        let body = integration_json(organisation_id, &integration);
        let put = Change::GithubPut(Audited::new(integration.clone(), body.clone()));
        Ok(Proposal::showing(put, 200, body))
    })
    .await
}

/// Shows where to send GitHub's webhooks and the known logins.
#[shared::endpoint(GET "/v1/integrations/github", ADMIN)]
#[utoipa::path(
    operation_id = "getGithub",
    tag = "GitHub",
    responses(
        (status = 200, description = "The integration.", body = IntegrationView),
        Unknown, Denied,
    ),
)]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let integration = app.store.github(&owner.organisation_id).await?;
    let integration = integration.ok_or_else(|| ApiError::not_found("integration"))?;
    Ok(json(
        200,
        integration_json(&owner.organisation_id, &integration),
    ))
}

/// Shows the risk of each event of GitHub.
#[shared::endpoint(GET "/v1/integrations/github/risks", ADMIN)]
#[utoipa::path(
    operation_id = "getGithubRisks",
    tag = "GitHub",
    responses((status = 200, description = "The table.", body = RisksView), Denied),
)]
pub(crate) async fn risks(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let own = app.store.github_risks(&owner.organisation_id).await?;
    Ok(json(200, risks_json(own.as_ref())))
}

fn risks_json(own: Option<&GithubRisks>) -> String {
    let default = default_rows();
    to_json(&RisksView {
        items: own.map_or(&default, |own| &own.rows),
        is_default: own.is_none(),
        updated_at: own.map(|own| own.updated_at.to_string()),
    })
}

/// Replaces the whole table of risks.
#[shared::endpoint(PUT "/v1/integrations/github/risks", ADMIN)]
#[utoipa::path(
    operation_id = "putGithubRisks",
    tag = "GitHub",
    request_body = PutGithubRisks,
    responses(
        (status = 200, description = "The table as it is now.", body = RisksView),
        Invalid, Unknown, TooLarge, Denied,
    ),
)]
pub(crate) async fn put_risks(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let rows = fields.required("items", read_rows);
    fields.finish()?;
    let risks = GithubRisks {
        rows,
        updated_at: app.clock.now(),
    };
    let before = app.store.github_risks(&owner.organisation_id).await?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let body = risks_json(Some(&risks));
        let put = Change::GithubRisksPut {
            before: risks_json(before.as_ref()),
            risks: Audited::new(risks.clone(), body.clone()),
        };
        Ok(Proposal::showing(put, 200, body))
    })
    .await
}
