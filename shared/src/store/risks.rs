//! Completes a risk whose user was unknown when it was recorded.

use super::Store;
use super::call::{ATTEMPTS, is_transaction_conflict};
use super::error::StoreError;
use super::keys;
use crate::backoff::back_off;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::Risk;
use crate::domain::org::department::Path;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
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
        for attempt in 0..ATTEMPTS {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.ledger)
                .set_key(Some(
                    keys::record(organisation_id, &EventIdentity::of_risk(risk)).attributes(),
                ))
                .condition_expression("attribute_exists(pk) AND #user = :nobody")
                .update_expression("SET #user = :user, #path = :path, #at = :at")
                .expression_attribute_names("#user", "user_id")
                .expression_attribute_names("#path", "path")
                .expression_attribute_names("#at", COMPLETED_AT)
                .expression_attribute_values(":nobody", AttributeValue::Null(true))
                .expression_attribute_values(":user", AttributeValue::S(user_id.clone()))
                .expression_attribute_values(":path", AttributeValue::S(path.to_text()))
                .expression_attribute_values(":at", AttributeValue::S(received_at.to_string()));
            let error = match call.send().await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(()),
                _ if is_transaction_conflict(&error) => back_off(attempt).await,
                _ => return Err(error.into()),
            }
        }
        Err(StoreError::Contended)
    }
}
