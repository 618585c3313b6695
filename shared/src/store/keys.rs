//! All keys of the tables. Each begins with the organisation, or with `@` if it leads to one. Ids
//! cannot contain `#`, `.` or `@` in a place that would make two keys equal.

mod ledger;
mod notices;

pub(super) use ledger::{
    DEPARTMENT_TOTAL, abandoned, abandoned_hold_of, by_day, charges_without_cell, correction,
    department_total, flagged, flagged_as, flagged_of, identity_of, model_of_user, models,
    months_usage, record, refusal, refusals, refusals_of, resolution, resolved_hold_of, totals,
    usage, usage_of, usage_row, user_month,
};
pub(super) use notices::{deliveries, delivery, feedback, health, lease, letter, mailbox, waiting};

use crate::domain::ledger::self_audit::Subject;
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// A key of the two-part tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// The sort key of an item that has its partition to itself.
const ONLY: &str = "-";
/// The prefix of all rows of the compiled configuration. The head sorts first.
pub(super) const CONFIGURATION: &str = "config#";
pub(super) const HEAD: &str = "config#0head";
pub(super) const BUDGET: &str = "config#budget#";
pub(super) const DEPARTMENT: &str = "config#department#";
pub(super) const MOVE: &str = "config#move#";
pub(super) const GONE: &str = "config#gone#";
/// Deleted budgets that earlier months still need.
pub(super) const ENDED: &str = "config#ended#";
/// Which cells serve which departments.
pub(super) const PLACEMENT: &str = "config#placement";
/// Approved exemptions, as decisions see them.
pub(super) const GRANT: &str = "config#grant#";
/// The organisation's own prices, discounts and aliases, by digest of their names.
pub(super) const PRICE: &str = "config#price#";
pub(super) const DISCOUNT: &str = "config#discount#";
pub(super) const ALIAS: &str = "config#alias#";
pub(super) const EXEMPTION: &str = "exemption#";
pub(super) const PENDING: &str = "pending#";
pub(super) const ALERT: &str = "alert#";
/// The list of corrections.
pub(super) const CORRECTION: &str = "correction#";
/// What is booked of usage that was priced anew.
pub(super) const REPRICED: &str = "repriced#";
pub(super) const TOLD: &str = "told#";
/// How many refused preflights the audit log knows of.
pub(super) const REFUSED: &str = "refused#";
/// The signed heads of the audit log, by day.
pub(super) const AUDIT_HEAD: &str = "audithead#";
pub(super) const ROLLOVER: &str = "rollover#";
pub(super) const USER: &str = "user#";
pub(super) const POLICY: &str = "policy#";
/// The published versions of policies. An evaluation reads nothing else.
pub(super) const PUBLISHED: &str = "published#";
pub(super) const FIRED: &str = "fired#";
pub(super) const INCIDENT: &str = "incident#";
pub(super) const NOTICE: &str = "notice#";
/// Addresses that get no mail, by digest.
pub(super) const SUPPRESSED: &str = "suppressed#";
/// The owners of mail addresses, by digest.
pub(super) const MAIL_OWNER: &str = "mailowner#";
pub(super) const WEBHOOK: &str = "webhook#";
pub(super) const API_KEY: &str = "key#";
pub(super) const CLIENT: &str = "oauth#";
pub(super) const ORGANISATIONS: &str = "@organisations";
pub(super) const OPERATOR: &str = "@operator";

/// A cell of a month, by its number.
pub(super) fn cell(organisation_id: &str, period: Month, number: u32) -> String {
    format!("{organisation_id}.{period}.0.{number}")
}

pub(super) fn head(organisation_id: &str) -> Key {
    Key::new(organisation_id, HEAD)
}

pub(super) fn governance(organisation_id: &str, sk: impl Into<String>) -> Key {
    Key::new(organisation_id, sk)
}

/// An entry of the audit log, in a table that has nothing else.
pub(super) fn audit(organisation_id: &str, seq: u64) -> Key {
    Key::new(organisation_id, format!("{seq:012}"))
}

pub(super) fn idempotency(owner: &str, digest: &str) -> Key {
    Key::new(owner, format!("idempotency#{digest}"))
}

/// A budget's month. All budgets of a month are together, and later months sort last.
pub(super) fn rollover(organisation_id: &str, period: Month, budget_id: &str) -> Key {
    Key::new(organisation_id, format!("{ROLLOVER}{period}#{budget_id}"))
}

/// The marker of a crossing that raised an alert. `counter` is the attribute of the budget's
/// counter, so a budget that is deleted and created again raises no second alert. `level` is a
/// percentage or a name.
pub(super) fn crossing_marker(
    organisation_id: &str,
    period: Month,
    counter: &str,
    level: &str,
) -> Key {
    Key::new(organisation_id, format!("{TOLD}{period}#{counter}#{level}"))
}

/// The marker of a policy's firing for a subject.
pub(super) fn fired(organisation_id: &str, policy_id: &str, subject: &str) -> Key {
    Key::new(organisation_id, format!("{FIRED}{policy_id}#{subject}"))
}

/// The row that leads from the user's part of hold names to the user.
pub(super) fn holder(organisation_id: &str, user_part: &str) -> Key {
    Key::new(organisation_id, format!("holder#{user_part}"))
}

