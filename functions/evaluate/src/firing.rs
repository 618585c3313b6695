//! Takes the actions of a policy that fired, in one transaction with its marker, so that they
//! happen once.

use super::App;
use super::context::{BatchContext, PolicyMatch, recipients};
use serde_json::json;
use shared::domain::change::{Author, Change, Update};
use shared::domain::notice::blocking::blocked_by_policy;
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::incident::Cause;
use shared::domain::notice::{Notice, Recipient};
use shared::domain::org::people::{Block, User};
use shared::domain::policy::{Fired, FiringRecord, FiringReport};
use shared::ledger::{ChangeRequest, Changed, Snapshot, Step};
use shared::runtime::logs::{self, Metric};
use shared::store::{StoreError, new_id};
use std::sync::Arc;

/// How often a block is prepared again because of other changes.
pub(super) const ATTEMPTS: u32 = 24;

/// A firing with all its parts except for the block.
struct Prepared<'a> {
    telling: FiringReport<'a>,
    user: Option<User>,
    recipients: Vec<Recipient>,
    /// The actions that cannot be taken, in words.
    not_done: Vec<&'static str>,
    fired: Fired,
}

/// Takes the actions of the policy. None if it fired before.
pub(super) async fn fire(
    acting: &BatchContext<'_>,
    found: &PolicyMatch<'_>,
) -> Result<Option<Fired>, StoreError> {
    let BatchContext {
        app, configuration, ..
    } = acting;
    let organisation_id = &configuration.organisation.id;
    let now = app.clock.now();
    let user = match &found.facts.user_id {
        Some(id) => app.store.user(organisation_id, id).await?,
        None => None,
    };
    let telling = FiringReport {
        policy: found.policy,
        facts: found.facts,
        firing: &found.firing,
        now,
    };
    let (recipients, mut not_done) = recipients(acting, found, user.as_ref()).await?;
    let block = match (telling.block(configuration), &user) {
        (None, _) => None,
        (Some(_), None) => {
            not_done.push("no block: the event names no known user");
            None
        }
        (Some(block), Some(_)) if !block.is_in_force(now) => {
            not_done.push("nobody was blocked: the month that it is about is over");
            None
        }
        (Some(block), Some(_)) => Some(block),
    };
    let fired = Fired {
        event: found.facts.identity.clone(),
        at: now,
        alert_id: new_id("alr_", now, 0)?,
        notice_id: new_id("ntc_", now, 0)?,
        more_notice_ids: Vec::new(),
        is_nobodys: found.facts.user_id.is_none(),
    };
    let prepared = Prepared {
        telling,
        user,
        recipients,
        not_done,
        fired,
    };
    let fired = match &block {
        Some(block) => fire_and_block(app, organisation_id, &prepared, block).await?,
        None => {
            let firing = record(&prepared, &Blocking::Nobody)?;
            fire_alone(app, organisation_id, firing).await?
        }
    };
    if let Some(fired) = &fired {
        let policy_id = &found.policy.id;
        tracing::info!(policy_id, alert_id = fired.alert_id, "a policy fired");
        logs::count(&[(Metric::PoliciesFired, 1)]);
    }
    Ok(fired)
}

/// Whom a firing blocks.
enum Blocking<'a> {
    Nobody,
    /// The user has a block already that lasts longer.
    Already(&'a Block),
    /// This user, as they will be.
    Now(&'a User, &'a Block),
}

/// Writes a firing that blocks nobody now. None if the policy fired before.
async fn fire_alone(
    app: &App,
    organisation_id: &str,
    firing: FiringRecord,
) -> Result<Option<Fired>, StoreError> {
    let is_new = app.store.fire(organisation_id, &firing).await?;
    Ok(is_new.then_some(firing.fired))
}

