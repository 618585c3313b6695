//! Answers kept under idempotency keys.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::rows::Row;
use super::write::Write;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an answer can be replayed, in seconds.
const IDEMPOTENCY_SECONDS: i64 = 24 * 3600;

/// An answer kept under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The SHA-256 of the request, in hex.
    pub request_digest: String,
    pub status: u16,
    /// The body, without secrets.
    pub body: String,
    /// The secrets of the body, sealed so that only the same caller can read them.
    #[serde(default)]
    pub sealed_secrets: Vec<String>,
}

/// Where an answer is kept, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The organisation, or none for the operator.
    pub organisation_id: Option<String>,
    /// The SHA-256 of the caller and their idempotency key, in hex.
    pub digest: String,
    pub answer: StoredAnswer,
}

impl Store {
    /// Returns the answer under an idempotency key. None if there is none.
    pub async fn stored_answer(
        &self,
        organisation_id: Option<&str>,
        digest: &str,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let key = keys::idempotency(organisation_id.unwrap_or(keys::OPERATOR), digest);
        self.row(key).await
    }

    pub(crate) fn idempotency_item(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> Result<Write, StoreError> {
        let owner = idempotency.organisation_id.as_deref();
        let key = keys::idempotency(owner.unwrap_or(keys::OPERATOR), &idempotency.digest);
        let mut row = Row::new(key, &idempotency.answer)?;
        row.expire(now.as_second() + IDEMPOTENCY_SECONDS);
        self.row_item(row.if_absent())
    }
}