/// A part of the state of a backtest or a repricing between two calls.
pub(super) fn backtest(organisation_id: &str, id: &str, part: usize) -> Key {
    // Parts are large: each has its own partition, apart from the rows that decisions read.
    Key::new(format!("{organisation_id}#backtest#{id}#{part:06}"), ONLY)
}

/// A partition of the index `by_day`.
pub(super) fn day(organisation_id: &str, date: &str) -> String {
    format!("{organisation_id}#{date}")
}

/// The marker of a difference that raised an alert.
pub(super) fn difference(organisation_id: &str, period: Month, subject: &Subject) -> Key {
    let (of, name) = match subject {
        Subject::Budget { id } => ("budget", id.as_str()),
        Subject::Level { department_id } => ("level", department_id.as_deref().unwrap_or("/")),
        Subject::Carry { id } => ("carry", id.as_str()),
        Subject::Department { path } => ("department", path.as_str()),
        Subject::User { id } => ("user", id.as_str()),
        Subject::Settlement { identity, .. } => ("settlement", identity.as_str()),
    };
    Key::new(organisation_id, format!("difference#{period}#{of}#{name}"))
}

/// The marker of an alert about a broken entry of the audit log.
pub(super) fn broken_log(organisation_id: &str, seq: u64) -> Key {
    Key::new(organisation_id, format!("brokenlog#{seq:012}"))
}

/// An organisation's settings for GitHub webhooks.
pub(super) fn github(organisation_id: &str) -> Key {
    Key::new(organisation_id, "integration#github")
}

/// An organisation's own table of risks.
pub(super) fn github_risks(organisation_id: &str) -> Key {
    Key::new(organisation_id, "integration#github#risks")
}

/// The partition of the comparison of an organisation's records with its totals.
pub(super) fn books(organisation_id: &str) -> String {
    format!("{organisation_id}#books")
}

/// How far that has come.
pub(super) fn comparison(organisation_id: &str) -> Key {
    Key::new(books(organisation_id), "comparison")
}

/// The prefix of its sums at a place.
pub(super) fn sums_at(place: u64) -> String {
    format!("sums#{place}#")
}

/// A row of these.
pub(super) fn sums(organisation_id: &str, place: u64, row: usize) -> Key {
    Key::new(
        books(organisation_id),
        format!("{}{row:06}", sums_at(place)),
    )
}

/// Where the next pass of the schedule continues.
pub(super) fn schedule_cursor() -> Key {
    Key::new("@schedule", "cursor")
}

/// The row that leads from a secret to its organisation. `digest` is its SHA-256 in hex.
pub(super) fn secret(digest: &str) -> Key {
    Key::new(format!("@key#{digest}"), "key")
}

/// The row that leads from a client's id to its organisation.
pub(super) fn client(id: &str) -> Key {
    Key::new(format!("@oauth#{id}"), "client")
}

/// How many requests a key made in a minute.
pub(super) fn requests(organisation_id: &str, key_id: &str, minute: i64) -> Key {
    Key::new(
        format!("{organisation_id}#requests"),
        format!("{key_id}#{minute}"),
    )
}

pub(super) fn organisation_entry(organisation_id: &str) -> Key {
    Key::new(ORGANISATIONS, organisation_id)
}

/// The marker of trouble with events that raised an alert.
pub(super) fn trouble(organisation_id: &str, of: &str) -> Key {
    Key::new(organisation_id, format!("trouble#{of}"))
}

/// The prefix of the markers of a month's models that raised an alert for one reason.
pub(super) fn unsure_markers(month: Month, unsure: Unsure) -> String {
    format!("unsure#{month}#{}#", unsure.as_str())
}

/// One of these. `model` is a digest of its provider and name.
pub(super) fn unsure_marker(
    organisation_id: &str,
    month: Month,
    unsure: Unsure,
    model: &str,
) -> Key {
    let sk = format!("{}{model}", unsure_markers(month, unsure));
    Key::new(organisation_id, sk)
}

/// How many of these the audit log knows of.
pub(super) fn logged_refusals(
    organisation_id: &str,
    hour: &str,
    user_id: &str,
    reason: &str,
) -> Key {
    let sk = format!("{REFUSED}{hour}#{user_id}#{reason}");
    Key::new(organisation_id, sk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::identity::EventIdentity;

    #[test]
    fn every_key_begins_with_the_organisation_or_leads_to_it() {
        let month = Month::new(2026, 11).unwrap();
        for pk in [
            cell("acme", month, 0),
            cell("acme", month, 1),
            cell("acme", month, 10),
            head("acme").pk,
            governance("acme", USER).pk,
            audit("acme", 1).pk,
            idempotency("acme", "00").pk,
            record("acme", &EventIdentity::from_key("e")).pk,
            totals("acme", month),
            user_month("acme", "ada", month).pk,
        ] {
            let rest = pk.strip_prefix("acme").unwrap();
            assert!(rest.is_empty() || rest.starts_with(['#', '.']), "{pk}");
        }
        for pk in [secret("00").pk, organisation_entry("acme").pk] {
            assert!(pk.starts_with('@'), "{pk}");
        }
    }
}