/// Builds the record of a firing, with a notice for each of its actions.
fn record(prepared: &Prepared<'_>, blocking: &Blocking<'_>) -> Result<FiringRecord, StoreError> {
    let Prepared {
        telling,
        user,
        recipients,
        not_done,
        fired,
    } = prepared;
    let now = telling.now;
    let mut alert = telling.alert(fired.alert_id.clone());
    if let Some(metadata) = alert.metadata.as_object_mut() {
        metadata.insert("not_done".to_owned(), json!(not_done));
    }
    let incident = telling.incident(new_id("inc_", now, 0)?, &alert.id);
    let mut more = Vec::new();
    if let Some(incident) = &incident {
        // The policy itself chooses whom it notifies.
        more.push(incident.notice(new_id("ntc_", now, 1)?, Cause::Policy, Vec::new()));
    }
    if let Blocking::Now(user, block) = blocking {
        more.push(blocked_by_policy(new_id("ntc_", now, 2)?, user, block));
    }
    let block = match blocking {
        Blocking::Nobody => None,
        Blocking::Already(block) | Blocking::Now(_, block) => Some(*block),
    };
    let [title, message] = telling.text();
    let until = |block: &Block| json!({"until": block.until.map(|until| until.to_string())});
    let payload = json!({
        "title": title,
        "message": message,
        "facts": telling.metadata(),
        "user": user.as_ref().map(|user| json!({"id": user.id, "name": user.name})),
        "department_id": telling.department_id(),
        "alert_id": alert.id,
        "incident_id": incident.as_ref().map(|incident| &incident.id),
        "blocked": block.map(until),
        "not_done": not_done,
    });
    let (id, kind) = (fired.notice_id.clone(), EventType::PolicyFired);
    let notice = Notice::new(id, kind, payload, recipients.clone(), now);
    let fired = Fired {
        more_notice_ids: more.iter().map(|notice| notice.id.clone()).collect(),
        ..fired.clone()
    };
    let mut notices = vec![notice];
    notices.extend(more);
    Ok(FiringRecord {
        policy_id: telling.policy.id.clone(),
        subject: telling.firing.subject.clone(),
        fired,
        alert: Some(alert),
        incident,
        notices,
    })
}

/// Returns the audit log's text for a user whom a policy blocks.
pub(super) fn described(user: &User) -> String {
    json!({"id": user.id, "block": user.block}).to_string()
}

/// Returns the user without and with the block.
pub(super) fn blocked(before: User, block: &Block) -> Update<User> {
    let mut after = before.clone();
    after.block = Some(block.clone());
    after.version += 1;
    after.updated_at = block.since;
    Update::new(before, after, described)
}

/// Returns the author of a policy's changes.
pub(super) fn author(telling: &FiringReport<'_>) -> Author {
    Author {
        name: format!("policy/{}", telling.policy.id),
        authority: None,
        request_id: telling.facts.event_id.clone(),
    }
}

/// Fires and blocks the user in the same transaction, as a change with its audit entry. A block
/// that lasts longer stays as it is.
async fn fire_and_block(
    app: &App,
    organisation_id: &str,
    prepared: &Prepared<'_>,
    block: &Block,
) -> Result<Option<Fired>, StoreError> {
    let telling = &prepared.telling;
    let user_id = telling.facts.user_id.as_deref().unwrap_or_default();
    let author = author(telling);
    let request = ChangeRequest {
        organisation_id,
        author: &author,
        now: block.since,
        attempts: ATTEMPTS,
    };
    let prepare = async |snapshot: Arc<Snapshot>| {
        if snapshot.attempt > 0 {
            let firing = [(telling.policy.id.as_str(), &telling.firing.subject)];
            if !app.store.fired(organisation_id, &firing).await?.is_empty() {
                return Ok::<_, StoreError>(Step::Stop(None));
            }
        }
        // Read after the snapshot: whatever changes it from here on makes the commit stale.
        let before = app.store.user(organisation_id, user_id).await?;
        let known = before.as_ref().and_then(|before| before.block.as_ref());
        let firing = match (&before, known.filter(|known| lasts(known, block))) {
            (None, _) => record(prepared, &Blocking::Nobody)?,
            (Some(_), Some(known)) => record(prepared, &Blocking::Already(known))?,
            (Some(before), None) => {
                let user = blocked(before.clone(), block);
                let firing = record(prepared, &Blocking::Now(&user.after.value, block))?;
                let fired = firing.fired.clone();
                let change = Change::PolicyBlocked { user, firing };
                return Ok(Step::commit(change, Some(fired)));
            }
        };
        Ok(Step::Stop(fire_alone(app, organisation_id, firing).await?))
    };
    match app.store.change(&request, prepare).await? {
        Changed::Committed(committed) => Ok(committed.value),
        Changed::Stopped(fired) => Ok(fired),
        Changed::UnknownOrganisation => Ok(None),
        Changed::Contended | Changed::AnsweredBefore => Err(StoreError::Contended),
    }
}

/// Returns whether `known` is in force and ends no earlier than `other`.
pub(super) fn lasts(known: &Block, other: &Block) -> bool {
    known.is_in_force(other.since)
        && match (known.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(other)) => known >= other,
        }
}
