//! Reads recorded usage to price it anew, in whole hours of arrival.

use crate::App;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use shared::domain::ledger::repricing::{Place, RecordedUsage, Repriced, costs};
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::runtime::error::ApiError;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many records a call reads before it stops at the end of an hour.
const MAX_RECORDS: usize = 20_000;
const HOUR_SECONDS: i64 = 3_600;

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

/// Reads what `text_of` writes.
fn hour_of(text: &str) -> Option<i64> {
    Some(hour(format!("{text}:00:00Z").parse().ok()?))
}

fn day_of(hour: i64) -> Date {
    start_of(hour).to_zoned_datetime(TimeZone::UTC).date()
}

/// Where a call begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The hours to read, without the last one.
    pub(super) from: i64,
    pub(super) to: i64,
    /// The last place of these hours that an earlier call has tried.
    pub(super) after: Option<Place>,
}

impl Start {
    /// Reads what `to_text` writes.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let mut hour = || -> Option<i64> { words.next()?.parse().ok() };
        let (from, to) = (hour()?, hour()?);
        let after = match (words.next(), words.next()) {
            (Some(month), Some(path)) => Some((month.parse().ok()?, path.to_owned())),
            _ => None,
        };
        Some(Self { from, to, after })
    }

    pub(super) fn to_text(&self) -> String {
        let Self { from, to, after } = self;
        match after {
            Some((month, path)) => format!("{from} {to} {month} {path}"),
            None => format!("{from} {to}"),
        }
    }
}

/// Recorded usage that is priced anew.
pub(super) struct Priced {
    pub(super) places: BTreeMap<Place, Repriced>,
    pub(super) records: usize,
    /// The hours that were read, without the last one.
    pub(super) window: (i64, i64),
}

impl Priced {
    /// Reads whole hours of arrival, until there are many records or the time is up. It reads at
    /// least one.
    pub(super) async fn read(
        app: &App,
        configuration: &Configuration,
        (from, to): (i64, i64),
        until: Instant,
    ) -> Result<Self, ApiError> {
        let mut priced = Self {
            places: BTreeMap::new(),
            records: 0,
            window: (from, to),
        };
        let organisation_id = &configuration.organisation.id;
        let (mut day, mut after) = (day_of(from), text_of(from));
        let mut hour = from;
        while day <= day_of(to.saturating_sub(1)) {
            let page = app
                .store
                .recorded_usage(organisation_id, day, &after)
                .await?;
            for recorded in &page.items {
                let of = hour_of(&recorded.hour).unwrap_or(hour);
                if of >= to {
                    return Ok(priced);
                }
                let is_enough = priced.records >= MAX_RECORDS || Instant::now() >= until;
                if of > hour && is_enough {
                    priced.window.1 = of;
                    return Ok(priced);
                }
                hour = of;
                priced.add(configuration, recorded);
            }
            match page.next {
                Some(next) => after = next,
                None => {
                    day = day.saturating_add(Span::new().days(1));
                    after = day.to_string();
                }
            }
        }
        Ok(priced)
    }

    fn add(&mut self, configuration: &Configuration, recorded: &RecordedUsage) {
        let at = recorded.usage.occurred_at;
        let pricing = configuration.pricing(PriceBooks::built_in(), at);
        let place = (recorded.month, recorded.path.clone());
        let source = configuration.organisation.price_source;
        let costs = costs(recorded, &pricing, source);
        self.places
            .entry(place)
            .or_default()
            .add(&recorded.hour, costs);
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
            let start = Start {
                from: 495_000,
                to: 495_024,
                after,
            };
            assert_eq!(Start::from_text(&start.to_text()), Some(start));
        }
        for text in ["", "7", "x 7", "7 8 november /eng/"] {
            assert_eq!(Start::from_text(text), None, "{text}");
        }
    }
}
