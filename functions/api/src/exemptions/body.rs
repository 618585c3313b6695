//! Reads a request for an exemption.

use jiff::Timestamp;
use shared::domain::amount::MAX_AMOUNT;
use shared::domain::exemption::MAX_LENGTH;
use shared::domain::exemption::grant::{Covers, Kind, Terms};
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::NoteText;

/// Reads a request for an exemption and its reason.
pub(super) fn read_terms(body: &[u8], now: Timestamp) -> Result<(Terms, String), ApiError> {
    let mut fields = Fields::of_body(body)?;
    let user_id = fields.required("user_id", parse::user_id);
    let kind = fields.required("kind", parse::required_name::<Kind>);
    let given = ["tokens", "usd"].map(|name| fields.has(name));
    let tokens = fields.changed("tokens", parse::whole(1, MAX_AMOUNT));
    let micro_usd = fields.changed("usd", parse::some_micro_usd);
    // An invalid amount is reported already.
    let lacks = |given: bool, amount: Option<Option<i64>>| !given || amount == Some(None);
    let has_no_amount = lacks(given[0], tokens) && lacks(given[1], micro_usd);
    let (tokens, micro_usd) = (tokens.flatten(), micro_usd.flatten());
    let covers = fields.optional("covers", parse::name::<Covers>);
    let reason = fields.required("reason", NoteText::read);
    let starts_at = fields.optional("starts_at", parse::timestamp);
    let has_end = fields.has("ends_at");
    let ends_at = fields.required("ends_at", parse::timestamp);
    // A start in the past becomes the moment of the decision.
    let starts_at = starts_at.unwrap_or(now).max(now);
    match kind {
        Some(Kind::Lift) if tokens.is_some() || micro_usd.is_some() => {
            let field = if tokens.is_some() { "tokens" } else { "usd" };
            fields.also_invalid(field, "must not be given for a lift, which has no limit");
        }
        Some(Kind::Raise) if has_no_amount => {
            fields.also_invalid("tokens", "a raise needs tokens, usd or both");
        }
        _ => {}
    }
    if has_end && ends_at <= now {
        fields.also_invalid("ends_at", "must be in the future");
    } else if has_end && ends_at <= starts_at {
        fields.also_invalid("ends_at", "must be after starts_at");
    } else if has_end && ends_at.duration_since(starts_at) > MAX_LENGTH {
        fields.also_invalid("ends_at", "must be at most 366 days after the start");
    }
    fields.finish()?;
    let terms = Terms {
        user_id,
        kind: kind.unwrap_or(Kind::Raise),
        tokens,
        micro_usd,
        covers: covers.unwrap_or(Covers::Path),
        starts_at,
        ends_at,
    };
    Ok((terms, reason))
}
