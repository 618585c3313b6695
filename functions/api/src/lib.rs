//! The public management API: organisations, departments, users, budgets and keys.
//!
//! A handler reads its input, says what changes and what the answer will be; [`act`] carries the change out.

mod act;
mod addresses;
mod alerts;
mod api_keys;
mod audit;
mod authority;
mod backtests;
mod budgets;
mod corrections;
mod departments;
mod events;
mod exemption_steps;
mod exemption_view;
mod exemptions;
mod github;
mod incidents;
mod oauth;
pub mod openapi;
mod organisations;
mod policies;
mod policy_view;
mod replay;
mod rollovers;
mod rule_fields;
mod suppressions;
mod top_ups;
mod tree;
mod usage;
mod users;
mod view;
mod visibility;
mod webhook_retry;
mod webhooks;

use axum::Router;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use shared::domain::egress_policy::EgressPolicy;
use shared::runtime::auth::Keys;
use shared::runtime::clock::Clock;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{finished, json};
use shared::runtime::list::{Cursors, PageRequest, Parameters};
use shared::runtime::openapi::Failed;
use shared::runtime::queue::Notices;
use shared::runtime::rate::{self, Rates};
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::store::Store;
use std::time::Duration;
use utoipa::ToSchema;

/// What the function has for all its requests.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    keys: Keys,
    cursors: Cursors,
    clock: Clock,
    sealer: Sealer,
    notices: Notices,
    tokens: Tokens,
    /// Where webhooks may go.
    egress: EgressPolicy,
    /// How long one call of a policy's test evaluates before it answers with a cursor.
    test_time: Duration,
}

/// How long that is where nothing else is said: the function and the HTTP API in front of it wait for half a minute.
const TEST_TIME: Duration = Duration::from_secs(12);

impl App {
    /// The function on `store`, which queues on `notices`; `operator_key` and the keys of the sealer and the tokens are secrets of the
    /// deployment.
    pub fn new(
        store: Store,
        operator_key: &str,
        (sealer, tokens): (Sealer, Tokens),
        notices: Notices,
        clock: Clock,
    ) -> Self {
        let rates = Rates::of(rate::MANAGEMENT).shared(store.clone());
        let keys = Keys::new(store.clone(), tokens.clone(), rates, clock.clone());
        Self {
            sealer,
            notices,
            tokens,
            egress: EgressPolicy::Public,
            keys: keys.with_operator(operator_key),
            cursors: Cursors::new(operator_key),
            store,
            clock,
            test_time: TEST_TIME,
        }
    }

    /// The same where webhooks may go as far as `egress`.
    #[must_use]
    pub fn with_egress(self, egress: EgressPolicy) -> Self {
        Self { egress, ..self }
    }

    /// The same with other limits for each key.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self {
            keys: self.keys.with_rates(rates),
            ..self
        }
    }

    /// The same, believing keys for so long.
    #[must_use]
    pub fn believing_keys(self, believed: Duration) -> Self {
        Self {
            keys: self.keys.believing(believed),
            ..self
        }
    }

    /// The same where one call of a policy's test evaluates for so long.
    #[must_use]
    pub fn with_test_time(self, test_time: Duration) -> Self {
        Self { test_time, ..self }
    }
}

