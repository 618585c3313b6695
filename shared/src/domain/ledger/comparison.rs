//! The comparison of an organisation's records with its totals, as far as it has come.
//!
//! A look reads the records day by day, in the order in which they arrived, and adds them up. It
//! may stop anywhere and go on later, in another instance. Days are *settled* if no record is filed
//! in them any more: their sums are kept, and the next comparison reads only the days after them. A
//! record of such a day that was changed makes a difference, and a difference is believed only if
//! looks from the first day find it too.

use super::comparison_sums::Sums;
use super::self_audit::{Difference, Subject};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How many looks confirm a difference.
const LOOKS: u32 = 3;
/// How many days before today are not settled: nothing is filed in earlier ones.
const OPEN_DAYS: i64 = 2;
/// How long after its receipt an event is filed under the time of its receipt. Less than the day
/// between a settled day and now, because clocks differ and a transaction takes its time.
const FILED_AS_RECEIVED: SignedDuration = SignedDuration::from_hours(20);
/// How long after the last comparison the next one begins.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// For how long sums are kept. After that a comparison begins with the first day again, so that a
/// settled record that was altered is found.
const SUMS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long before the start of a month a record of it may have arrived: its event may be five
/// minutes ahead of its receiver's clock, and if the time zone was changed since, the month may
/// have begun up to 26 hours earlier.
const EARLIER: SignedDuration = SignedDuration::from_hours(27);
/// How far the clock of a receiver may be ahead when a pass of ten minutes ends.
const AHEAD: SignedDuration = SignedDuration::from_mins(20);
/// The most differences that are remembered.
const MAX_KNOWN: usize = 100;

/// What is known of an organisation's books between two passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// When the last comparison that was completed began.
    pub compared_at: Option<Timestamp>,
    /// When the last one began that read all records.
    counted_at: Option<Timestamp>,
    kept: Option<Kept>,
    /// The differences that the last one found.
    known: Vec<Difference>,
    pub underway: Option<Progress>,
}

/// Which records the kept sums have: those of `first` and later months that arrived through
/// `through`, a day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    first: Month,
    through: Date,
}

/// A comparison that is not completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    begun_at: Timestamp,
    /// The months that are compared.
    pub months: Vec<Month>,
    /// Whether only records of these months are added up. Otherwise those of later months are too:
    /// the next comparison needs them.
    is_alone: bool,
    /// The first day of a look that reads all records.
    first_day: Date,
    settled_through: Date,
    /// The number of the look, from 0.
    pub look: u32,
    /// Whether this look reads all records.
    pub is_whole: bool,
    /// The day in UTC whose records are read next, after `after`, which is a place in the index.
    pub day: Date,
    pub after: Option<String>,
    /// Whether the totals were read for this look.
    pub has_totals: bool,
    /// How many records this look has read.
    pub records: u64,
    /// The settlements that do not agree with their records, as this look found them.
    pub settlements: Vec<Difference>,
    /// What all looks found so far. None in the first.
    believed: Option<Vec<Difference>>,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The comparison is over, and found this.
    Done(Vec<Difference>),
    /// It takes another look.
    Again,
}

impl Comparison {
    /// Returns whether there is anything to compare: a comparison is underway, or a day has passed
    /// since the last one.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_over = |at: Timestamp| at > now || now.duration_since(at) >= DAILY;
        self.underway.is_some() || self.compared_at.is_none_or(is_over)
    }

    /// Returns the comparison that is underway, or begins one of this month and the last. Its sums
    /// go on with `sums`, which are None if they are lost.
    pub fn go_on(
        &mut self,
        configuration: &Configuration,
        sums: Option<Sums>,
        now: Timestamp,
    ) -> (Progress, Sums) {
        let Some(mut sums) = sums else {
            *self = Self {
                compared_at: self.compared_at,
                ..Self::default()
            };
            return self.go_on(configuration, Some(Sums::default()), now);
        };
        if let Some(progress) = self.underway.take() {
            return (progress, sums);
        }
        let period = configuration.period_of(now);
        let months = vec![period.prev(), period];
        let mut progress = Progress::new(configuration, months, now);
        let is_kept = |at: &Timestamp| *at <= now && now.duration_since(*at) < SUMS_KEPT;
        let kept = self
            .kept
            .filter(|_| self.counted_at.as_ref().is_some_and(is_kept));
        let fits = |kept: &Kept| {
            progress.months.iter().all(|month| *month >= kept.first)
                && kept.through <= progress.settled_through
        };
        if let Some(kept) = kept.filter(fits) {
            progress.is_whole = false;
            progress.day = day_after(kept.through);
            progress.settlements = self.known.iter().filter(is_settlement).cloned().collect();
        }
        sums.begin_look(progress.is_whole);
        (progress, sums)
    }

    /// Judges a look that found `found` besides its settlements. If the comparison is over, keeps
    /// what the next one needs.
    pub fn judge(
        &mut self,
        progress: &mut Progress,
        sums: &mut Sums,
        found: Vec<Difference>,
    ) -> Judged {
        let judged = progress.judge(found, &self.known);
        match &judged {
            Judged::Again => sums.begin_look(true),
            Judged::Done(differences) => {
                let first = progress.months.iter().min().copied();
                self.kept = first.map(|first| Kept {
                    first,
                    through: progress.settled_through,
                });
                sums.keep(first);
                if progress.is_whole {
                    self.counted_at = Some(progress.begun_at);
                }
                self.compared_at = Some(progress.begun_at);
                self.known = differences.iter().take(MAX_KNOWN).cloned().collect();
            }
        }
        judged
    }
}

