//! Writes as values: which item, what is put, set or added, and under which condition.

mod order;

use super::error::StoreError;
use super::expression::Expression;
use super::item::{Item, number};
use super::tables::{Table, Tables};
use crate::domain::ledger::cell_update::CellUpdate;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};
use std::collections::HashSet;

/// One write or check of an item, as a part of a transaction. Use cases collect writes of many
/// aggregates and pass them to [`super::Store::transact`], which makes requests of them.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    table: Table,
    verb: Verb,
    condition: Option<If>,
    /// A write that has to be made before, alone, and that may be repeated.
    before: Option<Box<Write>>,
    /// Whether it adds to a sum that is spread over several rows.
    is_spread: bool,
}

#[derive(Clone, Debug)]
enum Verb {
    Put(Item),
    /// Changes attributes of the item under a key. Begins the item if there is none.
    Update(Item, Changes),
    /// Updates the cell under a key. The update has its own conditions.
    Cell(Item, CellUpdate),
    Delete(Item),
    Check(Item),
}

/// Changes of attributes, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes(Vec<(String, Change)>);

#[derive(Clone, Debug)]
enum Change {
    Set(AttributeValue),
    /// Sets the attribute if it is missing.
    Begin(AttributeValue),
    /// Adds to a number, which counts as zero if it is missing.
    Add(AttributeValue),
    Remove,
}

