//! Reads and updates cells.

use super::call::{ATTEMPTS, Transacted, is_throttled, is_transaction_conflict};
use super::cell_item::{cell_from_item, cell_to_item};
use super::error::StoreError;
use super::expression::Expression;
use super::item::{Item, number, text};
use super::tables::Table;
use super::unknown::carry_over;
use super::write::{If, Write};
use super::{Store, keys};
use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::CellUpdate;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use std::collections::HashMap;

/// How long a cell is kept after its period: 13 months, as long as an event may arrive.
const KEPT_SECONDS: i64 = 396 * 24 * 3600;

/// The outcome of a cell's update.
#[derive(Debug)]
pub(crate) enum Updated {
    /// It took effect. Holds the new cell, if one was updated alone.
    Applied(Option<Cell>),
    /// A condition was false. Holds the cell at that moment. None if there is no cell, or if
    /// several were to be updated.
    Refused(Option<Cell>),
}

fn key(organisation_id: &str, period: Month, cell: u32) -> Item {
    let key = keys::cell(organisation_id, period, cell);
    Item::from([("k".to_owned(), text(key))])
}

impl Store {
    /// Returns the sum of the cells of a period, or None if the period has none.
    pub async fn cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let cells = self.all_cells(organisation_id, period).await?;
        Ok(cells.map(Cell::sum_of))
    }

    /// Returns all cells of a period, home first, so that they can be added up: nothing moved from
    /// one to another while they were read. None if the period has none.
    pub(crate) async fn all_cells(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<Option<Vec<Cell>>, StoreError> {
        let mut home = self.cell_at(organisation_id, period, HOME).await?;
        for attempt in 0..ATTEMPTS {
            let Some(before) = home else {
                return Ok(None);
            };
            if before.others == 0 {
                return Ok(Some(vec![before]));
            }
            let others = self.other_cells(organisation_id, period, before.others);
            let others = others.await?;
            home = self.cell_at(organisation_id, period, HOME).await?;
            if let Some(after) = &home
                && after.is_unmoved_since(&before)
                && others.iter().all(|cell| cell.epoch == after.epoch)
            {
                return Ok(Some(std::iter::once(after.clone()).chain(others).collect()));
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Returns one cell of a period, read consistently.
    pub(crate) async fn cell_at(
        &self,
        organisation_id: &str,
        period: Month,
        cell: u32,
    ) -> Result<Option<Cell>, StoreError> {
        let item = self.cell_item(organisation_id, period, cell).await?;
        let read = |item: &Item| cell_from_item(cell, item);
        item.as_ref().map(read).transpose()
    }

    /// Returns the cell that a hold is in, or was.
    pub(crate) async fn cell_of_hold(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
    ) -> Result<Option<Cell>, StoreError> {
        self.cell_at(organisation_id, hold_id.period, hold_id.rid.cell())
            .await
    }

    /// Returns the cells of a period beside home, each read consistently, in order. One that has
    /// expired is empty.
    pub(crate) async fn other_cells(
        &self,
        organisation_id: &str,
        period: Month,
        others: u32,
    ) -> Result<Vec<Cell>, StoreError> {
        let keys = (1..=others).map(|cell| key(organisation_id, period, cell));
        let items = self.items(&self.tables.counters, keys.collect(), None);
        let items = items.await?;
        let name = |item: &Item| item.get("k")?.as_s().ok().cloned();
        let named = items.iter().filter_map(|item| Some((name(item)?, item)));
        let named: HashMap<String, &Item> = named.collect();
        let each = (1..=others).map(|cell| {
            let key = keys::cell(organisation_id, period, cell);
            let item = named.get(&key).copied();
            item.map_or_else(|| Ok(Cell::default()), |item| cell_from_item(cell, item))
        });
        each.collect()
    }

    async fn cell_item(
        &self,
        organisation_id: &str,
        period: Month,
        cell: u32,
    ) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(organisation_id, period, cell)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        Ok(answer.item)
    }

    /// Makes the updates of cells together: one as a plain conditional write, several as a
    /// transaction.
    pub(crate) async fn update_cells(
        &self,
        organisation_id: &str,
        period: Month,
        mut updates: CellUpdates,
    ) -> Result<Updated, StoreError> {
        if let Some((cell, update)) = updates.single() {
            return self
                .update_cell(organisation_id, period, cell, update)
                .await;
        }
        updates.count_move();
        let parts = self.cells_items(organisation_id, period, updates);
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Updated::Applied(None),
            Transacted::Refused(_) => Updated::Refused(None),
        })
    }

    /// Makes one conditional write. Retries after a collision with a transaction on the same item,
    /// and while the item takes no more: a decision's deadline ends that.
    async fn update_cell(
        &self,
        organisation_id: &str,
        period: Month,
        cell: u32,
        update: &CellUpdate,
    ) -> Result<Updated, StoreError> {
        let expression = Expression::of(update);
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.counters)
                .set_key(Some(key(organisation_id, period, cell)))
                .condition_expression(&expression.condition)
                .update_expression(&expression.update)
                .set_expression_attribute_names(
                    (!expression.names.is_empty()).then(|| expression.names.clone()),
                )
                .set_expression_attribute_values(Some(expression.values.clone()))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let error = match call.send().await {
                Ok(answer) => {
                    let item = answer.attributes.unwrap_or_default();
                    return Ok(Updated::Applied(Some(cell_from_item(cell, &item)?)));
                }
                Err(error) => error,
            };
            if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) =
                error.as_service_error()
            {
                let item = failed.item.as_ref().filter(|item| !item.is_empty());
                let read = |item: &Item| cell_from_item(cell, item);
                return Ok(Updated::Refused(item.map(read).transpose()?));
            }
            if !is_transaction_conflict(&error) && !is_throttled(&error) {
                return Err(error.into());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// The updates of cells as parts of a transaction.
    pub(crate) fn cells_items(
        &self,
        organisation_id: &str,
        period: Month,
        updates: CellUpdates,
    ) -> Vec<Write> {
        let each = updates.into_each();
        each.map(|(cell, update)| Write::cell(key(organisation_id, period, cell), update))
            .collect()
    }

    /// Takes the updates of cells of a period out of the parts of a transaction. `others` is the
    /// number of cells beside home.
    pub(crate) fn take_cell_updates(
        &self,
        organisation_id: &str,
        period: Month,
        others: u32,
        parts: &mut Vec<Write>,
    ) -> CellUpdates {
        let mut taken = CellUpdates::default();
        for cell in HOME..=others {
            let key = key(organisation_id, period, cell);
            let at = parts.iter().position(|part| part.is_cell_update_of(&key));
            let update = at.and_then(|at| parts.remove(at).into_cell_update());
            if let Some(update) = update {
                *taken.at(cell) = update;
            }
        }
        taken
    }

    /// Requires that a period has no cell, as a part of a transaction.
    pub(crate) fn no_cell_item(&self, organisation_id: &str, period: Month) -> Write {
        let home = key(organisation_id, period, HOME);
        Write::check(Table::Counters, home, If::Absent)
    }

    /// Requires that `configuration` is in force, as a part of a transaction.
    pub(crate) fn same_epoch_item(&self, configuration: &Configuration) -> Write {
        let head = keys::head(&configuration.organisation.id).attributes();
        let condition = If::Is("epoch", number(configuration.epoch));
        Write::check(Table::Governance, head, condition)
    }

    /// Writes the cell `of` of `period` if it is as `behind` says, or if there is none. What
    /// the item has that this version does not know is carried over.
    pub(crate) async fn opened_cell_item(
        &self,
        organisation: &Organisation,
        (period, of): (Month, u32),
        cell: &Cell,
        behind: Option<&Cell>,
    ) -> Result<Write, StoreError> {
        let expires_at = organisation.month_end(period).as_second() + KEPT_SECONDS;
        let key = keys::cell(&organisation.id, period, of);
        let mut item = cell_to_item(&key, cell, expires_at);
        if behind.is_some()
            && let Some(stored) = self.cell_item(&organisation.id, period, of).await?
        {
            let known = cell_to_item(&key, &cell_from_item(of, &stored)?, expires_at);
            carry_over(&stored, &known, &mut item);
        }
        let condition = behind.map_or(If::Absent, |known| If::Is("v", number(known.version)));
        Ok(Write::put(Table::Counters, item).only(condition))
    }
}
