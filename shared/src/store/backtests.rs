//! The state of a policy's backtest or of a repricing between two calls. A call that runs out of
//! time writes it, the next call reads it, and it expires after an hour. A part is written once and
//! never changed, so repeating a call continues from the same place.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::rows::Row;
use crate::domain::policy::Replay;
use futures::StreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The size of a part. An item has at most 400 KB.
const PART_BYTES: usize = 350_000;
/// How many parts are written or read at the same time.
const AT_ONCE: usize = 8;
/// How long the state is kept, in seconds.
const KEPT_SECONDS: i64 = 3_600;

/// A backtest that ran out of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The counts so far.
    pub replay: Replay,
    /// The day in UTC whose records come next.
    pub day: Date,
    /// The place on that day after which they come.
    pub after: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    parts: usize,
    text: String,
}

/// Splits `text` into pieces of at most `most` bytes.
fn pieces(mut text: &str, most: usize) -> Vec<&str> {
    let mut found = Vec::new();
    while text.len() > most {
        let (piece, rest) = text.split_at(text.floor_char_boundary(most));
        found.push(piece);
        text = rest;
    }
    found.push(text);
    found
}

impl Store {
    /// Stores a state under `id`, which must be new.
    pub async fn pause<T: Serialize + Sync>(
        &self,
        organisation_id: &str,
        id: &str,
        paused: &T,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let unwritten = |_| StoreError::unreadable("a state that cannot be written");
        let text = serde_json::to_string(paused).map_err(unwritten)?;
        let pieces = pieces(&text, PART_BYTES);
        let parts = pieces.len();
        let mut writes = Vec::with_capacity(parts);
        for (number, piece) in pieces.into_iter().enumerate() {
            let text = piece.to_owned();
            let key = keys::backtest(organisation_id, id, number);
            let mut row = Row::new(key, &Part { parts, text })?;
            row.expire(now.as_second() + KEPT_SECONDS);
            writes.push(self.transact(vec![self.row_item(row)?]));
        }
        let mut writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE);
        while let Some(written) = writes.next().await {
            written?;
        }
        Ok(())
    }

    /// Returns the state under `id`, or None if it has expired.
    pub async fn paused<T: DeserializeOwned>(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let key = |number| keys::backtest(organisation_id, id, number);
        let Some(first) = self.row::<Part>(key(0)).await? else {
            return Ok(None);
        };
        let mut text = first.text;
        let rest: Vec<_> = (1..first.parts).map(|n| self.row::<Part>(key(n))).collect();
        let mut rest = futures::stream::iter(rest).buffered(AT_ONCE);
        while let Some(part) = rest.next().await {
            match part? {
                Some(part) => text.push_str(&part.text),
                None => return Ok(None),
            }
        }
        let unread = |_| StoreError::unreadable("a state in another form");
        serde_json::from_str(&text).map(Some).map_err(unread)
    }
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_are_small_enough_and_together_the_text() {
        let text = "a\u{e4}\u{20ac}b".repeat(50);
        let found = pieces(&text, 7);
        assert!(found.iter().all(|piece| (1..=7).contains(&piece.len())));
        assert_eq!(found.concat(), text);
        assert_eq!(pieces("", 7), [""]);
    }
}
