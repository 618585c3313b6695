//! API clients, which exchange an id and a secret for tokens, and the request counts of keys.

use super::Store;
use super::error::StoreError;
use super::item::number;
use super::keys::{self, CLIENT};
use super::pages::Page;
use super::tables::TTL;
use crate::domain::org::api_key::ApiKey;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

/// How long a minute's count is kept, in seconds.
const RATE_KEPT_SECONDS: i64 = 600;

impl Store {
    /// A client of an organisation.
    pub async fn client_of(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        let key = keys::governance(organisation_id, format!("{CLIENT}{id}"));
        self.row(key).await
    }

    /// Lists the clients that are `wanted`, by id.
    pub async fn clients(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&ApiKey) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ApiKey>, StoreError> {
        self.page(organisation_id, CLIENT, after, limit, wanted)
            .await
    }

    /// Adds requests to the count of a key in a minute, which all instances share, and returns the
    /// new count. If the answer is lost, a retry counts them twice.
    pub async fn add_requests(
        &self,
        organisation_id: &str,
        key_id: &str,
        minute: i64,
        more: u32,
    ) -> Result<u32, StoreError> {
        let key = keys::requests(organisation_id, key_id, minute);
        let answer = self
            .client
            .update_item()
            .table_name(&self.tables.governance)
            .set_key(Some(key.attributes()))
            .update_expression("ADD #count :more SET #ttl = :ttl")
            .expression_attribute_names("#count", "count")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":more", number(more))
            .expression_attribute_values(":ttl", number(minute * 60 + RATE_KEPT_SECONDS))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await?;
        let count = answer.attributes.and_then(|mut item| item.remove("count"));
        match count {
            Some(AttributeValue::N(digits)) => digits
                .parse()
                .map_err(|_| StoreError::unreadable("a count of requests")),
            _ => Err(StoreError::unreadable("a count of requests")),
        }
    }
}
