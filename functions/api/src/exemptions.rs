//! Exemptions: users and managers ask for them, and those who may see them list them.

use super::change::{Actor, Proposal, change};
use super::exemption_steps::Audience;
use super::exemption_view::{ExemptionView, shown};
use super::openapi::bodies::CreateExemption;
use super::replay::IdempotentRequest;
use super::visibility::{self, Visibility};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::amount::MAX_AMOUNT;
use shared::domain::change::{Audited, Change};
use shared::domain::exemption::grant::{Covers, Grant, Kind, Terms};
use shared::domain::exemption::notice::Event;
use shared::domain::exemption::{
    Exemption, ExemptionStatus, MAX_LENGTH, MAX_PENDING, MAX_PENDING_OF_USER, Party,
};
use shared::domain::name::{is_slug, is_user_id};
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};
use shared::runtime::parse;
use shared::store::{KeyOwner, new_id};

const KINDS: &[(&str, Option<Kind>)] = &[("raise", Some(Kind::Raise)), ("lift", Some(Kind::Lift))];
const COVERS: &[(&str, Covers)] = &[("department", Covers::Department), ("path", Covers::Path)];
const STATUSES: &[(&str, ExemptionStatus)] = &[
    ("pending", ExemptionStatus::Pending),
    ("approved", ExemptionStatus::Approved),
    ("denied", ExemptionStatus::Denied),
    ("expired", ExemptionStatus::Expired),
    ("revoked", ExemptionStatus::Revoked),
];

/// Returns the party that a key acts for.
pub(crate) fn party(owner: &KeyOwner) -> Party {
    Party {
        key_id: owner.key_id.clone(),
        user_id: owner.user_id.clone(),
        responsible_user_id: match owner.user_id {
            Some(_) => None,
            None => owner.responsible_user_id().map(str::to_owned),
        },
        makers: owner.makers().into_iter().map(str::to_owned).collect(),
    }
}

/// Reads a request for an exemption and its reason.
fn read(body: &[u8], now: Timestamp) -> Result<(Terms, String), ApiError> {
    let mut fields = Fields::of_body(body)?;
    let user_id = fields.required("user_id", parse::user_id);
    let kind = fields.required("kind", parse::one_of(KINDS));
    let given = ["tokens", "usd"].map(|name| fields.has(name));
    let tokens = fields.changed("tokens", parse::whole(1, MAX_AMOUNT));
    let micro_usd = fields.changed("usd", parse::some_micro_usd);
    // An invalid amount is reported already.
    let lacks = |given: bool, amount: Option<Option<i64>>| !given || amount == Some(None);
    let has_no_amount = lacks(given[0], tokens) && lacks(given[1], micro_usd);
    let (tokens, micro_usd) = (tokens.flatten(), micro_usd.flatten());
    let covers = fields.optional("covers", parse::one_of(COVERS));
    let reason = fields.required("reason", parse::sentence(1_000));
    let starts_at = fields.optional("starts_at", parse::timestamp);
    let has_end = fields.has("ends_at");
    let ends_at = fields.required("ends_at", parse::timestamp);
    // A start in the past becomes the moment of the decision.
    let starts_at = starts_at.unwrap_or(now).max(now);
    match kind {
        Some(Kind::Lift) if tokens.is_some() || micro_usd.is_some() => {
            let field = if tokens.is_some() { "tokens" } else { "usd" };
            fields.also_invalid(field, "must not be given for a lift, which has no limit");
        }
        Some(Kind::Raise) if has_no_amount => {
            fields.also_invalid("tokens", "a raise needs tokens, usd or both");
        }
        _ => {}
    }
    if has_end && ends_at <= now {
        fields.also_invalid("ends_at", "must be in the future");
    } else if has_end && ends_at <= starts_at {
        fields.also_invalid("ends_at", "must be after starts_at");
    } else if has_end && ends_at.duration_since(starts_at) > MAX_LENGTH {
        fields.also_invalid("ends_at", "must be at most 366 days after the start");
    }
    fields.finish()?;
    let terms = Terms {
        user_id,
        kind: kind.unwrap_or(Kind::Raise),
        tokens,
        micro_usd,
        covers: covers.unwrap_or(Covers::Path),
        starts_at,
        ends_at,
    };
    Ok((terms, reason))
}

