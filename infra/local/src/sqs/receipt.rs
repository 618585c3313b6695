//! Receipt handles, which name a message and one receive of it.

use super::QueueError;

/// The parts of a handle.
pub(super) struct Receipt<'a> {
    pub(super) seq: i64,
    pub(super) message_id: &'a str,
    pub(super) receive_count: u32,
}

/// Makes the handle of the `receive_count`-th receive of a message.
pub(super) fn write(seq: i64, message_id: &str, receive_count: u32) -> String {
    format!("{seq}.{message_id}.{receive_count}")
}

/// Returns the parts of a handle, whether or not its message is still there.
pub(super) fn read(handle: &str) -> Result<Receipt<'_>, QueueError> {
    let malformed = || QueueError::MalformedReceipt(handle.to_owned());
    let (seq, rest) = handle.split_once('.').ok_or_else(malformed)?;
    let (message_id, receive_count) = rest.rsplit_once('.').ok_or_else(malformed)?;
    Ok(Receipt {
        seq: seq.parse().map_err(|_| malformed())?,
        message_id,
        receive_count: receive_count.parse().map_err(|_| malformed())?,
    })
}
