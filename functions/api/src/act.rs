//! Carrying a change out: prepared on a snapshot, committed with its audit entry, prepared again where others were
//! faster, answered once for each idempotency key.

use super::App;
use super::addresses::MailOwners;
use super::authority;
use super::replay::{Answer, IdempotentRequest};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::alert::Alert;
use shared::domain::audit::AuditEntry;
use shared::domain::cell::Cell;
use shared::domain::exemption::Exemption;
use shared::domain::flagged::FlaggedEvent;
use shared::domain::identity::EventIdentity;
use shared::domain::incident::Incident;
use shared::domain::notice::Notice;
use shared::domain::people::{Superiors, User};
use shared::domain::period::Month;
use shared::domain::policy::Policy;
use shared::domain::suppression::Suppression;
use shared::domain::webhook::Webhook;
use shared::runtime::error::{ApiError, Detail};
use shared::runtime::http::json;
use shared::store::{
    ApiKey, Change, Committed, CounterEffect, DepartmentTotals, Head, KeyOwner, LedgerWrite,
    PendingExemption, Row, Snapshot, StoreError, Sums, address_digest,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a change that met others is prepared anew.
const ATTEMPTS: u32 = 40;

/// Who changes something, where, and under which request.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) organisation_id: String,
    /// As the audit log names them: `key/<id>` or `operator`.
    pub(crate) name: String,
    /// Why they can, for the audit log; none for the operator.
    pub(crate) authority: Option<String>,
    pub(crate) request_id: String,
}

impl Actor {
    /// The owner of a key, in their organisation.
    pub(crate) fn of(owner: &KeyOwner, request_id: &str) -> Self {
        Self {
            organisation_id: owner.organisation_id.clone(),
            name: format!("key/{}", owner.key_id),
            authority: Some(authority::text(owner)),
            request_id: request_id.to_owned(),
        }
    }
}

/// What a change has to know beyond the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) users: Vec<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) alert: Option<String>,
    pub(crate) incident: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) webhooks: Vec<String>,
    pub(crate) exemption: Option<String>,
    /// The exemptions that are pending.
    pub(crate) pending: bool,
    /// An address.
    pub(crate) suppression: Option<String>,
    /// Addresses of users, and the user whose own address is asked for, too: whom each belongs to.
    pub(crate) mail_owners: MailOwners,
    /// The user whose manager, or the administrators in their place, will be told.
    pub(crate) superiors_of: Option<String>,
    pub(crate) cells: bool,
    /// An event that was held back.
    pub(crate) held_back: Option<EventIdentity>,
    /// The month of which totals are asked for: of departments, and of `users`.
    pub(crate) totals: Option<Month>,
}

/// The organisation as it is while a change is prepared.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) client: Option<ApiKey>,
    pub(crate) alert: Option<Alert>,
    pub(crate) incident: Option<Incident>,
    pub(crate) policy: Option<Policy>,
    /// Those that exist, by id.
    pub(crate) webhooks: BTreeMap<String, Webhook>,
    exemption: Option<Exemption>,
    pub(crate) pending: Vec<PendingExemption>,
    pub(crate) suppression: Option<Suppression>,
    /// Whom addresses belong to, by their mailbox.
    pub(crate) mail_owners: BTreeMap<String, String>,
    pub(crate) superiors: Superiors,
    /// The cells of the periods in force, where there are any.
    pub(crate) cells: Vec<(Month, Cell)>,
    pub(crate) held_back: Option<FlaggedEvent>,
    pub(crate) totals: Option<Totals>,
}

/// What was used in a month.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) departments: DepartmentTotals,
    /// By their id.
    pub(crate) users: BTreeMap<String, Sums>,
}

impl Loaded {
    /// The exemption that was asked for.
    pub(crate) fn exemption(&self) -> Result<&Exemption, ApiError> {
        let known = self.exemption.as_ref();
        known.ok_or_else(|| ApiError::not_found("exemption"))
    }

    /// Names `field` as invalid where the user it names does not exist.
    pub(crate) fn check_user(&self, field: &str, id: Option<&String>) -> Result<(), ApiError> {
        match id {
            Some(id) if !self.users.contains_key(id) => {
                Err(ApiError::field(field, "there is no such user"))
            }
            _ => Ok(()),
        }
    }

    /// Names `field` as invalid where the department it names does not exist.
    pub(crate) fn check_department(
        &self,
        field: &str,
        id: Option<&String>,
    ) -> Result<(), ApiError> {
        match id {
            Some(id) if !self.snapshot.configuration.departments.contains_key(id) => {
                Err(ApiError::field(field, "there is no such department"))
            }
            _ => Ok(()),
        }
    }
}

