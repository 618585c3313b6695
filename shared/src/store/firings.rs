//! What a firing leaves behind: its marker, which makes it once, with everything that it did.

use super::Store;
use super::call::{StoreError, Transacted};
use super::configuration::data;
use super::expression::Item;
use super::keys::{self, FIRED};
use super::resolutions::expires_at;
use super::rows::Row;
use crate::domain::identity::EventIdentity;
use crate::domain::policy::Subject;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// That a policy fired for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The event that did it.
    pub event: EventIdentity,
    /// When.
    pub at: Timestamp,
    /// The alert that tells of it.
    pub alert_id: String,
    /// What was queued for it.
    pub notice_id: String,
    /// What else was: the notices of the incident that it opened and of the user whom it blocked.
    #[serde(default)]
    pub more_notice_ids: Vec<String>,
    /// Whether nobody knew whose the event was.
    #[serde(default)]
    pub is_nobodys: bool,
}

impl Row {
    /// The marker of a firing, which is written once: what is committed with it happens once.
    pub fn fired(
        organisation_id: &str,
        policy_id: &str,
        subject: &Subject,
        fired: &Fired,
    ) -> Result<Self, StoreError> {
        let row = Self::finished(organisation_id, policy_id, subject, fired)?;
        Ok(row.if_absent())
    }

    /// The same after what was left to do was done.
    pub fn finished(
        organisation_id: &str,
        policy_id: &str,
        subject: &Subject,
        fired: &Fired,
    ) -> Result<Self, StoreError> {
        let key = keys::fired(organisation_id, policy_id, &subject.to_string());
        let mut row = Self::new(key, fired)?;
        row.expire(expires_at(fired.at));
        Ok(row)
    }
}

/// The name of a firing: the same for the same policy and subject.
fn name(policy_id: &str, subject: &Subject) -> String {
    format!("{policy_id}#{subject}")
}

impl Store {
    /// Which of these firings were before, by policy and subject.
    pub async fn fired(
        &self,
        organisation_id: &str,
        firings: &[(&str, &Subject)],
    ) -> Result<BTreeMap<String, Fired>, StoreError> {
        let keys: BTreeMap<String, Item> = firings
            .iter()
            .map(|(policy_id, subject)| {
                let key = keys::fired(organisation_id, policy_id, &subject.to_string());
                (name(policy_id, subject), key.attributes())
            })
            .collect();
        let keys = keys.into_values().collect();
        let mut found = BTreeMap::new();
        for item in self.items(&self.tables.governance, keys, None).await? {
            let sk = match item.get("sk") {
                Some(AttributeValue::S(sk)) => sk.strip_prefix(FIRED).map(str::to_owned),
                _ => None,
            };
            let name = sk.ok_or_else(|| StoreError::unreadable("a marker"))?;
            found.insert(name, data(item)?);
        }
        Ok(found)
    }

    /// Writes what a firing leaves behind, its marker among it, all or nothing; false where it was there before.
    pub async fn fire(&self, rows: Vec<Row>) -> Result<bool, StoreError> {
        let parts = rows.into_iter().map(|row| self.row_item(row));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(self.transact(parts).await? == Transacted::Applied)
    }
}

impl Fired {
    /// The name that [`Store::fired`] has for a firing.
    pub fn name(policy_id: &str, subject: &Subject) -> String {
        name(policy_id, subject)
    }
}
