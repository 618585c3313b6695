//! All functions, their tables and their queues in one process.

mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn_with_state;
use jiff::Timestamp;
use shared::domain::api_key::ApiKey;
use shared::domain::authority::Maker;
use shared::domain::change::{Audited, Author};
use shared::domain::configuration::Organisation;
use shared::domain::egress_policy::EgressPolicy;
use shared::domain::notice::NoticeMessage;
use shared::domain::people::Role;
use shared::ledger::Books;
use shared::runtime::clock::Clock;
use shared::runtime::http::finished;
use shared::runtime::logs::note;
use shared::runtime::queue::Notices;
use shared::runtime::rate::Rates;
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::store::{Store, StoreError, Tables, digest_of};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bucket::LocalBucket;
use crate::bus::LocalBus;
use crate::demo;
use crate::engine::Engine;
use crate::guard::{Guard, guarded};
use crate::local_routes;
use crate::mail::Mails;
use crate::mapping::{Mapping, Mappings, Running};
use crate::permissions::Permission;
use crate::queue::{QueueError, QueueSettings, Queues};
pub use settings::{Contents, StartError, SystemSettings};

/// The organisation that every system has.
pub const ORGANISATION: &str = "demo";
/// Its administrator's key.
pub const ADMIN_KEY: &str = "tk_local_admin";
/// Its agents' key.
pub const AGENT_KEY: &str = "tk_local_agent";
/// The operator's key.
pub const OPERATOR_KEY: &str = "tk_local_operator";
/// The queue between `ingest` and `evaluate`.
pub const EVENTS: &str = "events";
/// Where messages go that `evaluate` cannot handle.
pub const DEAD_EVENTS: &str = "events-dlq";

/// The queue between `evaluate` and whoever sends notices.
pub const NOTICES: &str = "notices";
/// Where notices go that cannot be sent.
pub const DEAD_NOTICES: &str = "notices-dlq";

/// The bus that notices are put on.
pub const BUS: &str = "toktra";
/// The bucket of the audit logs' heads.
pub const BUCKET: &str = "audit-heads";
/// The address that mails come from.
pub const MAIL_SENDER: &str = "toktra@localhost";
/// The configuration set through which the mail service reports.
pub const CONFIGURATION_SET: &str = "local";

/// How many events are handled together, as `template.yaml` says.
pub const EVENTS_BATCH: usize = 50;
/// How often a message is delivered before it is a dead letter, as `template.yaml` says.
pub const DELIVERIES: u32 = 5;
/// How often the schedule fires.
const HOUR: Duration = Duration::from_secs(3600);
/// How long open requests may go on when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// The whole system, started.
#[derive(Debug)]
pub struct System {
    engine: Engine,
    queues: Queues,
    clock: Clock,
    store: Store,
    router: Router,
    deployed_api: Router,
    mappings: Mappings,
    mails: Mails,
    bus: LocalBus,
    bucket: LocalBucket,
    reset: reset::App,
    new_preflight: NewPreflight,
    guard: Guard,
    time_to_send: Duration,
    running: Vec<Running>,
}

/// Makes an instance of preflight that knows nothing.
#[derive(Clone)]
struct NewPreflight(Arc<dyn Fn() -> preflight::App + Send + Sync>);

impl fmt::Debug for NewPreflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPreflight")
    }
}

/// How much the organisation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Departments.
    pub departments: usize,
    /// Users.
    pub users: u64,
    /// Budgets.
    pub budgets: usize,
    /// Whether the demo data is there, all of it.
    pub has_demo_data: bool,
}