/// All of several checks, so that every wrong field is named at once.
pub(crate) fn all(checks: impl IntoIterator<Item = Result<(), ApiError>>) -> Result<(), ApiError> {
    let mut details: Vec<Detail> = Vec::new();
    for check in checks {
        match check {
            Ok(()) => {}
            Err(error) if error.details.is_empty() => return Err(error),
            Err(error) => details.extend(error.details),
        }
    }
    if details.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(details))
    }
}

/// The answer to a change, given the cell of the current period as it will be.
pub(crate) type AnswerOf = Box<dyn Fn(Option<&Cell>) -> Answer + Send + Sync>;

/// A change that is ready to be committed.
pub(crate) struct Prepared {
    pub(crate) rows: Vec<Row>,
    /// What tells of it: written with it and queued after it.
    pub(crate) notices: Vec<Notice>,
    pub(crate) head: Head,
    pub(crate) counters: CounterEffect,
    pub(crate) ledger: Option<LedgerWrite>,
    /// `budget.create`.
    pub(crate) action: &'static str,
    /// `budget/bud_...`.
    pub(crate) resource: String,
    /// The resource before and after, as JSON.
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) answer: AnswerOf,
}

impl Prepared {
    /// A change without an effect yet on a snapshot's head.
    pub(crate) fn new(loaded: &Loaded, action: &'static str, resource: String) -> Self {
        Self {
            rows: Vec::new(),
            notices: Vec::new(),
            head: loaded.snapshot.head.clone(),
            counters: CounterEffect::Unseen,
            ledger: None,
            action,
            resource,
            before: None,
            after: None,
            reason: None,
            answer: Box::new(|_| Answer {
                status: 204,
                body: String::new(),
                secrets: Vec::new(),
            }),
        }
    }

    /// The same with an answer that is known already.
    pub(crate) fn answering(mut self, status: u16, body: String) -> Self {
        self.answer = Box::new(move |_| Answer {
            status,
            body: body.clone(),
            secrets: Vec::new(),
        });
        self
    }
}

/// Prepares a change and commits it, again and again while others are faster.
pub(crate) async fn change(
    app: &App,
    actor: &Actor,
    needs: &Needs,
    idempotent: Option<&IdempotentRequest>,
    prepare: impl Fn(&Loaded) -> Result<Prepared, ApiError>,
) -> Result<Response, ApiError> {
    if let Some(answer) = answered_before(app, idempotent).await? {
        return Ok(respond(answer));
    }
    let now = app.clock.now();
    for attempt in 0..ATTEMPTS {
        let loaded = load(app, &actor.organisation_id, needs, now).await?;
        let prepared = match prepare(&loaded) {
            Ok(prepared) => prepared,
            // What is in the way may be what the same request made a moment ago.
            Err(error) => {
                let answer = answered_before(app, idempotent).await?;
                return answer.map(respond).ok_or(error);
            }
        };
        let mut rows = prepared.rows;
        for notice in &prepared.notices {
            rows.push(Row::notice(&actor.organisation_id, notice)?);
        }
        let change = Change {
            rows,
            head: prepared.head,
            counters: prepared.counters,
            ledger: prepared.ledger,
            audit: vec![AuditEntry {
                actor: actor.name.clone(),
                action: prepared.action.to_owned(),
                resource: prepared.resource,
                before: prepared.before,
                after: prepared.after,
                reason: prepared.reason,
                authority: actor.authority.clone(),
                request_id: actor.request_id.clone(),
            }],
        };
        let keep = |cell: Option<&Cell>| {
            let keep = |key: &IdempotentRequest| key.keep(&(prepared.answer)(cell));
            idempotent.map(keep).transpose()
        };
        match app
            .store
            .commit(&loaded.snapshot, change, keep, now)
            .await?
        {
            Committed::Done(cell) => {
                for notice in &prepared.notices {
                    let organisation_id = &actor.organisation_id;
                    app.notices.tell_or_leave(organisation_id, &notice.id).await;
                }
                return Ok(respond((prepared.answer)(cell.as_ref())));
            }
            Committed::AnsweredBefore => {
                if let Some(answer) = answered_before(app, idempotent).await? {
                    return Ok(respond(answer));
                }
            }
            Committed::Stale => {
                let spread = shared::runtime::random::bytes::<1>()?[0];
                let most_ms = (u64::from(attempt) + 1).min(20);
                tokio::time::sleep(Duration::from_millis(u64::from(spread) % most_ms)).await;
            }
        }
    }
    Err(StoreError::Contended.into())
}

