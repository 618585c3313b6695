//! The report of a pass.

use serde::Serialize;
use shared::runtime::logs::{self, Metric};

/// The result of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many organisations were processed.
    pub organisations: u64,
    /// The sum over these organisations.
    #[serde(flatten)]
    pub totals: OrganisationReport,
    /// The organisations that failed. The next pass tries them again.
    pub failed: Vec<String>,
    /// Whether all organisations were processed in time. If not, the next pass goes on here.
    pub is_complete: bool,
}

impl Report {
    pub(crate) fn count(&self) {
        logs::count(&[
            (Metric::OrganisationsTended, self.organisations),
            (Metric::MonthsClosed, self.totals.months_closed),
            (Metric::RecordsCompared, self.totals.records_compared),
            (Metric::Differences, self.totals.differences),
        ]);
    }
}

/// The work that was done for one organisation or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrganisationReport {
    /// How many months were closed.
    pub months_closed: u64,
    /// How many budgets had their rollover credited.
    pub rollovers_credited: u64,
    /// How many months were corrected after late usage.
    pub months_corrected: u64,
    /// How many budgets had their rollover corrected.
    pub rollovers_corrected: u64,
    /// How many exemptions have ended.
    pub exemptions_ended: u64,
    /// How many entries about refused preflights were written into the audit log.
    pub refusals_audited: u64,
    /// How many heads of audit logs were signed.
    pub heads_signed: u64,
    /// How many alerts were raised.
    pub alerts: u64,
    /// How many records were compared with the totals.
    pub records_compared: u64,
    /// How many organisations had no comparison of their records completed for three days.
    pub books_not_compared: u64,
    /// How many differences the comparison found.
    pub differences: u64,
}

impl OrganisationReport {
    /// Adds the work for another organisation.
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
        self.books_not_compared += other.books_not_compared;
        self.differences += other.differences;
    }
}

/// Returns how many there are, as reports say it.
pub(crate) fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
