//! What usage costs: the price table, and the organisation's own prices, discounts and aliases.

pub(crate) mod aliases;
mod booking;
pub(crate) mod by_name;
mod changing;
mod difference;
pub(crate) mod discounts;
pub(crate) mod own;
mod priced;
mod rates;
pub(crate) mod reprice;
mod schema;
pub(crate) mod table;

use super::App;
use super::change::Actor;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;
use shared::domain::ledger::usage::MAX_AGE;
use shared::domain::pricing::timeline::Times;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::RequestId;
use shared::runtime::list::{PageBody, PageRequest, Parameters};
use shared::runtime::values::{Model, Provider};

/// A request for a change: who makes it and when. Its headers may name the version to change.
pub(crate) struct Request {
    app: App,
    actor: Actor,
    headers: HeaderMap,
    times: Times,
}

impl FromRequestParts<App> for Request {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let RequestId(id) = RequestId::from_request_parts(parts, app).await?;
        Ok(Self {
            actor: Actor::of(caller.owner()?, &id),
            headers: parts.headers.clone(),
            times: times(app.clock.now()),
            app: app.clone(),
        })
    }
}

fn times(now: Timestamp) -> Times {
    Times {
        now,
        oldest: now.saturating_sub(MAX_AGE).unwrap_or(now),
    }
}

fn model_name(raw: &str) -> Result<String, String> {
    Model::read(raw)
}

fn provider_name(raw: &str) -> Result<String, String> {
    Provider::read(raw)
}

/// Checks a name in a path by the rule of the same name in a body.
fn named(
    field: &str,
    name: &str,
    rule: impl Fn(&str) -> Result<String, String>,
) -> Result<(), ApiError> {
    match by_rule(name, rule) {
        Ok(()) => Ok(()),
        Err(message) => Err(ApiError::field(field, message)),
    }
}

/// Takes a name out of a query, by the rule of the same name in a body.
fn take_name(
    parameters: &mut Parameters,
    field: &str,
    rule: impl Fn(&str) -> Result<String, String>,
) -> String {
    let is_there = parameters.has(field);
    let name = parameters.required(field, "must be text", |_| true);
    if let (true, Err(message)) = (is_there, by_rule(&name, rule)) {
        parameters.refuse(field, &message);
    }
    name
}

fn by_rule(name: &str, rule: impl Fn(&str) -> Result<String, String>) -> Result<(), String> {
    // A text is always JSON
    let raw = serde_json::to_string(name).unwrap_or_default();
    rule(&raw).map(drop)
}

/// Returns a page of `items`, which are sorted by their keys.
fn page_of<'a, T, V>(
    items: impl Iterator<Item = (String, T)>,
    asked: &PageRequest,
    shown: impl Fn(T) -> V,
    (app, list): (&'a App, &'a str),
) -> PageBody<V> {
    let after = asked.after.as_ref();
    let mut items = items.filter(|(key, _)| after.is_none_or(|after| key > after));
    let mut views = Vec::new();
    let mut last = None;
    for (key, item) in items.by_ref().take(asked.limit) {
        views.push(shown(item));
        last = Some(key);
    }
    let next = items.next().and(last);
    PageBody::new(views, next.as_deref(), &app.cursors, list)
}
