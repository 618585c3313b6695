//! The rows that a usage writes: its record, its resolution, its totals.

use super::Store;
use super::call::{ATTEMPTS, StoreError, Transacted};
use super::claims::Known;
use super::expression::{Item, number};
use super::keys;
use super::resolutions::{Resolved, expires_at};
use super::rows::Row;
use super::tables::TTL;
use super::totals::Sums;
use super::usage::{Entry, Mark, Recorded, Settlement};
use crate::domain::amount::Amounts;
use crate::domain::configuration::{Configuration, Path};
use crate::domain::flagged::{Flag, FlaggedEvent};
use crate::domain::hold::HoldId;
use crate::domain::identity::{BodyDigest, EventIdentity};
use crate::domain::period::Month;
use crate::domain::usage::{Event, Resolution, Risk};
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::Timestamp;

impl Store {
    /// Keeps a risk event with the path of the department that its user was in when it happened. It counts once, by its
    /// identity; one that comes under the identity of another is kept beside it, and no policy sees it. One of GitHub
    /// that comes again is completed if its user was not known before.
    pub async fn record_risk(
        &self,
        configuration: &Configuration,
        risk: &Risk,
        received_at: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let path = match &risk.user_id {
            Some(user_id) => {
                self.path_of_user_in_force(configuration, user_id, risk.occurred_at)
                    .await?
            }
            None => Path::default(),
        };
        let mut item: Item = serde_dynamo::to_item(risk)?;
        item.insert("path".to_owned(), AttributeValue::S(path.to_text()));
        item.insert("type".to_owned(), AttributeValue::S("ip_risk".to_owned()));
        let (identity, digest) = (EventIdentity::of_risk(risk), BodyDigest::of_risk(risk));
        for attempt in 0..ATTEMPTS {
            let record = (&identity, &digest);
            let part = self.new_record(organisation_id, record, item.clone(), received_at)?;
            if self.transact(vec![part]).await? == Transacted::Applied {
                return Ok(Recorded::counted(Mark::Unreserved));
            }
            match self
                .known_record(organisation_id, &identity, &digest)
                .await?
            {
                Known::Nothing => back_off(attempt).await,
                Known::Same(_) => {
                    self.complete_risk(organisation_id, risk, &path, received_at)
                        .await?;
                    return Ok(Recorded::Duplicate { exceeded_at: None });
                }
                Known::Another(_) => {
                    let mark = serde_dynamo::to_attribute_value(Mark::Conflict)?;
                    item.insert("mark".to_owned(), mark);
                    item.insert(UNCOUNTED.to_owned(), AttributeValue::Bool(true));
                    let beside = identity.in_conflict(&digest);
                    let record = (&beside, &digest);
                    let part = self.new_record(organisation_id, record, item, received_at)?;
                    let flagged = FlaggedEvent {
                        flag: Flag::Conflict,
                        identity: beside.clone(),
                        event: Event::IpRisk(risk.clone()),
                        received_at,
                        path: path.to_text(),
                        period: configuration.period_of(risk.occurred_at),
                        charged: Amounts::ZERO,
                        held: None,
                        excess: None,
                        decision: None,
                    };
                    let flag = self.row_item(Row::flagged(organisation_id, &flagged)?)?;
                    self.transact(vec![part, flag]).await?;
                    return Ok(Recorded::Conflict { is_charged: false });
                }
            }
        }
        Err(StoreError::Contended)
    }

