//! The records of events, and the totals they add to.

use super::Store;
use super::entry::{Entry, Mark};
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::keys;
use super::keys::by_day;
use super::tables::{TTL, Table};
use super::totals::Sums;
use super::write::{If, Write};
use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::{BodyDigest, EventIdentity};
use crate::domain::ledger::usage::Risk;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

impl Store {
    /// Writes the record of a risk under `identity` as a part of a transaction, on condition that
    /// it has none. `mark` is set if no policy may see it.
    pub(crate) fn risk_item(
        &self,
        organisation_id: &str,
        risk: &Risk,
        path: &Path,
        (identity, mark): (&EventIdentity, Option<Mark>),
        received_at: Timestamp,
    ) -> Result<Write, StoreError> {
        let mut item: Item = serde_dynamo::to_item(risk)?;
        item.insert("path".to_owned(), text(path.to_text()));
        item.insert("type".to_owned(), text("ip_risk"));
        if let Some(mark) = mark {
            let mark = serde_dynamo::to_attribute_value(mark)?;
            item.insert("mark".to_owned(), mark);
            item.insert(UNCOUNTED.to_owned(), AttributeValue::Bool(true));
        }
        let record = (identity, &BodyDigest::of_risk(risk));
        let times = (received_at, received_at);
        Ok(self.new_record(organisation_id, record, item, times))
    }

    /// Writes a record as a part of a transaction, on condition that its identity has no record and
    /// no claim of another body. The record replaces the claim of the same body.
    fn new_record(
        &self,
        organisation_id: &str,
        (identity, digest): (&EventIdentity, &BodyDigest),
        mut item: Item,
        (received_at, filed_at): (Timestamp, Timestamp),
    ) -> Write {
        item.extend(keys::record(organisation_id, identity).attributes());
        item.extend(by_day(organisation_id, filed_at, identity.as_str()));
        item.insert(DIGEST.to_owned(), text(digest.as_str()));
        item.insert("received_at".to_owned(), text(received_at));
        item.insert(TTL.to_owned(), number(expires_at(received_at)));
        let same_body = If::Is(DIGEST, text(digest.as_str()));
        let condition = If::All(vec![
            If::Lacks("type"),
            If::Any(vec![If::Lacks(DIGEST), same_body]),
        ]);
        Write::put(Table::Ledger, item).only(condition)
    }

    /// Writes the record of a usage as a part of a transaction, on condition that its identity has
    /// none. One that settles its hold is [`Store::settled_item`].
    pub(crate) fn record_item(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
    ) -> Result<Write, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let record = (&entry.report.identity, &entry.report.digest);
        let times = (entry.received_at, entry.report.filed_at);
        Ok(self.new_record(organisation_id, record, attributes(entry)?, times))
    }

    /// Adds the sums of entries to the total of a department's month, as a part of their
    /// transaction.
    pub(crate) fn total_item(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        of_department: Sums,
    ) -> Write {
        let organisation_id = &configuration.organisation.id;
        let path = entry.path.to_text();
        let department = keys::department_total(organisation_id, entry.period, &path);
        self.add_to_total(&department, of_department, expires_at(entry.received_at))
    }
}

/// Returns what the record of a usage says, without its key, its time and its digest.
pub(super) fn attributes(entry: &Entry<'_>) -> Result<Item, StoreError> {
    let usage = entry.report.usage;
    let mut item: Item = serde_dynamo::to_item(usage)?;
    item.insert("type".to_owned(), text("llm_request"));
    item.insert("path".to_owned(), text(entry.path.to_text()));
    item.insert("period".to_owned(), text(entry.period));
    item.insert("tokens".to_owned(), number(entry.charge.amounts.tokens));
    item.insert("pico_usd".to_owned(), number(entry.charge.amounts.pico_usd));
    if entry.offset != Amounts::ZERO {
        item.insert("offset_tokens".to_owned(), number(entry.offset.tokens));
        item.insert("offset_pico_usd".to_owned(), number(entry.offset.pico_usd));
    }
    let price = serde_dynamo::to_attribute_value(&entry.charge.matched)?;
    item.insert(PRICE.to_owned(), price);
    item.insert(
        "estimated".to_owned(),
        AttributeValue::Bool(entry.charge.is_estimated),
    );
    item.insert(
        "mark".to_owned(),
        serde_dynamo::to_attribute_value(entry.mark)?,
    );
    if !entry.is_model_allowed {
        item.insert(MODEL_NOT_ALLOWED.to_owned(), AttributeValue::Bool(true));
    }
    if !entry.is_counted {
        item.insert(UNCOUNTED.to_owned(), AttributeValue::Bool(true));
    }
    if entry.exceeded_hold {
        item.insert(EXCEEDED.to_owned(), AttributeValue::Bool(true));
    }
    Ok(item)
}

/// The attribute of a record or claim with the digest of the event's body.
pub(crate) const DIGEST: &str = "digest";
/// The attribute of a record that is in no total, because nothing is charged for it.
pub(crate) const UNCOUNTED: &str = "uncounted";
/// The attribute of a record that says how its price was found.
pub(crate) const PRICE: &str = "price";
/// The attribute of a record whose model was forbidden when it was recorded.
pub(crate) const MODEL_NOT_ALLOWED: &str = "model_not_allowed";
/// The attribute of a record that used more than its hold, in an organisation that reserves
/// strictly.
pub(crate) const EXCEEDED: &str = "exceeded_hold";
