//! The scheduled pass over all organisations. It closes months that have ended, credits rollovers,
//! corrects them once after late usage, opens the next month ahead, sweeps idle holds, reports
//! crossings that were not reported, compares the books, and signs the head of each day's audit
//! log.
//!
//! No month waits for a pass: the first request after midnight opens a month. A pass may come late,
//! twice or not at all, and may end anywhere. The next one does the rest.

mod app;
mod archive;
mod audit;
mod books;
mod exemptions;
mod heads;
mod organisation;
mod refusals;
mod report;
mod signing;

pub use app::{App, Heads};
pub use archive::Archive;
pub use audit::{AuditRequest, audit};
use futures::FutureExt;
use futures::future::join_all;
use organisation::process_organisation;
pub use report::{OrganisationReport, Report};
use shared::runtime::logs::{self, ErrorType};
use shared::store::StoreError;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// How many organisations are processed at the same time.
const AT_ONCE: usize = 8;
/// How many organisations are read at a time.
const PAGE: usize = 100;

/// Runs one pass, until `until` at the latest. If the last pass ran out of time, this one goes on
/// where that one stopped.
pub async fn handle(app: &App, until: Instant) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let begun_after = app.store.schedule_cursor().await?;
    let mut after = begun_after.clone();
    loop {
        let page = app.store.organisations(after.as_deref(), PAGE).await?;
        for some in page.items.chunks(AT_ONCE) {
            if Instant::now() >= until {
                app.store.set_schedule_cursor(after).await?;
                tracing::warn!("the pass ran out of time and goes on with the next one");
                report.count();
                return Ok(report);
            }
            let processed = some.iter().map(|organisation| async {
                let id = &organisation.id;
                let processing = Box::pin(process_organisation(app, id, until));
                (id, AssertUnwindSafe(processing).catch_unwind().await)
            });
            for (id, result) in join_all(processed).await {
                report.organisations += 1;
                match result {
                    Ok(Ok(done)) => report.totals.add(done),
                    Ok(Err(error)) => {
                        logs::report(
                            ErrorType::OrganisationNotTended,
                            "an organisation was not processed",
                            &error,
                        );
                        report.failed.push(id.clone());
                    }
                    Err(_) => {
                        let error_type = ErrorType::Panicked.as_str();
                        tracing::error!(
                            error_type,
                            organisation = id,
                            "processing an organisation panicked"
                        );
                        report.failed.push(id.clone());
                    }
                }
                after = Some(id.clone());
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    report.count();
    if begun_after.is_some() {
        // The organisations before it were processed by the pass that stopped there.
        app.store.set_schedule_cursor(None).await?;
    }
    report.is_complete = true;
    Ok(report)
}
