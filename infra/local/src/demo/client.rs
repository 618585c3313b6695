//! A client of the API in the same process, with the administrator's key.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::queue::QueueError;
use crate::system::ADMIN_KEY;

const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Why the demo data could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The API refused a step.
    #[error("{request} was answered {status}: {body}")]
    Refused {
        /// The method and path.
        request: String,
        /// The status.
        status: StatusCode,
        /// The answer.
        body: String,
    },
    /// A request could not be written.
    #[error("a request could not be written")]
    Request(#[from] http::Error),
    /// An answer could not be read.
    #[error("an answer could not be read")]
    Answer(#[from] axum::Error),
    /// What is there already could not be read.
    #[error("the tables could not be read")]
    Store(#[from] shared::store::StoreError),
    /// The events were not handled.
    #[error("the events were not handled")]
    Queue(#[from] QueueError),
}

pub(super) struct Client {
    router: Router,
}

impl Client {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }

    /// The answer to a `POST`; null where what it makes is there already.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, DemoError> {
        self.send(Method::POST, path, body).await
    }

    /// The answer to a `PATCH`.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, DemoError> {
        self.send(Method::PATCH, path, body).await
    }

    /// Reports events, of which none may be rejected.
    pub(super) async fn report(&self, events: Vec<Value>) -> Result<(), DemoError> {
        let path = "/v1/events";
        let answer = self.post(path, &json!({"events": events})).await?;
        if answer["rejected"]
            .as_array()
            .is_some_and(|rejected| !rejected.is_empty())
        {
            return Err(DemoError::Refused {
                request: format!("POST {path}"),
                status: StatusCode::ACCEPTED,
                body: answer["rejected"].to_string(),
            });
        }
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, DemoError> {
        let request_line = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {ADMIN_KEY}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await?;
        if status == StatusCode::CONFLICT {
            return Ok(Value::Null);
        }
        let refused = || DemoError::Refused {
            request: request_line,
            status,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        };
        if status.is_success() {
            serde_json::from_slice(&bytes).map_err(|_| refused())
        } else {
            Err(refused())
        }
    }
}
