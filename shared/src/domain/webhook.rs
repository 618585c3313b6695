//! Webhooks of an organisation: where its own systems are told, how each delivery is signed, and when one that failed is
//! tried again.

use super::health::MAX_WAIT;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The most webhooks of an organisation.
pub const MAX_WEBHOOKS: u64 = 100;
/// How long the secret before the newest one signs too.
pub const OLD_SECRET_LIVES: SignedDuration = SignedDuration::from_hours(24);
/// How long after each failed attempt the next one is made, in seconds: nine attempts in some 22 hours.
const DELAYS: [i64; 8] = [5, 60, 300, 900, 3_600, 10_800, 21_600, 43_200];
/// The longest that a receiver can ask to be left alone, in seconds.
const MAX_RETRY_AFTER: i64 = 86_400;

/// What a webhook can be told of. A name stays; its `data` only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    /// A policy fired.
    #[serde(rename = "policy.fired", alias = "policy_fired")]
    PolicyFired,
    /// A budget has reached a threshold below its limit.
    #[serde(rename = "budget.threshold")]
    BudgetThreshold,
    /// A budget has reached or passed its limit.
    #[serde(rename = "budget.exceeded")]
    BudgetExceeded,
    /// Somebody asks for an exemption.
    #[serde(rename = "exemption.requested")]
    ExemptionRequested,
    /// An exemption was granted.
    #[serde(rename = "exemption.approved")]
    ExemptionApproved,
    /// An exemption was refused.
    #[serde(rename = "exemption.denied")]
    ExemptionDenied,
    /// An exemption was ended before its time, or a request was withdrawn.
    #[serde(rename = "exemption.revoked")]
    ExemptionRevoked,
    /// An exemption ends soon.
    #[serde(rename = "exemption.ending")]
    ExemptionEnding,
    /// An exemption has ended by time.
    #[serde(rename = "exemption.expired")]
    ExemptionExpired,
    /// An alert that is about no budget and of no policy was raised.
    #[serde(rename = "alert.created")]
    AlertCreated,
    /// An incident was opened.
    #[serde(rename = "incident.created")]
    IncidentCreated,
    /// A user was kept from LLMs, by hand or by a policy.
    #[serde(rename = "user.blocked")]
    UserBlocked,
    /// A user's block was ended by hand.
    #[serde(rename = "user.released")]
    UserReleased,
    /// A month was closed and its rollovers were credited.
    #[serde(rename = "period.closed")]
    PeriodClosed,
    /// A day's last entry of the audit log, signed.
    #[serde(rename = "audit.head")]
    AuditHead,
    /// Somebody tries the webhook.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

/// Every event type by its name in the API.
pub const EVENT_TYPES: &[(&str, EventType)] = &[
    ("policy.fired", EventType::PolicyFired),
    ("budget.threshold", EventType::BudgetThreshold),
    ("budget.exceeded", EventType::BudgetExceeded),
    ("exemption.requested", EventType::ExemptionRequested),
    ("exemption.approved", EventType::ExemptionApproved),
    ("exemption.denied", EventType::ExemptionDenied),
    ("exemption.revoked", EventType::ExemptionRevoked),
    ("exemption.ending", EventType::ExemptionEnding),
    ("exemption.expired", EventType::ExemptionExpired),
    ("alert.created", EventType::AlertCreated),
    ("incident.created", EventType::IncidentCreated),
    ("user.blocked", EventType::UserBlocked),
    ("user.released", EventType::UserReleased),
    ("period.closed", EventType::PeriodClosed),
    ("audit.head", EventType::AuditHead),
    ("webhook.test", EventType::WebhookTest),
];

