//! Corrections: signed amounts that an administrator adds to a month's usage if reports were wrong.

use crate::domain::amount::Amounts;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How many months before the current one may be corrected: as long as their usage is kept.
pub const MAX_MONTHS_BACK: usize = 13;
/// The most tokens of one correction, so that no sum of corrections overflows.
pub const MAX_TOKENS: i64 = 1_000_000_000_000;
/// The most micro-USD of one correction.
pub const MAX_MICRO_USD: i64 = 10_000_000_000_000;
/// Shown in reports in place of a model and its provider.
pub const MODEL: &str = "correction";

/// A correction. It is immutable. A wrong one is offset by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// `cor_...`, made by the server. Later ids sort last.
    pub id: String,
    /// The user whose usage is corrected. None for a whole department.
    pub user_id: Option<String>,
    /// The department whose usage is corrected: the user's at that time.
    pub department_id: Option<String>,
    /// Its path at that time: `/eng/backend/`.
    pub path: String,
    pub month: Month,
    /// The moment of the month under which reports by hour and day list it.
    pub counts_at: Timestamp,
    /// The amounts to add. Negative amounts subtract.
    pub amounts: Amounts,
    /// The tokens without a price to add. Below zero if they were priced anew.
    #[serde(default)]
    pub unpriced: i64,
    pub reason: String,
    /// The actor's name in the audit log.
    pub created_by: String,
    pub created_at: Timestamp,
}

/// Returns true if `month` may be corrected at `now`, or has not begun yet.
pub fn is_correctable(configuration: &Configuration, month: Month, now: Timestamp) -> bool {
    let current = configuration.period_of(now);
    let mut earliest = current;
    for _ in 0..MAX_MONTHS_BACK {
        earliest = earliest.prev();
    }
    (earliest..=current).contains(&month)
}

/// Returns the moment of `month` at which a correction counts: the last one, or now.
pub fn counts_at(configuration: &Configuration, month: Month, now: Timestamp) -> Timestamp {
    let zone = configuration.organisation.zone();
    let end = month.end(&zone);
    let last = end.saturating_sub(SignedDuration::from_secs(1));
    now.min(last.unwrap_or(end))
}

impl Correction {
    pub fn path(&self) -> Path {
        Path::from_text(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{NOW, at, configuration, month};

    #[test]
    fn this_month_and_the_thirteen_before_it_can_be_corrected() {
        let configuration = configuration([]);
        for (text, expected) in [
            ("2025-09", false),
            ("2025-10", true),
            ("2026-11", true),
            ("2026-12", false),
        ] {
            let found = is_correctable(&configuration, month(text), at(NOW));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_correction_counts_in_the_last_second_of_its_month_or_now() {
        let configuration = configuration([]);
        let counts_at = |text| counts_at(&configuration, month(text), at(NOW));
        assert_eq!(counts_at("2026-10"), at("2026-10-31T23:59:59Z"));
        assert_eq!(counts_at("2026-11"), at(NOW));
    }
}