impl System {
    /// Opens the data, makes what is missing, and begins to handle events.
    pub async fn start(settings: SystemSettings) -> Result<Self, StartError> {
        let data = settings.data.as_deref();
        let [events, dead_events] = queue_settings(EVENTS, DEAD_EVENTS);
        let [notices, dead_notices] = queue_settings(NOTICES, DEAD_NOTICES);
        // The queues come first: their file is what keeps a second process out of the directory.
        let queues = Queues::open(
            data,
            &[events.clone(), dead_events, notices.clone(), dead_notices],
        )
        .map_err(|error| not_opened(error, data))?;
        let engine = Engine::open(data)?;
        let new_store =
            |function| Store::new(settings.dynamodb(&engine, function), Tables::local());
        let clock = settings.now.map_or_else(Clock::default, Clock::standing_at);
        let store = new_store("local");
        store.create_missing_tables().await?;
        create_organisation(&store, clock.now()).await?;

        let notices_of =
            |function| Notices::new(settings.sqs(&queues, function), Queues::url(NOTICES));
        let to_notify = notices_of("evaluate");
        let evaluate = evaluate::App::new(new_store("evaluate"), to_notify, clock.clone());
        let evaluate = Arc::new(evaluate);
        let evaluate_delay = settings.evaluate_delay.unwrap_or_default();
        let evaluating = Mapping::new(
            queues.clone(),
            events,
            settings.delivers_events,
            move |event| {
                let evaluate = evaluate.clone();
                async move {
                    if !evaluate_delay.is_zero() {
                        tokio::time::sleep(evaluate_delay).await;
                    }
                    evaluate::handle(&evaluate, event).await
                }
            },
        )
        .with_batch(EVENTS_BATCH)
        .with_first_retry(settings.first_retry);
        let tokens = Tokens::new(OPERATOR_KEY);
        let mails = Mails::new(clock.clone());
        let bus = LocalBus::default();
        let given_up = Notices::new(settings.sqs(&queues, "notify"), Queues::url(DEAD_NOTICES));
        let notify = Arc::new(notify::App::new(
            new_store("notify"),
            [notices_of("notify"), given_up],
            Sealer::new(OPERATOR_KEY),
            (
                settings.poster()?,
                settings.mailer(&mails),
                settings.bus(&bus),
            ),
            clock.clone(),
        ));
        let notifying = Mapping::new(
            queues.clone(),
            notices,
            settings.delivers_events,
            move |event| {
                let notify = notify.clone();
                async move { notify::handle(&notify, event).await }
            },
        )
        .with_first_retry(settings.first_retry);
        let mappings = Mappings::new([evaluating, notifying]);
        let bucket = LocalBucket::default();
        let reset = reset::App::new(
            new_store("reset"),
            notices_of("reset"),
            settings.heads(&bucket)?,
            clock.clone(),
        );
        let api = api::App::new(
            new_store("api"),
            OPERATOR_KEY,
            (Sealer::new(OPERATOR_KEY), tokens.clone()),
            notices_of("api"),
            clock.clone(),
        )
        .with_egress(EgressPolicy::PublicAndLoopback);
        let api = match settings.is_limited {
            true => api,
            false => api.with_rates(Rates::unlimited()),
        };
        let believed = settings.keys_believed;
        let api = match believed {
            Some(believed) => api.believing_keys(believed),
            None => api,
        };
        let api = match settings.test_time {
            Some(test_time) => api.with_test_time(test_time),
            None => api,
        };
        let new_preflight = {
            let (store, clock) = (new_store("preflight"), clock.clone());
            let (tokens, sqs) = (tokens.clone(), settings.sqs(&queues, "preflight"));
            let (on_unavailable, is_limited) = (settings.on_unavailable, settings.is_limited);
            let decision_time = settings.decision_time;
            move || {
                let refusals = preflight::Refusals::new(sqs.clone(), Queues::url(EVENTS));
                let tells = (tokens.clone(), refusals);
                let (store, clock) = (store.clone(), clock.clone());
                let preflight = preflight::App::new(store, clock, on_unavailable, tells);
                let preflight = preflight.with_time(decision_time);
                let preflight = match believed {
                    Some(believed) => preflight.believing_keys(believed),
                    None => preflight,
                };
                match is_limited {
                    true => preflight,
                    false => preflight.with_rates(Rates::unlimited()),
                }
            }
        };
        let ingest = ingest::App::new(
            new_store("ingest"),
            settings.sqs(&queues, "ingest"),
            Queues::url(EVENTS),
            (Sealer::new(OPERATOR_KEY), tokens),
            clock.clone(),
        );
        let ingest = match settings.is_limited {
            true => ingest,
            false => ingest.with_rates(Rates::unlimited()),
        };
        let ingest = match believed {
            Some(believed) => ingest.believing_keys(believed),
            None => ingest,
        };
        let local = local_routes::Local::new(
            engine.clone(),
            store.clone(),
            queues.clone(),
            clock.clone(),
            mappings.clone(),
            (mails.clone(), bus.clone(), bucket.clone()),
            reset.clone(),
        );
        let deployed_api = api::router(api.clone());
        let router = Router::new()
            .merge(api::routes().with_state(api))
            .merge(preflight::routes().with_state(new_preflight()))
            .merge(ingest::routes().with_state(ingest))
            .merge(local_routes::routes().with_state(local));
        let guard = Guard::new(settings.time_to_send);
        let router = router.layer(from_fn_with_state(guard.clone(), guarded));

        let system = Self {
            engine,
            queues,
            clock,
            store,
            router: finished(router),
            deployed_api,
            running: mappings.run(),
            mappings,
            mails,
            bus,
            bucket,
            reset,
            new_preflight: NewPreflight(Arc::new(new_preflight)),
            guard,
            time_to_send: settings.time_to_send,
        };
        if settings.contents == Contents::Demo && !demo::is_complete(&system.store).await? {
            demo::create(&system).await?;
        }
        Ok(system)
    }

