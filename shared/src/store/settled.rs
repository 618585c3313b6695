//! Reads settlements: records that are the resolutions of the holds that they settled.

use super::item::{Item, text};
use super::keys;
use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::resolution::Resolution;

/// The outcome of a hold that an event settled.
pub(super) const SETTLED: &str = "settled";
/// The attribute of a settlement with the outcome of the request. `outcome` is that of the hold.
pub(super) const REQUEST_OUTCOME: &str = "request_outcome";

/// Returns the identity in the place of a record in the index.
pub(super) fn identity_at(item: &Item) -> Option<EventIdentity> {
    let (_, identity) = item.get("at")?.as_s().ok()?.split_once('#')?;
    Some(EventIdentity::from_key(identity))
}

/// Returns the resolution that a record is, if it settled its hold. Earlier releases wrote both
/// apart.
pub(super) fn resolution_of(item: &Item) -> Option<Resolution> {
    if !item.contains_key("type") {
        return None;
    }
    let digits = |name: &str| item.get(name)?.as_n().ok();
    let charged = Amounts::new(
        digits("tokens")?.parse().ok()?,
        digits("pico_usd")?.parse().ok()?,
    );
    let event = identity_at(item)?;
    Some(Resolution::Settled { event, charged })
}

/// Returns a record as it would be under the identity of its event: with the outcome of the request
/// and the hold.
pub(super) fn as_record(mut item: Item) -> Item {
    if let Some(outcome) = item.remove(REQUEST_OUTCOME) {
        item.insert("outcome".to_owned(), outcome);
        let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
        let hold_id = pk.and_then(|pk| keys::resolved_hold_of(pk));
        item.extend(hold_id.map(|id| ("hold_id".to_owned(), text(id))));
    }
    item
}
