//! DynamoDB in this process: the official SDK talks to an embedded database, without a socket.

mod dispatch;
mod fault;
mod meter;
mod permission;
#[cfg(test)]
mod tests;
pub(crate) mod transport;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};

pub(crate) use fault::FaultPlan;
pub use fault::{Fault, FaultKind, When};
pub use meter::{CallerUnits, Meter, TableUnits};
pub use permission::Permission;
use transport::{Reply, Service};

const FILE: &str = "dynamodb.sqlite";

/// An embedded DynamoDB. Clones share the data, the meter and the planned faults.
#[derive(Clone)]
pub struct Engine {
    database: Database,
    meter: Arc<Mutex<Meter>>,
    faults: FaultPlan,
    used: Arc<Mutex<BTreeSet<Permission>>>,
    /// Whose calls the meter counts with a client of this clone.
    caller: &'static str,
}

/// Why the engine could not do what its owner asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The directory for the data cannot be made.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database takes only paths that are UTF-8.
    #[error("the path {} is not UTF-8", .0.display())]
    PathNotUtf8(PathBuf),
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Open(#[source] DynoxideError),
    /// Expired items cannot be deleted.
    #[error("cannot sweep expired items")]
    Sweep(#[source] DynoxideError),
}

impl Engine {
    /// Opens the data in `dir`, made if missing, or an empty database in memory. What was
    /// written to `dir` outlives the process, however it ends.
    pub fn open(dir: Option<&Path>) -> Result<Self, EngineError> {
        let database = match dir {
            None => Database::memory().map_err(EngineError::Open)?,
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|source| EngineError::Directory {
                    path: dir.to_owned(),
                    source,
                })?;
                let path = dir.join(FILE);
                let path = path
                    .to_str()
                    .ok_or_else(|| EngineError::PathNotUtf8(path.clone()))?;
                Database::new(path).map_err(EngineError::Open)?
            }
        };
        Ok(Self {
            database,
            meter: Arc::default(),
            faults: FaultPlan::default(),
            used: Arc::default(),
            caller: "other",
        })
    }

    /// The client through which `aws-sdk-dynamodb` reaches this engine.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        transport::http_client(self.clone())
    }

    /// The same for a function whose calls the meter counts apart.
    #[must_use]
    pub fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        transport::http_client(Self {
            caller,
            ..self.clone()
        })
    }

    /// What was counted since the engine was opened or [`Engine::reset_meter`] called.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.lock_meter().clone()
    }

    /// Sets every count to 0.
    pub fn reset_meter(&self) {
        *self.lock_meter() = Meter::default();
    }

    /// What each function did since the engine was opened, as the permissions that it needed.
    #[must_use]
    pub fn permissions_used(&self) -> BTreeSet<Permission> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.clone()
    }

    /// Plans a failure of a later call. Of two for the same call, the second waits for the next.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// Forgets the failures that have not happened.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// How many injected failures a client has seen.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.faults.fired()
    }

    /// Deletes the items whose time to live has passed by the computer's clock, and returns how
    /// many.
    pub fn sweep_ttl(&self) -> Result<usize, EngineError> {
        self.database.sweep_ttl().map_err(EngineError::Sweep)
    }

    fn record_permissions(&self, operation: &str, body: &str) {
        let needed = permission::needed(operation, body);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.extend(needed.into_iter().map(|(action, resource)| Permission {
            caller: self.caller,
            action,
            resource,
        }));
    }

    fn lock_meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Service for Engine {
    const TARGET_PREFIX: &'static str = "DynamoDB_20120810.";

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        self.record_permissions(operation, body);
        let answer = dispatch::dispatch(&self.database, operation, body);
        if let Some(answer) = &answer {
            let mut meter = self.lock_meter();
            meter.record_call(self.caller, operation);
            if let Ok(body) = answer {
                meter.record_answer(self.caller, operation, body);
            }
        }
        dispatch::reply(answer)
    }

    fn failure(kind: FaultKind, operation: &str, body: &str) -> Option<Reply> {
        dispatch::failure(kind, operation, body)
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}
