//! The client of a system's API: in this process without a socket, or at a URL.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request};
use local::system::{ADMIN_KEY, AGENT_KEY, System};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::error::CommandError;

const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A client with a key.
#[derive(Clone)]
pub(crate) struct ApiClient {
    endpoint: Endpoint,
    key: String,
}

#[derive(Clone)]
enum Endpoint {
    InProcess(Router),
    /// The URL has no slash at its end.
    Http {
        client: reqwest::Client,
        url: String,
    },
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").finish_non_exhaustive()
    }
}

impl ApiClient {
    /// A client of a system in this process, with the administrator's key.
    pub(crate) fn of_system(system: &System) -> Self {
        Self {
            endpoint: Endpoint::InProcess(system.router()),
            key: ADMIN_KEY.to_owned(),
        }
    }

    /// A client of the system at `url`, such as `http://127.0.0.1:3000`.
    pub(crate) fn at(url: &str, key: &str) -> Self {
        Self {
            endpoint: Endpoint::Http {
                client: reqwest::Client::new(),
                url: url.trim_end_matches('/').to_owned(),
            },
            key: key.to_owned(),
        }
    }

    /// The same client with the agents' key.
    pub(crate) fn as_agent(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            key: AGENT_KEY.to_owned(),
        }
    }

    /// Whether the system is in this process, so that nobody else uses it.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self.endpoint, Endpoint::InProcess(_))
    }

    /// Sends a request. Returns the status and the body, null if it is not JSON. A `body` of null
    /// sends no body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Value), CommandError> {
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::Answer(format!("cannot send {method} {path}: {error}"))
        };
        let authorization = format!("Bearer {}", self.key);
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let (status, bytes) = match &self.endpoint {
            Endpoint::InProcess(router) => {
                let request = Request::builder()
                    .method(&method)
                    .uri(path)
                    .header("authorization", authorization)
                    .body(Body::from(body))
                    .map_err(|error| failed(&error))?;
                let answer = match router.clone().oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                let status = answer.status().as_u16();
                let bytes = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await;
                (status, bytes.map_err(|error| failed(&error))?)
            }
            Endpoint::Http { client, url } => {
                let request = client
                    .request(method.clone(), format!("{url}{path}"))
                    .header("authorization", authorization)
                    .body(body);
                let answer = request.send().await.map_err(|error| failed(&error))?;
                let status = answer.status().as_u16();
                let bytes = answer.bytes().await;
                (status, bytes.map_err(|error| failed(&error))?)
            }
        };
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok((status, body))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CommandError> {
        self.expect(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        self.expect(Method::POST, path, body).await
    }

    /// Sends a request that must succeed.
    async fn expect(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, CommandError> {
        let request = format!("{method} {path}");
        match self.send(method, path, body).await? {
            (200..=299, answer) => Ok(answer),
            (status, answer) => Err(unexpected(&request, status, &answer)),
        }
    }

    /// Sends a request that must succeed, or find that its change was made before (409). Returns
    /// null for the latter.
    pub(crate) async fn ensure(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, CommandError> {
        let request = format!("{method} {path}");
        match self.send(method, path, body).await? {
            (200..=299, answer) => Ok(answer),
            (409, _) => Ok(Value::Null),
            (status, answer) => Err(unexpected(&request, status, &answer)),
        }
    }

    /// Makes a department named like its id.
    pub(crate) async fn create_department(
        &self,
        id: &str,
        parent_id: Option<&str>,
    ) -> Result<(), CommandError> {
        let body = json!({"id": id, "name": id, "parent_id": parent_id});
        self.post("/v1/departments", &body).await?;
        Ok(())
    }

    /// Makes a member named like their id.
    pub(crate) async fn create_user(
        &self,
        id: &str,
        department_id: &str,
    ) -> Result<(), CommandError> {
        let body = json!({
            "id": id, "email": format!("{id}@example.com"), "name": id,
            "department_id": department_id, "role": "member",
        });
        self.post("/v1/users", &body).await?;
        Ok(())
    }

    /// Makes a budget with a hard cap. Returns its id.
    pub(crate) async fn create_budget(
        &self,
        department_id: Option<&str>,
        unit: &str,
        amount: &Value,
    ) -> Result<String, CommandError> {
        let body = json!({
            "name": "measured", "department_id": department_id, "unit": unit, "amount": amount,
            "hard_cap": true,
        });
        let budget = self.post("/v1/budgets", &body).await?;
        Ok(budget["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Reads a budget with its current figures.
    pub(crate) async fn budget(&self, budget_id: &str) -> Result<Value, CommandError> {
        self.get(&format!("/v1/budgets/{budget_id}")).await
    }

    /// Asks for a hold of `tokens` input tokens. Returns the decision.
    pub(crate) async fn preflight(
        &self,
        user_id: &str,
        request_id: &str,
        tokens: i64,
    ) -> Result<Value, CommandError> {
        let body = json!({
            "request_id": request_id, "user_id": user_id, "provider": "openai", "model": "gpt-4o",
            "input_tokens": tokens, "max_output_tokens": 0,
        });
        self.post("/v1/preflight", &body).await
    }

    /// Reports events, and fails if one is rejected. An event that was reported before counts once.
    pub(crate) async fn report(&self, events: &[Value]) -> Result<(), CommandError> {
        let answer = self.post("/v1/events", &json!({"events": events})).await?;
        let rejected = &answer["rejected"];
        if *rejected == json!([]) {
            return Ok(());
        }
        let message = format!("not every event was accepted: {rejected}");
        Err(CommandError::Answer(message))
    }

    /// Returns when the local system has recorded each event.
    pub(crate) async fn drain(&self) -> Result<(), CommandError> {
        self.post("/local/drain", &Value::Null).await?;
        Ok(())
    }
}

fn unexpected(request: &str, status: u16, answer: &Value) -> CommandError {
    CommandError::Answer(format!("{request} was answered {status}: {answer}"))
}

/// The event of a request that `preflight` admitted with `hold_id`.
pub(crate) fn usage_event(id: &str, user_id: &str, tokens: i64, hold_id: &Value) -> Value {
    json!({
        "event_id": id, "type": "llm_request", "occurred_at": jiff::Timestamp::now().to_string(),
        "user_id": user_id, "provider": "openai", "model": "gpt-4o",
        "input_tokens": tokens, "output_tokens": 0, "hold_id": hold_id,
    })
}
