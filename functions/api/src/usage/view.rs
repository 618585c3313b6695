//! Shows rows of usage as JSON.

use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::buckets::Division;
use shared::domain::org::department::Path;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;
use shared::store::UsageRow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = UsageRow)]
pub(super) struct UsageView {
    user_id: String,
    #[schema(required = true)]
    department_id: Option<String>,
    model: String,
    provider: String,
    period: &'static str,
    period_id: String,
    #[schema(value_type = Option<Moment>, required = true)]
    starts_at: Option<String>,
    total_requests: i64,
    total_input_tokens: i64,
    total_output_tokens: i64,
    total_cached_input_tokens: i64,
    total_tokens: i64,
    /// Those of `total_tokens` whose model had no price, so that the cost is without them.
    /// Below zero in the row of corrections if such usage was priced anew.
    unpriced: i64,
    estimated_cost_usd: Usd,
}

pub(super) fn usage_view(
    row: UsageRow,
    division: Division,
    starts: &BTreeMap<String, String>,
) -> UsageView {
    let path = Path::from_text(&row.path);
    UsageView {
        user_id: row.user_id,
        department_id: path.department_id().map(str::to_owned),
        model: row.model,
        provider: row.provider,
        period: division.as_str(),
        starts_at: starts.get(&row.bucket).cloned(),
        period_id: row.bucket,
        total_requests: row.requests,
        total_input_tokens: row.input_tokens,
        total_output_tokens: row.output_tokens,
        total_cached_input_tokens: row.cached_input_tokens,
        total_tokens: row.tokens,
        unpriced: row.unpriced,
        estimated_cost_usd: Usd(Unit::Usd.rounded_up(row.pico_usd)),
    }
}
