//! The self-audit on demand: one organisation's books, compared now, and its cells repaired where that is asked for.

use super::App;
use serde::Deserialize;
use shared::domain::self_audit::{Difference, Subject};
use shared::ledger::Books;
use shared::store::StoreError;
use std::time::Instant;

/// What the function may be invoked with by hand, in place of the schedule's event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    /// The organisation.
    pub audit: String,
    /// Whether cells that differ are made anew from the totals, where the totals agree with the records.
    #[serde(default)]
    pub repair: bool,
}

/// Compares the books of every month of the last thirteen that has any. Where it was asked to repair, a cell that differs is made anew,
/// unless the totals it would be made from differ from their records too.
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

/// A counter follows from the totals; a carry does not.
fn is_of_counter(difference: &Difference) -> bool {
    matches!(
        difference.subject,
        Subject::Budget { .. } | Subject::Level { .. }
    )
}
