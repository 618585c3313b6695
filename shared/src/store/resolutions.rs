//! Resolutions: how each hold ended, written once and before the cell is updated.
//!
//! A caller that finds a hold in a cell with a resolution completes it, so a crash between the two
//! steps neither loses nor doubles anything. Before the end, a row of the same key may say that the
//! hold lives longer than at first, because it was renewed or because its usage was accepted and
//! waits to be recorded.

use super::call::{StoreError, Transacted};
use super::cells::Updated;
use super::expression::{Item, number};
use super::records::by_day;
use super::renewals::RENEWED;
use super::tables::TTL;
use super::totals::Sums;
use super::usage::own_hold;
use super::usage_rows::Added;
use super::{Store, keys};
use crate::domain::amount::Amounts;
use crate::domain::buckets::of_usage;
use crate::domain::cell::{Cell, finish_as, lapsed_holds, prolong};
use crate::domain::configuration::{AbandonedHolds, Configuration, Path};
use crate::domain::hold::{Hold, HoldId, Rid};
use crate::domain::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::usage::{MAX_AGE, Resolution, Usage};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A resolution with the facts about its hold that late usage needs.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) resolution: Resolution,
    pub(super) hold: Hold,
    pub(super) path: Path,
    /// The late event that was set against the hold after it had lapsed.
    pub(super) offset_by: Option<EventIdentity>,
    /// The buckets of the reports to which the hold was added when it was charged as abandoned.
    /// They are stored, because the same moment falls into other buckets after a change of the time
    /// zone. Empty if it is in no row.
    pub(super) reported_in: Vec<String>,
}

impl Resolved {
    /// Returns the amounts that the rows of abandoned holds have of it: zero after late usage was
    /// set against it.
    pub(super) fn reported(&self) -> Amounts {
        match self.offset_by.is_none() && !self.reported_in.is_empty() {
            true => self.resolution.charged(),
            false => Amounts::ZERO,
        }
    }
}

/// What is stored under the key of a hold's resolution.
enum Ending {
    /// It lives, or it never was.
    Open {
        /// It lives at least until then, in seconds. Zero if no row says so.
        until: i64,
    },
    /// It ended.
    Ended(Box<Resolved>),
}

/// Why a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndsBy {
    /// Its time is over or its owner voids it. Neither happens while its usage waits to be
    /// recorded.
    Time,
    /// An event names it.
    Event,
}

/// The outcome for a hold that no event has settled.
enum Unsettled {
    /// It ended, now or before.
    Ended(Box<Finished>),
    /// It lives at least until then, in seconds.
    Lives { rid: Rid, hold: Hold, until: i64 },
    /// The configuration is older than the hold.
    NotKnown,
}

/// A hold of a cell that has ended.
struct Finished {
    rid: Rid,
    /// The hold in its cell.
    hold: Hold,
    /// The hold in its resolution.
    ended: Hold,
    charged: Amounts,
}

/// Returns when rows of the time `at` may expire: 13 months later, and at least one day more.
pub(super) fn expires_at(at: Timestamp) -> i64 {
    at.as_second() + MAX_AGE.as_secs() + 24 * 3600
}

impl Store {
    /// Returns how a hold ended, or None if it lives or never was.
    pub(super) async fn resolution(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Option<Resolved>, StoreError> {
        Ok(match self.ending(organisation_id, hold_id).await? {
            Ending::Open { .. } => None,
            Ending::Ended(resolved) => Some(*resolved),
        })
    }

    async fn ending(&self, organisation_id: &str, hold_id: &HoldId) -> Result<Ending, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.ledger)
            .set_key(Some(
                keys::resolution(organisation_id, hold_id).attributes(),
            ))
            .consistent_read(true)
            .send()
            .await?;
        let Some(mut item) = answer.item else {
            return Ok(Ending::Open { until: 0 });
        };
        if is_alive(&item) {
            let second = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
            let until = second(LIVES_UNTIL).max(second(USAGE_UNTIL));
            return Ok(Ending::Open {
                until: until.unwrap_or(0),
            });
        }
        let unreadable = || StoreError::unreadable("a resolution");
        let Some(AttributeValue::B(hold)) = item.remove("hold") else {
            return Err(unreadable());
        };
        let Some(AttributeValue::S(path)) = item.remove("path") else {
            return Err(unreadable());
        };
        let offset_by = match item.remove("offset_by") {
            Some(AttributeValue::S(event)) => Some(EventIdentity::from_key(&event)),
            _ => None,
        };
        let reported_in = match item.remove(REPORTED_IN) {
            Some(AttributeValue::S(buckets)) => buckets.split(' ').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Ok(Ending::Ended(Box::new(Resolved {
            hold: Hold::unpack(hold.as_ref()).map_err(|_| unreadable())?,
            path: Path::from_text(&path),
            offset_by,
            reported_in,
            resolution: serde_dynamo::from_item(item)?,
        })))
    }

