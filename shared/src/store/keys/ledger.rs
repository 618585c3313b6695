//! The keys of what is counted: records, flagged events, denials, resolutions, totals and reports.

use super::{Key, ONLY};
use crate::domain::ledger::flagged::Flag;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The record of an event. Before there is one, the claim.
pub(in crate::store) fn record(organisation_id: &str, identity: &EventIdentity) -> Key {
    Key::new(format!("{organisation_id}#record#{identity}"), ONLY)
}

/// The record of a correction.
pub(in crate::store) fn correction(organisation_id: &str, id: &str) -> Key {
    Key::new(format!("{organisation_id}#correction#{id}"), ONLY)
}

/// Returns the identity in the key of a record.
pub(in crate::store) fn identity_of(organisation_id: &str, pk: &str) -> Option<EventIdentity> {
    let rest = pk.strip_prefix(organisation_id)?;
    rest.strip_prefix("#record#").map(EventIdentity::from_key)
}

/// The partition of the flagged events.
pub(in crate::store) fn flagged_of(organisation_id: &str) -> String {
    format!("{organisation_id}#flagged")
}

/// The prefix of the events with a flag.
pub(in crate::store) fn flagged_as(flag: Flag) -> String {
    format!("{}#", flag.as_str())
}

/// A flagged event. Later ones of a flag sort last.
pub(in crate::store) fn flagged(
    organisation_id: &str,
    flag: Flag,
    received_at: Timestamp,
    identity: &EventIdentity,
) -> Key {
    let kind = flagged_as(flag);
    let at = received_at.as_millisecond();
    Key::new(
        flagged_of(organisation_id),
        format!("{kind}{at:014}#{identity}"),
    )
}

pub(in crate::store) fn refusal(organisation_id: &str, refusal_id: &str) -> Key {
    Key::new(format!("{organisation_id}#refused#{refusal_id}"), ONLY)
}

/// The partition of the counts of refused preflights.
pub(in crate::store) fn refusals_of(organisation_id: &str) -> String {
    format!("{organisation_id}#refusals")
}

/// How often a user was refused for a reason in an hour. Later hours sort last.
pub(in crate::store) fn refusals(
    organisation_id: &str,
    hour: &str,
    user_id: &str,
    reason: &str,
) -> Key {
    let sk = format!("{hour}#{user_id}#{reason}");
    Key::new(refusals_of(organisation_id), sk)
}

pub(in crate::store) fn abandoned(organisation_id: &str, hold_id: &HoldId) -> Key {
    Key::new(format!("{organisation_id}#abandoned#{hold_id}"), ONLY)
}

/// Returns the hold in the key of an abandoned hold's record.
pub(in crate::store) fn abandoned_hold_of(organisation_id: &str, pk: &str) -> Option<HoldId> {
    let rest = pk.strip_prefix(organisation_id)?;
    rest.strip_prefix("#abandoned#").and_then(HoldId::parse)
}

pub(in crate::store) fn resolution(organisation_id: &str, hold_id: &HoldId) -> Key {
    Key::new(format!("{organisation_id}#resolution#{hold_id}"), ONLY)
}

/// Returns the hold in the key of a resolution.
pub(in crate::store) fn resolved_hold_of(pk: &str) -> Option<HoldId> {
    let (_, id) = pk.split_once("#resolution#")?;
    HoldId::parse(id)
}

pub(in crate::store) fn totals(organisation_id: &str, period: Month) -> String {
    format!("{organisation_id}#total#{period}")
}

pub(in crate::store) const DEPARTMENT_TOTAL: &str = "department#";

pub(in crate::store) fn department_total(organisation_id: &str, period: Month, path: &str) -> Key {
    Key::new(
        totals(organisation_id, period),
        format!("{DEPARTMENT_TOTAL}{path}"),
    )
}

/// The count of a month's charges that were recorded while it had no cell.
pub(in crate::store) fn charges_without_cell(organisation_id: &str, period: Month) -> Key {
    Key::new(totals(organisation_id, period), "charges_without_cell")
}

/// An entry of a day's list of usage. Earlier releases also kept their rows here: one for each
/// hour, day and month, which is `bucket`.
pub(in crate::store) fn usage(organisation_id: &str, bucket: &str, sk: &str) -> Key {
    Key::new(format!("{organisation_id}#usage#{bucket}"), sk)
}

/// Over how many partitions the usage of a month is spread. One takes 1,000 write units a second.
const PARTITIONS: u8 = 8;

/// The partitions of a month's usage.
pub(in crate::store) fn months_usage(organisation_id: &str, month: &str) -> Vec<String> {
    let each = 0..PARTITIONS;
    each.map(|number| format!("{organisation_id}#usage#{month}#{number}"))
        .collect()
}

/// The partition of a month's usage by a user.
pub(in crate::store) fn usage_of(organisation_id: &str, month: &str, user_id: &str) -> String {
    let digest = Sha256::digest(user_id.as_bytes());
    let number = digest.first().map_or(0, |first| first % PARTITIONS);
    format!("{organisation_id}#usage#{month}#{number}")
}

/// A user's usage of a day that counts in a month. `group` is its path, provider and model.
pub(in crate::store) fn usage_row(
    organisation_id: &str,
    (month, day): (&str, &str),
    user_id: &str,
    group: &str,
) -> Key {
    Key::new(
        usage_of(organisation_id, month, user_id),
        format!("{user_id}#{day}#{group}"),
    )
}

/// The partition of the models of a month whose price is unsure.
pub(in crate::store) fn models(organisation_id: &str, month: Month) -> String {
    format!("{organisation_id}#models#{month}")
}

/// The usage of one such model by a user. `model` is a digest of its provider and name.
pub(in crate::store) fn model_of_user(
    organisation_id: &str,
    month: Month,
    unsure: Unsure,
    model: &str,
    user_id: &str,
) -> Key {
    let sk = format!("{}#{model}#{user_id}", unsure.as_str());
    Key::new(models(organisation_id, month), sk)
}

/// A user's usage in a month and on each of its days, as earlier releases summed it.
pub(in crate::store) fn user_month(organisation_id: &str, user_id: &str, month: Month) -> Key {
    Key::new(
        format!("{organisation_id}#user#{user_id}"),
        month.to_string(),
    )
}

/// The attributes that put a record into the index by organisation and day, in order of arrival.
/// `name` is unique to the record: a page continues after the time and the name.
pub(in crate::store) fn by_day(
    organisation_id: &str,
    received_at: Timestamp,
    name: &str,
) -> [(String, AttributeValue); 2] {
    let received = received_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let day = format!("{organisation_id}#{}", &received[..10]);
    let at = format!("{received}#{name}");
    [
        ("day".to_owned(), AttributeValue::S(day)),
        ("at".to_owned(), AttributeValue::S(at)),
    ]
}
