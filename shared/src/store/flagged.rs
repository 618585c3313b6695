//! Flagged events: events that an administrator should look at, listed by their flag.

use super::Store;
use super::entry::{Entry, Mark};
use super::error::StoreError;
use super::item::expires_at;
use super::keys;
use super::pages::Page;
use super::rows::Row;
use super::tables::Table;
use super::write::Write;
use crate::domain::amount::Amounts;
use crate::domain::ledger::flagged::{Flag, FlaggedEvent};
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::plausible::Excess;
use crate::domain::ledger::usage::Event;
use crate::domain::org::configuration::Configuration;
use jiff::Timestamp;

impl Row {
    pub fn flagged(organisation_id: &str, flagged: &FlaggedEvent) -> Result<Self, StoreError> {
        let at = flagged.received_at;
        let key = keys::flagged(organisation_id, flagged.flag, at, &flagged.identity);
        let mut row = Self::new(key, flagged)?;
        row.expire(expires_at(at));
        Ok(row)
    }

    /// Deletes an event's entry under a flag, for an event that changes its flag.
    pub fn not_flagged(organisation_id: &str, flagged: &FlaggedEvent) -> Self {
        let at = flagged.received_at;
        Self::gone(keys::flagged(
            organisation_id,
            flagged.flag,
            at,
            &flagged.identity,
        ))
    }
}

/// Returns the flag of an entry, if it needs one.
fn flag_of(entry: &Entry<'_>) -> Option<Flag> {
    match entry.mark {
        Mark::Conflict => Some(Flag::Conflict),
        Mark::HeldBack => Some(Flag::HeldBack),
        _ if entry.exceeded_hold => Some(Flag::ExceededHold),
        Mark::Lapsed => Some(Flag::Lapsed),
        _ if !entry.is_model_allowed => Some(Flag::ModelNotAllowed),
        _ => None,
    }
}

impl Store {
    /// Lists an entry that needs a flag, as a part of the transaction that records it.
    pub(crate) fn flag_item(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        held: Option<Amounts>,
        excess: Option<Excess>,
    ) -> Result<Option<Write>, StoreError> {
        let Some(flag) = flag_of(entry) else {
            return Ok(None);
        };
        let flagged = FlaggedEvent {
            flag,
            identity: entry.report.identity.clone(),
            event: Event::LlmRequest(entry.report.usage.clone()),
            received_at: entry.received_at,
            path: entry.path.to_text(),
            period: entry.period,
            charged: entry.charge.amounts,
            price: Some(entry.charge.matched.clone()),
            held,
            excess,
            decision: None,
            model_not_allowed: !entry.is_model_allowed,
        };
        let row = Row::flagged(&configuration.organisation.id, &flagged)?;
        self.row_item(row).map(Some)
    }

    /// Lists the events with a flag that are `wanted`, the newest first.
    pub async fn flagged(
        &self,
        organisation_id: &str,
        flag: Flag,
        wanted: impl Fn(&FlaggedEvent) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<FlaggedEvent>, StoreError> {
        let pk = keys::flagged_of(organisation_id);
        let prefix = keys::flagged_as(flag);
        self.newest_first(&pk, &prefix, after, limit, wanted).await
    }

    /// Returns an event that was held back, with the decision if there is one. Returns None for an
    /// event that was not held back.
    pub async fn held_back(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
    ) -> Result<Option<FlaggedEvent>, StoreError> {
        let key = keys::record(organisation_id, identity).attributes();
        let item = self.item(Table::Ledger, key).await?.unwrap_or_default();
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let flag = match text("mark").map(String::as_str) {
            Some("held_back") => Flag::HeldBack,
            Some("counted") => Flag::Counted,
            Some("discarded") => Flag::Discarded,
            _ => return Ok(None),
        };
        let received_at: Timestamp = text("received_at")
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| StoreError::unreadable("the time of a record"))?;
        self.row(keys::flagged(organisation_id, flag, received_at, identity))
            .await
    }
}
