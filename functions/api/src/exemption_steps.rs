//! Approves, denies and ends exemptions, and notifies the people concerned.

use super::change::{Actor, Proposal, cells_in_force, change};
use super::exemption_view::{ExemptionView, shown};
use super::exemptions::{known, party, visible};
use super::openapi::bodies::Note;
use super::{App, view};
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use shared::domain::change::{Change, Update};
use shared::domain::exemption::grant::Grant;
use shared::domain::exemption::notice::{Event, notice};
use shared::domain::exemption::{
    Decision, Exemption, ExemptionStatus, MAX_GRANTS, MAX_GRANTS_OF_USER,
};
use shared::domain::ledger::cell::{Cell, MAX_EXEMPTION_COUNTERS};
use shared::domain::ledger::node::Node;
use shared::domain::notice::{Notice, Recipient};
use shared::domain::org::people::{Status, User};
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{Conflict, Denied, Invalid, Slug, TooLarge, Unknown};
use shared::runtime::parse;
use shared::runtime::roles::RoleScope;
use shared::store::{KeyOwner, Snapshot, new_id};

/// The recipients of a step's notice, which is written with the step.
pub(super) struct Audience {
    notice_id: String,
    recipients: Vec<Recipient>,
    user: User,
}

impl Audience {
    /// Returns a notice to those who may decide.
    pub(super) async fn to_approvers(
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
            let asked_by = exemption.requested_by.people();
            admin.id != user.id && !asked_by.contains(admin.id.as_str())
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

    /// Returns a notice to the user and to the person who asked.
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

    pub(super) fn notice(&self, event: Event, exemption: &Exemption, now: Timestamp) -> Notice {
        let recipients = self.recipients.clone();
        let id = self.notice_id.clone();
        notice(id, event, exemption, &self.user, recipients, now)
    }
}

/// Approves an exemption. It is in force with the answer.
///
/// Nobody may decide an exemption that they asked for or that is for them. The same holds for every
/// key that one of these people made, for anybody. A key without a user acts for everybody in the
/// chain of keys that made it.
#[shared::endpoint(POST "/v1/exemptions/{id}/approve", ADMIN)]
#[utoipa::path(
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
    decide(
        &app,
        &caller,
        request_id,
        &id,
        &body,
        ExemptionStatus::Approved,
    )
    .await
}

/// Denies an exemption.
///
/// Nobody may decide an exemption that they asked for or that is for them. The same holds for every
/// key that one of these people made, for anybody. A key without a user acts for everybody in the
/// chain of keys that made it.
#[shared::endpoint(POST "/v1/exemptions/{id}/deny", ADMIN)]
#[utoipa::path(
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
    decide(
        &app,
        &caller,
        request_id,
        &id,
        &body,
        ExemptionStatus::Denied,
    )
    .await
}

fn note(body: &[u8]) -> Result<Option<String>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields::of_body(body)?;
    let note = fields.optional("note", parse::sentence(1_000));
    fields.finish()?;
    Ok(note)
}

/// Refuses an exemption that was decided already or has ended.
fn check_open(
    exemption: &Exemption,
    wanted: &[ExemptionStatus],
    now: Timestamp,
) -> Result<(), ApiError> {
    let status = exemption.status(now);
    if wanted.contains(&status) {
        return Ok(());
    }
    let message = format!("the exemption is {}", status.as_str());
    Err(ApiError::conflict(message))
}

async fn decide(
    app: &App,
    caller: &Caller,
    RequestId(request_id): RequestId,
    id: &str,
    body: &[u8],
    decided: ExemptionStatus,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let note = note(body)?;
    let asked = known(app, owner, id).await?;
    let audience = Audience::to_those_concerned(app, owner, &asked).await?;
    let now = app.clock.now();
    let is_approved = decided == ExemptionStatus::Approved;
    let actor = Actor::of(owner, &request_id);
    change(app, &actor, None, async |snapshot| {
        let before = known(app, owner, id).await?;
        if !before.may_be_decided_by(&party(owner)) {
            return Err(ApiError::forbidden(
                "you cannot decide an exemption that you asked for or that is for you, not even \
                    with a key that you made for somebody else; ask another administrator, whose \
                    key you did not make",
            ));
        }
        check_open(&before, &[ExemptionStatus::Pending], now)?;
        let mut after = before.clone();
        after.decided = decided;
        after.decision = Some(Decision {
            by: party(owner),
            at: now,
            note: note.clone(),
        });
        if is_approved {
            let cells = cells_in_force(app, &snapshot.configuration, now).await?;
            after.index = Some(Node::exemption(snapshot.head.next_exemption));
            check_room(&snapshot, &cells, &after, now)?;
        }
        let exemption = step(before, after, now);
        let body = exemption.after.json.clone();
        let told = &exemption.after.value;
        let decided = if is_approved {
            let notice = audience.notice(Event::Approved, told, now);
            Change::ExemptionApproved { exemption, notice }
        } else {
            let notice = audience.notice(Event::Denied, told, now);
            Change::ExemptionDenied { exemption, notice }
        };
        Ok(Proposal::showing(decided, 200, body))
    })
    .await
}

