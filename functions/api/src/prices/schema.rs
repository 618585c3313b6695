//! Describes the bodies of requests about prices. These types are never built.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::rates::FIELDS;
use shared::runtime::openapi::{Cursor, Model, Moment, Percent, Provider, Rate};
use std::borrow::Cow;
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A price with at least one rate.
pub(crate) enum SetPrice {}

/// A price with its names and at least one rate.
pub(crate) enum SetNamedPrice {}

/// Returns the schema of `fields` with at least one rate.
fn with_a_rate(fields: &str) -> RefOr<Schema> {
    let with = |name: &str| {
        let rate = Ref::from_schema_name(Rate::name());
        ObjectBuilder::new().property(name, rate).required(name)
    };
    let some = FIELDS.into_iter().map(with);
    let some = some.fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    let all = AllOfBuilder::new()
        .item(Ref::from_schema_name(fields))
        .item(some)
        .description(Some("At least one rate is given."));
    RefOr::T(all.into())
}

impl PartialSchema for SetPrice {
    fn schema() -> RefOr<Schema> {
        with_a_rate(&PriceFields::name())
    }
}

impl PartialSchema for SetNamedPrice {
    fn schema() -> RefOr<Schema> {
        with_a_rate(&NamedPriceFields::name())
    }
}

impl ToSchema for SetNamedPrice {
    fn name() -> Cow<'static, str> {
        "SetNamedPrice".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NamedPriceFields::schemas(schemas);
        let name = NamedPriceFields::name().into_owned();
        schemas.push((name, NamedPriceFields::schema()));
    }
}

impl ToSchema for SetPrice {
    fn name() -> Cow<'static, str> {
        "SetPrice".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PriceFields::schemas(schemas);
        schemas.push((PriceFields::name().into_owned(), PriceFields::schema()));
    }
}

/// A rate that is missing is that of the table, or, for a model that the table does not have,
/// that of other input or output. A rate of 0 for input or output makes every kind of it free that
/// is not given.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceFields {
    input_usd_per_million: Option<Rate>,
    output_usd_per_million: Option<Rate>,
    cached_input_usd_per_million: Option<Rate>,
    /// What is written into the provider's cache for five minutes.
    cache_write_usd_per_million: Option<Rate>,
    cache_write_1h_usd_per_million: Option<Rate>,
    audio_input_usd_per_million: Option<Rate>,
    image_input_usd_per_million: Option<Rate>,
    reasoning_usd_per_million: Option<Rate>,
    audio_output_usd_per_million: Option<Rate>,
    /// Usage from then on has this price, until the next one's moment; now if it is missing.
    effective_from: Option<Moment>,
}

/// A price with its names. The rates are as in `SetPrice`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedPriceFields {
    provider: Provider,
    model: Model,
    input_usd_per_million: Option<Rate>,
    output_usd_per_million: Option<Rate>,
    cached_input_usd_per_million: Option<Rate>,
    /// What is written into the provider's cache for five minutes.
    cache_write_usd_per_million: Option<Rate>,
    cache_write_1h_usd_per_million: Option<Rate>,
    audio_input_usd_per_million: Option<Rate>,
    image_input_usd_per_million: Option<Rate>,
    reasoning_usd_per_million: Option<Rate>,
    audio_output_usd_per_million: Option<Rate>,
    /// Usage from then on has this price, until the next one's moment; now if it is missing.
    effective_from: Option<Moment>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetDiscount {
    percent: Percent,
    /// Now if it is missing.
    effective_from: Option<Moment>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetNamedDiscount {
    provider: Provider,
    percent: Percent,
    /// Now if it is missing.
    effective_from: Option<Moment>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetAlias {
    /// A deployment's name, or the ARN of an inference profile.
    name: Model,
    /// The model that it stands for. No alias stands for another alias.
    model: Model,
    /// Without it, the provider that is reported with the name.
    provider: Option<Provider>,
    /// Now if it is missing.
    effective_from: Option<Moment>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reprice {
    /// When the first usage arrived, in the hour of this moment.
    from: Moment,
    /// Until when, at most 31 days later.
    to: Moment,
    /// Shows the differences and books nothing.
    dry_run: Option<bool>,
    /// The `next_cursor` of the same request.
    cursor: Option<Cursor>,
}
