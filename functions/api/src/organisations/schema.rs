//! Describes the bodies of requests about organisations, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use crate::models::schema::SetModels;
use shared::domain::ledger::estimate::MAX_TOKENS;
use shared::domain::org::organisation::{AbandonedHolds, OnUnavailable, Reserve, UnknownModel};
use shared::domain::pricing::matched::PriceSource;
use shared::runtime::openapi::{Name, Slug, TimeZone};
use shared::runtime::values::Whole;
use utoipa::ToSchema;

/// The output tokens that are reserved by default.
pub(super) type OutputReserve = Whole<0, 10_000_000>;
/// The lifetime of holds in seconds.
pub(super) type HoldSeconds = Whole<30, 3_600>;
pub(super) type UserHoldsPercent = Whole<1, 100>;
/// How long a rollover waits for late usage, in hours. At most four weeks, so that a month's carry
/// is final before the next month ends.
pub(super) type RolloverGraceHours = Whole<0, 672>;
pub(super) type TokensOfRequest = Whole<1, MAX_TOKENS>;

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
    #[schema(required = false, inline)]
    output_reserve_tokens: OutputReserve,
    /// A new organisation has 120.
    #[schema(required = false, inline)]
    hold_seconds: HoldSeconds,
    /// A new organisation has 10.
    #[schema(required = false, inline)]
    user_holds_percent: UserHoldsPercent,
    #[schema(required = false)]
    abandoned_holds: AbandonedHolds,
    #[schema(required = false)]
    unknown_model: UnknownModel,
    /// If it is `reported`, usage with `cost_usd` is charged that cost instead of the price list's.
    #[schema(required = false)]
    price_source: PriceSource,
    #[schema(required = false)]
    on_unavailable: OnUnavailable,
    #[schema(required = false, inline)]
    rollover_grace_hours: RolloverGraceHours,
    /// A request with more is held back if its model's limits are not known. The limit is ten times
    /// as high for a batch and a hundred times for a sum of requests.
    #[schema(required = false, inline)]
    max_tokens_per_request: TokensOfRequest,
    /// Decides where no department has `models`. Null permits all models.
    models: Option<SetModels>,
}