/// Returns the step of an exemption from `before` to `after`.
fn step(before: Exemption, mut after: Exemption, now: Timestamp) -> Update<Exemption> {
    after.version += 1;
    after.updated_at = now;
    Update::new(before, after, |exemption| {
        view::text(&shown(exemption, None, now))
    })
}

/// Refuses more exemptions than a preflight can consider.
fn check_room(
    snapshot: &Snapshot,
    cells: &[(Month, Cell)],
    exemption: &Exemption,
    now: Timestamp,
) -> Result<(), ApiError> {
    let grants = &snapshot.configuration.grants;
    let living = grants.iter().filter(|grant| grant.terms.ends_at > now);
    let of_user = |grant: &&Grant| grant.terms.user_id == exemption.terms.user_id;
    if living.clone().filter(of_user).count() >= MAX_GRANTS_OF_USER {
        let message = format!(
            "{} has {MAX_GRANTS_OF_USER} exemptions already; revoke one first",
            exemption.terms.user_id
        );
        return Err(ApiError::conflict(message));
    }
    // An exemption takes room in a month from its first hold there until the month ends.
    let organisation = &snapshot.configuration.organisation;
    let granted = exemption.grant();
    let granted = living.clone().chain(&granted);
    let is_full = |(period, cell): &(Month, Cell)| {
        let begun = cell.nodes.keys().filter(|node| node.is_of_exemption());
        let reaching = granted.clone();
        let reaching = reaching.filter(|grant| grant.reaches(*period, organisation));
        let to_come = reaching.flat_map(Grant::opens);
        let to_come = to_come.filter(|(node, _)| !cell.nodes.contains_key(node));
        begun.count() + to_come.count() > MAX_EXEMPTION_COUNTERS
    };
    if living.count() >= MAX_GRANTS || cells.iter().any(is_full) {
        let message = "the organisation has or has used as many exemptions as there is room for \
            this month; change a budget instead, revoke one that nobody has used, or wait until \
            the next month has begun";
        return Err(ApiError::conflict(message));
    }
    Ok(())
}

/// Ends an exemption at once. The person who asked for it may withdraw it while it waits.
#[shared::endpoint(POST "/v1/exemptions/{id}/revoke", OWN, WHILE_BLOCKED)]
#[utoipa::path(
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
    let audience = Audience::to_those_concerned(&app, owner, &asked).await?;
    let now = app.clock.now();
    let is_admin = owner.role.scope() == RoleScope::All;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let before = known(&app, owner, &id).await?;
        check_open(
            &before,
            &[ExemptionStatus::Pending, ExemptionStatus::Approved],
            now,
        )?;
        let waits = before.decided == ExemptionStatus::Pending;
        let withdraws = waits && before.requested_by.is(&party(owner));
        if !(is_admin || withdraws) {
            return Err(ApiError::forbidden(
                "only an administrator can end an exemption; you can withdraw your own request \
                    while it waits",
            ));
        }
        let mut after = before.clone();
        after.decided = ExemptionStatus::Revoked;
        after.revocation = Some(Decision {
            by: party(owner),
            at: now,
            note: note.clone(),
        });
        let exemption = step(before, after, now);
        let body = exemption.after.json.clone();
        let notice = audience.notice(Event::Revoked, &exemption.after.value, now);
        let revoked = Change::ExemptionRevoked { exemption, notice };
        Ok(Proposal::showing(revoked, 200, body))
    })
    .await
}
