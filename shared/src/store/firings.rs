//! Firings of policies. A firing's marker is committed together with all of its effects, so they
//! happen once.

use super::Store;
use super::call::{StoreError, Transacted};
use super::configuration::data;
use super::item::{Item, expires_at};
use super::keys::{self, FIRED};
use super::rows::Row;
use crate::domain::identity::EventIdentity;
use crate::domain::policy::Subject;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A policy's firing for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The event that caused it.
    pub event: EventIdentity,
    /// When it fired.
    pub at: Timestamp,
    /// The alert about it.
    pub alert_id: String,
    /// The notice of the alert.
    pub notice_id: String,
    /// Further notices: of the incident that it opened and of the user whom it blocked.
    #[serde(default)]
    pub more_notice_ids: Vec<String>,
    /// Whether the event's user was unknown.
    #[serde(default)]
    pub is_nobodys: bool,
}

impl Row {
    /// Builds the marker of a firing, which is written once. Its transaction takes effect once.
    pub fn fired(
        organisation_id: &str,
        policy_id: &str,
        subject: &Subject,
        fired: &Fired,
    ) -> Result<Self, StoreError> {
        let row = Self::finished(organisation_id, policy_id, subject, fired)?;
        Ok(row.if_absent())
    }

    /// Builds the same marker after all follow-up work was done.
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

/// Returns the name of a firing, which follows from its policy and subject.
fn name(policy_id: &str, subject: &Subject) -> String {
    format!("{policy_id}#{subject}")
}

impl Store {
    /// Returns those of these firings, by policy and subject, that happened before.
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

    /// Writes the rows of a firing, including its marker, all or none. Returns false if the marker
    /// exists.
    pub async fn fire(&self, rows: Vec<Row>) -> Result<bool, StoreError> {
        let parts = rows.into_iter().map(|row| self.row_item(row));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(self.transact(parts).await? == Transacted::Applied)
    }
}

impl Fired {
    /// Returns the name of a firing in [`Store::fired`].
    pub fn name(policy_id: &str, subject: &Subject) -> String {
        name(policy_id, subject)
    }
}
