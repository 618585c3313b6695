//! Months in an organisation's time zone.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a time zone.
const MAX_ZONE_NAME: usize = 64;

/// A calendar month, written `2026-11`: the period of every budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// Returns the month of `year` and `month` (1 to 12). None outside the years 2000 to 9998.
    pub fn new(year: i16, month: i8) -> Option<Self> {
        ((2000..=9998).contains(&year) && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// Returns the month of `at` in `zone`.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        Self::of_date(zone.to_datetime(at).date())
    }

    pub fn of_date(date: civil::Date) -> Self {
        Self {
            year: date.year(),
            month: date.month(),
        }
    }

    pub fn next(self) -> Self {
        match self.month {
            12 => Self {
                year: self.year + 1,
                month: 1,
            },
            month => Self {
                year: self.year,
                month: month + 1,
            },
        }
    }

    pub fn prev(self) -> Self {
        match self.month {
            1 => Self {
                year: self.year - 1,
                month: 12,
            },
            month => Self {
                year: self.year,
                month: month - 1,
            },
        }
    }

    /// Returns the day with this number, if the month has it.
    pub fn day(self, number: i8) -> Option<civil::Date> {
        civil::Date::new(self.year, self.month, number).ok()
    }

    /// Returns the first moment of the month in `zone`. If there is no midnight, it is the first
    /// moment of the day.
    pub fn start(self, zone: &TimeZone) -> Timestamp {
        civil::Date::new(self.year, self.month, 1)
            .ok()
            .and_then(|date| date.to_zoned_datetime(zone.clone()).ok())
            .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// Returns the first moment after the month in `zone`, when its budgets reset.
    pub fn end(self, zone: &TimeZone) -> Timestamp {
        self.next().start(zone)
    }

    /// Returns the six digits used in keys and hold ids: `202611`.
    pub fn compact(self) -> String {
        format!("{:04}{:02}", self.year, self.month)
    }

    pub fn from_compact(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Self::new(text[..4].parse().ok()?, text[4..].parse().ok()?)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl TryFrom<String> for Month {
    type Error = InvalidMonth;

    fn try_from(text: String) -> Result<Self, InvalidMonth> {
        text.parse()
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let (year, month) = text.split_once('-').ok_or(InvalidMonth)?;
        Self::from_compact(&format!("{year}{month}")).ok_or(InvalidMonth)
    }
}

/// The text is not a month like `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a month like 2026-11")]
pub struct InvalidMonth;

/// Returns the time zone with an IANA name as the IANA spells it. None if this build does not know
/// it.
///
/// The zones of the machine are never used: `localtime` and `posixrules` are its owner's choice,
/// `posix/..` and `right/..` (with leap seconds) may be missing, and two machines of one deployment
/// could begin a month at different moments. `Factory` and `Etc/Unknown` mean "not set".
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name.len() > MAX_ZONE_NAME || matches!(name, "Factory" | "Etc/Unknown") {
        return None;
    }
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    // The database ignores case, but only one spelling is stored.
    (zone.iana_name() == Some(name)).then_some(zone)
}

/// Returns the time zone of a stored name. Earlier releases may have accepted more names.
pub fn stored_time_zone(name: &str) -> Option<TimeZone> {
    let known = time_zone(name);
    known.or_else(|| TimeZoneDatabase::bundled().get(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_begins_at_local_midnight() {
        let auckland = time_zone("Pacific/Auckland").unwrap();
        assert_eq!(
            Month::of(at("2026-10-31T10:59:59Z"), &auckland).to_string(),
            "2026-10"
        );
        let november = Month::of(at("2026-10-31T11:00:00Z"), &auckland);
        assert_eq!(november.to_string(), "2026-11");
        assert_eq!(november.start(&auckland), at("2026-10-31T11:00:00Z"));
        assert_eq!(november.end(&auckland), at("2026-11-30T11:00:00Z"));
    }

    #[test]
    fn december_is_followed_by_january() {
        assert_eq!(
            "2026-12".parse::<Month>().unwrap().next().to_string(),
            "2027-01"
        );
        let january = Month::new(2027, 1).unwrap();
        assert_eq!(january.prev().next(), january);
        assert_eq!(january.prev().to_string(), "2026-12");
        assert!("2026-13".parse::<Month>().is_err());
        assert!("2026-1".parse::<Month>().is_err());
        assert_eq!(Month::from_compact("202611"), Month::new(2026, 11));
    }

    #[test]
    fn unknown_time_zones_are_none() {
        assert!(time_zone("Mars/Olympus").is_none());
        assert!(time_zone("Europe/Berlin").is_some());
    }

    #[test]
    fn every_name_of_the_iana_is_a_time_zone_in_its_own_spelling_only() {
        let mut known = 0;
        for name in TimeZoneDatabase::bundled().available() {
            let name = name.as_str();
            let is_unset = matches!(name, "Factory" | "Etc/Unknown");
            assert_eq!(time_zone(name).is_some(), !is_unset, "{name}");
            let other = name.to_ascii_lowercase();
            assert!(other == name || time_zone(&other).is_none(), "{other}");
            known += 1;
        }
        assert!(known > 500, "{known}");
    }

    #[test]
    fn what_depends_on_the_machine_is_no_time_zone() {
        for name in [
            "localtime",
            "posixrules",
            "Factory",
            "Etc/Unknown",
            "posix/Europe/Berlin",
            "right/Europe/Berlin",
            "right/UTC",
            "europe/berlin",
            "utc",
            "leapseconds",
            "tzdata.zi",
            "zone.tab",
            "/etc/localtime",
            "Europe",
            "",
        ] {
            assert!(time_zone(name).is_none(), "{name}");
        }
    }
}