    /// A record, as a part of a transaction: it is written if there is none of its identity, and no
    /// claim of it for another body. The claim of this body becomes the record.
    fn new_record(
        &self,
        organisation_id: &str,
        (identity, digest): (&EventIdentity, &BodyDigest),
        mut item: Item,
        received_at: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        item.extend(keys::record(organisation_id, identity).attributes());
        item.extend(by_day(organisation_id, received_at, identity.as_str()));
        item.insert(DIGEST.to_owned(), text(digest.as_str()));
        item.insert("received_at".to_owned(), text(&received_at.to_string()));
        item.insert(TTL.to_owned(), number(expires_at(received_at)));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .condition_expression(format!(
                "attribute_not_exists(#type) AND (attribute_not_exists({DIGEST}) OR {DIGEST} = :digest)"
            ))
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":digest", text(digest.as_str()))
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The record of a usage, as a part of a transaction: it is written if there is none of its identity.
    pub(super) fn record_item(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let usage = entry.report.usage;
        let mut item: Item = serde_dynamo::to_item(usage)?;
        item.insert(
            "type".to_owned(),
            AttributeValue::S("llm_request".to_owned()),
        );
        item.insert("path".to_owned(), AttributeValue::S(entry.path.to_text()));
        item.insert(
            "period".to_owned(),
            AttributeValue::S(entry.period.to_string()),
        );
        item.insert("tokens".to_owned(), number(entry.charge.amounts.tokens));
        item.insert(
            "micro_usd".to_owned(),
            number(entry.charge.amounts.micro_usd),
        );
        if entry.offset != Amounts::ZERO {
            item.insert("offset_tokens".to_owned(), number(entry.offset.tokens));
            item.insert(
                "offset_micro_usd".to_owned(),
                number(entry.offset.micro_usd),
            );
        }
        let version = AttributeValue::S(entry.price_version.clone());
        item.insert("price_version".to_owned(), version);
        item.insert(
            "unpriced".to_owned(),
            AttributeValue::Bool(entry.charge.is_unpriced),
        );
        item.insert(
            "estimated".to_owned(),
            AttributeValue::Bool(entry.charge.is_estimated),
        );
        item.insert(
            "mark".to_owned(),
            serde_dynamo::to_attribute_value(entry.mark)?,
        );
        if !entry.is_counted {
            item.insert(UNCOUNTED.to_owned(), AttributeValue::Bool(true));
        }
        if entry.exceeded_hold {
            item.insert(EXCEEDED.to_owned(), AttributeValue::Bool(true));
        }
        let record = (&entry.report.identity, &entry.report.digest);
        self.new_record(organisation_id, record, item, entry.received_at)
    }

    pub(super) fn settled_item(
        &self,
        organisation_id: &str,
        settlement: &Settlement<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let entry = &settlement.entry;
        let resolved = Resolved {
            resolution: Resolution::Settled {
                event: entry.report.identity.clone(),
                charged: entry.charge.amounts,
            },
            hold: settlement.hold.clone(),
            path: entry.path.clone(),
            offset_by: None,
            reported_in: Vec::new(),
        };
        self.resolution_item(
            organisation_id,
            &settlement.hold_id,
            &resolved,
            entry.received_at,
        )
    }

    /// Marks that an event was set against a hold that lapsed; once only.
    pub(super) fn offset_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        event: &EventIdentity,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(
                keys::resolution(organisation_id, hold_id).attributes(),
            ))
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(offset_by)")
            .update_expression("SET offset_by = :event")
            .expression_attribute_values(":event", AttributeValue::S(event.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The totals an entry adds to: its department's month, its user's month, and its user's day, which is in the same row
    /// unless a hold of the month before was settled.
    pub(super) fn totals_items(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        of_department: Sums,
        of_user: Sums,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let user_id = &entry.report.usage.user_id;
        let expires = expires_at(entry.received_at);
        let department =
            keys::department_total(organisation_id, entry.period, &entry.path.to_text());
        let month = keys::user_month(organisation_id, user_id, entry.period);
        let of_day = Some((entry.day, of_user.tokens));
        let mut items = vec![self.add_to_total(&department, Some(of_department), None, expires)?];
        let month_of_day = Month::of_date(entry.day);
        if month_of_day == entry.period {
            items.push(self.add_to_total(&month, Some(of_user), of_day, expires)?);
        } else {
            let other = keys::user_month(organisation_id, user_id, month_of_day);
            items.push(self.add_to_total(&month, Some(of_user), None, expires)?);
            items.push(self.add_to_total(&other, None, of_day, expires)?);
        }
        Ok(items)
    }
}

/// Where a record and a claim have the digest of their event's body.
pub(super) const DIGEST: &str = "digest";
/// What a record has that is in no total: nothing is charged for it.
pub(super) const UNCOUNTED: &str = "uncounted";
/// What a record has that used more than its hold, in an organisation that reserves strictly.
pub(super) const EXCEEDED: &str = "exceeded_hold";

/// The index of the records by organisation and day, in order of arrival. `name` is what no other
/// record has: a page goes on after the time and the name.
pub(super) fn by_day(
    organisation_id: &str,
    received_at: Timestamp,
    name: &str,
) -> [(String, AttributeValue); 2] {
    let received = received_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let day = format!("{organisation_id}#{}", &received[..10]);
    let at = format!("{received}#{name}");
    [
        ("day".to_owned(), AttributeValue::S(day)),
        ("at".to_owned(), AttributeValue::S(at)),
    ]
}
