//! Hours, days and months of usage reports, in an organisation's time zone.

use crate::domain::period::Month;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The granularity of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// By the local clock hour.
    Hourly,
    /// By the local day.
    Daily,
    /// By the local month.
    Monthly,
}

impl Division {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Monthly => "monthly",
        }
    }
}

/// An hour, day or month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `2026-11-24T15:00Z` (the hour's start in UTC), `2026-11-24` or `2026-11`. Ids of one
    /// granularity sort by time.
    pub id: String,
    pub starts_at: Timestamp,
}

const HOUR_SECONDS: i64 = 3600;

/// Returns the first moment of the local hour of `at`, in seconds.
fn hour_start(at: i64, zone: &TimeZone) -> i64 {
    let moment = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
    let offset = i64::from(zone.to_offset(moment).seconds());
    at - (at + offset).rem_euclid(HOUR_SECONDS)
}

fn hour(start: i64) -> Bucket {
    let starts_at = Timestamp::from_second(start).unwrap_or(Timestamp::UNIX_EPOCH);
    Bucket {
        id: starts_at.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        starts_at,
    }
}

fn day_start(day: Date, zone: &TimeZone) -> Timestamp {
    let start = day.to_zoned_datetime(zone.clone());
    start.map_or(Timestamp::MAX, |start| start.timestamp())
}

/// Returns the hour, day and month of a usage at `at`. The month is that of the hold it settles,
/// possibly the month before.
pub fn of_usage(at: Timestamp, period: Month, zone: &TimeZone) -> [String; 3] {
    [
        hour(hour_start(at.as_second(), zone)).id,
        zone.to_datetime(at).date().to_string(),
        period.to_string(),
    ]
}

/// The quarters of an hour between the first moment of a day in UTC and the earliest that a row of
/// the day may have: no zone is sixteen hours ahead.
const QUARTERS_BEFORE: i64 = 64;
const QUARTER_SECONDS: i64 = 900;

/// Returns a code of two characters for an hour (`2026-11-24T15:30Z`) that has usage of a local
/// `day`. None if they are no hour and day.
pub fn code_of_hour(hour: &str, day: &str) -> Option<String> {
    let quarters = (second_of(hour)? - first_second(day)?).div_euclid(QUARTER_SECONDS);
    let code = u32::try_from(quarters + QUARTERS_BEFORE).ok()?;
    let digit = |value| char::from_digit(value, 36);
    Some([digit(code / 36)?, digit(code % 36)?].iter().collect())
}

/// Returns the hour of a code.
pub fn hour_of_code(code: &str, day: &str) -> Option<String> {
    let quarters = i64::from_str_radix(code, 36).ok()? - QUARTERS_BEFORE;
    Some(hour(first_second(day)? + quarters * QUARTER_SECONDS).id)
}

fn second_of(hour: &str) -> Option<i64> {
    let at: Timestamp = hour.parse().ok()?;
    Some(at.as_second())
}

fn first_second(day: &str) -> Option<i64> {
    let day: Date = day.parse().ok()?;
    let start = day.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(start.timestamp().as_second())
}

/// Returns the days whose usage may be of an hour: the local one, and its neighbours if the
/// organisation had another time zone before.
pub fn days_of_hour(hour: &str, zone: &TimeZone, had_another: bool) -> Vec<String> {
    let Some(at) = second_of(hour).and_then(|at| Timestamp::from_second(at).ok()) else {
        return Vec::new();
    };
    let day = zone.to_datetime(at).date();
    let beside = i64::from(had_another);
    let days = (-beside..=beside).map(|more| day.saturating_add(Span::new().days(more)));
    days.map(|day| day.to_string()).collect()
}

