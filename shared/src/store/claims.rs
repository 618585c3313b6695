//! Claims: which body an event's identity belongs to, known before the event is queued.
//!
//! A claim is a small row under the key of the record, with the digest of the body. The record
//! overwrites it, on condition that no record exists and that the claim, if any, is for the same
//! body. So of two bodies the first to be claimed counts, and without claims the first to be
//! recorded. The record of a settlement is under the id of its hold, and its claim stays.

use super::call::{ATTEMPTS, is_transaction_conflict};
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::records::{DIGEST, EXCEEDED};
use super::settled::identity_at;
use super::tables::{TTL, Table};
use super::{Store, keys};
use crate::backoff::back_off;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::{BodyDigest, EventIdentity};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

/// The parts of a reported event that a claim needs.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    pub identity: &'a EventIdentity,
    /// The digest of the event's body.
    pub digest: &'a BodyDigest,
    /// The hold that the event names.
    pub hold_id: Option<&'a str>,
    /// The report that claims. It recognises its own claim if an answer was lost.
    pub report: &'a str,
}

/// Who holds the claim of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This report claimed the identity.
    New,
    /// An earlier report claimed the identity.
    Known {
        /// The digest of its body.
        digest: BodyDigest,
        /// Whether its event has a record.
        is_recorded: bool,
    },
}

/// How the body that arrived under an identity relates to the one that is stored there.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// No record, and no claim of another body.
    Nothing,
    /// The record of the same body.
    Same(OwnRecord),
    /// A record or claim of another body.
    Another(AnotherBody),
}

/// The stored record of the same body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRecord {
    /// Whether it waits for an administrator's decision.
    pub(crate) is_held_back: bool,
    /// When it was received, if it used more than its hold.
    pub(crate) exceeded_at: Option<Timestamp>,
}

/// The other body that has the identity.
#[derive(Clone, Debug)]
pub(crate) struct AnotherBody {
    /// The hold that it names.
    pub(crate) hold_id: Option<String>,
}

impl Store {
    /// Claims an identity for a body, if it is unclaimed. Makes one conditional write. A repeated
    /// call returns the same.
    pub async fn claim(
        &self,
        organisation_id: &str,
        claimant: Claimant<'_>,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let mut item = keys::record(organisation_id, claimant.identity).attributes();
        item.insert(DIGEST.to_owned(), text(claimant.digest.as_str()));
        item.insert("received_at".to_owned(), text(now));
        item.insert("report".to_owned(), text(claimant.report));
        item.extend(claimant.hold_id.map(|id| ("hold_id".to_owned(), text(id))));
        item.insert(TTL.to_owned(), number(expires_at(now)));
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .put_item()
                .table_name(&self.tables.ledger)
                .set_item(Some(item.clone()))
                .condition_expression("attribute_not_exists(pk)")
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let error = match call.send().await {
                Ok(_) => return Ok(Claim::New),
                Err(error) => error,
            };
            if let Some(PutItemError::ConditionalCheckFailedException(failed)) =
                error.as_service_error()
            {
                let known = failed.item.clone().unwrap_or_default();
                return claim_of(&known, claimant.report);
            }
            if !is_transaction_conflict(&error) {
                return Err(error.into());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Reads what is stored under an identity, and under the hold that the event names, to tell a
    /// duplicate of `digest` from a conflict with it.
    pub(crate) async fn known_record(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
        digest: &BodyDigest,
        hold_id: Option<&HoldId>,
    ) -> Result<Known, StoreError> {
        let key = keys::record(organisation_id, identity).attributes();
        let item = self.item(Table::Ledger, key).await?.unwrap_or_default();
        let known = text_of(&item, DIGEST);
        if known.is_some_and(|known| known != digest.as_str()) {
            let hold_id = text_of(&item, "hold_id").map(str::to_owned);
            return Ok(Known::Another(AnotherBody { hold_id }));
        }
        if is_record(&item) {
            return Ok(Known::Same(own_record(&item)));
        }
        let Some(hold_id) = hold_id else {
            return Ok(Known::Nothing);
        };
        let key = keys::resolution(organisation_id, hold_id).attributes();
        let item = self.item(Table::Ledger, key).await?.unwrap_or_default();
        let is_own = is_record(&item) && identity_at(&item).as_ref() == Some(identity);
        Ok(match is_own {
            true => Known::Same(own_record(&item)),
            false => Known::Nothing,
        })
    }
}

fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    let value = item.get(name)?.as_s().ok()?;
    Some(value)
}

/// Whether an item is a record. A claim has no type.
fn is_record(item: &Item) -> bool {
    item.contains_key("type")
}

fn own_record(item: &Item) -> OwnRecord {
    let received_at = text_of(item, "received_at").and_then(|at| at.parse().ok());
    OwnRecord {
        is_held_back: text_of(item, "mark") == Some("held_back"),
        exceeded_at: received_at.filter(|_| item.contains_key(EXCEEDED)),
    }
}

fn claim_of(known: &Item, report: &str) -> Result<Claim, StoreError> {
    let is_recorded = is_record(known);
    if !is_recorded && text_of(known, "report") == Some(report) {
        return Ok(Claim::New);
    }
    let digest = text_of(known, DIGEST).ok_or_else(|| StoreError::unreadable("a claim"))?;
    Ok(Claim::Known {
        digest: BodyDigest::from_hex(digest),
        is_recorded,
    })
}
