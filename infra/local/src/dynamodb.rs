//! DynamoDB in this process: an embedded database that the official SDK reaches without a socket.
//! If an environment variable names another DynamoDB, that one answers instead, so that the suites
//! do not depend on one engine.

#[cfg(test)]
mod differences;
mod dispatch;
mod endpoint;
mod gate;
mod group_commit;
mod meter;
mod permission;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};
use endpoint::Endpoint;

use gate::Gate;
pub use gate::Stopped;
use group_commit::GroupCommit;
pub use meter::{CallerUnits, Meter, TableUnits};
use schedule::CurrentSchedule;
pub use schedule::{ACTOR, Call, Effect, Schedule};

use crate::fault::FaultPlan;
pub use crate::fault::{Fault, FaultKind, When};
use crate::permissions::{Permission, PermissionLog};
use crate::transport::{self, Pass, Reply, Service};

const FILE: &str = "dynamodb.sqlite";

#[derive(Clone)]
enum Backend {
    /// In a directory, answers wait for the disk.
    Embedded(Database, Option<Arc<GroupCommit>>),
    Other(Endpoint),
}

/// A DynamoDB. Clones share the data, the meter, the faults, the stopped calls and the schedule.
#[derive(Clone)]
pub struct Engine {
    backend: Backend,
    meter: Arc<Mutex<Meter>>,
    faults: FaultPlan,
    gate: Gate,
    current_schedule: CurrentSchedule,
    used: PermissionLog,
    /// The function that owns the client of this clone. The meter counts by it.
    caller: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot create the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// The database takes only paths that are UTF-8.
    #[error("the path {} is not UTF-8", .0.display())]
    PathNotUtf8(PathBuf),
    #[error("cannot open the database")]
    Open(#[source] DynoxideError),
    #[error("cannot open the log of the database in {}", path.display())]
    Log { path: PathBuf, source: io::Error },
}

impl Engine {
    /// Opens the data in `dir`, or an empty database in memory. A missing directory is made. Data
    /// in a directory survives any end of the process. If `TOKTRA_DYNAMODB_ENDPOINT` names another
    /// DynamoDB, the data is there, under its own access key.
    pub fn open(dir: Option<&Path>) -> Result<Self, EngineError> {
        let backend = match Endpoint::from_env(dir) {
            Some(endpoint) => Backend::Other(endpoint),
            None => open_database(dir)?,
        };
        Ok(Self {
            backend,
            meter: Arc::default(),
            faults: FaultPlan::default(),
            gate: Gate::default(),
            current_schedule: CurrentSchedule::default(),
            used: PermissionLog::default(),
            caller: "other",
        })
    }

    /// Whether another DynamoDB answers, not the embedded one.
    #[must_use]
    pub fn is_another(&self) -> bool {
        matches!(self.backend, Backend::Other(_))
    }

    /// The HTTP client through which `aws-sdk-dynamodb` reaches this engine.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        transport::http_client(self.clone())
    }

    /// The same for a function, whose calls the meter counts separately.
    #[must_use]
    pub fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        transport::http_client(Self {
            caller,
            ..self.clone()
        })
    }

    /// The counts since the engine was opened or [`Engine::reset_meter`] was called.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.lock_meter().clone()
    }

    pub fn reset_meter(&self) {
        *self.lock_meter() = Meter::default();
    }

    /// Returns the permissions that each function used.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
    }

    /// Injects a fault into a later call. If two faults hit the same call, the second waits for the
    /// next.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// Removes the faults that have not happened.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// The number of injected faults that a client has seen.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.faults.fired()
    }

    /// Stops the next call whose operation and body satisfy `fits`, until it is released. Other
    /// calls pass.
    #[must_use]
    pub fn stop_next(&self, fits: impl Fn(&str, &str) -> bool + Send + 'static) -> Stopped {
        self.gate.stop_next(Box::new(fits))
    }

    /// From now on, each call of an [`ACTOR`] waits until it is chosen. Ends when the schedule is
    /// dropped.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.current_schedule.install()
    }

    fn record_permissions(&self, operation: &str, body: &str) {
        for ((action, resource), partitions) in permission::needed(operation, body) {
            self.used.record(Permission {
                caller: self.caller,
                action: format!("dynamodb:{action}"),
                resource,
                partitions,
            });
        }
    }

    fn lock_meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_database(dir: Option<&Path>) -> Result<Backend, EngineError> {
    let Some(dir) = dir else {
        let database = Database::memory().map_err(EngineError::Open)?;
        return Ok(Backend::Embedded(database, None));
    };
    std::fs::create_dir_all(dir).map_err(|source| EngineError::Directory {
        path: dir.to_owned(),
        source,
    })?;
    let path = dir.join(FILE);
    let path = path
        .to_str()
        .ok_or_else(|| EngineError::PathNotUtf8(path.clone()))?;
    let database = Database::new(path).map_err(EngineError::Open)?;
    let log = GroupCommit::open(path).map_err(|source| EngineError::Log {
        path: dir.to_owned(),
        source,
    })?;
    // Sets `synchronous = NORMAL`: a commit no longer waits for the disk itself, because its answer
    // does. Nothing else differs from the defaults.
    database.disable_bulk_loading().map_err(EngineError::Open)?;
    Ok(Backend::Embedded(database, Some(Arc::new(log))))
}

/// Runs one operation on the embedded database. In a directory, returns when everything that the
/// answer depends on is on the disk.
async fn serve_embedded(
    database: &Database,
    log: Option<&GroupCommit>,
    operation: &str,
    body: &str,
) -> Reply {
    let Some(log) = log else {
        return dispatch::reply(dispatch::dispatch(database, operation, body));
    };
    let writes = meter::writes(operation);
    if writes {
        log.begin();
    }
    let reply = dispatch::reply(dispatch::dispatch(database, operation, body));
    let number = match writes {
        true => log.ended(reply.status == 200),
        false => log.read(),
    };
    let Some(number) = number else {
        return reply;
    };
    match log.on_disk(number).await {
        Ok(()) => reply,
        Err(error) => dispatch::disk_failure(&error),
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Service for Engine {
    const TARGET_PREFIX: &'static str = "DynamoDB_20120810.";

    async fn pass(&self, operation: &str, body: &str) -> Pass {
        self.gate.pass(operation, body).await;
        self.current_schedule.pass(operation, body).await
    }

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        self.record_permissions(operation, body);
        let reply = match &self.backend {
            Backend::Embedded(database, log) => {
                serve_embedded(database, log.as_deref(), operation, body).await
            }
            Backend::Other(endpoint) => {
                let target = format!("{}{operation}", Self::TARGET_PREFIX);
                let answer = endpoint.call(&target, body).await;
                answer.unwrap_or_else(|error| Reply::new(503, error.to_string()))
            }
        };
        let mut meter = self.lock_meter();
        meter.record_call(self.caller, operation);
        if reply.status == 200 {
            meter.record_answer(self.caller, operation, &reply.body);
        }
        reply
    }

    fn writes(operation: &str) -> bool {
        meter::writes(operation)
    }

    fn failure(kind: FaultKind, operation: &str, body: &str) -> Option<Reply> {
        dispatch::failure(kind, operation, body)
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}
