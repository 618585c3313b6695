//! The organisation's own prices.

use super::changing::{self, Kind, Wish};
use super::rates::{self, RatesView};
use super::schema::SetPrice;
use super::{Request, model_name, named, provider_name};
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::change::PricesChange;
use shared::domain::pricing::book::PriceBooks;
use shared::domain::pricing::overlay::has_whole_price;
use shared::domain::pricing::own::{MAX_PRICES, OwnPrice, PriceOf, Rates};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, json};
use shared::runtime::openapi::{
    Conflict, Denied, IfMatch, Invalid, Model, Moment, Provider, TooLarge, Unknown,
};
use shared::runtime::parse;
use utoipa::ToSchema;

pub(super) const KIND: Kind<PriceOf, Rates> = Kind {
    what: "price",
    field: "model",
    most: MAX_PRICES,
    known: |prices, of| prices.price(&of.provider, &of.model).cloned(),
    count: |prices| prices.prices().count(),
    text: |_, price, now| to_json(&shown(price, now)),
    set: PricesChange::PriceSet,
    removed: PricesChange::PriceRemoved,
};

/// A price and the moment from which usage has it.
#[derive(Serialize, ToSchema)]
#[schema(as = PriceOverTime)]
struct StepView {
    #[schema(value_type = Moment)]
    effective_from: String,
    /// The version in records of usage that has this price: `organisation/<version>`.
    version: u64,
    /// Null if the price was removed: from then on the table counts.
    #[schema(required = true)]
    rates: Option<RatesView>,
}

/// A price of the organisation's own. Rates that are null are those of the table.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnPrice)]
pub(super) struct PriceView<'a> {
    provider: &'a str,
    model: &'a str,
    /// The price now, or, if there is none yet, the first one.
    #[serde(flatten)]
    rates: RatesView,
    /// From when it counts.
    #[schema(required = true, value_type = Option<Moment>)]
    effective_from: Option<String>,
    /// All prices that usage may still need, ascending. Each counts until the next one.
    over_time: Vec<StepView>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    updated_at: String,
}

pub(super) fn shown(price: &OwnPrice, now: Timestamp) -> PriceView<'_> {
    let current = price.values.since(now).next();
    let over_time = price.values.steps().iter().map(|step| StepView {
        effective_from: step.from.to_string(),
        version: step.version,
        rates: step.value.as_ref().map(rates::shown),
    });
    PriceView {
        provider: &price.of.provider,
        model: &price.of.model,
        rates: rates::shown(&current.map_or_else(Rates::default, |(_, rates)| *rates)),
        effective_from: current.map(|(step, _)| step.from.to_string()),
        over_time: over_time.collect(),
        version: price.version,
        updated_at: price.updated_at.to_string(),
    }
}

/// Reads the names in a path.
fn price_of((provider, model): (String, String)) -> Result<PriceOf, ApiError> {
    let provider_is_right = named("provider", &provider, provider_name);
    let model_is_right = named("model", &model, model_name);
    crate::change::check_all([provider_is_right, model_is_right])?;
    Ok(PriceOf { provider, model })
}

/// Shows a price of the organisation's own.
#[shared::endpoint(GET "/v1/prices/{provider}/{*model}", MANAGED)]
#[utoipa::path(
    operation_id = "getPrice",
    tag = "Prices",
    params(
        ("provider" = Provider, Path, description = "The provider."),
        ("model" = Model, Path, description = "The model. It may have slashes."),
    ),
    responses(
        (status = 200, description = "The price.", body = PriceView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(names): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let of = price_of(names)?;
    let configuration = read_configuration(&app, owner).await?;
    let now = app.clock.now();
    let price = configuration.prices.price(&of.provider, &of.model);
    let price = price.filter(|price| price.is_there(now));
    let price = price.ok_or_else(|| ApiError::not_found("price"))?;
    Ok(json(200, to_json(&shown(price, now))))
}

/// Sets a price of the organisation's own, from a moment on.
///
/// Usage has the price that was in force when it happened: what is recorded already keeps its price
/// until it is priced anew. The price counts for the provider under all its names, and for every
/// dated version of the model that has no own price of its own. Surcharges for long requests and
/// service tiers of the table stay in proportion.
#[shared::endpoint(PUT "/v1/prices/{provider}/{*model}", ADMIN)]
#[utoipa::path(
    operation_id = "setPrice",
    tag = "Prices",
    params(
        ("provider" = Provider, Path, description = "The provider."),
        ("model" = Model, Path, description = "The model. It may have slashes."),
        IfMatch,
    ),
    request_body(content = SetPrice, example = json!({
        "input_usd_per_million": 2.25, "output_usd_per_million": 9
    })),
    responses(
        (status = 200, description = "The price.", body = PriceView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn set(
    request: Request,
    Path(names): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let of = price_of(names)?;
    let mut fields = Fields::of_body(&body)?;
    let wish = wish(&mut fields, of);
    fields.finish()?;
    set_whole(request, &wish).await
}

/// Reads the rates of a price and from when they count.
pub(super) fn wish(fields: &mut Fields, of: PriceOf) -> Wish<PriceOf, Rates> {
    let value = rates::read(fields);
    let from = fields.optional("effective_from", parse::timestamp);
    Wish { of, from, value }
}

pub(super) async fn set_whole(
    request: Request,
    wish: &Wish<PriceOf, Rates>,
) -> Result<Response, ApiError> {
    let at = wish.from.unwrap_or(request.times.now);
    changing::set(request, &KIND, wish, |_| whole(&wish.of, &wish.value, at)).await
}

/// Returns a conflict if neither the price nor the table says what input and output cost.
fn whole(of: &PriceOf, rates: &Rates, at: Timestamp) -> Result<(), ApiError> {
    if has_whole_price(PriceBooks::built_in().at(at), of, rates) {
        return Ok(());
    }
    let missing = match rates.input {
        None => "input_usd_per_million",
        Some(_) => "output_usd_per_million",
    };
    let message = "is required, as the table has no price of this model by this provider";
    Err(ApiError::taken(missing, message))
}

/// Removes a price of the organisation's own: from now on the table counts.
#[shared::endpoint(DELETE "/v1/prices/{provider}/{*model}", ADMIN)]
#[utoipa::path(
    operation_id = "deletePrice",
    tag = "Prices",
    params(
        ("provider" = Provider, Path, description = "The provider."),
        ("model" = Model, Path, description = "The model. It may have slashes."),
        IfMatch,
    ),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove(
    request: Request,
    Path(names): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let of = price_of(names)?;
    changing::remove(request, &KIND, &of).await
}
