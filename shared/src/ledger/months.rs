//! Closes months. Each budget's rollover is credited once, with its history row, in one transaction
//! with the counters of the next month. It is corrected once, after late usage has had its time.

use super::change::{ChangeRequest, Changed, Snapshot, Step};
use crate::domain::change::{Author, Change};
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::ledger::settlement::lapsed_holds;
use crate::domain::notice::Notice;
use crate::domain::notice::closing::{self, ClosedBudget};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{ATTEMPTS, Store, StoreError, new_id};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most rollovers of one transaction. Each is a row and two numbers of a cell, whose expression
/// has a limited size.
const ROLLOVERS_A_CHANGE: usize = 40;
/// The same if the transaction also writes many cells.
const ROLLOVERS_BESIDE_CELLS: usize = 20;
/// The most updates of one sweep. A cell full of lapsed holds takes 80.
const MAX_SWEEPS: u32 = 120;

/// The outcome of closing or correcting a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClosedMonth {
    /// The rollovers that were credited or changed.
    pub rollovers: Vec<Rollover>,
    /// The notice that the month is closed. The caller must queue it.
    pub notice_id: Option<String>,
}

/// What is done to the rollovers of a month.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Close,
    Correct,
}

/// A month's rollovers, ready to be committed.
struct Batch {
    action: Action,
    period: Month,
    before: Vec<Rollover>,
    after: Vec<Rollover>,
    /// No rollover is left after this batch.
    is_last: bool,
}

