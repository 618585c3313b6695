//! One organisation's turn.

use super::App;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::domain::configuration::Configuration;
use shared::domain::period::Month;
use shared::domain::rollover::{Due, due};
use shared::runtime::logs::{ErrorType, report};
use shared::store::{Snapshot, StoreError};
use std::time::Instant;

/// How long before a month begins its cell is opened.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// How long after they were last compared all records are compared with the totals again.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

/// How far back notices are looked for that nobody was told of, and how old they are at least: younger ones are under way.
const UNTOLD_FOR: SignedDuration = SignedDuration::from_hours(48);
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(10);

/// The most differences that one pass tells of; the others are found again.
const MAX_TOLD: usize = 20;

/// What was done for organisations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tended {
    /// Months that were closed.
    pub months_closed: u64,
    /// Budgets whose rollover was credited.
    pub rollovers_credited: u64,
    /// Months whose late usage was seen to.
    pub months_corrected: u64,
    /// Budgets whose rollover was corrected.
    pub rollovers_corrected: u64,
    /// Exemptions that have ended.
    pub exemptions_ended: u64,
    /// Entries of the audit log about refused preflights.
    pub refusals_audited: u64,
    /// Heads of audit logs that were signed.
    pub heads_signed: u64,
    /// Alerts that were raised.
    pub alerts: u64,
    /// Records that were compared with the totals.
    pub records_compared: u64,
    /// Differences that the comparison found.
    pub differences: u64,
}

impl Tended {
    /// Adds what was done for another one.
    pub fn add(&mut self, other: Self) {
        self.months_closed += other.months_closed;
        self.rollovers_credited += other.rollovers_credited;
        self.months_corrected += other.months_corrected;
        self.rollovers_corrected += other.rollovers_corrected;
        self.exemptions_ended += other.exemptions_ended;
        self.refusals_audited += other.refusals_audited;
        self.heads_signed += other.heads_signed;
        self.alerts += other.alerts;
        self.records_compared += other.records_compared;
        self.differences += other.differences;
    }
}

/// Does all that is due for an organisation. What is left at `until` is done by the next pass.
pub(super) async fn tend(
    app: &App,
    organisation_id: &str,
    until: Instant,
) -> Result<Tended, StoreError> {
    let now = app.clock.now();
    let mut tended = Tended::default();
    // Whatever else fails, the audit log is complete.
    match super::refusals::tell(&app.store, organisation_id, now, until).await {
        Ok(written) => tended.refusals_audited += written,
        Err(error) => report(
            ErrorType::OrganisationNotTended,
            "refusals are left to the next pass",
            &error,
        ),
    }
    match super::heads::tend(app, organisation_id, now, until).await {
        Ok(signed) => tended.heads_signed += signed,
        Err(error) => report(
            ErrorType::AuditHeadNotKept,
            "the head of the audit log is left to the next pass",
            &error,
        ),
    }
    let mut snapshot = None;
    while Instant::now() < until {
        let Some(read) = app.store.snapshot_for_change(organisation_id).await? else {
            return Ok(tended);
        };
        if !turn_month(app, &read, now, &mut tended).await? {
            snapshot = Some(read);
            break;
        }
    }
    let Some(Snapshot { configuration, .. }) = snapshot else {
        return Ok(tended);
    };
    let period = configuration.period_of(now);
    open_ahead(app, &configuration, period, now).await?;
    let months = [period.prev(), period];
    for month in months {
        look_after(app, &configuration, month, now, &mut tended).await?;
    }
    match super::exemptions::tend(app, &configuration, now).await {
        Ok(ended) => tended.exemptions_ended += ended,
        Err(error) => report(
            ErrorType::OrganisationNotTended,
            "the ends of exemptions are left to the next pass",
            &error,
        ),
    }
    if let Err(error) = queue_untold(app, organisation_id, now).await {
        report(
            ErrorType::OrganisationNotTended,
            "notices are left to the next pass",
            &error,
        );
    }
    compare_books(app, &configuration, months, until, &mut tended).await?;
    Ok(tended)
}

/// Queues the notices of the last two days whose message did not reach the queue, because whoever wrote them was stopped.
async fn queue_untold(app: &App, organisation_id: &str, now: Timestamp) -> Result<(), StoreError> {
    let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(now);
    let times = [before(UNTOLD_FOR), before(UNDER_WAY)];
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

/// Compares cells and totals of `months` on each pass; once a day those of every month that usage may come for, and all
/// records of `months` with the totals. Alerts of what differs.
async fn compare_books(
    app: &App,
    configuration: &Configuration,
    months: [Month; 2],
    until: Instant,
    tended: &mut Tended,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let organisation_id = &configuration.organisation.id;
    let mut differences = Vec::new();
    let audited_at = app.store.audited_at(organisation_id).await?;
    let is_due = audited_at.is_none_or(|at| at > now || now.duration_since(at) >= DAILY);
    // Once a day every month that late usage may reach; its counters cost a few reads each.
    let counted = match is_due {
        true => configuration.months_with_usage(now),
        false => months.to_vec(),
    };
    for month in counted {
        let compared = app.store.compare_counters(organisation_id, month, now);
        differences.extend(compared.await?);
    }
    if is_due {
        let mut is_complete = true;
        for month in months {
            let compared = app
                .store
                .compare_records(configuration, month, now, until)
                .await?;
            match compared {
                Some((records, found)) => {
                    tended.records_compared += records;
                    differences.extend(found);
                }
                None => is_complete = false,
            }
        }
        if is_complete {
            app.store.set_audited_at(organisation_id, now).await?;
        } else {
            tracing::warn!(
                organisation = organisation_id,
                "the records are too many to compare in the time of one pass"
            );
        }
    }
    tended.differences += count(&differences);
    for difference in differences.iter().take(MAX_TOLD) {
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

/// Closes or corrects one month, if one is due.
async fn turn_month(
    app: &App,
    snapshot: &Snapshot,
    now: Timestamp,
    tended: &mut Tended,
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
            tended.months_closed += 1;
            tended.rollovers_credited += count(&turned.rollovers);
            if let Some(notice_id) = &turned.notice_id {
                app.notices.tell_or_leave(organisation_id, notice_id).await;
            }
        }
        Some(Due::Correct(month)) => {
            let turned = app.store.correct_month(organisation_id, month, now).await?;
            tended.months_corrected += 1;
            tended.rollovers_corrected += count(&turned.rollovers);
        }
    }
    Ok(true)
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// Opens the next month's cell in the last day of this one, so that its first request finds it.
async fn open_ahead(
    app: &App,
    configuration: &Configuration,
    period: Month,
    now: Timestamp,
) -> Result<(), StoreError> {
    let end = configuration.organisation.month_end(period);
    if end.duration_since(now) <= AHEAD {
        // Where the configuration changed meanwhile, the next pass or the first request opens it.
        let _opened = app
            .store
            .cell_in_force(configuration, period.next())
            .await?;
    }
    Ok(())
}

/// Releases the lapsed holds of a month that nobody else looks at, and tells of crossings that nobody told of.
async fn look_after(
    app: &App,
    configuration: &Configuration,
    period: Month,
    now: Timestamp,
    tended: &mut Tended,
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
    let told = app
        .store
        .raise_crossing_alerts(configuration, period, &cell, now)
        .await?;
    tended.alerts += count(&told);
    for told in told {
        app.notices
            .tell_or_leave(organisation_id, &told.notice_id)
            .await;
    }
    Ok(())
}
