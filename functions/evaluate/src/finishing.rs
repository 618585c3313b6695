//! Takes the actions that a policy could not take when it fired, because the event's user was not
//! known. If the event comes again with its user, the user is blocked and notified, and alert and
//! incident name the user. This happens once.

use super::App;
use super::context::{BatchContext, PolicyMatch, recipients};
use super::firing::{ATTEMPTS, author, blocked, lasts};
use serde_json::json;
use shared::domain::change::Change;
use shared::domain::notice::alert::Alert;
use shared::domain::notice::blocking::blocked_by_policy;
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::incident::Incident;
use shared::domain::notice::{Address, Notice, Recipient};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::{Block, User};
use shared::domain::policy::{Fired, FiringRecord, FiringReport};
use shared::ledger::{ChangeRequest, Changed, Snapshot, Step};
use shared::store::{StoreError, new_id};
use std::sync::Arc;

/// The state that a firing without a user left.
struct Before {
    user: User,
    fired: Fired,
    /// The incident that it opened, if any.
    incident_id: Option<String>,
}

/// The actions to take now.
struct Finish<'a> {
    telling: FiringReport<'a>,
    before: Before,
    block: Option<Block>,
    recipients: Vec<Recipient>,
    not_done: Vec<&'static str>,
}

/// Finishes a firing if its event has its user now and this was not done before. Returns the
/// marker.
pub(super) async fn finish(
    acting: &BatchContext<'_>,
    found: &PolicyMatch<'_>,
    fired: &Fired,
) -> Result<Fired, StoreError> {
    let BatchContext {
        app, configuration, ..
    } = acting;
    let organisation_id = &configuration.organisation.id;
    let now = app.clock.now();
    let telling = || FiringReport {
        policy: found.policy,
        facts: found.facts,
        firing: &found.firing,
        now,
    };
    let author = author(&telling());
    let request = ChangeRequest {
        organisation_id,
        author: &author,
        now,
        attempts: ATTEMPTS,
    };
    let prepare = async |_: Arc<Snapshot>| {
        // Read after the snapshot: whatever changes it from here on makes the commit stale.
        let before = match before(app, configuration, found, fired).await? {
            Ok(before) => before,
            Err(as_it_is) => return Ok::<_, StoreError>(Step::Stop(as_it_is)),
        };
        let (recipients, not_done) = recipients(acting, found, Some(&before.user)).await?;
        let known = before.user.block.as_ref();
        let telling = telling();
        let block = telling.block(configuration).filter(|block| {
            block.is_in_force(now) && !known.is_some_and(|known| lasts(known, block))
        });
        let finish = Finish {
            telling,
            before,
            block,
            recipients,
            not_done,
        };
        let firing = finish.record(app, organisation_id).await?;
        let finished = firing.fired.clone();
        Ok(Step::commit(finish.change(firing), finished))
    };
    match app.store.change(&request, prepare).await? {
        Changed::Committed(committed) => {
            let (policy_id, alert_id) = (&found.policy.id, &committed.value.alert_id);
            tracing::info!(policy_id, alert_id, "a firing was finished");
            Ok(committed.value)
        }
        Changed::Stopped(as_it_is) => Ok(as_it_is),
        Changed::UnknownOrganisation => Ok(fired.clone()),
        Changed::Contended | Changed::AnsweredBefore => Err(StoreError::Contended),
    }
}

/// Reads the state that the firing left. Returns its marker as an error if nothing is to finish.
async fn before(
    app: &App,
    configuration: &Configuration,
    found: &PolicyMatch<'_>,
    fired: &Fired,
) -> Result<Result<Before, Fired>, StoreError> {
    let organisation_id = &configuration.organisation.id;
    let firing = [(found.policy.id.as_str(), &found.firing.subject)];
    let known = app.store.fired(organisation_id, &firing).await?;
    let fired = known.into_values().next().unwrap_or(fired.clone());
    let user_id = found.facts.user_id.as_deref().filter(|_| fired.is_nobodys);
    let user = match user_id {
        Some(user_id) => app.store.user(organisation_id, user_id).await?,
        None => None,
    };
    let Some(user) = user else {
        return Ok(Err(fired));
    };
    let notice = app.store.notice(organisation_id, &fired.notice_id).await?;
    let incident_id = notice.and_then(|notice| {
        let id = notice.payload["incident_id"].as_str();
        id.map(str::to_owned)
    });
    Ok(Ok(Before {
        user,
        fired,
        incident_id,
    }))
}

