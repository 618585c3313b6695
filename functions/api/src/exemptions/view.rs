//! Shows exemptions as JSON.

use crate::App;
use crate::in_force::read_configuration;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::Amounts;
use shared::domain::exemption::grant::{Covers, Grant, Kind};
use shared::domain::exemption::{Exemption, ExemptionStatus, Party};
use shared::runtime::error::ApiError;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;
use shared::store::KeyOwner;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Exemption)]
pub(crate) struct ExemptionView {
    id: String,
    user_id: String,
    kind: Kind,
    /// The amounts of a raise, for each month that it covers.
    #[schema(required = true)]
    tokens: Option<i64>,
    #[schema(required = true)]
    usd: Option<Usd>,
    covers: Covers,
    reason: String,
    status: ExemptionStatus,
    #[schema(value_type = Moment)]
    starts_at: String,
    #[schema(value_type = Moment)]
    ends_at: String,
    requested_by: PartyView,
    #[schema(required = true)]
    decided_by: Option<PartyView>,
    #[schema(value_type = Option<Moment>, required = true)]
    decided_at: Option<String>,
    #[schema(required = true)]
    note: Option<String>,
    #[schema(required = true)]
    revoked_by: Option<PartyView>,
    #[schema(value_type = Option<Moment>, required = true)]
    revoked_at: Option<String>,
    #[schema(required = true)]
    revocation_note: Option<String>,
    /// The amount given so far, held or spent; null if it was never approved.
    #[schema(required = true)]
    used: Option<UsedView>,
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
}

/// Who asked or decided.
#[derive(Serialize, ToSchema)]
#[schema(as = Party)]
struct PartyView {
    key_id: String,
    #[schema(required = true)]
    user_id: Option<String>,
}

/// An amount that was given, held or spent.
#[derive(Serialize, ToSchema)]
#[schema(as = Used)]
struct UsedView {
    tokens: i64,
    usd: Usd,
}

fn party_view(party: &Party) -> PartyView {
    PartyView {
        key_id: party.key_id.clone(),
        user_id: party.user_id.clone(),
    }
}

/// Shows an exemption at `now`, with the amount given so far.
pub(crate) fn exemption_view(
    exemption: &Exemption,
    given: Option<Amounts>,
    now: Timestamp,
) -> ExemptionView {
    let terms = &exemption.terms;
    let decision = exemption.decision.as_ref();
    let revocation = exemption.revocation.as_ref();
    let given = exemption.index.map(|_| given.unwrap_or(Amounts::ZERO));
    ExemptionView {
        id: exemption.id.clone(),
        user_id: terms.user_id.clone(),
        kind: terms.kind,
        tokens: terms.tokens,
        usd: terms.micro_usd.map(Usd),
        covers: terms.covers,
        reason: exemption.reason.clone(),
        status: exemption.status(now),
        starts_at: terms.starts_at.to_string(),
        ends_at: terms.ends_at.to_string(),
        requested_by: party_view(&exemption.requested_by),
        decided_by: decision.map(|decision| party_view(&decision.by)),
        decided_at: decision.map(|decision| decision.at.to_string()),
        note: decision.and_then(|decision| decision.note.clone()),
        revoked_by: revocation.map(|revocation| party_view(&revocation.by)),
        revoked_at: revocation.map(|revocation| revocation.at.to_string()),
        revocation_note: revocation.and_then(|revocation| revocation.note.clone()),
        used: given.map(|given| UsedView {
            tokens: given.tokens,
            usd: Usd(given.micro_usd()),
        }),
        version: exemption.version,
        created_at: exemption.created_at.to_string(),
        updated_at: exemption.updated_at.to_string(),
    }
}

/// Shows exemptions with the amounts given so far.
pub(crate) async fn exemption_views(
    app: &App,
    owner: &KeyOwner,
    exemptions: &[Exemption],
) -> Result<Vec<ExemptionView>, ApiError> {
    let now = app.clock.now();
    let grants: Vec<Grant> = exemptions.iter().filter_map(Exemption::grant).collect();
    let given = if grants.is_empty() {
        std::collections::BTreeMap::new()
    } else {
        let configuration = read_configuration(app, owner).await?;
        app.store.given_by(&configuration, &grants, now).await?
    };
    let show =
        |exemption: &Exemption| exemption_view(exemption, given.get(&exemption.id).copied(), now);
    Ok(exemptions.iter().map(show).collect())
}
