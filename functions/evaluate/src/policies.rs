//! Evaluating each event against the active policies, and doing what those that fire say.
//!
//! What a firing does is one transaction with its marker: alert, incident, notice and block happen once, whatever is
//! redelivered. The notice is queued after it, and again where the event that fired comes again.

use super::App;
use super::people::{mail, managers};
use serde_json::json;
use shared::domain::configuration::Configuration;
use shared::domain::notice::{Address, Notice, NoticeMessage, Recipient, RecipientStatus};
use shared::domain::people::{Block, User};
use shared::domain::policy::{
    Action, ActivePolicy, Facts, Firing, Needs, Telling, Trigger, firings,
};
use shared::domain::usage::Event;
use shared::domain::webhook::EventType;
use shared::runtime::error::log_chain;
use shared::runtime::queue::NotQueued;
use shared::store::{
    AuditEntry, Change, Committed, CounterEffect, Fired, Row, Store, StoreError, new_id,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// How often a block that met other changes is prepared anew.
const ATTEMPTS: u32 = 24;
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

/// A policy that an event of the batch fires.
struct Found<'a> {
    policy: &'a ActivePolicy,
    facts: &'a Facts,
    firing: Firing,
}

/// Whether a policy looks at events of this kind.
fn looks_at(policy: &ActivePolicy, event: &Event) -> bool {
    let is_of_risks = matches!(policy.rule.trigger, Trigger::IpRiskEvent);
    is_of_risks == matches!(event, Event::IpRisk(_))
}

