//! Changes an organisation in one transaction: the rows, the audit entry, the head and the cells in
//! force. After its answer no hold uses the old state, and no crash separates the parts.

use crate::backoff::back_off;
use crate::domain::change::{Author, Change, Effect};
use crate::domain::ledger::cell::Cell;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{
    Head, Idempotency, MAX_PARTS, Store, StoreError, Transacted, WRITTEN, Write, ledger_write_of,
    rows_of,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An organisation as it was when a change was prepared. The change takes effect only while the
/// organisation is unchanged.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The counters and settings.
    pub head: Head,
    /// The departments and budgets.
    pub configuration: Configuration,
    /// How often the change was prepared before, in vain.
    pub attempt: u32,
}

/// Which organisation is changed, by whom, and how patiently.
#[derive(Clone, Copy, Debug)]
pub struct ChangeRequest<'a> {
    pub organisation_id: &'a str,
    pub author: &'a Author,
    pub now: Timestamp,
    /// How often it is tried if others change the organisation meanwhile.
    pub attempts: u32,
}

/// The outcome of preparing a change on a snapshot.
#[derive(Debug)]
pub enum Step<T> {
    Commit(Box<Change>, T),
    /// There is nothing to change.
    Stop(T),
    /// The snapshot is not in force any longer: prepare the change on another one.
    Again,
}

impl<T> Step<T> {
    pub fn commit(change: Change, value: T) -> Self {
        Self::Commit(Box::new(change), value)
    }
}

/// A change that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    pub value: T,
    /// The cell of the current period afterwards. None if decisions do not see the change, or if
    /// there is no cell.
    pub cell: Option<Cell>,
    /// The notices that were written with it, which have to be queued.
    pub notice_ids: Vec<String>,
}

/// The outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<T> {
    Committed(Committed<T>),
    /// There was nothing to change.
    Stopped(T),
    /// The idempotency key has an answer already.
    AnsweredBefore,
    /// Others were faster at every attempt.
    Contended,
    UnknownOrganisation,
}

/// The outcome of one transaction.
enum Attempt {
    Done(Option<Cell>),
    /// The organisation is not as it was in the snapshot.
    Stale,
    AnsweredBefore,
}

/// The periods that a change reaches: those in force in the time zone before and after it.
fn periods_seen(before: &Configuration, after: &Organisation, now: Timestamp) -> BTreeSet<Month> {
    let mut periods = BTreeSet::from_iter(before.periods_in_force(now));
    if after.timezone != before.organisation.timezone {
        let mut moved = before.clone();
        moved.organisation = after.clone();
        periods.extend(moved.periods_in_force(now));
    }
    periods
}

impl Store {
    /// Reads the organisation to prepare a change on it.
    pub async fn snapshot_for_change(
        &self,
        organisation_id: &str,
    ) -> Result<Option<Snapshot>, StoreError> {
        let snapshot = self.snapshot(organisation_id).await?;
        Ok(snapshot.map(|(head, configuration)| Snapshot {
            head,
            configuration,
            attempt: 0,
        }))
    }

