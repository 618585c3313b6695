//! Stores the configuration as rows, and reads all of them at one epoch.

use super::Store;
use super::call::ATTEMPTS;
use super::error::StoreError;
use super::item::Item;
use super::keys::{
    self, ALIAS, BUDGET, CONFIGURATION, DEPARTMENT, DISCOUNT, ENDED, GONE, GRANT, HEAD, MOVE,
    PLACEMENT, PRICE,
};
use super::rows::DATA;
use super::tables::Table;
use crate::backoff::back_off;
use crate::domain::exemption::grant::Grant;
use crate::domain::org::budget::{Budget, EndedBudget};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::{DeletedDepartment, Department, DepartmentMove};
use crate::domain::org::organisation::Organisation;
use crate::domain::org::placement::Placement;
use crate::domain::period::Month;
use crate::domain::pricing::own::OwnPrices;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The head: the row that every change of an organisation updates. It holds settings and sequence
/// numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Which versions may read the organisation's data: those whose [`READER`] is not below it.
    #[serde(default = "first_reader")]
    pub min_reader: u32,
    /// Counts the changes that a decision could see.
    pub epoch: u64,
    /// Counts the moves of departments.
    pub tree: u32,
    /// Counts all changes. Equals the number of the last audit entry.
    pub seq: u64,
    pub audit_hash: String,
    /// The number of the next department.
    pub next_department: u32,
    /// The number of the next exemption that is approved.
    pub next_exemption: u32,
    /// The last closed month. Its rollovers are credited.
    #[serde(default)]
    pub closed_through: Option<Month>,
    /// The last corrected month. Its rollovers are final.
    #[serde(default)]
    pub corrected_through: Option<Month>,
    /// Counts the policies and their changes.
    #[serde(default)]
    pub policies: PolicyCounts,
    /// The number of webhooks.
    #[serde(default)]
    pub webhooks: u64,
    pub organisation: Organisation,
    /// The item that it was read from, which may have more.
    #[serde(skip)]
    pub(super) stored: Item,
}

fn first_reader() -> u32 {
    1
}

/// The form of data that this version reads. The next form has the next number.
pub const READER: u32 = 2;
/// The least form that a reader of what this version writes has to know. It is raised by a release
/// that writes what earlier ones would misread, and not before a release that reads it.
pub(crate) const WRITTEN: u32 = 2;

/// The head's counts of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCounts {
    /// Counts the changes that an evaluation can see: a policy published, disabled or deleted.
    pub revision: u64,
    /// The number of all policies.
    pub known: u64,
    /// The number of active policies.
    pub active: u64,
}

impl Head {
    /// Creates the head of a new organisation, before its first change.
    pub(crate) fn new(organisation: Organisation) -> Self {
        Self {
            min_reader: WRITTEN,
            epoch: 1,
            tree: 0,
            seq: 0,
            audit_hash: String::new(),
            next_department: 0,
            next_exemption: 0,
            closed_through: None,
            corrected_through: None,
            policies: PolicyCounts::default(),
            webhooks: 0,
            organisation,
            stored: Item::new(),
        }
    }
}

/// Reads the head, which says whether this version may read the rest.
fn head_of(mut item: Item) -> Result<Head, StoreError> {
    item.remove("pk");
    item.remove("sk");
    let least = item.get("min_reader").and_then(|least| least.as_n().ok());
    let least = least.and_then(|least| least.parse().ok());
    if let Some(needed) = least.filter(|least| *least > READER) {
        return Err(StoreError::Newer { needed });
    }
    let head: Head = serde_dynamo::from_item(item.clone())?;
    Ok(Head {
        stored: item,
        ..head
    })
}

/// Reads the `data` of a row.
pub(super) fn data<T: DeserializeOwned>(mut item: Item) -> Result<T, StoreError> {
    let data = item
        .remove(DATA)
        .ok_or_else(|| StoreError::unreadable("a row without data"))?;
    Ok(serde_dynamo::from_attribute_value(data)?)
}

impl Store {
    /// Reads the head of an organisation consistently. Returns None if there is no such
    /// organisation.
    pub async fn head(&self, organisation_id: &str) -> Result<Option<Head>, StoreError> {
        let key = keys::head(organisation_id).attributes();
        let item = self.item(Table::Governance, key).await?;
        item.map(head_of).transpose()
    }

    /// Reads the configuration in force: all rows of one epoch.
    pub async fn configuration(
        &self,
        organisation_id: &str,
    ) -> Result<Option<Configuration>, StoreError> {
        let snapshot = self.snapshot(organisation_id).await?;
        Ok(snapshot.map(|(_, configuration)| configuration))
    }

