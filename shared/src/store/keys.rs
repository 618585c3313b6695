//! Every key in one place. Each begins with the organisation, or with `@` where it leads to one; ids cannot
//! contain `#`, `.` or `@` in a place where that would make two keys alike.

use crate::domain::flagged::Flag;
use crate::domain::hold::HoldId;
use crate::domain::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::self_audit::Subject;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
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

/// The sort key part of a record or resolution, which has its partition to itself.
const ONLY: &str = "-";
/// What all rows of the compiled configuration begin with; the head sorts first.
pub(super) const CONFIGURATION: &str = "config#";
pub(super) const HEAD: &str = "config#0head";
pub(super) const BUDGET: &str = "config#budget#";
pub(super) const DEPARTMENT: &str = "config#department#";
pub(super) const MOVE: &str = "config#move#";
pub(super) const GONE: &str = "config#gone#";
/// Budgets that were deleted, and that months before still need.
pub(super) const ENDED: &str = "config#ended#";
/// Exemptions that were approved, as decisions see them.
pub(super) const GRANT: &str = "config#grant#";
pub(super) const EXEMPTION: &str = "exemption#";
/// Exemptions that are pending.
pub(super) const PENDING: &str = "pending#";
pub(super) const ALERT: &str = "alert#";
/// Corrections, as they are listed.
pub(super) const CORRECTION: &str = "correction#";
pub(super) const TOLD: &str = "told#";
/// What the audit log knows of refused preflights.
pub(super) const REFUSED: &str = "refused#";
/// The signed heads of the audit log, by day.
pub(super) const AUDIT_HEAD: &str = "audithead#";
pub(super) const ROLLOVER: &str = "rollover#";
pub(super) const USER: &str = "user#";
pub(super) const POLICY: &str = "policy#";
/// The published versions, which are all that an evaluation reads.
pub(super) const PUBLISHED: &str = "published#";
pub(super) const FIRED: &str = "fired#";
pub(super) const INCIDENT: &str = "incident#";
pub(super) const NOTICE: &str = "notice#";
/// Addresses that nothing is sent to, by their digest.
pub(super) const SUPPRESSED: &str = "suppressed#";
/// Whom an address belongs to, by its digest.
pub(super) const MAIL_OWNER: &str = "mailowner#";
pub(super) const WEBHOOK: &str = "webhook#";
pub(super) const API_KEY: &str = "key#";
pub(super) const CLIENT: &str = "oauth#";
pub(super) const ORGANISATIONS: &str = "@organisations";
pub(super) const OPERATOR: &str = "@operator";

/// The generation and number of the home cell.
const HOME: &str = "0.0";

pub(super) fn cell(organisation_id: &str, period: Month) -> String {
    format!("{organisation_id}.{period}.{HOME}")
}

pub(super) fn head(organisation_id: &str) -> Key {
    Key::new(organisation_id, HEAD)
}

pub(super) fn governance(organisation_id: &str, sk: impl Into<String>) -> Key {
    Key::new(organisation_id, sk)
}

/// The partition of the audit log, which is apart so that a role can be kept from altering it.
pub(super) fn audit_log(organisation_id: &str) -> String {
    format!("{organisation_id}#audit")
}

pub(super) fn audit(organisation_id: &str, seq: u64) -> Key {
    Key::new(audit_log(organisation_id), format!("{seq:012}"))
}

pub(super) fn idempotency(owner: &str, digest: &str) -> Key {
    Key::new(owner, format!("idempotency#{digest}"))
}

/// A month of a budget: the newest months sort last, and all budgets of a month are together.
pub(super) fn rollover(organisation_id: &str, period: Month, budget_id: &str) -> Key {
    Key::new(organisation_id, format!("{ROLLOVER}{period}#{budget_id}"))
}

/// The marker of a crossing that was told: `counter` is the name of the budget's counter, so a budget that is made again is
/// not told again; `level` is a percentage or a name.
pub(super) fn told(organisation_id: &str, period: Month, counter: &str, level: &str) -> Key {
    Key::new(organisation_id, format!("{TOLD}{period}#{counter}#{level}"))
}

