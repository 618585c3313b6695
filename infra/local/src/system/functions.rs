//! The functions of one system, each with its own clients, and the queues that invoke them.

use std::fmt;
use std::sync::Arc;

use shared::domain::notice::egress_policy::EgressPolicy;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::rate::Rates;
use shared::runtime::sealing::Vault;
use shared::runtime::secrets::Secret;
use shared::runtime::settings::Patience;
use shared::runtime::token::Tokens;
use shared::store::{Store, Tables};

use super::settings::SystemSettings;
use crate::event_source::Mapping;
use crate::names::{
    AUDIT_SECRET, DEAD_EVENTS, DEAD_NOTICES, EVENTS, NOTICES, OPERATOR_SECRET, SEALING_SECRET,
    TOKEN_SECRET,
};
use crate::services::{Services, queue};
use crate::sqs::Queues;
use crate::start_error::StartError;

/// How many events are handled together, as `template.yaml` says.
pub const EVENTS_BATCH: usize = 50;

/// Builds the functions from the settings of a system.
pub(super) struct Functions<'a> {
    settings: &'a SystemSettings,
    services: &'a Services,
    clock: &'a Clock,
}

/// Makes an instance of `preflight` that has read nothing yet.
#[derive(Clone)]
pub(super) struct NewPreflight(Arc<dyn Fn() -> preflight::App + Send + Sync>);

impl NewPreflight {
    pub(super) fn instance(&self) -> preflight::App {
        (self.0)()
    }
}

impl fmt::Debug for NewPreflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPreflight")
    }
}

impl<'a> Functions<'a> {
    pub(super) fn new(
        settings: &'a SystemSettings,
        services: &'a Services,
        clock: &'a Clock,
    ) -> Self {
        Self {
            settings,
            services,
            clock,
        }
    }

    /// The tables, through the client of one function.
    pub(super) fn store(&self, function: &'static str) -> Store {
        self.store_waiting(function, None)
    }

    fn store_waiting(&self, function: &'static str, patience: Option<Patience>) -> Store {
        let engine = &self.services.engine;
        let client = self.settings.dynamodb(engine, function, patience);
        Store::new(client, Tables::local())
    }

    fn secret(&self, function: &'static str, name: &'static str) -> Secret {
        let secrets = &self.services.secrets;
        self.settings.secret(secrets, function, name)
    }

    fn tokens(&self, function: &'static str) -> Tokens {
        Tokens::new(self.secret(function, TOKEN_SECRET))
    }

    fn vault(&self, function: &'static str) -> Vault {
        Vault::new(self.secret(function, SEALING_SECRET))
    }

    fn sqs(&self, function: &'static str) -> aws_sdk_sqs::Client {
        self.settings.sqs(&self.services.queues, function)
    }

    fn notices(&self, function: &'static str) -> Notices {
        Notices::new(self.sqs(function), Queues::url(NOTICES))
    }

    /// The queue of events, handled by `evaluate`.
    pub(super) fn evaluate(&self) -> Mapping {
        let evaluate = evaluate::App::new(
            self.store("evaluate"),
            self.notices("evaluate"),
            self.clock.clone(),
        );
        let evaluate = Arc::new(evaluate);
        let delay = self.settings.evaluate_delay.unwrap_or_default();
        self.mapping(EVENTS, DEAD_EVENTS, move |event| {
            let evaluate = evaluate.clone();
            async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                evaluate::handle(&evaluate, event).await
            }
        })
        .with_batch(EVENTS_BATCH)
    }

    /// The queue of notices, handled by `notify`.
    pub(super) fn notify(&self) -> Result<Mapping, StartError> {
        let given_up = Notices::new(self.sqs("notify"), Queues::url(DEAD_NOTICES));
        let notify = Arc::new(notify::App::new(
            self.store("notify"),
            [self.notices("notify"), given_up],
            self.vault("notify"),
            (
                self.settings.poster()?,
                self.settings.mailer(&self.services.mails),
                self.settings.bus(&self.services.bus),
            ),
            self.clock.clone(),
        ));
        Ok(self.mapping(NOTICES, DEAD_NOTICES, move |event| {
            let notify = notify.clone();
            async move { notify::handle(&notify, event).await }
        }))
    }

    fn mapping<F, R>(&self, name: &str, dead_letters: &str, function: F) -> Mapping
    where
        F: Fn(aws_lambda_events::event::sqs::SqsEvent) -> R + Send + Sync + 'static,
        R: Future<Output = aws_lambda_events::event::sqs::SqsBatchResponse> + Send + 'static,
    {
        Mapping::new(
            self.services.queues.clone(),
            queue(name, dead_letters),
            self.settings.delivers_events,
            function,
        )
        .with_first_retry(self.settings.first_retry)
    }

    pub(super) fn reset(&self) -> reset::App {
        let key = self.secret("reset", AUDIT_SECRET);
        let archive = self.settings.archive(&self.services.bucket);
        reset::App::new(
            self.store("reset"),
            self.notices("reset"),
            reset::Heads::new(key, Some(archive)),
            self.clock.clone(),
        )
    }

    pub(super) fn api(&self) -> api::App {
        let mut api = api::App::new(
            self.store("api"),
            self.secret("api", OPERATOR_SECRET),
            (self.vault("api"), self.tokens("api")),
            self.notices("api"),
            self.clock.clone(),
        )
        .with_egress(EgressPolicy::PublicAndLoopback);
        if !self.settings.is_limited {
            api = api.with_rates(Rates::unlimited());
        }
        if let Some(time) = self.settings.keys_believed {
            api = api.believing_keys(time);
        }
        if let Some(time) = self.settings.test_time {
            api = api.with_test_time(time);
        }
        api
    }

    pub(super) fn preflight(&self) -> NewPreflight {
        let patience = self.settings.preflight_patience;
        let store = self.store_waiting("preflight", patience);
        let start_store = self.store_waiting("preflight", patience.map(|_| Patience::USUAL));
        let clock = self.clock.clone();
        let (tokens, sqs) = (self.tokens("preflight"), self.sqs("preflight"));
        let SystemSettings {
            on_unavailable,
            is_limited,
            decision_time,
            keys_believed,
            repeats_refusals,
            ..
        } = *self.settings;
        NewPreflight(Arc::new(move || {
            let refusals = preflight::Refusals::new(sqs.clone(), Queues::url(EVENTS));
            let tells = (tokens.clone(), refusals);
            let mut preflight =
                preflight::App::new(store.clone(), clock.clone(), on_unavailable, tells)
                    .starting_with(start_store.clone())
                    .repeating_refusals(repeats_refusals)
                    .with_time(decision_time);
            if let Some(time) = keys_believed {
                preflight = preflight.believing_keys(time);
            }
            if !is_limited {
                preflight = preflight.with_rates(Rates::unlimited());
            }
            preflight
        }))
    }

    pub(super) fn ingest(&self) -> ingest::App {
        let mut ingest = ingest::App::new(
            self.store("ingest"),
            self.sqs("ingest"),
            Queues::url(EVENTS),
            (self.vault("ingest"), self.tokens("ingest")),
            self.clock.clone(),
        );
        if !self.settings.is_limited {
            ingest = ingest.with_rates(Rates::unlimited());
        }
        if let Some(time) = self.settings.keys_believed {
            ingest = ingest.believing_keys(time);
        }
        ingest
    }
}
