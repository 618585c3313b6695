//! Evaluating each event against the active policies, and doing what those that fire say.
//!
//! What a firing does is one transaction with its marker: alert, incident, notice and block happen once, whatever is
//! redelivered. The notice is queued after it, and again where the event that fired comes again.

use super::App;
use super::finishing::finish;
use super::firing::{Acting, fire};
use futures::StreamExt;
use jiff::Timestamp;
use shared::domain::configuration::Configuration;
use shared::domain::identity::EventIdentity;
use shared::domain::policy::{ActivePolicy, Facts, Fired, Firing, Needs, Trigger, firings};
use shared::domain::usage::Event;
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::queue::NotQueued;
use shared::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a batch acts: what is left then comes again. The function has a minute.
const ACTING: Duration = Duration::from_secs(40);
/// How many firings act at the same time. Those that block wait for each other: they change the organisation.
const AT_ONCE: usize = 8;
/// The most organisations whose policies an instance keeps, and the most firings it remembers.
const MAX_ORGANISATIONS: usize = 1_000;
const MAX_REMEMBERED: usize = 100_000;

/// What is published of an organisation, and the revision that it is of.
type Published = (u64, Arc<Vec<ActivePolicy>>);

/// What an instance keeps of the policies: those that are published, right exactly while the head has their revision; and
/// which firings were before, which is so for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    active: Arc<Mutex<HashMap<String, Published>>>,
    fired: Arc<Mutex<HashMap<String, Fired>>>,
}

impl Kept {
    /// The policies that are published in `configuration`.
    pub(super) async fn active(
        &self,
        store: &Store,
        configuration: &Configuration,
    ) -> Result<Arc<Vec<ActivePolicy>>, StoreError> {
        let id = &configuration.organisation.id;
        if configuration.policies == 0 {
            return Ok(Arc::default());
        }
        if let Ok(active) = self.active.lock()
            && let Some((revision, policies)) = active.get(id)
            && *revision == configuration.policies
        {
            return Ok(policies.clone());
        }
        let policies = Arc::new(store.active_policies(id).await?);
        if let Ok(mut active) = self.active.lock() {
            if active.len() >= MAX_ORGANISATIONS {
                active.clear();
            }
            active.insert(id.clone(), (configuration.policies, policies.clone()));
        }
        Ok(policies)
    }

    fn remembered(&self, name: &str) -> Option<Fired> {
        let fired = self.fired.lock().ok()?;
        fired.get(name).cloned()
    }

    fn remember(&self, name: String, firing: Fired) {
        if let Ok(mut fired) = self.fired.lock() {
            if fired.len() >= MAX_REMEMBERED {
                fired.clear();
            }
            fired.insert(name, firing);
        }
    }
}

/// An event that is recorded and counted.
pub(super) struct Counted<'a> {
    /// The identity of its record.
    pub(super) identity: &'a EventIdentity,
    pub(super) event: &'a Event,
    pub(super) received_at: Timestamp,
}

/// A policy that an event of the batch fires.
pub(super) struct Found<'a> {
    pub(super) policy: &'a ActivePolicy,
    pub(super) facts: &'a Facts,
    pub(super) firing: Firing,
}

/// Whether a policy looks at events of this kind.
fn looks_at(policy: &ActivePolicy, event: &Event) -> bool {
    let is_of_risks = matches!(policy.rule.trigger, Trigger::IpRiskEvent);
    is_of_risks == matches!(event, Event::IpRisk(_))
}

/// Evaluates `events`, which are recorded, and acts. Those that have to come again.
///
/// An event is evaluated when its own message comes, also when the queue brings that message again. One that somebody sends a
/// second time, perhaps after months, was evaluated when it came first: its record has the time of that. A risk that came without
/// a user is evaluated once more when it comes with one.
pub(super) async fn act(
    app: &App,
    configuration: &Configuration,
    events: &[Counted<'_>],
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
    let ids: Vec<&EventIdentity> = received.keys().copied().collect();
    let mut facts = app.store.facts_of(configuration, &ids).await?;
    facts.retain(|facts| {
        let times = received.get(&facts.identity);
        times.is_some_and(|times| facts.is_of_message(times))
    });
    let needs = Needs::of(policies.iter().map(|policy| &policy.rule.trigger));
    let mut usage_totals = app
        .store
        .usage_totals(configuration, &needs, &facts)
        .await?;
    // The totals have all of the batch; each event sees those that arrived before it and itself.
    for facts in &facts {
        usage_totals.subtract(facts, &needs);
    }
    let mut found: BTreeMap<String, Vec<Found<'_>>> = BTreeMap::new();
    for facts in &facts {
        usage_totals.count(facts, &needs);
        for policy in policies.iter() {
            for firing in firings(policy, facts, &usage_totals, configuration) {
                let name = Fired::name(&policy.id, &firing.subject);
                let same = found.entry(name).or_default();
                same.push(Found {
                    policy,
                    facts,
                    firing,
                });
            }
        }
    }
    let known = known(app, configuration, &found).await?;
    let acting = Acting::new(app, configuration);
    let (blocking, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, same)| {
        let first = same.first();
        first.is_some_and(|found| found.policy.rule.blocks().is_some())
    });
    let mut failed: BTreeSet<EventIdentity> = BTreeSet::new();
    // First what stops somebody.
    let blocking = futures::stream::iter(begun(&acting, blocking, &known, until)).buffered(1);
    failed.extend(blocking.concat().await);
    let others =
        futures::stream::iter(begun(&acting, others, &known, until)).buffer_unordered(AT_ONCE);
    failed.extend(others.concat().await);
    Ok(failed)
}

/// What is to be done for each of `firings`; the events that have to come again for it.
fn begun<'a>(
    acting: &'a Acting<'a>,
    firings: Vec<(String, Vec<Found<'a>>)>,
    known: &'a BTreeMap<String, Fired>,
    until: Instant,
) -> Vec<impl Future<Output = Vec<EventIdentity>> + 'a> {
    let each = firings.into_iter();
    each.map(|(name, same)| in_time(acting, known.get(&name), name, same, until))
        .collect()
}

/// Fires, unless the time of the batch is over. The events that have to come again.
async fn in_time(
    acting: &Acting<'_>,
    known: Option<&Fired>,
    name: String,
    same: Vec<Found<'_>>,
    until: Instant,
) -> Vec<EventIdentity> {
    let ids = same.iter().map(|found| found.facts.identity.clone());
    let ids: Vec<EventIdentity> = ids.collect();
    if Instant::now() >= until {
        tracing::warn!("a batch has more to do than time; its events come again");
        return ids;
    }
    match once(acting, &name, &same, known).await {
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

/// Which of these firings were before.
async fn known(
    app: &App,
    configuration: &Configuration,
    found: &BTreeMap<String, Vec<Found<'_>>>,
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

/// Fires for the first of these events, where it did not fire before, and queues its notice. Where one of them is the
/// event that fired, it has come again, perhaps because the notice was not queued, or with its user, who was not known.
async fn once(
    acting: &Acting<'_>,
    name: &str,
    same: &[Found<'_>],
    known: Option<&Fired>,
) -> Result<(), Failure> {
    let Acting { app, .. } = acting;
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
            // Another batch was faster, and queues it.
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
