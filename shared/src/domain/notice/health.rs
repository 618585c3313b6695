//! The health of a webhook's receiver, and the effect of an attempt on it and on its delivery.
//!
//! A webhook is paused if a delivery was given up and the receiver accepted nothing since it first
//! refused that delivery. If the delivery was retried or the url was changed, only refusals since
//! then count. While the webhook is paused its deliveries wait, and the oldest one is tried from
//! time to time. If it is accepted, the others follow in order of age. A receiver that answers 410
//! ends the webhook, until it accepts a delivery that somebody requested after that answer.

use crate::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus, Failing};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a paused webhook rests after a failed try.
const PROBE_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How long one function has the turn of a paused webhook. It needs half of it at most.
const TURN: SignedDuration = SignedDuration::from_secs(60);
/// The longest pause that the receiver of a paused webhook can request, in seconds.
const MAX_RETRY_AFTER: i64 = 86_400;

/// The health of a receiver: a row beside the webhook, not part of its configuration. There is none
/// while the receiver is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub failing_since: Timestamp,
    /// Since when deliveries wait, because one was given up.
    pub paused_at: Option<Timestamp>,
    /// While paused: when the next delivery is tried.
    #[serde(default)]
    pub probe_at: Option<Timestamp>,
    /// While paused: until when only one function posts the waiting deliveries.
    #[serde(default)]
    pub turn_until: Option<Timestamp>,
    /// While paused: when a delivery was accepted, so that the others follow.
    #[serde(default)]
    pub resumed_at: Option<Timestamp>,
    /// When the receiver answered 410.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Counts the changes of the row.
    #[serde(default)]
    pub version: u64,
}

