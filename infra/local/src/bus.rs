//! EventBridge in this process: a bus for the official SDK, with the events that were put on it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fault::{Fault, FaultKind, FaultPlan};
use crate::permissions::{Permission, PermissionLog};
use crate::transport::{self, Reply, Service};

/// The most events that the bus keeps.
const MAX_REMEMBERED: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutEvent {
    pub source: String,
    pub detail_type: String,
    pub detail: Value,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "Entries")]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    /// None for the account's default bus.
    event_bus_name: Option<String>,
    source: String,
    detail_type: String,
    detail: String,
}

/// The bus. Clones share its events.
#[derive(Clone, Debug, Default)]
pub struct LocalBus {
    events: Arc<Mutex<Vec<PutEvent>>>,
    faults: FaultPlan,
    used: PermissionLog,
    /// The function that owns the client of this clone.
    caller: &'static str,
}

impl LocalBus {
    /// The events, oldest first.
    pub fn events(&self) -> Vec<PutEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }

    /// Lets one entry of a later batch fail, as EventBridge does if only a part of a batch fails.
    /// It is the next entry whose detail contains `part`.
    pub fn refuse_entry(&self, part: &str) {
        self.faults.refuse_entry(part);
    }

    /// The number of injected faults that a client has seen.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.faults.fired()
    }

    /// Injects a fault into a later call.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// Returns the permissions that each function used.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
    }

    pub(crate) fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        transport::http_client(Self {
            caller,
            ..self.clone()
        })
    }
}

impl Service for LocalBus {
    const TARGET_PREFIX: &'static str = "AWSEvents.";

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        let request: Request = match serde_json::from_str(body) {
            Ok(request) if operation == "PutEvents" => request,
            _ => return Reply::new(400, json!({"__type": "ValidationException"}).to_string()),
        };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::new();
        for entry in request.entries {
            let name = entry.event_bus_name.unwrap_or_else(|| "default".to_owned());
            let action = format!("events:{operation}");
            self.used.record(Permission::new(self.caller, action, name));
            if self.faults.refuses_entry(&entry.detail) {
                answers.push(json!({
                    "ErrorCode": "InternalFailure",
                    "ErrorMessage": "the entry was refused on demand",
                }));
                continue;
            }
            answers.push(json!({"EventId": format!("local-{}", events.len())}));
            events.push(PutEvent {
                source: entry.source,
                detail_type: entry.detail_type,
                detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
            });
        }
        let surplus = events.len().saturating_sub(MAX_REMEMBERED);
        events.drain(..surplus);
        let failed = answers.iter().filter(|of| of["ErrorCode"].is_string());
        let answer = json!({"FailedEntryCount": failed.count(), "Entries": answers});
        Reply::new(200, answer.to_string())
    }

    fn failure(kind: FaultKind, _operation: &str, _body: &str) -> Option<Reply> {
        matches!(kind, FaultKind::InternalServerError | FaultKind::Throttled)
            .then(|| Reply::new(500, json!({"__type": "InternalException"}).to_string()))
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}
