//! The messages on disk. The time when a message is visible again is not stored.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
) STRICT";

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) queue: String,
    pub(super) message_id: String,
    pub(super) body: String,
    pub(super) sent_at_ms: i64,
    pub(super) receive_count: u32,
}

/// A message to store.
pub(super) struct NewRow<'a> {
    pub(super) message_id: &'a str,
    pub(super) body: &'a str,
    pub(super) sent_at_ms: i64,
}

/// The table of messages. Each method is one transaction, and is on disk when it returns.
pub(super) struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the file, or a database in memory. Only one process can open a file at a time.
    pub(super) fn open(path: Option<&Path>) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(Duration::from_secs(1))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    /// Returns all messages, oldest first.
    pub(super) fn load(&self) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare(
            "SELECT seq, queue, message_id, body, sent_at_ms, receive_count FROM messages \
             ORDER BY seq",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Row {
                seq: row.get(0)?,
                queue: row.get(1)?,
                message_id: row.get(2)?,
                body: row.get(3)?,
                sent_at_ms: row.get(4)?,
                receive_count: row.get(5)?,
            })
        })?;
        rows.collect()
    }

    /// Adds messages and returns their sequence numbers, in the same order.
    pub(super) fn insert(
        &mut self,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> rusqlite::Result<Vec<i64>> {
        let transaction = self.connection.transaction()?;
        let mut sequence = Vec::with_capacity(rows.len());
        {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO messages (queue, message_id, body, sent_at_ms, receive_count) \
                 VALUES (?1, ?2, ?3, ?4, 0)",
            )?;
            for row in rows {
                sequence.push(statement.insert(params![
                    queue,
                    row.message_id,
                    row.body,
                    row.sent_at_ms
                ])?);
            }
        }
        transaction.commit()?;
        Ok(sequence)
    }

    /// Adds one receive to each of `received` and moves each of `spent` to `dead_letters`.
    pub(super) fn receive(
        &mut self,
        received: &[i64],
        spent: &[i64],
        dead_letters: Option<&str>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut count = transaction.prepare_cached(
                "UPDATE messages SET receive_count = receive_count + 1 WHERE seq = ?1",
            )?;
            for seq in received {
                count.execute([seq])?;
            }
            let mut relocate =
                transaction.prepare_cached("UPDATE messages SET queue = ?2 WHERE seq = ?1")?;
            for seq in spent {
                relocate.execute(params![seq, dead_letters])?;
            }
        }
        transaction.commit()
    }

    pub(super) fn delete(&mut self, sequence: &[i64]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut statement =
                transaction.prepare_cached("DELETE FROM messages WHERE seq = ?1")?;
            for seq in sequence {
                statement.execute([seq])?;
            }
        }
        transaction.commit()
    }
}