/// Returns every bucket from the day `first` to the day `last`: whole months if it divides by
/// month.
pub fn between(division: Division, first: Date, last: Date, zone: &TimeZone) -> Vec<Bucket> {
    let mut found = Vec::new();
    match division {
        Division::Hourly => {
            let after = last.saturating_add(Span::new().days(1));
            let end = day_start(after, zone).as_second();
            let mut start = hour_start(day_start(first, zone).as_second(), zone);
            while start < end {
                found.push(hour(start));
                let next = hour_start(start.saturating_add(HOUR_SECONDS), zone);
                // A clock set back by half an hour shows the same hour again.
                start = if next > start {
                    next
                } else {
                    start.saturating_add(HOUR_SECONDS)
                };
            }
        }
        Division::Daily => {
            let mut day = first;
            while day <= last {
                found.push(Bucket {
                    id: day.to_string(),
                    starts_at: day_start(day, zone),
                });
                day = day.saturating_add(Span::new().days(1));
            }
        }
        Division::Monthly => {
            let of = |day: Date| Month::new(day.year(), day.month());
            let (mut month, last) = (of(first), of(last));
            while let Some(known) = month.filter(|month| Some(*month) <= last) {
                found.push(Bucket {
                    id: known.to_string(),
                    starts_at: known.start(zone),
                });
                month = Some(known.next());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn hours_begin_as_the_local_clock_shows_them() {
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        let month = Month::new(2026, 11).unwrap();
        let at: Timestamp = "2026-11-24T18:29:59Z".parse().unwrap();
        assert_eq!(
            of_usage(at, month, &kolkata),
            ["2026-11-24T17:30Z", "2026-11-24", "2026-11"]
        );
        let at: Timestamp = "2026-11-24T18:30:00Z".parse().unwrap();
        assert_eq!(
            of_usage(at, month, &kolkata)[..2],
            ["2026-11-24T18:30Z", "2026-11-25"]
        );
    }

    #[test]
    fn every_moment_of_a_day_is_in_one_of_its_hours() {
        for (name, day, hours) in [
            ("UTC", "2026-11-24", 24),
            ("Asia/Kathmandu", "2026-11-24", 24),
            ("Europe/Berlin", "2026-03-29", 23),
            ("Europe/Berlin", "2026-10-25", 25),
            ("Australia/Lord_Howe", "2026-04-05", 25),
            ("Australia/Lord_Howe", "2026-10-04", 24),
        ] {
            let zone = TimeZone::get(name).unwrap();
            let day = date(day);
            let found = between(Division::Hourly, day, day, &zone);
            let ids: Vec<&str> = found.iter().map(|hour| hour.id.as_str()).collect();
            assert!(found.len().abs_diff(hours) <= 1, "{name} {day}: {ids:?}");
            let start = day_start(day, &zone).as_second();
            let end = day_start(day.tomorrow().unwrap(), &zone).as_second();
            for second in (start..end).step_by(600) {
                let at = Timestamp::from_second(second).unwrap();
                let [hour, of_day, _] = of_usage(at, Month::of(at, &zone), &zone);
                assert!(ids.contains(&hour.as_str()), "{name} {at} {hour} {ids:?}");
                assert_eq!(of_day, day.to_string());
            }
        }
    }

    #[test]
    fn each_hour_of_a_day_has_a_code_of_two_characters_that_no_other_has() {
        for (name, day) in [
            ("UTC", "2026-11-24"),
            ("Pacific/Kiritimati", "2026-11-24"),
            ("Etc/GMT+12", "2026-11-24"),
            ("Asia/Kathmandu", "2026-11-24"),
            // The first hour and the last one of 25 begin at the same time in UTC.
            ("Europe/Berlin", "2026-10-25"),
            ("Australia/Lord_Howe", "2026-04-05"),
        ] {
            let zone = TimeZone::get(name).unwrap();
            let hours = between(Division::Hourly, date(day), date(day), &zone);
            let mut codes = Vec::new();
            for hour in &hours {
                let code = code_of_hour(&hour.id, day).unwrap();
                assert_eq!(code.len(), 2, "{name} {code}");
                assert_eq!(hour_of_code(&code, day).as_ref(), Some(&hour.id), "{name}");
                codes.push(code);
            }
            codes.sort();
            codes.dedup();
            assert_eq!(codes.len(), hours.len(), "{name} {codes:?}");
        }
        assert_eq!(code_of_hour("noon", "2026-11-24"), None);
        assert_eq!(hour_of_code("!!", "2026-11-24"), None);
    }

    #[test]
    fn an_hour_is_of_one_day_and_of_its_neighbours_if_the_time_zone_was_changed() {
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        let days = |had_another| days_of_hour("2026-11-24T18:30Z", &kolkata, had_another);
        assert_eq!(days(false), ["2026-11-25"]);
        assert_eq!(days(true), ["2026-11-24", "2026-11-25", "2026-11-26"]);
    }

    #[test]
    fn days_and_months_are_whole() {
        let utc = TimeZone::UTC;
        let ids = |division, first, last| {
            let found = between(division, date(first), date(last), &utc);
            found
                .into_iter()
                .map(|bucket| bucket.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ids(Division::Daily, "2028-02-28", "2028-03-01"),
            ["2028-02-28", "2028-02-29", "2028-03-01"]
        );
        assert_eq!(
            ids(Division::Monthly, "2026-12-31", "2027-01-01"),
            ["2026-12", "2027-01"]
        );
        assert!(ids(Division::Daily, "2026-11-25", "2026-11-24").is_empty());
    }

    #[test]
    fn late_usage_of_a_hold_is_in_the_day_on_which_it_happened_and_the_month_of_its_hold() {
        let at: Timestamp = "2026-12-01T00:07:00Z".parse().unwrap();
        let of_november = of_usage(at, Month::new(2026, 11).unwrap(), &TimeZone::UTC);
        assert_eq!(of_november, ["2026-12-01T00:00Z", "2026-12-01", "2026-11"]);
    }
}
