//! Compares the books of an organisation: cells and totals on each pass, all records once a day.

use super::report::count;
use super::{App, OrganisationReport};
use jiff::{SignedDuration, Timestamp};
use shared::domain::ledger::self_audit::Difference;
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::ledger::Allowance;
use shared::runtime::logs::ErrorType;
use shared::store::{KeptComparison, StoreError};
use std::time::{Duration, Instant};

/// How long a pass reads the records of one organisation. The next pass goes on, so that the
/// organisations behind it have their turn.
const SLICE: Duration = Duration::from_secs(240);
/// How old the last comparison may be.
const LATE: SignedDuration = SignedDuration::from_hours(72);

/// The most differences that one pass reports. The next pass finds the others again.
const MAX_REPORTED: usize = 20;

/// Compares the cells and totals of `months`. Once a day it compares those of every month that late
/// usage may change, and begins to compare all records of `months` with the totals, which may take
/// more passes than this. Raises alerts about differences.
pub(super) async fn compare(
    app: &App,
    configuration: &Configuration,
    months: [Month; 2],
    until: Instant,
    done: &mut OrganisationReport,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let organisation_id = &configuration.organisation.id;
    let kept = app.store.comparison(organisation_id).await?;
    let mut compared_at = kept.comparison.compared_at;
    // The counters of a month cost a few reads.
    let begins = kept.comparison.underway.is_none() && kept.comparison.is_due(now);
    let counted = match begins {
        true => configuration.months_with_usage(now),
        false => months.to_vec(),
    };
    for month in counted {
        let compared = app.store.compare_counters(organisation_id, month, now);
        tell(app, organisation_id, &compared.await?, now, done).await?;
    }
    let result = records(app, configuration, kept, until, done).await;
    if let Ok(Some(at)) = result {
        compared_at = Some(at);
    }
    let since = compared_at.unwrap_or(configuration.organisation.created_at);
    if now.duration_since(since) >= LATE {
        done.books_not_compared += 1;
        tracing::error!(
            error_type = ErrorType::BooksNotCompared.as_str(),
            organisation = organisation_id,
            %since,
            "the records were not compared with the totals for three days"
        );
    }
    result.map(|_| ())
}

/// Goes on with the comparison of the records. Returns when it began, if it is over.
async fn records(
    app: &App,
    configuration: &Configuration,
    kept: KeptComparison,
    until: Instant,
    done: &mut OrganisationReport,
) -> Result<Option<Timestamp>, StoreError> {
    let now = app.clock.now();
    let organisation_id = &configuration.organisation.id;
    let slice = Instant::now().checked_add(SLICE);
    let allowance = Allowance::until(slice.map_or(until, |slice| slice.min(until)));
    let compared = app.store.compare_on(configuration, kept, now, allowance);
    let compared = compared.await?;
    done.records_compared = done.records_compared.saturating_add(compared.records);
    let Some(over) = compared.over else {
        return Ok(None);
    };
    // If the pass is stopped before the end is stored, the next one finds the same again, and each
    // alert is raised once.
    tell(app, organisation_id, &over.differences, now, done).await?;
    app.store.end_comparison(organisation_id, over, now).await
}

/// Reports differences, and raises an alert about each that has none.
async fn tell(
    app: &App,
    organisation_id: &str,
    differences: &[Difference],
    now: Timestamp,
    done: &mut OrganisationReport,
) -> Result<(), StoreError> {
    done.differences = done.differences.saturating_add(count(differences));
    for difference in differences.iter().take(MAX_REPORTED) {
        tracing::error!(
            error_type = ErrorType::SelfAuditDifference.as_str(),
            organisation = organisation_id,
            %difference,
            "the books do not agree"
        );
        let told = app
            .store
            .raise_difference_alert(organisation_id, difference, now)
            .await?;
        if let Some(told) = told {
            app.notices
                .tell_or_leave(organisation_id, &told.notice_id)
                .await;
        }
    }
    Ok(())
}
