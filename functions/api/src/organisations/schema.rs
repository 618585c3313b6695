//! Describes the bodies of requests about organisations, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use crate::models::schema::SetModels;
use shared::domain::org::organisation::{AbandonedHolds, OnUnavailable, Reserve, UnknownModel};
use shared::domain::pricing::matched::PriceSource;
use shared::runtime::openapi::{Name, Slug, TimeZone};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateOrganisation {
    /// The id `risks` is taken by a path.
    id: Slug,
    name: Name,
    timezone: TimeZone,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateOrganisation {
    #[schema(required = false)]
    name: Name,
    /// A month that has begun ends in the new zone. A month that is over does not come back.
    #[schema(required = false)]
    timezone: TimeZone,
    #[schema(required = false)]
    reserve: Reserve,
    #[schema(required = false, minimum = 0, maximum = 10_000_000)]
    output_reserve_tokens: i64,
    /// A new organisation has 120.
    #[schema(required = false, minimum = 30, maximum = 3600)]
    hold_seconds: i64,
    /// A new organisation has 10.
    #[schema(required = false, minimum = 1, maximum = 100)]
    user_holds_percent: i64,
    #[schema(required = false)]
    abandoned_holds: AbandonedHolds,
    #[schema(required = false)]
    unknown_model: UnknownModel,
    /// If it is `reported`, usage with `cost_usd` is charged that cost instead of the price list's.
    #[schema(required = false)]
    price_source: PriceSource,
    #[schema(required = false)]
    on_unavailable: OnUnavailable,
    #[schema(required = false, minimum = 0, maximum = 672)]
    rollover_grace_hours: i64,
    /// A request with more is held back if its model's limits are not known. The limit is ten times
    /// as high for a batch and a hundred times for a sum of requests.
    #[schema(required = false, minimum = 1, maximum = 1_000_000_000)]
    max_tokens_per_request: i64,
    /// Decides where no department has `models`. Null permits all models.
    models: Option<SetModels>,
}
