//! Discounts of a provider on the prices of the table.

use super::changing::{self, Kind, Wish};
use super::schema::SetDiscount;
use super::{Request, named, page_of, provider_name};
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::change::PricesChange;
use shared::domain::pricing::own::{Discount, MAX_DISCOUNTS, WHOLE, folded};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IfMatch, Invalid, Moment, Page, Percent, Provider, TooLarge, Unknown,
};
use shared::runtime::parse;
use shared::runtime::wire::Usd;
use utoipa::ToSchema;

/// How many micro-units of [`Usd`] a hundredth of a per cent is, which has the same form in JSON.
const MICRO_PER_HUNDREDTH: i64 = 10_000;

pub(super) const KIND: Kind<String, i64> = Kind {
    what: "discount",
    field: "provider",
    most: MAX_DISCOUNTS,
    known: |prices, of| prices.discount(of).cloned(),
    count: |prices| prices.discounts().count(),
    text: |_, discount, now| to_json(&shown(discount, now)),
    set: PricesChange::DiscountSet,
    removed: PricesChange::DiscountRemoved,
};

/// A discount and the moment from which usage has it.
#[derive(Serialize, ToSchema)]
#[schema(as = DiscountOverTime)]
struct StepView {
    #[schema(value_type = Moment)]
    effective_from: String,
    /// The version in records of usage that has it: `<that of the table>/discount-<version>`.
    version: u64,
    /// Null if it was removed.
    #[schema(required = true, value_type = Option<Percent>)]
    percent: Option<Usd>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Discount)]
pub(super) struct DiscountView<'a> {
    provider: &'a str,
    /// The discount now, or, if there is none yet, the first one.
    #[schema(required = true, value_type = Option<Percent>)]
    percent: Option<Usd>,
    /// From when it counts.
    #[schema(required = true, value_type = Option<Moment>)]
    effective_from: Option<String>,
    /// All that usage may still need, ascending. Each counts until the next one.
    over_time: Vec<StepView>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    updated_at: String,
}

fn percent(hundredths: i64) -> Usd {
    Usd(hundredths.saturating_mul(MICRO_PER_HUNDREDTH))
}

fn shown(discount: &Discount, now: Timestamp) -> DiscountView<'_> {
    let current = discount.values.since(now).next();
    let over_time = discount.values.steps().iter().map(|step| StepView {
        effective_from: step.from.to_string(),
        version: step.version,
        percent: step.value.map(percent),
    });
    DiscountView {
        provider: &discount.of,
        percent: current.map(|(_, hundredths)| percent(*hundredths)),
        effective_from: current.map(|(step, _)| step.from.to_string()),
        over_time: over_time.collect(),
        version: discount.version,
        updated_at: discount.updated_at.to_string(),
    }
}

/// Lists the discounts by provider.
#[shared::endpoint(GET "/v1/prices/discounts", MANAGED)]
#[utoipa::path(
    operation_id = "listDiscounts",
    tag = "Prices",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<DiscountView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} discounts", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = read_configuration(&app, owner).await?;
    let now = app.clock.now();
    let there = configuration.prices.discounts();
    let there = there.filter(|discount| discount.is_there(now));
    let sorted = there.map(|discount| (folded(&discount.of), discount));
    let body = page_of(sorted, &asked, |of| shown(of, now), (&app, &list));
    Ok(json(200, to_json(&body)))
}

/// Sets a provider's discount on the prices of the table, from a moment on.
///
/// It counts for the provider under all its names, and for usage from that moment on. The
/// organisation's own prices have no discount.
#[shared::endpoint(PUT "/v1/prices/discounts/{provider}", ADMIN)]
#[utoipa::path(
    operation_id = "setDiscount",
    tag = "Prices",
    params(("provider" = Provider, Path, description = "The provider."), IfMatch),
    request_body(content = SetDiscount, example = json!({"percent": 12.5})),
    responses(
        (status = 200, description = "The discount.", body = DiscountView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn set(
    request: Request,
    Path(provider): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    named("provider", &provider, provider_name)?;
    let mut fields = Fields::of_body(&body)?;
    let wish = wish(&mut fields, provider);
    fields.finish()?;
    changing::set(request, &KIND, &wish, |_| Ok(())).await
}

/// Reads a discount and from when it counts.
pub(super) fn wish(fields: &mut Fields, of: String) -> Wish<String, i64> {
    let value = fields.required("percent", parse::hundredths(0, WHOLE));
    let from = fields.optional("effective_from", parse::timestamp);
    Wish { of, from, value }
}

/// Removes a provider's discount from now on.
#[shared::endpoint(DELETE "/v1/prices/discounts/{provider}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteDiscount",
    tag = "Prices",
    params(("provider" = Provider, Path, description = "The provider."), IfMatch),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove(
    request: Request,
    Path(provider): Path<String>,
) -> Result<Response, ApiError> {
    named("provider", &provider, provider_name)?;
    changing::remove(request, &KIND, &provider).await
}
