//! Reports the ends of exemptions, and writes them into the audit log. Exemptions end by time,
//! whether or not a pass comes.

use super::App;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::change::{Author, Change, Update};
use shared::domain::exemption::grant::Grant;
use shared::domain::exemption::{Exemption, ExemptionStatus};
use shared::domain::notice::Recipient;
use shared::domain::notice::exemption::{Event, notice};
use shared::domain::org::configuration::Configuration;
use shared::ledger::{ChangeRequest, Changed, Snapshot, Step};
use shared::runtime::logs::{ErrorType, report};
use shared::store::{PendingExemption, StoreError, new_id};
use std::sync::Arc;

/// How often a step is tried again in one pass because of other changes. The next pass does the
/// rest.
const ATTEMPTS: u32 = 5;
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
        match step(app, organisation_id, &id, now).await {
            Ok(has_ended) => ended += u64::from(has_ended),
            // The others have their turn.
            Err(error) => report(
                ErrorType::OrganisationNotTended,
                "the end of an exemption is left to the next pass",
                &error,
            ),
        }
    }
    Ok(ended)
}

/// Does what is due for one exemption. Returns whether it has ended.
async fn step(
    app: &App,
    organisation_id: &str,
    id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let author = Author::schedule();
    let request = ChangeRequest {
        organisation_id,
        author: &author,
        now,
        attempts: ATTEMPTS,
    };
    let prepare = async |snapshot: Arc<Snapshot>| prepared(app, &snapshot, id, now).await;
    match app.store.change(&request, prepare).await? {
        Changed::Committed(committed) => {
            for notice_id in &committed.notice_ids {
                app.notices.tell_or_leave(organisation_id, notice_id).await;
            }
            Ok(committed.value)
        }
        Changed::Stopped(_)
        | Changed::Contended
        | Changed::AnsweredBefore
        | Changed::UnknownOrganisation => Ok(false),
    }
}

async fn prepared(
    app: &App,
    snapshot: &Snapshot,
    id: &str,
    now: Timestamp,
) -> Result<Step<bool>, StoreError> {
    let organisation_id = &snapshot.configuration.organisation.id;
    let Some(before) = app.store.exemption(organisation_id, id).await? else {
        return Ok(Step::Stop(false));
    };
    let has_ended = before.status(now) == ExemptionStatus::Expired
        && before.decided != ExemptionStatus::Expired;
    let is_ending = before.ends_soon(now) && !before.is_end_told;
    if !has_ended && !is_ending {
        return Ok(Step::Stop(false));
    }
    let grant: Vec<Grant> = before.grant().into_iter().collect();
    let given = app.store.given_by(&snapshot.configuration, &grant, now);
    let given = given.await?.remove(id).unwrap_or_default();
    let mut after = before.clone();
    after.version += 1;
    after.updated_at = now;
    let event = if has_ended {
        after.decided = ExemptionStatus::Expired;
        Event::Expired(given)
    } else {
        after.is_end_told = true;
        Event::Ending(given)
    };
    let user_id = &after.terms.user_id;
    // A request that nobody decided in time is told of too: its user waits for an answer.
    let notice = match app.store.user(organisation_id, user_id).await? {
        Some(user) => {
            let to = vec![Recipient::mail(&user, "it is for you".to_owned())];
            Some(notice(
                new_id("ntc_", now, 0)?,
                event,
                &after,
                &user,
                to,
                now,
            ))
        }
        None => None,
    };
    let exemption = Update::new(before, after, described);
    let change = match has_ended {
        true => Change::ExemptionExpired { exemption, notice },
        false => Change::ExemptionEnding { exemption, notice },
    };
    Ok(Step::commit(change, has_ended))
}

fn described(exemption: &Exemption) -> String {
    json!({"status": exemption.decided, "is_end_told": exemption.is_end_told}).to_string()
}
