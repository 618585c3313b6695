//! The begin and end of an organisation's months, also if its time zone changed within one.
//!
//! A month that has begun lasts until it ends in the zone of that time, and a month that is over
//! never returns: each month is in force once, without a gap. So a carry covers all that its month
//! can admit.

use crate::domain::org::organisation::{Begun, Organisation};
use crate::domain::period::Month;
use jiff::Timestamp;

impl Organisation {
    /// Returns the month of `at` by the clock of today's zone. From the change of zone on, it is at
    /// least the month that had begun by then, and before the change at most that month.
    pub fn month_of(&self, at: Timestamp) -> Month {
        let by_clock = Month::of(at, &self.zone());
        match self.zone_begun {
            None => by_clock,
            Some(begun) if at < begun.since => by_clock.min(begun.month),
            Some(begun) => by_clock.max(begun.month),
        }
    }

    /// Returns the first moment after `month`, when its budgets reset.
    pub fn month_end(&self, month: Month) -> Timestamp {
        let by_clock = month.end(&self.zone());
        match self.zone_begun {
            None => by_clock,
            Some(begun) if month < begun.month => by_clock.min(begun.since),
            Some(begun) => by_clock.max(begun.since),
        }
    }

    /// Returns the first moment of `month`.
    pub fn month_start(&self, month: Month) -> Timestamp {
        self.month_end(month.prev())
    }

    /// Puts another time zone in force from `now` on. The month that has begun stays in force.
    pub fn change_zone(&mut self, timezone: String, now: Timestamp) {
        if timezone == self.timezone {
            return;
        }
        // If two clocks differ, the slower one does not undo the change of the other.
        let since = self.zone_begun.map_or(now, |begun| begun.since.max(now));
        let month = self.month_of(since);
        self.zone_begun = Some(Begun { since, month });
        self.timezone = timezone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    const ZONES: [&str; 5] = [
        "UTC",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
        "America/New_York",
        "Asia/Kolkata",
    ];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn organisation() -> Organisation {
        let begin = at("2026-01-01T00:00:00Z");
        Organisation::new("acme".into(), "Acme".into(), "UTC".into(), begin)
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_that_is_over_does_not_come_back_with_the_old_zone() {
        let mut organisation = organisation();
        organisation.change_zone("Pacific/Kiritimati".into(), at("2026-11-30T12:00:00Z"));
        assert_eq!(
            organisation.month_end(month("2026-11")),
            at("2026-11-30T12:00:00Z")
        );
        organisation.change_zone("UTC".into(), at("2026-11-30T13:00:00Z"));
        for (moment, expected) in [
            ("2026-11-30T12:59:59Z", "2026-11"),
            ("2026-11-30T13:00:00Z", "2026-12"),
            ("2026-12-31T23:59:59Z", "2026-12"),
            ("2027-01-01T00:00:00Z", "2027-01"),
        ] {
            let found = organisation.month_of(at(moment));
            assert_eq!(found.to_string(), expected, "{moment}");
        }
        assert_eq!(
            organisation.month_end(month("2026-12")),
            at("2027-01-01T00:00:00Z")
        );
        assert_eq!(
            organisation.month_start(month("2026-11")),
            at("2026-11-01T00:00:00Z")
        );
    }

    #[test]
    fn a_clock_that_is_behind_brings_no_month_back() {
        let mut organisation = organisation();
        organisation.change_zone("Pacific/Kiritimati".into(), at("2026-11-30T12:00:00Z"));
        organisation.change_zone("UTC".into(), at("2026-11-30T11:59:00Z"));
        assert_eq!(
            organisation.month_of(at("2026-11-30T12:00:01Z")),
            month("2026-12"),
            "it was December by the zone in between"
        );
    }

    #[test]
    fn a_month_that_has_begun_goes_on_in_a_zone_where_it_has_not() {
        let mut organisation = organisation();
        organisation.change_zone("America/New_York".into(), at("2026-12-01T01:00:00Z"));
        assert_eq!(
            organisation.month_of(at("2026-12-01T02:00:00Z")),
            month("2026-12")
        );
        assert_eq!(
            organisation.month_of(at("2026-11-30T23:59:59Z")),
            month("2026-11")
        );
        assert_eq!(
            organisation.month_end(month("2026-11")),
            at("2026-12-01T01:00:00Z")
        );
        assert_eq!(
            organisation.month_end(month("2026-12")),
            at("2027-01-01T05:00:00Z")
        );
    }

    #[test]
    fn what_was_before_a_change_is_in_no_later_month_than_was_in_force() {
        let mut organisation = organisation();
        organisation.change_zone("Pacific/Kiritimati".into(), at("2026-11-30T12:00:00Z"));
        assert_eq!(
            organisation.month_of(at("2026-11-30T11:00:00Z")),
            month("2026-11")
        );
        // Long after the change, today's zone divides earlier months, as it does in reports.
        organisation.change_zone("Asia/Kolkata".into(), at("2027-03-10T12:00:00Z"));
        assert_eq!(
            organisation.month_of(at("2027-02-28T18:30:00Z")),
            month("2027-03")
        );
    }

    proptest! {
        #[test]
        fn each_month_is_in_force_once_and_without_a_gap(
            changes in proptest::collection::vec((0_i64..120 * 24, 0..ZONES.len()), 0..8),
        ) {
            let begin = at("2026-09-01T00:00:00Z");
            let hour = |n: i64| begin + SignedDuration::from_hours(n);
            let mut changes = changes;
            changes.sort_unstable();
            let mut organisation = organisation();
            let mut in_force = organisation.month_of(begin);
            for n in 0..130 * 24 {
                for (_, zone) in changes.iter().filter(|(at, _)| *at == n) {
                    organisation.change_zone(ZONES[*zone].into(), hour(n));
                }
                let month = organisation.month_of(hour(n));
                prop_assert!(month == in_force || month == in_force.next(), "{in_force} {month}");
                prop_assert!(organisation.month_start(month) <= hour(n));
                prop_assert!(hour(n) < organisation.month_end(month));
                in_force = month;
            }
            let mut month = organisation.month_of(begin);
            for _ in 0..6 {
                let end = organisation.month_end(month);
                prop_assert!(organisation.month_of(end) > month);
                let last = end - SignedDuration::from_nanos(1);
                prop_assert!(organisation.month_of(last) <= month);
                month = month.next();
            }
        }
    }
}
