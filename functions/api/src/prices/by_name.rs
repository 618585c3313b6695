//! Prices, discounts and aliases, named in a body or a query. In a path a gateway may take a `#`,
//! `?` or `%` of a name for something else: HTTP APIs of AWS decode a path before they hand it on.

use super::discounts::{self, DiscountView};
use super::own::{self, PriceView};
use super::schema::{SetNamedDiscount, SetNamedPrice};
use super::{Request, aliases, changing, model_name, provider_name, take_name};
use axum::extract::RawQuery;
use axum::response::Response;
use shared::domain::pricing::own::PriceOf;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::Body;
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{
    Conflict, Denied, IfMatch, Invalid, Model, Provider, TooLarge, Unknown,
};

/// Sets a price as `PUT /v1/prices/{provider}/{model}` does, with the names in the body.
#[shared::endpoint(PUT "/v1/prices", ADMIN)]
#[utoipa::path(
    operation_id = "setNamedPrice",
    tag = "Prices",
    params(IfMatch),
    request_body(content = SetNamedPrice, example = json!({
        "provider": "openai", "model": "gpt-4o",
        "input_usd_per_million": 2.25, "output_usd_per_million": 9
    })),
    responses(
        (status = 200, description = "The price.", body = PriceView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn set_price(request: Request, Body(body): Body) -> Result<Response, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let provider = fields.required("provider", provider_name);
    let model = fields.required("model", model_name);
    let wish = own::wish(&mut fields, PriceOf { provider, model });
    fields.finish()?;
    own::set_whole(request, &wish).await
}

/// Removes a price as `DELETE /v1/prices/{provider}/{model}` does, with the names in the query.
#[shared::endpoint(DELETE "/v1/prices", ADMIN)]
#[utoipa::path(
    operation_id = "deleteNamedPrice",
    tag = "Prices",
    params(
        ("provider" = Provider, Query, description = "The provider."),
        ("model" = Model, Query, description = "The model."),
        IfMatch,
    ),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove_price(
    request: Request,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of_query(query.as_deref());
    let provider = take_name(&mut parameters, "provider", provider_name);
    let model = take_name(&mut parameters, "model", model_name);
    parameters.finish()?;
    changing::remove(request, &own::KIND, &PriceOf { provider, model }).await
}

/// Sets a discount as `PUT /v1/prices/discounts/{provider}` does, with the provider in the body.
#[shared::endpoint(PUT "/v1/prices/discounts", ADMIN)]
#[utoipa::path(
    operation_id = "setNamedDiscount",
    tag = "Prices",
    params(IfMatch),
    request_body(content = SetNamedDiscount, example = json!({
        "provider": "openai", "percent": 12.5
    })),
    responses(
        (status = 200, description = "The discount.", body = DiscountView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn set_discount(request: Request, Body(body): Body) -> Result<Response, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let provider = fields.required("provider", provider_name);
    let wish = discounts::wish(&mut fields, provider);
    fields.finish()?;
    changing::set(request, &discounts::KIND, &wish, |_| Ok(())).await
}

/// Removes a discount as `DELETE /v1/prices/discounts/{provider}` does, with the provider in the
/// query.
#[shared::endpoint(DELETE "/v1/prices/discounts", ADMIN)]
#[utoipa::path(
    operation_id = "deleteNamedDiscount",
    tag = "Prices",
    params(("provider" = Provider, Query, description = "The provider."), IfMatch),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove_discount(
    request: Request,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of_query(query.as_deref());
    let provider = take_name(&mut parameters, "provider", provider_name);
    parameters.finish()?;
    changing::remove(request, &discounts::KIND, &provider).await
}

/// Removes an alias as `DELETE /v1/models/aliases/{name}` does, with the name in the query.
#[shared::endpoint(DELETE "/v1/models/aliases", ADMIN)]
#[utoipa::path(
    operation_id = "deleteNamedAlias",
    tag = "Prices",
    params(("name" = Model, Query, description = "The name."), IfMatch),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove_alias(
    request: Request,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of_query(query.as_deref());
    let name = take_name(&mut parameters, "name", model_name);
    parameters.finish()?;
    changing::remove(request, &aliases::KIND, &name).await
}
