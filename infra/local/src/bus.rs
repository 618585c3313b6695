//! A bus that nobody but this machine sees: EventBridge as the official SDK calls it, and what was put on it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dynamodb::transport::{self, Reply, Service};
use crate::dynamodb::{FaultKind, FaultPlan};
use crate::permissions::{Permission, Used};

/// The most events that are remembered.
const MAX_REMEMBERED: usize = 1_000;

/// An event on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutEvent {
    /// Who put it there.
    pub source: String,
    /// What it is about.
    pub detail_type: String,
    /// What happened.
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
    /// Without a name it is the account's default bus.
    event_bus_name: Option<String>,
    source: String,
    detail_type: String,
    detail: String,
}

/// The bus. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct LocalBus {
    events: Arc<Mutex<Vec<PutEvent>>>,
    faults: FaultPlan,
    used: Used,
    /// The function that calls with a client of this clone.
    caller: &'static str,
}

impl LocalBus {
    /// What was put on it, the oldest first.
    pub fn events(&self) -> Vec<PutEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }

    /// Lets one entry of a later batch be refused, as EventBridge does if it fails for a part of a batch: the next one whose
    /// detail has `part` in it.
    pub fn refuse_entry(&self, part: &str) {
        self.faults.refuse_entry(part);
    }

    /// How many planned failures a client has seen.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.faults.fired()
    }

    /// Plans a failure of a later call.
    pub fn inject(&self, fault: crate::dynamodb::Fault) {
        self.faults.inject(fault);
    }

    /// What each function did, as the permissions that it needed.
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
