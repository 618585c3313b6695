//! The public management API: organisations, departments, users, budgets and keys.
//!
//! A handler reads its input, says what changes and what the answer will be; [`act`] carries the change out.

mod addresses;
mod alerts;
mod api_keys;
mod audit;
mod authority;
mod backtests;
mod budgets;
mod change;
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
use axum::routing::{MethodFilter, on};
use shared::domain::notice::egress_policy::EgressPolicy;
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

shared::endpoints! {
    App:
    openapi::read,
    health,
    organisations::list,
    organisations::create,
    organisations::create_admin_key,
    organisations::read,
    organisations::update,
    departments::list,
    departments::create,
    tree::read,
    departments::read,
    departments::update,
    departments::remove,
    users::list,
    users::create,
    users::read,
    users::update,
    users::block,
    users::release,
    budgets::list,
    budgets::create,
    budgets::effective,
    budgets::read,
    budgets::update,
    budgets::remove,
    top_ups::create,
    rollovers::of_budget,
    rollovers::list,
    usage::list,
    corrections::list,
    corrections::create,
    events::list,
    events::decide,
    alerts::list,
    alerts::read,
    alerts::update,
    incidents::list,
    incidents::read,
    incidents::update,
    policies::list,
    policies::create,
    policies::read,
    policies::update,
    policies::remove,
    policies::publish,
    policies::disable,
    backtests::test,
    webhooks::list,
    webhooks::create,
    webhooks::read,
    webhooks::update,
    webhooks::remove,
    webhook_retry::retry_all,
    webhooks::rotate,
    webhooks::test,
    webhooks::deliveries,
    webhooks::retry,
    github::read,
    github::put,
    github::risks,
    github::put_risks,
    api_keys::list,
    api_keys::create,
    api_keys::remove,
    oauth::list,
    oauth::create,
    oauth::remove,
    oauth::token,
    exemptions::list,
    exemptions::create,
    exemptions::read_one,
    exemption_steps::approve,
    exemption_steps::deny,
    exemption_steps::revoke,
    audit::list,
    audit::export,
    audit::verify,
    suppressions::list,
    suppressions::remove,
}

/// The endpoints of other functions by their paths. The gateway sends them there, and here what it
/// knows no route for: other methods of these paths, whose answer lists the methods that there are.
pub const ELSEWHERE: [(&str, MethodFilter); 5] = [
    ("/v1/preflight", MethodFilter::POST),
    ("/v1/holds/{id}", MethodFilter::DELETE),
    ("/v1/holds/{id}", MethodFilter::PATCH),
    ("/v1/events", MethodFilter::POST),
    ("/v1/integrations/github/{id}", MethodFilter::POST),
];

/// The function's routes.
pub fn router(app: App) -> Router {
    let elsewhere = ELSEWHERE.into_iter();
    let routes = elsewhere.fold(routes(), |routes, (path, method)| {
        routes.route(path, on(method, async || ApiError::not_found("path")))
    });
    finished(routes).with_state(app)
}

/// A body that is missing or an empty object.
pub(crate) fn no_fields(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    Fields::of_body(body)?.finish()
}

/// Says that the function answers.
#[shared::endpoint(GET "/v1/health", ANYBODY)]
#[utoipa::path(
    operation_id = "getHealth",
    tag = "Service",
    responses((status = 200, description = "It answers.", body = Health), Failed),
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