/// Evaluates `events`, which are recorded, and acts. The ids of the events that have to come again.
pub(super) async fn act(
    app: &App,
    configuration: &Configuration,
    events: &[&Event],
) -> Result<BTreeSet<String>, StoreError> {
    let policies = app.policies.active(&app.store, configuration).await?;
    let is_wanted = |event: &&&Event| policies.iter().any(|policy| looks_at(policy, event));
    let ids: BTreeSet<&str> = events
        .iter()
        .filter(is_wanted)
        .map(|event| event.event_id())
        .collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<&str> = ids.into_iter().collect();
    let facts = app.store.facts_of(configuration, &ids).await?;
    let needs = Needs::of(policies.iter().map(|policy| &policy.rule.trigger));
    let mut standing = app.store.standing(configuration, &needs, &facts).await?;
    // The totals have all of the batch; each event sees those that arrived before it and itself.
    for facts in &facts {
        standing.discount(facts, &needs);
    }
    let mut found: BTreeMap<String, Vec<Found<'_>>> = BTreeMap::new();
    for facts in &facts {
        standing.count(facts, &needs);
        for policy in policies.iter() {
            for firing in firings(policy, facts, &standing, configuration) {
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
    let mut failed = BTreeSet::new();
    for (name, same) in found {
        if let Err(error) = once(app, configuration, &name, &same, known.get(&name)).await {
            log_chain("a policy fired and could not act", &error);
            let of_these = same.iter().map(|found| found.facts.event_id.clone());
            failed.extend(of_these);
        }
    }
    Ok(failed)
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
/// event that fired, it has come again, perhaps because the notice was not queued.
async fn once(
    app: &App,
    configuration: &Configuration,
    name: &str,
    same: &[Found<'_>],
    known: Option<&Fired>,
) -> Result<(), Failure> {
    let organisation_id = &configuration.organisation.id;
    let fired = match (known, same.first()) {
        (Some(fired), _) => {
            let is_again = |found: &Found<'_>| found.facts.event_id == fired.event_id;
            if !same.iter().any(is_again) {
                return Ok(());
            }
            fired.clone()
        }
        (None, Some(first)) => match fire(app, configuration, first).await? {
            Some(fired) => fired,
            // Another batch was faster, and queues it.
            None => return Ok(()),
        },
        (None, None) => return Ok(()),
    };
    if let Some(notice_id) = &fired.notice_id {
        let message = NoticeMessage::Notice {
            organisation_id: organisation_id.clone(),
            notice_id: notice_id.clone(),
        };
        app.notices.queue(&message).await?;
    }
    app.policies.remember(place(organisation_id, name), fired);
    Ok(())
}

/// Does what the policy says, in one transaction with the marker; none where it fired before.
async fn fire(
    app: &App,
    configuration: &Configuration,
    found: &Found<'_>,
) -> Result<Option<Fired>, StoreError> {
    let organisation_id = &configuration.organisation.id;
    let now = app.clock.now();
    let user = match &found.facts.user_id {
        Some(id) => app.store.user(organisation_id, id).await?,
        None => None,
    };
    let telling = Telling {
        policy: found.policy,
        facts: found.facts,
        firing: &found.firing,
        now,
    };
    let rule = &found.policy.rule;
    let alert = telling.alert(new_id("alr_", now, 0)?);
    let incident = telling.incident(new_id("inc_", now, 0)?, &alert.id);
    let block = rule.blocks().filter(|_| user.is_some());
    let until = block.map(|until| until.ends_at(configuration, now));
    let (recipients, not_done) = recipients(app, configuration, rule, user.as_ref()).await?;
    let [title, message] = telling.text();
    let notice = (!recipients.is_empty()).then_some(Notice {
        id: new_id("ntc_", now, 0)?,
        kind: EventType::PolicyFired,
        created_at: now,
        payload: json!({
            "title": title,
            "message": message,
            "facts": telling.metadata(),
            "user": user.as_ref().map(|user| json!({"id": user.id, "name": user.name})),
            "department_id": telling.department_id(),
            "alert_id": alert.id,
            "incident_id": incident.as_ref().map(|incident| &incident.id),
            "blocked": until.map(|until| json!({"until": until.map(|until| until.to_string())})),
            "not_done": not_done,
        }),
        recipients,
    });
    let fired = Fired {
        event_id: found.facts.event_id.clone(),
        at: now,
        alert_id: alert.id.clone(),
        notice_id: notice.as_ref().map(|notice| notice.id.clone()),
    };
    let subject = &found.firing.subject;
    let mut rows = vec![
        Row::fired(organisation_id, &found.policy.id, subject, &fired)?,
        Row::alert(organisation_id, &alert)?,
    ];
    if let Some(incident) = &incident {
        rows.push(Row::incident(organisation_id, incident)?);
    }
    if let Some(notice) = &notice {
        rows.push(Row::notice(organisation_id, notice)?);
    }
    let is_new = match (&user, until) {
        (Some(user), Some(until)) => {
            let block = Block {
                policy_id: Some(found.policy.id.clone()),
                reason: format!("{title}. {message}"),
                since: now,
                until,
            };
            fire_and_block(app, organisation_id, &user.id, &block, &rows, found).await?
        }
        _ => app.store.fire(rows).await?,
    };
    if is_new {
        tracing::info!(
            policy_id = found.policy.id,
            alert_id = alert.id,
            "a policy fired"
        );
    }
    Ok(is_new.then_some(fired))
}

/// The same where the user is blocked in the same transaction, as a change with its audit entry. A block that lasts longer
/// stays as it is.
async fn fire_and_block(
    app: &App,
    organisation_id: &str,
    user_id: &str,
    block: &Block,
    rows: &[Row],
    found: &Found<'_>,
) -> Result<bool, StoreError> {
    let now = block.since;
    for attempt in 0..ATTEMPTS {
        let Some(snapshot) = app.store.snapshot_for_change(organisation_id).await? else {
            return Ok(false);
        };
        // Read after the snapshot: whatever changes it from here on makes the commit stale.
        let user = app.store.user(organisation_id, user_id).await?;
        let blocked = user.and_then(|before| {
            let is_longer = before
                .block
                .as_ref()
                .is_none_or(|known| !lasts(known, block));
            is_longer.then(|| blocked(&before, block))
        });
        let Some((before, after)) = blocked else {
            return app.store.fire(rows.to_vec()).await;
        };
        let shown = |user: &User| json!({"id": user.id, "block": user.block}).to_string();
        let mut rows = rows.to_vec();
        rows.push(Row::user(organisation_id, &after)?);
        let change = Change {
            rows,
            head: snapshot.head.clone(),
            counters: CounterEffect::Seen,
            audit: AuditEntry {
                actor: format!("policy/{}", found.policy.id),
                action: "user.block".to_owned(),
                resource: format!("user/{user_id}"),
                before: Some(shown(&before)),
                after: Some(shown(&after)),
                reason: Some(block.reason.clone()),
                request_id: found.facts.event_id.clone(),
            },
        };
        let committed = app
            .store
            .commit(&snapshot, change, |_| Ok::<_, StoreError>(None), now)
            .await?;
        if matches!(committed, Committed::Done(_)) {
            return Ok(true);
        }
        let firing = [(found.policy.id.as_str(), &found.firing.subject)];
        if !app.store.fired(organisation_id, &firing).await?.is_empty() {
            return Ok(false);
        }
        let most_ms = u64::from(attempt + 1).min(20);
        tokio::time::sleep(std::time::Duration::from_millis(most_ms)).await;
    }
    Err(StoreError::Contended)
}

/// Whether `known` is in force and ends no earlier than `other`.
fn lasts(known: &Block, other: &Block) -> bool {
    known.is_in_force(other.since)
        && match (known.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(other)) => known >= other,
        }
}

fn blocked(before: &User, block: &Block) -> (User, User) {
    let mut after = before.clone();
    after.block = Some(block.clone());
    after.version += 1;
    after.updated_at = block.since;
    (before.clone(), after)
}

/// Whom the policy tells, and what of its actions cannot be done, in words.
async fn recipients(
    app: &App,
    configuration: &Configuration,
    rule: &shared::domain::policy::Rule,
    user: Option<&User>,
) -> Result<(Vec<Recipient>, Vec<&'static str>), StoreError> {
    let mut recipients = Vec::new();
    let mut not_done = Vec::new();
    for action in &rule.actions {
        match (action, user) {
            (Action::EmailUser, Some(user)) => {
                recipients.push(mail(user.clone(), "it was your activity".to_owned()));
            }
            (Action::EmailUser, None) => {
                not_done.push("no mail to the user: the event names nobody who is known");
            }
            (Action::EmailManager, user) => {
                let found = managers(&app.store, configuration, user).await?;
                if found.is_empty() {
                    not_done.push(
                        "no mail to the manager: there is neither a manager nor an administrator",
                    );
                }
                recipients.extend(found);
            }
            (Action::BlockAccess { .. }, None) => {
                not_done.push("nobody was blocked: the event names nobody who is known");
            }
            (Action::Webhook { webhook_id }, _) => recipients.push(Recipient {
                address: Address::Webhook {
                    webhook_id: webhook_id.clone(),
                },
                status: RecipientStatus::Queued,
            }),
            (Action::BlockAccess { .. } | Action::CreateIncident { .. }, _) => {}
        }
    }
    Ok((recipients, not_done))
}
