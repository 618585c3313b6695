//! Reading the audit log. It is written by changes only, each entry once.

use super::Store;
use super::call::StoreError;
use super::configuration::data;
use super::governance::Page;
use super::keys;
use crate::domain::audit::{AuditRecord, Break, Walk};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Instant;

/// What a walk along an organisation's log has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How far it came.
    pub walk: Walk,
    /// The first thing that is wrong.
    pub broken: Option<Break>,
    /// Whether it came to the end; otherwise the next walk goes on after the last entry of this one.
    pub is_complete: bool,
}

impl Store {
    /// Entries that are `wanted`, the newest first.
    pub async fn audit_log(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&AuditRecord) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let log = keys::audit_log(organisation_id);
        self.newest_first(&log, "", after, limit, wanted).await
    }

    /// The entries after the one with the number `after`, the oldest first, as many as one read gives: a megabyte. Whether
    /// there are more.
    pub async fn audit_entries(
        &self,
        organisation_id: &str,
        after: u64,
    ) -> Result<(Vec<AuditRecord>, bool), StoreError> {
        let keys::Key { pk, sk } = keys::audit(organisation_id, after);
        let answer = self
            .client
            .query()
            .table_name(&self.tables.governance)
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

    /// Walks the log from the entry after the one with the number `after` to its end, until `until` at the latest. Entries
    /// that come meanwhile are walked too.
    pub async fn verify_audit_log(
        &self,
        organisation_id: &str,
        after: u64,
        until: Instant,
    ) -> Result<Verified, StoreError> {
        let mut walk = Walk::default();
        if after > 0 {
            let (known, _) = self.audit_entries(organisation_id, after - 1).await?;
            let known = known.into_iter().next().filter(|known| known.seq == after);
            let hash = known.map(|known| known.hash).unwrap_or_default();
            walk = Walk::after(after, hash);
        }
        loop {
            let (entries, has_more) = self.audit_entries(organisation_id, walk.seq).await?;
            for entry in &entries {
                if let Err(broken) = walk.step(entry) {
                    return Ok(Verified {
                        walk,
                        broken: Some(broken),
                        is_complete: true,
                    });
                }
            }
            if !has_more {
                let head = self.head(organisation_id).await?;
                let ended = head
                    .as_ref()
                    .map(|head| (head.seq, head.audit_hash.as_str()));
                let (seq, hash) = ended.unwrap_or_default();
                // What came after the last read is the next round's, unless there is none.
                if seq > walk.seq
                    && !self
                        .audit_entries(organisation_id, walk.seq)
                        .await?
                        .0
                        .is_empty()
                {
                    continue;
                }
                return Ok(Verified {
                    broken: walk.end(seq, hash).err(),
                    walk,
                    is_complete: true,
                });
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
}
