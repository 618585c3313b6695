//! Claims the identities of a request's events before they are queued, so that its answer says
//! exactly which of them are new. Keeps the holds that they name until the usage is recorded.
//!
//! A crash between claim and queue loses nothing: the event was not accepted. If it is sent again,
//! there is a claim of the same body but no record, so it is queued. If the database does not
//! answer, events are queued without a claim, and `evaluate` finds duplicates and conflicts by
//! their digests. If it answers but a hold cannot be kept, its event is not taken: the client sends
//! it again.

use futures::StreamExt;
use jiff::Timestamp;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::identity::{BodyDigest, EventIdentity};
use shared::domain::ledger::usage::Event;
use shared::runtime::logs::{ErrorType, report};
use shared::store::{Awaited, Claim, Claimant, Store, StoreError, own_hold, watch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How many claims are in flight at the same time.
const CONCURRENT: usize = 32;
/// How long a request claims. The events that are left then are queued without a claim.
const CLAIMING: Duration = Duration::from_secs(2);

/// An event that its key may report.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its place in the request.
    pub(crate) index: usize,
    pub(crate) event: Event,
    identity: EventIdentity,
    digest: BodyDigest,
}

impl Candidate {
    pub(crate) fn new(index: usize, event: Event) -> Self {
        Self {
            index,
            identity: EventIdentity::of(&event),
            digest: BodyDigest::of(&event),
            event,
        }
    }
}

/// How an event relates to those reported before it, in the same request or earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    New,
    /// The same body came before.
    Duplicate,
    /// Another body came before under the same identity.
    Conflict,
}

/// An event of the request and how it is handled.
#[derive(Debug)]
pub(crate) struct Sorted<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) standing: Standing,
    /// The index of the event whose message carries it. None if it needs no message.
    pub(crate) carried_by: Option<usize>,
    /// False if the database answers but the hold that the event names may lapse before the event
    /// is recorded.
    pub(crate) is_kept: bool,
}

/// Claims the identities of `candidates` and sorts them into new, duplicates and conflicts.
pub(crate) async fn sort<'a>(
    store: &Store,
    organisation_id: &str,
    request_id: &str,
    candidates: &'a [Candidate],
    now: Timestamp,
) -> Vec<Sorted<'a>> {
    let mut first_of: BTreeMap<&EventIdentity, &Candidate> = BTreeMap::new();
    for candidate in candidates {
        first_of.entry(&candidate.identity).or_insert(candidate);
    }
    let firsts: Vec<&Candidate> = first_of.into_values().collect();
    let mut holds: BTreeMap<String, HoldId> = BTreeMap::new();
    for candidate in candidates {
        let named = own_hold_of(organisation_id, &candidate.event);
        holds.extend(named.map(|hold_id| (hold_id.to_string(), hold_id)));
    }
    let claiming = claim_all(store, organisation_id, request_id, &firsts, &holds, now);
    let ((mut claims, awaited), has_answered) = watch(claiming).await;
    // If the database is silent, usage is taken although its hold is not kept. If it answers but is
    // overloaded, it is not: that would open a cap.
    let is_kept = |event: &Event| {
        let named = own_hold_of(organisation_id, event).map(|hold_id| hold_id.to_string());
        !has_answered || named.is_none_or(|name| awaited.contains_key(&name))
    };
    // The record of an event that settled its hold is there, and its claim does not say so.
    let has_settled = |candidate: &Candidate| {
        let named = own_hold_of(organisation_id, &candidate.event).map(|id| id.to_string());
        let awaited = named.and_then(|name| awaited.get(&name));
        matches!(awaited, Some(Awaited::Ended { settled_by: Some(event) })
            if *event == candidate.identity)
    };
    let claims: BTreeMap<&EventIdentity, (&BodyDigest, Claim)> = firsts
        .iter()
        .enumerate()
        .filter_map(|(place, first)| {
            let claim = claims.remove(&place)?;
            Some((&first.identity, (&first.digest, claim)))
        })
        .collect();
    let mut carriers: BTreeMap<(&EventIdentity, &BodyDigest), usize> = BTreeMap::new();
    let mut seen: BTreeSet<(&EventIdentity, &BodyDigest)> = BTreeSet::new();
    let mut sorted = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let body = (&candidate.identity, &candidate.digest);
        let is_first = seen.insert(body);
        let (standing, needs_message) = match claims.get(&candidate.identity) {
            Some((owner, Claim::New)) if *owner != &candidate.digest => (Standing::Conflict, true),
            Some((_, Claim::New)) | None if is_first => (Standing::New, true),
            Some((_, Claim::New)) | None => (Standing::Duplicate, true),
            Some((_, Claim::Known { digest, .. })) if *digest != candidate.digest => {
                (Standing::Conflict, true)
            }
            Some((_, Claim::Known { is_recorded, .. })) => {
                let is_recorded = *is_recorded || has_settled(candidate);
                (Standing::Duplicate, !is_recorded)
            }
        };
        let carried_by = needs_message.then(|| *carriers.entry(body).or_insert(candidate.index));
        sorted.push(Sorted {
            candidate,
            standing,
            carried_by,
            is_kept: is_kept(&candidate.event),
        });
    }
    sorted
}