impl Progress {
    /// Begins a comparison of `months` that reads all their records.
    fn new(configuration: &Configuration, months: Vec<Month>, now: Timestamp) -> Self {
        let starts = months
            .iter()
            .map(|month| configuration.organisation.month_start(*month));
        let start = starts.min().unwrap_or(now);
        let first_day = date(start.saturating_sub(EARLIER).unwrap_or(start));
        let settled_through = date(now).saturating_sub(Span::new().days(OPEN_DAYS));
        Self {
            begun_at: now,
            months,
            is_alone: false,
            first_day,
            settled_through,
            look: 0,
            is_whole: true,
            day: first_day,
            after: None,
            has_totals: false,
            records: 0,
            settlements: Vec::new(),
            believed: None,
        }
    }

    /// Begins a comparison of one month alone.
    pub fn alone(configuration: &Configuration, month: Month, now: Timestamp) -> Self {
        Self {
            is_alone: true,
            ..Self::new(configuration, vec![month], now)
        }
    }

    /// Returns whether the records of `month` are added up.
    pub fn wants(&self, month: Month) -> bool {
        match self.is_alone {
            true => self.months.contains(&month),
            false => self.months.iter().any(|first| month >= *first),
        }
    }

    /// Returns whether the day that is read next is settled.
    pub fn is_settled(&self) -> bool {
        self.day <= self.settled_through
    }

    /// Returns whether all days are read that a record may have arrived in.
    pub fn is_read(&self, now: Timestamp) -> bool {
        self.day > date(now.saturating_add(AHEAD).unwrap_or(now))
    }

    /// Returns whether settlements are compared in this look. They are many, so a look that
    /// confirms other differences leaves them out.
    pub fn checks_settlements(&self) -> bool {
        let believed = self.believed.as_ref();
        believed.is_none_or(|believed| believed.iter().any(|of| is_settlement(&of)))
    }

    pub fn next_day(&mut self) {
        self.day = day_after(self.day);
        self.after = None;
    }

    /// Adds a settlement that does not agree with its record.
    pub fn doubt(&mut self, differences: Vec<Difference>) {
        for of in differences {
            let is_known = self.settlements.iter().any(|known| known.is_about(&of));
            if !is_known && self.settlements.len() < MAX_KNOWN {
                self.settlements.push(of);
            }
        }
    }

    /// Judges a look that found `found` besides its settlements. `known` is what the comparison
    /// before found: if a look finds nothing else, it needs no confirmation.
    pub fn judge(&mut self, mut found: Vec<Difference>, known: &[Difference]) -> Judged {
        found.append(&mut self.settlements);
        let is_news = |of: &Difference| !known.iter().any(|known| known.says_the_same(of));
        if !self.is_whole && !found.iter().any(is_news) {
            return Judged::Done(found);
        }
        let mut believed = self.believed.take().unwrap_or_else(|| found.clone());
        believed.retain(|of| found.iter().any(|again| again.is_about(of)));
        if believed.is_empty() || self.look.saturating_add(1) >= LOOKS {
            return Judged::Done(believed);
        }
        self.believed = Some(believed);
        self.look = self.look.saturating_add(1);
        self.is_whole = true;
        self.day = self.first_day;
        self.after = None;
        self.has_totals = false;
        self.records = 0;
        Judged::Again
    }
}

/// Returns the time under which a record is filed that is written at `now`: that of its receipt, or
/// now if that is long ago.
pub fn filed_at(received_at: Timestamp, now: Timestamp) -> Timestamp {
    match now.duration_since(received_at) > FILED_AS_RECEIVED {
        true => now,
        false => received_at,
    }
}

fn is_settlement(of: &&Difference) -> bool {
    matches!(of.subject, Subject::Settlement { .. })
}

fn date(at: Timestamp) -> Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

fn day_after(day: Date) -> Date {
    day.saturating_add(Span::new().days(1))
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
