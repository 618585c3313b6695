//! Evaluates each event against the active policies, and takes the actions of those that fire.
//!
//! The actions of a firing are one transaction with its marker: alert, incident, notice and block
//! happen once, however often a message is delivered. The notice is queued afterwards, and again if
//! the event that fired comes again.

use super::App;
use super::context::{BatchContext, PolicyMatch};
use super::finishing::finish;
use super::firing::fire;
use futures::StreamExt;
use jiff::Timestamp;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::identity::EventIdentity;
use shared::domain::ledger::usage::Event;
use shared::domain::org::configuration::Configuration;
use shared::domain::policy::{ActivePolicy, Fired, Needs, Trigger, firings};
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::queue::NotQueued;
use shared::store::{StoreError, own_hold};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a batch acts. The events that are left then come again. The function has a minute.
const ACTING: Duration = Duration::from_secs(40);
/// How many firings act at the same time. Those that block a user act one after the other, because
/// they change the organisation.
const AT_ONCE: usize = 8;
/// An event that is recorded and counted.
pub(super) struct CountedEvent<'a> {
    /// The identity of its record.
    pub(super) identity: &'a EventIdentity,
    pub(super) event: &'a Event,
    pub(super) received_at: Timestamp,
}

impl CountedEvent<'_> {
    /// Returns the hold that it names, if it is its user's.
    fn own_hold(&self, configuration: &Configuration) -> Option<HoldId> {
        match self.event {
            Event::LlmRequest(usage) => own_hold(&configuration.organisation.id, usage),
            Event::IpRisk(_) => None,
        }
    }
}

/// Returns whether a policy is about events of this kind.
fn looks_at(policy: &ActivePolicy, event: &Event) -> bool {
    let is_of_risks = matches!(policy.rule.trigger, Trigger::IpRiskEvent);
    is_of_risks == matches!(event, Event::IpRisk(_))
}

/// Evaluates `events`, which are recorded, and acts. Returns those that have to come again.
///
/// An event is evaluated when its own message comes, even if the queue delivers that message again.
/// If a client sends an event a second time, perhaps after months, it is not evaluated again: its
/// record has the time at which it was received first. A risk without a user is evaluated once more
/// if it comes again with one.
pub(super) async fn act(
    app: &App,
    configuration: &Configuration,
    events: &[CountedEvent<'_>],
) -> Result<BTreeSet<EventIdentity>, StoreError> {
    let until = Instant::now() + ACTING;
    let policies = app.policies.active(&app.store, configuration).await?;
    let mut received: BTreeMap<&EventIdentity, BTreeSet<Timestamp>> = BTreeMap::new();
    for of in events {
        if policies.iter().any(|policy| looks_at(policy, of.event)) {
            let times = received.entry(of.identity).or_default();
            times.insert(of.received_at);
        }
    }
    if received.is_empty() {
        return Ok(BTreeSet::new());
    }
    let recorded = events
        .iter()
        .filter(|of| received.contains_key(of.identity));
    let recorded: Vec<(&EventIdentity, Option<HoldId>)> = recorded
        .map(|of| (of.identity, of.own_hold(configuration)))
        .collect();
    let mut facts = app.store.facts_of(configuration, &recorded).await?;
    facts.retain(|facts| {
        let times = received.get(&facts.identity);
        times.is_some_and(|times| facts.is_of_message(times))
    });
    let needs = Needs::of(policies.iter().map(|policy| &policy.rule.trigger));
    let mut usage_totals = app
        .store
        .usage_totals(configuration, &needs, &facts)
        .await?;
    // The totals include the whole batch. Each event must see only itself and those before it.
    for facts in &facts {
        usage_totals.subtract(facts, &needs);
    }
    let mut found: BTreeMap<String, Vec<PolicyMatch<'_>>> = BTreeMap::new();
    for facts in &facts {
        usage_totals.count(facts, &needs);
        for policy in policies.iter() {
            for firing in firings(policy, facts, &usage_totals, configuration) {
                let name = Fired::name(&policy.id, &firing.subject);
                let same = found.entry(name).or_default();
                same.push(PolicyMatch {
                    policy,
                    facts,
                    firing,
                });
            }
        }
    }
    let known = known(app, configuration, &found).await?;
    let acting = BatchContext::new(app, configuration);
    let (blocking, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, same)| {
        let first = same.first();
        first.is_some_and(|found| found.policy.rule.blocks().is_some())
    });
    let mut failed: BTreeSet<EventIdentity> = BTreeSet::new();
    // Policies that block a user come first.
    let blocking = futures::stream::iter(begun(&acting, blocking, &known, until)).buffered(1);
    failed.extend(blocking.concat().await);
    let others =
        futures::stream::iter(begun(&acting, others, &known, until)).buffer_unordered(AT_ONCE);
    failed.extend(others.concat().await);
    Ok(failed)
}