impl EventType {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        let found = EVENT_TYPES.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

/// What a webhook is told of that was made before there was a choice: only what names it.
fn nothing() -> Option<Vec<EventType>> {
    Some(Vec::new())
}

/// The version of a webhook that was made before versions were counted.
fn first() -> u64 {
    1
}

/// A secret that was replaced and signs for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// The secret, sealed.
    pub sealed: String,
    /// When it signs no more.
    pub until: Timestamp,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Made here: `whk_...`.
    pub id: String,
    /// Where it posts.
    pub url: String,
    /// What it is told of: everything, or these; where a policy names it, it is told of that always.
    #[serde(default = "nothing")]
    pub events: Option<Vec<EventType>>,
    /// What it signs with, sealed.
    pub sealed_secret: String,
    /// What it signed with before.
    #[serde(default)]
    pub old_secret: Option<OldSecret>,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts how often its url was changed: another url is another receiver.
    #[serde(default)]
    pub receiver: u64,
    /// Counts its changes.
    #[serde(default = "first")]
    pub version: u64,
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It waits for its next attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It was given up; it can be retried by hand.
    Failed,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What the receiver answered, if it did.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub status_code: Option<u16>,
    /// Why there was no answer.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub error: Option<String>,
}

/// A time of failing: what a receiver refused in the same one, it refused without taking anything in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Which of the webhook's receivers.
    pub receiver: u64,
    /// Since when it accepted nothing.
    pub since: Timestamp,
}

/// One event on its way to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event's id: `evt_...`, later ones sort last. A receiver sees it as `webhook-id` on each attempt.
    pub id: String,
    /// To whom.
    pub webhook_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The body as it was when it happened; each attempt sends these bytes.
    pub body: String,
    /// What has become of it.
    pub status: DeliveryStatus,
    /// The attempts, the oldest first.
    pub attempts: Vec<Attempt>,
    /// How many attempts were made since it was made or retried by hand.
    pub tries: usize,
    /// When that was.
    pub begun_at: Timestamp,
    /// In which time of failing the first of these attempts was refused. Times of several machines are not compared: an attempt is a
    /// little later than what it is an attempt of, and of two at once the younger one may be kept first.
    #[serde(default)]
    pub refused_in: Option<Failing>,
    /// When the next attempt is due; none where there is none.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether somebody asked for the next attempt, which is made though the webhook is paused or ended.
    #[serde(default)]
    pub is_by_hand: bool,
    /// How often it was refused for what it is (4xx) while its webhook was paused.
    #[serde(default)]
    pub refusals: u32,
    /// Counts its changes.
    pub version: u64,
}

/// The most attempts that a delivery remembers.
const MAX_ATTEMPTS_SHOWN: usize = 20;

