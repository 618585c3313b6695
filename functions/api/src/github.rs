//! GitHub's webhooks: the signing secret, the users behind logins, and the risk of each event.

use super::change::{Actor, Proposal, change};
use super::openapi::bodies::{PutGithub, PutGithubRisks};
use super::{App, view};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use shared::domain::change::{Audited, Change};
use shared::domain::github::{MAX_ROWS, RiskRow, default_rows};
use shared::domain::integration::{GithubIntegration, GithubRisks};
use shared::domain::ledger::usage::RiskLevel;
use shared::domain::name::is_user_id;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::openapi::{Denied, Invalid, Moment, TooLarge, Unknown};
use shared::runtime::parse;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The most logins of an organisation.
const MAX_LOGINS: usize = 1_000;
/// The allowed length of a secret in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

const LEVELS: &[(&str, Option<RiskLevel>)] = &[
    ("low", Some(RiskLevel::Low)),
    ("medium", Some(RiskLevel::Medium)),
    ("high", Some(RiskLevel::High)),
    ("critical", Some(RiskLevel::Critical)),
];

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

fn shown(organisation_id: &str, integration: &GithubIntegration) -> String {
    view::text(&IntegrationView {
        receiver: format!("/v1/integrations/github/{organisation_id}"),
        users: &integration.users,
        updated_at: integration.updated_at.to_string(),
    })
}

fn secret(raw: &str) -> Result<String, String> {
    let text = parse::text(raw)?;
    let is_right = SECRET_BYTES.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    is_right
        .then_some(text)
        .ok_or_else(|| "must be 16 to 256 visible ASCII characters".to_owned())
}

fn is_login(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '[' | ']');
    (1..=64).contains(&text.len()) && text.chars().all(is_right)
}

/// The fields of an object, including repeated ones.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn users(raw: &str) -> Result<BTreeMap<String, String>, String> {
    let rule = "must be an object from GitHub logins to user ids";
    let Pairs(pairs) = serde_json::from_str(raw).map_err(|_| rule.to_owned())?;
    if pairs.len() > MAX_LOGINS {
        return Err(format!("must have at most {MAX_LOGINS} logins"));
    }
    let mut logins = BTreeSet::new();
    for (login, user_id) in &pairs {
        if !is_login(login) || !is_user_id(user_id) {
            return Err(rule.to_owned());
        }
        if !logins.insert(login.to_ascii_lowercase()) {
            return Err("must name each login once, in whatever case".to_owned());
        }
    }
    Ok(pairs.into_iter().collect())
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
    let secret = fields.required("secret", secret);
    let users = fields.required("users", users);
    fields.finish()?;
    let organisation_id = &owner.organisation_id;
    let integration = GithubIntegration {
        sealed_secret: app.sealer.seal(organisation_id, &secret)?,
        users,
        updated_at: app.clock.now(),
    };
    let known: BTreeSet<&String> = integration.users.values().collect();
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        for user_id in &known {
            let user = app.store.user(organisation_id, user_id).await?;
            if user.is_none() {
                return Err(ApiError::field("users", "there is no such user"));
            }
        }
        let body = shown(organisation_id, &integration);
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
    let known = app.store.github(&owner.organisation_id).await?;
    let known = known.ok_or_else(|| ApiError::not_found("integration"))?;
    Ok(json(200, shown(&owner.organisation_id, &known)))
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
    Ok(json(200, shown_risks(own.as_ref())))
}

fn shown_risks(own: Option<&GithubRisks>) -> String {
    let default = default_rows();
    view::text(&RisksView {
        items: own.map_or(&default, |own| &own.rows),
        is_default: own.is_none(),
        updated_at: own.map(|own| own.updated_at.to_string()),
    })
}

fn word(raw: &str) -> Result<String, String> {
    let text = parse::text(raw)?;
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_word = (1..=64).contains(&text.len()) && text.chars().all(is_right);
    is_word
        .then_some(text)
        .ok_or_else(|| "must be 1 to 64 characters of a-z, 0-9 and _".to_owned())
}

/// Reads one row of the table. The message names the row and the fault.
fn row(index: usize, raw: &str) -> Result<RiskRow, String> {
    let said = |details: Vec<shared::runtime::error::Detail>| {
        let all = details
            .into_iter()
            .map(|d| format!("{} {}", d.field, d.message));
        all.collect::<Vec<_>>().join(", ")
    };
    let mut fields = Fields::of_value(raw, &format!("items[{index}]")).map_err(said)?;
    let row = RiskRow {
        event: fields.required("event", word),
        action: fields.optional("action", word),
        risk_level: fields
            .optional("risk_level", parse::one_of(LEVELS))
            .flatten(),
    };
    let details = fields.into_details();
    if details.is_empty() {
        Ok(row)
    } else {
        Err(said(details))
    }
}

fn rows(raw: &str) -> Result<Vec<RiskRow>, String> {
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for (index, raw) in parse::list(0, MAX_ROWS)(raw)?.iter().enumerate() {
        let row = row(index, raw)?;
        if !seen.insert((row.event.clone(), row.action.clone())) {
            return Err(format!(
                "items[{index}] names an event and action a second time"
            ));
        }
        rows.push(row);
    }
    Ok(rows)
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
    let rows = fields.required("items", rows);
    fields.finish()?;
    let risks = GithubRisks {
        rows,
        updated_at: app.clock.now(),
    };
    let before = app.store.github_risks(&owner.organisation_id).await?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let body = shown_risks(Some(&risks));
        let put = Change::GithubRisksPut {
            before: shown_risks(before.as_ref()),
            risks: Audited::new(risks.clone(), body.clone()),
        };
        Ok(Proposal::showing(put, 200, body))
    })
    .await
}
