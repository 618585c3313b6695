//! Settlements: the record of a usage is the resolution of the hold that it settled, in one item
//! under the hold's id. The claim under the event's identity stays beside it.
//!
//! So a settlement is one item less, and still once for both. The hold: its key has one item. The
//! identity: before a usage is settled, its identity has a claim of its body, which no other body
//! gets any more, and the body names the hold. So each delivery of the event finds the record
//! there.

use super::Store;
use super::claims::{Claim, Claimant};
use super::entry::{Settlement, UsageReport};
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::keys;
use super::keys::by_day;
use super::records::{DIGEST, attributes};
use super::resolutions::{EndsBy, may_end};
use super::settled::{REQUEST_OUTCOME, SETTLED};
use super::tables::{TTL, Table};
use super::write::Write;
use crate::domain::ledger::identity::{BodyDigest, EventIdentity};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The report of a claim that no client made.
const BY_EVALUATE: &str = "evaluate";

/// Whether a report may be recorded under the id of its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Its identity belongs to its body.
    Yes,
    /// Another body has its identity, or it has a record there.
    No,
}

/// Reports whose identity is bound to their body. Several bodies may have come under one identity.
#[derive(Debug, Default)]
pub(crate) struct BoundReports(BTreeSet<(EventIdentity, BodyDigest)>);

impl BoundReports {
    pub(crate) fn has(&self, report: &UsageReport<'_>) -> bool {
        let body = (report.identity.clone(), report.digest.clone());
        self.0.contains(&body)
    }

    fn add(&mut self, report: &UsageReport<'_>) {
        let body = (report.identity.clone(), report.digest.clone());
        self.0.insert(body);
    }
}

impl Store {
    /// Writes the record of a settlement as a part of a transaction, on condition that its hold has
    /// not ended. The identity of its event must be bound to its body.
    pub(crate) fn settled_item(
        &self,
        organisation_id: &str,
        settlement: &Settlement<'_>,
    ) -> Result<Write, StoreError> {
        let entry = &settlement.entry;
        let report = &entry.report;
        let mut item = attributes(entry)?;
        item.remove("hold_id");
        if let Some(outcome) = item.insert("outcome".to_owned(), text(SETTLED)) {
            item.insert(REQUEST_OUTCOME.to_owned(), outcome);
        }
        let hold = AttributeValue::B(Blob::new(settlement.hold.pack()));
        item.insert("hold".to_owned(), hold);
        item.extend(keys::resolution(organisation_id, &settlement.hold_id).attributes());
        let identity = report.identity.as_str();
        item.extend(by_day(organisation_id, report.filed_at, identity));
        item.insert("received_at".to_owned(), text(entry.received_at));
        item.insert(TTL.to_owned(), number(expires_at(entry.received_at)));
        let condition = may_end(EndsBy::Event, false, entry.received_at);
        Ok(Write::put(Table::Ledger, item).only(condition))
    }

    /// Binds the identity of a report to its body, if it is not bound yet.
    pub(crate) async fn bind(
        &self,
        organisation_id: &str,
        report: &UsageReport<'_>,
        now: Timestamp,
    ) -> Result<Bound, StoreError> {
        let bound = self.bound_among(organisation_id, &[report]).await?;
        if bound.has(report) {
            return Ok(Bound::Yes);
        }
        let claimant = Claimant {
            identity: &report.identity,
            digest: &report.digest,
            hold_id: report.usage.hold_id.as_deref(),
            report: BY_EVALUATE,
        };
        Ok(match self.claim(organisation_id, claimant, now).await? {
            Claim::New => Bound::Yes,
            Claim::Known {
                digest,
                is_recorded: false,
            } if digest == report.digest => Bound::Yes,
            Claim::Known { .. } => Bound::No,
        })
    }

    /// Returns those reports whose identity is bound to their body, and has no record there. The
    /// identity of a conflict has its digest in it.
    pub(crate) async fn bound_among(
        &self,
        organisation_id: &str,
        reports: &[&UsageReport<'_>],
    ) -> Result<BoundReports, StoreError> {
        let each = reports.iter().copied();
        let (conflicts, claimed): (Vec<&UsageReport<'_>>, Vec<&UsageReport<'_>>) =
            each.partition(|report| report.is_conflict);
        let mut bound = BoundReports::default();
        conflicts.iter().for_each(|report| bound.add(report));
        let asked: BTreeSet<&EventIdentity> = claimed.iter().map(|of| &of.identity).collect();
        let keys = asked
            .iter()
            .map(|identity| keys::record(organisation_id, identity).attributes());
        let claims = self
            .items(&self.tables.ledger, keys.collect(), None)
            .await?;
        for report in claimed {
            let key = keys::record(organisation_id, &report.identity);
            let is_own = |claim: &&Item| claim.get("pk") == Some(&text(&key.pk));
            let claim = claims.iter().find(is_own);
            let digest = text(report.digest.as_str());
            let is_bound = claim.is_some_and(|claim| {
                claim.get(DIGEST) == Some(&digest) && !claim.contains_key("type")
            });
            if is_bound {
                bound.add(report);
            }
        }
        Ok(bound)
    }
}
