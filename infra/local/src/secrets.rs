//! Secrets Manager in this process: the secrets of the deployment, which can be rotated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use serde::Deserialize;
use serde_json::json;

use crate::fault::{Fault, FaultKind, FaultPlan};
use crate::names::{AUDIT_SECRET, OPERATOR_KEY, OPERATOR_SECRET, SEALING_SECRET, TOKEN_SECRET};
use crate::permissions::{Permission, PermissionLog};
use crate::transport::{self, Reply, Service};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    secret_id: String,
    version_stage: String,
}

/// The values of each secret, the current one last.
type Values = BTreeMap<&'static str, Vec<String>>;

/// The secrets. Clones share them.
#[derive(Clone, Debug)]
pub struct LocalSecrets {
    values: Arc<Mutex<Values>>,
    faults: FaultPlan,
    used: PermissionLog,
    /// The function that owns the client of this clone.
    caller: &'static str,
}

impl Default for LocalSecrets {
    fn default() -> Self {
        let names = [OPERATOR_SECRET, SEALING_SECRET, TOKEN_SECRET, AUDIT_SECRET];
        let values = names.map(|name| (name, vec![OPERATOR_KEY.to_owned()]));
        Self {
            values: Arc::new(Mutex::new(values.into())),
            faults: FaultPlan::default(),
            used: PermissionLog::default(),
            caller: "other",
        }
    }
}

impl LocalSecrets {
    /// Gives a secret another value. The one before stays readable, and none before that.
    pub fn rotate(&self, name: &'static str, value: &str) {
        let mut values = self.values();
        values.entry(name).or_default().push(value.to_owned());
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

    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for LocalSecrets {
    const TARGET_PREFIX: &'static str = "secretsmanager.";

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        let request: Request = match serde_json::from_str(body) {
            Ok(request) if operation == "GetSecretValue" => request,
            _ => return Reply::new(400, json!({"__type": "ValidationException"}).to_string()),
        };
        let name = request.secret_id;
        let action = format!("secretsmanager:{operation}");
        self.used
            .record(Permission::new(self.caller, action, name.clone()));
        let place = usize::from(request.version_stage == "AWSPREVIOUS");
        let values = self.values();
        let mut values = values.get(name.as_str()).into_iter().flatten().rev();
        match values.nth(place) {
            Some(value) => Reply::new(200, json!({ "SecretString": value }).to_string()),
            None => Reply::new(
                400,
                json!({"__type": "ResourceNotFoundException"}).to_string(),
            ),
        }
    }

    fn writes(_operation: &str) -> bool {
        false
    }

    fn failure(kind: FaultKind, _operation: &str, _body: &str) -> Option<Reply> {
        matches!(kind, FaultKind::InternalServerError | FaultKind::Throttled)
            .then(|| Reply::new(500, json!({"__type": "InternalServiceError"}).to_string()))
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}
