//! Shows organisations as JSON.

use crate::json::to_json;
use serde::Serialize;
use shared::domain::org::organisation::Organisation;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Models;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Organisation)]
pub(crate) struct OrganisationView<'a> {
    id: &'a str,
    name: &'a str,
    /// The time zone of months and days.
    timezone: &'a str,
    /// The part of an answer that a hold covers.
    reserve: shared::domain::org::organisation::Reserve,
    /// The output tokens held for a request without a limit.
    output_reserve_tokens: i64,
    /// The lifetime of a hold in seconds.
    hold_seconds: u32,
    /// The share of the organisation's 2,000 live holds that one user may have, at least 50.
    user_holds_percent: u32,
    /// The treatment of holds that nobody settles.
    abandoned_holds: shared::domain::org::organisation::AbandonedHolds,
    /// The treatment of a model without a price under a hard cap in US dollars.
    unknown_model: shared::domain::org::organisation::UnknownModel,
    /// Whether usage is charged by the price list or by the cost that a gateway reports.
    price_source: shared::domain::pricing::matched::PriceSource,
    /// The answer if nothing can be decided.
    on_unavailable: shared::domain::org::organisation::OnUnavailable,
    /// How many hours late usage corrects the carried amount.
    rollover_grace_hours: u32,
    /// The most tokens accepted for one request if its model's limits are not known.
    max_tokens_per_request: i64,
    /// Which models may be used where no department says it; null permits all.
    #[schema(required = true)]
    models: Option<Models<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
}

pub(crate) fn organisation_view(organisation: &Organisation) -> OrganisationView<'_> {
    OrganisationView {
        id: &organisation.id,
        name: &organisation.name,
        timezone: &organisation.timezone,
        reserve: organisation.reserve,
        output_reserve_tokens: organisation.output_reserve_tokens,
        hold_seconds: organisation.hold_seconds,
        user_holds_percent: organisation.user_holds_percent,
        abandoned_holds: organisation.abandoned_holds,
        unknown_model: organisation.unknown_model,
        price_source: organisation.price_source,
        on_unavailable: organisation.on_unavailable,
        rollover_grace_hours: organisation.rollover_grace_hours,
        max_tokens_per_request: organisation.max_tokens_per_request,
        models: organisation.models.as_ref().map(Models::from),
        version: organisation.version,
        created_at: organisation.created_at.to_string(),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CreatedOrganisation)]
pub(super) struct CreatedView<'a> {
    pub(super) organisation: OrganisationView<'a>,
    pub(super) admin_key: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AdminKey)]
pub(super) struct AdminKeyView<'a> {
    pub(super) key_id: &'a str,
    pub(super) admin_key: &'a str,
}

pub(super) fn organisation_json(organisation: &Organisation) -> String {
    to_json(&organisation_view(organisation))
}
