//! What a change of an administrator writes to the ledger and the counters, in its own transaction: an event that
//! was held back is counted or discarded, or usage is corrected.

use super::Store;
use super::call::StoreError;
use super::expression::{Item, number};
use super::governance::Page;
use super::keys::{self, CORRECTION};
use super::records::{UNCOUNTED, by_day};
use super::resolutions::expires_at;
use super::rows::Row;
use super::tables::TTL;
use super::totals::Sums;
use super::usage::{Debit, Entry, Mark, Offset, UsageReport, day_of, own_hold};
use super::usage_rows::{Added, RowOf};
use crate::domain::amount::Amounts;
use crate::domain::buckets::of_usage;
use crate::domain::configuration::{Configuration, Path};
use crate::domain::correction::{Correction, MODEL};
use crate::domain::flagged::FlaggedEvent;
use crate::domain::identity::EventIdentity;
use crate::domain::price::PriceBooks;
use crate::domain::usage::{Charge, Event, Usage};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::Timestamp;

/// What a change writes beside its rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum LedgerWrite<'a> {
    /// An event that was held back is counted.
    Count(&'a FlaggedEvent),
    /// An event that was held back is discarded.
    Discard(&'a FlaggedEvent),
    /// Usage is corrected.
    Correct(&'a Correction),
}

impl Row {
    /// A correction, as it is listed.
    pub fn correction(organisation_id: &str, correction: &Correction) -> Result<Self, StoreError> {
        let sk = format!("{CORRECTION}{}", correction.id);
        let mut row = Self::new(keys::governance(organisation_id, sk), correction)?;
        row.expire(expires_at(correction.created_at));
        Ok(row)
    }
}

fn usage_of(flagged: &FlaggedEvent) -> Result<&Usage, StoreError> {
    match &flagged.event {
        Event::LlmRequest(usage) => Ok(usage),
        Event::IpRisk(_) => Err(StoreError::unreadable("a risk that was held back")),
    }
}

impl Store {
    /// Corrections, the newest first, those that are `wanted` only.
    pub async fn corrections(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Correction) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Correction>, StoreError> {
        self.newest_first(organisation_id, CORRECTION, after, limit, wanted)
            .await
    }

    /// What an event that was held back is charged if it is counted.
    pub async fn charge_of_held_back(
        &self,
        organisation_id: &str,
        flagged: &FlaggedEvent,
    ) -> Result<Amounts, StoreError> {
        let usage = usage_of(flagged)?;
        let resolved = match own_hold(organisation_id, usage) {
            Some(hold_id) => self.resolution(organisation_id, &hold_id).await?,
            None => None,
        };
        let hold = resolved.as_ref().map(|resolved| &resolved.hold);
        let book = PriceBooks::built_in().at(usage.occurred_at);
        Ok(usage.charge(book, hold).amounts)
    }

    /// The parts of a change that are the ledger's. None if `configuration` is not the one in force.
    pub(super) async fn ledger_items(
        &self,
        configuration: &Configuration,
        write: &LedgerWrite<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<TransactWriteItem>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        match write {
            LedgerWrite::Discard(flagged) => {
                let part = self.record_discarded_item(organisation_id, &flagged.identity)?;
                Ok(Some(vec![part]))
            }
            LedgerWrite::Count(flagged) => self.count_items(configuration, flagged, now).await,
            LedgerWrite::Correct(correction) => {
                self.correction_items(configuration, correction, now).await
            }
        }
    }

    /// Charges an event that was held back, as late usage of the place where it was held back.
    async fn count_items(
        &self,
        configuration: &Configuration,
        flagged: &FlaggedEvent,
        now: Timestamp,
    ) -> Result<Option<Vec<TransactWriteItem>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let usage = usage_of(flagged)?;
        let hold_id = own_hold(organisation_id, usage);
        let resolved = match &hold_id {
            Some(hold_id) => self.resolution(organisation_id, hold_id).await?,
            None => None,
        };
        let offset = Offset::of(hold_id.as_ref(), resolved.as_ref());
        let book = PriceBooks::built_in().at(usage.occurred_at);
        let hold = resolved.as_ref().map(|resolved| resolved.hold.clone());
        let entry = Entry {
            report: UsageReport::new(usage, flagged.received_at),
            received_at: flagged.received_at,
            period: flagged.period,
            day: day_of(configuration, usage),
            path: Path::from_text(&flagged.path),
            charge: usage.charge(book, hold.as_ref()),
            price_version: book.version().to_owned(),
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
        Ok(Some(parts))
    }

    /// The record of an event that was held back, as it is from now on; only while it is held back.
    fn decided(&self, organisation_id: &str, identity: &EventIdentity) -> UpdateOfRecord {
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(keys::record(organisation_id, identity).attributes()))
            .condition_expression("mark = :held_back")
            .expression_attribute_values(":held_back", AttributeValue::S("held_back".to_owned()));
        UpdateOfRecord(update)
    }

    fn record_discarded_item(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
    ) -> Result<TransactWriteItem, StoreError> {
        let UpdateOfRecord(update) = self.decided(organisation_id, identity);
        let update = update
            .update_expression("SET mark = :mark")
            .expression_attribute_values(
                ":mark",
                serde_dynamo::to_attribute_value(Mark::Discarded)?,
            );
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    fn record_counted_item(
        &self,
        organisation_id: &str,
        entry: &Entry<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let Charge {
            amounts,
            is_unpriced,
            is_estimated,
        } = entry.charge;
        let UpdateOfRecord(update) = self.decided(organisation_id, &entry.report.identity);
        let version = AttributeValue::S(entry.price_version.clone());
        let update = update
            .update_expression(format!(
                "SET mark = :mark, tokens = :t, micro_usd = :m, offset_tokens = :ot, offset_micro_usd = :om, \
                 price_version = :v, unpriced = :u, estimated = :e REMOVE {UNCOUNTED}"
            ))
            .expression_attribute_values(":mark", serde_dynamo::to_attribute_value(entry.mark)?)
            .expression_attribute_values(":t", number(amounts.tokens))
            .expression_attribute_values(":m", number(amounts.micro_usd))
            .expression_attribute_values(":ot", number(entry.offset.tokens))
            .expression_attribute_values(":om", number(entry.offset.micro_usd))
            .expression_attribute_values(":v", version)
            .expression_attribute_values(":u", AttributeValue::Bool(is_unpriced))
            .expression_attribute_values(":e", AttributeValue::Bool(is_estimated));
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// A correction with everything that it moves: the totals and reports of its month, and the counters of its path.
    async fn correction_items(
        &self,
        configuration: &Configuration,
        correction: &Correction,
        now: Timestamp,
    ) -> Result<Option<Vec<TransactWriteItem>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let path = correction.path();
        let expires_at = expires_at(correction.created_at);
        let debit = Debit {
            period: correction.month,
            path: &path,
            amounts: correction.amounts,
            offset: None,
            expires_at,
        };
        let Some(mut parts) = self.debit_items(configuration, &debit, now).await? else {
            return Ok(None);
        };
        parts.push(self.correction_item(organisation_id, correction)?);
        let sums = Sums {
            requests: 0,
            ..Sums::one(correction.amounts)
        };
        let month = correction.month;
        let department = keys::department_total(organisation_id, month, &correction.path);
        parts.push(self.add_to_total(&department, Some(sums), None, expires_at)?);
        if let Some(user_id) = &correction.user_id {
            let of_user = keys::user_month(organisation_id, user_id, month);
            parts.push(self.add_to_total(&of_user, Some(sums), None, expires_at)?);
        }
        let row = RowOf {
            user_id: correction.user_id.as_deref().unwrap_or_default(),
            path: &correction.path,
            provider: MODEL,
            model: MODEL,
            expires_at,
        };
        let zone = configuration.organisation.zone();
        for bucket in of_usage(correction.counts_at, month, &zone) {
            let added = Added::correction(correction.amounts);
            parts.push(self.usage_item(organisation_id, &bucket, added, &row)?);
        }
        Ok(Some(parts))
    }

    /// The record of a correction, which the index lists with those of usage.
    fn correction_item(
        &self,
        organisation_id: &str,
        correction: &Correction,
    ) -> Result<TransactWriteItem, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let created_at = correction.created_at;
        let mut item: Item = keys::correction(organisation_id, &correction.id).attributes();
        item.extend(by_day(organisation_id, created_at, &correction.id));
        item.insert("type".to_owned(), text("correction"));
        item.insert("path".to_owned(), text(&correction.path));
        let user_id = correction.user_id.as_deref();
        item.extend(user_id.map(|user_id| ("user_id".to_owned(), text(user_id))));
        item.insert("period".to_owned(), text(&correction.month.to_string()));
        item.insert("tokens".to_owned(), number(correction.amounts.tokens));
        item.insert("micro_usd".to_owned(), number(correction.amounts.micro_usd));
        item.insert("received_at".to_owned(), text(&created_at.to_string()));
        item.insert(TTL.to_owned(), number(expires_at(created_at)));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// An update of a record that is not complete yet.
struct UpdateOfRecord(aws_sdk_dynamodb::types::builders::UpdateBuilder);
