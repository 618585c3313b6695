//! Reading, updating and opening cells.

use super::call::{ATTEMPTS, StoreError, Transacted, is_transaction_conflict};
use super::expression::{Expression, cell_from_item, cell_to_item, number};
use super::tables::TTL;
use super::{Store, keys};
use crate::domain::cell::{Cell, CellUpdate};
use crate::domain::configuration::Configuration;
use crate::domain::period::Month;
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

/// Cells stay 13 months after their period, as long as an event may come.
const KEPT_SECONDS: i64 = 396 * 24 * 3600;

/// What became of an update.
#[derive(Debug)]
pub(super) enum Updated {
    /// It took effect; the cell as it is now.
    Applied(Cell),
    /// A condition was false; the cell as it was at that moment, or none where there is none.
    Refused(Option<Cell>),
}

impl Store {
    /// The cell of a period as it is at this moment; none where the period has not begun.
    pub async fn cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.counters)
            .key("k", AttributeValue::S(keys::cell(organisation_id, period)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        answer.item.as_ref().map(cell_from_item).transpose()
    }

    /// One conditional write. A transaction on the same item is a passing fault and is waited out.
    pub(super) async fn update_cell(
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
                .key("k", AttributeValue::S(keys::cell(organisation_id, period)))
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
    pub(super) fn cell_update_item(
        &self,
        organisation_id: &str,
        period: Month,
        update: &CellUpdate,
    ) -> Result<TransactWriteItem, StoreError> {
        let expression = Expression::of(update);
        let update = Update::builder()
            .table_name(&self.tables.counters)
            .key("k", AttributeValue::S(keys::cell(organisation_id, period)))
            .condition_expression(expression.condition)
            .update_expression(expression.update)
            .set_expression_attribute_names(
                (!expression.names.is_empty()).then_some(expression.names),
            )
            .set_expression_attribute_values(Some(expression.values))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The condition that a period has no cell, as a part of a transaction.
    pub(super) fn no_cell_item(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.counters)
            .key("k", AttributeValue::S(keys::cell(organisation_id, period)))
            .condition_expression("attribute_not_exists(k)")
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The condition that `configuration` is the one in force, as a part of a transaction.
    pub(super) fn same_epoch_item(
        &self,
        configuration: &Configuration,
    ) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.governance)
            .set_key(Some(
                keys::head(&configuration.organisation.id).attributes(),
            ))
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":epoch", number(configuration.epoch))
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Opens the cell of `period` if there is none, or brings one up to date that `configuration` has left behind
    /// because its period was not in force for a while: each level has what its budget gives and what was carried into it,
    /// less what records of the period have spent and live holds take. The transaction checks the configuration's epoch, so a
    /// stale caller cannot open a month with old amounts, and that no usage was recorded past the totals that were read. False
    /// if it did not take effect: then the cell has to be read again.
    pub(super) async fn open_cell(
        &self,
        configuration: &Configuration,
        period: Month,
        behind: Option<&Cell>,
    ) -> Result<bool, StoreError> {
        let organisation = &configuration.organisation;
        // Read before the totals: whoever records usage of a month without a cell counts it here.
        let uncounted = self.charges_without_cell(&organisation.id, period).await?;
        let totals = self.department_totals(&organisation.id, period).await?;
        let holds = behind.map(|cell| cell.holds.clone()).unwrap_or_default();
        if self
            .finish_resolved(&organisation.id, period, &holds)
            .await?
        {
            return Ok(false);
        }
        let spent = |department_id: Option<&str>| totals.spent_under(department_id);
        let cell = Cell::open(configuration, period, behind, spent);
        let expires_at = organisation.month_end(period).as_second() + KEPT_SECONDS;
        let key = keys::cell(&organisation.id, period);
        let put = Put::builder()
            .table_name(&self.tables.counters)
            .set_item(Some(cell_to_item(&key, &cell, expires_at)));
        let put = match behind {
            None => put.condition_expression("attribute_not_exists(k)"),
            Some(known) => put
                .condition_expression("v = :v")
                .expression_attribute_values(":v", number(known.version)),
        };
        let parts = vec![
            TransactWriteItem::builder().put(put.build()?).build(),
            self.same_epoch_item(configuration)?,
            self.charges_are_item(&organisation.id, period, uncounted)?,
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// How many charges of `period` were recorded while it had no cell.
    async fn charges_without_cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<u64, StoreError> {
        let key = keys::charges_without_cell(organisation_id, period);
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.ledger)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await?;
        let counted = answer.item.as_ref().and_then(|item| item.get("n"));
        let counted = counted.and_then(|value| value.as_n().ok());
        Ok(counted.and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// The condition that as many charges were recorded without a cell as `counted`, as a part of a transaction.
    fn charges_are_item(
        &self,
        organisation_id: &str,
        period: Month,
        counted: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::charges_without_cell(organisation_id, period);
        let check = ConditionCheck::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(key.attributes()));
        let check = match counted {
            0 => check.condition_expression("attribute_not_exists(pk)"),
            counted => check
                .condition_expression("n = :n")
                .expression_attribute_values(":n", number(counted)),
        };
        Ok(TransactWriteItem::builder()
            .condition_check(check.build()?)
            .build())
    }

    /// Counts a charge that is recorded while `period` has no cell, as a part of its transaction: whoever opens the cell
    /// meanwhile reads the totals again.
    pub(super) fn charge_without_cell_item(
        &self,
        organisation_id: &str,
        period: Month,
        expires_at: i64,
    ) -> Result<TransactWriteItem, StoreError> {
        let key = keys::charges_without_cell(organisation_id, period);
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(key.attributes()))
            .update_expression("SET n = if_not_exists(n, :zero) + :one, #ttl = :at")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":at", number(expires_at))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The cell of a period in force, opened or brought up to date where it has to be; none where `configuration` is
    /// not the one in force.
    pub async fn cell_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS {
            let cell = self.cell(organisation_id, period).await?;
            match &cell {
                Some(known) if known.epoch == configuration.epoch => return Ok(cell),
                Some(known) if known.epoch > configuration.epoch => return Ok(None),
                behind => {
                    let head = self.head(organisation_id).await?;
                    if head.is_none_or(|head| head.epoch != configuration.epoch) {
                        return Ok(None);
                    }
                    self.open_cell(configuration, period, behind.as_ref())
                        .await?;
                }
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}
