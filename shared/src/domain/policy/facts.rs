//! The facts of one event for an evaluation, read from its record. Live evaluation and tests use
//! the same.

use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::RiskLevel;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// A record's part of the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The month in which it counts.
    pub period: Month,
    pub charged: Amounts,
    /// The part that an abandoned hold had already paid for the department.
    pub offset: Amounts,
}

/// The kind of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Usage {
        /// As it was reported.
        model: String,
        /// The name that its price was found by, if that is another one.
        matched: Option<String>,
        /// Whether the model was permitted when the usage was recorded.
        is_allowed: bool,
        spent: Spent,
    },
    Risk {
        risk_level: RiskLevel,
        repository: Option<String>,
        summary: String,
    },
    /// An abandoned hold that was charged: it counts for its department, but no user caused an
    /// event.
    AbandonedHold(Spent),
    /// A correction by an administrator: it counts for its department and user, but no user caused
    /// an event.
    Correction(Spent),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Unique in the organisation.
    pub identity: EventIdentity,
    /// The client's id, shown to people.
    pub event_id: String,
    pub received_at: Timestamp,
    /// When a repeated delivery named the user, if the first did not.
    pub completed_at: Option<Timestamp>,
    pub occurred_at: Timestamp,
    /// The local day on which it happened.
    pub day: Date,
    /// The local day on which it arrived.
    pub received_day: Date,
    /// The minute of the local day in which it happened.
    pub minute: i64,
    /// The month in which it arrived.
    pub received_period: Month,
    /// The user, if known.
    pub user_id: Option<String>,
    /// The department's path at the time. Empty if unknown.
    pub path: Path,
    pub kind: Kind,
}

impl Facts {
    /// Returns an event with its times as `zone` shows them.
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

    /// Returns true if a message that came at one of `times` should be evaluated: the first one, or
    /// the one that named the user.
    pub fn is_of_message(&self, times: &BTreeSet<Timestamp>) -> bool {
        let completed = self.completed_at.as_ref();
        times.contains(&self.received_at) || completed.is_some_and(|at| times.contains(at))
    }

    /// Returns its position in the order of arrival.
    pub fn arrival(&self) -> (Timestamp, &EventIdentity) {
        (self.received_at, &self.identity)
    }

    /// Returns true if its month is so old that its thresholds are not evaluated: a month before
    /// the one preceding its arrival.
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
