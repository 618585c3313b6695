//! Shows corrections as JSON.

use serde::Serialize;
use shared::domain::ledger::correction::Correction;
use shared::domain::period::Month;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Correction)]
pub(super) struct CorrectionView<'a> {
    id: &'a str,
    /// Null if a department is corrected.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    /// The department that it counts for: that of the user at that time.
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(value_type = String)]
    month: Month,
    /// A negative amount was taken away.
    tokens: i64,
    usd: Usd,
    /// The tokens without a price that it adds: below zero if they were priced anew.
    unpriced_tokens: i64,
    reason: &'a str,
    /// Who made it, as the audit log names them.
    created_by: &'a str,
    #[schema(value_type = Moment)]
    created_at: String,
}

pub(super) fn correction_view(correction: &Correction) -> CorrectionView<'_> {
    CorrectionView {
        id: &correction.id,
        user_id: correction.user_id.as_deref(),
        department_id: correction.department_id.as_deref(),
        month: correction.month,
        tokens: correction.amounts.tokens,
        usd: Usd(correction.amounts.micro_usd()),
        unpriced_tokens: correction.unpriced,
        reason: &correction.reason,
        created_by: &correction.created_by,
        created_at: correction.created_at.to_string(),
    }
}