/// Prepares the actions of each of `firings`. Each returns the events that have to come again.
fn begun<'a>(
    acting: &'a BatchContext<'a>,
    firings: Vec<(String, Vec<PolicyMatch<'a>>)>,
    known: &'a BTreeMap<String, Fired>,
    until: Instant,
) -> Vec<impl Future<Output = Vec<EventIdentity>> + 'a> {
    let each = firings.into_iter();
    each.map(|(name, same)| in_time(acting, known.get(&name), name, same, until))
        .collect()
}

/// Fires, unless the time of the batch is over. Returns the events that have to come again.
async fn in_time(
    acting: &BatchContext<'_>,
    known: Option<&Fired>,
    name: String,
    same: Vec<PolicyMatch<'_>>,
    until: Instant,
) -> Vec<EventIdentity> {
    let ids = same.iter().map(|found| found.facts.identity.clone());
    let ids: Vec<EventIdentity> = ids.collect();
    if Instant::now() >= until {
        tracing::warn!("a batch has more to do than time; its events come again");
        return ids;
    }
    match fire_once(acting, &name, &same, known).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            report(
                ErrorType::PolicyNotActed,
                "a policy fired and could not act",
                &error,
            );
            ids
        }
    }
}

/// Returns those of these firings that happened before.
async fn known(
    app: &App,
    configuration: &Configuration,
    found: &BTreeMap<String, Vec<PolicyMatch<'_>>>,
) -> Result<BTreeMap<String, Fired>, StoreError> {
    let organisation_id = &configuration.organisation.id;
    let mut known = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, same) in found {
        match app.policies.remembered(&place(organisation_id, name)) {
            Some(fired) => {
                known.insert(name.clone(), fired);
            }
            None => {
                let first = same.first();
                unknown
                    .extend(first.map(|found| (found.policy.id.as_str(), &found.firing.subject)));
            }
        }
    }
    for (name, fired) in app.store.fired(organisation_id, &unknown).await? {
        app.policies
            .remember(place(organisation_id, &name), fired.clone());
        known.insert(name, fired);
    }
    Ok(known)
}

fn place(organisation_id: &str, name: &str) -> String {
    format!("{organisation_id}#{name}")
}

/// Why a policy that fired could not act.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the notice was not queued")]
    Queue(#[from] NotQueued),
}

/// Fires for the first of these events, if the policy did not fire before, and queues the notice.
/// If one of them is the event that fired, it has come again: perhaps because the notice was not
/// queued, or now with its user, who was not known then.
async fn fire_once(
    acting: &BatchContext<'_>,
    name: &str,
    same: &[PolicyMatch<'_>],
    known: Option<&Fired>,
) -> Result<(), Failure> {
    let BatchContext { app, .. } = acting;
    let organisation_id = &acting.configuration.organisation.id;
    let fired = match (known, same.first()) {
        (Some(fired), _) => {
            let mut again = same.iter();
            let Some(again) = again.find(|found| found.facts.identity == fired.event) else {
                return Ok(());
            };
            match fired.is_nobodys && again.facts.user_id.is_some() {
                true => finish(acting, again, fired).await?,
                false => fired.clone(),
            }
        }
        (None, Some(first)) => match fire(acting, first).await? {
            Some(fired) => fired,
            // Another batch was faster and queues the notice.
            None => return Ok(()),
        },
        (None, None) => return Ok(()),
    };
    for notice_id in [&fired.notice_id].into_iter().chain(&fired.more_notice_ids) {
        app.notices.tell(organisation_id, notice_id).await?;
    }
    app.policies.remember(place(organisation_id, name), fired);
    Ok(())
}
