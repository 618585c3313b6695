//! The rows that say how long a hold lives, and who owns it.

use super::Store;
use super::error::StoreError;
use super::item::{expires_at, number, text};
use super::keys;
use super::resolutions::{LIVES_UNTIL, RENEWED, USAGE_UNTIL, settled_by};
use super::rows::Holder;
use super::tables::{TTL, Table};
use super::write::{Changes, If, Write};
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::org::people::User;
use jiff::{SignedDuration, Timestamp};

/// How long usage may wait to be recorded: as long as the queue keeps messages.
const USAGE_WAITS: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Store {
    /// Returns the owner of `hold_id`, or None if no such hold lives or its owner is unknown.
    pub async fn holder(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Option<String>, StoreError> {
        let rid = &hold_id.rid;
        let key = keys::holder(organisation_id, rid.user_part());
        if let Some(known) = self.row::<Holder>(key).await? {
            return Ok(Some(known.user_id));
        }
        // The hold's row was written by an earlier release. Read all users only if the hold is in
        // the cell.
        let cell = self.cell_of_hold(organisation_id, hold_id).await?;
        let known = cell.as_ref().and_then(|cell| cell.holds.get(rid));
        if !known.is_some_and(|hold| hold_id.names(hold)) {
            return Ok(None);
        }
        let is_holder = |user: &User| rid.belongs_to(organisation_id, &user.id);
        let found = self.users_that(organisation_id, is_holder).await?;
        Ok(found.into_iter().next().map(|user| user.id))
    }

    /// Writes the row that says until when a hold lives, as a part of a transaction, unless the
    /// hold has ended or the row says a later time.
    pub(crate) fn lives_item(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        hold: &Hold,
        now: Timestamp,
    ) -> Write {
        let until = i64::from(hold.expires_at);
        let shorter = [If::Lacks(LIVES_UNTIL), If::Below(LIVES_UNTIL, until)];
        let condition = [is_renewed(), If::Any(shorter.into())];
        lives_until(organisation_id, hold_id, (LIVES_UNTIL, until), now)
            .only(If::Any(vec![If::Absent, If::All(condition.into())]))
    }

    /// Keeps a hold until its usage, which is about to be queued, is recorded: it neither lapses
    /// nor can be voided. So a long queue, or an event that fails for days, opens no cap. Makes one
    /// conditional write, which changes nothing if the hold has ended or if it is repeated. If it
    /// has ended, says which event settled it.
    pub async fn await_usage(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<Awaited, StoreError> {
        let until = now.as_second().saturating_add(USAGE_WAITS.as_secs());
        let update = lives_until(organisation_id, hold_id, (USAGE_UNTIL, until), now);
        let update = update.only(If::Any(vec![If::Absent, is_renewed()]));
        Ok(match self.update_or_see(update).await? {
            None => Awaited::Kept,
            Some(seen) => Awaited::Ended {
                settled_by: settled_by(seen),
            },
        })
    }
}

/// What became of a hold whose usage is about to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// It lives until the usage is recorded, if it is a hold at all.
    Kept,
    /// It has ended before.
    Ended { settled_by: Option<EventIdentity> },
}

/// The row of a hold says that it lives.
fn is_renewed() -> If {
    If::Is("outcome", text(RENEWED))
}

/// Sets one of the times in the row that says until when a hold lives.
fn lives_until(
    organisation_id: &str,
    hold_id: &HoldId,
    (name, until): (&str, i64),
    now: Timestamp,
) -> Write {
    let key = keys::resolution(organisation_id, hold_id).attributes();
    let changes = Changes::default()
        .set("outcome", text(RENEWED))
        .set(name, number(until))
        .set(TTL, number(expires_at(now)));
    Write::update(Table::Ledger, key, changes)
}
