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
use crate::domain::period::Month;
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
    /// none.
    pub(crate) fn record_item(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
    ) -> Result<Write, StoreError> {
        let organisation_id = &configuration.organisation.id;
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
        let record = (&entry.report.identity, &entry.report.digest);
        let times = (entry.received_at, entry.report.filed_at);
        Ok(self.new_record(organisation_id, record, item, times))
    }

    /// Adds an entry to its totals: its department's month, its user's month, and its user's day.
    /// The user's two are in one row, unless a hold of the month before was settled.
    pub(crate) fn totals_items(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        of_department: Sums,
        of_user: Sums,
    ) -> Vec<Write> {
        let organisation_id = &configuration.organisation.id;
        let user_id = &entry.report.usage.user_id;
        let expires = expires_at(entry.received_at);
        let department =
            keys::department_total(organisation_id, entry.period, &entry.path.to_text());
        let month = keys::user_month(organisation_id, user_id, entry.period);
        let of_day = Some((entry.day, of_user.tokens));
        let mut items = vec![self.add_to_total(&department, Some(of_department), None, expires)];
        let month_of_day = Month::of_date(entry.day);
        if month_of_day == entry.period {
            items.push(self.add_to_total(&month, Some(of_user), of_day, expires));
        } else {
            let other = keys::user_month(organisation_id, user_id, month_of_day);
            items.push(self.add_to_total(&month, Some(of_user), None, expires));
            items.push(self.add_to_total(&other, None, of_day, expires));
        }
        items
    }
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
