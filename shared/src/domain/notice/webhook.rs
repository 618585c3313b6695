//! Webhooks of an organisation: the receivers, the signature of each delivery, and the retry
//! schedule.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus, event_time};
use crate::domain::notice::event_type::EventType;
#[cfg(test)]
use crate::domain::notice::signature::standard_signature;

/// The most webhooks of an organisation.
pub const MAX_WEBHOOKS: u64 = 100;
/// How long the previous secret continues to sign.
pub const OLD_SECRET_LIVES: SignedDuration = SignedDuration::from_hours(24);

/// The events of a webhook from before subscriptions existed: only those that a policy sends to it.
fn nothing() -> Option<Vec<EventType>> {
    Some(Vec::new())
}

/// The version of a webhook from before versions were counted.
fn first() -> u64 {
    1
}

/// A replaced secret that still signs for some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    pub sealed: String,
    /// When it stops signing.
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: String,
    pub url: String,
    /// The subscribed events. None for every event. Policies that name the webhook always reach it.
    #[serde(default = "nothing")]
    pub events: Option<Vec<EventType>>,
    /// The signing secret, sealed.
    pub sealed_secret: String,
    /// The previous signing secret.
    #[serde(default)]
    pub old_secret: Option<OldSecret>,
    /// The purpose, for people.
    pub description: Option<String>,
    pub created_at: Timestamp,
    /// Counts the changes of its url: another url is another receiver.
    #[serde(default)]
    pub receiver: u64,
    #[serde(default = "first")]
    pub version: u64,
}

impl Webhook {
    /// Returns true if it gets every event of this kind.
    pub fn subscribes(&self, kind: EventType) -> bool {
        self.events
            .as_ref()
            .is_none_or(|events| events.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(at: Timestamp, status_code: Option<u16>) -> Attempt {
        Attempt {
            at,
            status_code,
            error: None,
        }
    }

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the Standard Webhooks specification's libraries.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = standard_signature(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_id_of_an_event_says_when_it_happened() {
        let noon: Timestamp = "2026-11-24T12:00:00.007Z".parse().unwrap();
        let ms = noon.as_millisecond();
        assert_eq!(event_time(&format!("evt_{ms:012x}0000abcdef")), Some(noon));
        for id in [
            "",
            "evt_",
            "evt_1",
            "ntc_019c0000000000",
            "evt_not-a-number",
        ] {
            assert_eq!(event_time(id), None, "{id}");
        }
    }

    #[test]
    fn attempts_come_later_and_later_and_end_within_a_day() {
        let start: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let mut delivery = Delivery::new(
            "evt_1".into(),
            "whk_1".into(),
            EventType::WebhookTest,
            "{}".into(),
            start,
        );
        let mut last = SignedDuration::ZERO;
        let mut attempts = 0;
        while let Some(at) = delivery.next_attempt_at {
            delivery = delivery.refused(&attempt(at, Some(503)), None);
            attempts += 1;
            if let Some(next) = delivery.next_attempt_at {
                assert!(next.duration_since(at) > last);
                last = next.duration_since(at);
                assert!(next.duration_since(start) < SignedDuration::from_hours(24));
            }
        }
        assert_eq!((attempts, delivery.status), (9, DeliveryStatus::Failed));
        let again = delivery.again(start);
        assert_eq!(
            (again.status, again.next_attempt_at),
            (DeliveryStatus::Pending, Some(start))
        );
        assert_eq!(
            again.taken(&attempt(start, Some(204))).status,
            DeliveryStatus::Delivered
        );
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let new = || {
            Delivery::new(
                "evt_1".into(),
                "whk_1".into(),
                EventType::WebhookTest,
                "{}".into(),
                now,
            )
        };
        let due = |retry_after| {
            let after = new().refused(&attempt(now, Some(429)), retry_after);
            after.next_attempt_at.unwrap().duration_since(now).as_secs()
        };
        assert_eq!(
            (
                due(None),
                due(Some(120)),
                due(Some(1)),
                due(Some(10_000_000))
            ),
            (5, 120, 5, 86_400)
        );
    }

    fn delivery(now: Timestamp) -> Delivery {
        let kind = EventType::WebhookTest;
        Delivery::new("evt_1".into(), "whk_1".into(), kind, "{}".into(), now)
    }

    #[test]
    fn however_late_it_asks_no_attempt_is_later_than_a_day_after_the_first() {
        let start: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let at = start + SignedDuration::from_hours(20);
        let next = |asked| {
            let mut delivery = delivery(start);
            delivery.tries = 3;
            let after = delivery.refused(&attempt(at, Some(503)), Some(asked));
            after.next_attempt_at.unwrap().duration_since(at).as_secs()
        };
        assert_eq!([next(0), next(901), next(14_400)], [900, 901, 14_400]);
        assert_eq!([next(14_401), next(86_400)], [14_400, 14_400]);
    }

    #[test]
    fn only_what_is_refused_for_what_it_is_counts_as_refused_until_it_is_retried_by_hand() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let refusals = |status_code| {
            let after = delivery(now).waiting(&attempt(now, status_code));
            after.refusals
        };
        for code in [400, 404, 422] {
            assert_eq!(refusals(Some(code)), 1, "{code}");
        }
        for code in [302, 408, 425, 429, 500, 503] {
            assert_eq!(refusals(Some(code)), 0, "{code}");
        }
        assert_eq!(refusals(None), 0);
        let refused = delivery(now).waiting(&attempt(now, Some(404)));
        assert_eq!(refused.again(now).refusals, 0);
    }
}
