//! Deliveries of events to webhooks: their attempts and retries.

use crate::domain::notice::event_type::EventType;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a delivery waits for a paused webhook.
pub const MAX_WAIT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The delay after each failed attempt, in seconds: nine attempts in some 22 hours.
const DELAYS: [i64; 8] = [5, 60, 300, 900, 3_600, 10_800, 21_600, 43_200];
/// The longest pause that a receiver can request, in seconds.
const MAX_RETRY_AFTER: i64 = 86_400;

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It was given up. It can be retried by hand.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The receiver's answer, if there was one.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub status_code: Option<u16>,
    /// Why there was no answer.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub error: Option<String>,
}

/// A time of failing. Refusals in the same one had no accepted delivery in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    pub receiver: u64,
    /// Since when it accepted nothing.
    pub since: Timestamp,
}

/// One event for one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event's id: `evt_...`. Later ids sort last. The receiver sees it as `webhook-id` on each
    /// attempt.
    pub id: String,
    pub webhook_id: String,
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The frozen body. Each attempt sends these bytes.
    pub body: String,
    pub status: DeliveryStatus,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The number of attempts since its creation or its retry by hand.
    pub tries: usize,
    pub begun_at: Timestamp,
    /// The time of failing in which the first of these attempts was refused. Clocks of several
    /// machines are not compared: an attempt is a little later than its delivery, and of two
    /// concurrent ones the younger may be stored first.
    #[serde(default)]
    pub refused_in: Option<Failing>,
    /// When the next attempt is due. None if there is none.
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// True if somebody requested the next attempt, which is made even if the webhook is paused or
    /// ended.
    #[serde(default)]
    pub is_by_hand: bool,
    /// How often it was refused with 4xx while its webhook was paused.
    #[serde(default)]
    pub refusals: u32,
    pub version: u64,
}

/// The most attempts that a delivery remembers.
const MAX_ATTEMPTS_SHOWN: usize = 20;

impl Delivery {
    /// Returns a delivery that is due now.
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

    /// Records an accepted attempt.
    #[must_use]
    pub fn taken(mut self, attempt: &Attempt) -> Self {
        self.tries += 1;
        self.tried(attempt).over(DeliveryStatus::Delivered)
    }

    /// Records a final failed attempt.
    #[must_use]
    pub fn failed(mut self, attempt: &Attempt) -> Self {
        self.tries += 1;
        self.tried(attempt).over(DeliveryStatus::Failed)
    }

    /// Records an attempt that does not count, because the webhook is paused: it continues to wait.
    #[must_use]
    pub fn waiting(mut self, attempt: &Attempt) -> Self {
        let is_answer = |code: u16| (400..500).contains(&code) && !matches!(code, 408 | 425 | 429);
        if attempt.status_code.is_some_and(is_answer) {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.next_attempt_at = Some(attempt.at);
        self.tried(attempt)
    }

    /// Records a refused attempt. The next one is due after the schedule's delay and any pause that
    /// the receiver requested. After the last one it is given up.
    #[must_use]
    pub fn refused(mut self, attempt: &Attempt, retry_after: Option<i64>) -> Self {
        let Some(delay) = DELAYS.get(self.tries) else {
            return self.failed(attempt);
        };
        let at = attempt.at;
        // All attempts are within a day of the first, even if the receiver requests a longer pause.
        let passed = at.duration_since(self.begun_at).as_secs();
        let most = MAX_RETRY_AFTER.saturating_sub(passed).max(0);
        let asked = retry_after.unwrap_or(0).clamp(0, most);
        let delay = SignedDuration::from_secs(asked.max(*delay));
        self.next_attempt_at = Some(at.saturating_add(delay).unwrap_or(at));
        self.tries += 1;
        self.tried(attempt)
    }

    /// Gives it up without an attempt, and records why.
    #[must_use]
    pub fn given_up(self, why: &str, now: Timestamp) -> Self {
        let attempt = Attempt {
            at: now,
            status_code: None,
            error: Some(why.to_owned()),
        };
        self.tried(&attempt).over(DeliveryStatus::Failed)
    }

    /// Returns true if it has waited for a paused webhook as long as allowed.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now.duration_since(self.begun_at) >= MAX_WAIT
    }

    /// Marks it as requested by hand.
    #[must_use]
    pub fn by_hand(mut self) -> Self {
        self.is_by_hand = true;
        self
    }

    /// Makes it due at once, by request.
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

/// Returns the time of an event by its id. None if the id is malformed.
pub fn event_time(id: &str) -> Option<Timestamp> {
    let digits = id.strip_prefix("evt_")?.get(..12)?;
    let ms = i64::from_str_radix(digits, 16).ok()?;
    Timestamp::from_millisecond(ms).ok()
}
