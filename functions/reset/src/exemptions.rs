//! Reports the ends of exemptions, and writes them into the audit log. Exemptions end by time,
//! whether or not a pass comes.

use super::App;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::audit::AuditEntry;
use shared::domain::configuration::Configuration;
use shared::domain::exemption::{Decided, Exemption, Grant};
use shared::domain::exemption_notice::{Event, notice};
use shared::domain::notice::Recipient;
use shared::runtime::logs::{ErrorType, report};
use shared::store::{
    Change, Committed, CounterEffect, PendingExemption, Row, Snapshot, StoreError, new_id,
};

/// How often a step is tried again in one pass because of other changes. The next pass does the
/// rest.
const ATTEMPTS: usize = 5;
/// How old an end may be that is still reported.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(72);

/// Reports exemptions that end soon or have ended. Returns how many have ended.
pub(super) async fn end_exemptions(
    app: &App,
    configuration: &Configuration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let organisation_id = &configuration.organisation.id;
    let mut ids: Vec<String> = Vec::new();
    let grants = configuration.grants.iter();
    // Older ends were reported.
    let is_recent = |ends_at: Timestamp| now.duration_since(ends_at) < LOOK_BACK;
    let is_due = |grant: &&Grant| grant.terms.is_ending(now) && is_recent(grant.terms.ends_at);
    let due = grants.filter(is_due);
    ids.extend(due.map(|grant| grant.id.clone()));
    let pending = app.store.pending_exemptions(organisation_id).await?;
    let is_over = |one: &PendingExemption| one.ends_at <= now && is_recent(one.ends_at);
    let over = pending.into_iter().filter(is_over);
    ids.extend(over.map(|one| one.id));
    let mut ended = 0;
    for id in ids {
        for _ in 0..ATTEMPTS {
            match step(app, organisation_id, &id, now).await {
                Ok(Some(has_ended)) => {
                    ended += u64::from(has_ended);
                    break;
                }
                Ok(None) => tokio::task::yield_now().await,
                // The others have their turn.
                Err(error) => {
                    report(
                        ErrorType::OrganisationNotTended,
                        "the end of an exemption is left to the next pass",
                        &error,
                    );
                    break;
                }
            }
        }
    }
    Ok(ended)
}

/// What is due for one exemption: whether it has ended. None where the organisation changed meanwhile.
async fn step(
    app: &App,
    organisation_id: &str,
    id: &str,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    let Some(snapshot) = app.store.snapshot_for_change(organisation_id).await? else {
        return Ok(Some(false));
    };
    let Some(before) = app.store.exemption(organisation_id, id).await? else {
        return Ok(Some(false));
    };
    let has_ended = before.status(now) == Decided::Expired && before.decided != Decided::Expired;
    let is_ending = before.ends_soon(now) && !before.is_end_told;
    if !has_ended && !is_ending {
        return Ok(Some(false));
    }
    let grant: Vec<Grant> = before.grant().into_iter().collect();
    let given = app.store.given_by(&snapshot.configuration, &grant, now);
    let given = given.await?.remove(id).unwrap_or_default();
    let mut after = before.clone();
    after.version += 1;
    after.updated_at = now;
    let event = if has_ended {
        after.decided = Decided::Expired;
        Event::Expired(given)
    } else {
        after.is_end_told = true;
        Event::Ending(given)
    };
    let user_id = &after.terms.user_id;
    let user = app.store.user(organisation_id, user_id).await?;
    let mut rows = vec![Row::exemption_alone(organisation_id, &after)?];
    let mut notice_id = None;
    // A request that nobody decided in time is told of too: its user waits for an answer.
    if let Some(user) = user {
        let id = new_id("ntc_", now, 0)?;
        let to = vec![Recipient::mail(&user, "it is for you".to_owned())];
        let notice = notice(id.clone(), event, &after, &user, to, now);
        rows.push(Row::notice(organisation_id, &notice)?);
        notice_id = Some(id);
    }
    let change = change_of(&snapshot, &before, &after, rows, has_ended);
    let committed: Committed = app
        .store
        .commit(&snapshot, change, |_| Ok::<_, StoreError>(None), now)
        .await?;
    if !matches!(committed, Committed::Done(_)) {
        return Ok(None);
    }
    if let Some(notice_id) = notice_id {
        app.notices.tell_or_leave(organisation_id, &notice_id).await;
    }
    Ok(Some(has_ended))
}

/// No decision can see it: by its time it is over anyway.
fn change_of(
    snapshot: &Snapshot,
    before: &Exemption,
    after: &Exemption,
    rows: Vec<Row>,
    has_ended: bool,
) -> Change {
    let action = if has_ended {
        "exemption.expire"
    } else {
        "exemption.ending"
    };
    let described = |exemption: &Exemption| {
        json!({"status": exemption.decided, "is_end_told": exemption.is_end_told}).to_string()
    };
    Change {
        rows,
        head: snapshot.head.clone(),
        ledger: None,
        counters: CounterEffect::Unseen,
        audit: vec![AuditEntry {
            actor: "schedule".to_owned(),
            action: action.to_owned(),
            resource: format!("exemption/{}", after.id),
            before: Some(described(before)),
            after: Some(described(after)),
            reason: None,
            authority: None,
            request_id: "schedule".to_owned(),
        }],
    }
}
