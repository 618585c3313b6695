//! Receipt handles, which name a message and one receive of it.

use super::QueueError;
use super::message_table::MessageTable;

/// Makes the handle of the `receive_count`-th receive of a message.
pub(super) fn write(seq: i64, message_id: &str, receive_count: u32) -> String {
    format!("{seq}.{message_id}.{receive_count}")
}

/// Returns the message of a handle. None if it is deleted or was received again since.
pub(super) fn find(table: &MessageTable, handle: &str) -> Result<Option<i64>, QueueError> {
    let malformed = || QueueError::MalformedReceipt(handle.to_owned());
    let (seq, rest) = handle.split_once('.').ok_or_else(malformed)?;
    let (message_id, receive_count) = rest.rsplit_once('.').ok_or_else(malformed)?;
    let seq: i64 = seq.parse().map_err(|_| malformed())?;
    let receive_count: u32 = receive_count.parse().map_err(|_| malformed())?;
    let latest = table.get(seq).is_some_and(|stored| {
        stored.message_id == message_id && stored.receive_count == receive_count
    });
    Ok(latest.then_some(seq))
}
