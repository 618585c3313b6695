//! Takes the actions that a policy could not take when it fired, because the event's user was not
//! known. If the event comes again with its user, the user is blocked and notified, and alert and
//! incident name the user. This happens once.

use super::App;
use super::context::{BatchContext, PolicyMatch, recipients};
use super::firing::{ATTEMPTS, lasts};
use serde_json::json;
use shared::domain::audit::AuditEntry;
use shared::domain::blocking::blocked_by_policy;
use shared::domain::configuration::Configuration;
use shared::domain::notice::{Address, Notice, Recipient};
use shared::domain::people::{Block, User};
use shared::domain::policy::FiringReport;
use shared::domain::webhook::EventType;
use shared::runtime::backoff::back_off as rest;
use shared::store::{Change, Committed, CounterEffect, Fired, Row, StoreError, new_id};

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
    for attempt in 0..ATTEMPTS {
        let Some(snapshot) = app.store.snapshot_for_change(organisation_id).await? else {
            return Ok(fired.clone());
        };
        // Read after the snapshot: whatever changes it from here on makes the commit stale.
        let before = match before(app, configuration, found, fired).await? {
            Ok(before) => before,
            Err(as_it_is) => return Ok(as_it_is),
        };
        let telling = FiringReport {
            policy: found.policy,
            facts: found.facts,
            firing: &found.firing,
            now,
        };
        let (recipients, not_done) = recipients(acting, found, Some(&before.user)).await?;
        let known = before.user.block.as_ref();
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
        let (rows, finished, audit) = finish.rows(app, organisation_id).await?;
        let change = Change {
            ledger: None,
            rows,
            head: snapshot.head.clone(),
            counters: match &finish.block {
                Some(_) => CounterEffect::Seen,
                None => CounterEffect::Unseen,
            },
            audit: vec![audit],
        };
        let committed = app
            .store
            .commit(&snapshot, change, |_| Ok::<_, StoreError>(None), now)
            .await?;
        if matches!(committed, Committed::Done(_)) {
            let policy_id = &found.policy.id;
            tracing::info!(
                policy_id,
                alert_id = finished.alert_id,
                "a firing was finished"
            );
            return Ok(finished);
        }
        rest(attempt).await;
    }
    Err(StoreError::Contended)
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
    /// Returns the rows to write, the new marker and the audit entry.
    async fn rows(
        &self,
        app: &App,
        organisation_id: &str,
    ) -> Result<(Vec<Row>, Fired, AuditEntry), StoreError> {
        let Before { user, fired, .. } = &self.before;
        let mut rows = Vec::new();
        let notices = self.notices()?;
        let more = notices.iter().map(|notice| notice.id.clone());
        let finished = Fired {
            is_nobodys: false,
            more_notice_ids: fired.more_notice_ids.iter().cloned().chain(more).collect(),
            ..fired.clone()
        };
        let (policy_id, subject) = (&self.telling.policy.id, &self.telling.firing.subject);
        rows.push(Row::finished(
            organisation_id,
            policy_id,
            subject,
            &finished,
        )?);
        for notice in &notices {
            rows.push(Row::notice(organisation_id, notice)?);
        }
        rows.extend(self.known_rows(app, organisation_id).await?);
        if let Some(block) = &self.block {
            rows.push(Row::user(organisation_id, &self.blocked(block))?);
        }
        Ok((rows, finished, self.audit(user)))
    }

    /// Returns the user with the block.
    fn blocked(&self, block: &Block) -> User {
        let mut after = self.before.user.clone();
        after.block = Some(block.clone());
        after.version += 1;
        after.updated_at = self.telling.now;
        after
    }

    /// Returns the alert and the incident of the firing, now with the user.
    async fn known_rows(&self, app: &App, organisation_id: &str) -> Result<Vec<Row>, StoreError> {
        let Before {
            user,
            fired,
            incident_id,
        } = &self.before;
        let department_id = self.telling.department_id();
        let mut rows = Vec::new();
        if let Some(mut alert) = app.store.alert(organisation_id, &fired.alert_id).await? {
            alert.user_id = Some(user.id.clone());
            alert.department_id.clone_from(&department_id);
            if let Some(metadata) = alert.metadata.as_object_mut() {
                metadata.insert("not_done".to_owned(), json!(self.not_done));
            }
            rows.push(Row::alert(organisation_id, &alert)?);
        }
        let incident = match incident_id {
            Some(id) => app.store.incident(organisation_id, id).await?,
            None => None,
        };
        if let Some(mut incident) = incident {
            incident.user_id = Some(user.id.clone());
            incident.department_id = department_id;
            incident.updated_at = self.telling.now;
            rows.push(Row::incident(organisation_id, &incident)?);
        }
        Ok(rows)
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
            let after = self.blocked(block);
            notices.push(blocked_by_policy(new_id("ntc_", now, 1)?, &after, block));
        }
        Ok(notices)
    }

    fn audit(&self, user: &User) -> AuditEntry {
        let shown = |user: &User| json!({"id": user.id, "block": user.block}).to_string();
        let after = self.block.as_ref().map(|block| self.blocked(block));
        let actor = format!("policy/{}", self.telling.policy.id);
        let request_id = self.telling.facts.event_id.clone();
        match (after, &self.block) {
            (Some(after), Some(block)) => AuditEntry {
                authority: None,
                actor,
                action: "user.block".to_owned(),
                resource: format!("user/{}", user.id),
                before: Some(shown(user)),
                after: Some(shown(&after)),
                reason: Some(block.reason.clone()),
                request_id,
            },
            _ => AuditEntry {
                authority: None,
                actor,
                action: "alert.update".to_owned(),
                resource: format!("alert/{}", self.before.fired.alert_id),
                before: Some(json!({"user_id": null}).to_string()),
                after: Some(json!({"user_id": user.id}).to_string()),
                reason: Some("it is known now whose event it is".to_owned()),
                request_id,
            },
        }
    }
}
