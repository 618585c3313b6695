//! The audit log. Only changes write it, each entry once.

use super::Store;
use super::call::Transacted;
use super::configuration::{Head, data};
use super::error::StoreError;
use super::keys::{self, AUDIT_HEAD};
use super::pages::{List, Order, Page};
use super::rows::{Row, row};
use super::tables::Table;
use super::write::{If, Write};
use crate::domain::change::{Author, Change};
use crate::domain::notice::Notice;
use crate::domain::org::audit::{AuditRecord, Break, KeptHead, Walk};
use crate::domain::org::audit_head::AuditHead;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use std::time::Instant;

/// The result of a walk along an organisation's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How far the walk came.
    pub walk: Walk,
    /// The first entry that does not fit.
    pub broken: Option<Break>,
    /// Whether the walk reached the end. If not, the next walk continues after the last entry of
    /// this one.
    pub is_complete: bool,
}

impl Verified {
    fn ended(walk: Walk, broken: Option<Break>) -> Self {
        Self {
            walk,
            broken,
            is_complete: true,
        }
    }
}

impl Store {
    /// Lists the entries that are `wanted`, the newest first.
    pub async fn audit_log(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&AuditRecord) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let log = List {
            table: &self.tables.audit,
            pk: organisation_id,
            prefix: "",
            order: Order::Descending,
        };
        self.page_of(log, after, limit, wanted).await
    }

    /// Returns the entries after number `after`, the oldest first, as many as one read gives (1
    /// MB), and whether there are more.
    pub async fn audit_entries(
        &self,
        organisation_id: &str,
        after: u64,
    ) -> Result<(Vec<AuditRecord>, bool), StoreError> {
        let keys::Key { pk, sk } = keys::audit(organisation_id, after);
        let answer = self
            .client
            .query()
            .table_name(&self.tables.audit)
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .expression_attribute_values(":after", AttributeValue::S(sk))
            .consistent_read(true)
            .send()
            .await?;
        let has_more = answer.last_evaluated_key.is_some();
        let rows = answer.items.unwrap_or_default().into_iter().map(data);
        Ok((rows.collect::<Result<_, _>>()?, has_more))
    }

    /// Reads an entry by a query: roles allow nothing else to read the log with.
    async fn audit_entry(
        &self,
        organisation_id: &str,
        seq: u64,
    ) -> Result<Option<AuditRecord>, StoreError> {
        let keys::Key { pk, sk } = keys::audit(organisation_id, seq);
        let answer = self
            .client
            .query()
            .table_name(&self.tables.audit)
            .key_condition_expression("pk = :pk AND sk = :sk")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .expression_attribute_values(":sk", AttributeValue::S(sk))
            .consistent_read(true)
            .send()
            .await?;
        let found = answer.items.unwrap_or_default().into_iter().next();
        found.map(data).transpose()
    }

    /// Walks the log from the entry after number `after` to its end, or until `until`. Entries that
    /// are added meanwhile are walked too.
    pub async fn verify_audit_log(
        &self,
        organisation_id: &str,
        after: u64,
        until: Instant,
    ) -> Result<Verified, StoreError> {
        let mut walk = Walk::default();
        if after > 0 {
            let known = self.audit_entry(organisation_id, after).await?;
            let hash = known.map(|known| known.hash).unwrap_or_default();
            walk = Walk::after(after, hash);
        }
        loop {
            let (entries, has_more) = self.audit_entries(organisation_id, walk.seq).await?;
            for entry in &entries {
                if let Err(broken) = walk.step(entry) {
                    return Ok(Verified::ended(walk, Some(broken)));
                }
            }
            if !has_more {
                let head = self.head(organisation_id).await?;
                let ended = head
                    .as_ref()
                    .map(|head| (head.seq, head.audit_hash.as_str()));
                let (seq, hash) = ended.unwrap_or_default();
                // Entries added after the last read belong to the next round, if there are any.
                if seq > walk.seq
                    && !self
                        .audit_entries(organisation_id, walk.seq)
                        .await?
                        .0
                        .is_empty()
                {
                    continue;
                }
                let broken = walk.end(seq, hash).err();
                return Ok(Verified::ended(walk, broken));
            }
            if Instant::now() >= until {
                return Ok(Verified {
                    walk,
                    broken: None,
                    is_complete: false,
                });
            }
        }
    }

    /// Returns whether the entry that a stored head names is still there and unchanged.
    pub async fn compare_audit_entry(
        &self,
        organisation_id: &str,
        kept: &KeptHead,
    ) -> Result<Option<Break>, StoreError> {
        let found = self.audit_entry(organisation_id, kept.seq).await?;
        Ok(kept.compare(found.as_ref()).err())
    }

    /// Walks the entries after a stored head, or from the first one without a head, that were
    /// written before `end`, or until `until`. The entry that the head names must be there and
    /// unchanged.
    pub async fn walk_audit_log(
        &self,
        organisation_id: &str,
        from: Option<&KeptHead>,
        end: Timestamp,
        until: Instant,
    ) -> Result<Verified, StoreError> {
        let mut walk = Walk::default();
        if let Some(kept) = from {
            walk = Walk::after(kept.seq, kept.hash.clone());
            let broken = self.compare_audit_entry(organisation_id, kept).await?;
            if broken.is_some() {
                return Ok(Verified::ended(walk, broken));
            }
        }
        loop {
            let (entries, has_more) = self.audit_entries(organisation_id, walk.seq).await?;
            for entry in &entries {
                if entry.at >= end {
                    return Ok(Verified::ended(walk, None));
                }
                if let Err(broken) = walk.step(entry) {
                    return Ok(Verified::ended(walk, Some(broken)));
                }
            }
            if !has_more {
                return Ok(Verified::ended(walk, None));
            }
            if Instant::now() >= until {
                return Ok(Verified {
                    walk,
                    broken: None,
                    is_complete: false,
                });
            }
        }
    }

    /// Returns the newest head.
    pub async fn newest_audit_head(
        &self,
        organisation_id: &str,
    ) -> Result<Option<AuditHead>, StoreError> {
        let page = self.newest_first(organisation_id, AUDIT_HEAD, None, 1, |_| true);
        Ok(page.await?.items.pop())
    }

    /// Stores a head and its notice, once a day. Returns false if the day has a head.
    pub async fn add_audit_head(
        &self,
        organisation_id: &str,
        head: &AuditHead,
        notice: &Notice,
    ) -> Result<bool, StoreError> {
        let parts = vec![
            self.row_item(Row::audit_head(organisation_id, head)?.if_absent())?,
            self.row_item(Row::notice(organisation_id, notice)?)?,
        ];
        Ok(matches!(self.transact(parts).await?, Transacted::Applied))
    }

    /// Stores the new state of a head.
    pub async fn set_audit_head(
        &self,
        organisation_id: &str,
        head: &AuditHead,
    ) -> Result<(), StoreError> {
        let row = Row::audit_head(organisation_id, head)?;
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }

    /// The items of a change's audit entries. `head` counts them and has the hash of the last one.
    pub(crate) fn audit_items(
        &self,
        organisation_id: &str,
        change: &Change,
        author: &Author,
        head: &mut Head,
        now: Timestamp,
    ) -> Result<Vec<Write>, StoreError> {
        let mut items = Vec::new();
        for entry in &change.entries(author) {
            let record = AuditRecord::new(entry, head.seq + 1, now, &head.audit_hash);
            head.seq = record.seq;
            head.audit_hash.clone_from(&record.hash);
            items.push(self.audit_item(organisation_id, &record)?);
        }
        Ok(items)
    }

    fn audit_item(&self, organisation_id: &str, record: &AuditRecord) -> Result<Write, StoreError> {
        let item = row(&keys::audit(organisation_id, record.seq), record)?;
        Ok(Write::put(Table::Audit, item).only(If::Absent))
    }
}

impl Row {
    /// Builds the row of a day's head, which never expires.
    fn audit_head(organisation_id: &str, head: &AuditHead) -> Result<Self, StoreError> {
        let sk = format!("{AUDIT_HEAD}{}", head.day);
        Self::new(keys::governance(organisation_id, sk), head)
    }
}
