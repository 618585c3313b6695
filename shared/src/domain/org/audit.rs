//! The audit log: every change and decision with its actor, in a chain of hashes that shows
//! tampering.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One action: its actor, its resource and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The acting key or process, such as `key/<id>` or `operator`.
    pub actor: String,
    /// The kind of action: `budget.create`.
    pub action: String,
    pub resource: String,
    /// The resource before, as JSON.
    pub before: Option<String>,
    /// The resource after, as JSON.
    pub after: Option<String>,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// The key's role, its effective permission, its user and its makers, as JSON. None if no key
    /// was used.
    pub authority: Option<String>,
    pub request_id: String,
}

/// An entry at its place in the log. It is written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub resource: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// As in [`AuditEntry`]. Also None for entries from before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    pub request_id: String,
    /// SHA-256 in hex over the previous hash and every field, each preceded by its length. An
    /// authority comes last and only if there is one, so older entries keep their hashes.
    pub hash: String,
    /// The hash of the entry before. Empty at the first entry.
    pub previous_hash: String,
}

impl AuditRecord {
    /// Returns `entry` as the record that follows `previous_hash`.
    pub fn new(entry: &AuditEntry, seq: u64, at: Timestamp, previous_hash: &str) -> Self {
        let mut record = Self {
            seq,
            at,
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            resource: entry.resource.clone(),
            before: entry.before.clone(),
            after: entry.after.clone(),
            reason: entry.reason.clone(),
            authority: entry.authority.clone(),
            request_id: entry.request_id.clone(),
            hash: String::new(),
            previous_hash: previous_hash.to_owned(),
        };
        record.hash = record.computed_hash();
        record
    }

    /// Returns the hash that the record must have.
    pub fn computed_hash(&self) -> String {
        let mut hash = Sha256::new();
        let (seq, at) = (self.seq.to_string(), self.at.to_string());
        let optional =
            |text: &Option<String>| text.as_ref().map_or(String::new(), |t| format!("={t}"));
        let parts = [
            &self.previous_hash,
            &seq,
            &at,
            &self.actor,
            &self.action,
            &self.resource,
            &optional(&self.before),
            &optional(&self.after),
            &optional(&self.reason),
            &self.request_id,
        ];
        for part in parts.into_iter().chain(&self.authority) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex::encode(hash.finalize())
    }
}

/// A place at which the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The entry at which the break was found.
    pub seq: u64,
    pub message: String,
}

/// An entry's number and hash, as an auditor kept them outside of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHead {
    pub seq: u64,
    pub hash: String,
}

impl KeptHead {
    /// Checks that the entry still has the hash that was kept.
    pub fn compare(&self, found: Option<&AuditRecord>) -> Result<(), Break> {
        let message = match found {
            None => "the entry that the kept head names is missing",
            Some(found) if found.hash != self.hash => "its hash differs from that of the kept head",
            Some(found) if found.hash != found.computed_hash() => ALTERED,
            Some(_) => return Ok(()),
        };
        Err(Break {
            seq: self.seq,
            message: message.to_owned(),
        })
    }
}

/// The explanation for an entry whose fields were changed.
const ALTERED: &str = "it was altered: its hash does not match its fields";

/// Verifies the chain entry by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    pub entries: u64,
    pub seq: u64,
    pub hash: String,
    /// When the last entry was written. None before the first step.
    pub at: Option<Timestamp>,
}

impl Walk {
    /// Continues after the entry with this number and hash.
    pub fn after(seq: u64, hash: String) -> Self {
        Self {
            entries: 0,
            seq,
            hash,
            at: None,
        }
    }

    /// Checks the next entry.
    pub fn step(&mut self, record: &AuditRecord) -> Result<(), Break> {
        let broken = |seq: u64, message: &str| {
            Err(Break {
                seq,
                message: message.to_owned(),
            })
        };
        if record.seq != self.seq + 1 {
            return broken(self.seq + 1, "the entry is missing");
        }
        if record.previous_hash != self.hash {
            return broken(record.seq, "it does not follow from the entry before");
        }
        if record.hash != record.computed_hash() {
            return broken(record.seq, ALTERED);
        }
        self.entries += 1;
        self.seq = record.seq;
        self.hash.clone_from(&record.hash);
        self.at = Some(record.at);
        Ok(())
    }