/// That a policy fired for a subject.
pub(super) fn fired(organisation_id: &str, policy_id: &str, subject: &str) -> Key {
    Key::new(organisation_id, format!("{FIRED}{policy_id}#{subject}"))
}

/// Where the user's part of the names of holds leads to the user.
pub(super) fn holder(organisation_id: &str, user_part: &str) -> Key {
    Key::new(organisation_id, format!("holder#{user_part}"))
}

/// A notice as one address gets it; `mailbox` is a digest of the address.
pub(super) fn letter(organisation_id: &str, notice_id: &str, mailbox: &str) -> Key {
    Key::new(organisation_id, format!("letter#{notice_id}#{mailbox}"))
}

/// What the letters that wait for an address begin with.
pub(super) fn mailbox(mailbox: &str) -> String {
    format!("mailbox#{mailbox}#")
}

/// That somebody sends what is in a box.
pub(super) fn lease(organisation_id: &str, mailbox: &str) -> Key {
    Key::new(organisation_id, format!("lease#{mailbox}"))
}

/// That a report of the mail service was heeded; `digest` is that of its id and the address.
pub(super) fn feedback(organisation_id: &str, digest: &str) -> Key {
    Key::new(organisation_id, format!("feedback#{digest}"))
}

/// A letter that waits; later ones of a box sort last.
pub(super) fn waiting(organisation_id: &str, of: &str, notice_id: &str) -> Key {
    Key::new(organisation_id, format!("{}{notice_id}", mailbox(of)))
}

/// How a webhook's receiver does.
pub(super) fn health(organisation_id: &str, webhook_id: &str) -> Key {
    Key::new(organisation_id, format!("health#{webhook_id}"))
}

/// What the deliveries of a webhook begin with.
pub(super) fn deliveries(webhook_id: &str) -> String {
    format!("delivery#{webhook_id}#")
}

/// A delivery; later ones of a webhook sort last.
pub(super) fn delivery(organisation_id: &str, webhook_id: &str, id: &str) -> Key {
    Key::new(organisation_id, format!("{}{id}", deliveries(webhook_id)))
}

/// A part of what a test of a policy remembers between two calls.
pub(super) fn backtest(organisation_id: &str, id: &str, part: usize) -> Key {
    // Parts are large: each has a partition to itself, away from what the organisation decides by.
    Key::new(format!("{organisation_id}#backtest#{id}#{part:06}"), ONLY)
}

/// The partition of the index `by_day`.
pub(super) fn day(organisation_id: &str, date: &str) -> String {
    format!("{organisation_id}#{date}")
}

/// That a difference was told.
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

/// That the audit log was found broken at an entry.
pub(super) fn broken_log(organisation_id: &str, seq: u64) -> Key {
    Key::new(organisation_id, format!("brokenlog#{seq:012}"))
}

/// What GitHub's webhooks of an organisation are read with.
pub(super) fn github(organisation_id: &str) -> Key {
    Key::new(organisation_id, "integration#github")
}

/// An organisation's own table of risks.
pub(super) fn github_risks(organisation_id: &str) -> Key {
    Key::new(organisation_id, "integration#github#risks")
}

/// When an organisation's books were last compared.
pub(super) fn audited(organisation_id: &str) -> Key {
    Key::new(organisation_id, "audited")
}

/// Where the schedule goes on that ran out of time.
pub(super) fn schedule_cursor() -> Key {
    Key::new("@schedule", "cursor")
}

/// Where a secret leads to its organisation; `digest` is its SHA-256 in hex.
pub(super) fn secret(digest: &str) -> Key {
    Key::new(format!("@key#{digest}"), "key")
}

/// Where a client's id leads to its organisation.
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

/// The record of an event, and before that its claim.
pub(super) fn record(organisation_id: &str, identity: &EventIdentity) -> Key {
    Key::new(format!("{organisation_id}#record#{identity}"), ONLY)
}

