//! Heads of the audit log: what its last entry of a day was. Somebody who keeps one where the log cannot be written can
//! tell later whether anything before it was changed.

use super::notice::{Notice, Recipient};
use super::webhook::EventType;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long after midnight a day is over: a change that began before is written by then.
const SETTLES_IN: SignedDuration = SignedDuration::from_mins(10);

/// The last entry of a day. It is the same whenever it is looked up, because entries are only added behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The day in UTC whose last entry it is.
    pub day: Date,
    /// The number of that entry. An older one if the day has none: then no head is made.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When it was written.
    pub at: Timestamp,
    /// All of that as a JSON Web Token, signed with the deployment's key.
    pub signed_head: String,
    /// Whether it is in the bucket, if there is one.
    #[serde(default)]
    pub is_archived: bool,
}

/// A day that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOver {
    /// The day.
    pub day: Date,
    /// The moment that ended it.
    pub end: Timestamp,
}

impl DayOver {
    /// The last day in UTC that is over at `now`; none at the beginning of time.
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
    /// What a reader keeps of it, and what the bucket has. `public_key` is a JSON Web Key.
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

    /// The notice that carries it out of the tables.
    pub fn notice(
        &self,
        id: String,
        public_key: &Value,
        recipients: Vec<Recipient>,
        now: Timestamp,
    ) -> Notice {
        let Self { day, seq, hash, .. } = self;
        let payload = json!({
            "title": format!("the audit log of {day} ends with entry {seq}"),
            "message": format!(
                "Entry {seq} has the hash {hash}. It covers every entry before it. Keep this where the log cannot be changed.",
            ),
            "day": day,
            "seq": seq,
            "hash": hash,
            "at": self.at,
            "signed_head": self.signed_head,
            "public_key": public_key,
            "what_now": format!(
                "GET /v1/audit-log/verify?seq={seq}&hash={hash} says whether the log still agrees with it.",
            ),
        });
        Notice::new(id, EventType::AuditHead, payload, recipients, now)
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
