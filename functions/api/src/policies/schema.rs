//! Describes policies: triggers, conditions and actions, as `body` reads them.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::body::action::MAX_HOURS;
use super::body::condition::{FIELDS, MAX_VALUES};
use shared::domain::ledger::usage::RiskLevel;
use shared::domain::notice::alert::Severity;
use shared::domain::policy::{BASELINE_DAYS, Field, Match, Op, TotalScope};
use shared::runtime::openapi::{
    Cursor, DepartmentId, Description, Model, Name, ReceiverUrl, SomeDollars, SomeTokens,
    TimeOfDay, Tokens, UserId, WebhookId,
};
use shared::runtime::values::Whole;
use std::borrow::Cow;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The days before now that a test looks at.
pub(crate) type WindowDays = Whole<1, 90>;

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestPolicy {
    /// The days before now; 30 by default. Not allowed with a cursor, which has its window.
    #[schema(inline)]
    window_days: Option<WindowDays>,
    /// The `next_cursor` of the previous answer, to continue.
    cursor: Option<Cursor>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePolicy {
    name: Name,
    #[schema(required = false)]
    description: Description,
    trigger: Trigger,
    /// How the conditions are combined; all of them by default.
    #[schema(required = false)]
    r#match: Match,
    #[schema(required = false, max_items = 20)]
    conditions: Vec<Condition>,
    /// Each action may occur once.
    #[schema(required = false, max_items = 10)]
    actions: Vec<Action>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdatePolicy {
    #[schema(required = false)]
    name: Name,
    #[schema(required = false)]
    description: Description,
    #[schema(required = false)]
    trigger: Trigger,
    #[schema(required = false)]
    r#match: Match,
    #[schema(required = false, max_items = 20)]
    conditions: Vec<Condition>,
    #[schema(required = false, max_items = 10)]
    actions: Vec<Action>,
}

/// Refers to a schema that is in the document under its own name.
fn named<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

/// A string that is one of several names.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    let names = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names));
    RefOr::T(names.into())
}

fn whole(least: i64, most: i64) -> RefOr<Schema> {
    let whole = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(least))
        .maximum(Some(most));
    RefOr::T(whole.into())
}

fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    RefOr::T(OneOfBuilder::new().item(null).item(schema).into())
}

fn several(schema: RefOr<Schema>, least: usize, most: usize) -> RefOr<Schema> {
    let list = ArrayBuilder::new()
        .items(schema)
        .min_items(Some(least))
        .max_items(Some(most));
    RefOr::T(list.into())
}

/// An object with these properties and no others. Optional ones have a question mark.
fn object<const N: usize>(properties: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let closed = AdditionalProperties::FreeForm(false);
    let object = ObjectBuilder::new().additional_properties(Some(closed));
    properties
        .into_iter()
        .fold(object, |object, (name, schema)| {
            match name.strip_suffix('?') {
                Some(name) => object.property(name, schema),
                None => object.property(name, schema).required(name),
            }
        })
}

fn one_of(kinds: Vec<ObjectBuilder>, said: &str) -> RefOr<Schema> {
    let all = OneOfBuilder::new().description(Some(said));
    let all = kinds.into_iter().fold(all, OneOfBuilder::item);
    RefOr::T(all.into())
}

/// The trigger of a policy.
pub(crate) enum Trigger {}

impl PartialSchema for Trigger {
    fn schema() -> RefOr<Schema> {
        let limits = || {
            [
                ("tokens", named::<SomeTokens>()),
                ("usd", named::<SomeDollars>()),
                ("budget_percent", whole(1, 1_000)),
            ]
        };
        let with_limit = |kind: &str, subject: (&str, RefOr<Schema>)| {
            let one = |limit| object([("type", names([kind])), subject.clone(), limit]);
            limits().map(one)
        };
        let deviations = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(1))
            .maximum(Some(100))
            .multiple_of(Some(0.01));
        let mut kinds = vec![
            object([("type", names(["ip_risk_event"]))]),
            object([
                ("type", names(["unusual_usage_pattern"])),
                ("deviations?", or_null(RefOr::T(deviations.into()))),
                ("min_days?", or_null(whole(1, i64::from(BASELINE_DAYS)))),
                ("min_tokens?", or_null(named::<Tokens>())),
            ]),
        ];
        let subject = ("subject", named::<TotalScope>());
        kinds.extend(with_limit("token_budget_exceeded", subject));
        let department = ("department_id", named::<DepartmentId>());
        kinds.extend(with_limit("department_threshold", department));
        one_of(kinds, "What a policy looks for.")
    }
}

