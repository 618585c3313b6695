//! The public management API: organisations, departments, users, budgets and keys.
//!
//! A handler reads its input and returns the change with its answer. The module `change` commits
//! it.
//!
//! Each subject has a room: the handlers in `mod.rs`, the readers of bodies in `body.rs`, the
//! answers as JSON in `view.rs`, and in `schema.rs` the bodies as the API's document shows them.

mod alerts;
mod api_keys;
mod audit;
mod authority;
mod body;
mod budgets;
mod change;
mod corrections;
mod crossings;
mod departments;
mod events;
mod exemptions;
mod github;
mod health;
mod in_force;
mod incidents;
mod json;
mod models;
mod oauth;
pub mod openapi;
mod organisations;
mod pages;
mod parameters;
mod policies;
mod prices;
mod replay;
mod suppressions;
mod usage;
mod users;
mod visibility;
mod webhooks;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::{Method, StatusCode};
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::runtime::auth::Keys;
use shared::runtime::clock::Clock;
use shared::runtime::error::ApiError;
use shared::runtime::http::finished;
use shared::runtime::list::{Cursors, PageRequest, Parameters};
use shared::runtime::queue::Notices;
use shared::runtime::rate::{self, Rates};
use shared::runtime::sealing::Vault;
use shared::runtime::secrets::Secret;
use shared::runtime::token::Tokens;
use shared::store::Store;
use std::time::Duration;

/// The state that all requests share.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    keys: Keys,
    cursors: Cursors,
    clock: Clock,
    vault: Vault,
    notices: Notices,
    tokens: Tokens,
    /// How far webhooks may reach.
    egress: EgressPolicy,
    /// How long one call of a policy's test or of a repricing reads before it answers with a
    /// cursor.
    test_time: Duration,
}

/// The default of `test_time`. The function and the HTTP API in front of it wait for half a minute.
const TEST_TIME: Duration = Duration::from_secs(12);

impl App {
    /// Builds the function on `store`, with `notices` as its queue.
    pub fn new(
        store: Store,
        operator_key: Secret,
        (vault, tokens): (Vault, Tokens),
        notices: Notices,
        clock: Clock,
    ) -> Self {
        let rates = Rates::of(rate::MANAGEMENT).shared(store.clone());
        let keys = Keys::new(store.clone(), tokens.clone(), rates, clock.clone());
        Self {
            vault,
            notices,
            tokens,
            egress: EgressPolicy::Public,
            keys: keys.with_operator(operator_key.clone()),
            cursors: Cursors::new(operator_key),
            store,
            clock,
            test_time: TEST_TIME,
        }
    }

    /// Lets webhooks reach as far as `egress` allows.
    #[must_use]
    pub fn with_egress(self, egress: EgressPolicy) -> Self {
        Self { egress, ..self }
    }

    /// Replaces the request limits of each key.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self {
            keys: self.keys.with_rates(rates),
            ..self
        }
    }

    /// Sets how long a key is trusted before it is read again.
    #[must_use]
    pub fn believing_keys(self, believed: Duration) -> Self {
        Self {
            keys: self.keys.believing(believed),
            ..self
        }
    }

    /// Sets how long one call of a policy's test evaluates.
    #[must_use]
    pub fn with_test_time(self, test_time: Duration) -> Self {
        Self { test_time, ..self }
    }
}

impl App {
    /// Reads the page parameters of `list`, which takes no others.
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
    health::read,
    organisations::list,
    organisations::create,
    organisations::create_admin_key,
    organisations::settings::read,
    organisations::settings::update,
    departments::list,
    departments::create,
    departments::tree::read,
    departments::read,
    departments::update,
    departments::deletion::remove,
    users::list,
    users::create,
    users::read,
    users::update,
    users::blocking::block,
    users::blocking::release,
    budgets::list,
    budgets::create,
    budgets::effective::read,
    budgets::read,
    budgets::update,
    budgets::deletion::remove,
    budgets::top_ups::create,
    budgets::rollovers::list_of_budget,
    budgets::rollovers::list,
    usage::list,
    models::unsure::list,
    corrections::list,
    corrections::create,
    prices::table::list,
    prices::by_name::set_price,
    prices::by_name::remove_price,
    prices::by_name::set_discount,
    prices::by_name::remove_discount,
    prices::by_name::remove_alias,
    prices::discounts::list,
    prices::discounts::set,
    prices::discounts::remove,
    prices::own::read,
    prices::own::set,
    prices::own::remove,
    prices::reprice::reprice,
    prices::aliases::list,
    prices::aliases::set,
    prices::aliases::remove,
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
    policies::publishing::publish,
    policies::publishing::disable,
    policies::backtests::test,
    webhooks::list,
    webhooks::create,
    webhooks::read,
    webhooks::update,
    webhooks::remove,
    webhooks::retries::retry_all,
    webhooks::secrets::rotate,
    webhooks::deliveries::test,
    webhooks::deliveries::list,
    webhooks::deliveries::retry,
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
    oauth::tokens::create,
    exemptions::list,
    exemptions::create,
    exemptions::read,
    exemptions::steps::approve,
    exemptions::steps::deny,
    exemptions::steps::revoke,
    audit::list,
    audit::export,
    audit::walk::verify,
    suppressions::list,
    suppressions::release,
    suppressions::remove,
}

/// The endpoints of other functions by their paths. The gateway sends them there. Other methods of
/// these paths arrive here, and their answer lists the allowed methods.
pub const ELSEWHERE: [(&str, MethodFilter); 5] = [
    ("/v1/preflight", MethodFilter::POST),
    ("/v1/holds/{id}", MethodFilter::DELETE),
    ("/v1/holds/{id}", MethodFilter::PATCH),
    ("/v1/events", MethodFilter::POST),
    ("/v1/integrations/github/{id}", MethodFilter::POST),
];

pub fn router(app: App) -> Router {
    let elsewhere = ELSEWHERE.into_iter();
    let routes = elsewhere.fold(routes(), |routes, (path, method)| {
        routes.route(path, on(method, async || ApiError::not_found("path")))
    });
    finished(routes)
        .with_state(app)
        .layer(from_fn(answer_options))
}

/// Answers a browser that asks whether a page of another origin may call. The `$default` route
/// takes that question, the gateway adds its CORS headers to any answer, and a browser wants a 2xx.
async fn answer_options(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    }
}
