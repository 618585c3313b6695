//! Alerts about reported events that are inconsistent.

use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::plausible::Excess;
use crate::domain::ledger::usage::Event;
use crate::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

/// The problem with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its identity was already used for another body.
    Conflict {
        /// True if it is charged anyway, to the hold that it names.
        is_charged: bool,
    },
    /// It reports usage of a hold that had already lapsed.
    LapsedHold,
    /// It used more than its hold, and the organisation reserves strictly.
    ExceededHold,
    /// It is implausibly large and waits for an administrator.
    HeldBack(Excess),
}

impl Trouble {
    fn as_str(self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::LapsedHold => "lapsed_hold",
            Self::ExceededHold => "exceeded_hold",
            Self::HeldBack(_) => "held_back",
        }
    }
}

/// An event with a problem.
#[derive(Clone, Debug)]
pub struct TroubledEvent<'a> {
    pub trouble: Trouble,
    pub event: &'a Event,
    pub received_at: Timestamp,
    pub zone: &'a TimeZone,
}

impl TroubledEvent<'_> {
    pub fn user_id(&self) -> Option<&str> {
        match self.event {
            Event::LlmRequest(usage) => Some(&usage.user_id),
            Event::IpRisk(risk) => risk.user_id.as_deref(),
        }
    }

    /// Returns the key under which it is announced once: a user's day, or a user's hour for events
    /// held back, because an administrator has to decide them.
    pub fn told_as(&self) -> String {
        let whose = self.user_id().unwrap_or_default();
        let received = self.zone.to_datetime(self.received_at);
        let (day, of) = (received.date(), self.trouble.as_str());
        match self.trouble {
            Trouble::Conflict { .. } | Trouble::LapsedHold | Trouble::ExceededHold => {
                format!("{day}#{of}#{whose}")
            }
            Trouble::HeldBack(_) => format!("{day}T{:02}#{of}#{whose}", received.hour()),
        }
    }

    /// Returns true if administrators are notified instead of the user's manager.
    pub fn is_for_administrators(&self) -> bool {
        matches!(self.trouble, Trouble::HeldBack(_))
    }

    fn severity(&self) -> Severity {
        match self.trouble {
            Trouble::Conflict { .. } | Trouble::ExceededHold => Severity::High,
            Trouble::LapsedHold => Severity::Medium,
            Trouble::HeldBack(_) => Severity::Critical,
        }
    }

    fn title(&self) -> String {
        let whose = self.user_id().unwrap_or("nobody");
        match self.trouble {
            Trouble::Conflict { .. } => format!("event ids of {whose} are used twice"),
            Trouble::LapsedHold => format!("{whose} used a hold after it had lapsed"),
            Trouble::ExceededHold => format!("{whose} used more than was held"),
            Trouble::HeldBack(_) => format!("a report of {whose} is too large to be true"),
        }
    }

    fn message(&self) -> String {
        let event_id = self.event.event_id();
        match self.trouble {
            Trouble::Conflict { is_charged } => {
                let counted = match is_charged {
                    true => "It is charged, because it names its own hold",
                    false => "It is not counted",
                };
                format!(
                    "The event {event_id} came with a different body than before. {counted}. \
                     Further ones of this day are marked without another alert: GET \
                     /v1/events?status=conflict lists them. Look for a client that numbers its \
                     events from 1, or that changes an event and sends it again."
                )
            }
            Trouble::LapsedHold => format!(
                "The event {event_id} names a hold that had lapsed. It is charged in full and \
                 marked as lapsed, but nothing was held for it by then, so it may exceed a cap. \
                 Further ones of this day are marked without another alert. Let the client extend \
                 the hold during a long answer (PATCH /v1/holds/{{id}}), or raise hold_seconds."
            ),
            Trouble::ExceededHold => format!(
                "The event {event_id} used more than its hold, although holds cover whole requests \
                 here. The excess is charged as debt. Further ones of this day are marked without \
                 another alert: GET /v1/events?status=exceeded_hold lists them. Look for a client \
                 that holds for one request and sends another."
            ),
            Trouble::HeldBack(excess) => format!(
                "The event {event_id} reports {excess}. It is stored but not counted. A hold that \
                 it names is charged in full. Count or discard it with POST /v1/events/decisions. \
                 Further ones of this hour raise no other alert: GET /v1/events?status=held_back \
                 lists them."
            ),
        }
    }

    /// Returns the alert for this event.
    pub fn alert(&self, id: String, department_id: Option<String>, now: Timestamp) -> Alert {
        let kind = match self.event {
            Event::LlmRequest(_) => "llm_request",
            Event::IpRisk(_) => "ip_risk",
        };
        let identity = EventIdentity::of(self.event);
        Alert {
            id,
            kind: AlertKind::AnomalyDetected,
            severity: self.severity(),
            status: AlertStatus::Open,
            title: self.title(),
            message: self.message(),
            user_id: self.user_id().map(str::to_owned),
            department_id,
            budget_id: None,
            policy_id: None,
            metadata: json!({
                "trouble": self.trouble.as_str(),
                "event": {
                    "event_id": self.event.event_id(),
                    "type": kind,
                    "identity": identity.as_str(),
                    "occurred_at": self.event.occurred_at().to_string(),
                },
                "received_at": self.received_at.to_string(),
                "excess": match self.trouble { Trouble::HeldBack(excess) => Some(excess),
                _ => None },
            }),
            created_at: now,
            resolved_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::plausible::Counted;
    use crate::domain::samples::{at, usage};

    #[test]
    fn trouble_is_told_once_a_day_and_what_is_held_back_once_an_hour_of_the_local_clock() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let event = Event::LlmRequest(usage("e-1", 1, 2));
        let told_as = |trouble| {
            let troubled = TroubledEvent {
                trouble,
                event: &event,
                received_at: at("2026-11-24T22:30:00Z"),
                zone: &tokyo,
            };
            troubled.told_as()
        };
        let excess = Excess {
            of: Counted::Output,
            tokens: 163_841,
            most: 163_840,
        };
        assert_eq!(
            told_as(Trouble::HeldBack(excess)),
            "2026-11-25T07#held_back#ada"
        );
        let conflict = Trouble::Conflict { is_charged: true };
        assert_eq!(told_as(conflict), "2026-11-25#conflict#ada");
        let day = |of| format!("2026-11-25#{of}#ada");
        assert_eq!(told_as(Trouble::LapsedHold), day("lapsed_hold"));
        assert_eq!(told_as(Trouble::ExceededHold), day("exceeded_hold"));
    }
}