impl Health {
    fn failing(since: Timestamp) -> Self {
        Self {
            failing_since: since,
            paused_at: None,
            probe_at: None,
            turn_until: None,
            resumed_at: None,
            ended_at: None,
            version: 0,
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some() && self.ended_at.is_none()
    }

    /// Returns true if the receiver ended the webhook.
    pub fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Returns true if an ended webhook resumes if its receiver accepts this delivery: somebody
    /// requested it after the end. Deliveries that were in flight at the end do not count.
    fn is_revived_by(&self, delivery: &Delivery) -> bool {
        delivery.is_by_hand && Some(delivery.begun_at) > self.ended_at
    }

    /// Returns when a delivery of a paused webhook may be tried.
    pub fn due(&self) -> Timestamp {
        let probe_at = self.probe_at.unwrap_or(Timestamp::MIN);
        probe_at.max(self.turn_until.unwrap_or(Timestamp::MIN))
    }

    /// Takes the turn. None if another function has it.
    #[must_use]
    pub fn with_turn(&self, now: Timestamp) -> Option<Self> {
        let is_free = self.turn_until.is_none_or(|until| until <= now);
        is_free.then(|| Self {
            turn_until: Some(later(now, TURN)),
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// Ends a turn that continues at once with the next message.
    #[must_use]
    pub fn to_go_on(&self, now: Timestamp) -> Self {
        Self {
            turn_until: None,
            probe_at: Some(now),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// Ends a turn after which the receiver rests.
    #[must_use]
    pub fn to_wait(&self, now: Timestamp) -> Self {
        Self {
            turn_until: None,
            resumed_at: None,
            probe_at: Some(later(now, PROBE_AFTER)),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// Returns true if a delivery was not refused since the receiver accepted one again.
    pub fn has_to_follow(&self, delivery: &Delivery) -> bool {
        let last = delivery.attempts.last().map(|attempt| attempt.at);
        let was_refused = last >= self.resumed_at && delivery.next_attempt_at > self.resumed_at;
        self.resumed_at.is_none() || !was_refused
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Why a delivery is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is due, or somebody requested it.
    Alone,
    /// It probes the receiver of a paused webhook.
    Probe,
    /// It follows one that the receiver accepted.
    Following,
}

/// A finished attempt, with the parts that are not stored.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    pub attempt: &'a Attempt,
    /// When the answer arrived, or the wait for it ended.
    pub over_at: Timestamp,
    /// The seconds that the receiver wants to rest.
    pub retry_after: Option<i64>,
    /// The webhook's receiver that it went to.
    pub receiver: u64,
    pub mode: Mode,
}

/// The event to notify administrators of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    GivenUp,
    Ended,
}

/// The consequences of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The delivery after the attempt.
    pub delivery: Delivery,
    /// The health after the attempt. None if the receiver is healthy.
    pub health: Option<Health>,
    /// The notification, if there is one.
    pub news: Option<News>,
}

impl Outcome {
    /// Returns the consequences of an attempt of `delivery`, given the health at the moment of
    /// writing: it may have changed since the post.
    pub fn of(delivery: Delivery, tried: Tried<'_>, before: Option<&Health>) -> Self {
        let Tried {
            attempt,
            over_at,
            retry_after,
            mode,
            ..
        } = tried;
        let at = attempt.at;
        let (delivery, health, news) = match (attempt.status_code, before) {
            (Some(200..300), Some(health)) if health.is_paused() => {
                let resumed = match mode {
                    Mode::Following => health.clone(),
                    Mode::Alone | Mode::Probe => Health {
                        resumed_at: health.resumed_at.or(Some(at)),
                        probe_at: Some(at),
                        ..health.clone()
                    },
                };
                (delivery.taken(attempt), Some(resumed), None)
            }
            (Some(200..300), Some(health))
                if health.is_ended() && !health.is_revived_by(&delivery) =>
            {
                (delivery.taken(attempt), Some(health.clone()), None)
            }
            (Some(200..300), _) => (delivery.taken(attempt), None, None),
            (_, Some(health)) if health.is_ended() => {
                (delivery.failed(attempt), Some(health.clone()), None)
            }
            (Some(410), _) => {
                let ended = Health {
                    paused_at: None,
                    ended_at: Some(over_at),
                    ..before.cloned().unwrap_or(Health::failing(at))
                };
                (delivery.failed(attempt), Some(ended), Some(News::Ended))
            }
            (_, Some(health)) if health.is_paused() && mode != Mode::Following => {
                let health = health.left_alone(at, retry_after, mode);
                (delivery.waiting(attempt), Some(health), None)
            }
            _ => refused(delivery, tried, before),
        };
        let health = health.map(|health| match before {
            Some(before) if *before == health => health,
            before => Health {
                version: before.map_or(0, |before| before.version) + 1,
                ..health
            },
        });
        Self {
            delivery,
            health,
            news,
        }
    }
}

impl Health {
    /// Returns the health after a failed try of a paused webhook. There is no rest if a delivery
    /// was accepted meanwhile.
    fn left_alone(&self, now: Timestamp, retry_after: Option<i64>, mode: Mode) -> Self {
        if self.resumed_at.is_some() {
            return self.clone();
        }
        let asked = retry_after.unwrap_or(0).clamp(0, MAX_RETRY_AFTER);
        let asked = SignedDuration::from_secs(asked).max(PROBE_AFTER);
        Self {
            probe_at: self.probe_at.max(Some(later(now, asked))),
            // Only a probe has the turn.
            turn_until: self.turn_until.filter(|_| mode != Mode::Probe),
            ..self.clone()
        }
    }
}

/// Handles an attempt that was refused while the receiver was not paused, or accepted others
/// meanwhile.
fn refused(
    delivery: Delivery,
    tried: Tried<'_>,
    before: Option<&Health>,
) -> (Delivery, Option<Health>, Option<News>) {
    let at = tried.attempt.at;
    let mut health = before.cloned().unwrap_or(Health::failing(at));
    // If the webhook is paused, its receiver accepted another delivery, or this one would wait.
    let failing = (!health.is_paused()).then_some(Failing {
        receiver: tried.receiver,
        since: health.failing_since,
    });
    // Refusals of another receiver say nothing about this one.
    let first = delivery
        .refused_in
        .filter(|first| first.receiver == tried.receiver)
        .or(failing);
    let mut after = delivery.refused(tried.attempt, tried.retry_after);
    after.refused_in = first;
    if after.status != DeliveryStatus::Failed {
        return (after, Some(health), None);
    }
    if failing.is_some() && first == failing {
        health.paused_at = Some(at);
        health.probe_at = Some(later(at, PROBE_AFTER));
    }
    (after, Some(health), Some(News::GivenUp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::event_type::EventType;

    fn start() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn delivery() -> Delivery {
        let kind = EventType::WebhookTest;
        Delivery::new("evt_1".into(), "whk_1".into(), kind, "{}".into(), start())
    }

    fn attempt(at: Timestamp, status_code: Option<u16>) -> Attempt {
        Attempt {
            at,
            status_code,
            error: None,
        }
    }

    fn tried(attempt: &Attempt, mode: Mode) -> Tried<'_> {
        Tried {
            attempt,
            over_at: attempt.at,
            retry_after: None,
            receiver: 0,
            mode,
        }
    }

    fn of(health: Option<&Health>, status: Option<u16>, mode: Mode) -> Outcome {
        let at = later(start(), SignedDuration::from_hours(30));
        Outcome::of(delivery(), tried(&attempt(at, status), mode), health)
    }

    fn paused() -> Health {
        Health {
            paused_at: Some(start()),
            version: 7,
            ..Health::failing(start())
        }
    }

    /// The last attempt of a delivery that was first refused in `first`, while `receiver` has
    /// accepted nothing since `since`.
    fn last(first: Option<Failing>, receiver: u64, since: Timestamp) -> Outcome {
        let at = later(start(), SignedDuration::from_hours(22));
        let last = Delivery {
            tries: 8,
            refused_in: first,
            ..delivery()
        };
        let attempt = attempt(at, Some(500));
        let tried = Tried {
            receiver,
            ..tried(&attempt, Mode::Alone)
        };
        Outcome::of(last, tried, Some(&Health::failing(since)))
    }

    #[test]
    fn a_delivery_that_is_given_up_pauses_its_webhook_unless_others_were_taken_meanwhile() {
        let failing = |receiver, since| Some(Failing { receiver, since });
        let later = later(start(), TURN);
        for (first, receiver, since, is_paused) in [
            (failing(0, start()), 0, start(), true),
            // Its first attempt is later than the delivery, as always, and may be later than
            // concurrent ones.
            (failing(0, later), 0, later, true),
            // One was accepted in between, so a new time of failing has begun.
            (failing(0, start()), 0, later, false),
            // Another receiver refused it before, or the receiver is unknown.
            (failing(0, start()), 1, later, true),
            (None, 0, later, true),
        ] {
            let outcome = last(first, receiver, since);
            assert_eq!(outcome.delivery.status, DeliveryStatus::Failed);
            assert_eq!(outcome.news, Some(News::GivenUp));
            assert_eq!(outcome.health.unwrap().is_paused(), is_paused, "{first:?}");
        }
    }

    #[test]
    fn a_delivery_knows_in_which_time_of_failing_it_was_refused_first_until_it_is_retried() {
        let first = attempt(later(start(), TURN), Some(500));
        let others = Health::failing(later(start(), PROBE_AFTER));
        for (health, since) in [(None, first.at), (Some(&others), others.failing_since)] {
            let outcome = Outcome::of(delivery(), tried(&first, Mode::Alone), health);
            let failing = Failing { receiver: 0, since };
            assert_eq!(outcome.delivery.refused_in, Some(failing));
            // One was accepted, and this one is refused again.
            let again = Outcome::of(outcome.delivery, tried(&first, Mode::Alone), None);
            assert_eq!(again.delivery.refused_in, Some(failing));
            assert_eq!(again.delivery.again(start()).refused_in, None);
        }
        // While others are accepted there is no time of failing.
        let following = of(Some(&paused()), Some(500), Mode::Following);
        assert_eq!(following.delivery.refused_in, None);
    }

    #[test]
    fn while_it_is_paused_no_try_is_counted_and_one_that_is_taken_lets_the_others_follow() {
        for mode in [Mode::Alone, Mode::Probe] {
            let outcome = of(Some(&paused()), Some(503), mode);
            let delivery = outcome.delivery;
            assert_eq!(
                (delivery.status, delivery.tries, delivery.attempts.len()),
                (DeliveryStatus::Pending, 0, 1)
            );
            let health = outcome.health.unwrap();
            assert!(health.is_paused());
            let waits = health
                .probe_at
                .map(|at| at.duration_since(delivery.attempts[0].at));
            assert_eq!(waits, Some(PROBE_AFTER));
            let taken = of(Some(&paused()), Some(204), mode);
            assert_eq!(taken.delivery.status, DeliveryStatus::Delivered);
            let health = taken.health.unwrap();
            assert!(health.is_paused() && health.resumed_at.is_some() && health.version == 8);
        }
        let following = of(Some(&paused()), Some(500), Mode::Following);
        assert_eq!((following.delivery.tries, following.news), (1, None));
        assert_eq!(following.health, Some(paused()));
    }

    #[test]
    fn a_webhook_that_its_receiver_ended_is_told_once() {
        let outcome = of(None, Some(410), Mode::Alone);
        assert_eq!(
            (outcome.delivery.status, outcome.news),
            (DeliveryStatus::Failed, Some(News::Ended))
        );
        let ended = outcome.health.unwrap();
        assert!(ended.is_ended() && !ended.is_paused());
        for status in [Some(410), Some(500), None] {
            let again = of(Some(&ended), status, Mode::Alone);
            assert_eq!((again.news, again.health.as_ref()), (None, Some(&ended)));
        }
        assert!(
            of(Some(&paused()), Some(410), Mode::Probe)
                .health
                .unwrap()
                .is_ended()
        );
    }

    #[test]
    fn an_ended_webhook_is_revived_only_by_what_somebody_asked_for_after_the_answer() {
        let posted_at = later(start(), TURN);
        let over_at = later(posted_at, TURN);
        let gone = attempt(posted_at, Some(410));
        let gone = Tried {
            over_at,
            ..tried(&gone, Mode::Alone)
        };
        let ended = Outcome::of(delivery(), gone, None).health.unwrap();
        assert_eq!(ended.ended_at, Some(over_at));
        let after = later(over_at, TURN);
        let taken = attempt(after, Some(200));
        for (begun_at, is_by_hand, is_revived) in [
            (start(), false, false),
            (start(), true, false),
            // During the wait for the answer.
            (later(posted_at, SignedDuration::from_secs(1)), true, false),
            (over_at, true, false),
            (after, false, false),
            (after, true, true),
        ] {
            let delivery = Delivery {
                begun_at,
                is_by_hand,
                ..delivery()
            };
            let outcome = Outcome::of(delivery, tried(&taken, Mode::Alone), Some(&ended));
            assert_eq!(outcome.delivery.status, DeliveryStatus::Delivered);
            let health = (!is_revived).then(|| ended.clone());
            assert_eq!(outcome.health, health, "{begun_at} {is_by_hand}");
        }
    }

    #[test]
    fn one_function_has_the_turn_at_a_time() {
        let now = start();
        let taken = paused().with_turn(now).unwrap();
        assert_eq!(taken.with_turn(now), None);
        assert!(taken.due() > now);
        assert!(taken.with_turn(later(now, TURN)).is_some());
        assert_eq!(taken.to_go_on(now).due(), now);
        assert_eq!(taken.to_wait(now).due(), later(now, PROBE_AFTER));
    }

    #[test]
    fn a_paused_receiver_is_left_alone_as_long_as_it_asks_and_a_day_at_most() {
        let at = later(start(), SignedDuration::from_hours(30));
        let before = Health {
            probe_at: Some(at),
            ..paused()
        };
        for (asked, waits) in [
            (None, 900),
            (Some(60), 900),
            (Some(7_207), 7_207),
            (Some(86_401), 86_400),
        ] {
            let attempt = attempt(at, Some(503));
            let tried = Tried {
                retry_after: asked,
                ..tried(&attempt, Mode::Probe)
            };
            let outcome = Outcome::of(delivery(), tried, Some(&before));
            let probe_at = outcome.health.unwrap().probe_at.unwrap();
            assert_eq!(probe_at.duration_since(at).as_secs(), waits, "{asked:?}");
        }
    }
}
