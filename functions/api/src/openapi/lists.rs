//! Schemas that cannot be derived: lists without repeated items, maps with a rule for their keys.

use shared::domain::notice::event_type::{EVENT_TYPES, EventType};
use shared::runtime::openapi::UserId;
use std::borrow::Cow;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Percentages of a budget that alert, each at most once.
pub(crate) enum Thresholds {}

impl PartialSchema for Thresholds {
    fn schema() -> RefOr<Schema> {
        let percent = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(1_000));
        let list = ArrayBuilder::new()
            .items(percent.build())
            .max_items(Some(10))
            .unique_items(true)
            .description(Some("Percentages at which people are told: each once."))
            .examples([[50, 80, 100]]);
        RefOr::T(list.into())
    }
}

impl ToSchema for Thresholds {
    fn name() -> Cow<'static, str> {
        "Thresholds".into()
    }
}

/// Event types that a webhook receives, each at most once.
pub(crate) enum EventTypes {}

impl PartialSchema for EventTypes {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(Ref::from_schema_name(EventType::name()))
            .max_items(Some(EVENT_TYPES.len()))
            .unique_items(true);
        RefOr::T(list.into())
    }
}

impl ToSchema for EventTypes {
    fn name() -> Cow<'static, str> {
        "EventTypes".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EventType::name().into_owned(), EventType::schema()));
    }
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

/// An amount in the unit of its budget.
pub(crate) enum BudgetAmount {}

impl PartialSchema for BudgetAmount {
    fn schema() -> RefOr<Schema> {
        let amount = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(0))
            .maximum(Some(1_000_000_000_000_000_i64));
        RefOr::T(amount.into())
    }
}

impl ToSchema for BudgetAmount {
    fn name() -> Cow<'static, str> {
        "BudgetAmount".into()
    }
}
