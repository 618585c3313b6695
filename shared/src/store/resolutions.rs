//! Resolutions: how each hold ended, written once and before the cell is updated.
//!
//! The resolution of a hold that an event settled is the record of the event.
//!
//! A caller that finds a hold in a cell with a resolution completes it, so a crash between the two
//! steps neither loses nor doubles anything. Before the end, a row of the same key may say that the
//! hold lives longer than at first, because it was renewed or because its usage was accepted and
//! waits to be recorded.

use super::call::KEYS_A_READ;
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::settled::resolution_of;
use super::tables::{TTL, Table};
use super::write::{Changes, If, Write};
use super::{Store, keys};
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::org::department::Path;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A resolution with the facts about its hold that late usage needs.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) resolution: Resolution,
    pub(crate) hold: Hold,
    pub(crate) path: Path,
    /// The late event that was set against the hold after it had lapsed.
    pub(crate) offset_by: Option<EventIdentity>,
    /// The buckets of the reports to which the hold was added when it was charged as abandoned.
    /// They are stored, because the same moment falls into other buckets after a change of the time
    /// zone. Empty if it is in no row.
    pub(crate) reported_in: Vec<String>,
}

impl Resolved {
    /// Returns the amounts that the rows of abandoned holds have of it: zero after late usage was
    /// set against it.
    pub(crate) fn reported(&self) -> Amounts {
        match self.offset_by.is_none() && !self.reported_in.is_empty() {
            true => self.resolution.charged(),
            false => Amounts::ZERO,
        }
    }
}

/// What is stored under the key of a hold's resolution.
pub(crate) enum Ending {
    /// It lives, or it never was.
    Open {
        /// It lives at least until then, in seconds. Zero if no row says so.
        until: i64,
    },
    Ended(Box<Resolved>),
}

/// Why a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndsBy {
    /// Its time is over or its owner voids it. Neither happens while its usage waits to be
    /// recorded.
    Time,
    /// An event names it.
    Event,
}

impl Store {
    /// Returns how a hold ended, or None if it lives or never was.
    pub(crate) async fn resolution(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Option<Resolved>, StoreError> {
        Ok(match self.ending(organisation_id, hold_id).await? {
            Ending::Open { .. } => None,
            Ending::Ended(resolved) => Some(*resolved),
        })
    }

    pub(crate) async fn ending(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Ending, StoreError> {
        let key = keys::resolution(organisation_id, hold_id).attributes();
        match self.item(Table::Ledger, key).await? {
            Some(item) => ending_of(item),
            None => Ok(Ending::Open { until: 0 }),
        }
    }

    /// Writes the resolution of a hold as a part of a transaction, on condition that there is none.
    /// A lapse also requires that the hold does not live longer, and a void that none of its usage
    /// waits to be recorded.
    pub(crate) fn resolution_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Result<Write, StoreError> {
        let by = match resolved.resolution {
            Resolution::Expired { .. } | Resolution::Voided => EndsBy::Time,
            Resolution::Settled { .. } => EndsBy::Event,
        };
        self.ending_item(organisation_id, hold_id, resolved, by, now)
    }

    pub(crate) fn ending_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        by: EndsBy,
        now: Timestamp,
    ) -> Result<Write, StoreError> {
        let mut item: Item = serde_dynamo::to_item(&resolved.resolution)?;
        item.extend(keys::resolution(organisation_id, hold_id).attributes());
        let hold = AttributeValue::B(Blob::new(resolved.hold.pack()));
        item.insert("hold".to_owned(), hold);
        item.insert("path".to_owned(), text(resolved.path.to_text()));
        item.insert("resolved_at".to_owned(), text(now));
        if !resolved.reported_in.is_empty() {
            let buckets = resolved.reported_in.join(" ");
            item.insert(REPORTED_IN.to_owned(), text(buckets));
        }
        item.insert(TTL.to_owned(), number(expires_at(now)));
        let is_voided = resolved.resolution == Resolution::Voided;
        Ok(Write::put(Table::Ledger, item).only(may_end(by, is_voided, now)))
    }

    /// Marks that an event was set against a lapsed hold, once.
    pub(crate) fn offset_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        event: &EventIdentity,
    ) -> Write {
        let key = keys::resolution(organisation_id, hold_id).attributes();
        let changes = Changes::default().set("offset_by", text(event));
        let condition = If::All(vec![If::Present, If::Lacks("offset_by")]);
        Write::update(Table::Ledger, key, changes).only(condition)
    }

