//! Describes the bodies of requests about corrections, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::runtime::openapi::{
    DepartmentId, MonthId, NoteText, SignedDollars, SignedTokens, UserId,
};
use utoipa::ToSchema;

/// The amounts that a correction adds to a month, for a user or for a department. At least one of
/// them is not zero.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCorrection {
    /// The user whose usage is corrected, on their path in that month. Alternative to
    /// `department_id`.
    user_id: Option<UserId>,
    department_id: Option<DepartmentId>,
    /// The current month or one of the 13 before it.
    month: MonthId,
    tokens: Option<SignedTokens>,
    usd: Option<SignedDollars>,
    reason: NoteText,
}