/// Asks for an exemption: more than the hard caps allow, for one user and a limited time.
#[shared::endpoint(POST "/v1/exemptions", OWN, WHILE_BLOCKED)]
#[utoipa::path(
    operation_id = "createExemption",
    tag = "Exemptions",
    params(IdempotencyKey),
    request_body = CreateExemption,
    responses(
        (
            status = 201,
            description = "The exemption, which waits for a decision.",
            body = ExemptionView,
        ),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let now = app.clock.now();
    let (terms, reason) = read(&body, now)?;
    let user = match visibility::user(&app, owner, &terms.user_id).await {
        Err(error) if error.code == ErrorCode::NotFound => {
            return Err(ApiError::field("user_id", "there is no such user"));
        }
        user => user?,
    };
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/exemptions", &body)?;
    let exemption = Exemption {
        id: new_id("exm_", now, 0)?,
        terms,
        reason,
        requested_by: party(owner),
        decided: ExemptionStatus::Pending,
        decision: None,
        revocation: None,
        index: None,
        is_end_told: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let audience = Audience::to_approvers(&app, owner, &exemption, &user).await?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let pending = app.store.pending_exemptions(&owner.organisation_id).await?;
        let waiting = pending.iter().filter(|one| one.ends_at > now);
        let of_user = waiting.clone().filter(|one| one.user_id == user.id);
        if of_user.count() >= MAX_PENDING_OF_USER || waiting.count() >= MAX_PENDING {
            let message = "too many requests for exemptions wait for a decision; withdraw one, or \
                ask an administrator to decide";
            return Err(ApiError::conflict(message));
        }
        let body = view::text(&shown(&exemption, None, now));
        let requested = Change::ExemptionRequested {
            exemption: Audited::new(exemption.clone(), body.clone()),
            notice: audience.notice(Event::Requested, &exemption, now),
        };
        Ok(Proposal::showing(requested, 201, body))
    })
    .await
}

/// Finds an exemption in the caller's organisation.
pub(crate) async fn known(app: &App, owner: &KeyOwner, id: &str) -> Result<Exemption, ApiError> {
    let unknown = || ApiError::not_found("exemption");
    if !is_slug(id) {
        return Err(unknown());
    }
    let known = app.store.exemption(&owner.organisation_id, id).await?;
    known.ok_or_else(unknown)
}

/// Finds an exemption if the key sees its user or has asked for it.
pub(crate) async fn visible(app: &App, owner: &KeyOwner, id: &str) -> Result<Exemption, ApiError> {
    let exemption = known(app, owner, id).await?;
    if !exemption.requested_by.is(&party(owner)) {
        visibility::user(app, owner, &exemption.terms.user_id).await?;
    }
    Ok(exemption)
}

/// Shows an exemption, with the amount given so far.
#[shared::endpoint(GET "/v1/exemptions/{id}", OWN)]
#[utoipa::path(
    operation_id = "getExemption",
    tag = "Exemptions",
    params(("id" = Slug, Path, description = "The exemption.")),
    responses(
        (status = 200, description = "The exemption.", body = ExemptionView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read_one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let exemption = visible(&app, owner, &id).await?;
    let views = views(&app, owner, &[exemption]).await?;
    let view = views
        .first()
        .ok_or_else(|| ApiError::not_found("exemption"))?;
    Ok(json(200, view::text(view)))
}

/// Shows exemptions with the amounts given so far.
pub(crate) async fn views(
    app: &App,
    owner: &KeyOwner,
    exemptions: &[Exemption],
) -> Result<Vec<ExemptionView>, ApiError> {
    let now = app.clock.now();
    let grants: Vec<Grant> = exemptions.iter().filter_map(Exemption::grant).collect();
    let given = if grants.is_empty() {
        std::collections::BTreeMap::new()
    } else {
        let configuration = super::budgets::configuration(app, owner).await?;
        app.store.given_by(&configuration, &grants, now).await?
    };
    let show = |exemption: &Exemption| shown(exemption, given.get(&exemption.id).copied(), now);
    Ok(exemptions.iter().map(show).collect())
}

/// Lists exemptions, the newest first: all for an administrator, one's own and those of one's users
/// otherwise.
#[shared::endpoint(GET "/v1/exemptions", OWN)]
#[utoipa::path(
    operation_id = "listExemptions",
    tag = "Exemptions",
    params(
        ("status" = Option<ExemptionStatus>, Query, description = "Those with this status only."),
        ("user_id" = Option<UserId>, Query, description = "Those for this user only."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ExemptionView>),
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
    let status = parameters.one_of("status", STATUSES);
    let user_id = parameters.take("user_id", "must be a user's id", |text| {
        is_user_id(text).then(|| text.to_owned())
    });
    let list = format!(
        "{} exemptions {status:?} {user_id:?} {}",
        owner.organisation_id, owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let now = app.clock.now();
    let visibility = match &user_id {
        Some(user_id) => {
            visibility::user(&app, owner, user_id).await?;
            Visibility::All
        }
        None => Visibility::of(&app, owner).await?,
    };
    let own = party(owner);
    let wanted = |exemption: &Exemption| {
        let of = &exemption.terms.user_id;
        status.is_none_or(|status| exemption.status(now) == status)
            && user_id.as_ref().is_none_or(|user_id| user_id == of)
            && (visibility.has_user(of) || exemption.requested_by.is(&own))
    };
    let page = app
        .store
        .exemptions(
            &owner.organisation_id,
            wanted,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = views(&app, owner, &page.items).await?;
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}
