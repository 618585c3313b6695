//! Rows of the configuration, as changes write them.

use super::Store;
use super::error::StoreError;
use super::item::{Item, expires_at, number};
use super::keys::{self, BUDGET, DEPARTMENT, ENDED, GONE, Key, MOVE, PLACEMENT, USER};
use super::tables::{TTL, Table};
use super::unknown::carry_over;
use super::write::{If, Write};
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::org::budget::{Budget, EndedBudget};
use crate::domain::org::department::{DeletedDepartment, Department, DepartmentMove};
use crate::domain::org::people::User;
use crate::domain::org::placement::Placement;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The attribute of a row that has everything but its key.
pub(super) const DATA: &str = "data";

/// How long an accepted event may wait until it is recorded: twice the two weeks of a dead-letter
/// queue.
pub(super) const WAITING_SECONDS: i64 = 28 * 24 * 3600;

/// The user whose holds have names with the same beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) user_id: String,
}

/// Reads the data of a row and writes it again, which leaves out what this version does not know.
type Reread = fn(AttributeValue) -> Result<AttributeValue, StoreError>;

/// A row that a change writes or deletes.
#[derive(Clone, Debug)]
pub struct Row {
    pub(super) key: Key,
    pub(super) item: Option<Item>,
    /// Whether it is written only if its key has no item.
    is_new: bool,
    /// Some if it takes the place of an item that may have more than this version knows.
    replaces: Option<Reread>,
}

/// Builds the item of a row.
pub(super) fn row<T: Serialize>(key: &Key, data: &T) -> Result<Item, StoreError> {
    let mut item = key.attributes();
    item.insert(DATA.to_owned(), serde_dynamo::to_attribute_value(data)?);
    Ok(item)
}

impl Row {
    pub(super) fn new<T: Serialize>(key: Key, data: &T) -> Result<Self, StoreError> {
        Ok(Self {
            item: Some(row(&key, data)?),
            key,
            is_new: false,
            replaces: None,
        })
    }

    /// Builds a row that takes the place of an item. What that has and this version does not know
    /// is carried over.
    pub(super) fn replacing<T: Serialize + DeserializeOwned>(
        key: Key,
        data: &T,
    ) -> Result<Self, StoreError> {
        let reread: Reread = |stored| {
            let known: T = serde_dynamo::from_attribute_value(stored)?;
            Ok(serde_dynamo::to_attribute_value(known)?)
        };
        Ok(Self {
            replaces: Some(reread),
            ..Self::new(key, data)?
        })
    }

    pub(super) fn gone(key: Key) -> Self {
        Self {
            key,
            item: None,
            is_new: false,
            replaces: None,
        }
    }

    /// Writes the row only if its key has no item. Otherwise the whole transaction does nothing.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.is_new = true;
        self
    }

    pub fn placement(organisation_id: &str, placement: &Placement) -> Result<Self, StoreError> {
        Self::replacing(keys::governance(organisation_id, PLACEMENT), placement)
    }

    pub fn budget(organisation_id: &str, budget: &Budget) -> Result<Self, StoreError> {
        let sk = format!("{BUDGET}{}", budget.id);
        Self::replacing(keys::governance(organisation_id, sk), budget)
    }

    pub fn no_budget(organisation_id: &str, id: &str) -> Self {
        Self::gone(keys::governance(organisation_id, format!("{BUDGET}{id}")))
    }

    /// Builds the row of a deleted budget, which is kept as long as a month that it counts in may
    /// be closed or corrected.
    pub fn ended_budget(
        organisation_id: &str,
        ended: &EndedBudget,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut row = Self::new(ended_budget(organisation_id, &ended.budget.id), ended)?;
        row.expire(expires_at(now));
        Ok(row)
    }

    /// Deletes the row of a deleted budget that no month needs.
    pub fn no_ended_budget(organisation_id: &str, id: &str) -> Self {
        Self::gone(ended_budget(organisation_id, id))
    }

    pub fn department(organisation_id: &str, department: &Department) -> Result<Self, StoreError> {
        let sk = format!("{DEPARTMENT}{}", department.id);
        Self::replacing(keys::governance(organisation_id, sk), department)
    }

    /// Deletes a department and stores its remains, which are kept as long as late usage may name
    /// it.
    pub fn no_department(
        organisation_id: &str,
        id: &str,
        gone: &DeletedDepartment,
        now: Timestamp,
    ) -> Result<[Self; 2], StoreError> {
        let key = keys::governance(organisation_id, format!("{DEPARTMENT}{id}"));
        let mut remembered = Self::new(deleted_department(organisation_id, gone), gone)?;
        remembered.expire(expires_at(now) + WAITING_SECONDS);
        Ok([Self::gone(key), remembered])
    }

    /// Deletes the remains of a department that is created again.
    pub fn not_deleted(organisation_id: &str, gone: &DeletedDepartment) -> Self {
        Self::gone(deleted_department(organisation_id, gone))
    }

    pub fn user(organisation_id: &str, user: &User) -> Result<Self, StoreError> {
        let sk = format!("{USER}{}", user.id);
        Self::replacing(keys::governance(organisation_id, sk), user)
    }

    /// Builds the row that leads from the name of a hold to its user. It is written with the user
    /// and never expires.
    pub fn holder(organisation_id: &str, user_id: &str) -> Result<Self, StoreError> {
        let user_part = HoldKey::user_part_of(organisation_id, user_id);
        let holder = Holder {
            user_id: user_id.to_owned(),
        };
        Self::new(keys::holder(organisation_id, &user_part), &holder)
    }

    /// Builds the row of a department's move, which is kept as long as late usage may be older than
    /// the move.
    pub fn moved(
        organisation_id: &str,
        moved: &DepartmentMove,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let sk = format!("{MOVE}{:010}", moved.tree);
        let mut row = Self::new(keys::governance(organisation_id, sk), moved)?;
        row.expire(expires_at(now) + WAITING_SECONDS);
        Ok(row)
    }

    /// Lets the row expire at `at`, in seconds.
    pub(super) fn expire(&mut self, at: i64) {
        if let Some(item) = &mut self.item {
            item.insert(TTL.to_owned(), number(at));
        }
    }
}

impl Store {
    /// Adds to rows that take the place of an item what that has and this version does not know.
    /// The caller's transaction must fail if one of these items has changed since.
    pub(crate) async fn carried_over(&self, rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let each = rows.into_iter().map(|mut row| async {
            let (Some(reread), Some(written)) = (row.replaces, row.item.as_mut()) else {
                return Ok(row);
            };
            let Some(stored) = self.item(Table::Governance, row.key.attributes()).await? else {
                return Ok(row);
            };
            let mut known = row.key.attributes();
            if let Some(data) = stored.get(DATA) {
                known.insert(DATA.to_owned(), reread(data.clone())?);
            }
            carry_over(&stored, &known, written);
            Ok(row)
        });
        try_join_all(each).await
    }

    /// Writes or deletes a row, as a part of a transaction.
    pub(crate) fn row_item(&self, row: Row) -> Result<Write, StoreError> {
        Ok(match row.item {
            Some(item) if row.is_new => Write::put(Table::Governance, item).only(If::Absent),
            Some(item) => Write::put(Table::Governance, item),
            None => Write::delete(Table::Governance, row.key.attributes()),
        })
    }
}

fn ended_budget(organisation_id: &str, id: &str) -> Key {
    keys::governance(organisation_id, format!("{ENDED}{id}"))
}

fn deleted_department(organisation_id: &str, gone: &DeletedDepartment) -> Key {
    keys::governance(organisation_id, format!("{GONE}{:010}", gone.index))
}