    /// Checks that the walk ended at `seq` and `hash`, the organisation's last entry.
    pub fn end(&self, seq: u64, hash: &str) -> Result<(), Break> {
        let broken = |message: &str| {
            Err(Break {
                seq: self.seq.min(seq) + 1,
                message: message.to_owned(),
            })
        };
        match self.seq == seq {
            false if self.seq < seq => broken("the entry is missing at the end"),
            false => broken("the entry is beyond the end"),
            true if self.hash != hash => Err(Break {
                seq,
                message: "the last entry is a different one".to_owned(),
            }),
            true => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: u64) -> Vec<AuditRecord> {
        let mut log: Vec<AuditRecord> = Vec::new();
        for seq in 1..=entries {
            let entry = AuditEntry {
                actor: "key/key_1".to_owned(),
                action: "budget.update".to_owned(),
                resource: format!("budget/bud_{seq}"),
                before: Some("{\"amount\":1}".to_owned()),
                after: Some("{\"amount\":2}".to_owned()),
                reason: None,
                authority: (seq % 2 == 0).then(|| "{\"role\":\"admin\"}".to_owned()),
                request_id: format!("req_{seq}"),
            };
            let previous = log.last().map_or("", |last| last.hash.as_str()).to_owned();
            let at = "2026-11-24T12:00:00Z".parse().unwrap();
            log.push(AuditRecord::new(&entry, seq, at, &previous));
        }
        log
    }

    fn walk(log: &[AuditRecord], head: &AuditRecord) -> Result<u64, Break> {
        let mut walk = Walk::default();
        for record in log {
            walk.step(record)?;
        }
        walk.end(head.seq, &head.hash)?;
        Ok(walk.entries)
    }

    #[test]
    fn a_log_that_nobody_touched_holds() {
        let log = log(5);
        assert_eq!(walk(&log, &log[4]), Ok(5));
    }

    #[test]
    fn an_entry_without_an_authority_has_the_hash_that_it_always_had() {
        let first = &log(1)[0];
        assert_eq!(
            first.hash,
            "ca8b52768dcbe1d65ea3c47a7681cb4d5cbb6b9bd5e6979486268c3d48b134a3"
        );
        let stored = serde_json::to_value(first).unwrap();
        assert!(stored.get("authority").is_none(), "{stored}");
    }

    #[test]
    fn whatever_is_altered_is_found_at_its_place() {
        type Plant = fn(&mut Vec<AuditRecord>);
        let plants: [(&str, u64, Plant); 13] = [
            ("an amount", 3, |log| {
                log[2].after = Some("{\"amount\":3}".into());
            }),
            ("an actor", 3, |log| log[2].actor = "key/key_2".into()),
            ("a reason where there was none", 3, |log| {
                log[2].reason = Some(String::new());
            }),
            ("an authority", 4, |log| {
                log[3].authority = Some("{\"role\":\"owner\"}".into());
            }),
            ("an authority that is gone", 4, |log| {
                log[3].authority = None;
            }),
            ("an authority where there was none", 3, |log| {
                log[2].authority = Some(String::new());
            }),
            ("a time", 3, |log| {
                log[2].at = "2026-11-24T12:00:01Z".parse().unwrap();
            }),
            ("a field made longer by its neighbour", 3, |log| {
                log[2].actor.push('b');
                log[2].action.remove(0);
            }),
            ("an entry that is gone", 3, |log| {
                log.remove(2);
            }),
            ("the last ones gone", 5, |log| {
                log.pop();
            }),
            ("the newest one made anew with a right hash", 5, |log| {
                log[4].after = None;
                log[4].hash = log[4].computed_hash();
            }),
            ("two exchanged", 2, |log| log.swap(1, 2)),
            ("one made anew with a right hash", 4, |log| {
                log[2].after = None;
                log[2].hash = log[2].computed_hash();
            }),
        ];
        for (what, at, plant) in plants {
            let mut log = log(5);
            let head = log[4].clone();
            plant(&mut log);
            let found = walk(&log, &head).map_err(|broken| broken.seq);
            assert_eq!(found, Err(at), "{what}");
        }
    }

    #[test]
    fn a_kept_head_shows_a_log_that_was_rewritten_from_end_to_end() {
        let kept = log(5).pop().unwrap();
        let kept = KeptHead {
            seq: kept.seq,
            hash: kept.hash,
        };
        assert_eq!(kept.compare(log(5).last()), Ok(()));
        let message = |found: Option<&AuditRecord>| kept.compare(found).unwrap_err();
        assert_eq!(message(None).seq, 5);
        // A forged chain in which every entry has a correct hash: the walk itself finds nothing.
        let mut anew: Vec<AuditRecord> = Vec::new();
        for old in log(5) {
            let mut entry = old.clone();
            entry.actor = "key/key_2".to_owned();
            entry.previous_hash = anew.last().map_or(String::new(), |last| last.hash.clone());
            entry.hash = entry.computed_hash();
            anew.push(entry);
        }
        assert_eq!(walk(&anew, &anew[4]), Ok(5));
        assert!(
            message(anew.last())
                .message
                .contains("differs from that of the kept head")
        );
        let mut altered = log(5).pop().unwrap();
        altered.action = "budget.delete".to_owned();
        assert_eq!(message(Some(&altered)).message, ALTERED);
    }
}
