//! Usage that is recorded and not counted: in conflict with another body, or implausibly large.

use super::record::{Recorded, Tried};
use crate::backoff::back_off;
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::models::is_allowed;
use crate::domain::ledger::plausible::{Excess, excess_of};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use crate::domain::pricing::book::PriceBooks;
use crate::store::{
    ATTEMPTS, AnotherBody, Entry, Known, Mark, Resolved, Store, StoreError, Transacted,
    UsageReport, day_of, living, own_hold,
};
use jiff::Timestamp;
use std::borrow::Cow;

/// The department and time that usage would count in.
struct Place {
    period: Month,
    path: Path,
}

/// The end of the hold that a report names.
enum Ended {
    /// The report names no hold, or one that never was.
    Nothing,
    As(Resolved),
    /// The configuration is older than the hold.
    Unknown,
}

impl Store {
    /// Returns the outcome of a report that was rejected or has a record already.
    pub(crate) async fn met(
        &self,
        organisation_id: &str,
        report: &UsageReport<'_>,
    ) -> Result<Tried, StoreError> {
        let hold_id = own_hold(organisation_id, report.usage);
        let (identity, digest) = (&report.identity, &report.digest);
        let known = self.known_record(organisation_id, identity, digest, hold_id.as_ref());
        Ok(match known.await? {
            Known::Nothing => Tried::Again,
            Known::Same(own) if own.is_held_back => Tried::Done(Recorded::HeldBack),
            Known::Same(own) => Tried::Done(Recorded::Duplicate {
                exceeded_at: own.exceeded_at,
            }),
            Known::Another(another) => Tried::Another(another),
        })
    }

    /// Stores a usage event that arrived under the identity of another body. Charges it only if its
    /// hold shows that it is another request: the other body does not name the hold, and no event
    /// has settled it.
    pub(crate) async fn record_conflict(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        report: &UsageReport<'_>,
        another: &AnotherBody,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let usage = report.usage;
        if usage.hold_id.is_none() || usage.hold_id == another.hold_id {
            return self.keep_conflict(configuration, report).await;
        }
        if excess_of(configuration, books, usage).is_some() {
            // The event itself is not charged, so its hold is charged in full.
            let organisation_id = &configuration.organisation.id;
            if let Some(hold_id) = own_hold(organisation_id, usage) {
                self.end_hold(configuration, &hold_id, now).await?;
            }
            return self.keep_conflict(configuration, report).await;
        }
        match self.count(configuration, books, report, now).await? {
            Ok(Recorded::Counted { .. } | Recorded::Duplicate { .. }) => {
                Ok(Recorded::Conflict { is_charged: true })
            }
            Ok(other) => Ok(other),
            // The identity includes the digest: no other body can have it.
            Err(_) => Err(StoreError::unreadable("a record of a conflict")),
        }
    }

    /// Stores an event in conflict that is not charged, in a record outside of all totals.
    pub(crate) async fn keep_conflict(
        &self,
        configuration: &Configuration,
        report: &UsageReport<'_>,
    ) -> Result<Recorded, StoreError> {
        let usage = report.usage;
        let at = usage.occurred_at;
        let path = self.path_of_user_in_force(configuration, &usage.user_id, at);
        let place = Place {
            period: configuration.period_of(at),
            path: path.await?,
        };
        let entry = uncounted(configuration, report, place, Mark::Conflict);
        // If it is rejected, the record exists already.
        self.keep(configuration, &entry, None, None).await?;
        Ok(Recorded::Conflict { is_charged: false })
    }

    /// Stores an implausibly large usage event in a record outside of all totals, until an
    /// administrator decides. Charges its hold in full: the request was made, and the hold is the
    /// best known figure. Returns the other body as an error if that has the identity.
    ///
    /// The hold ends before the record is written, so an event with a record has left no living
    /// hold.
    pub(crate) async fn hold_back(
        &self,
        configuration: &Configuration,
        report: &UsageReport<'_>,
        excess: Excess,
        now: Timestamp,
    ) -> Result<Result<Recorded, AnotherBody>, StoreError> {
        let usage = report.usage;
        let organisation_id = &configuration.organisation.id;
        let hold_id = own_hold(organisation_id, usage);
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            match self.met(organisation_id, report).await? {
                Tried::Done(recorded) => return Ok(Ok(recorded)),
                Tried::Another(another) => return Ok(Err(another)),
                Tried::Again => {}
            }
            let ended = match &hold_id {
                Some(hold_id) => self.end_hold(&current, hold_id, now).await?,
                None => Ended::Nothing,
            };
            let path = match &ended {
                Ended::As(resolved) => Some(resolved.path.clone()),
                Ended::Unknown => None,
                Ended::Nothing => {
                    self.path_of_user(&current, &usage.user_id, usage.occurred_at)
                        .await?
                }
            };
            if let Some(path) = path {
                let period = match (&hold_id, &ended) {
                    (Some(hold_id), Ended::As(_)) => hold_id.period,
                    _ => current.period_of(usage.occurred_at),
                };
                let held = match &ended {
                    Ended::As(resolved) => Some(resolved.hold.amounts),
                    Ended::Nothing | Ended::Unknown => None,
                };
                let place = Place { period, path };
                let entry = uncounted(&current, report, place, Mark::HeldBack);
                if self.keep(&current, &entry, held, Some(excess)).await? {
                    return Ok(Ok(Recorded::HeldBack));
                }
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// Writes an entry that is not counted, and flags it. Returns false if its identity has a
    /// record.
    async fn keep(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        held: Option<Amounts>,
        excess: Option<Excess>,
    ) -> Result<bool, StoreError> {
        let mut parts = vec![self.record_item(configuration, entry)?];
        parts.extend(self.flag_item(configuration, entry, held, excess)?);
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Charges a hold in full if it lives. Returns how it ended, now or before.
    async fn end_hold(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<Ended, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let cell = self.cell_of_hold(organisation_id, hold_id).await?;
        if let Some(hold) = cell.as_ref().and_then(|cell| living(cell, hold_id)) {
            let charging = self.charge_hold(configuration, hold_id, hold, now);
            if !charging.await? {
                return Ok(Ended::Unknown);
            }
        }
        let resolved = self.resolution(organisation_id, hold_id).await?;
        Ok(resolved.map_or(Ended::Nothing, Ended::As))
    }
}

/// Builds an entry without a charge.
fn uncounted<'a>(
    configuration: &Configuration,
    report: &UsageReport<'a>,
    place: Place,
    mark: Mark,
) -> Entry<'a> {
    let usage = report.usage;
    let pricing = configuration.pricing(PriceBooks::built_in(), usage.occurred_at);
    let quote = usage.quote(&pricing);
    let source = configuration.organisation.price_source;
    Entry {
        report: report.clone(),
        received_at: report.received_at,
        period: place.period,
        day: day_of(configuration, usage),
        is_model_allowed: is_allowed(configuration, &place.path, &quote, usage),
        path: place.path,
        charge: usage.charge(&quote, source, None).uncounted(),
        mark,
        offset: Amounts::ZERO,
        ended: None,
        is_counted: false,
        exceeded_hold: false,
    }
}
