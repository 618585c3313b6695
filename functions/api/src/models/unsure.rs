//! Lists the models whose price is unsure.

use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use crate::visibility::Visibility;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::period::Month;
use shared::domain::pricing::matched::{PriceMatch, Unsure};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Denied, Invalid, Moment, Page, Unknown};
use shared::store::UnsureModel;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = UnsureModel)]
struct ModelView {
    provider: String,
    /// The name as it was reported.
    model: String,
    status: Unsure,
    /// The month of the figures: `2026-11`.
    #[schema(value_type = String)]
    month: Month,
    /// How its price was found last.
    price: PriceMatch,
    /// When its first usage of the month was received.
    #[schema(value_type = Moment)]
    first_seen: String,
    #[schema(value_type = Moment)]
    last_seen: String,
    tokens: i64,
    requests: i64,
    /// The number of users who used it.
    users: u64,
}

fn model_view(model: UnsureModel, status: Unsure, month: Month) -> ModelView {
    ModelView {
        provider: model.provider,
        model: model.model,
        status,
        month,
        price: model.price,
        first_seen: model.first_seen.to_string(),
        last_seen: model.last_seen.to_string(),
        tokens: model.tokens,
        requests: model.requests,
        users: model.users,
    }
}

/// Lists the models whose price is unsure: those without a known price, those whose name may mean
/// another one, or those whose reported cost is far from their price.
///
/// The figures are those of a month and of the users that the key sees. A model whose price was
/// found in both ways is in both lists, each with its own usage. Usage that is not counted, because
/// it is held back or in conflict, is in neither.
#[shared::endpoint(GET "/v1/models", OWN)]
#[utoipa::path(
    operation_id = "listModels",
    tag = "Budgets",
    params(
        (
            "status" = Unsure, Query,
            description = "Those without a price (`none`, `estimate`), or those whose price is \
                inexact (`alias`, `dearest_provider`, `reported_doubtful`).",
        ),
        (
            "month" = Option<String>, Query, pattern = "^20[0-9]{2}-(0[1-9]|1[0-2])$",
            description = "The month of the usage: by default the current one.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ModelView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    if !parameters.has("status") {
        parameters.refuse("status", "is required");
    }
    let unsure = parameters.name::<Unsure>("status");
    let month: Option<Month> = parameters.take("month", "must be a month like 2026-11", |text| {
        text.parse().ok()
    });
    // A page belongs to the month of the first one, also at the turn of a month.
    let month = match month {
        Some(month) => month,
        None => {
            let configuration = read_configuration(&app, owner).await?;
            configuration.period_of(app.clock.now())
        }
    };
    let list = format!(
        "{} models {unsure:?} {month} {}",
        owner.organisation_id, owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let unsure = unsure.unwrap_or(Unsure::Unpriced);
    let visibility = Visibility::of(&app, owner).await?;
    let page = app
        .store
        .unsure_models(
            &owner.organisation_id,
            (month, unsure),
            |user_id| visibility.has_user(user_id),
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = page.items.into_iter();
    let items = items
        .map(|model| model_view(model, unsure, month))
        .collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}
