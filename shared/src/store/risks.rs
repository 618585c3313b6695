//! Completes a risk whose user was unknown when it was recorded.

use super::Store;
use super::error::StoreError;
use super::item::text;
use super::keys;
use super::tables::Table;
use super::write::{Changes, If, Write};
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::Risk;
use crate::domain::org::department::Path;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

/// When the message arrived that named the user of a risk.
pub(crate) const COMPLETED_AT: &str = "completed_at";

impl Store {
    /// Stores the user of a recorded risk, once, if the user was unknown. The message received at
    /// `received_at` is the one to be evaluated for it, also if it is delivered again.
    pub(crate) async fn complete_risk(
        &self,
        organisation_id: &str,
        risk: &Risk,
        path: &Path,
        received_at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(user_id) = risk.user_id.as_ref().filter(|_| risk.is_of_github()) else {
            return Ok(());
        };
        let key = keys::record(organisation_id, &EventIdentity::of_risk(risk)).attributes();
        let changes = Changes::default()
            .set("user_id", text(user_id))
            .set("path", text(path.to_text()))
            .set(COMPLETED_AT, text(received_at));
        let is_unknown = If::Is("user_id", AttributeValue::Null(true));
        let update = Write::update(Table::Ledger, key, changes).only(is_unknown);
        self.update_alone(update).await?;
        Ok(())
    }
}
