//! Raises alerts, each once for its cause, and chooses who gets them.

use crate::domain::ledger::self_audit::Difference;
use crate::domain::notice::alert::Alert;
use crate::domain::notice::event_alert::TroubledEvent;
use crate::domain::notice::unsure_price::UnsurePrice;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::audit::Break;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::people::User;
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use crate::store::{AlertMarker, Store, StoreError, new_id};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The most alerts about models in a month. Clients choose the names of models.
const MAX_UNSURE_ALERTS: usize = 100;

/// An alert that this call raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedAlert {
    pub alert: Alert,
    /// The notice that the caller must queue.
    pub notice_id: String,
}

impl Store {
    /// Stores an alert with its notice, unless its marker exists.
    pub(super) async fn raise(
        &self,
        organisation_id: &str,
        marker: AlertMarker,
        alert: Alert,
        notice: Notice,
    ) -> Result<Option<RaisedAlert>, StoreError> {
        let is_new = self
            .add_alert(organisation_id, marker, &alert, &notice)
            .await?;
        Ok(is_new.then_some(RaisedAlert {
            alert,
            notice_id: notice.id,
        }))
    }

    /// Alerts the manager of an event's user, or the administrators. Returns None if they were
    /// alerted before.
    pub async fn raise_trouble_alert(
        &self,
        configuration: &Configuration,
        event: &TroubledEvent<'_>,
        now: Timestamp,
    ) -> Result<Option<RaisedAlert>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let marker = AlertMarker::trouble(organisation_id, event);
        if self.is_raised(&marker).await? {
            return Ok(None);
        }
        let user = match event.user_id() {
            Some(user_id) => self.user(organisation_id, user_id).await?,
            None => None,
        };
        let whose = user.as_ref().filter(|_| !event.is_for_administrators());
        let recipients = self.trouble_recipients(configuration, whose).await?;
        let department_id = user.map(|user| user.department_id);
        let alert = event.alert(new_id("alr_", now, 0)?, department_id, now);
        let notice = alert.notice(new_id("ntc_", now, 0)?, recipients);
        self.raise(organisation_id, marker, alert, notice).await
    }

    async fn trouble_recipients(
        &self,
        configuration: &Configuration,
        user: Option<&User>,
    ) -> Result<Vec<Recipient>, StoreError> {
        let manager = match user {
            Some(user) => self.manager_of(configuration, user).await?,
            None => None,
        };
        match manager {
            Some((manager, because)) => Ok(vec![Recipient::mail(&manager, because)]),
            None => {
                self.alerted_administrators(&configuration.organisation.id)
                    .await
            }
        }
    }

    /// Alerts the administrators of models whose price is unsure, each once for its month and
    /// reason. Returns the new alerts. Beyond a hundred of a month and reason none is raised: the
    /// list of models has them all.
    pub async fn raise_unsure_alerts(
        &self,
        configuration: &Configuration,
        found: &[UnsurePrice<'_>],
        now: Timestamp,
    ) -> Result<Vec<RaisedAlert>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let kinds: BTreeSet<(Month, Unsure)> =
            found.iter().map(|of| (of.month, of.unsure)).collect();
        let mut raised = Vec::new();
        for kind in kinds {
            let mut known = self.unsure_markers(organisation_id, kind).await?;
            for of in found.iter().filter(|of| (of.month, of.unsure) == kind) {
                let marker = AlertMarker::unsure_price(organisation_id, of);
                if known.len() >= MAX_UNSURE_ALERTS || !known.insert(&marker) {
                    continue;
                }
                let order = raised.len();
                let alert = of.alert(new_id("alr_", now, order)?, now);
                let recipients = self.alerted_administrators(organisation_id).await?;
                let notice = alert.notice(new_id("ntc_", now, order)?, recipients);
                raised.extend(self.raise(organisation_id, marker, alert, notice).await?);
            }
        }
        Ok(raised)
    }

    /// Alerts the administrators of a difference, once for each month and subject. Returns None if
    /// they were alerted before.
    pub async fn raise_difference_alert(
        &self,
        organisation_id: &str,
        difference: &Difference,
        now: Timestamp,
    ) -> Result<Option<RaisedAlert>, StoreError> {
        let marker = AlertMarker::difference(organisation_id, difference);
        let alert = difference.alert(new_id("alr_", now, 0)?, now);
        let recipients = self.alerted_administrators(organisation_id).await?;
        let notice = alert.notice(new_id("ntc_", now, 0)?, recipients);
        self.raise(organisation_id, marker, alert, notice).await
    }

    /// Alerts the administrators that the log is broken at an entry, once for each entry. Returns
    /// None if they were alerted before.
    pub async fn raise_broken_log_alert(
        &self,
        organisation_id: &str,
        broken: &Break,
        now: Timestamp,
    ) -> Result<Option<RaisedAlert>, StoreError> {
        let marker = AlertMarker::broken_log(organisation_id, broken);
        let alert = broken.alert(new_id("alr_", now, 0)?, now);
        let recipients = self.alerted_administrators(organisation_id).await?;
        let notice = alert.notice(new_id("ntc_", now, 0)?, recipients);
        self.raise(organisation_id, marker, alert, notice).await
    }

    async fn alerted_administrators(
        &self,
        organisation_id: &str,
    ) -> Result<Vec<Recipient>, StoreError> {
        self.administrator_recipients(organisation_id, "you are an administrator")
            .await
    }
}