    /// Returns whether the hold that a usage names lapsed before it was settled.
    pub async fn lapsed_before(
        &self,
        organisation_id: &str,
        usage: &Usage,
    ) -> Result<bool, StoreError> {
        let Some(hold_id) = own_hold(organisation_id, usage) else {
            return Ok(false);
        };
        let known = self.resolution(organisation_id, &hold_id).await?;
        let resolution = known.map(|known| known.resolution);
        Ok(matches!(resolution, Some(Resolution::Expired { .. })))
    }

    /// Writes the resolution of a hold as a part of a transaction, on condition that there is none.
    /// A lapse also requires that the hold does not live longer, and a void that none of its usage
    /// waits to be recorded.
    pub(super) fn resolution_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let by = match resolved.resolution {
            Resolution::Expired { .. } | Resolution::Voided => EndsBy::Time,
            Resolution::Settled { .. } => EndsBy::Event,
        };
        self.ending_item(organisation_id, hold_id, resolved, by, now)
    }

    fn ending_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        by: EndsBy,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item: super::expression::Item = serde_dynamo::to_item(&resolved.resolution)?;
        item.extend(keys::resolution(organisation_id, hold_id).attributes());
        let hold = AttributeValue::B(Blob::new(resolved.hold.pack()));
        item.insert("hold".to_owned(), hold);
        let path = AttributeValue::S(resolved.path.to_text());
        item.insert("path".to_owned(), path);
        item.insert("resolved_at".to_owned(), AttributeValue::S(now.to_string()));
        if !resolved.reported_in.is_empty() {
            let buckets = AttributeValue::S(resolved.reported_in.join(" "));
            item.insert(REPORTED_IN.to_owned(), buckets);
        }
        item.insert(TTL.to_owned(), number(expires_at(now)));
        let over = |name: &str| format!("(attribute_not_exists({name}) OR {name} <= :now)");
        let mut may_end = vec!["outcome = :renewed".to_owned()];
        if by == EndsBy::Time {
            may_end.push(over(USAGE_UNTIL));
            if resolved.resolution != Resolution::Voided {
                may_end.push(over(LIVES_UNTIL));
            }
        }
        let condition = format!("attribute_not_exists(pk) OR ({})", may_end.join(" AND "));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .condition_expression(condition)
            .expression_attribute_values(":renewed", AttributeValue::S(RENEWED.to_owned()));
        let put = match by {
            EndsBy::Time => put.expression_attribute_values(":now", number(now.as_second())),
            EndsBy::Event => put,
        };
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    /// Resolves lapsed holds according to the organisation's setting and removes them from the
    /// cell. Completes those that others have resolved. Skips holds that changed, and those that
    /// are newer than this configuration: the next call sees them again.
    pub(super) async fn expire(
        &self,
        configuration: &Configuration,
        period: Month,
        lapsed: Vec<(Rid, Hold)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let each = lapsed.into_iter().map(|(rid, hold)| {
            let charged = match configuration.organisation.abandoned_holds {
                AbandonedHolds::Release => Amounts::ZERO,
                AbandonedHolds::Charge => hold.amounts,
            };
            let named = (rid, hold);
            self.resolve_unsettled(configuration, period, named, charged, EndsBy::Time, now)
        });
        let mut resolved = Vec::new();
        let mut living = Vec::new();
        let hold_seconds = i64::from(configuration.organisation.hold_seconds);
        let next_look = now.as_second().saturating_add(hold_seconds);
        for result in futures::future::join_all(each).await {
            match result? {
                Unsettled::Ended(finished) => resolved.push(*finished),
                // Prolong it step by step, because it may end at any moment, and then nobody should
                // wait for days.
                Unsettled::Lives { rid, hold, until } => {
                    living.push((rid, hold, until.min(next_look)));
                }
                Unsettled::NotKnown => {}
            }
        }
        let organisation_id = &configuration.organisation.id;
        if !living.is_empty() {
            // If one of them changed meanwhile, the next call tries again.
            self.update_cell(organisation_id, period, &prolong(&living))
                .await?;
        }
        if !resolved.is_empty() {
            let each = resolved.iter();
            let update = finish_as(each.map(|of| (&of.rid, &of.hold, &of.ended, of.charged)));
            let updated = self.update_cell(organisation_id, period, &update).await?;
            let Updated::Refused(Some(cell)) = updated else {
                return Ok(());
            };
            // A renewal that came a moment too late has changed one of them. It has ended
            // nevertheless, and would not be seen again before its new time is over.
            for Finished {
                rid,
                hold,
                ended,
                charged,
            } in &resolved
            {
                let id = HoldId::new(period, rid.clone(), hold);
                let known = cell.holds.get(rid).filter(|known| id.names(known));
                if known.is_some_and(|known| known.expires_at > hold.expires_at) {
                    self.finish_hold(organisation_id, &id, ended, *charged)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Charges a living hold in full, because its usage cannot be counted yet. Late usage is
    /// charged the difference. Returns false if `configuration` is older than the hold.
    pub(super) async fn charge_hold(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        hold: &Hold,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let named = (hold_id.rid.clone(), hold.clone());
        let charged = hold.amounts;
        let period = hold_id.period;
        let resolving =
            self.resolve_unsettled(configuration, period, named, charged, EndsBy::Event, now);
        let Unsettled::Ended(finished) = resolving.await? else {
            return Ok(false);
        };
        let Finished { ended, charged, .. } = *finished;
        self.finish_hold(&configuration.organisation.id, hold_id, &ended, charged)
            .await?;
        Ok(true)
    }

    /// Resolves a hold that no event has settled, and releases it except for the amount that stays
    /// spent. The charge goes into a record, the total of its department and the reports.
    async fn resolve_unsettled(
        &self,
        configuration: &Configuration,
        period: Month,
        (rid, hold): (Rid, Hold),
        charged: Amounts,
        by: EndsBy,
        now: Timestamp,
    ) -> Result<Unsettled, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let Some(path) = configuration.path_at(hold.department, hold.tree) else {
            return Ok(Unsettled::NotKnown);
        };
        let hold_id = HoldId::new(period, rid.clone(), &hold);
        let zone = configuration.organisation.zone();
        let reported_in = match charged == Amounts::ZERO {
            true => Vec::new(),
            false => Vec::from(of_usage(now, period, &zone)),
        };
        let resolved = Resolved {
            resolution: Resolution::Expired { charged },
            path,
            hold: hold.clone(),
            offset_by: None,
            reported_in,
        };
        let mut parts = vec![self.ending_item(organisation_id, &hold_id, &resolved, by, now)?];
        if charged != Amounts::ZERO {
            let total = keys::department_total(organisation_id, period, &resolved.path.to_text());
            parts.push(self.add_to_total(
                &total,
                Some(Sums::one(charged)),
                None,
                expires_at(now),
            )?);
            parts.push(self.abandoned_item(organisation_id, &hold_id, &resolved, now)?);
            let of = (resolved.reported_in.as_slice(), &resolved.path);
            let added = Added::abandoned(charged);
            parts.extend(self.abandoned_rows(organisation_id, of, added, expires_at(now))?);
        }
        let resolved = match self.transact(parts).await? {
            Transacted::Applied => resolved,
            Transacted::Refused(_) => match self.ending(organisation_id, &hold_id).await? {
                Ending::Ended(known) => *known,
                Ending::Open { until } => return Ok(Unsettled::Lives { rid, hold, until }),
            },
        };
        Ok(Unsettled::Ended(Box::new(Finished {
            rid,
            hold,
            charged: resolved.resolution.charged(),
            ended: resolved.hold,
        })))
    }

    /// Releases some of the lapsed holds that a caller sees in passing. It may fail: the next
    /// caller sees them again.
    pub(super) async fn release_seen(
        &self,
        configuration: &Configuration,
        period: Month,
        cell: &Cell,
        now: Timestamp,
    ) {
        let lapsed = lapsed_holds(cell, now, |_| true);
        if lapsed.is_empty() {
            return;
        }
        if let Err(error) = self.expire(configuration, period, lapsed, now).await {
            tracing::warn!(%error, "lapsed holds are left to the next look");
        }
    }

    /// Builds the record of an abandoned hold that was charged.
    fn abandoned_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let charged = resolved.resolution.charged();
        let mut item = keys::abandoned(organisation_id, hold_id).attributes();
        item.insert(
            "path".to_owned(),
            AttributeValue::S(resolved.path.to_text()),
        );
        item.insert(
            "type".to_owned(),
            AttributeValue::S("abandoned_hold".to_owned()),
        );
        item.extend(by_day(organisation_id, now, &hold_id.to_string()));
        item.insert(
            "period".to_owned(),
            AttributeValue::S(hold_id.period.to_string()),
        );
        item.insert("tokens".to_owned(), number(charged.tokens));
        item.insert("micro_usd".to_owned(), number(charged.micro_usd));
        item.insert("recorded_at".to_owned(), AttributeValue::S(now.to_string()));
        item.insert(TTL.to_owned(), number(expires_at(now)));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Removes a hold that was resolved as `ended` from its cell, even if it has changed: a new
    /// budget added its counter, or a renewal came a moment too late. Returns the new cell, if it
    /// is known.
    pub(super) async fn finish_hold(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        ended: &Hold,
        charged: Amounts,
    ) -> Result<Option<Cell>, StoreError> {
        let mut hold = ended.clone();
        for _ in 0..super::call::ATTEMPTS {
            let update = finish_as([(&hold_id.rid, &hold, ended, charged)]);
            match self
                .update_cell(organisation_id, hold_id.period, &update)
                .await?
            {
                Updated::Applied(cell) => return Ok(Some(cell)),
                Updated::Refused(None) => return Ok(None),
                Updated::Refused(Some(cell)) => {
                    match cell
                        .holds
                        .get(&hold_id.rid)
                        .filter(|known| hold_id.names(known))
                    {
                        Some(known) => hold.clone_from(known),
                        None => return Ok(Some(cell)),
                    }
                }
            }
        }
        Err(StoreError::Contended)
    }

    /// Completes those of `holds` that are resolved and still in the cell. Returns whether there
    /// were any.
    pub(super) async fn finish_resolved(
        &self,
        organisation_id: &str,
        period: Month,
        holds: &BTreeMap<Rid, Hold>,
    ) -> Result<bool, StoreError> {
        let ids: Vec<HoldId> = holds
            .iter()
            .map(|(rid, hold)| HoldId::new(period, rid.clone(), hold))
            .collect();
        let resolved = self.resolved_among(organisation_id, &ids).await?;
        for hold_id in &resolved {
            if let Some(known) = self.resolution(organisation_id, hold_id).await? {
                let charged = known.resolution.charged();
                self.finish_hold(organisation_id, hold_id, &known.hold, charged)
                    .await?;
            }
        }
        Ok(!resolved.is_empty())
    }

    /// Returns, by hold id, the event that settled it and its charge. Leaves out holds that ended
    /// otherwise.
    pub(super) async fn charged_by(
        &self,
        organisation_id: &str,
        ids: &[HoldId],
    ) -> Result<BTreeMap<String, (EventIdentity, Amounts)>, StoreError> {
        let each = ids.iter().map(|id| self.resolution(organisation_id, id));
        let mut found = BTreeMap::new();
        for (id, resolved) in ids.iter().zip(futures::future::join_all(each).await) {
            if let Some(Resolution::Settled { event, charged }) =
                resolved?.map(|resolved| resolved.resolution)
            {
                found.insert(id.to_string(), (event, charged));
            }
        }
        Ok(found)
    }

    /// Returns those of `ids` that have a resolution.
    pub(super) async fn resolved_among(
        &self,
        organisation_id: &str,
        ids: &[HoldId],
    ) -> Result<Vec<HoldId>, StoreError> {
        let keys = ids
            .iter()
            .map(|id| keys::resolution(organisation_id, id).attributes());
        let items = self
            .items(&self.tables.ledger, keys.collect(), Some("pk, outcome"))
            .await?;
        let of_item = |item: &Item| match item.get("pk") {
            Some(AttributeValue::S(pk)) => pk.rsplit('#').next().and_then(HoldId::parse),
            _ => None,
        };
        let ended = items.iter().filter(|item| !is_alive(item));
        Ok(ended.filter_map(of_item).collect())
    }
}

/// Until when a renewed hold lives, in seconds.
pub(super) const LIVES_UNTIL: &str = "lives_until";
/// Until when usage of a hold may wait to be recorded, in seconds.
pub(super) const USAGE_UNTIL: &str = "usage_until";
/// The buckets of the reports to which a charged hold was added, separated by spaces.
const REPORTED_IN: &str = "reported_in";

/// Whether the row at the place of a resolution says that the hold lives.
fn is_alive(row: &Item) -> bool {
    let outcome = row.get("outcome").and_then(|outcome| outcome.as_s().ok());
    outcome.is_some_and(|outcome| outcome == RENEWED)
}