impl Store {
    /// Closes `period`, which has ended: credits the rollover of each budget that counted at its
    /// end, and writes its history. Repeated, it only finishes what is missing. Returns the
    /// rollovers that this call credited, and the notice that the last batch wrote.
    pub async fn close_month(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<ClosedMonth, StoreError> {
        let is_done = |s: &Snapshot| s.head.closed_through >= Some(period);
        self.in_batches(
            organisation_id,
            period,
            now,
            is_done,
            |snapshot, cell, known| {
                let budgets = snapshot.configuration.budgets_in(period);
                let open = budgets.filter(|budget| !known.contains_key(&budget.counter()));
                let mut after: Vec<Rollover> = open
                    .filter_map(|budget| Rollover::close(budget, period, cell, now))
                    .collect();
                let most = rollovers_a_change(&snapshot.configuration);
                let is_last = after.len() <= most;
                after.truncate(most);
                Batch {
                    action: Action::Close,
                    period,
                    before: Vec::new(),
                    after,
                    is_last,
                }
            },
        )
        .await
    }

    /// Corrects the rollovers of `period`, a closed month, for the usage that arrived late. They
    /// are final afterwards. Returns the rollovers that changed.
    pub async fn correct_month(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<ClosedMonth, StoreError> {
        let is_done = |s: &Snapshot| s.head.corrected_through >= Some(period);
        self.in_batches(
            organisation_id,
            period,
            now,
            is_done,
            |snapshot, cell, known| {
                let budgets = snapshot.configuration.budgets_in(period);
                let mut changed: Vec<(Rollover, Rollover)> = budgets
                    .filter_map(|budget| {
                        let row = known.get(&budget.counter())?;
                        let corrected = row.correct(budget, cell, now)?;
                        Some((row.clone(), corrected))
                    })
                    .collect();
                let most = rollovers_a_change(&snapshot.configuration);
                let is_last = changed.len() <= most;
                changed.truncate(most);
                let (before, after) = changed.into_iter().unzip();
                Batch {
                    action: Action::Correct,
                    period,
                    before,
                    after,
                    is_last,
                }
            },
        )
        .await
    }

    async fn in_batches(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
        is_done: impl Fn(&Snapshot) -> bool,
        next: impl Fn(&Snapshot, &Cell, &BTreeMap<Node, Rollover>) -> Batch,
    ) -> Result<ClosedMonth, StoreError> {
        let author = Author::schedule();
        let request = ChangeRequest {
            organisation_id,
            author: &author,
            now,
            attempts: ATTEMPTS,
        };
        let mut done = ClosedMonth::default();
        loop {
            let prepare = async |snapshot: Arc<Snapshot>| {
                if is_done(&snapshot) {
                    return Ok::<_, StoreError>(Step::Stop(None));
                }
                let configuration = &snapshot.configuration;
                let Some(cell) = self.swept_cell(configuration, period, now).await? else {
                    return Ok(Step::Again);
                };
                let known = self.rollovers_from(organisation_id, period).await?;
                let batch = next(&snapshot, &cell, &known);
                let notice = if batch.action == Action::Close && batch.is_last {
                    let budgets = closed_budgets(configuration, &batch, &cell, known);
                    let notice = self.closing_notice(organisation_id, period, budgets, now);
                    Some(notice.await?)
                } else {
                    None
                };
                Ok(Step::commit(change_of(&batch, notice), Some(batch)))
            };
            match self.change(&request, prepare).await? {
                Changed::Committed(committed) => {
                    done.notice_id = committed.notice_ids.into_iter().next();
                    let Some(batch) = committed.value else {
                        return Ok(done);
                    };
                    done.rollovers.extend(batch.after);
                    if batch.is_last {
                        return Ok(done);
                    }
                }
                Changed::Stopped(_) | Changed::UnknownOrganisation => return Ok(done),
                Changed::Contended | Changed::AnsweredBefore => {
                    return Err(StoreError::Contended);
                }
            }
        }
    }

    /// Returns the notice to the administrators that a month is closed, if there is anything to
    /// report.
    async fn closing_notice(
        &self,
        organisation_id: &str,
        period: Month,
        budgets: Vec<ClosedBudget>,
        now: Timestamp,
    ) -> Result<Notice, StoreError> {
        let recipients = if budgets.is_empty() {
            Vec::new()
        } else {
            self.administrator_recipients(organisation_id, "you are an administrator")
                .await?
        };
        let id = new_id("ntc_", now, 0)?;
        Ok(closing::notice(id, period, budgets, recipients, now))
    }

    /// Returns the cell of a period after releasing its lapsed holds. Opens the cell if the period
    /// is unused. Returns None if `configuration` is not in force.
    pub async fn swept_cell(
        &self,
        configuration: &Configuration,
        period: Month,
        now: Timestamp,
    ) -> Result<Option<Cell>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut was_opened = false;
        for _ in 0..MAX_SWEEPS {
            let Some(cells) = self.all_cells(organisation_id, period).await? else {
                if was_opened {
                    return Ok(None);
                }
                self.open_cell(configuration, period, None).await?;
                was_opened = true;
                continue;
            };
            let lapsed = cells.iter().map(|cell| lapsed_holds(cell, now, |_| true));
            let lapsed = lapsed.collect::<Vec<_>>().concat();
            let sum = Cell::sum(&cells);
            if lapsed.is_empty() || sum.epoch > configuration.epoch {
                return Ok((sum.epoch <= configuration.epoch).then_some(sum));
            }
            self.expire(configuration, period, lapsed, now).await?;
        }
        Err(StoreError::Contended)
    }
}

/// Returns how many rollovers one change takes.
fn rollovers_a_change(configuration: &Configuration) -> usize {
    match configuration.placement.others {
        0 => ROLLOVERS_A_CHANGE,
        _ => ROLLOVERS_BESIDE_CELLS,
    }
}

/// `notice` says that the month is closed.
fn change_of(batch: &Batch, notice: Option<Notice>) -> Change {
    match batch.action {
        Action::Close => Change::MonthClosed {
            period: batch.period,
            rollovers: batch.after.clone(),
            notice,
        },
        Action::Correct => Change::MonthCorrected {
            period: batch.period,
            before: batch.before.clone(),
            after: batch.after.clone(),
            is_last: batch.is_last,
        },
    }
}

/// Returns how each budget's month ended, after `batch`, the last one: from its history row if it
/// has one, otherwise from `cell`.
fn closed_budgets(
    configuration: &Configuration,
    batch: &Batch,
    cell: &Cell,
    known: BTreeMap<Node, Rollover>,
) -> Vec<ClosedBudget> {
    let period = batch.period;
    let end = configuration.organisation.month_end(period);
    let new = batch.after.iter();
    let new = new.map(|row| (row.counter(), row.clone()));
    let mut rows: BTreeMap<Node, Rollover> = known.into_iter().chain(new).collect();
    let closed = configuration.budgets_in(period);
    closed
        .map(|budget| {
            let row = rows.remove(&budget.counter());
            let row = row.unwrap_or_else(|| Rollover::of(budget, period, cell, end));
            ClosedBudget::new(budget, row)
        })
        .collect()
}
