//! What an evaluation knows of one event, read from its record: live and in a test alike.

use crate::domain::amount::Amounts;
use crate::domain::configuration::Path;
use crate::domain::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::usage::RiskLevel;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// What a record added to the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The month it counts in.
    pub period: Month,
    /// What it was charged.
    pub charged: Amounts,
    /// What of it an abandoned hold had paid for the department already.
    pub offset: Amounts,
}

/// What kind of event it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An LLM request.
    Usage {
        /// The model.
        model: String,
        /// What it was charged.
        spent: Spent,
    },
    /// A risk.
    Risk {
        /// How grave it is.
        risk_level: RiskLevel,
        /// Where.
        repository: Option<String>,
        /// What happened.
        summary: String,
    },
    /// A hold that nobody settled and that was charged: it counts for its department and is no event of anybody's.
    AbandonedHold(Spent),
    /// What an administrator corrected: it counts for its department and user, and is no event of anybody's.
    Correction(Spent),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What no other event of the organisation has.
    pub identity: EventIdentity,
    /// The client's id, for people.
    pub event_id: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it came again and said whose it is, if nobody was known at first.
    pub completed_at: Option<Timestamp>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The local day on which it happened.
    pub day: Date,
    /// The local day on which it arrived.
    pub received_day: Date,
    /// The minute of the local day in which it happened.
    pub minute: i64,
    /// The month in which it arrived.
    pub received_period: Month,
    /// Whose it is, where that is known.
    pub user_id: Option<String>,
    /// Their department's path at the time; empty where it is not known.
    pub path: Path,
    /// The rest.
    pub kind: Kind,
}

impl Facts {
    /// An event with its times as `zone` shows them.
    pub fn new(
        identity: EventIdentity,
        event_id: String,
        [received_at, occurred_at]: [Timestamp; 2],
        zone: &TimeZone,
        user_id: Option<String>,
        path: Path,
        kind: Kind,
    ) -> Self {
        let local = zone.to_datetime(occurred_at);
        let received = zone.to_datetime(received_at);
        Self {
            identity,
            event_id,
            received_at,
            completed_at: None,
            occurred_at,
            day: local.date(),
            received_day: received.date(),
            minute: i64::from(local.hour()) * 60 + i64::from(local.minute()),
            received_period: Month::of_date(received.date()),
            user_id,
            path,
            kind,
        }
    }

    /// Whether the message that came at one of `times` is to be evaluated: the first one, or the one that
    /// said whose it is.
    pub fn is_of_message(&self, times: &BTreeSet<Timestamp>) -> bool {
        let completed = self.completed_at.as_ref();
        times.contains(&self.received_at) || completed.is_some_and(|at| times.contains(at))
    }

    /// Where it stands among others in order of arrival.
    pub fn arrival(&self) -> (Timestamp, &EventIdentity) {
        (self.received_at, &self.identity)
    }

    /// Whether it counts in a month so long ago that no threshold of that month is looked at any more: one before the
    /// month before it arrived.
    pub fn is_of_old_month(&self, period: Month) -> bool {
        period < self.received_period.prev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;

    #[test]
    fn an_event_is_looked_at_when_it_comes_and_when_it_is_known_whose_it_is() {
        let kind = Kind::Risk {
            risk_level: RiskLevel::High,
            repository: None,
            summary: "a key was pushed".to_owned(),
        };
        let (first, second) = (at("2026-11-24T12:00:00Z"), at("2026-11-24T13:07:00Z"));
        let facts = Facts {
            completed_at: Some(second),
            ..Facts::new(
                EventIdentity::from_key("github##e-1"),
                "e-1".to_owned(),
                [first, first],
                &TimeZone::UTC,
                Some("ada".to_owned()),
                Path::from_text("/eng/backend/"),
                kind,
            )
        };
        let is_of = |time: &str| facts.is_of_message(&BTreeSet::from([at(time)]));
        assert!(is_of("2026-11-24T12:00:00Z") && is_of("2026-11-24T13:07:00Z"));
        assert!(!is_of("2026-11-24T12:30:00Z"));
    }
}
