//! Compares records with totals and with the resolutions of their holds: those of an organisation,
//! pass by pass, or those of one month at once.

use super::count_records::Reading;
use crate::domain::ledger::comparison::{Comparison, Judged, Progress};
use crate::domain::ledger::comparison_sums::Sums;
use crate::domain::ledger::self_audit::Difference;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{KeptComparison, Store, StoreError};
use jiff::Timestamp;
use std::time::Instant;

/// The most pages that a pass reads of an organisation.
const PAGES_A_PASS: u32 = 20_000;
/// How many records are read at a time: about 1 MB, which is the most that one answer has.
const RECORDS_A_PAGE: i32 = 1_500;
/// After how many pages a pass stores how far it has come, so that one that is stopped loses
/// little.
const PAGES_BETWEEN_STORES: u32 = 200;

/// How much of an organisation's records a pass may read.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub until: Instant,
    pub pages: u32,
    /// The most records of a page.
    pub records_a_page: i32,
}

impl Allowance {
    /// Allows as much as can be read until then.
    pub fn until(until: Instant) -> Self {
        Self {
            until,
            pages: PAGES_A_PASS,
            records_a_page: RECORDS_A_PAGE,
        }
    }
}

/// What a pass has compared.
#[derive(Debug)]
pub struct Compared {
    /// How many records it read.
    pub records: u64,
    /// Some if the comparison is over. It counts as done when the caller has told its differences
    /// and ends it.
    pub over: Option<Over>,
}

/// A comparison that is over.
#[derive(Debug)]
pub struct Over {
    pub differences: Vec<Difference>,
    before: KeptComparison,
    comparison: Comparison,
    sums: Sums,
}

impl Store {
    /// Goes on with the comparison of an organisation's records, or begins one if it is time. It
    /// compares this month and the last. `kept` is what the store has of it.
    pub async fn compare_on(
        &self,
        configuration: &Configuration,
        kept: KeptComparison,
        now: Timestamp,
        allowance: Allowance,
    ) -> Result<Compared, StoreError> {
        let nothing = Compared {
            records: 0,
            over: None,
        };
        if !kept.comparison.is_due(now) {
            return Ok(nothing);
        }
        let organisation_id = &configuration.organisation.id;
        let sums = self.comparison_sums(organisation_id, &kept).await?;
        let mut comparison = kept.comparison.clone();
        let (mut progress, mut sums) = comparison.go_on(configuration, sums, now);
        let reading = Reading {
            store: self,
            configuration,
            now,
            records_a_page: allowance.records_a_page,
        };
        let mut stored = kept;
        let mut read = 0;
        let mut unstored = 0;
        for page in 0..=allowance.pages {
            let is_last = page == allowance.pages || Instant::now() >= allowance.until;
            if unstored > 0 && (is_last || unstored >= PAGES_BETWEEN_STORES) {
                comparison.underway = Some(progress.clone());
                let now = now.as_second();
                let kept = self.keep_comparison(organisation_id, &stored, &comparison, &sums, now);
                let Some(kept) = kept.await? else {
                    // Another pass is ahead.
                    break;
                };
                (stored, unstored) = (kept, 0);
            }
            if is_last {
                break;
            }
            unstored += 1;
            let Some(found) = reading.go_on(&mut progress, &mut sums, &mut read).await? else {
                continue;
            };
            if let Judged::Done(differences) = comparison.judge(&mut progress, &mut sums, found) {
                comparison.underway = None;
                return Ok(Compared {
                    records: read,
                    over: Some(Over {
                        differences,
                        before: stored,
                        comparison,
                        sums,
                    }),
                });
            }
        }
        Ok(Compared {
            records: read,
            over: None,
        })
    }

    /// Ends a comparison whose differences were told. Returns when it began.
    pub async fn end_comparison(
        &self,
        organisation_id: &str,
        over: Over,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Over {
            before,
            comparison,
            sums,
            ..
        } = over;
        let now = now.as_second();
        let kept = self.keep_comparison(organisation_id, &before, &comparison, &sums, now);
        // If another pass was first, that one says it.
        let ended = kept.await?.unwrap_or(before);
        Ok(ended.comparison.compared_at)
    }

    /// Compares all records of a month with its totals and with the resolutions of the holds they
    /// settled. Reads every record that arrived since the month began. Returns None if that takes
    /// longer than `until`.
    pub async fn compare_records(
        &self,
        configuration: &Configuration,
        period: Month,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<(u64, Vec<Difference>)>, StoreError> {
        let mut progress = Progress::alone(configuration, period, now);
        let mut sums = Sums::default();
        let reading = Reading {
            store: self,
            configuration,
            now,
            records_a_page: RECORDS_A_PAGE,
        };
        while Instant::now() < until {
            let mut read = 0;
            let Some(found) = reading.go_on(&mut progress, &mut sums, &mut read).await? else {
                continue;
            };
            let records = progress.records;
            match progress.judge(found, &[]) {
                Judged::Done(differences) => return Ok(Some((records, differences))),
                Judged::Again => sums.begin_look(true),
            }
        }
        Ok(None)
    }
}
