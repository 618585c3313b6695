//! Refused preflights, as they are recorded and counted by the hour.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long after an hour its refusals are written into the audit log, in minutes: those on their way have come by then.
const GRACE_MINUTES: i64 = 10;
/// How far back hours are looked at, in hours: as long as their counts are kept.
const LOOK_BACK_HOURS: i64 = 70;

/// What stands for all users who are not known: they have no entries of their own.
const NOBODY: &str = "unknown";

/// A preflight that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Made here; it is recorded once.
    pub refusal_id: String,
    /// When.
    pub refused_at: Timestamp,
    /// The client's id of the request.
    pub request_id: String,
    /// Whose request it was.
    pub user_id: String,
    /// The model.
    pub model: String,
    /// Each code once.
    pub reasons: Vec<String>,
    /// The budgets that were short.
    pub budget_ids: Vec<String>,
}

/// A refusal on its way to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalMessage {
    /// The organisation.
    pub organisation_id: String,
    /// What was refused.
    pub refused: Refused,
}

impl Refused {
    /// The hour that it counts in: `2026-11-24T12`, in UTC.
    pub fn hour(&self) -> String {
        hour(self.refused_at)
    }

    /// The user that it counts for.
    pub fn counted_user(&self, code: &str) -> &str {
        match code {
            "unknown_user" => NOBODY,
            _ => &self.user_id,
        }
    }
}

/// The hour of a moment, in UTC.
pub fn hour(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::UTC);
    at.strftime("%Y-%m-%dT%H").to_string()
}

/// The hours that are over at `now` and whose refusals have come: the first and the last that are looked at.
pub fn hours_to_tell(now: Timestamp) -> [String; 2] {
    let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(now);
    let first = before(SignedDuration::from_hours(LOOK_BACK_HOURS));
    let last = before(SignedDuration::from_mins(60 + GRACE_MINUTES));
    [hour(first), hour(last)]
}

/// What was refused to a user for one reason in one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedHour {
    /// The hour.
    pub hour: String,
    /// The user.
    pub user_id: String,
    /// The reason's code.
    pub reason: String,
    /// The first that was recorded.
    pub first: Timestamp,
    /// The last that was recorded.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
}

impl RefusedHour {
    /// What the audit log says of `count` of them.
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
