//! The list of prices: the organisation's own, and those of the table.

use super::own::{self, PriceView};
use super::page_of;
use super::rates::{self, RatesView};
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::pricing::book::{Listed, PriceBooks};
use shared::domain::pricing::own::{OwnPrice, Rates, folded};
use shared::domain::pricing::price::Price;
use shared::domain::pricing::rates::Part;
use shared::domain::pricing::tokens::ServiceTier;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Denied, Invalid, Page};
use utoipa::ToSchema;

/// Whose price it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Own,
    Table,
}

const STATUSES: [(&str, Status); 2] = [("own", Status::Own), ("table", Status::Table)];

/// A price of the table, for requests of usual size in the default tier.
#[derive(Serialize, ToSchema)]
#[schema(as = TablePrice)]
struct TableView<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(flatten)]
    rates: RatesView,
    /// The version of the table.
    version: &'a str,
    /// The longest input of the model, in tokens.
    #[schema(required = true)]
    max_input_tokens: Option<i64>,
    /// The longest answer of the model, in tokens.
    #[schema(required = true)]
    max_output_tokens: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedPrice)]
#[serde(tag = "status", rename_all = "lowercase")]
enum ListedView<'a> {
    Own(PriceView<'a>),
    Table(TableView<'a>),
}

enum Item<'a> {
    Own(&'a OwnPrice),
    Table(Listed<'a>),
}

fn of_table<'a>(row: &Listed<'a>, version: &'a str) -> TableView<'a> {
    let price = row.price();
    let limit = |of: fn(&Price) -> Option<i64>| price.as_ref().and_then(of);
    TableView {
        provider: row.provider,
        model: row.model,
        max_input_tokens: limit(|price| price.max_input_tokens),
        max_output_tokens: limit(|price| price.max_output_tokens),
        rates: rates::shown(&price.as_ref().map_or_else(Rates::default, rates_of)),
        version,
    }
}

fn rates_of(price: &Price) -> Rates {
    let rate = |part| Some(price.rate(part, ServiceTier::Default, 0));
    Rates {
        input: rate(Part::Input),
        output: rate(Part::Output),
        cached_input: rate(Part::Cached),
        cache_write: rate(Part::Write),
        cache_write_1h: rate(Part::WriteHour),
        audio_input: rate(Part::Audio),
        image_input: rate(Part::Image),
        reasoning: rate(Part::Reasoning),
        audio_output: rate(Part::AudioOutput),
    }
}

/// Lists prices by model and provider: the organisation's own, each before the row of the table
/// that it overrides.
///
/// Rates of a table's row are null if its tokens have no price.
#[shared::endpoint(GET "/v1/prices", MANAGED)]
#[utoipa::path(
    operation_id = "listPrices",
    tag = "Prices",
    params(
        (
            "search" = Option<String>, Query, min_length = 1, max_length = 200,
            description = "Only models whose name contains this, in upper or lower case.",
        ),
        (
            "provider" = Option<String>, Query, min_length = 1, max_length = 100,
            description = "Only those of this provider.",
        ),
        (
            "model" = Option<String>, Query, min_length = 1, max_length = 200,
            description = "Those of this model only, in whatever case.",
        ),
        (
            "status" = Option<String>, Query, pattern = "^(own|table)$",
            description = "Only own prices, or only those of the table.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ListedView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let mut text = |name: &str, most: usize| {
        let rule = format!("must be 1 to {most} characters");
        parameters.take(name, &rule, |text| {
            (1..=most)
                .contains(&text.chars().count())
                .then(|| folded(text))
        })
    };
    let (search, provider) = (text("search", 200), text("provider", 100));
    let model = text("model", 200);
    let status = parameters.one_of("status", &STATUSES);
    let list = format!(
        "{} prices {search:?} {provider:?} {model:?} {status:?}",
        owner.organisation_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let configuration = read_configuration(&app, owner).await?;
    let now = app.clock.now();
    let book = PriceBooks::built_in().at(now);
    let own = configuration.prices.prices();
    let own = own.filter(|price| price.is_there(now)).map(Item::Own);
    let items = own.chain(book.listed().map(Item::Table));
    let mut sorted: Vec<(String, Item<'_>)> = items
        .filter(|item| {
            let (of_provider, of_model) = item.names();
            let is_found = |search: &String| folded(of_model).contains(search);
            let is = |wanted: &Option<String>, name: &str| {
                wanted.as_ref().is_none_or(|wanted| folded(name) == *wanted)
            };
            status.is_none_or(|status| status == item.status())
                && search.as_ref().is_none_or(is_found)
                && is(&provider, of_provider)
                && is(&model, of_model)
        })
        .map(|item| (item.key(), item))
        .collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let shown = |item| match item {
        Item::Own(price) => ListedView::Own(own::shown(price, now)),
        Item::Table(row) => ListedView::Table(of_table(&row, book.version())),
    };
    let body = page_of(sorted.into_iter(), &asked, shown, (&app, &list));
    Ok(json(200, to_json(&body)))
}

impl Item<'_> {
    /// The provider and the model.
    fn names(&self) -> (&str, &str) {
        match self {
            Self::Own(price) => (&price.of.provider, &price.of.model),
            Self::Table(row) => (row.provider, row.model),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Own(_) => Status::Own,
            Self::Table(_) => Status::Table,
        }
    }

    /// Its place in the list: by model, then by provider, then its own price first.
    fn key(&self) -> String {
        let (provider, model) = self.names();
        let status = match self.status() {
            Status::Own => 0,
            Status::Table => 1,
        };
        format!("{}\0{}\0{status}\0{model}", folded(model), folded(provider))
    }
}
