//! The settings of one's own organisation.

use super::schema::{
    HoldSeconds, OutputReserve, RolloverGraceHours, TokensOfRequest, UpdateOrganisation,
    UserHoldsPercent,
};
use super::view::{OrganisationView, organisation_json, organisation_view};
use crate::App;
use crate::change::{Actor, Proposal, change, check_version};
use crate::json::to_json;
use crate::models;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Change, Update};
use shared::domain::org::models::ModelRule;
use shared::domain::org::organisation::{
    AbandonedHolds, OnUnavailable, Organisation, Reserve, UnknownModel,
};
use shared::domain::pricing::matched::PriceSource;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::openapi::{Conflict, Denied, IfMatch, Invalid, TooLarge, Unknown};
use shared::runtime::parse;

/// Shows the settings of the organisation that the key belongs to.
#[shared::endpoint(GET "/v1/organisation", OWN)]
#[utoipa::path(
    operation_id = "getOrganisation",
    tag = "Organisations",
    responses(
        (status = 200, description = "The settings.", body = OrganisationView),
        Unknown, Denied,
    ),
)]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let head = app.store.head(&owner.organisation_id).await?;
    let head = head.ok_or_else(|| ApiError::not_found("organisation"))?;
    Ok(json(200, to_json(&organisation_view(&head.organisation))))
}

/// The settings to change, each None if it stays as it is.
struct Patch {
    name: Option<String>,
    timezone: Option<String>,
    reserve: Option<Reserve>,
    output_reserve: Option<i64>,
    hold_seconds: Option<i64>,
    user_holds: Option<i64>,
    abandoned_holds: Option<AbandonedHolds>,
    unknown_model: Option<UnknownModel>,
    price_source: Option<PriceSource>,
    on_unavailable: Option<OnUnavailable>,
    grace_hours: Option<i64>,
    max_tokens: Option<i64>,
    models: Option<Option<ModelRule>>,
}

impl Patch {
    fn read(fields: &mut Fields) -> Self {
        Self {
            name: fields.changed_value("name", parse::display_name),
            timezone: fields.changed_value("timezone", parse::timezone),
            reserve: fields.changed_value("reserve", parse::name),
            output_reserve: fields.changed_value("output_reserve_tokens", OutputReserve::read),
            hold_seconds: fields.changed_value("hold_seconds", HoldSeconds::read),
            user_holds: fields.changed_value("user_holds_percent", UserHoldsPercent::read),
            abandoned_holds: fields.changed_value("abandoned_holds", parse::name),
            unknown_model: fields.changed_value("unknown_model", parse::name),
            price_source: fields.changed_value("price_source", parse::name),
            on_unavailable: fields.changed_value("on_unavailable", parse::name),
            grace_hours: fields.changed_value("rollover_grace_hours", RolloverGraceHours::read),
            max_tokens: fields.changed_value("max_tokens_per_request", TokensOfRequest::read),
            models: models::changed(fields),
        }
    }

    /// Returns the settings after the patch. The time zone is left to the caller, who knows when it
    /// changes.
    fn on(&self, before: &Organisation) -> Organisation {
        let small = |changed: Option<i64>, before: u32| {
            let changed = changed.and_then(|number| u32::try_from(number).ok());
            changed.unwrap_or(before)
        };
        Organisation {
            id: before.id.clone(),
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            timezone: before.timezone.clone(),
            zone_begun: before.zone_begun,
            reserve: self.reserve.unwrap_or(before.reserve),
            output_reserve_tokens: self.output_reserve.unwrap_or(before.output_reserve_tokens),
            hold_seconds: small(self.hold_seconds, before.hold_seconds),
            user_holds_percent: small(self.user_holds, before.user_holds_percent),
            abandoned_holds: self.abandoned_holds.unwrap_or(before.abandoned_holds),
            unknown_model: self.unknown_model.unwrap_or(before.unknown_model),
            price_source: self.price_source.unwrap_or(before.price_source),
            on_unavailable: self.on_unavailable.unwrap_or(before.on_unavailable),
            rollover_grace_hours: small(self.grace_hours, before.rollover_grace_hours),
            max_tokens_per_request: self.max_tokens.unwrap_or(before.max_tokens_per_request),
            models: self.models.clone().unwrap_or_else(|| before.models.clone()),
            version: before.version + 1,
            created_at: before.created_at,
        }
    }
}

/// Changes settings of the organisation. They are in force at once.
#[shared::endpoint(PATCH "/v1/organisation", ADMIN)]
#[utoipa::path(
    operation_id = "updateOrganisation",
    tag = "Organisations",
    params(IfMatch),
    request_body = UpdateOrganisation,
    responses(
        (
            status = 200,
            description = "The settings as they are now.",
            body = OrganisationView,
        ),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let patch = Patch::read(&mut fields);
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |snapshot| {
        let before = &snapshot.head.organisation;
        check_version(&headers, before.version)?;
        let mut after = patch.on(before);
        if let Some(timezone) = &patch.timezone {
            after.change_zone(timezone.clone(), now);
        }
        let organisation = Update::new(before.clone(), after, organisation_json);
        let body = organisation.after.json.clone();
        let updated = Change::OrganisationUpdated(organisation);
        Ok(Proposal::showing(updated, 200, body))
    })
    .await
}
