//! Sets and removes what an organisation says of its prices: the steps that prices, discounts and
//! aliases have in common.

use super::super::change::{Proposal, change, check_version};
use super::Request;
use axum::response::Response;
use jiff::Timestamp;
use shared::domain::change::{Audited, Change, PricesChange, Put, Removal};
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::own::OwnPrices;
use shared::domain::pricing::timeline::{Dated, MAX_STEPS};
use shared::runtime::error::ApiError;

/// A kind of row that an organisation has of its prices.
pub(super) struct Kind<K, T> {
    /// As errors name it.
    pub(super) what: &'static str,
    /// The field that names it.
    pub(super) field: &'static str,
    /// How many there may be.
    pub(super) most: usize,
    pub(super) known: fn(&OwnPrices, &K) -> Option<Dated<K, T>>,
    pub(super) count: fn(&OwnPrices) -> usize,
    /// Its JSON at a moment.
    pub(super) text: fn(&Configuration, &Dated<K, T>, Timestamp) -> String,
    pub(super) set: fn(Put<Dated<K, T>>) -> PricesChange,
    pub(super) removed: fn(Removal<Dated<K, T>>) -> PricesChange,
}

/// What a request wants to set.
pub(super) struct Wish<K, T> {
    pub(super) of: K,
    /// None for now.
    pub(super) from: Option<Timestamp>,
    pub(super) value: T,
}

/// Sets a value. `check` returns a conflict if it does not fit the rest of the configuration.
pub(super) async fn set<K: Clone, T: Clone + PartialEq>(
    request: Request,
    kind: &Kind<K, T>,
    wish: &Wish<K, T>,
    check: impl Fn(&Configuration) -> Result<(), ApiError> + Copy,
) -> Result<Response, ApiError> {
    let Request {
        app,
        actor,
        headers,
        times,
    } = request;
    change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let before = (kind.known)(&configuration.prices, &wish.of);
        check_version(&headers, before.as_ref().map_or(0, |before| before.version))?;
        check(configuration)?;
        if before.is_none() && (kind.count)(&configuration.prices) >= kind.most {
            let most = kind.most;
            let message = format!("there are {most}, the most, with those that past usage needs");
            return Err(ApiError::taken(kind.field, message));
        }
        let from = wish.from.unwrap_or(times.now);
        let value = (from, wish.value.clone());
        let after = Dated::with(before.as_ref(), wish.of.clone(), value, times);
        let after = after.ok_or_else(|| {
            let message = format!("it has {MAX_STEPS} values over time, which is the most");
            ApiError::taken("effective_from", message)
        })?;
        let there = before.filter(|before| before.is_there(times.now));
        let body = (kind.text)(configuration, &after, times.now);
        let put = Put {
            before: there.map(|before| (kind.text)(configuration, &before, times.now)),
            after: Audited::new(after, body.clone()),
        };
        let set = Change::Prices((kind.set)(put));
        Ok(Proposal::showing(set, 200, body))
    })
    .await
}

/// Removes it from now on.
pub(super) async fn remove<K: Clone, T: Clone + PartialEq>(
    request: Request,
    kind: &Kind<K, T>,
    of: &K,
) -> Result<Response, ApiError> {
    let Request {
        app,
        actor,
        headers,
        times,
    } = request;
    change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let before = (kind.known)(&configuration.prices, of);
        let before = before.filter(|before| before.is_there(times.now));
        let before = before.ok_or_else(|| ApiError::not_found(kind.what))?;
        check_version(&headers, before.version)?;
        let remembered = before.removed(times);
        let json = (kind.text)(configuration, &before, times.now);
        let removal = Removal {
            before: Audited::new(before, json),
            remembered,
        };
        let removed = Change::Prices((kind.removed)(removal));
        Ok(Proposal::silent(removed))
    })
    .await
}
