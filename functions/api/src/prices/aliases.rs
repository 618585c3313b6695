//! Names that stand for models: deployments, and the ARNs of inference profiles.

use super::changing::{self, Kind, Wish};
use super::schema::SetAlias;
use super::{Request, model_name, named, page_of, provider_name};
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::change::PricesChange;
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::domain::pricing::matched::PriceMatch;
use shared::domain::pricing::own::{Alias, MAX_ALIASES, Target, folded};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IfMatch, Invalid, Model, Moment, Page, TooLarge, Unknown,
};
use shared::runtime::parse;
use utoipa::ToSchema;

pub(super) const KIND: Kind<String, Target> = Kind {
    what: "alias",
    field: "name",
    most: MAX_ALIASES,
    known: |prices, of| prices.alias(of).cloned(),
    count: |prices| prices.aliases().count(),
    text: |configuration, alias, now| to_json(&shown(configuration, alias, now)),
    set: PricesChange::AliasSet,
    removed: PricesChange::AliasRemoved,
};

/// What a name stands for, and the moment from which usage has its price.
#[derive(Serialize, ToSchema)]
#[schema(as = AliasOverTime)]
struct StepView<'a> {
    #[schema(value_type = Moment)]
    effective_from: String,
    /// Null if it was removed.
    #[schema(required = true)]
    model: Option<&'a str>,
    #[schema(required = true)]
    provider: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Alias)]
pub(super) struct AliasView<'a> {
    name: &'a str,
    /// What it stands for now, or, if it stands for nothing yet, at first.
    #[schema(required = true)]
    model: Option<&'a str>,
    /// Null for the provider that is reported with the name.
    #[schema(required = true)]
    provider: Option<&'a str>,
    /// From when it counts.
    #[schema(required = true, value_type = Option<Moment>)]
    effective_from: Option<String>,
    /// How the model's price is found.
    price: PriceMatch,
    /// All that usage may still need, ascending. Each counts until the next one.
    over_time: Vec<StepView<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    updated_at: String,
}

fn shown<'a>(configuration: &Configuration, alias: &'a Alias, now: Timestamp) -> AliasView<'a> {
    let current = alias.values.since(now).next();
    let target = current.map(|(_, target)| target);
    let model = target.map(|target| target.model.as_str());
    let provider = target.and_then(|target| target.provider.as_deref());
    let at = current.map_or(now, |(step, _)| step.from.max(now));
    let pricing = configuration.pricing(PriceBooks::built_in(), at);
    let over_time = alias.values.steps().iter().map(|step| {
        let target = step.value.as_ref();
        StepView {
            effective_from: step.from.to_string(),
            model: target.map(|target| target.model.as_str()),
            provider: target.and_then(|target| target.provider.as_deref()),
        }
    });
    AliasView {
        name: &alias.of,
        model,
        provider,
        effective_from: current.map(|(step, _)| step.from.to_string()),
        price: pricing.known(provider, model.unwrap_or_default()).matched,
        over_time: over_time.collect(),
        version: alias.version,
        updated_at: alias.updated_at.to_string(),
    }
}

/// Lists the aliases by name.
#[shared::endpoint(GET "/v1/models/aliases", MANAGED)]
#[utoipa::path(
    operation_id = "listAliases",
    tag = "Prices",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<AliasView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} aliases", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = read_configuration(&app, owner).await?;
    let now = app.clock.now();
    let there = configuration.prices.aliases();
    let there = there.filter(|alias| alias.is_there(now));
    let sorted = there.map(|alias| (folded(&alias.of), alias));
    let shown = |alias| shown(&configuration, alias, now);
    let body = page_of(sorted, &asked, shown, (&app, &list));
    Ok(json(200, to_json(&body)))
}

/// Says what a name stands for: a deployment's, or the ARN of an inference profile.
///
/// Usage under the name has the price of the model from that moment on. Names are compared in
/// whatever case. A name that stands for something is no model of another alias.
#[shared::endpoint(PUT "/v1/models/aliases", ADMIN)]
#[utoipa::path(
    operation_id = "setAlias",
    tag = "Prices",
    params(IfMatch),
    request_body(content = SetAlias, example = json!({
        "name": "our-chat", "provider": "azure", "model": "gpt-4.1-mini"
    })),
    responses(
        (status = 200, description = "The alias.", body = AliasView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn set(request: Request, Body(body): Body) -> Result<Response, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let name = fields.required("name", model_name);
    let model = fields.required("model", model_name);
    let provider = fields.optional("provider", provider_name);
    let from = fields.optional("effective_from", parse::timestamp);
    fields.finish()?;
    let now = request.times.now;
    let wish = Wish {
        of: name,
        from,
        value: Target { provider, model },
    };
    changing::set(request, &KIND, &wish, |configuration| {
        no_chain(configuration, &wish, now)
    })
    .await
}

/// Returns a conflict if an alias would stand for another one.
fn no_chain(
    configuration: &Configuration,
    wish: &Wish<String, Target>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let prices = &configuration.prices;
    let (name, model) = (&wish.of, &wish.value.model);
    if folded(name) == folded(model) {
        return Err(ApiError::taken("model", "is the name itself"));
    }
    if prices.alias(model).is_some_and(|alias| alias.is_there(now)) {
        return Err(ApiError::taken("model", "is an alias itself"));
    }
    match prices.alias_for(name, now) {
        Some(other) => {
            let message = format!("the alias {} stands for it", other.of);
            Err(ApiError::taken("name", message))
        }
        None => Ok(()),
    }
}

/// Removes an alias from now on.
#[shared::endpoint(DELETE "/v1/models/aliases/{*name}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteAlias",
    tag = "Prices",
    params(
        ("name" = Model, Path, description = "The name. It may have slashes."),
        IfMatch,
    ),
    responses(
        (status = 204, description = "It is removed."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn remove(
    request: Request,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    named("name", &name, model_name)?;
    changing::remove(request, &KIND, &name).await
}