impl App {
    /// What a request asks of `list`, which takes no parameters but those of its pages.
    fn page(&self, query: Option<&str>, list: &str) -> Result<PageRequest, ApiError> {
        let mut parameters = Parameters::of_query(query);
        let asked = self.cursors.page(&mut parameters, list);
        parameters.finish()?;
        Ok(asked)
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

/// The function's routes.
pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
}

/// The routes without what surrounds them, to be served beside those of other functions.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(openapi::read))
        .route(
            "/v1/organisations",
            get(organisations::list).post(organisations::create),
        )
        .route(
            "/v1/organisations/{id}/admin-keys",
            post(organisations::create_admin_key),
        )
        .route(
            "/v1/organisation",
            get(organisations::read).patch(organisations::update),
        )
        .route(
            "/v1/departments",
            get(departments::list).post(departments::create),
        )
        .route("/v1/departments/tree", get(tree::read))
        .route(
            "/v1/departments/{id}",
            get(departments::read)
                .patch(departments::update)
                .delete(departments::remove),
        )
        .route("/v1/users", get(users::list).post(users::create))
        .route("/v1/users/{id}", get(users::read).patch(users::update))
        .route(
            "/v1/users/{id}/block",
            put(users::block).delete(users::release),
        )
        .route("/v1/budgets", get(budgets::list).post(budgets::create))
        .route("/v1/budgets/effective", get(budgets::effective))
        .route(
            "/v1/budgets/{id}",
            get(budgets::read)
                .patch(budgets::update)
                .delete(budgets::remove),
        )
        .route("/v1/budgets/{id}/top-ups", post(top_ups::create))
        .route("/v1/budgets/{id}/rollovers", get(rollovers::of_budget))
        .route("/v1/rollovers", get(rollovers::list))
        .route(
            "/v1/corrections",
            get(corrections::list).post(corrections::create),
        )
        .route("/v1/events", get(events::list))
        .route("/v1/events/decisions", post(events::decide))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/alerts/{id}", get(alerts::read).patch(alerts::update))
        .route("/v1/policies", get(policies::list).post(policies::create))
        .route(
            "/v1/policies/{id}",
            get(policies::read)
                .patch(policies::update)
                .delete(policies::remove),
        )
        .route("/v1/policies/{id}/publish", post(policies::publish))
        .route("/v1/policies/{id}/disable", post(policies::disable))
        .route("/v1/policies/{id}/test", post(backtests::test))
        .route("/v1/incidents", get(incidents::list))
        .route(
            "/v1/incidents/{id}",
            get(incidents::read).patch(incidents::update),
        )
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/v1/webhooks/{id}",
            get(webhooks::read)
                .patch(webhooks::update)
                .delete(webhooks::remove),
        )
        .route("/v1/webhooks/{id}/retry", post(webhook_retry::retry_all))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/rotate-secret", post(webhooks::rotate))
        .route("/v1/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route(
            "/v1/webhooks/{id}/deliveries/{delivery_id}/retry",
            post(webhooks::retry),
        )
        .route(
            "/v1/exemptions",
            get(exemptions::list).post(exemptions::create),
        )
        .route("/v1/exemptions/{id}", get(exemptions::read_one))
        .route(
            "/v1/exemptions/{id}/approve",
            post(exemption_steps::approve),
        )
        .route("/v1/exemptions/{id}/deny", post(exemption_steps::deny))
        .route("/v1/exemptions/{id}/revoke", post(exemption_steps::revoke))
        .route("/v1/audit-log", get(audit::list))
        .route("/v1/audit-log/export", get(audit::export))
        .route("/v1/audit-log/verify", get(audit::verify))
        .route("/v1/suppressions", get(suppressions::list))
        .route("/v1/suppressions/{email}", delete(suppressions::remove))
        .route("/v1/usage", get(usage::list))
        .route(
            "/v1/integrations/github",
            get(github::read).put(github::put),
        )
        .route(
            "/v1/integrations/github/risks",
            get(github::risks).put(github::put_risks),
        )
        .route("/v1/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/v1/api-keys/{id}", delete(api_keys::remove))
        .route("/v1/oauth/clients", get(oauth::list).post(oauth::create))
        .route("/v1/oauth/clients/{id}", delete(oauth::remove))
        .route("/v1/oauth/token", post(oauth::token))
}

/// A body that is missing or an empty object.
pub(crate) fn no_fields(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    Fields::of_body(body)?.finish()
}

/// Says that the function answers.
#[utoipa::path(
    get,
    path = "/v1/health",
    operation_id = "getHealth",
    tag = "Service",
    responses((status = 200, description = "It answers.", body = Health), Failed),
    security(()),
)]
async fn health() -> Response {
    json(200, r#"{"status":"ok"}"#.to_owned())
}

/// What a function that answers says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a constant")]
struct Health {
    #[schema(pattern = "^ok$")]
    status: String,
}