/// Claims the identities of `firsts` and keeps `holds`, at the same time. Returns the claims by
/// their place in `firsts`, and what became of the holds that are kept or have ended.
async fn claim_all(
    store: &Store,
    organisation_id: &str,
    request_id: &str,
    firsts: &[&Candidate],
    holds: &BTreeMap<String, HoldId>,
    now: Timestamp,
) -> (BTreeMap<usize, Claim>, BTreeMap<String, Awaited>) {
    let deadline = Instant::now() + CLAIMING;
    let is_down = AtomicBool::new(false);
    let claims: Vec<_> = firsts
        .iter()
        .enumerate()
        .map(|(place, first)| {
            let claimant = Claimant {
                identity: &first.identity,
                digest: &first.digest,
                hold_id: hold_id_of(&first.event),
                report: request_id,
            };
            let claiming = store.claim(organisation_id, claimant, now);
            let claim = in_time(claiming, deadline, &is_down);
            // If the claim failed, the event counts as new: `evaluate` finds out.
            async move { (place, claim.await.unwrap_or(Claim::New)) }
        })
        .collect();
    let waiting: Vec<_> = holds
        .iter()
        .map(|(name, hold_id)| {
            let waiting = store.await_usage(organisation_id, hold_id, now);
            let awaited = in_time(waiting, deadline, &is_down);
            async move { awaited.await.map(|awaited| (name.clone(), awaited)) }
        })
        .collect();
    let claims = futures::stream::iter(claims).buffer_unordered(CONCURRENT);
    let waiting = futures::stream::iter(waiting).buffer_unordered(CONCURRENT);
    let claims = claims.collect::<BTreeMap<usize, Claim>>();
    let waiting = waiting.filter_map(std::future::ready);
    let awaited = waiting.collect::<BTreeMap<String, Awaited>>();
    futures::join!(claims, awaited)
}

fn hold_id_of(event: &Event) -> Option<&str> {
    match event {
        Event::LlmRequest(usage) => usage.hold_id.as_deref(),
        Event::IpRisk(_) => None,
    }
}

/// Returns the hold that an event names, if it belongs to the event's user.
fn own_hold_of(organisation_id: &str, event: &Event) -> Option<HoldId> {
    match event {
        Event::LlmRequest(usage) => own_hold(organisation_id, usage),
        Event::IpRisk(_) => None,
    }
}

/// Waits for a call until the deadline. None if there is no answer. If an earlier call found the
/// database down, it is not even started.
async fn in_time<T>(
    call: impl Future<Output = Result<T, StoreError>>,
    deadline: Instant,
    is_down: &AtomicBool,
) -> Option<T> {
    if is_down.load(Ordering::Relaxed) {
        return None;
    }
    let error = match timeout_at(deadline, call).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => error,
        Err(elapsed) => StoreError::Unavailable(Box::new(elapsed)),
    };
    let is_outage = matches!(error, StoreError::Unavailable(_));
    if !(is_outage && is_down.swap(true, Ordering::Relaxed)) {
        let said = "events are queued without a claim, or without keeping their holds";
        report(ErrorType::of(&error), said, &error);
    }
    None
}
