//! Alerts, and the markers that make each crossing told once.

use super::Store;
use super::call::{StoreError, Transacted};
use super::expression::{Item, attribute};
use super::governance::Page;
use super::keys::{self, ALERT, TOLD};
use super::resolutions::expires_at;
use super::rows::Row;
use crate::domain::alert::{Alert, crossings};
use crate::domain::cell::Cell;
use crate::domain::change::AlertMarker;
use crate::domain::configuration::Configuration;
use crate::domain::period::Month;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Marker<'a> {
    alert_id: &'a str,
}

/// What was told now: a crossing, or a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// The notice that has to be queued.
    pub notice_id: String,
}

/// A new id of an alert, incident or notice: later ones sort last, and of those of one moment the ones with a higher
/// `order`.
pub fn new_id(prefix: &str, now: Timestamp, order: usize) -> Result<String, StoreError> {
    let mut bytes = [0_u8; 6];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let at = now.as_millisecond();
    Ok(format!("{prefix}{at:012x}{order:04x}{}", hex::encode(bytes)))
}

impl Row {
    /// An alert as it will be.
    pub fn alert(organisation_id: &str, alert: &Alert) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{ALERT}{}", alert.id));
        let mut row = Self::new(key, alert)?;
        row.expire(expires_at(alert.created_at));
        Ok(row)
    }

    /// Deletes the marker of an alert.
    pub(super) fn cleared(organisation_id: &str, marker: &AlertMarker) -> Self {
        let AlertMarker {
            period,
            counter,
            level,
        } = marker;
        let (counter, level) = (attribute(*counter), level.to_string());
        Self::gone(keys::told(organisation_id, *period, &counter, &level))
    }
}

impl Store {
    /// Tells of every crossing that `cell`, the cell of `period`, shows and that was not told yet: the alerts that are
    /// new. Whoever has changed the cell calls it, and again after a fault; of several at once, one tells.
    pub async fn tell_crossings(
        &self,
        configuration: &Configuration,
        period: Month,
        cell: &Cell,
        now: Timestamp,
    ) -> Result<Vec<Told>, StoreError> {
        let crossings = crossings(configuration, period, cell);
        if crossings.is_empty() {
            return Ok(Vec::new());
        }
        let organisation_id = &configuration.organisation.id;
        let told = self.told(organisation_id, period).await?;
        let mut told_now = Vec::new();
        for (order, crossing) in crossings.into_iter().enumerate() {
            let level = crossing.level.to_string();
            let counter = attribute(crossing.budget.counter());
            let marker = keys::told(organisation_id, period, &counter, &level);
            if !told.contains(&marker.sk) {
                let id = new_id("alr_", now, order)?;
                let alert = crossing.alert(id, configuration, now);
                let department_id = crossing.budget.department_id.as_deref();
                let recipients = self.budget_recipients(configuration, department_id).await?;
                let notice = alert.notice(new_id("ntc_", now, order)?, recipients);
                let notice_id = notice.id.clone();
                let row = Row::notice(organisation_id, &notice)?;
                let told = self
                    .tell_once(organisation_id, marker, alert, vec![row])
                    .await?;
                told_now.extend(told.map(|alert| Told { alert, notice_id }));
            }
        }
        Ok(told_now)
    }

    /// The sort keys of the markers of a period.
    async fn told(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<BTreeSet<String>, StoreError> {
        let prefix = format!("{TOLD}{period}#");
        let rows = self.rows_under(organisation_id, prefix).await?;
        let key = |mut row: Item| match row.remove("sk") {
            Some(AttributeValue::S(sk)) => Some(sk),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(key).collect())
    }

    /// The marker, if there is none, the alert and what goes with it in one transaction. None where it was told before, also by somebody
    /// who raced with this call.
    pub(super) async fn tell_once(
        &self,
        organisation_id: &str,
        marker: keys::Key,
        alert: Alert,
        also: Vec<Row>,
    ) -> Result<Option<Alert>, StoreError> {
        let told = Marker {
            alert_id: &alert.id,
        };
        let mut marker = Row::new(marker, &told)?;
        marker.expire(expires_at(alert.created_at));
        let mut parts = vec![
            self.row_item(marker.if_absent())?,
            self.row_item(Row::alert(organisation_id, &alert)?)?,
        ];
        for row in also {
            parts.push(self.row_item(row)?);
        }
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Some(alert),
            Transacted::Refused(_) => None,
        })
    }

    /// An alert by its id.
    pub async fn alert(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Alert>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{ALERT}{id}")))
            .await
    }

    /// Alerts, the newest first, those that are `wanted` only.
    pub async fn alerts(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Alert) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Alert>, StoreError> {
        self.newest_first(organisation_id, ALERT, after, limit, wanted)
            .await
    }
}
