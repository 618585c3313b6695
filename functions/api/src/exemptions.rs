//! Exemptions: asked for by a user or their manager, decided by an administrator, ended early where they have to be.

use super::act::{Actor, Loaded, Needs, Prepared, change};
use super::exemption_view::{ExemptionView, shown};
use super::openapi::bodies::{CreateExemption, Note};
use super::replay::IdempotentRequest;
use super::sight::{self, Sight};
use super::{App, no_fields, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::amount::MAX_AMOUNT;
use shared::domain::cell::MAX_NODES;
use shared::domain::exemption::{
    Covers, Decided, Decision, Exemption, Grant, Kind, MAX_GRANTS, MAX_GRANTS_OF_USER, MAX_LENGTH,
    MAX_PENDING, MAX_PENDING_OF_USER, Party, Terms,
};
use shared::domain::exemption_notice::{Event, notice};
use shared::domain::name::{is_slug, is_user_id};
use shared::domain::notice::{Notice, Recipient};
use shared::domain::people::{Status, User};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};
use shared::runtime::parse;
use shared::store::{CounterEffect, KeyOwner, Row, new_id};

const KINDS: &[(&str, Option<Kind>)] = &[("raise", Some(Kind::Raise)), ("lift", Some(Kind::Lift))];
const COVERS: &[(&str, Covers)] = &[("department", Covers::Department), ("path", Covers::Path)];
const STATUSES: &[(&str, Decided)] = &[
    ("pending", Decided::Pending),
    ("approved", Decided::Approved),
    ("denied", Decided::Denied),
    ("expired", Decided::Expired),
    ("revoked", Decided::Revoked),
];

/// A raise of nothing helps nobody.
fn tokens(raw: &str) -> Result<i64, String> {
    parse::whole(1, MAX_AMOUNT)(raw)
}

fn micro_usd(raw: &str) -> Result<i64, String> {
    match parse::micro_usd(raw)? {
        0 => Err("must be more than 0".to_owned()),
        amount => Ok(amount),
    }
}

fn party(owner: &KeyOwner) -> Party {
    Party {
        key_id: owner.key_id.clone(),
        user_id: owner.user_id.clone(),
    }
}

