//! Reads the secret, the users and the table of risks of GitHub's webhooks.

use crate::body::one_message;
use shared::domain::github::{MAX_ROWS, RiskRow};
use shared::domain::name::is_user_id;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use std::collections::{BTreeMap, BTreeSet};

/// The most logins of an organisation.
const MAX_LOGINS: usize = 1_000;
/// The allowed length of a secret in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

pub(super) fn read_secret(raw: &str) -> Result<String, String> {
    let text = parse::text(raw)?;
    let is_right = SECRET_BYTES.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    is_right
        .then_some(text)
        .ok_or_else(|| "must be 16 to 256 visible ASCII characters".to_owned())
}

fn is_login(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '[' | ']');
    (1..=64).contains(&text.len()) && text.chars().all(is_right)
}

pub(super) fn read_users(raw: &str) -> Result<BTreeMap<String, String>, String> {
    let rule = "must be an object from GitHub logins to user ids";
    let users = parse::texts_by_name(raw).map_err(|_| rule.to_owned())?;
    if users.len() > MAX_LOGINS {
        return Err(format!("must have at most {MAX_LOGINS} logins"));
    }
    let mut logins = BTreeSet::new();
    for (login, user_id) in &users {
        if !is_login(login) || !is_user_id(user_id) {
            return Err(rule.to_owned());
        }
        if !logins.insert(login.to_ascii_lowercase()) {
            return Err("must name each login once; upper and lower case are the same".to_owned());
        }
    }
    Ok(users)
}

fn word(raw: &str) -> Result<String, String> {
    let text = parse::text(raw)?;
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_word = (1..=64).contains(&text.len()) && text.chars().all(is_right);
    is_word
        .then_some(text)
        .ok_or_else(|| "must be 1 to 64 characters of a-z, 0-9 and _".to_owned())
}

/// Reads one row of the table. The message names the row and the fault.
fn row(index: usize, raw: &str) -> Result<RiskRow, String> {
    let mut fields = Fields::of_value(raw, &format!("items[{index}]")).map_err(one_message)?;
    let row = RiskRow {
        event: fields.required("event", word),
        action: fields.optional("action", word),
        risk_level: fields.optional("risk_level", parse::name),
    };
    let details = fields.into_details();
    if details.is_empty() {
        Ok(row)
    } else {
        Err(one_message(details))
    }
}

pub(super) fn read_rows(raw: &str) -> Result<Vec<RiskRow>, String> {
    let mut places = BTreeSet::new();
    let mut rows = Vec::new();
    for (index, raw) in parse::list(0, MAX_ROWS)(raw)?.iter().enumerate() {
        let row = row(index, raw)?;
        if !places.insert((row.event.clone(), row.action.clone())) {
            return Err(format!(
                "items[{index}] names an event and action a second time"
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}