    /// Reads the head and the configuration of its epoch. The rows are read between two reads of
    /// the head, and again if a change happened between these.
    pub(crate) async fn snapshot(
        &self,
        organisation_id: &str,
    ) -> Result<Option<(Head, Configuration)>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(before) = self.head(organisation_id).await? else {
                return Ok(None);
            };
            let rows = self.rows_under(organisation_id, CONFIGURATION).await?;
            let Some((head, configuration)) = compile(rows)? else {
                return Ok(None);
            };
            let after = self.head(organisation_id).await?;
            let is_one_epoch = before.epoch == head.epoch;
            if is_one_epoch && after.is_some_and(|after| after.epoch == head.epoch) {
                return Ok(Some((head, configuration)));
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}

/// Builds a configuration from its rows. Returns None without a head.
fn compile(rows: Vec<Item>) -> Result<Option<(Head, Configuration)>, StoreError> {
    let mut head: Option<Head> = None;
    let mut departments = BTreeMap::new();
    let mut budgets = BTreeMap::new();
    let mut grants: Vec<Grant> = Vec::new();
    let mut moves: Vec<DepartmentMove> = Vec::new();
    let mut gone: Vec<DeletedDepartment> = Vec::new();
    let mut ended: Vec<EndedBudget> = Vec::new();
    let mut prices = OwnPrices::default();
    let mut placement = Placement::default();
    for mut row in rows {
        let Some(AttributeValue::S(sk)) = row.remove("sk") else {
            return Err(StoreError::unreadable("a row without a sort key"));
        };
        row.remove("pk");
        if sk == HEAD {
            head = Some(head_of(row)?);
        } else if sk.starts_with(BUDGET) {
            let budget: Budget = data(row)?;
            budgets.insert(budget.id.clone(), budget);
        } else if sk.starts_with(DEPARTMENT) {
            let department: Department = data(row)?;
            departments.insert(department.id.clone(), department);
        } else if sk.starts_with(GRANT) {
            grants.push(data(row)?);
        } else if sk.starts_with(MOVE) {
            moves.push(data(row)?);
        } else if sk.starts_with(GONE) {
            gone.push(data(row)?);
        } else if sk.starts_with(ENDED) {
            ended.push(data(row)?);
        } else if sk.starts_with(PRICE) {
            prices.add_price(data(row)?);
        } else if sk.starts_with(DISCOUNT) {
            prices.add_discount(data(row)?);
        } else if sk == PLACEMENT {
            placement = data(row)?;
        } else if sk.starts_with(ALIAS) {
            prices.add_alias(data(row)?);
        }
        // A later version knows what other rows are.
    }
    moves.sort_by_key(|moved| moved.tree);
    Ok(head.map(|head| {
        let configuration = Configuration {
            epoch: head.epoch,
            tree: head.tree,
            policies: head.policies.revision,
            organisation: head.organisation.clone(),
            departments,
            budgets,
            ended,
            grants,
            moves,
            gone,
            prices,
            next_department: head.next_department,
            placement,
        };
        (head, configuration)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    /// A head as a version wrote it that knew no readers.
    fn head() -> Item {
        let [id, name, zone] = ["acme", "Acme", "UTC"].map(str::to_owned);
        let organisation = Organisation::new(id, name, zone, Timestamp::UNIX_EPOCH);
        let head = json!({
            "epoch": 7, "tree": 0, "seq": 9, "audit_hash": "", "next_department": 1,
            "next_exemption": 0, "organisation": organisation, "later": {"a": 1},
        });
        serde_dynamo::to_item(head).unwrap()
    }

    #[test]
    fn a_head_is_read_by_versions_that_know_the_form_of_its_data_and_by_no_other() {
        assert_eq!(head_of(head()).unwrap().min_reader, 1);
        for (least, is_read) in [(0, true), (READER, true), (READER + 1, false), (99, false)] {
            let mut item = head();
            item.insert(
                "min_reader".to_owned(),
                AttributeValue::N(least.to_string()),
            );
            // What else it has may have another form, too.
            if !is_read {
                item.remove("tree");
            }
            match head_of(item) {
                Ok(head) => assert!(is_read && head.min_reader == least, "{least}"),
                Err(StoreError::Newer { needed }) => assert!(!is_read && needed == least),
                Err(error) => panic!("{least}: {error}"),
            }
        }
    }

    #[test]
    fn a_row_of_an_unknown_kind_is_left_alone_and_a_known_one_without_data_is_not() {
        let row = |sk: &str| Item::from([("sk".to_owned(), AttributeValue::S(sk.to_owned()))]);
        let with = |sk: &str| {
            let mut known = head();
            known.extend(row(HEAD));
            compile(vec![known, row(sk)])
        };
        let read = with("config#later#1").unwrap().unwrap().1;
        assert!(read.budgets.is_empty() && read.departments.is_empty());
        assert!(with("config#budget#1").is_err());
    }
}
