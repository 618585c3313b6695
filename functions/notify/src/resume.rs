//! Resumes paused webhooks. The oldest delivery is tried now and then. If it is taken, the others
//! follow one after the other, the oldest first. One function at a time has the turn.

use super::attempt::{self, Attempted};
use super::target::{Target, message};
use super::{App, Failure};
use jiff::SignedDuration;
use shared::domain::notice::delivery::{Delivery, DeliveryStatus, MAX_WAIT};
use shared::domain::notice::health::{Health, Mode};
use shared::store::{HealthChange, Place, StoreError};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a turn starts further attempts. Each takes at most ten seconds, and the function has
/// thirty.
const TURN: Duration = Duration::from_secs(12);
/// How many waiting deliveries are read together.
const AT_ONCE: usize = 50;
/// After how many failed attempts in a row the webhook waits again.
const MAX_FAILURES: u32 = 3;

/// Tries one delivery of a paused webhook, if it is due, and then the others. Returns the
/// receiver's health afterwards.
pub(super) async fn in_turn(
    app: &App,
    target: Target<'_>,
    own: &Delivery,
    health: Health,
) -> Result<Option<Health>, Failure> {
    let now = app.clock.now();
    let organisation_id = target.organisation_id;
    if own.is_overdue(now) {
        let why = "it has waited for seven days, and the receiver took nothing";
        let over = own.clone().given_up(why, now);
        // Queued before it is stored as given up: if the function stops in between, this repeats.
        app.given_up.queue(&message(organisation_id, &over)).await?;
        app.store.set_delivery(organisation_id, &over).await?;
        return Ok(Some(health));
    }
    if health.due() > now {
        return Ok(Some(health));
    }
    let until = Instant::now() + TURN;
    let Some(held) = take_turn(app, target, &health).await? else {
        return as_it_is(app, target).await;
    };
    if held.resumed_at.is_some() {
        return follow(app, target, held, until).await;
    }
    let mut waiting = waiting(app, target, |_| true).await?;
    if !waiting.iter().any(|delivery| delivery.id == own.id) {
        waiting.push(own.clone());
    }
    // A delivery that is refused for its content must not block the others.
    let first = waiting
        .into_iter()
        .min_by(|one, other| (one.refusals, &one.id).cmp(&(other.refusals, &other.id)));
    let Some(first) = first else {
        return Ok(Some(held));
    };
    let attempted = attempt::make(app, target, first, Some(held), Mode::Probe).await?;
    match attempted.health {
        Some(health) if attempted.is_taken() && health.is_paused() => {
            follow(app, target, health, until).await
        }
        health => Ok(health),
    }
}

/// Continues after an attempt outside a turn: if the receiver of a paused webhook took the
/// delivery, the others follow. Returns the receiver's health afterwards.
pub(super) async fn after(
    app: &App,
    target: Target<'_>,
    attempted: Attempted,
) -> Result<Option<Health>, Failure> {
    match &attempted.health {
        Some(health) if attempted.is_taken() && health.is_paused() => {
            go_on(app, target, health).await
        }
        _ => Ok(attempted.health),
    }
}

/// Posts the waiting deliveries, unless another function does. Returns the receiver's health
/// afterwards.
pub(super) async fn go_on(
    app: &App,
    target: Target<'_>,
    health: &Health,
) -> Result<Option<Health>, Failure> {
    let until = Instant::now() + TURN;
    match take_turn(app, target, health).await? {
        Some(held) => follow(app, target, held, until).await,
        None => as_it_is(app, target).await,
    }
}

async fn as_it_is(app: &App, target: Target<'_>) -> Result<Option<Health>, Failure> {
    let webhook_id = &target.webhook.id;
    Ok(app.store.health(target.organisation_id, webhook_id).await?)
}

/// Takes the turn. None if another function has it or was faster.
async fn take_turn(
    app: &App,
    target: Target<'_>,
    health: &Health,
) -> Result<Option<Health>, Failure> {
    let Some(held) = health.with_turn(app.clock.now()) else {
        return Ok(None);
    };
    let is_kept = set(app, target, health, Some(&held)).await?;
    Ok(is_kept.then_some(held))
}

async fn set(
    app: &App,
    target: Target<'_>,
    before: &Health,
    after: Option<&Health>,
) -> Result<bool, StoreError> {
    let change = HealthChange {
        before: Some(before),
        after,
    };
    let kept = app
        .store
        .set_health(target.organisation_id, &target.webhook.id, change);
    kept.await
}

/// Reads the oldest waiting deliveries of a webhook for which `wanted` is true.
async fn waiting(
    app: &App,
    target: Target<'_>,
    wanted: impl Fn(&Delivery) -> bool,
) -> Result<Vec<Delivery>, StoreError> {
    let now = app.clock.now();
    // A day more than the longest wait: an event may be reported some time after it happened.
    let oldest = MAX_WAIT.saturating_add(SignedDuration::from_hours(24));
    let since = now.saturating_sub(oldest).unwrap_or(now);
    let page = app.store.deliveries_since(
        target.organisation_id,
        &target.webhook.id,
        Place::Since(since),
        AT_ONCE,
        |delivery| delivery.status == DeliveryStatus::Pending && wanted(delivery),
    );
    Ok(page.await?.items)
}

/// Posts the waiting deliveries, the oldest first, until there are none or the turn is over. If
/// there are none, the webhook is no longer paused. If the receiver takes nothing, the webhook
/// waits again.
async fn follow(
    app: &App,
    target: Target<'_>,
    mut health: Health,
    until: Instant,
) -> Result<Option<Health>, Failure> {
    let mut tried = BTreeSet::new();
    let mut failures = 0;
    loop {
        let is_next = |known: &Delivery| health.has_to_follow(known) && !tried.contains(&known.id);
        let next = waiting(app, target, is_next).await?;
        if next.is_empty() {
            let is_kept = set(app, target, &health, None).await?;
            return match is_kept {
                true => Ok(None),
                false => as_it_is(app, target).await,
            };
        }
        for delivery in next {
            if Instant::now() >= until {
                let released = health.to_go_on(app.clock.now());
                set(app, target, &health, Some(&released)).await?;
                let message = message(target.organisation_id, &delivery);
                app.notices.queue(&message).await?;
                return Ok(Some(released));
            }
            tried.insert(delivery.id.clone());
            let attempted =
                attempt::make(app, target, delivery, Some(health), Mode::Following).await?;
            failures = if attempted.is_taken() {
                0
            } else {
                failures + 1
            };
            health = match attempted.health {
                Some(health) if health.is_paused() => health,
                health => return Ok(health),
            };
            if failures == MAX_FAILURES {
                let released = health.to_wait(app.clock.now());
                set(app, target, &health, Some(&released)).await?;
                return Ok(Some(released));
            }
        }
    }
}
