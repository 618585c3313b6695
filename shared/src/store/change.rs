//! Changing what is configured: one transaction {the rows, the audit entry, the head, the cells in force}. After its
//! answer nothing is held under the old state, and no crash leaves the parts apart.

use super::Store;
use super::call::{StoreError, Transacted};
use super::configuration::{Head, PolicyCounts};
use super::item::{Item, number};
use super::keys;
use super::ledger_writes::LedgerWrite;
use super::rows::Row;
use super::write::Write;
use crate::domain::audit::{AuditEntry, AuditRecord};
use crate::domain::cell::{Cell, CellUpdate, Condition, carry};
use crate::domain::configuration::{Budget, Configuration, Organisation};
use crate::domain::hold::Node;
use crate::domain::period::Month;
use aws_sdk_dynamodb::types::Put;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long an answer can be replayed, in seconds.
const IDEMPOTENCY_SECONDS: i64 = 24 * 3600;

/// An organisation as it was when a change was prepared. A change on it takes effect only while it is so.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The counters and settings.
    pub head: Head,
    /// The departments and budgets.
    pub configuration: Configuration,
}

/// What a change means for the counters in force.
#[derive(Clone, Debug, Default)]
pub enum CounterEffect {
    /// No decision could see the change.
    #[default]
    Unseen,
    /// Decisions see it; no counter changes.
    Seen,
    /// A budget is made, changed or deleted.
    Budget {
        /// The budget before; none if it is made.
        before: Option<Budget>,
        /// The budget after; none if it is deleted.
        after: Option<Budget>,
    },
    /// This is what counters of a month carry over from the one before.
    Carry(Month, BTreeMap<Node, i64>),
}

/// An answer kept under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The SHA-256 of the request, in hex.
    pub request_digest: String,
    /// The HTTP status.
    pub status: u16,
    /// The body, without secrets.
    pub body: String,
    /// The secrets of the body, sealed so that only the same caller can read them.
    #[serde(default)]
    pub sealed_secrets: Vec<String>,
}

/// Where an answer is kept, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The organisation, or none for the operator.
    pub organisation_id: Option<String>,
    /// The SHA-256 of the caller and their idempotency key, in hex.
    pub digest: String,
    /// The answer.
    pub answer: StoredAnswer,
}

/// A change and everything that goes with it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Rows written and deleted.
    pub rows: Vec<Row>,
    /// The head afterwards; its `seq`, `epoch` and `audit_hash` are seen to here.
    pub head: Head,
    /// What the counters do.
    pub counters: CounterEffect,
    /// What is written to the ledger, if anything. It charges the counters by itself: no decision that was made before
    /// becomes another by it.
    pub ledger: Option<LedgerWrite>,
    /// The audit entry, or several where one transaction does several things.
    pub audit: Vec<AuditEntry>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It took effect; the cell of the current period afterwards, where the counters saw it and there is one.
    Done(Option<Cell>),
    /// The organisation is not as it was in the snapshot: prepare it again.
    Stale,
    /// The idempotency key has an answer already.
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

impl CounterEffect {
    /// What the counters of `cell`, the cell of `period`, do. A month before the current one keeps its amounts: it is only
    /// told the epoch.
    fn update(&self, cell: &Cell, period: Month, current: Month) -> CellUpdate {
        let mut update = CellUpdate::default();
        match self {
            Self::Unseen | Self::Seen => {}
            Self::Budget { before, after } if period >= current => {
                let given = |budget: &Option<Budget>| {
                    let budget = budget.as_ref()?;
                    Some((budget.counter(), budget.gives_in(period)))
                };
                if let Some((node, gone)) = given(before) {
                    update.add_or_begin.insert(node, -gone);
                }
                if let Some((node, gives)) = given(after) {
                    let change = update.add_or_begin.entry(node).or_default();
                    *change = change.saturating_add(gives);
                }
            }
            Self::Budget { .. } => {}
            // Only changes touch a carry, and no two of them cross.
            Self::Carry(into, carried) if *into == period => update = carry(cell, carried),
            Self::Carry(..) => {}
        }
        update
    }
}

impl Store {
    /// The organisation as it is now, to prepare a change on.
    pub async fn snapshot_for_change(
        &self,
        organisation_id: &str,
    ) -> Result<Option<Snapshot>, StoreError> {
        let snapshot = self.snapshot(organisation_id).await?;
        Ok(snapshot.map(|(head, configuration)| Snapshot {
            head,
            configuration,
        }))
    }

