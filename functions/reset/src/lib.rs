//! The schedule's pass over all organisations: closes months that have ended, credits rollovers, corrects them once
//! after late usage, opens the next month ahead, sweeps idle holds, tells of crossings that nobody told of, compares
//! the books, and signs the head of each day's audit log.
//!
//! No month waits for it: the first request after midnight opens a month. A pass may come late, twice or not at all, and
//! may end anywhere; the next one does what is left.

mod archive;
mod audit;
mod exemptions;
mod heads;
mod refusals;
mod signing;
mod tend;

pub use archive::Archive;
pub use audit::{AuditRequest, audit};
use futures::FutureExt;
use futures::future::join_all;
pub use heads::Heads;
use serde::Serialize;
use shared::runtime::clock::Clock;
use shared::runtime::logs::{self, ErrorType, Metric};
use shared::runtime::queue::Notices;
use shared::store::{Store, StoreError};
pub use signing::{NotSigned, Signer};
use std::panic::AssertUnwindSafe;
use std::time::Instant;
pub use tend::Tended;

/// How many organisations are tended at the same time.
const AT_ONCE: usize = 8;
/// How many organisations are read at a time.
const PAGE: usize = 100;

/// What the function has for all its passes.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    notices: Notices,
    heads: Heads,
    clock: Clock,
}

impl App {
    /// The function on `store`, which queues its notices on `notices` and makes `heads` of the audit logs.
    pub fn new(store: Store, notices: Notices, heads: Heads, clock: Clock) -> Self {
        Self {
            store,
            notices,
            heads,
            clock,
        }
    }
}

/// What a pass has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Organisations that were tended.
    pub organisations: u64,
    /// What was done for them, added up.
    #[serde(flatten)]
    pub tended: Tended,
    /// Organisations at which something failed; the next pass tries again.
    pub failed: Vec<String>,
    /// Whether every organisation had its turn before the time was over; otherwise the next pass goes on here.
    pub is_complete: bool,
}

impl Report {
    fn count(&self) {
        logs::count(&[
            (Metric::OrganisationsTended, self.organisations),
            (Metric::MonthsClosed, self.tended.months_closed),
            (Metric::RecordsCompared, self.tended.records_compared),
            (Metric::Differences, self.tended.differences),
        ]);
    }
}

/// One pass, until `until` at the latest. It begins where the one before ran out of time.
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
            let tended = some.iter().map(|organisation| async {
                let tending = AssertUnwindSafe(Box::pin(tend::tend(app, &organisation.id, until)));
                (&organisation.id, tending.catch_unwind().await)
            });
            for (id, result) in join_all(tended).await {
                report.organisations += 1;
                match result {
                    Ok(Ok(tended)) => report.tended.add(tended),
                    Ok(Err(error)) => {
                        logs::report(
                            ErrorType::OrganisationNotTended,
                            "an organisation was not tended",
                            &error,
                        );
                        report.failed.push(id.clone());
                    }
                    Err(_) => {
                        let error_type = ErrorType::Panicked.as_str();
                        tracing::error!(
                            error_type,
                            organisation = id,
                            "tending an organisation panicked"
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
        // Those before it had their turn in the pass that stopped there.
        app.store.set_schedule_cursor(None).await?;
    }
    report.is_complete = true;
    Ok(report)
}
