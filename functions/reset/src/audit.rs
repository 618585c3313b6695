//! The self-audit on demand: compares one organisation's books now, and repairs its cells if that
//! is requested.

use super::App;
use serde::Deserialize;
use shared::domain::ledger::self_audit::{Difference, Subject};
use shared::ledger::Books;
use shared::store::StoreError;
use std::time::Instant;

/// The payload if the function is invoked by hand instead of by the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    /// The id of the organisation.
    pub audit: String,
    /// Whether to rebuild cells that differ from the totals, if the totals agree with the records.
    #[serde(default)]
    pub repair: bool,
}

/// Compares the books of the last thirteen months, if a month has any. If a repair is requested, a
/// cell that differs is rebuilt from the totals, unless the totals differ from their records too.
pub async fn audit(
    app: &App,
    request: &AuditRequest,
    until: Instant,
) -> Result<Vec<Books>, StoreError> {
    let organisation_id = &request.audit;
    let Some(configuration) = app.store.configuration(organisation_id).await? else {
        return Ok(Vec::new());
    };
    let now = app.clock.now();
    let mut books = Vec::new();
    for month in configuration.months_with_usage(now) {
        if !app.store.has_books(organisation_id, month).await? {
            continue;
        }
        let compared = app
            .store
            .compare_records(&configuration, month, now, until)
            .await?;
        let (records, mut differences) = match compared {
            Some((records, differences)) => (Some(records), differences),
            None => (None, Vec::new()),
        };
        let counters = app
            .store
            .compare_counters(organisation_id, month, now)
            .await?;
        let is_repairable = differences.is_empty() && counters.iter().all(is_of_counter);
        let is_repaired = request.repair && is_repairable && !counters.is_empty();
        if is_repaired {
            app.store.repair_cell(organisation_id, month).await?;
        }
        differences.extend(counters);
        books.push(Books {
            organisation_id: organisation_id.clone(),
            period: month,
            records,
            differences,
            is_repaired,
        });
    }
    Ok(books)
}

/// Returns whether the difference is in a counter. A counter follows from the totals, a carry does
/// not.
fn is_of_counter(difference: &Difference) -> bool {
    matches!(
        difference.subject,
        Subject::Budget { .. } | Subject::Level { .. }
    )
}
