//! Reads recorded usage to price it anew, in whole hours of arrival. An hour may take several
//! calls.

use crate::App;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use shared::domain::ledger::repricing::{Costs, Place, RecordedUsage, Repriced, costs};
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::runtime::error::ApiError;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many records a call reads.
const MAX_RECORDS: usize = 20_000;
const HOUR_SECONDS: i64 = 3_600;
/// The length of an hour in a place in the order of arrival: `2026-11-24T12`.
const HOUR: usize = 13;

/// Returns the hour of a moment, counted from 1970 in UTC.
pub(super) fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(HOUR_SECONDS)
}

/// Returns the beginning of an hour that is counted from 1970 in UTC.
pub(super) fn start_of(hour: i64) -> Timestamp {
    let at = Timestamp::from_second(hour.saturating_mul(HOUR_SECONDS));
    at.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns an hour as records say it: `2026-11-24T12`.
fn text_of(hour: i64) -> String {
    start_of(hour).strftime("%Y-%m-%dT%H").to_string()
}

/// Returns the hour of a place in the order of arrival, which begins as `text_of` says.
fn hour_of(at: &str) -> Option<i64> {
    let text = at.get(..HOUR)?;
    Some(hour(format!("{text}:00:00Z").parse().ok()?))
}

/// Returns the first hour of the day after an hour.
fn next_day(hour: i64) -> i64 {
    let day = hour.div_euclid(24).saturating_add(1);
    day.saturating_mul(24)
}

fn day_of(hour: i64) -> Date {
    start_of(hour).to_zoned_datetime(TimeZone::UTC).date()
}

/// Where a call begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The hours to read, without the last one.
    pub(super) from: i64,
    pub(super) to: i64,
    /// The run that has read a part of the first hour, and kept it.
    pub(super) run: Option<String>,
    /// The last place of these hours that an earlier call has tried.
    pub(super) after: Option<Place>,
}

/// A `Start` without a run, as text.
const NO_RUN: &str = "-";

impl Start {
    /// Reads what `to_text` writes.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.splitn(5, ' ');
        let mut hour = || -> Option<i64> { words.next()?.parse().ok() };
        let (from, to) = (hour()?, hour()?);
        let run = words.next()?;
        let after = match (words.next(), words.next()) {
            (Some(month), Some(path)) => Some((month.parse().ok()?, path.to_owned())),
            _ => None,
        };
        Some(Self {
            from,
            to,
            run: (run != NO_RUN).then(|| run.to_owned()),
            after,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let Self {
            from,
            to,
            run,
            after,
        } = self;
        let run = run.as_deref().unwrap_or(NO_RUN);
        match after {
            Some((month, path)) => format!("{from} {to} {run} {month} {path}"),
            None => format!("{from} {to} {run}"),
        }
    }
}

/// An hour that is read in part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Where it goes on: behind this place in the order of arrival.
    after: String,
    /// What was read of it.
    costs: Vec<(Place, Costs)>,
}

/// Recorded usage that is priced anew. What is booked of an hour is known of the whole hour only,
/// so an hour that does not end here is left to a later call.
pub(super) struct Priced {
    pub(super) places: BTreeMap<Place, Repriced>,
    /// How many records this call has read.
    pub(super) records: usize,
    /// The hours that were read to the end, without the last one.
    pub(super) window: (i64, i64),
    /// What was read of the hour behind the window.
    open: BTreeMap<Place, Costs>,
    /// The place in the order of arrival that was read last.
    after: String,
}

impl Priced {
    /// Reads usage in order of arrival, until there are many records or the time is up. It reads at
    /// least one page, or the first record of it.
    pub(super) async fn read(
        app: &App,
        configuration: &Configuration,
        (from, to): (i64, i64),
        part: Option<Part>,
        until: Instant,
    ) -> Result<Self, ApiError> {
        let Part { after, costs } = part.unwrap_or_else(|| Part {
            after: text_of(from),
            costs: Vec::new(),
        });
        let mut priced = Self {
            places: BTreeMap::new(),
            records: 0,
            window: (from, from),
            open: costs.into_iter().collect(),
            after,
        };
        let organisation_id = &configuration.organisation.id;
        while priced.window.1 < to {
            let hour = priced.window.1;
            let page = app
                .store
                .recorded_usage(organisation_id, day_of(hour), &priced.after)
                .await?;
            for recorded in &page.items {
                priced.reach(hour_of(&recorded.at).unwrap_or(hour).min(to));
                let is_late = priced.records > 0 && Instant::now() >= until;
                if priced.window.1 == to || is_late || priced.records >= MAX_RECORDS {
                    return Ok(priced);
                }
                priced.add(configuration, recorded);
            }
            match page.next {
                Some(next) => {
                    priced.reach(hour_of(&next).unwrap_or(hour).min(to));
                    priced.after = next;
                }
                None => {
                    let next_day = next_day(hour);
                    priced.reach(next_day.min(to));
                    priced.after = text_of(next_day);
                }
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(priced)
    }

    /// Returns what the next call needs of the hour behind the window. None if nothing of it was
    /// read.
    pub(super) fn part(&self) -> Option<Part> {
        let hour = self.window.1;
        let is_begun = hour_of(&self.after) == Some(hour) && self.after > text_of(hour);
        is_begun.then(|| Part {
            after: self.after.clone(),
            costs: self.open.clone().into_iter().collect(),
        })
    }

    /// Goes on to an hour: those before it are read to the end.
    fn reach(&mut self, hour: i64) {
        let before = self.window.1;
        if hour <= before {
            return;
        }
        let text = text_of(before);
        for (place, costs) in std::mem::take(&mut self.open) {
            self.places.entry(place).or_default().add(&text, costs);
        }
        self.window.1 = hour;
    }

    fn add(&mut self, configuration: &Configuration, recorded: &RecordedUsage) {
        let at = recorded.usage.occurred_at;
        let pricing = configuration.pricing(PriceBooks::built_in(), at);
        let place = (recorded.month, recorded.path.clone());
        let source = configuration.organisation.price_source;
        let costs = costs(recorded, &pricing, source);
        self.open.entry(place).or_default().add(costs);
        self.after.clone_from(&recorded.at);
        self.records = self.records.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_as_it_was_written() {
        let month = "2026-11".parse().unwrap();
        for after in [
            None,
            Some((month, String::new())),
            Some((month, "/a b/c/".to_owned())),
        ] {
            for run in [None, Some("run_1".to_owned())] {
                let start = Start {
                    from: 495_000,
                    to: 495_024,
                    run,
                    after: after.clone(),
                };
                assert_eq!(Start::from_text(&start.to_text()), Some(start));
            }
        }
        for text in ["", "7", "x 7", "7 8", "7 8 - november /eng/"] {
            assert_eq!(Start::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_place_is_of_its_hour() {
        let noon = hour("2026-11-24T12:00:00Z".parse().unwrap());
        for at in ["2026-11-24T12", "2026-11-24T12:59:59.999Z#e-1!"] {
            assert_eq!(hour_of(at), Some(noon), "{at}");
        }
        assert_eq!(text_of(next_day(noon)), "2026-11-25T00");
        assert_eq!(next_day(next_day(noon) - 1), next_day(noon));
        assert_eq!(hour_of("later"), None);
    }
}
