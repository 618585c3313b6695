//! Records usage and settles the holds that it names.
//!
//! A record counts once, by its event's identity. With a hold: one transaction {record, which is
//! the hold's resolution, row of usage, total}, then the cell. Without one, or if the hold ended
//! otherwise: one transaction {record, row of usage, total, the cell's debit}. A redelivered event
//! repeats every later step, so the next delivery completes what a crash between two steps left.

use super::charge::Offset;
use super::entries::{entry_without_hold, settled_by, settlement, shows_another_request};
use crate::backoff::back_off;
use crate::domain::ledger::plausible::excess_of;
use crate::domain::ledger::usage::Usage;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::pricing::book::PriceBooks;
use crate::store::{
    ATTEMPTS, AnotherBody, Bound, Entry, Mark, Settlement, Store, StoreError, Sums, Transacted,
    UsageReport, living, own_hold,
};
use jiff::Timestamp;
use std::borrow::Cow;

/// The outcome for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// This call counted it.
    Counted {
        /// How it was charged.
        mark: Mark,
        /// Whether it used more than its hold, in an organisation that reserves strictly.
        exceeded_hold: bool,
    },
    /// It was recorded before, and this call completed its remaining steps.
    Duplicate {
        /// When it was received first, if it used more than its hold.
        exceeded_at: Option<Timestamp>,
    },
    /// It is implausibly large. It is stored, by this call or an earlier one, and waits for an
    /// administrator.
    HeldBack,
    /// Another body has its identity. It is stored beside that, by this call or an earlier one.
    Conflict {
        /// Whether its own hold shows that it is another request, so that it is charged.
        is_charged: bool,
    },
}

impl Recorded {
    /// Returns the outcome of an ordinary charge.
    pub(crate) fn counted(mark: Mark) -> Self {
        Self::Counted {
            mark,
            exceeded_hold: false,
        }
    }
}

/// The outcome of one try to record a report.
pub(crate) enum Tried {
    Done(Recorded),
    /// Another body has its identity.
    Another(AnotherBody),
    /// A concurrent writer was faster: try again.
    Again,
}

impl Store {
    /// Records one usage event.
    pub async fn record_usage(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        usage: &Usage,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let report = UsageReport::new(usage, received_at, now);
        let excess = excess_of(configuration, books, usage);
        let recorded = match excess {
            Some(excess) => self.hold_back(configuration, &report, excess, now).await?,
            None => self.count(configuration, books, &report, now).await?,
        };
        match recorded {
            Ok(recorded) => Ok(recorded),
            Err(another) => {
                let report = report.in_conflict();
                self.record_conflict(configuration, books, &report, &another, now)
                    .await
            }
        }
    }