    /// All of a change or nothing of it, with its audit entry and, where there is an idempotency key, the answer: it is
    /// asked for with the cell of the current period as it will be.
    pub async fn commit<E: From<StoreError>>(
        &self,
        snapshot: &Snapshot,
        change: Change,
        idempotency: impl Fn(Option<&Cell>) -> Result<Option<Idempotency>, E>,
        now: Timestamp,
    ) -> Result<Committed, E> {
        let organisation_id = &snapshot.configuration.organisation.id;
        let before = &snapshot.head;
        let mut head = change.head;
        let is_seen = !matches!(change.counters, CounterEffect::Unseen);
        head.epoch = before.epoch + u64::from(is_seen);
        (head.seq, head.audit_hash) = (before.seq, before.audit_hash.clone());
        let mut entries = Vec::with_capacity(change.audit.len());
        for entry in &change.audit {
            let record = AuditRecord::new(entry, head.seq + 1, now, &head.audit_hash);
            head.seq = record.seq;
            head.audit_hash.clone_from(&record.hash);
            entries.push(self.audit_item(organisation_id, &record)?);
        }
        let mut parts = vec![self.head_item(organisation_id, &head, Some(before.seq))?];
        parts.extend(entries);
        for row in change.rows {
            parts.push(self.row_item(row)?);
        }
        if let Some(write) = &change.ledger {
            let configuration = &snapshot.configuration;
            match self.ledger_items(configuration, write, now).await? {
                Some(written) => parts.extend(written),
                None => return Ok(Committed::Stale),
            }
        }
        let mut current = None;
        if is_seen {
            let configuration = &snapshot.configuration;
            let mut periods = periods_seen(configuration, &head.organisation, now);
            if let CounterEffect::Carry(period, _) = &change.counters {
                periods.insert(*period);
            }
            for period in periods {
                let Some(cell) = self.cell(organisation_id, period).await? else {
                    if matches!(&change.counters, CounterEffect::Carry(into, _) if *into == period)
                    {
                        self.open_cell(configuration, period, None).await?;
                        return Ok(Committed::Stale);
                    }
                    parts.push(self.no_cell_item(organisation_id, period)?);
                    continue;
                };
                if cell.epoch < before.epoch {
                    // The period was not in force for a while.
                    self.open_cell(configuration, period, Some(&cell)).await?;
                    return Ok(Committed::Stale);
                }
                let current_month = head.organisation.month_of(now);
                let mut update = change.counters.update(&cell, period, current_month);
                update.conditions.push(Condition::EpochIs(before.epoch));
                update.epoch = Some(head.epoch);
                parts.push(self.cell_update_item(organisation_id, period, &update)?);
                let mut after = Some(cell);
                if update.apply(&mut after).is_err() {
                    return Ok(Committed::Stale);
                }
                if period == current_month {
                    current = after;
                }
            }
        }
        let answered_at = parts.len();
        let idempotency = idempotency(current.as_ref())?;
        if let Some(idempotency) = &idempotency {
            parts.push(self.idempotency_item(idempotency, now)?);
        }
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Committed::Done(current),
            refused if refused.was_refused_at(answered_at) => Committed::AnsweredBefore,
            Transacted::Refused(_) => Committed::Stale,
        })
    }

    /// The answer under an idempotency key, if there is one.
    pub async fn stored_answer(
        &self,
        organisation_id: Option<&str>,
        digest: &str,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let key = keys::idempotency(organisation_id.unwrap_or(keys::OPERATOR), digest);
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.governance)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await?;
        answer.item.map(super::configuration::data).transpose()
    }

    /// Makes an organisation with its first rows and audit entry, if there is none of its id.
    pub async fn create_organisation(
        &self,
        organisation: Organisation,
        rows: Vec<Row>,
        audit: &AuditEntry,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Committed, StoreError> {
        let id = organisation.id.clone();
        let entry = Row::new(keys::organisation_entry(&id), &organisation)?;
        let record = AuditRecord::new(audit, 1, now, "");
        let head = Head {
            epoch: 1,
            tree: 0,
            seq: 1,
            audit_hash: record.hash.clone(),
            next_department: 0,
            next_exemption: 0,
            closed_through: None,
            corrected_through: None,
            policies: PolicyCounts::default(),
            webhooks: 0,
            organisation,
        };
        let mut parts = Vec::new();
        if let Some(idempotency) = idempotency {
            parts.push(self.idempotency_item(idempotency, now)?);
        }
        parts.push(self.head_item(&id, &head, None)?);
        parts.push(self.audit_item(&id, &record)?);
        for row in rows.into_iter().chain([entry]) {
            parts.push(self.row_item(row)?);
        }
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Committed::Done(None),
            refused if idempotency.is_some() && refused.was_refused_at(0) => {
                Committed::AnsweredBefore
            }
            Transacted::Refused(_) => Committed::Stale,
        })
    }

    fn head_item(
        &self,
        organisation_id: &str,
        head: &Head,
        known_seq: Option<u64>,
    ) -> Result<Write, StoreError> {
        let mut item: Item = serde_dynamo::to_item(head)?;
        item.extend(keys::head(organisation_id).attributes());
        let put = Put::builder()
            .table_name(&self.tables.governance)
            .set_item(Some(item));
        let put = match known_seq {
            Some(seq) => put
                .condition_expression("seq = :seq")
                .expression_attribute_values(":seq", number(seq)),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        Ok(Write::Put(put.build()?))
    }

    fn audit_item(&self, organisation_id: &str, record: &AuditRecord) -> Result<Write, StoreError> {
        let key = keys::audit(organisation_id, record.seq);
        self.row_item(Row::new(key, record)?.if_absent())
    }

    pub(super) fn idempotency_item(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> Result<Write, StoreError> {
        let owner = idempotency.organisation_id.as_deref();
        let key = keys::idempotency(owner.unwrap_or(keys::OPERATOR), &idempotency.digest);
        let mut row = Row::new(key, &idempotency.answer)?;
        row.expire(now.as_second() + IDEMPOTENCY_SECONDS);
        self.row_item(row.if_absent())
    }
}
