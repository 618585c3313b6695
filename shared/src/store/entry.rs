//! The values that records of usage are written from.

use crate::domain::amount::Amounts;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::comparison::filed_at;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::{BodyDigest, EventIdentity};
use crate::domain::ledger::usage::{Charge, Usage};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// How a usage was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It settled its hold.
    Settled,
    /// Its hold was voided, or settled by another event.
    Late,
    /// Its hold lapsed before.
    Lapsed,
    /// It named no hold.
    Unreserved,
    /// It named a hold that never was, or another user's.
    UnknownHold,
    /// It arrived under the identity of another body. It is charged only if it names a hold that
    /// the other does not name and that no event has settled.
    Conflict,
    /// It is implausibly large and waits for an administrator.
    HeldBack,
    /// It was held back, and an administrator counted it.
    Counted,
    /// It was held back, and an administrator discarded it.
    Discarded,
}

/// A usage event with its identity.
#[derive(Clone, Debug)]
pub(crate) struct UsageReport<'a> {
    pub(crate) usage: &'a Usage,
    pub(crate) identity: EventIdentity,
    pub(crate) digest: BodyDigest,
    pub(crate) received_at: Timestamp,
    /// The time under which its record is in the index by day.
    pub(crate) filed_at: Timestamp,
    /// Whether another body has its identity, so that it is recorded under one of its own.
    pub(crate) is_conflict: bool,
}

impl<'a> UsageReport<'a> {
    /// Creates the report of a usage that is recorded at `now`.
    pub(crate) fn new(usage: &'a Usage, received_at: Timestamp, now: Timestamp) -> Self {
        Self {
            usage,
            identity: EventIdentity::of_usage(usage),
            digest: BodyDigest::of_usage(usage),
            received_at,
            filed_at: filed_at(received_at, now),
            is_conflict: false,
        }
    }

    /// Returns the same report under an identity that no other body has.
    pub(crate) fn in_conflict(&self) -> Self {
        Self {
            identity: self.identity.in_conflict(&self.digest),
            is_conflict: true,
            ..self.clone()
        }
    }

    /// Returns the mark of its record: a conflict stays one however it is charged.
    pub(crate) fn mark(&self, usual: Mark) -> Mark {
        match self.is_conflict {
            true => Mark::Conflict,
            false => usual,
        }
    }
}

/// One usage with all fields of its record.
pub(crate) struct Entry<'a> {
    pub(crate) report: UsageReport<'a>,
    pub(crate) received_at: Timestamp,
    pub(crate) period: Month,
    /// The day of the user's total, in the organisation's time zone.
    pub(crate) day: Date,
    pub(crate) path: Path,
    pub(crate) charge: Charge,
    /// Whether the rule in force on its path permits its model.
    pub(crate) is_model_allowed: bool,
    pub(crate) mark: Mark,
    /// The part of it that an abandoned hold has paid already.
    pub(crate) offset: Amounts,
    /// The hold that it names, if that ended before.
    pub(crate) ended: Option<Hold>,
    /// Whether it is in the totals.
    pub(crate) is_counted: bool,
    /// Whether it used more than its hold, in an organisation that reserves strictly.
    pub(crate) exceeded_hold: bool,
}

/// A usage whose hold is in the cell.
pub(crate) struct Settlement<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) hold_id: HoldId,
    pub(crate) hold: Hold,
}

pub(crate) fn day_of(configuration: &Configuration, usage: &Usage) -> Date {
    let zone = configuration.organisation.zone();
    zone.to_datetime(usage.occurred_at).date()
}

/// Returns the hold that a usage names, if it belongs to the usage's user.
pub fn own_hold(organisation_id: &str, usage: &Usage) -> Option<HoldId> {
    usage
        .hold()
        .filter(|id| id.rid.belongs_to(organisation_id, &usage.user_id))
}

pub(crate) fn living<'a>(cell: &'a Cell, hold_id: &HoldId) -> Option<&'a Hold> {
    cell.holds
        .get(&hold_id.rid)
        .filter(|hold| hold_id.names(hold))
}
