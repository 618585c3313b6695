//! Why the store has no answer.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

/// Why the store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer in time. The write may have taken effect. Every operation may be
    /// repeated.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Concurrent writers changed the same items at every attempt.
    #[error("too many changes at the same time")]
    Contended,
    /// The data has a form that only later versions of this code know.
    #[error("the stored data needs a version that reads the form {needed}")]
    Newer { needed: u32 },
    /// An item has a form that this code does not know.
    #[error("stored data is unreadable: {0}")]
    Unreadable(String),
}

impl StoreError {
    pub(crate) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable(what.into())
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let service_error = error.as_service_error();
        if service_error.and_then(|e| e.code()) == Some("ValidationException") {
            // The same call would be refused again: a retry does not help.
            return Self::Unreadable(format!("a call that the database refuses: {error:?}"));
        }
        Self::Unavailable(Box::new(error))
    }
}

impl From<aws_sdk_dynamodb::error::BuildError> for StoreError {
    fn from(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<serde_dynamo::Error> for StoreError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}
