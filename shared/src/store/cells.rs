//! Reads and updates cells.

use super::call::{ATTEMPTS, is_transaction_conflict};
use super::error::StoreError;
use super::expression::{Expression, cell_from_item, cell_to_item};
use super::item::{Item, number, text};
use super::tables::{TTL, Table};
use super::unknown::carry_over;
use super::write::{Changes, If, Write};
use super::{Store, keys};
use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::CellUpdate;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::organisation::Organisation;
use crate::domain::period::Month;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};

/// How long a cell is kept after its period: 13 months, as long as an event may arrive.
const KEPT_SECONDS: i64 = 396 * 24 * 3600;

/// The outcome of a cell's update.
#[derive(Debug)]
pub(crate) enum Updated {
    /// It took effect. Holds the new cell.
    Applied(Cell),
    /// A condition was false. Holds the cell at that moment, or None if there is no cell.
    Refused(Option<Cell>),
}

fn key(organisation_id: &str, period: Month) -> Item {
    Item::from([("k".to_owned(), text(keys::cell(organisation_id, period)))])
}

impl Store {
    /// Returns the cell of a period, read consistently, or None if the period has no cell.
    pub async fn cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let item = self.cell_item(organisation_id, period).await?;
        item.as_ref().map(cell_from_item).transpose()
    }

    async fn cell_item(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(organisation_id, period)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        Ok(answer.item)
    }

    /// Makes one conditional write. Retries after a collision with a transaction on the same item.
    pub(crate) async fn update_cell(
        &self,
        organisation_id: &str,
        period: Month,
        update: &CellUpdate,
    ) -> Result<Updated, StoreError> {
        let expression = Expression::of(update);
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.counters)
                .set_key(Some(key(organisation_id, period)))
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
                    return Ok(Updated::Applied(cell_from_item(&item)?));
                }
                Err(error) => error,
            };
            if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) =
                error.as_service_error()
            {
                let item = failed.item.as_ref().filter(|item| !item.is_empty());
                return Ok(Updated::Refused(item.map(cell_from_item).transpose()?));
            }
            if !is_transaction_conflict(&error) {
                return Err(error.into());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// The same write as a part of a transaction.
    pub(crate) fn cell_update_item(
        &self,
        organisation_id: &str,
        period: Month,
        update: CellUpdate,
    ) -> Write {
        Write::cell(key(organisation_id, period), update)
    }

    /// Takes the update of the cell of a period out of the parts of a transaction.
    pub(crate) fn take_cell_update(
        &self,
        organisation_id: &str,
        period: Month,
        parts: &mut Vec<Write>,
    ) -> Option<CellUpdate> {
        let key = key(organisation_id, period);
        let at = parts.iter().position(|part| part.is_cell_update_of(&key))?;
        parts.remove(at).into_cell_update()
    }

    /// Requires that a period has no cell, as a part of a transaction.
    pub(crate) fn no_cell_item(&self, organisation_id: &str, period: Month) -> Write {
        Write::check(Table::Counters, key(organisation_id, period), If::Absent)
    }

    /// Requires that `configuration` is in force, as a part of a transaction.
    pub(crate) fn same_epoch_item(&self, configuration: &Configuration) -> Write {
        let head = keys::head(&configuration.organisation.id).attributes();
        let condition = If::Is("epoch", number(configuration.epoch));
        Write::check(Table::Governance, head, condition)
    }

    /// Writes the cell of `period` if it is as `behind` says, or if there is none. What the item
    /// has that this version does not know is carried over.
    pub(crate) async fn opened_cell_item(
        &self,
        organisation: &Organisation,
        period: Month,
        cell: &Cell,
        behind: Option<&Cell>,
    ) -> Result<Write, StoreError> {
        let expires_at = organisation.month_end(period).as_second() + KEPT_SECONDS;
        let key = keys::cell(&organisation.id, period);
        let mut item = cell_to_item(&key, cell, expires_at);
        if behind.is_some()
            && let Some(stored) = self.cell_item(&organisation.id, period).await?
        {
            let known = cell_to_item(&key, &cell_from_item(&stored)?, expires_at);
            carry_over(&stored, &known, &mut item);
        }
        let condition = behind.map_or(If::Absent, |known| If::Is("v", number(known.version)));
        Ok(Write::put(Table::Counters, item).only(condition))
    }

    /// Returns how many charges of `period` were recorded while it had no cell.
    pub(crate) async fn charges_without_cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<u64, StoreError> {
        let key = keys::charges_without_cell(organisation_id, period);
        let item = self.item(Table::Ledger, key.attributes()).await?;
        let counted = item.as_ref().and_then(|item| item.get("n"));
        let counted = counted.and_then(|value| value.as_n().ok());
        Ok(counted.and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// Requires that `counted` charges were recorded without a cell, as a part of a transaction.
    pub(crate) fn charges_are_item(
        &self,
        organisation_id: &str,
        period: Month,
        counted: u64,
    ) -> Write {
        let key = keys::charges_without_cell(organisation_id, period);
        let condition = match counted {
            0 => If::Absent,
            counted => If::Is("n", number(counted)),
        };
        Write::check(Table::Ledger, key.attributes(), condition)
    }

    /// Counts a charge that is recorded while `period` has no cell, as a part of its transaction.
    /// If the cell is being opened, the opener sees the new count and reads the totals again.
    pub(crate) fn charge_without_cell_item(
        &self,
        organisation_id: &str,
        period: Month,
        expires_at: i64,
    ) -> Write {
        let key = keys::charges_without_cell(organisation_id, period);
        let changes = Changes::default().add("n", 1).set(TTL, number(expires_at));
        Write::update(Table::Ledger, key.attributes(), changes)
    }
}
