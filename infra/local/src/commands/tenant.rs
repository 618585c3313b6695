//! A system to measure, spoken to through its API: one of the command's own, or one that runs somewhere.

use super::CommandError;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request};
use local::system::{Contents, System, SystemSettings};
use serde_json::{Value, json};
use tower::ServiceExt;

const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The API of a system.
#[derive(Clone)]
pub(crate) enum Api {
    /// In this process, without a socket.
    Own(Router),
    /// At an address like `http://127.0.0.1:3000`.
    At {
        /// The client that keeps the connections.
        client: reqwest::Client,
        /// The address, without a slash at the end.
        url: String,
    },
}

impl Api {
    /// The system at `url`.
    pub(crate) fn at(url: &str) -> Self {
        Self::At {
            client: reqwest::Client::new(),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// Sends a request; the status and the body as JSON.
    pub(crate) async fn call(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Value), CommandError> {
        let unsent = |what: &dyn std::fmt::Display| {
            CommandError::Answer(format!("{path} could not be asked: {what}"))
        };
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let (status, bytes) = match self {
            Self::Own(router) => {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header("authorization", format!("Bearer {key}"))
                    .body(Body::from(body))
                    .map_err(|error| unsent(&error))?;
                let answer = match router.clone().oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                let status = answer.status().as_u16();
                let bytes = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await;
                (status, bytes.map_err(|error| unsent(&error))?)
            }
            Self::At { client, url } => {
                let request = client
                    .request(method, format!("{url}{path}"))
                    .header("authorization", format!("Bearer {key}"))
                    .body(body);
                let answer = request.send().await.map_err(|error| unsent(&error))?;
                let status = answer.status().as_u16();
                (
                    status,
                    answer.bytes().await.map_err(|error| unsent(&error))?,
                )
            }
        };
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    /// The same where nothing but success is right.
    pub(crate) async fn expect(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, CommandError> {
        let request = format!("{method} {path}");
        match self.call(key, method, path, body).await? {
            (200..=299, body) => Ok(body),
            (status, body) => Err(CommandError::Answer(format!("{request}: {status} {body}"))),
        }
    }

    /// Makes a department.
    pub(crate) async fn department(
        &self,
        key: &str,
        id: &str,
        parent_id: Option<&str>,
    ) -> Result<(), CommandError> {
        let body = json!({"id": id, "name": id, "parent_id": parent_id});
        self.expect(key, Method::POST, "/v1/departments", &body)
            .await?;
        Ok(())
    }

    /// Makes a user.
    pub(crate) async fn user(
        &self,
        key: &str,
        id: &str,
        department_id: &str,
    ) -> Result<(), CommandError> {
        let body = json!({
            "id": id, "email": format!("{id}@example.com"), "name": id, "department_id": department_id, "role": "member",
        });
        self.expect(key, Method::POST, "/v1/users", &body).await?;
        Ok(())
    }

    /// Makes a hard budget and gives its id.
    pub(crate) async fn budget(
        &self,
        key: &str,
        department_id: Option<&str>,
        unit: &str,
        amount: &Value,
    ) -> Result<String, CommandError> {
        let body = json!({
            "name": "measured", "department_id": department_id, "unit": unit, "amount": amount, "hard_cap": true,
        });
        let made = self.expect(key, Method::POST, "/v1/budgets", &body).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    /// A budget as it is now.
    pub(crate) async fn figures(&self, key: &str, budget_id: &str) -> Result<Value, CommandError> {
        let path = format!("/v1/budgets/{budget_id}");
        self.expect(key, Method::GET, &path, &Value::Null).await
    }
}

/// A system of the command's own: in memory, or in `data`.
pub(crate) async fn own_system(data: Option<std::path::PathBuf>) -> Result<System, CommandError> {
    let settings = SystemSettings {
        data,
        contents: Contents::Empty,
        ..SystemSettings::default()
    };
    Ok(System::start(settings).await?)
}

/// Tenths of a unit as people write them.
pub(crate) fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// `part` of `whole` to two digits.
pub(crate) fn ratio(part: u64, whole: u64) -> String {
    let hundredths = part.saturating_mul(100) / whole.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The seconds of processor time that this process has used so far, where the system tells: in hundredths.
pub(crate) fn cpu_hundredths() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
