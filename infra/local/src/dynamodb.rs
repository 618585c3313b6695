//! DynamoDB in this process: the official SDK talks to an embedded database, without a socket; or to another DynamoDB where the
//! environment names one, so that what the suites show does not hang on one engine.

#[cfg(test)]
mod differences;
mod dispatch;
mod endpoint;
mod fault;
mod gate;
mod meter;
mod permission;
mod schedule;
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
use endpoint::Endpoint;

pub(crate) use fault::FaultPlan;
pub use fault::{Fault, FaultKind, When};
use gate::Gate;
pub use gate::Stopped;
pub use meter::{CallerUnits, Meter, TableUnits};
use schedule::Slot;
pub use schedule::{ACTOR, Call, Effect, Schedule};
use transport::{Pass, Reply, Service};

use crate::permissions::{Permission, Used};

const FILE: &str = "dynamodb.sqlite";

/// What answers.
#[derive(Clone)]
enum Backend {
    Embedded(Database),
    Other(Endpoint),
}

/// A DynamoDB. Clones share the data, the meter, the planned faults, the calls that are to be stopped and the schedule.
#[derive(Clone)]
pub struct Engine {
    backend: Backend,
    meter: Arc<Mutex<Meter>>,
    faults: FaultPlan,
    gate: Gate,
    slot: Slot,
    used: Used,
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
}

impl Engine {
    /// Opens the data in `dir`, made if missing, or an empty database in memory. What was
    /// written to `dir` outlives the process, however it ends. Where `TOKTRA_DYNAMODB_ENDPOINT`
    /// names another DynamoDB, the data is there, under an access key of its own.
    pub fn open(dir: Option<&Path>) -> Result<Self, EngineError> {
        let backend = match Endpoint::from_env(dir) {
            Some(endpoint) => Backend::Other(endpoint),
            None => Backend::Embedded(open_database(dir)?),
        };
        Ok(Self {
            backend,
            meter: Arc::default(),
            faults: FaultPlan::default(),
            gate: Gate::default(),
            slot: Slot::default(),
            used: Used::default(),
            caller: "other",
        })
    }

    /// Whether another DynamoDB answers than the one in this process.
    #[must_use]
    pub fn is_another(&self) -> bool {
        matches!(self.backend, Backend::Other(_))
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
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
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

    /// Stops the next call whose operation and body this is true of, until it is let go on. Others pass.
    #[must_use]
    pub fn stop_next(&self, fits: impl Fn(&str, &str) -> bool + Send + 'static) -> Stopped {
        self.gate.stop_next(Box::new(fits))
    }

    /// Lets each call that an [`ACTOR`] makes wait until it is chosen, from now on until the schedule is dropped.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.slot.install()
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

fn open_database(dir: Option<&Path>) -> Result<Database, EngineError> {
    let Some(dir) = dir else {
        return Database::memory().map_err(EngineError::Open);
    };
    std::fs::create_dir_all(dir).map_err(|source| EngineError::Directory {
        path: dir.to_owned(),
        source,
    })?;
    let path = dir.join(FILE);
    let path = path
        .to_str()
        .ok_or_else(|| EngineError::PathNotUtf8(path.clone()))?;
    Database::new(path).map_err(EngineError::Open)
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
        self.slot.pass(operation, body).await
    }

    async fn serve(&self, operation: &str, body: &str) -> Reply {
        self.record_permissions(operation, body);
        let reply = match &self.backend {
            Backend::Embedded(database) => {
                dispatch::reply(dispatch::dispatch(database, operation, body))
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
