//! Describes the bodies of requests about GitHub's webhooks, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::domain::ledger::usage::RiskLevel;
use shared::runtime::openapi::{GithubWord, SharedSecret, UserId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithub {
    secret: SharedSecret,
    /// Maps logins of GitHub to ids of users.
    #[schema(value_type = GithubUsers)]
    users: BTreeMap<String, UserId>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithubRisks {
    /// Each event and action may occur once.
    #[schema(max_items = 200)]
    items: Vec<PutGithubRisk>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithubRisk {
    event: GithubWord,
    /// Null is any action that has no row of its own.
    action: Option<GithubWord>,
    /// Null means no risk.
    risk_level: Option<RiskLevel>,
}

/// Maps logins of GitHub to ids of users.
pub(crate) enum GithubUsers {}

impl PartialSchema for GithubUsers {
    fn schema() -> RefOr<Schema> {
        let login = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(64))
            .pattern(Some(r"^[A-Za-z0-9_\[\]-]+$"));
        let users = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property_names(Some(login.build()))
            .additional_properties(Some(Ref::from_schema_name(UserId::name())))
            .max_properties(Some(1_000))
            .examples([serde_json::json!({"octocat": "ada"})]);
        RefOr::T(users.into())
    }
}

impl ToSchema for GithubUsers {
    fn name() -> Cow<'static, str> {
        "GithubUsers".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((UserId::name().into_owned(), UserId::schema()));
    }
}
