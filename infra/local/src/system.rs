//! All functions and their services in one process.

mod functions;
mod organisation;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use shared::ledger::Books;
use shared::runtime::clock::Clock;
use shared::runtime::logs::note;
use shared::store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bucket::LocalBucket;
use crate::bus::LocalBus;
use crate::drain;
use crate::dynamodb::Engine;
use crate::event_source::{Mappings, Running};
pub use crate::names::{
    ADMIN_KEY, AGENT_KEY, AUDIT_SECRET, BUCKET, BUS, CONFIGURATION_SET, DEAD_EVENTS, DEAD_NOTICES,
    EVENTS, MAIL_SENDER, NOTICES, OPERATOR_KEY, OPERATOR_SECRET, ORGANISATION, SEALING_SECRET,
    TOKEN_SECRET,
};
use crate::permissions::Permission;
use crate::secrets::LocalSecrets;
use crate::server::{self, LocalState, Server};
use crate::services::Services;
use crate::ses::Mails;
use crate::sqs::{QueueError, Queues};
pub use crate::start_error::StartError;
pub use functions::EVENTS_BATCH;
use functions::{Functions, NewPreflight};
pub use settings::SystemSettings;

/// How often the schedule fires.
const HOUR: Duration = Duration::from_secs(3600);
/// How long open requests may continue after the server is told to stop.
const GRACE: Duration = Duration::from_millis(500);

/// The whole system, started.
#[derive(Debug)]
pub struct System {
    services: Services,
    clock: Clock,
    store: Store,
    server: Server,
    deployed_api: Router,
    mappings: Mappings,
    reset: reset::App,
    new_preflight: NewPreflight,
    running: Vec<Running>,
}

/// How much the organisation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub departments: usize,
    pub users: u64,
    pub budgets: usize,
}

impl System {
    /// Opens the data, makes the tables and the organisation if they are missing, and starts to
    /// handle events.
    pub async fn start(settings: SystemSettings) -> Result<Self, StartError> {
        let clock = settings.now.map_or_else(Clock::default, Clock::standing_at);
        let services = Services::open(settings.data.as_deref(), &clock)?;
        let functions = Functions::new(&settings, &services, &clock);
        let store = functions.store("local");
        store.create_missing_tables().await?;
        organisation::create_organisation(&store, clock.now()).await?;

        let mappings = Mappings::new([functions.evaluate(), functions.notify()?]);
        let reset = functions.reset();
        let new_preflight = functions.preflight();
        let local = LocalState {
            services: services.clone(),
            store: store.clone(),
            clock: clock.clone(),
            mappings: mappings.clone(),
            reset: reset.clone(),
        };
        let api = functions.api();
        let routes = Router::new()
            .merge(api::routes().with_state(api.clone()))
            .merge(preflight::routes().with_state(new_preflight.instance()))
            .merge(ingest::routes().with_state(functions.ingest()))
            .merge(server::local_routes().with_state(local));
        Ok(Self {
            server: Server::new(routes, settings.time_to_send),
            deployed_api: api::router(api),
            running: mappings.run(),
            services,
            clock,
            store,
            mappings,
            reset,
            new_preflight,
        })
    }

    /// Another instance of `preflight`, which has read what an instance reads before its first
    /// request.
    pub async fn another_preflight(&self) -> Router {
        let preflight = self.new_preflight.instance();
        preflight.make_ready().await;
        preflight::router(preflight)
    }

    /// The routes of every function, and those under `/local`.
    pub fn router(&self) -> Router {
        self.server.router()
    }

    /// The API function alone, as it is deployed.
    pub fn deployed_api(&self) -> Router {
        self.deployed_api.clone()
    }

    /// Answers requests until `shutdown`. Requests that have begun by then may continue for half a
    /// second.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let stopping = Arc::new(Notify::new());
        let stop = stopping.clone();
        let signal = async move {
            shutdown.await;
            stop.notify_one();
        };
        tokio::select! {
            served = self.server.serve(listener, signal) => served,
            () = self.fire_hourly() => Ok(()),
            () = async { stopping.notified().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }

    /// Fires the schedule now and then each hour of real time. Setting the clock does not matter.
    async fn fire_hourly(&self) {
        let mut hours = tokio::time::interval(HOUR);
        loop {
            hours.tick().await;
            match self.schedule(Instant::now() + HOUR / 2).await {
                Ok(report) => tracing::debug!(?report, "the schedule has run"),
                Err(error) => note("the schedule failed", &error),
            }
        }
    }

    /// The database, to count its calls and to inject faults.
    pub fn engine(&self) -> &Engine {
        &self.services.engine
    }

    /// The queues, to look into them and to inject faults.
    pub fn queues(&self) -> &Queues {
        &self.services.queues
    }

    /// The mail service, to read the mails that were sent and to refuse some.
    pub fn mails(&self) -> &Mails {
        &self.services.mails
    }

    /// The bus, to read its events and to inject faults.
    pub fn bus(&self) -> &LocalBus {
        &self.services.bus
    }

    /// The bucket of the audit logs' heads, to read its objects and to let it fail.
    pub fn bucket(&self) -> &LocalBucket {
        &self.services.bucket
    }

    /// The secrets of the deployment, to rotate them and to inject faults.
    pub fn secrets(&self) -> &LocalSecrets {
        &self.services.secrets
    }

    /// The permissions that each function used since the start.
    pub fn permissions_used(&self) -> BTreeSet<Permission> {
        self.services.permissions_used()
    }

    /// The clock of every function.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tables as the functions see them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns when each event that is due has been handled or is a dead letter.
    pub async fn drain(&self) -> Result<(), QueueError> {
        drain::drain(&self.mappings, self.queues()).await
    }

    /// Hands one batch of events to `evaluate`, if events are not delivered automatically. Events
    /// that fail wait for a drain.
    pub async fn deliver_events_once(&self) -> Result<(), QueueError> {
        self.mappings.deliver_once(EVENTS).await
    }

    /// Compares the books of an organisation now.
    pub async fn audit(
        &self,
        request: &reset::AuditRequest,
        until: Instant,
    ) -> Result<Vec<Books>, StoreError> {
        reset::audit(&self.reset, request, until).await
    }

    /// Runs the schedule once, as EventBridge does each hour.
    pub async fn schedule(&self, until: Instant) -> Result<reset::Report, StoreError> {
        reset::handle(&self.reset, until).await
    }

    /// Counts the departments, users and budgets of the organisation.
    pub async fn summary(&self) -> Result<Summary, StoreError> {
        let snapshot = self.store.snapshot_for_change(ORGANISATION).await?;
        let configuration = snapshot.map(|snapshot| snapshot.configuration);
        let departments = configuration.as_ref().map(|known| &known.departments);
        Ok(Summary {
            departments: departments.map_or(0, |known| known.len()),
            users: departments.map_or(0, |known| {
                known.values().map(|department| department.users).sum()
            }),
            budgets: configuration
                .as_ref()
                .map_or(0, |known| known.budgets.len()),
        })
    }

    /// Stops handling events. Events that wait stay in their queue.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }
}

/// Whether `dir` contains the data of a system.
pub fn has_data(dir: &Path) -> bool {
    Queues::is_in(dir)
}