impl ToSchema for Trigger {
    fn name() -> Cow<'static, str> {
        "Trigger".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let used = [
            (SomeTokens::name(), SomeTokens::schema()),
            (SomeDollars::name(), SomeDollars::schema()),
            (Tokens::name(), Tokens::schema()),
            (TotalScope::name(), TotalScope::schema()),
            (DepartmentId::name(), DepartmentId::schema()),
        ];
        schemas.extend(used.map(|(name, schema)| (name.into_owned(), schema)));
    }
}

/// A condition on an event.
pub(crate) enum Condition {}

fn value_of(field: Field) -> RefOr<Schema> {
    match field {
        Field::RiskLevel => named::<RiskLevel>(),
        Field::UserId => named::<UserId>(),
        Field::DepartmentId => named::<DepartmentId>(),
        Field::TokenCount => named::<Tokens>(),
        Field::TimeOfDay => named::<TimeOfDay>(),
        Field::ModelId => named::<Model>(),
        Field::ModelAllowed => RefOr::T(ObjectBuilder::new().schema_type(Type::Boolean).into()),
    }
}

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        let mut kinds = Vec::new();
        for (name, field) in FIELDS
            .iter()
            .filter_map(|(name, field)| Some((name, (*field)?)))
        {
            let takes_several = |op: &&Op| matches!(op, Op::In | Op::NotIn);
            let takes_two = |op: &&Op| matches!(op, Op::Between);
            let mut add = |ops: Vec<&str>, value| {
                if !ops.is_empty() {
                    let op = ("op", names(ops));
                    kinds.push(object([("field", names([*name])), op, ("value", value)]));
                }
            };
            let ops = || field.ops().iter();
            let of = |op: &Op| op.as_str();
            let others = ops().filter(|op| !takes_several(op) && !takes_two(op));
            add(others.map(of).collect(), value_of(field));
            let values = several(value_of(field), 1, MAX_VALUES);
            add(ops().filter(takes_several).map(of).collect(), values);
            let range = several(value_of(field), 2, 2);
            add(ops().filter(takes_two).map(of).collect(), range);
        }
        one_of(
            kinds,
            "What an event must be like. A range has the lower value first; one of times may go \
                over midnight.",
        )
    }
}

impl ToSchema for Condition {
    fn name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let used = [
            (RiskLevel::name(), RiskLevel::schema()),
            (UserId::name(), UserId::schema()),
            (DepartmentId::name(), DepartmentId::schema()),
            (Tokens::name(), Tokens::schema()),
            (TimeOfDay::name(), TimeOfDay::schema()),
            (Model::name(), Model::schema()),
        ];
        schemas.extend(used.map(|(name, schema)| (name.into_owned(), schema)));
    }
}

/// An action of a policy that fires.
pub(crate) enum Action {}

impl PartialSchema for Action {
    fn schema() -> RefOr<Schema> {
        let hours = RefOr::T(object([("hours", whole(1, MAX_HOURS))]).into());
        let until = OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .item(names(["released", "period_end"]))
            .item(hours);
        let kinds = vec![
            object([("type", names(["email_user"]))]),
            object([("type", names(["email_manager"]))]),
            object([
                ("type", names(["block_access"])),
                ("until?", RefOr::T(until.into())),
            ]),
            object([
                ("type", names(["create_incident"])),
                ("severity?", or_null(named::<Severity>())),
            ]),
            object([
                ("type", names(["webhook"])),
                ("webhook_id", named::<WebhookId>()),
            ]),
            object([
                ("type", names(["webhook"])),
                ("url", named::<ReceiverUrl>()),
            ]),
        ];
        one_of(
            kinds,
            "What is done where a policy fires. A `url` is registered as a webhook.",
        )
    }
}

impl ToSchema for Action {
    fn name() -> Cow<'static, str> {
        "Action".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let used = [
            (Severity::name(), Severity::schema()),
            (WebhookId::name(), WebhookId::schema()),
            (ReceiverUrl::name(), ReceiverUrl::schema()),
        ];
        schemas.extend(used.map(|(name, schema)| (name.into_owned(), schema)));
    }
}
