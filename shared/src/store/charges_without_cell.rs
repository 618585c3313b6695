//! Counts the charges of a month that are recorded while it has no cell.

use super::error::StoreError;
use super::item::number;
use super::tables::{TTL, Table};
use super::write::{Changes, If, Write};
use super::{Store, keys};
use crate::domain::period::Month;

impl Store {
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