    /// Records a usage event under the identity of its report, and charges it. Returns the other
    /// body as an error if that has the identity.
    pub(crate) async fn count(
        &self,
        configuration: &Configuration,
        books: &PriceBooks,
        report: &UsageReport<'_>,
        now: Timestamp,
    ) -> Result<Result<Recorded, AnotherBody>, StoreError> {
        let usage = report.usage;
        let organisation_id = &configuration.organisation.id;
        let hold_id = own_hold(organisation_id, usage);
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            let mut resolved = None;
            if let Some(hold_id) = &hold_id {
                let cell = self.cell_of_hold(organisation_id, hold_id).await?;
                if let Some(hold) = cell.as_ref().and_then(|cell| living(cell, hold_id)) {
                    let id = hold_id.clone();
                    let Some(settlement) = settlement(&current, books, report, id, hold) else {
                        current = self.newer(current).await?;
                        back_off(attempt).await;
                        continue;
                    };
                    match self.settle(&current, &settlement, now).await? {
                        Tried::Done(recorded) => return Ok(Ok(recorded)),
                        Tried::Another(another) => return Ok(Err(another)),
                        // Another resolution was first, and is complete by now.
                        Tried::Again => continue,
                    }
                }
                resolved = self.resolution(organisation_id, hold_id).await?;
            }
            if settled_by(resolved.as_ref()) == Some(&report.identity) {
                // Reading its record is cheaper than a rejected transaction.
                match self.met(organisation_id, report).await? {
                    Tried::Done(recorded) => return Ok(Ok(recorded)),
                    Tried::Another(another) => return Ok(Err(another)),
                    Tried::Again => {}
                }
            }
            if report.is_conflict && !shows_another_request(report, resolved.as_ref()) {
                return self.keep_conflict(&current, report).await.map(Ok);
            }
            let path = match &resolved {
                Some(resolved) => Some(resolved.path.clone()),
                None => {
                    self.path_of_user(&current, &usage.user_id, usage.occurred_at)
                        .await?
                }
            };
            let Some(path) = path else {
                back_off(attempt).await;
                current = self.newer(current).await?;
                continue;
            };
            let ended = (hold_id.as_ref(), resolved.as_ref());
            let entry = entry_without_hold(&current, books, report, ended, path);
            let offset = Offset::of(hold_id.as_ref(), resolved.as_ref());
            match self.charge(&current, &entry, offset.as_ref(), now).await? {
                Tried::Done(recorded) => return Ok(Ok(recorded)),
                Tried::Another(another) => return Ok(Err(another)),
                Tried::Again => {}
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// Settles a hold that is in the cell, unless another resolution was first.
    async fn settle(
        &self,
        configuration: &Configuration,
        settlement: &Settlement<'_>,
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let Settlement {
            entry,
            hold_id,
            hold,
        } = settlement;
        let is_bound = self.bind(organisation_id, &entry.report, now).await? == Bound::Yes;
        if is_bound && self.write_settlement(configuration, settlement).await? {
            let charged = entry.charge.amounts;
            let cell = self
                .finish_hold(configuration, hold_id, hold, charged, now)
                .await?;
            if let Some(cell) = cell {
                self.release_seen(configuration, entry.period, &cell, now)
                    .await;
            }
            return Ok(Tried::Done(recorded(entry)));
        }
        if let Some(known) = self.resolution(organisation_id, hold_id).await? {
            let charged = known.resolution.charged();
            self.finish_hold(configuration, hold_id, &known.hold, charged, now)
                .await?;
        }
        match is_bound {
            true => Ok(Tried::Again),
            false => self.met(organisation_id, &entry.report).await,
        }
    }

    /// Writes the record and the sums of a settlement. Returns false if its hold has ended.
    async fn write_settlement(
        &self,
        configuration: &Configuration,
        settlement: &Settlement<'_>,
    ) -> Result<bool, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let Settlement { entry, hold, .. } = settlement;
        let sums = Sums::charged(&entry.charge);
        let mut parts = vec![
            self.total_item(configuration, entry, sums),
            self.settled_item(organisation_id, settlement)?,
        ];
        parts.extend(self.flag_item(configuration, entry, Some(hold.amounts), None)?);
        parts.extend(self.usage_items(configuration, [entry]));
        let models = self.unsure_items(organisation_id, [entry])?;
        let done = self.transact_with_models(parts, &models).await?;
        Ok(done == Transacted::Applied)
    }

    /// Charges usage without a living hold at every level of its path, in one transaction {record,
    /// totals, debit of the cell}. With an offset, charges only the difference to the charge of the
    /// lapsed hold. The caller must try again if the configuration, the cell or the offset changed
    /// meanwhile.
    async fn charge(
        &self,
        configuration: &Configuration,
        entry: &Entry<'_>,
        offset: Option<&Offset<'_>>,
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        let Some(charge) = self.charge_items(configuration, entry, offset, now).await? else {
            return Ok(Tried::Again);
        };
        let held = entry.ended.as_ref().map(|hold| hold.amounts);
        let mut parts = vec![self.record_item(configuration, entry)?];
        parts.extend(self.flag_item(configuration, entry, held, None)?);
        parts.extend(charge);
        let organisation_id = &configuration.organisation.id;
        let models = self.unsure_items(organisation_id, [entry])?;
        let done = self.transact_with_models(parts, &models).await?;
        if done == Transacted::Applied {
            return Ok(Tried::Done(recorded(entry)));
        }
        match done.was_refused_at(0) {
            true => self.met(organisation_id, &entry.report).await,
            false => Ok(Tried::Again),
        }
    }

    /// Returns the path of a user at `at`, on which their usage of that time counts. It is empty
    /// for an unknown user. Returns None if `configuration` is older than the user's row.
    pub(crate) async fn path_of_user(
        &self,
        configuration: &Configuration,
        user_id: &str,
        at: Timestamp,
    ) -> Result<Option<Path>, StoreError> {
        let user = self.user(&configuration.organisation.id, user_id).await?;
        Ok(match user {
            None => Some(Path::default()),
            Some(user) => configuration.path_of_user_at(&user, at),
        })
    }

    /// Returns the same in the configuration in force, whichever one the caller has.
    pub(crate) async fn path_of_user_in_force(
        &self,
        configuration: &Configuration,
        user_id: &str,
        at: Timestamp,
    ) -> Result<Path, StoreError> {
        let mut current = Cow::Borrowed(configuration);
        for attempt in 0..ATTEMPTS {
            if let Some(path) = self.path_of_user(&current, user_id, at).await? {
                return Ok(path);
            }
            back_off(attempt).await;
            current = self.newer(current).await?;
        }
        Err(StoreError::Contended)
    }

    /// Reads the configuration in force.
    pub(crate) async fn newer<'a>(
        &self,
        known: Cow<'a, Configuration>,
    ) -> Result<Cow<'a, Configuration>, StoreError> {
        let newer = self.configuration(&known.organisation.id).await?;
        Ok(newer.map_or(known, Cow::Owned))
    }
}

/// Returns the outcome of an entry that this call counted.
pub(super) fn recorded(entry: &Entry<'_>) -> Recorded {
    Recorded::Counted {
        mark: entry.mark,
        exceeded_hold: entry.exceeded_hold,
    }
}
