//! Denied preflights, recorded and counted by the hour.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many minutes after an hour its denials enter the audit log: all messages have arrived by
/// then.
const GRACE_MINUTES: i64 = 10;
/// How many past hours are examined: as long as their counts are kept.
const LOOK_BACK_HOURS: i64 = 70;

/// The entry for all unknown users, who have no entries of their own.
const NOBODY: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Made by the server, for recording it once.
    pub refusal_id: String,
    pub refused_at: Timestamp,
    /// The client's id of the request.
    pub request_id: String,
    pub user_id: String,
    pub model: String,
    pub reasons: Vec<String>,
    pub budget_ids: Vec<String>,
}

/// A queued denial that will be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalMessage {
    pub organisation_id: String,
    pub refused: Refused,
}

impl Refused {
    /// Returns the hour in which it counts: `2026-11-24T12`, in UTC.
    pub fn hour(&self) -> String {
        hour(self.refused_at)
    }

    /// Returns the user for whom it counts.
    pub fn counted_user(&self, code: &str) -> &str {
        match code {
            "unknown_user" => NOBODY,
            _ => &self.user_id,
        }
    }
}

/// Returns the hour of a moment, in UTC.
pub fn hour(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::UTC);
    at.strftime("%Y-%m-%dT%H").to_string()
}

/// Returns the first and the last complete hour to examine at `now`.
pub fn hours_to_tell(now: Timestamp) -> [String; 2] {
    let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(now);
    let first = before(SignedDuration::from_hours(LOOK_BACK_HOURS));
    let last = before(SignedDuration::from_mins(60 + GRACE_MINUTES));
    [hour(first), hour(last)]
}

/// The denials of a user for one reason in one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedHour {
    pub hour: String,
    pub user_id: String,
    pub reason: String,
    /// The first recorded denial.
    pub first: Timestamp,
    /// The last recorded denial.
    pub last: Timestamp,
    pub count: u64,
}

impl RefusedHour {
    /// Returns the entry of the audit log for `count` of them.
    pub fn described(&self, count: u64) -> String {
        json!({
            "hour": self.hour,
            "user_id": self.user_id,
            "reason": self.reason,
            "first": self.first,
            "last": self.last,
            "count": count,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_ten_minutes_after_its_end() {
        for (now, last) in [
            ("2026-11-24T13:09:59Z", "2026-11-24T11"),
            ("2026-11-24T13:10:00Z", "2026-11-24T12"),
            ("2026-11-24T14:00:00Z", "2026-11-24T12"),
        ] {
            let hours = hours_to_tell(now.parse().unwrap());
            assert_eq!(hours[1], last, "{now}");
        }
        let [first, _] = hours_to_tell("2026-11-24T13:10:00Z".parse().unwrap());
        assert_eq!(first, "2026-11-21T15");
    }
}
