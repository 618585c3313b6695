//! Reads a correction.

use shared::domain::amount::Amounts;
use shared::domain::ledger::correction::{MAX_MICRO_USD, MAX_TOKENS};
use shared::domain::period::Month;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::NoteText;

/// The user or department whose usage is corrected.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    User(String),
    Department(String),
}

/// A correction as the request describes it.
pub(super) struct CorrectionRequest {
    pub(super) subject: Subject,
    pub(super) month: Month,
    pub(super) amounts: Amounts,
    pub(super) reason: String,
}

pub(super) fn read_correction(body: &[u8]) -> Result<CorrectionRequest, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let given = ["user_id", "department_id"].map(|name| fields.has(name));
    let user_id = fields.optional("user_id", parse::user_id);
    let department_id = fields.optional("department_id", parse::slug);
    let subject = match (user_id, department_id) {
        (Some(id), None) => Some(Subject::User(id)),
        (None, Some(id)) => Some(Subject::Department(id)),
        (Some(_), Some(_)) => {
            fields.also_invalid("department_id", "must not be given together with user_id");
            None
        }
        (None, None) => {
            if given == [false, false] {
                fields.also_invalid("user_id", "is required, or department_id");
            } else if !fields.is_invalid() {
                fields.also_invalid(
                    "user_id",
                    "one of user_id and department_id must not be null",
                );
            }
            None
        }
    };
    let month = fields.required("month", |raw| parse::month(raw).map(Some));
    let tokens = fields.optional("tokens", parse::whole(-MAX_TOKENS, MAX_TOKENS));
    let micro_usd = fields.optional("usd", parse::signed_micro_usd(MAX_MICRO_USD));
    let reason = fields.required("reason", NoteText::read);
    let amounts = Amounts::of_micro_usd(tokens.unwrap_or(0), micro_usd.unwrap_or(0));
    if amounts == Amounts::ZERO && !fields.is_invalid() {
        fields.also_invalid("tokens", "tokens or usd must be given and not be zero");
    }
    fields.finish()?;
    let (Some(subject), Some(month)) = (subject, month) else {
        return Err(ApiError::field("body", "could not be read"));
    };
    Ok(CorrectionRequest {
        subject,
        month,
        amounts,
        reason,
    })
}
