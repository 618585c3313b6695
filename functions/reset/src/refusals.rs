//! Writes the refused preflights of past hours into the audit log: one entry for each hour, user
//! and reason.

use jiff::Timestamp;
use shared::domain::audit::AuditEntry;
use shared::domain::refused::{RefusedHour, hours_to_tell};
use shared::store::{Change, Committed, CounterEffect, Row, Snapshot, Store, StoreError};
use std::time::Instant;

/// The most entries of one transaction. Each has a mark as well.
const AT_ONCE: usize = 40;
/// How often a step is tried again in one pass because of other changes.
const ATTEMPTS: u32 = 10;

/// Writes the entries that the audit log does not have yet, and returns how many. The next pass
/// does what is left at `until`.
pub(super) async fn audit_refusals(
    store: &Store,
    organisation_id: &str,
    now: Timestamp,
    until: Instant,
) -> Result<u64, StoreError> {
    let mut written = 0;
    let mut attempts = 0;
    while Instant::now() < until && attempts < ATTEMPTS {
        let Some(snapshot) = store.snapshot_for_change(organisation_id).await? else {
            return Ok(written);
        };
        let [first, last] = hours_to_tell(now);
        // Read after the organisation's head, so that whoever told of them meanwhile makes the change stale.
        let untold = store.untold_refusals(organisation_id, [&first, &last], AT_ONCE);
        let untold = untold.await?;
        if untold.is_empty() {
            return Ok(written);
        }
        let change = change_of(&snapshot, &untold)?;
        let committed: Committed = store
            .commit(&snapshot, change, |_| Ok::<_, StoreError>(None), now)
            .await?;
        match committed {
            Committed::Done(_) => written += u64::try_from(untold.len()).unwrap_or(0),
            Committed::Stale | Committed::AnsweredBefore => attempts += 1,
        }
    }
    Ok(written)
}

fn change_of(snapshot: &Snapshot, untold: &[(RefusedHour, u64)]) -> Result<Change, StoreError> {
    let organisation_id = &snapshot.configuration.organisation.id;
    let rows = untold.iter();
    let rows = rows.map(|(hour, _)| Row::refused_told(organisation_id, hour));
    let entries = untold.iter().map(|(hour, count)| AuditEntry {
        actor: "preflight".to_owned(),
        action: "preflight.refused".to_owned(),
        resource: format!("user/{}", hour.user_id),
        before: None,
        after: Some(hour.described(*count)),
        reason: Some(hour.reason.clone()),
        authority: None,
        request_id: "schedule".to_owned(),
    });
    Ok(Change {
        rows: rows.collect::<Result<_, _>>()?,
        head: snapshot.head.clone(),
        ledger: None,
        counters: CounterEffect::Unseen,
        audit: entries.collect(),
    })
}
