//! Alerts, and the markers that let each crossing raise one alert only.

use super::Store;
use super::call::Transacted;
use super::cell_item::attribute;
use super::error::StoreError;
use super::item::{Item, expires_at};
use super::keys::{self, ALERT, Key, TOLD};
use super::pages::Page;
use super::rows::Row;
use super::unsure_models::model_digest;
use crate::domain::change::CrossingMarker;
use crate::domain::ledger::self_audit::Difference;
use crate::domain::notice::Notice;
use crate::domain::notice::alert::Alert;
use crate::domain::notice::event_alert::TroubledEvent;
use crate::domain::notice::unsure_price::UnsurePrice;
use crate::domain::org::audit::Break;
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Marker<'a> {
    alert_id: &'a str,
}

/// Returns a new id for an alert, incident or notice. Ids sort by time, and ids of one moment by
/// `order`.
pub fn new_id(prefix: &str, now: Timestamp, order: usize) -> Result<String, StoreError> {
    let mut bytes = [0_u8; 6];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let at = now.as_millisecond();
    Ok(format!(
        "{prefix}{at:012x}{order:04x}{}",
        hex::encode(bytes)
    ))
}

impl Row {
    pub fn alert(organisation_id: &str, alert: &Alert) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{ALERT}{}", alert.id));
        let mut row = Self::replacing(key, alert)?;
        row.expire(expires_at(alert.created_at));
        Ok(row)
    }

    /// Deletes the marker of a level, so that the next crossing raises an alert again.
    pub(super) fn clear_alert_marker(organisation_id: &str, marker: &CrossingMarker) -> Self {
        let AlertMarker(marker) = AlertMarker::crossing(organisation_id, marker);
        Self::gone(marker)
    }
}

/// The marker of an alert, which is written with the alert, so that its cause raises no second one.
#[derive(Clone, Debug)]
pub(crate) struct AlertMarker(Key);

impl AlertMarker {
    pub(crate) fn crossing(organisation_id: &str, marker: &CrossingMarker) -> Self {
        let CrossingMarker {
            period,
            counter,
            level,
        } = marker;
        let (counter, level) = (attribute(*counter), level.to_string());
        Self(keys::crossing_marker(
            organisation_id,
            *period,
            &counter,
            &level,
        ))
    }

    pub(crate) fn trouble(organisation_id: &str, event: &TroubledEvent<'_>) -> Self {
        Self(keys::trouble(organisation_id, &event.told_as()))
    }

    pub(crate) fn unsure_price(organisation_id: &str, of: &UnsurePrice<'_>) -> Self {
        let model = model_digest(&of.usage.provider, &of.usage.model);
        let marker = keys::unsure_marker(organisation_id, of.month, of.unsure, &model);
        Self(marker)
    }

    pub(crate) fn difference(organisation_id: &str, difference: &Difference) -> Self {
        let Difference {
            period, subject, ..
        } = difference;
        Self(keys::difference(organisation_id, *period, subject))
    }

    pub(crate) fn broken_log(organisation_id: &str, broken: &Break) -> Self {
        Self(keys::broken_log(organisation_id, broken.seq))
    }
}

/// The markers of the alerts of one kind in a month.
pub(crate) struct AlertMarkers(BTreeSet<String>);

impl AlertMarkers {
    pub(crate) fn contains(&self, marker: &AlertMarker) -> bool {
        self.0.contains(&marker.0.sk)
    }

    /// Adds a marker. Returns false if it was there.
    pub(crate) fn insert(&mut self, marker: &AlertMarker) -> bool {
        self.0.insert(marker.0.sk.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Store {
    pub(crate) async fn crossing_markers(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<AlertMarkers, StoreError> {
        self.markers_under(organisation_id, format!("{TOLD}{period}#"))
            .await
    }

    pub(crate) async fn unsure_markers(
        &self,
        organisation_id: &str,
        (month, unsure): (Month, Unsure),
    ) -> Result<AlertMarkers, StoreError> {
        self.markers_under(organisation_id, keys::unsure_markers(month, unsure))
            .await
    }

    async fn markers_under(
        &self,
        organisation_id: &str,
        prefix: String,
    ) -> Result<AlertMarkers, StoreError> {
        let rows = self.rows_under(organisation_id, prefix).await?;
        let key = |mut row: Item| match row.remove("sk") {
            Some(AttributeValue::S(sk)) => Some(sk),
            _ => None,
        };
        Ok(AlertMarkers(rows.into_iter().filter_map(key).collect()))
    }

    /// Returns whether an alert with this marker was raised.
    pub(crate) async fn is_raised(&self, marker: &AlertMarker) -> Result<bool, StoreError> {
        let row = self.row::<IgnoredAny>(marker.0.clone()).await?;
        Ok(row.is_some())
    }

    /// Writes the marker, the alert and its notice in one transaction. Returns false if the marker
    /// exists, also if a concurrent call wrote it.
    pub(crate) async fn add_alert(
        &self,
        organisation_id: &str,
        AlertMarker(marker): AlertMarker,
        alert: &Alert,
        notice: &Notice,
    ) -> Result<bool, StoreError> {
        let content = Marker {
            alert_id: &alert.id,
        };
        let mut marker = Row::new(marker, &content)?;
        marker.expire(expires_at(alert.created_at));
        let parts = vec![
            self.row_item(marker.if_absent())?,
            self.row_item(Row::alert(organisation_id, alert)?)?,
            self.row_item(Row::notice(organisation_id, notice)?)?,
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
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

    /// Lists the alerts that are `wanted`, the newest first.
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
