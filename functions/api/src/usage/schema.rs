//! Describes the parameters of a report.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use utoipa::ToSchema;

/// The length of the buckets of a report.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum UsagePeriod {
    Hourly,
    Daily,
    Monthly,
}