    /// Another instance of preflight, which has read what one reads before its first request.
    pub async fn another_preflight(&self) -> Router {
        let preflight = (self.new_preflight.0)();
        preflight.make_ready().await;
        preflight::router(preflight)
    }

    /// The API function alone, as it is deployed.
    pub fn deployed_api(&self) -> Router {
        self.deployed_api.clone()
    }

    /// Every function's routes and those under `/local`.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Answers requests until `shutdown`, and those already begun for half a second more.
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
        self.guard.listens_on(listener.local_addr()?.port());
        let serving = server::serve(listener, self.router(), self.time_to_send, signal);
        tokio::select! {
            served = serving => served,
            () = self.fire_hourly() => Ok(()),
            () = async { stopping.notified().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }

    /// Fires the schedule now and each hour, by a clock that nobody sets.
    async fn fire_hourly(&self) {
        let mut hours = tokio::time::interval(HOUR);
        loop {
            hours.tick().await;
            match self.schedule(Instant::now() + HOUR / 2).await {
                Ok(report) => tracing::debug!(?report, "the schedule's pass is over"),
                Err(error) => note("the schedule's pass failed", &error),
            }
        }
    }

    /// The database, to count its calls and make them fail.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The queues, to look into them and make their calls fail.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// The mail service, to look at what was sent and make it refuse.
    pub fn mails(&self) -> &Mails {
        &self.mails
    }

    /// The bus, to look at what was put on it and make it fail.
    pub fn bus(&self) -> &LocalBus {
        &self.bus
    }

    /// The bucket of the audit logs' heads, to look into it and make it fail.
    pub fn bucket(&self) -> &LocalBucket {
        &self.bucket
    }

    /// What each function did since the system was started, as the permissions that it needed.
    pub fn permissions_used(&self) -> BTreeSet<Permission> {
        let services = [
            self.engine.permissions_used(),
            self.queues.permissions_used(),
            self.mails.permissions_used(),
            self.bus.permissions_used(),
            self.bucket.permissions_used(),
        ];
        services.into_iter().flatten().collect()
    }

    /// The clock of every function.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tables as the functions see them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns when every event that is due has been handled, or is a dead letter.
    pub async fn drain(&self) -> Result<(), QueueError> {
        drain(&self.mappings, &self.queues).await
    }

    /// Hands one batch of events to `evaluate`, if they do not come by themselves. Those that fail wait for a drain.
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

    /// One pass of the schedule, as EventBridge fires it each hour.
    pub async fn schedule(&self, until: Instant) -> Result<reset::Report, StoreError> {
        reset::handle(&self.reset, until).await
    }

    /// How much the organisation has at this moment.
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
            has_demo_data: demo::is_complete(&self.store).await?,
        })
    }

    /// Handles no more events; those that are waiting stay where they are.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }
}