    /// Changes an organisation. `prepare` gets it as it is, reads whatever else it needs after
    /// that, and returns the change, which takes effect only while the organisation is as it was.
    /// Otherwise it is prepared again.
    ///
    /// `prepare` is a copy for each attempt: a closure that is called by reference has a future
    /// that the compiler cannot prove to be `Send`.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        request: &ChangeRequest<'_>,
        prepare: impl AsyncFnOnce(Arc<Snapshot>) -> Result<Step<T>, E> + Copy,
    ) -> Result<Changed<T>, E> {
        self.change_and_answer(request, prepare, |_, _| Ok(None))
            .await
    }

    /// The same, with an answer that is kept under an idempotency key in the same transaction.
    /// `answer` gets the cell of the current period as it will be.
    pub async fn change_and_answer<T, E: From<StoreError>>(
        &self,
        request: &ChangeRequest<'_>,
        prepare: impl AsyncFnOnce(Arc<Snapshot>) -> Result<Step<T>, E> + Copy,
        answer: impl Fn(&T, Option<&Cell>) -> Result<Option<Idempotency>, E>,
    ) -> Result<Changed<T>, E> {
        for attempt in 0..request.attempts {
            let snapshot = self.snapshot_for_change(request.organisation_id).await?;
            let Some(snapshot) = snapshot else {
                return Ok(Changed::UnknownOrganisation);
            };
            let snapshot = Arc::new(Snapshot {
                attempt,
                ..snapshot
            });
            match prepare(snapshot.clone()).await? {
                Step::Stop(value) => return Ok(Changed::Stopped(value)),
                Step::Again => {}
                Step::Commit(change, value) => {
                    let kept = |cell: Option<&Cell>| answer(&value, cell);
                    match self.commit(&snapshot, &change, request, kept).await? {
                        Attempt::Done(cell) => {
                            let notices = change.notices().into_iter();
                            return Ok(Changed::Committed(Committed {
                                value,
                                cell,
                                notice_ids: notices.map(|notice| notice.id.clone()).collect(),
                            }));
                        }
                        Attempt::AnsweredBefore => return Ok(Changed::AnsweredBefore),
                        Attempt::Stale => {}
                    }
                }
            }
            back_off(attempt).await;
        }
        Ok(Changed::Contended)
    }

    /// All of a change or nothing of it, with its audit entries and the answer, if there is an
    /// idempotency key.
    async fn commit<E: From<StoreError>>(
        &self,
        snapshot: &Snapshot,
        change: &Change,
        request: &ChangeRequest<'_>,
        idempotency: impl Fn(Option<&Cell>) -> Result<Option<Idempotency>, E>,
    ) -> Result<Attempt, E> {
        let configuration = &snapshot.configuration;
        let organisation_id = &configuration.organisation.id;
        let (now, effect) = (request.now, change.effect());
        let mut head = snapshot.head.clone();
        head.count(change);
        let is_seen = head.raise(WRITTEN) || effect.is_seen();
        head.epoch += u64::from(is_seen);
        let mut parts =
            self.audit_items(organisation_id, change, request.author, &mut head, now)?;
        parts.push(self.head_item(organisation_id, &head, Some(snapshot.head.seq))?);
        // The head is unchanged since the snapshot if this takes effect, and so are the rows.
        let rows = self.carried_over(rows_of(organisation_id, change, now)?);
        for row in rows.await? {
            parts.push(self.row_item(row)?);
        }
        let charged = match ledger_write_of(change) {
            Some(write) => self.ledger_items(configuration, &write, now).await?,
            None => Some(Vec::new()),
        };
        let written = match charged {
            Some(charged) if is_seen => {
                let cells = self.cell_items(snapshot, &effect, &head, now, charged);
                cells.await?
            }
            charged => charged.map(|charged| (charged, None)),
        };
        let Some((written, current)) = written else {
            return Ok(Attempt::Stale);
        };
        parts.extend(written);
        let answered_at = parts.len();
        let idempotency = idempotency(current.as_ref())?;
        if let Some(idempotency) = &idempotency {
            parts.push(self.idempotency_item(idempotency, now)?);
        }
        if parts.len() > MAX_PARTS {
            // Two months with many cells are in force. In some minutes it is one.
            return Ok(Attempt::Stale);
        }
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Attempt::Done(current),
            refused if refused.was_refused_at(answered_at) => Attempt::AnsweredBefore,
            Transacted::Refused(_) => Attempt::Stale,
        })
    }

    /// Adds to `charged`, the ledger's parts of the change, the updates of the cells in force, each
    /// under the condition that it is of the snapshot's epoch. Also returns the cell of the current
    /// period afterwards. None if a cell had to be opened first, so that the change is stale.
    async fn cell_items(
        &self,
        snapshot: &Snapshot,
        effect: &Effect<'_>,
        head: &Head,
        now: Timestamp,
        charged: Vec<Write>,
    ) -> Result<Option<(Vec<Write>, Option<Cell>)>, StoreError> {
        let configuration = &snapshot.configuration;
        let organisation_id = &configuration.organisation.id;
        let before = snapshot.head.epoch;
        let current_month = head.organisation.month_of(now);
        let mut items = charged;
        let mut current = None;
        let mut periods = periods_seen(configuration, &head.organisation, now);
        periods.extend(effect.carries_into());
        for period in periods {
            let Some(cells) = self.all_cells(organisation_id, period).await? else {
                if effect.carries_into() == Some(period) {
                    self.open_cell(configuration, period, None).await?;
                    return Ok(None);
                }
                items.push(self.no_cell_item(organisation_id, period));
                continue;
            };
            if cells.iter().any(|cell| cell.epoch < before) {
                // The period was not in force for a while.
                self.open_cell(configuration, period, Some(&cells)).await?;
                return Ok(None);
            }
            let others = u32::try_from(cells.len().saturating_sub(1)).unwrap_or(u32::MAX);
            // A charge begins an epoch only if it raises the form. Then its own updates of the
            // cells say so, as a transaction takes one of each item.
            let mut updates = match effect.is_seen() {
                true => {
                    let caps = configuration.caps_in(period);
                    let mut updates = effect.updates(&cells, &caps, period, current_month);
                    if configuration.is_over(period, now) {
                        updates.shut_all(&caps, &cells);
                    }
                    updates
                }
                false => self.take_cell_updates(organisation_id, period, others, &mut items),
            };
            for cell in HOME..=others {
                updates.at(cell).epoch = Some(head.epoch);
            }
            updates.require_epoch(before);
            updates.require_others(others);
            let mut after: Vec<Option<Cell>> = cells.into_iter().map(Some).collect();
            if updates.apply_to_all(&mut after).is_err() {
                return Ok(None);
            }
            items.extend(self.cells_items(organisation_id, period, updates));
            if period == current_month {
                let after: Vec<Cell> = after.into_iter().flatten().collect();
                current = Some(Cell::sum(&after));
            }
        }
        Ok(Some((items, current)))
    }
}
