//! Alerts about events that do not add up, one for each subject.

use super::Store;
use super::alerts::{Told, new_id};
use super::call::StoreError;
use super::keys;
use super::rows::Row;
use crate::domain::configuration::Configuration;
use crate::domain::event_alert::TroubledEvent;
use crate::domain::notice::Recipient;
use crate::domain::people::User;
use jiff::Timestamp;
use serde::de::IgnoredAny;

impl Store {
    /// Alerts the manager of an event's user, or the administrators. Returns None if they were
    /// alerted before.
    pub async fn tell_trouble(
        &self,
        configuration: &Configuration,
        event: &TroubledEvent<'_>,
        now: Timestamp,
    ) -> Result<Option<Told>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let marker = keys::trouble(organisation_id, &event.told_as());
        if self.row::<IgnoredAny>(marker.clone()).await?.is_some() {
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
        let notice_id = notice.id.clone();
        let row = Row::notice(organisation_id, &notice)?;
        let told = self
            .tell_once(organisation_id, marker, alert, vec![row])
            .await?;
        Ok(told.map(|alert| Told { alert, notice_id }))
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
                let because = "you are an administrator";
                self.administrator_recipients(&configuration.organisation.id, because)
                    .await
            }
        }
    }
}