/// What a request asks for.
fn read(body: &[u8], now: Timestamp) -> Result<(Terms, String), ApiError> {
    let mut fields = Fields::of_body(body)?;
    let user_id = fields.required("user_id", parse::user_id);
    let kind = fields.required("kind", parse::one_of(KINDS));
    let given = ["tokens", "usd"].map(|name| fields.has(name));
    let tokens = fields.changed("tokens", tokens);
    let micro_usd = fields.changed("usd", micro_usd);
    // An amount that is wrong is named already.
    let lacks = |given: bool, amount: Option<Option<i64>>| !given || amount == Some(None);
    let has_no_amount = lacks(given[0], tokens) && lacks(given[1], micro_usd);
    let (tokens, micro_usd) = (tokens.flatten(), micro_usd.flatten());
    let covers = fields.optional("covers", parse::one_of(COVERS));
    let reason = fields.required("reason", parse::sentence(1_000));
    let starts_at = fields.optional("starts_at", parse::timestamp);
    let has_end = fields.has("ends_at");
    let ends_at = fields.required("ends_at", parse::timestamp);
    // What has begun already begins with the decision.
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

/// Asks for an exemption: more than the hard caps allow, for one user and a while.
#[utoipa::path(
    post,
    path = "/v1/exemptions",
    operation_id = "createExemption",
    tag = "Exemptions",
    params(IdempotencyKey),
    request_body = CreateExemption,
    responses(
        (status = 201, description = "The exemption, which waits for a decision.", body = ExemptionView),
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
    let user = match sight::user(&app, owner, &terms.user_id).await {
        Err(error) if error.code == shared::runtime::error::ErrorCode::NotFound => {
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
        decided: Decided::Pending,
        decision: None,
        revocation: None,
        index: None,
        is_end_told: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let needs = Needs {
        asked: true,
        ..Needs::default()
    };
    let letters = Letters::to_approvers(&app, owner, &exemption, &user).await?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, &needs, idempotent.as_ref(), |loaded| {
        let waiting = loaded.asked.iter().filter(|asked| asked.ends_at > now);
        let of_user = waiting.clone().filter(|asked| asked.user_id == user.id);
        if of_user.count() >= MAX_PENDING_OF_USER || waiting.count() >= MAX_PENDING {
            let message = "too many requests for exemptions wait for a decision; withdraw one, or ask an administrator to decide";
            return Err(ApiError::conflict(message));
        }
        let organisation_id = &owner.organisation_id;
        let resource = format!("exemption/{}", exemption.id);
        let mut prepared = Prepared::new(loaded, "exemption.request", resource);
        prepared.rows.extend(Row::exemption(organisation_id, &exemption)?);
        prepared
            .notices
            .push(letters.notice(Event::Requested, &exemption, now));
        prepared.reason = Some(exemption.reason.clone());
        let body = view::text(&shown(&exemption, None, now));
        prepared.after = Some(body.clone());
        Ok(prepared.answering(201, body))
    })
    .await
}

/// Who is told of a step, in one notice that is written with it.
struct Letters {
    notice_id: String,
    recipients: Vec<Recipient>,
    user: User,
}

impl Letters {
    /// To those who may decide.
    async fn to_approvers(
        app: &App,
        owner: &KeyOwner,
        exemption: &Exemption,
        user: &User,
    ) -> Result<Self, ApiError> {
        let all = app
            .store
            .some_administrators(&owner.organisation_id)
            .await?;
        let may_decide = |admin: &&User| {
            let asked_by = exemption.requested_by.user_id.as_deref();
            admin.id != user.id && asked_by != Some(admin.id.as_str())
        };
        let because = "you are an administrator and may decide it";
        let mails = all.iter().filter(may_decide);
        Ok(Self {
            notice_id: new_id("ntc_", app.clock.now(), 0)?,
            recipients: mails
                .map(|admin| Recipient::mail(admin, because.to_owned()))
                .collect(),
            user: user.clone(),
        })
    }

    /// To whom it is for and to whoever asked.
    async fn to_those_concerned(
        app: &App,
        owner: &KeyOwner,
        exemption: &Exemption,
    ) -> Result<Self, ApiError> {
        let organisation_id = &owner.organisation_id;
        let user_id = &exemption.terms.user_id;
        let user = app.store.user(organisation_id, user_id).await?;
        let user = user.ok_or_else(|| ApiError::not_found("user"))?;
        let mut recipients = vec![Recipient::mail(&user, "it is for you".to_owned())];
        if let Some(asker_id) = &exemption.requested_by.user_id
            && asker_id != user_id
            && let Some(asker) = app.store.user(organisation_id, asker_id).await?
            && asker.status == Status::Active
        {
            let because = format!("you asked for it on behalf of {user_id}");
            recipients.push(Recipient::mail(&asker, because));
        }
        Ok(Self {
            notice_id: new_id("ntc_", app.clock.now(), 0)?,
            recipients,
            user,
        })
    }

    fn notice(&self, event: Event, exemption: &Exemption, now: Timestamp) -> Notice {
        let recipients = self.recipients.clone();
        let id = self.notice_id.clone();
        notice(id, event, exemption, &self.user, recipients, now)
    }
}

/// Approves an exemption. It is in force with the answer. Nobody decides one that they asked for or that is for them.
#[utoipa::path(
    post,
    path = "/v1/exemptions/{id}/approve",
    operation_id = "approveExemption",
    tag = "Exemptions",
    params(("id" = Slug, Path, description = "The exemption.")),
    request_body(content = Option<Note>, example = json!({"note": "for the release"})),
    responses(
        (status = 200, description = "The exemption, approved.", body = ExemptionView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn approve(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    decide(&app, &caller, request_id, &id, &body, Decided::Approved).await
}

/// Denies an exemption. Nobody decides one that they asked for or that is for them.
#[utoipa::path(
    post,
    path = "/v1/exemptions/{id}/deny",
    operation_id = "denyExemption",
    tag = "Exemptions",
    params(("id" = Slug, Path, description = "The exemption.")),
    request_body(content = Option<Note>, example = json!({"note": "for the release"})),
    responses(
        (status = 200, description = "The exemption, denied.", body = ExemptionView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn deny(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    decide(&app, &caller, request_id, &id, &body, Decided::Denied).await
}

fn note(body: &[u8]) -> Result<Option<String>, ApiError> {
    if body.is_empty() {
        no_fields(body)?;
        return Ok(None);
    }
    let mut fields = Fields::of_body(body)?;
    let note = fields.optional("note", parse::sentence(1_000));
    fields.finish()?;
    Ok(note)
}

/// The exemption as it is, of one's own organisation.
async fn known(app: &App, owner: &KeyOwner, id: &str) -> Result<Exemption, ApiError> {
    let unknown = || ApiError::not_found("exemption");
    if !is_slug(id) {
        return Err(unknown());
    }
    let known = app.store.exemption(&owner.organisation_id, id).await?;
    known.ok_or_else(unknown)
}

/// Refuses what was decided already or is over.
fn check_open(exemption: &Exemption, wanted: &[Decided], now: Timestamp) -> Result<(), ApiError> {
    let status = exemption.status(now);
    if wanted.contains(&status) {
        return Ok(());
    }
    let status = super::exemption_view::name(status);
    Err(ApiError::conflict(format!("the exemption is {status}")))
}

async fn decide(
    app: &App,
    caller: &Caller,
    RequestId(request_id): RequestId,
    id: &str,
    body: &[u8],
    decided: Decided,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let note = note(body)?;
    let asked = known(app, owner, id).await?;
    let letters = Letters::to_those_concerned(app, owner, &asked).await?;
    let now = app.clock.now();
    let needs = Needs {
        exemption: Some(id.to_owned()),
        cells: true,
        ..Needs::default()
    };
    let (action, event) = match decided {
        Decided::Approved => ("exemption.approve", Event::Approved),
        _ => ("exemption.deny", Event::Denied),
    };
    let actor = Actor::of(owner, &request_id);
    change(app, &actor, &needs, None, |loaded| {
        let before = loaded.exemption()?;
        if !before.may_be_decided_by(&party(owner)) {
            return Err(ApiError::forbidden(
                "nobody decides an exemption that they asked for or that is for them; another administrator has to",
            ));
        }
        check_open(before, &[Decided::Pending], now)?;
        let mut after = before.clone();
        after.decided = decided;
        after.decision = Some(Decision {
            by: party(owner),
            at: now,
            note: note.clone(),
        });
        let mut prepared = Prepared::new(loaded, action, format!("exemption/{id}"));
        if decided == Decided::Approved {
            check_room(loaded, &after, now)?;
            after.index = Some(loaded.snapshot.head.next_node);
            prepared.head.next_node += 1;
            prepared.counters = match after.grant() {
                Some(grant) => CounterEffect::Grant(grant),
                None => CounterEffect::Seen,
            };
        }
        prepared.reason.clone_from(&note);
        stepped(prepared, owner, before, after, (&letters, event), now)
    })
    .await
}

/// Completes a change from `before` to `after` with its rows, audit and answer.
fn stepped(
    mut prepared: Prepared,
    owner: &KeyOwner,
    before: &Exemption,
    mut after: Exemption,
    (letters, event): (&Letters, Event),
    now: Timestamp,
) -> Result<Prepared, ApiError> {
    let organisation_id = &owner.organisation_id;
    after.version += 1;
    after.updated_at = now;
    prepared
        .rows
        .extend(Row::exemption(organisation_id, &after)?);
    prepared.notices.push(letters.notice(event, &after, now));
    prepared.before = Some(view::text(&shown(before, None, now)));
    let body = view::text(&shown(&after, None, now));
    prepared.after = Some(body.clone());
    Ok(prepared.answering(200, body))
}

/// Refuses more than decisions can have in view.
fn check_room(loaded: &Loaded, exemption: &Exemption, now: Timestamp) -> Result<(), ApiError> {
    let grants = &loaded.snapshot.configuration.grants;
    let living = grants.iter().filter(|grant| grant.terms.ends_at > now);
    let of_user = |grant: &&Grant| grant.terms.user_id == exemption.terms.user_id;
    if living.clone().filter(of_user).count() >= MAX_GRANTS_OF_USER {
        let message = format!(
            "{} has {MAX_GRANTS_OF_USER} exemptions already; revoke one first",
            exemption.terms.user_id
        );
        return Err(ApiError::conflict(message));
    }
    let is_full = |cell: &shared::domain::cell::Cell| cell.nodes.len() + 2 > MAX_NODES;
    if living.count() >= MAX_GRANTS || loaded.cells.iter().any(|(_, cell)| is_full(cell)) {
        let message = "the organisation has as many exemptions as there is room for this month; change a budget instead, or wait until some have ended and the next month has begun";
        return Err(ApiError::conflict(message));
    }
    Ok(())
}

/// Ends an exemption at once; whoever asked for one may withdraw it while it waits.
#[utoipa::path(
    post,
    path = "/v1/exemptions/{id}/revoke",
    operation_id = "revokeExemption",
    tag = "Exemptions",
    params(("id" = Slug, Path, description = "The exemption.")),
    request_body(content = Option<Note>, example = json!({"note": "for the release"})),
    responses(
        (status = 200, description = "The exemption, revoked.", body = ExemptionView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let note = note(&body)?;
    let asked = visible(&app, owner, &id).await?;
    let letters = Letters::to_those_concerned(&app, owner, &asked).await?;
    let now = app.clock.now();
    let needs = Needs {
        exemption: Some(id.clone()),
        ..Needs::default()
    };
    let is_admin = owner.role.sphere() == shared::runtime::roles::Sphere::All;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, &needs, None, |loaded| {
        let before = loaded.exemption()?;
        check_open(before, &[Decided::Pending, Decided::Approved], now)?;
        let waits = before.decided == Decided::Pending;
        let withdraws = waits && before.requested_by.is(&party(owner));
        if !(is_admin || withdraws) {
            return Err(ApiError::forbidden(
                "only an administrator ends an exemption; whoever asked for one may withdraw it while it waits",
            ));
        }
        let mut after = before.clone();
        after.decided = Decided::Revoked;
        after.revocation = Some(Decision {
            by: party(owner),
            at: now,
            note: note.clone(),
        });
        let mut prepared = Prepared::new(loaded, "exemption.revoke", format!("exemption/{id}"));
        if before.decided == Decided::Approved {
            prepared.counters = CounterEffect::Seen;
        }
        prepared.reason.clone_from(&note);
        let told = (&letters, Event::Revoked);
        stepped(prepared, owner, before, after, told, now)
    })
    .await
}

/// The exemption, where the key sees its user or has asked for it.
async fn visible(app: &App, owner: &KeyOwner, id: &str) -> Result<Exemption, ApiError> {
    let exemption = known(app, owner, id).await?;
    if !exemption.requested_by.is(&party(owner)) {
        sight::user(app, owner, &exemption.terms.user_id).await?;
    }
    Ok(exemption)
}

/// Shows an exemption, with what it has given so far.
#[utoipa::path(
    get,
    path = "/v1/exemptions/{id}",
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

/// Exemptions with what each has given so far.
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

/// Lists exemptions, the newest first: all for an administrator, one's own and one's people's otherwise.
#[utoipa::path(
    get,
    path = "/v1/exemptions",
    operation_id = "listExemptions",
    tag = "Exemptions",
    params(
        ("status" = Option<Decided>, Query, description = "Those with this status only."),
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
    let sight = match &user_id {
        Some(user_id) => {
            sight::user(&app, owner, user_id).await?;
            Sight::All
        }
        None => Sight::of(&app, owner).await?,
    };
    let own = party(owner);
    let wanted = |exemption: &Exemption| {
        let of = &exemption.terms.user_id;
        status.is_none_or(|status| exemption.status(now) == status)
            && user_id.as_ref().is_none_or(|user_id| user_id == of)
            && (sight.has_user(of) || exemption.requested_by.is(&own))
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