impl Finish<'_> {
    /// Returns all that is written beside the user, with the new marker.
    async fn record(&self, app: &App, organisation_id: &str) -> Result<FiringRecord, StoreError> {
        let fired = &self.before.fired;
        let notices = self.notices()?;
        let more = notices.iter().map(|notice| notice.id.clone());
        let finished = Fired {
            is_nobodys: false,
            more_notice_ids: fired.more_notice_ids.iter().cloned().chain(more).collect(),
            ..fired.clone()
        };
        Ok(FiringRecord {
            policy_id: self.telling.policy.id.clone(),
            subject: self.telling.firing.subject.clone(),
            fired: finished,
            alert: self.known_alert(app, organisation_id).await?,
            incident: self.known_incident(app, organisation_id).await?,
            notices,
        })
    }

    fn change(&self, firing: FiringRecord) -> Change {
        let user = self.before.user.clone();
        match &self.block {
            Some(block) => Change::FiringBlocked {
                user: blocked(user, block),
                firing,
            },
            None => Change::FiringAttributed {
                user_id: user.id,
                firing,
            },
        }
    }

    /// Returns the alert of the firing, now with the user.
    async fn known_alert(
        &self,
        app: &App,
        organisation_id: &str,
    ) -> Result<Option<Alert>, StoreError> {
        let Before { user, fired, .. } = &self.before;
        let known = app.store.alert(organisation_id, &fired.alert_id).await?;
        Ok(known.map(|mut alert| {
            alert.user_id = Some(user.id.clone());
            alert.department_id = self.telling.department_id();
            if let Some(metadata) = alert.metadata.as_object_mut() {
                metadata.insert("not_done".to_owned(), json!(self.not_done));
            }
            alert
        }))
    }

    /// Returns the incident of the firing, now with the user.
    async fn known_incident(
        &self,
        app: &App,
        organisation_id: &str,
    ) -> Result<Option<Incident>, StoreError> {
        let Some(id) = &self.before.incident_id else {
            return Ok(None);
        };
        let known = app.store.incident(organisation_id, id).await?;
        Ok(known.map(|mut incident| {
            incident.user_id = Some(self.before.user.id.clone());
            incident.department_id = self.telling.department_id();
            incident.updated_at = self.telling.now;
            incident
        }))
    }

    /// Returns the notices, if the user is blocked or somebody gets a mail.
    fn notices(&self) -> Result<Vec<Notice>, StoreError> {
        let is_mail = |recipient: &Recipient| matches!(recipient.address, Address::Mail { .. });
        if self.block.is_none() && !self.recipients.iter().any(is_mail) {
            return Ok(Vec::new());
        }
        let now = self.telling.now;
        let Before {
            user,
            fired,
            incident_id,
        } = &self.before;
        let [title, message] = self.telling.text();
        let until = |block: &Block| json!({"until": block.until.map(|until| until.to_string())});
        let payload = json!({
            "title": title,
            "message": format!("{message} It is known now whose it is: {}.", user.name),
            "facts": self.telling.metadata(),
            "user": {"id": user.id, "name": user.name},
            "department_id": self.telling.department_id(),
            "alert_id": fired.alert_id,
            "incident_id": incident_id,
            "blocked": self.block.as_ref().map(until),
            "not_done": self.not_done,
        });
        let kind = EventType::PolicyFired;
        let id = new_id("ntc_", now, 0)?;
        let mut notices = vec![Notice::new(id, kind, payload, self.recipients.clone(), now)];
        if let Some(block) = &self.block {
            let after = blocked(user.clone(), block).after.value;
            notices.push(blocked_by_policy(new_id("ntc_", now, 1)?, &after, block));
        }
        Ok(notices)
    }
}
