//! Errors as clients see them.

use super::logs::{ErrorType, report};
use crate::store::StoreError;
use serde::Serialize;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detail {
    /// The field's path: `events[3].model`.
    pub field: String,
    /// What it must be.
    pub message: String,
}

/// A stable code of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PayloadTooLarge,
    RateLimited,
    Internal,
    /// The client should try again.
    Unavailable,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }
}

/// An error with the message that its client may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: ErrorCode,
    /// For people. It names nothing internal.
    pub message: String,
    /// Every invalid field with its fault.
    pub details: Vec<Detail>,
    /// After how many seconds a retry makes sense, if that is known.
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// Returns 400 with every invalid field.
    pub fn invalid(details: Vec<Detail>) -> Self {
        let fields: Vec<&str> = details.iter().map(|d| d.field.as_str()).collect();
        Self {
            code: ErrorCode::BadRequest,
            message: format!("invalid: {}", fields.join(", ")),
            details,
            retry_after_seconds: None,
        }
    }

    /// Returns 400 for one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Detail {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// Returns 404 for a resource.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// Returns 409 because of one field.
    pub fn taken(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut error = Self::conflict(format!("{field}: {message}"));
        error.details.push(Detail { field, message });
        error
    }

    pub(super) fn internal() -> Self {
        Self::new(
            ErrorCode::Internal,
            "internal error; the operator can find it by the request id",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        report(ErrorType::of(&error), "the store failed", &error);
        match error {
            StoreError::Unavailable(_) => Self::new(
                ErrorCode::Unavailable,
                "the database does not answer; retry the request",
            ),
            StoreError::Contended => Self::new(
                ErrorCode::Unavailable,
                "too many concurrent changes of the same item; retry the request",
            ),
            StoreError::Newer { .. } => Self::new(
                ErrorCode::Unavailable,
                "a later version has written the data; this one must be replaced by it",
            ),
            StoreError::Unreadable(_) => Self::internal(),
        }
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        report(ErrorType::Panicked, "no randomness", &error);
        Self::internal()
    }
}

impl From<serde_json::Error> for ApiError {
    /// An answer that cannot be written.
    fn from(error: serde_json::Error) -> Self {
        report(ErrorType::Panicked, "an answer was not written", &error);
        Self::internal()
    }
}