/// The record of a correction.
pub(super) fn correction(organisation_id: &str, id: &str) -> Key {
    Key::new(format!("{organisation_id}#correction#{id}"), ONLY)
}

/// The identity in the key of a record.
pub(super) fn identity_of(organisation_id: &str, pk: &str) -> Option<EventIdentity> {
    let rest = pk.strip_prefix(organisation_id)?;
    rest.strip_prefix("#record#").map(EventIdentity::from_key)
}

/// The partition of the events that somebody should look at.
pub(super) fn flagged_of(organisation_id: &str) -> String {
    format!("{organisation_id}#flagged")
}

/// What the flagged events of a kind begin with.
pub(super) fn flagged_as(flag: Flag) -> String {
    format!("{}#", flag.as_str())
}

/// A flagged event; later ones of a kind sort last.
pub(super) fn flagged(
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

/// That trouble with events was told.
pub(super) fn trouble(organisation_id: &str, of: &str) -> Key {
    Key::new(organisation_id, format!("trouble#{of}"))
}

/// A refused preflight.
pub(super) fn refusal(organisation_id: &str, refusal_id: &str) -> Key {
    Key::new(format!("{organisation_id}#refused#{refusal_id}"), ONLY)
}

/// The partition of the counts of refused preflights.
pub(super) fn refusals_of(organisation_id: &str) -> String {
    format!("{organisation_id}#refusals")
}

/// How often a user was refused for a reason in an hour; later hours sort last.
pub(super) fn refusals(organisation_id: &str, hour: &str, user_id: &str, reason: &str) -> Key {
    let sk = format!("{hour}#{user_id}#{reason}");
    Key::new(refusals_of(organisation_id), sk)
}

/// How many of them the audit log knows of.
pub(super) fn refused_told(organisation_id: &str, hour: &str, user_id: &str, reason: &str) -> Key {
    let sk = format!("{REFUSED}{hour}#{user_id}#{reason}");
    Key::new(organisation_id, sk)
}

pub(super) fn abandoned(organisation_id: &str, hold_id: &HoldId) -> Key {
    Key::new(format!("{organisation_id}#abandoned#{hold_id}"), ONLY)
}

/// The hold in the key of the record of an abandoned one.
pub(super) fn abandoned_hold_of(organisation_id: &str, pk: &str) -> Option<HoldId> {
    let rest = pk.strip_prefix(organisation_id)?;
    rest.strip_prefix("#abandoned#").and_then(HoldId::parse)
}

pub(super) fn resolution(organisation_id: &str, hold_id: &HoldId) -> Key {
    Key::new(format!("{organisation_id}#resolution#{hold_id}"), ONLY)
}

pub(super) fn totals(organisation_id: &str, period: Month) -> String {
    format!("{organisation_id}#total#{period}")
}

pub(super) const DEPARTMENT_TOTAL: &str = "department#";

pub(super) fn department_total(organisation_id: &str, period: Month, path: &str) -> Key {
    Key::new(
        totals(organisation_id, period),
        format!("{DEPARTMENT_TOTAL}{path}"),
    )
}

/// Counts the charges of a month that were recorded while it had no cell.
pub(super) fn charges_without_cell(organisation_id: &str, period: Month) -> Key {
    Key::new(totals(organisation_id, period), "charges_without_cell")
}

/// A row of the reports: `bucket` is an hour, a day or a month.
pub(super) fn usage(organisation_id: &str, bucket: &str, sk: &str) -> Key {
    Key::new(format!("{organisation_id}#usage#{bucket}"), sk)
}

/// What a user has used in a month, and on each of its days.
pub(super) fn user_month(organisation_id: &str, user_id: &str, month: Month) -> Key {
    Key::new(
        format!("{organisation_id}#user#{user_id}"),
        month.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_begins_with_the_organisation_or_leads_to_it() {
        let month = Month::new(2026, 11).unwrap();
        for pk in [
            cell("acme", month),
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
