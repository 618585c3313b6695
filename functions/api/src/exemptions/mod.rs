//! Exemptions: users and managers ask for them, and those who may see them list them.

mod audience;
mod body;
mod schema;
pub(crate) mod steps;
pub(crate) mod view;

use self::audience::Audience;
use self::body::read_terms;
use self::schema::CreateExemption;
use self::view::{ExemptionView, exemption_view, exemption_views};
use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use super::parameters::take_user_id;
use super::replay::IdempotentRequest;
use super::visibility::{Visibility, user_for};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change};
use shared::domain::exemption::{
    Exemption, ExemptionStatus, MAX_PENDING, MAX_PENDING_OF_USER, Party,
};
use shared::domain::name::is_slug;
use shared::domain::notice::exemption::Event;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};
use shared::store::{KeyOwner, new_id};

/// Returns the party that a key acts for.
pub(crate) fn party_of(owner: &KeyOwner) -> Party {
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
    let (terms, reason) = read_terms(&body, now)?;
    let user = match user_for(&app, owner, &terms.user_id).await {
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
        requested_by: party_of(owner),
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
        let body = to_json(&exemption_view(&exemption, None, now));
        let requested = Change::ExemptionRequested {
            exemption: Audited::new(exemption.clone(), body.clone()),
            notice: audience.notice(Event::Requested, &exemption, now),
        };
        Ok(Proposal::showing(requested, 201, body))
    })
    .await
}

/// Finds an exemption in the caller's organisation.
pub(crate) async fn find_exemption(
    app: &App,
    owner: &KeyOwner,
    id: &str,
) -> Result<Exemption, ApiError> {
    let unknown = || ApiError::not_found("exemption");
    if !is_slug(id) {
        return Err(unknown());
    }
    let exemption = app.store.exemption(&owner.organisation_id, id).await?;
    exemption.ok_or_else(unknown)
}

/// Finds an exemption if the key sees its user or has asked for it.
pub(crate) async fn exemption_for(
    app: &App,
    owner: &KeyOwner,
    id: &str,
) -> Result<Exemption, ApiError> {
    let exemption = find_exemption(app, owner, id).await?;
    if !exemption.requested_by.is(&party_of(owner)) {
        user_for(app, owner, &exemption.terms.user_id).await?;
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
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let exemption = exemption_for(&app, owner, &id).await?;
    let views = exemption_views(&app, owner, &[exemption]).await?;
    let view = views
        .first()
        .ok_or_else(|| ApiError::not_found("exemption"))?;
    Ok(json(200, to_json(view)))
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
    let status = parameters.name::<ExemptionStatus>("status");
    let user_id = take_user_id(&mut parameters, "user_id");
    let list = format!(
        "{} exemptions {status:?} {user_id:?} {}",
        owner.organisation_id, owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let now = app.clock.now();
    let visibility = match &user_id {
        Some(user_id) => {
            user_for(&app, owner, user_id).await?;
            Visibility::All
        }
        None => Visibility::of(&app, owner).await?,
    };
    let own = party_of(owner);
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
    let items = exemption_views(&app, owner, &page.items).await?;
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}
