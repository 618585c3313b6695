//! Reads which report is wanted, and divides its time into buckets.

use crate::parameters::{take_department_id, take_user_id};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use shared::domain::ledger::buckets::{Bucket, Division, between};
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::runtime::error::{ApiError, Detail};
use shared::runtime::list::Parameters;
use shared::store::UsageFilter;

/// The most hours (a week), days and months of one report.
const MOST: [(Division, usize); 3] = [
    (Division::Hourly, 7 * 25),
    (Division::Daily, 92),
    (Division::Monthly, 14),
];
const DIVISIONS: &[(&str, Division)] = &[
    ("hourly", Division::Hourly),
    ("daily", Division::Daily),
    ("monthly", Division::Monthly),
];

/// The start or end of a report.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// A day such as `2026-11-24`. `2026-11` stands for its first day or its last.
    Days(Date, Date),
    /// The day of a time like `2026-11-24T12:00:00Z`, in the organisation's time zone.
    DayOf(Timestamp),
}

impl Edge {
    fn read(text: &str) -> Option<Self> {
        let is_in_range = |year: i16| (2000..=9998).contains(&year);
        if text.len() == 10 {
            let day: Date = text.parse().ok()?;
            return is_in_range(day.year()).then_some(Self::Days(day, day));
        }
        if text.contains(['T', 't']) {
            let at: Timestamp = text.parse().ok()?;
            let year = TimeZone::UTC.to_datetime(at).year();
            return is_in_range(year).then_some(Self::DayOf(at));
        }
        let month: Month = text.parse().ok()?;
        let first: Date = format!("{month}-01").parse().ok()?;
        Some(Self::Days(first, first.last_of_month()))
    }

    fn days(self, zone: &TimeZone) -> (Date, Date) {
        match self {
            Self::Days(first, last) => (first, last),
            Self::DayOf(at) => {
                let day = zone.to_datetime(at).date();
                (day, day)
            }
        }
    }
}

/// A requested report, as far as it can be read without the organisation.
pub(super) struct ReportRequest {
    pub(super) division: Division,
    pub(super) start: Option<Edge>,
    pub(super) end: Option<Edge>,
    pub(super) filter: UsageFilter,
}

pub(super) fn read_request(parameters: &mut Parameters) -> ReportRequest {
    let division = parameters.one_of("period", DIVISIONS);
    let rule = "must be a date like 2026-11-24 or a month like 2026-11";
    let start = parameters.take("start_date", rule, Edge::read);
    let end = parameters.take("end_date", rule, Edge::read);
    let named = |most: usize| {
        move |text: &str| {
            let is_right = !text.is_empty() && text.chars().count() <= most;
            is_right.then(|| text.to_owned())
        }
    };
    let filter = UsageFilter {
        user_id: take_user_id(parameters, "user_id"),
        department_id: take_department_id(parameters, "department_id"),
        model: parameters.take("model", "must be 1 to 200 characters", named(200)),
        provider: parameters.take("provider", "must be 1 to 100 characters", named(100)),
    };
    ReportRequest {
        division: division.unwrap_or(Division::Daily),
        start,
        end,
        filter,
    }
}

impl ReportRequest {
    /// Returns the buckets of the report. Fails if it ends before it begins or is too long.
    pub(super) fn buckets(
        &self,
        configuration: &Configuration,
        now: Timestamp,
    ) -> Result<Vec<Bucket>, ApiError> {
        let zone = configuration.organisation.zone();
        let mut today = zone.to_datetime(now).date();
        if self.division == Division::Monthly {
            // After a change of time zone, a month may have begun before its first day.
            let begun = configuration.period_of(now).day(1);
            today = begun.map_or(today, |begun| begun.max(today));
        }
        let last = self.end.map_or(today, |edge| edge.days(&zone).1);
        let first = self.start.map(|edge| edge.days(&zone).0);
        let first = first.unwrap_or(match self.division {
            Division::Hourly => last,
            Division::Daily => last.first_of_month(),
            Division::Monthly => last.first_of_month().saturating_sub(Span::new().months(11)),
        });
        let wrong = |field: &str, message: String| {
            Err(ApiError::invalid(vec![Detail {
                field: field.to_owned(),
                message,
            }]))
        };
        if first > last {
            return wrong("start_date", "must not be after end_date".to_owned());
        }
        let (_, most) = MOST[match self.division {
            Division::Hourly => 0,
            Division::Daily => 1,
            Division::Monthly => 2,
        }];
        // A span of years is refused before its hours are listed.
        let days = first.until(last).map_or(i32::MAX, |span| span.get_days());
        let is_long = usize::try_from(days).is_ok_and(|days| days > 14 * 31);
        let mut buckets = match is_long {
            true => Vec::new(),
            false => between(self.division, first, last, &zone),
        };
        if self.division == Division::Monthly {
            for bucket in &mut buckets {
                if let Ok(month) = bucket.id.parse() {
                    bucket.starts_at = configuration.organisation.month_start(month);
                }
            }
        }
        if is_long || buckets.len() > most {
            let message = match self.division {
                Division::Hourly => "a report by the hour has at most 7 days",
                Division::Daily => "a report by the day has at most 92 days",
                Division::Monthly => "a report by the month has at most 14 months",
            };
            return wrong("start_date", message.to_owned());
        }
        Ok(buckets)
    }
}