/// A condition on the item as it is. A name may be a path, like `data.version`.
#[derive(Clone, Debug)]
pub(crate) enum If {
    /// The key has no item.
    Absent,
    /// The key has an item.
    Present,
    /// The item has no such attribute.
    Lacks(&'static str),
    Is(&'static str, AttributeValue),
    AtMost(&'static str, AttributeValue),
    Below(&'static str, i64),
    All(Vec<If>),
    Any(Vec<If>),
}

impl Changes {
    #[must_use]
    pub(crate) fn set(self, name: &str, value: AttributeValue) -> Self {
        self.with(name, Change::Set(value))
    }

    #[must_use]
    pub(crate) fn begin(self, name: &str, value: AttributeValue) -> Self {
        self.with(name, Change::Begin(value))
    }

    #[must_use]
    pub(crate) fn add(self, name: &str, more: impl ToString) -> Self {
        self.with(name, Change::Add(number(more)))
    }

    #[must_use]
    pub(crate) fn remove(self, name: &str) -> Self {
        self.with(name, Change::Remove)
    }

    fn with(mut self, name: &str, change: Change) -> Self {
        self.0.push((name.to_owned(), change));
        self
    }
}

impl Write {
    pub(crate) fn put(table: Table, item: Item) -> Self {
        Self::of(table, Verb::Put(item))
    }

    pub(crate) fn update(table: Table, key: Item, changes: Changes) -> Self {
        Self::of(table, Verb::Update(key, changes))
    }

    pub(crate) fn cell(key: Item, update: CellUpdate) -> Self {
        Self::of(Table::Counters, Verb::Cell(key, update))
    }

    pub(crate) fn delete(table: Table, key: Item) -> Self {
        Self::of(table, Verb::Delete(key))
    }

    /// Requires `condition` of an item that the transaction does not change.
    pub(crate) fn check(table: Table, key: Item, condition: If) -> Self {
        Self::of(table, Verb::Check(key)).only(condition)
    }

    /// Requires `condition`. If it is false, the whole transaction does nothing.
    #[must_use]
    pub(crate) fn only(self, condition: If) -> Self {
        Self {
            condition: Some(condition),
            ..self
        }
    }

    pub(super) fn is_cell_update_of(&self, key: &Item) -> bool {
        matches!(&self.verb, Verb::Cell(of, _) if of == key)
    }

    /// Returns None if it is no update of a cell.
    pub(super) fn into_cell_update(self) -> Option<CellUpdate> {
        match self.verb {
            Verb::Cell(_, update) => Some(update),
            _ => None,
        }
    }

    /// Returns the table and the key of the item.
    fn place(&self) -> (Table, [Option<&String>; 2]) {
        let (Verb::Put(item)
        | Verb::Update(item, _)
        | Verb::Cell(item, _)
        | Verb::Delete(item)
        | Verb::Check(item)) = &self.verb;
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        (self.table, [text(self.table.key()), text("sk")])
    }

    fn of(table: Table, verb: Verb) -> Self {
        Self {
            table,
            verb,
            condition: None,
            before: None,
            is_spread: false,
        }
    }

    /// Builds the request of this part of a transaction.
    pub(super) fn into_part(self, tables: &Tables) -> Result<TransactWriteItem, StoreError> {
        let table = tables.name(self.table);
        let mut expression = match &self.verb {
            Verb::Cell(_, update) => Expression::of(update),
            Verb::Update(_, changes) => Expression::of_changes(changes),
            Verb::Put(_) | Verb::Delete(_) | Verb::Check(_) => Expression::default(),
        };
        if let Some(condition) = &self.condition {
            expression.condition = expression.on(condition, self.table.key());
        }
        let update = expression.update;
        let condition = Some(expression.condition).filter(|condition| !condition.is_empty());
        let names = Some(expression.names).filter(|names| !names.is_empty());
        let values = Some(expression.values).filter(|values| !values.is_empty());
        let part = TransactWriteItem::builder();
        let part = match self.verb {
            Verb::Put(item) => part.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Verb::Update(key, _) | Verb::Cell(key, _) => part.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Verb::Delete(key) => part.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Verb::Check(key) => part.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
        };
        Ok(part.build())
    }
}

/// Returns an error if two parts of a transaction are of one item. DynamoDB refuses such a
/// transaction however often it is tried.
pub(super) fn check_distinct(parts: &[Write]) -> Result<(), StoreError> {
    let mut places = HashSet::new();
    match parts.iter().find(|part| !places.insert(part.place())) {
        Some(second) => {
            let table = second.table;
            let what = format!("two parts of a transaction are of one item of {table:?}");
            Err(StoreError::unreadable(what))
        }
        None => Ok(()),
    }
}

impl Expression {
    fn of_changes(Changes(changes): &Changes) -> Self {
        let mut out = Self::default();
        let (mut sets, mut adds, mut removes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, change) in changes {
            let name = out.name(name);
            match change {
                Change::Set(value) => sets.push(format!("{name} = {}", out.value(value.clone()))),
                Change::Begin(value) => {
                    let value = out.value(value.clone());
                    sets.push(format!("{name} = if_not_exists({name}, {value})"));
                }
                Change::Add(more) => adds.push(format!("{name} {}", out.value(more.clone()))),
                Change::Remove => removes.push(name),
            }
        }
        let clauses = [("SET", sets), ("ADD", adds), ("REMOVE", removes)];
        let clauses = clauses.iter().filter(|(_, each)| !each.is_empty());
        let clauses: Vec<String> = clauses
            .map(|(verb, each)| format!("{verb} {}", each.join(", ")))
            .collect();
        out.update = clauses.join(" ");
        out
    }

    /// Says a condition. `key` is an attribute that every item of the table has.
    fn on(&mut self, condition: &If, key: &str) -> String {
        match condition {
            If::Absent => format!("attribute_not_exists({key})"),
            If::Present => format!("attribute_exists({key})"),
            If::Lacks(path) => format!("attribute_not_exists({})", self.path(path)),
            If::Is(path, value) => format!("{} = {}", self.path(path), self.value(value.clone())),
            If::AtMost(path, most) => {
                format!("{} <= {}", self.path(path), self.value(most.clone()))
            }
            If::Below(path, end) => format!("{} < {}", self.path(path), self.value(number(end))),
            If::All(each) => self.joined(each, " AND ", key),
            If::Any(each) => self.joined(each, " OR ", key),
        }
    }

    fn joined(&mut self, each: &[If], with: &str, key: &str) -> String {
        let each: Vec<String> = each.iter().map(|one| self.on(one, key)).collect();
        format!("({})", each.join(with))
    }

    fn path(&mut self, path: &str) -> String {
        let names: Vec<String> = path.split('.').map(|name| self.name(name)).collect();
        names.join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::text;

    fn key() -> Item {
        Item::from([("pk".to_owned(), text("acme"))])
    }

    fn part(write: Write) -> TransactWriteItem {
        write.into_part(&Tables::local()).unwrap()
    }

    #[test]
    fn a_change_of_each_kind_has_its_clause() {
        let changes = Changes::default()
            .set("last", text("b"))
            .add("count", 3)
            .begin("first", text("a"))
            .remove("uncounted");
        let update = part(Write::update(Table::Ledger, key(), changes))
            .update
            .unwrap();
        assert_eq!(update.table_name, "Ledger");
        assert_eq!(
            update.update_expression,
            "SET #r0 = :v0, #r2 = if_not_exists(#r2, :v2) ADD #r1 :v1 REMOVE #r3"
        );
        assert_eq!(update.expression_attribute_names.unwrap()["#r1"], "count");
        assert_eq!(update.condition_expression, None);
    }

    #[test]
    fn conditions_nest_and_know_the_key_of_their_table() {
        let condition = If::Any(vec![
            If::Absent,
            If::All(vec![
                If::Is("outcome", text("renewed")),
                If::Lacks("until"),
                If::Below("data.until", 5),
            ]),
        ]);
        for (table, key_name) in [(Table::Counters, "k"), (Table::Governance, "pk")] {
            let put = part(Write::put(table, key()).only(condition.clone()))
                .put
                .unwrap();
            let expected = format!(
                "(attribute_not_exists({key_name}) OR (#r0 = :v0 AND attribute_not_exists(#r1) \
                 AND #r2.#r1 < :v1))"
            );
            assert_eq!(put.condition_expression.unwrap(), expected);
        }
    }

    #[test]
    fn a_write_without_a_condition_names_nothing() {
        let delete = part(Write::delete(Table::Governance, key()))
            .delete
            .unwrap();
        assert_eq!(delete.condition_expression, None);
        assert_eq!(delete.expression_attribute_names, None);
        assert_eq!(delete.expression_attribute_values, None);
    }

    #[test]
    fn a_transaction_names_an_item_once_whatever_it_does_with_it() {
        let of =
            |sk: &str| Item::from([("pk".to_owned(), text("acme")), ("sk".to_owned(), text(sk))]);
        let cell = |k: &str| Item::from([("k".to_owned(), text(k))]);
        let distinct = [
            Write::put(Table::Ledger, of("a")),
            Write::put(Table::Governance, of("a")),
            Write::delete(Table::Ledger, of("b")),
            Write::cell(cell("acme.2026-11"), CellUpdate::default()),
            Write::check(Table::Counters, cell("acme.2026-12"), If::Absent),
        ];
        assert!(check_distinct(&distinct).is_ok());
        let mut rest = of("a");
        rest.insert("data".to_owned(), text("x"));
        for again in [
            Write::put(Table::Ledger, rest),
            Write::update(Table::Ledger, of("b"), Changes::default()),
            Write::check(Table::Counters, cell("acme.2026-11"), If::Absent),
            Write::cell(cell("acme.2026-11"), CellUpdate::default()),
        ] {
            let twice: Vec<Write> = distinct.iter().cloned().chain([again]).collect();
            let refused = check_distinct(&twice);
            assert!(
                matches!(refused, Err(StoreError::Unreadable(_))),
                "{refused:?}"
            );
        }
    }
}
