//! Describes which models may be used, with the limits of its reader.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::runtime::openapi::{Dollars, Model};
use utoipa::ToSchema;

/// Which models may be used. It replaces the object before it as a whole, and an empty one permits
/// all models. A pattern may have `*` for any characters. It is compared, without case, with the
/// reported name, with the name that its price was found by, with both without what is in front and
/// without a date, and with all of these behind the provider: `gpt-4o*`, `openai/*`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetModels {
    /// The models that are permitted; all of them if it is empty or missing. The patterns of both
    /// lists have at most 8,000 bytes together.
    #[schema(max_items = 100)]
    allow: Option<Vec<Model>>,
    /// The models that are not, whatever `allow` says.
    #[schema(max_items = 100)]
    deny: Option<Vec<Model>>,
    /// The highest permitted list price of a million output tokens. A model without a price is not
    /// permitted under it.
    max_usd_per_million_output: Option<Dollars>,
}