/// The answer that an idempotency key has already.
pub(crate) async fn answered_before(
    app: &App,
    idempotent: Option<&IdempotentRequest>,
) -> Result<Option<Answer>, ApiError> {
    let Some(idempotent) = idempotent else {
        return Ok(None);
    };
    let (organisation_id, digest) = idempotent.place();
    match app.store.stored_answer(organisation_id, digest).await? {
        Some(stored) => idempotent.replay(stored).map(Some),
        None => Ok(None),
    }
}

async fn load(
    app: &App,
    organisation_id: &str,
    needs: &Needs,
    now: jiff::Timestamp,
) -> Result<Loaded, ApiError> {
    let snapshot = app.store.snapshot_for_change(organisation_id).await?;
    let snapshot = snapshot.ok_or_else(|| ApiError::not_found("organisation"))?;
    // Everything else is read after the head, so whatever changes from here on makes the commit stale.
    let mut users = BTreeMap::new();
    for id in &needs.users {
        if let Some(user) = app.store.user(organisation_id, id).await? {
            users.insert(id.clone(), user);
        }
    }
    let api_key = match &needs.api_key {
        Some(id) => app.store.api_key(organisation_id, id).await?,
        None => None,
    };
    let client = match &needs.client {
        Some(id) => app.store.client_of(organisation_id, id).await?,
        None => None,
    };
    let alert = match &needs.alert {
        Some(id) => app.store.alert(organisation_id, id).await?,
        None => None,
    };
    let incident = match &needs.incident {
        Some(id) => app.store.incident(organisation_id, id).await?,
        None => None,
    };
    let policy = match &needs.policy {
        Some(id) => app.store.policy(organisation_id, id).await?,
        None => None,
    };
    let mut webhooks = BTreeMap::new();
    for id in &needs.webhooks {
        let webhook = app.store.webhook(organisation_id, id).await?;
        webhooks.extend(webhook.map(|webhook| (id.clone(), webhook)));
    }
    let exemption = match &needs.exemption {
        Some(id) => app.store.exemption(organisation_id, id).await?,
        None => None,
    };
    let pending = match needs.pending {
        true => app.store.pending_exemptions(organisation_id).await?,
        false => Vec::new(),
    };
    let suppression = match &needs.suppression {
        Some(email) => {
            let mailbox = address_digest(email);
            app.store.suppression(organisation_id, &mailbox).await?
        }
        None => None,
    };
    let mail_owners = needs.mail_owners.load(app, organisation_id, &users).await?;
    let superiors = match needs.superiors_of.as_ref().and_then(|id| users.get(id)) {
        Some(user) => {
            app.store
                .superiors_of(&snapshot.configuration, user)
                .await?
        }
        None => Superiors::default(),
    };
    let mut cells = Vec::new();
    if needs.cells {
        for period in snapshot.configuration.periods_in_force(now) {
            let cell = app.store.cell(organisation_id, period).await?;
            cells.extend(cell.map(|cell| (period, cell)));
        }
    }
    let held_back = match &needs.held_back {
        Some(identity) => app.store.held_back(organisation_id, identity).await?,
        None => None,
    };
    let totals = match needs.totals {
        Some(month) => {
            let departments = app.store.department_totals(organisation_id, month).await?;
            let mut of_users = BTreeMap::new();
            for id in users.keys() {
                let sums = app.store.user_total(organisation_id, month, id).await?;
                of_users.insert(id.clone(), sums);
            }
            Some(Totals {
                departments,
                users: of_users,
            })
        }
        None => None,
    };
    Ok(Loaded {
        snapshot,
        users,
        api_key,
        client,
        alert,
        incident,
        policy,
        webhooks,
        exemption,
        pending,
        suppression,
        mail_owners,
        superiors,
        cells,
        held_back,
        totals,
    })
}

/// An answer as a response.
pub(crate) fn respond(answer: Answer) -> Response {
    if answer.status == 204 {
        return axum::response::IntoResponse::into_response(http::StatusCode::NO_CONTENT);
    }
    json(answer.status, answer.body)
}

/// A conflict where the header `If-Match` names another version.
pub(crate) fn check_version(headers: &HeaderMap, version: u64) -> Result<(), ApiError> {
    let Some(value) = headers.get(http::header::IF_MATCH) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let wanted =
        version_of(text).ok_or_else(|| ApiError::field("If-Match", "must be a version like 3"))?;
    if wanted == version {
        Ok(())
    } else {
        Err(ApiError::conflict(format!(
            "the version is {version}, not {wanted}; read it again and decide anew"
        )))
    }
}

/// `3`, `"3"` or `W/"3"`.
fn version_of(text: &str) -> Option<u64> {
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let quoted = tag.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    let digits = quoted.unwrap_or(Some(tag))?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}
