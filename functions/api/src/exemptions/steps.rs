//! Approves, denies and ends exemptions.

use super::audience::Audience;
use super::schema::Note;
use super::view::{ExemptionView, exemption_view};
use super::{exemption_for, find_exemption, party_of};
use crate::App;
use crate::change::{Actor, Proposal, change};
use crate::in_force::cells_in_force;
use crate::json::to_json;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use shared::domain::change::{Change, Update};
use shared::domain::exemption::grant::Grant;
use shared::domain::exemption::{
    Decision, Exemption, ExemptionStatus, MAX_GRANTS, MAX_GRANTS_OF_USER,
};
use shared::domain::ledger::cell::{Cell, MAX_EXEMPTION_COUNTERS};
use shared::domain::ledger::node::Node;
use shared::domain::notice::exemption::Event;
use shared::domain::period::Month;
use shared::ledger::Snapshot;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{Conflict, Denied, Invalid, Slug, TooLarge, Unknown};
use shared::runtime::roles::RoleScope;
use shared::runtime::values::NoteText;

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
    let note = fields.optional("note", NoteText::read);
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
    let asked = find_exemption(app, owner, id).await?;
    let audience = Audience::to_those_concerned(app, owner, &asked).await?;
    let now = app.clock.now();
    let is_approved = decided == ExemptionStatus::Approved;
    let actor = Actor::of(owner, &request_id);
    change(app, &actor, None, async |snapshot| {
        let before = find_exemption(app, owner, id).await?;
        if !before.may_be_decided_by(&party_of(owner)) {
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
            by: party_of(owner),
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
        let after = &exemption.after.value;
        let decided = if is_approved {
            let notice = audience.notice(Event::Approved, after, now);
            Change::ExemptionApproved { exemption, notice }
        } else {
            let notice = audience.notice(Event::Denied, after, now);
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
        to_json(&exemption_view(exemption, None, now))
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
    let asked = exemption_for(&app, owner, &id).await?;
    let audience = Audience::to_those_concerned(&app, owner, &asked).await?;
    let now = app.clock.now();
    let is_admin = owner.role.scope() == RoleScope::All;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let before = find_exemption(&app, owner, &id).await?;
        check_open(
            &before,
            &[ExemptionStatus::Pending, ExemptionStatus::Approved],
            now,
        )?;
        let waits = before.decided == ExemptionStatus::Pending;
        let withdraws = waits && before.requested_by.is(&party_of(owner));
        if !(is_admin || withdraws) {
            return Err(ApiError::forbidden(
                "only an administrator can end an exemption; you can withdraw your own request \
                    while it waits",
            ));
        }
        let mut after = before.clone();
        after.decided = ExemptionStatus::Revoked;
        after.revocation = Some(Decision {
            by: party_of(owner),
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
