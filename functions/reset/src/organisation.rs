//! Processes one organisation.

use super::report::count;
use super::{App, OrganisationReport, books, exemptions, heads, refusals};
use jiff::{SignedDuration, Timestamp};
use shared::domain::change::Author;
use shared::domain::ledger::rollover::{Due, due};
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::ledger::Snapshot;
use shared::runtime::logs::{ErrorType, report};
use shared::store::StoreError;
use std::time::Instant;

/// How long before the beginning of a month its cell is opened.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// The greatest and the least age of a notice that is queued again. Younger ones are in flight.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(48);
const IN_FLIGHT: SignedDuration = SignedDuration::from_mins(10);

/// Does all that is due for an organisation. The next pass does what is left at `until`.
pub(super) async fn process_organisation(
    app: &App,
    organisation_id: &str,
    until: Instant,
) -> Result<OrganisationReport, StoreError> {
    let now = app.clock.now();
    let mut done = OrganisationReport::default();
    // The audit log comes first, so that it is complete even if the rest fails.
    match refusals::audit_refusals(&app.store, organisation_id, now, until).await {
        Ok(written) => done.refusals_audited += written,
        Err(error) => report(
            ErrorType::OrganisationNotTended,
            "refusals are left to the next pass",
            &error,
        ),
    }
    match heads::sign_head(app, organisation_id, now, until).await {
        Ok(signed) => done.heads_signed += signed,
        Err(error) => report(
            ErrorType::AuditHeadNotKept,
            "the head of the audit log is left to the next pass",
            &error,
        ),
    }
    let mut snapshot = None;
    while Instant::now() < until {
        let Some(read) = app.store.snapshot_for_change(organisation_id).await? else {
            return Ok(done);
        };
        if !close_or_correct(app, &read, now, &mut done).await? {
            snapshot = Some(read);
            break;
        }
    }
    let Some(Snapshot { configuration, .. }) = snapshot else {
        return Ok(done);
    };
    let period = configuration.period_of(now);
    open_ahead(app, &configuration, period, now).await?;
    let months = [period.prev(), period];
    for month in months {
        sweep_month(app, &configuration, month, now, &mut done).await?;
    }
    match exemptions::end_exemptions(app, &configuration, now).await {
        Ok(ended) => done.exemptions_ended += ended,
        Err(error) => report(
            ErrorType::OrganisationNotTended,
            "the ends of exemptions are left to the next pass",
            &error,
        ),
    }
    if let Err(error) = queue_missing(app, organisation_id, now).await {
        report(
            ErrorType::OrganisationNotTended,
            "notices are left to the next pass",
            &error,
        );
    }
    books::compare(app, &configuration, months, until, &mut done).await?;
    Ok(done)
}

/// Queues the notices of the last two days whose message did not reach the queue, because the
/// function that wrote them was stopped.
async fn queue_missing(app: &App, organisation_id: &str, now: Timestamp) -> Result<(), StoreError> {
    let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(now);
    let times = [before(LOOK_BACK), before(IN_FLIGHT)];
    for notice_id in app.store.unqueued_notices(organisation_id, times).await? {
        if let Err(error) = app.notices.tell(organisation_id, &notice_id).await {
            report(
                ErrorType::NoticeNotQueued,
                "a notice is left to the next pass",
                &error,
            );
            return Ok(());
        }
    }
    Ok(())
}

/// Closes or corrects one month, if one is due.
async fn close_or_correct(
    app: &App,
    snapshot: &Snapshot,
    now: Timestamp,
    done: &mut OrganisationReport,
) -> Result<bool, StoreError> {
    let configuration = &snapshot.configuration;
    let organisation_id = &configuration.organisation.id;
    let (closed, corrected) = (
        snapshot.head.closed_through,
        snapshot.head.corrected_through,
    );
    match due(configuration, closed, corrected, now) {
        None => return Ok(false),
        Some(Due::Close(month)) => {
            let turned = app.store.close_month(organisation_id, month, now).await?;
            done.months_closed += 1;
            done.rollovers_credited += count(&turned.rollovers);
            if let Some(notice_id) = &turned.notice_id {
                app.notices.tell_or_leave(organisation_id, notice_id).await;
            }
        }
        Some(Due::Correct(month)) => {
            let turned = app.store.correct_month(organisation_id, month, now).await?;
            done.months_corrected += 1;
            done.rollovers_corrected += count(&turned.rollovers);
        }
    }
    Ok(true)
}

/// Opens the next month's cell in the last day of this month, so that the first request finds it.
async fn open_ahead(
    app: &App,
    configuration: &Configuration,
    period: Month,
    now: Timestamp,
) -> Result<(), StoreError> {
    let end = configuration.organisation.month_end(period);
    if end.duration_since(now) <= AHEAD {
        // If the configuration changed meanwhile, the next pass or the first request opens the
        // cell.
        let _opened = app
            .store
            .cell_in_force(configuration, period.next())
            .await?;
    }
    Ok(())
}

/// Releases lapsed holds of a month without requests, and reports crossings that were not reported.
async fn sweep_month(
    app: &App,
    configuration: &Configuration,
    period: Month,
    now: Timestamp,
    done: &mut OrganisationReport,
) -> Result<(), StoreError> {
    let organisation_id = &configuration.organisation.id;
    if app.store.cell(organisation_id, period).await?.is_none() {
        return Ok(());
    }
    let Some(cell) = app.store.swept_cell(configuration, period, now).await? else {
        return Ok(());
    };
    let is_in_force = !configuration.is_over(period, now);
    if is_in_force && cell.epoch != configuration.epoch {
        return Ok(());
    }
    // Those who record usage do this sooner, unless nothing is recorded.
    if is_in_force && configuration.placement.is_crowded(&cell.load(now), now) {
        app.store
            .split_cells(organisation_id, &Author::schedule(), now)
            .await?;
    }
    let told = app
        .store
        .raise_crossing_alerts(configuration, period, &cell, now)
        .await?;
    done.alerts += count(&told);
    for told in told {
        app.notices
            .tell_or_leave(organisation_id, &told.notice_id)
            .await;
    }
    Ok(())
}
