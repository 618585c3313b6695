//! Firings of policies. A firing's marker is committed together with all of its effects, so they
//! happen once.

use super::Store;
use super::call::Transacted;
use super::configuration::data;
use super::error::StoreError;
use super::item::{Item, expires_at};
use super::keys::{self, FIRED};
use super::rows::Row;
use crate::domain::policy::{Fired, FiringRecord, Subject};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::BTreeMap;

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

/// The rows of a firing: its marker, which `marker` makes, its alert and its incident.
pub(super) fn firing_rows(
    organisation_id: &str,
    firing: &FiringRecord,
    marker: impl Fn(&str, &str, &Subject, &Fired) -> Result<Row, StoreError>,
) -> Result<Vec<Row>, StoreError> {
    let FiringRecord {
        policy_id,
        subject,
        fired,
        alert,
        incident,
        ..
    } = firing;
    let mut rows = vec![marker(organisation_id, policy_id, subject, fired)?];
    if let Some(alert) = alert {
        rows.push(Row::alert(organisation_id, alert)?);
    }
    if let Some(incident) = incident {
        rows.push(Row::incident(organisation_id, incident)?);
    }
    Ok(rows)
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
                (Fired::name(policy_id, subject), key.attributes())
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

    /// Writes a firing that blocks nobody, all or nothing. Returns false if the policy fired for
    /// the subject before.
    pub async fn fire(
        &self,
        organisation_id: &str,
        firing: &FiringRecord,
    ) -> Result<bool, StoreError> {
        let mut rows = firing_rows(organisation_id, firing, Row::fired)?;
        for notice in &firing.notices {
            rows.push(Row::notice(organisation_id, notice)?);
        }
        let parts = rows.into_iter().map(|row| self.row_item(row));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(self.transact(parts).await? == Transacted::Applied)
    }
}
