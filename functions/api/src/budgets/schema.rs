//! Describes the bodies of requests about budgets, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::body::{CapPercent, MAX_THRESHOLDS, ThresholdPercent};
use shared::domain::amount::MAX_AMOUNT;
use shared::runtime::openapi::{DepartmentId, Dollars, Name, Tokens};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Carries unused amounts into the next month.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRollover {
    /// The most that is carried, in percent of the month's own amount.
    #[schema(inline)]
    cap_percent: CapPercent,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum InTokens {
    Tokens,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum InUsd {
    Usd,
}

/// A budget in tokens or in US dollars.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateBudget {
    Tokens(CreateTokenBudget),
    Usd(CreateUsdBudget),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTokenBudget {
    name: Name,
    /// Null is the whole organisation.
    department_id: Option<DepartmentId>,
    unit: InTokens,
    amount: Tokens,
    /// Whether requests beyond it are refused.
    hard_cap: bool,
    #[schema(value_type = Option<Thresholds>)]
    thresholds: (),
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUsdBudget {
    name: Name,
    /// Null is the whole organisation.
    department_id: Option<DepartmentId>,
    unit: InUsd,
    amount: Dollars,
    /// Whether requests beyond it are refused.
    hard_cap: bool,
    #[schema(value_type = Option<Thresholds>)]
    thresholds: (),
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBudget {
    #[schema(required = false)]
    name: Name,
    /// In the budget's unit: whole tokens, or dollars with at most six decimals.
    #[schema(required = false)]
    amount: BudgetAmount,
    #[schema(required = false)]
    hard_cap: bool,
    #[schema(required = false, value_type = Thresholds)]
    thresholds: (),
    /// Null ends the rollover of unused amounts.
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUpBudget {
    /// In the budget's unit, more than zero: whole tokens, or dollars with at most six decimals.
    amount: BudgetAmount,
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Percentages of a budget that alert, each at most once.
pub(crate) enum Thresholds {}

impl PartialSchema for Thresholds {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(ThresholdPercent::schema())
            .max_items(Some(MAX_THRESHOLDS))
            .unique_items(true)
            .description(Some(
                "Percentages at which people are notified, each listed once.",
            ))
            .examples([[50, 80, 100]]);
        RefOr::T(list.into())
    }
}

impl ToSchema for Thresholds {
    fn name() -> Cow<'static, str> {
        "Thresholds".into()
    }
}

/// An amount in the unit of its budget.
pub(crate) enum BudgetAmount {}

impl PartialSchema for BudgetAmount {
    fn schema() -> RefOr<Schema> {
        let amount = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(0))
            .maximum(Some(MAX_AMOUNT));
        RefOr::T(amount.into())
    }
}

impl ToSchema for BudgetAmount {
    fn name() -> Cow<'static, str> {
        "BudgetAmount".into()
    }
}
