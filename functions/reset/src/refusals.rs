//! Writes the refused preflights of past hours into the audit log: one entry for each hour, user
//! and reason.

use jiff::Timestamp;
use shared::domain::change::{Author, Change};
use shared::domain::ledger::refused::hours_to_tell;
use shared::ledger::{ChangeRequest, Changed, Snapshot, Step};
use shared::store::{Store, StoreError};
use std::sync::Arc;
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
    let author = Author {
        name: "preflight".to_owned(),
        ..Author::schedule()
    };
    let request = ChangeRequest {
        organisation_id,
        author: &author,
        now,
        attempts: ATTEMPTS,
    };
    let [first, last] = hours_to_tell(now);
    let mut written = 0;
    loop {
        let prepare = async |_: Arc<Snapshot>| {
            if Instant::now() >= until {
                return Ok::<_, StoreError>(Step::Stop(0));
            }
            // Read after the snapshot. If another pass logs them in the meantime, this change is
            // stale.
            let untold = store.unlogged_refusals(organisation_id, [&first, &last], AT_ONCE);
            let untold = untold.await?;
            let count = u64::try_from(untold.len()).unwrap_or(0);
            Ok(match untold.is_empty() {
                true => Step::Stop(0),
                false => Step::commit(Change::DenialsLogged(untold), count),
            })
        };
        match store.change(&request, prepare).await? {
            Changed::Committed(committed) => written += committed.value,
            Changed::Stopped(_)
            | Changed::Contended
            | Changed::AnsweredBefore
            | Changed::UnknownOrganisation => return Ok(written),
        }
    }
}