impl Delivery {
    /// A delivery that is due now.
    pub fn new(
        id: String,
        webhook_id: String,
        kind: EventType,
        body: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            webhook_id,
            kind,
            body,
            status: DeliveryStatus::Pending,
            attempts: Vec::new(),
            tries: 0,
            begun_at: now,
            refused_in: None,
            next_attempt_at: Some(now),
            created_at: now,
            is_by_hand: false,
            refusals: 0,
            version: 1,
        }
    }

    fn tried(mut self, attempt: &Attempt) -> Self {
        self.attempts.push(attempt.clone());
        let surplus = self.attempts.len().saturating_sub(MAX_ATTEMPTS_SHOWN);
        self.attempts.drain(..surplus);
        self.is_by_hand = false;
        self.version += 1;
        self
    }

    fn over(mut self, status: DeliveryStatus) -> Self {
        self.status = status;
        self.next_attempt_at = None;
        self
    }

    /// The same after an attempt that the receiver took.
    #[must_use]
    pub fn taken(mut self, attempt: &Attempt) -> Self {
        self.tries += 1;
        self.tried(attempt).over(DeliveryStatus::Delivered)
    }

    /// The same after an attempt that no other follows.
    #[must_use]
    pub fn failed(mut self, attempt: &Attempt) -> Self {
        self.tries += 1;
        self.tried(attempt).over(DeliveryStatus::Failed)
    }

    /// The same after an attempt that does not count, because the webhook is paused: it waits on.
    #[must_use]
    pub fn waiting(mut self, attempt: &Attempt) -> Self {
        let is_answer = |code: u16| (400..500).contains(&code) && !matches!(code, 408 | 425 | 429);
        if attempt.status_code.is_some_and(is_answer) {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.next_attempt_at = Some(attempt.at);
        self.tried(attempt)
    }

    /// The same after an attempt that the receiver did not take. The next one is due after the schedule's
    /// delay, and not before the receiver asked for it; after the last one it is given up.
    #[must_use]
    pub fn refused(mut self, attempt: &Attempt, retry_after: Option<i64>) -> Self {
        let Some(delay) = DELAYS.get(self.tries) else {
            return self.failed(attempt);
        };
        let at = attempt.at;
        // All attempts are within a day of the first, whatever the receiver asks for.
        let passed = at.duration_since(self.begun_at).as_secs();
        let most = MAX_RETRY_AFTER.saturating_sub(passed).max(0);
        let asked = retry_after.unwrap_or(0).clamp(0, most);
        let delay = SignedDuration::from_secs(asked.max(*delay));
        self.next_attempt_at = Some(at.saturating_add(delay).unwrap_or(at));
        self.tries += 1;
        self.tried(attempt)
    }

    /// The same given up without an attempt, and why.
    #[must_use]
    pub fn given_up(self, why: &str, now: Timestamp) -> Self {
        let attempt = Attempt {
            at: now,
            status_code: None,
            error: Some(why.to_owned()),
        };
        self.tried(&attempt).over(DeliveryStatus::Failed)
    }

    /// Whether it has waited for a paused webhook as long as it may.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now.duration_since(self.begun_at) >= MAX_WAIT
    }

    /// The same, which somebody asked for.
    #[must_use]
    pub fn by_hand(mut self) -> Self {
        self.is_by_hand = true;
        self
    }

    /// The same, due again at once by somebody's wish.
    #[must_use]
    pub fn again(mut self, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Pending;
        self.tries = 0;
        self.refusals = 0;
        self.begun_at = now;
        self.refused_in = None;
        self.next_attempt_at = Some(now);
        self.version += 1;
        self
    }
}

/// When an event happened, as its id says; none if it is no id of an event.
pub fn event_time(id: &str) -> Option<Timestamp> {
    let digits = id.strip_prefix("evt_")?.get(..12)?;
    let ms = i64::from_str_radix(digits, 16).ok()?;
    Timestamp::from_millisecond(ms).ok()
}

impl Webhook {
    /// Whether it is told of every event of this kind.
    pub fn subscribes(&self, kind: EventType) -> bool {
        self.events
            .as_ref()
            .is_none_or(|events| events.contains(&kind))
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().to_vec())
}

/// The header `webhook-signature` of the Standard Webhooks scheme: `v1,<base64>` for each secret, the newest first, over
/// `<id>.<timestamp in seconds>.<body>` with the key that a secret has in base64 behind `whsec_`.
pub fn standard_signature(secrets: &[String], id: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.as_second().to_string();
    let each = secrets.iter().filter_map(|secret| {
        let key = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = STANDARD.decode(key).ok()?;
        let parts = [
            id.as_bytes(),
            b".",
            seconds.as_bytes(),
            b".",
            body.as_bytes(),
        ];
        Some(format!("v1,{}", STANDARD.encode(hmac(&key, &parts)?)))
    });
    each.collect::<Vec<_>>().join(" ")
}

/// The header `X-Toktra-Signature`: `sha256=` and the hexadecimal HMAC-SHA256 of the body with the newest secret, the whole text
/// of it, as `openssl dgst -sha256 -hmac "$SECRET"` makes it.
pub fn body_signature(secret: &str, body: &str) -> String {
    let mac = hmac(secret.as_bytes(), &[body.as_bytes()]).unwrap_or_default();
    format!("sha256={}", hex::encode(mac))
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
