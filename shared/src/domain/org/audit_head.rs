//! Heads of the audit log: the last entry of each day. A copy kept outside of the database proves
//! whether earlier entries were changed.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long after midnight a day is complete: changes that began before are written by then.
const SETTLES_IN: SignedDuration = SignedDuration::from_mins(10);

/// The last entry of a day. It never changes, because entries are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    pub day: Date,
    /// The number of that entry. If it is older than the day, the day had no entries and gets no
    /// head.
    pub seq: u64,
    pub hash: String,
    /// When the entry was written.
    pub at: Timestamp,
    /// The head as a JSON Web Token, signed with the deployment's key.
    pub signed_head: String,
    /// True if it is in the archive bucket.
    #[serde(default)]
    pub is_archived: bool,
}

/// A day that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOver {
    pub day: Date,
    /// The first moment after the day.
    pub end: Timestamp,
}

impl DayOver {
    /// Returns the last day in UTC that is complete at `now`. None at the beginning of time.
    pub fn before(now: Timestamp) -> Option<Self> {
        let settled = now.checked_sub(SETTLES_IN).ok()?;
        let midnight = settled
            .to_zoned_datetime(TimeZone::UTC)
            .start_of_day()
            .ok()?;
        let day = midnight.date().yesterday().ok()?;
        let end = midnight.timestamp();
        Some(Self { day, end })
    }
}

impl AuditHead {
    /// Returns the document that readers keep and the bucket archives. `public_key` is a JSON Web
    /// Key.
    pub fn kept(&self, organisation_id: &str, public_key: &Value) -> Value {
        json!({
            "org_id": organisation_id,
            "day": self.day,
            "seq": self.seq,
            "hash": self.hash,
            "at": self.at,
            "signed_head": self.signed_head,
            "public_key": public_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_ten_minutes_after_midnight() {
        for (now, day, end) in [
            ("2026-11-25T00:09:59Z", "2026-11-23", "2026-11-24T00:00:00Z"),
            ("2026-11-25T00:10:00Z", "2026-11-24", "2026-11-25T00:00:00Z"),
            ("2026-11-25T23:59:59Z", "2026-11-24", "2026-11-25T00:00:00Z"),
            ("2027-01-01T12:00:00Z", "2026-12-31", "2027-01-01T00:00:00Z"),
        ] {
            let over = DayOver::before(now.parse().unwrap()).unwrap();
            assert_eq!(
                (over.day.to_string().as_str(), over.end),
                (day, end.parse().unwrap()),
                "{now}"
            );
        }
        assert_eq!(DayOver::before(Timestamp::MIN), None);
    }
}