    /// Returns the resolutions of those of `ids` that have ended, by hold id.
    pub(crate) async fn resolutions(
        &self,
        organisation_id: &str,
        ids: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Resolved>, StoreError> {
        let ids = ids.iter().filter_map(|id| HoldId::parse(id));
        let keys: Vec<Item> = ids
            .map(|id| keys::resolution(organisation_id, &id).attributes())
            .collect();
        let each = keys
            .chunks(KEYS_A_READ)
            .map(|keys| self.items(&self.tables.ledger, keys.to_vec(), None));
        let mut found = BTreeMap::new();
        for items in join_all(each).await {
            for item in items? {
                let id = hold_of(&item).map(|id| id.to_string());
                if let (Some(id), Ending::Ended(resolved)) = (id, ending_of(item)?) {
                    found.insert(id, *resolved);
                }
            }
        }
        Ok(found)
    }

    /// Returns those of `ids` that have a resolution.
    pub(crate) async fn resolved_among(
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
        let ended = items.iter().filter(|item| !is_alive(item));
        Ok(ended.filter_map(hold_of).collect())
    }
}

/// Returns the condition on which a hold may end: it has not, and lives no longer.
pub(super) fn may_end(by: EndsBy, is_voided: bool, now: Timestamp) -> If {
    let over = |name| {
        If::Any(vec![
            If::Lacks(name),
            If::AtMost(name, number(now.as_second())),
        ])
    };
    let mut may_end = vec![If::Is("outcome", text(RENEWED))];
    if by == EndsBy::Time {
        may_end.push(over(USAGE_UNTIL));
        if !is_voided {
            may_end.push(over(LIVES_UNTIL));
        }
    }
    If::Any(vec![If::Absent, If::All(may_end)])
}

/// Returns the hold in the key of a resolution.
fn hold_of(item: &Item) -> Option<HoldId> {
    let pk = item.get("pk")?.as_s().ok()?;
    pk.rsplit('#').next().and_then(HoldId::parse)
}

fn ending_of(mut item: Item) -> Result<Ending, StoreError> {
    if is_alive(&item) {
        let second = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
        let until = second(LIVES_UNTIL).max(second(USAGE_UNTIL));
        let until = until.unwrap_or(0);
        return Ok(Ending::Open { until });
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
    let resolution = match resolution_of(&item) {
        Some(resolution) => resolution,
        None => serde_dynamo::from_item(item)?,
    };
    Ok(Ending::Ended(Box::new(Resolved {
        hold: Hold::unpack(hold.as_ref()).map_err(|_| unreadable())?,
        path: Path::from_text(&path),
        offset_by,
        reported_in,
        resolution,
    })))
}

/// Returns the event that settled a hold, as the item at the place of its resolution says.
pub(super) fn settled_by(item: Item) -> Option<EventIdentity> {
    match ending_of(item) {
        Ok(Ending::Ended(resolved)) => match resolved.resolution {
            Resolution::Settled { event, .. } => Some(event),
            Resolution::Voided | Resolution::Expired { .. } => None,
        },
        _ => None,
    }
}

/// The outcome in a row that says how long a hold lives. The hold has not ended.
pub(crate) const RENEWED: &str = "renewed";
/// Until when a renewed hold lives, in seconds.
pub(crate) const LIVES_UNTIL: &str = "lives_until";
/// Until when usage of a hold may wait to be recorded, in seconds.
pub(crate) const USAGE_UNTIL: &str = "usage_until";
/// The buckets of the reports to which a charged hold was added, separated by spaces.
const REPORTED_IN: &str = "reported_in";

/// Whether the row at the place of a resolution says that the hold lives.
fn is_alive(row: &Item) -> bool {
    let outcome = row.get("outcome").and_then(|outcome| outcome.as_s().ok());
    outcome.is_some_and(|outcome| outcome == RENEWED)
}