/// Returns when nothing is due any more, mails that wait to be joined included.
pub(crate) async fn drain(mappings: &Mappings, queues: &Queues) -> Result<(), QueueError> {
    loop {
        mappings.drain().await?;
        if !flush_mails(queues)? {
            return Ok(());
        }
    }
}

/// Lets the boxes that wait for more letters be looked into now; whether there were any. Those whose mail failed wait on.
fn flush_mails(queues: &Queues) -> Result<bool, QueueError> {
    let mut has_any = false;
    for body in queues.take_delayed(NOTICES, |body| first_look(body).is_some())? {
        if let Some(message) = first_look(&body) {
            let body = serde_json::to_string(&message).unwrap_or(body);
            queues.send(NOTICES, &body, Duration::ZERO)?;
            has_any = true;
        }
    }
    Ok(has_any)
}

/// The first look into a box of letters, due at once; none where the message is something else.
fn first_look(body: &str) -> Option<NoticeMessage> {
    match serde_json::from_str(body).ok()? {
        NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt: 0,
            ..
        } => Some(NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt: 0,
            due_at: Timestamp::MIN,
        }),
        _ => None,
    }
}

fn queue_settings(name: &str, dead_letters: &str) -> [QueueSettings; 2] {
    let dead = QueueSettings {
        name: dead_letters.to_owned(),
        visibility_timeout: Duration::from_secs(30),
        max_receive_count: DELIVERIES,
        dead_letter_queue: None,
    };
    let queue = QueueSettings {
        name: name.to_owned(),
        dead_letter_queue: Some(dead_letters.to_owned()),
        ..dead.clone()
    };
    [queue, dead]
}

fn not_opened(error: QueueError, data: Option<&Path>) -> StartError {
    match (error, data) {
        (QueueError::Database(error), Some(data))
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
        {
            StartError::InUse(data.to_owned())
        }
        (error, _) => error.into(),
    }
}

/// Whether a system has kept its data in `dir`.
pub fn has_data(dir: &Path) -> bool {
    Queues::is_in(dir)
}

/// Makes the organisation with its two keys, if it is not there.
async fn create_organisation(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let name = "Demo".to_owned();
    let organisation = Organisation::new(ORGANISATION.to_owned(), name, "UTC".to_owned(), now);
    let keys = [
        ("key_local_admin", Role::Admin, ADMIN_KEY),
        ("key_local_agent", Role::Agent, AGENT_KEY),
    ];
    let keys = keys.map(|(id, role, secret)| ApiKey {
        id: id.to_owned(),
        role,
        user_id: None,
        description: Some("made by the local stack".to_owned()),
        created_at: now,
        made_by: Some(Maker::operator()),
        digest: digest_of(secret),
    });
    let author = Author {
        name: "operator".to_owned(),
        authority: None,
        request_id: "local".to_owned(),
    };
    let json = serde_json::json!({"id": organisation.id, "name": organisation.name}).to_string();
    let organisation = Audited::new(organisation, json);
    // Whether it was made now or before is the same here.
    store
        .create_organisation(organisation, keys.into(), &author, None, now)
        .await?;
    Ok(())
}
