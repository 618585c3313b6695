//! The keys of what is counted: records, flagged events, denials, resolutions, totals and reports.

use super::{Key, ONLY};
use crate::domain::ledger::flagged::Flag;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

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

/// A row of the reports. `bucket` is an hour, a day or a month.
pub(in crate::store) fn usage(organisation_id: &str, bucket: &str, sk: &str) -> Key {
    Key::new(format!("{organisation_id}#usage#{bucket}"), sk)
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

/// A user's usage in a month and on each of its days.
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
