//! The records of abandoned holds that were charged.

use super::item::{expires_at, number, text};
use super::keys::by_day;
use super::resolutions::Resolved;
use super::tables::{TTL, Table};
use super::totals::Sums;
use super::usage_rows::Added;
use super::write::Write;
use super::{Store, keys};
use crate::domain::ledger::hold_id::HoldId;
use jiff::Timestamp;

impl Store {
    /// Writes an abandoned hold that is charged: its record, the total of its department, and its
    /// row of usage.
    pub(crate) fn abandoned_items(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Vec<Write> {
        let charged = resolved.resolution.charged();
        let path = resolved.path.to_text();
        let total = keys::department_total(organisation_id, hold_id.period, &path);
        let expires_at = expires_at(now);
        let mut parts = vec![self.add_to_total(&total, Sums::one(charged), expires_at)];
        parts.push(self.abandoned_item(organisation_id, hold_id, resolved, now));
        let of = (resolved.reported_in.as_slice(), &resolved.path);
        let added = Added::abandoned(charged);
        parts.extend(self.abandoned_rows(organisation_id, of, added, expires_at));
        parts
    }

    /// Builds the record of an abandoned hold that was charged.
    fn abandoned_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Write {
        let charged = resolved.resolution.charged();
        let mut item = keys::abandoned(organisation_id, hold_id).attributes();
        item.insert("path".to_owned(), text(resolved.path.to_text()));
        item.insert("type".to_owned(), text("abandoned_hold"));
        item.extend(by_day(organisation_id, now, &hold_id.to_string()));
        item.insert("period".to_owned(), text(hold_id.period));
        item.insert("tokens".to_owned(), number(charged.tokens));
        item.insert("pico_usd".to_owned(), number(charged.pico_usd));
        item.insert("recorded_at".to_owned(), text(now));
        item.insert(TTL.to_owned(), number(expires_at(now)));
        Write::put(Table::Ledger, item)
    }
}
