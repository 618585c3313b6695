//! Changes of the ledger by an administrator: an event that was held back is counted or discarded,
//! or usage is corrected.

use super::charge::{Debit, Offset};
use crate::domain::amount::Amounts;
use crate::domain::ledger::correction::Correction;
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::ledger::models::is_allowed;
use crate::domain::ledger::usage::{Charge, Event, Usage};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::pricing::book::PriceBooks;
use crate::store::{
    Entry, LedgerWrite, Mark, ModelRow, Store, StoreError, UsageReport, Write, day_of, expires_at,
    own_hold,
};
use jiff::Timestamp;

fn usage_of(flagged: &FlaggedEvent) -> Result<&Usage, StoreError> {
    match &flagged.event {
        Event::LlmRequest(usage) => Ok(usage),
        Event::IpRisk(_) => Err(StoreError::unreadable("a risk that was held back")),
    }
}

impl Store {
    /// Returns the charge of an event that was held back, if it is counted.
    pub async fn charge_of_held_back(
        &self,
        configuration: &Configuration,
        flagged: &FlaggedEvent,
    ) -> Result<Charge, StoreError> {
        let organisation = &configuration.organisation;
        let usage = usage_of(flagged)?;
        let resolved = match own_hold(&organisation.id, usage) {
            Some(hold_id) => self.resolution(&organisation.id, &hold_id).await?,
            None => None,
        };
        let hold = resolved.as_ref().map(|resolved| &resolved.hold);
        let pricing = configuration.pricing(PriceBooks::built_in(), usage.occurred_at);
        Ok(usage.charge(&usage.quote(&pricing), organisation.price_source, hold))
    }

    /// Returns the ledger's parts of a change. Returns None if `configuration` is not in force.
    pub(crate) async fn ledger_items(
        &self,
        configuration: &Configuration,
        write: &LedgerWrite<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        match write {
            LedgerWrite::Discard(flagged) => {
                let part = self.record_discarded_item(organisation_id, &flagged.identity)?;
                Ok(Some(vec![part]))
            }
            LedgerWrite::Count(flagged) => self.count_items(configuration, flagged, now).await,
            LedgerWrite::Correct(correction) => {
                self.correct_items(configuration, correction, now).await
            }
        }
    }

    /// Charges an event that was held back as late usage, in the department that it was held back
    /// in.
    async fn count_items(
        &self,
        configuration: &Configuration,
        flagged: &FlaggedEvent,
        now: Timestamp,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let usage = usage_of(flagged)?;
        let hold_id = own_hold(organisation_id, usage);
        let resolved = match &hold_id {
            Some(hold_id) => self.resolution(organisation_id, hold_id).await?,
            None => None,
        };
        let offset = Offset::of(hold_id.as_ref(), resolved.as_ref());
        let pricing = configuration.pricing(PriceBooks::built_in(), usage.occurred_at);
        let quote = usage.quote(&pricing);
        let hold = resolved.as_ref().map(|resolved| resolved.hold.clone());
        let path = Path::from_text(&flagged.path);
        let source = configuration.organisation.price_source;
        let entry = Entry {
            report: UsageReport::new(usage, flagged.received_at, flagged.received_at),
            received_at: flagged.received_at,
            period: flagged.period,
            day: day_of(configuration, usage),
            is_model_allowed: is_allowed(configuration, &path, &quote, usage),
            path,
            charge: usage.charge(&quote, source, hold.as_ref()),
            mark: Mark::Counted,
            offset: offset.as_ref().map_or(Amounts::ZERO, |o| o.charged),
            ended: hold,
            is_counted: true,
            exceeded_hold: false,
        };
        let charging = self.charge_items(configuration, &entry, offset.as_ref(), now);
        let Some(mut parts) = charging.await? else {
            return Ok(None);
        };
        parts.push(self.record_counted_item(organisation_id, &entry)?);
        // It is no news: it was received long ago.
        let models = self.unsure_items(organisation_id, [&entry])?;
        parts.extend(models.into_iter().map(ModelRow::into_older));
        Ok(Some(parts))
    }

    /// Writes a correction with all of its effects: its rows and the counters of its path.
    async fn correct_items(
        &self,
        configuration: &Configuration,
        correction: &Correction,
        now: Timestamp,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let debit = Debit {
            period: correction.month,
            path: &correction.path(),
            user_id: None,
            amounts: correction.amounts,
            offset: None,
            expires_at: expires_at(correction.created_at),
        };
        let Some(mut parts) = self.debit_items(configuration, &debit, now).await? else {
            return Ok(None);
        };
        parts.extend(self.correction_items(configuration, correction));
        Ok(Some(parts))
    }
}
