//! The exemption that a refusal proposes, as JSON.

use serde::Serialize;
use shared::domain::ledger::refusal::Ask;
#[cfg(feature = "openapi")]
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Help))]
pub(crate) struct ExemptionBody<'a> {
    /// The body of `POST /v1/exemptions` without its `reason`.
    request: ExemptionRequestBody<'a>,
    /// The users who may ask for it.
    requested_by: Vec<&'a str>,
    decided_by: &'static str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = HelpfulExemption))]
struct ExemptionRequestBody<'a> {
    user_id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<Usd>,
    covers: &'static str,
    #[cfg_attr(feature = "openapi", schema(value_type = Moment))]
    ends_at: String,
}

pub(crate) fn exemption(ask: &Ask) -> ExemptionBody<'_> {
    ExemptionBody {
        request: ExemptionRequestBody {
            user_id: &ask.user_id,
            kind: "raise",
            tokens: ask.tokens,
            usd: ask.micro_usd.map(Usd),
            covers: "path",
            ends_at: ask.ends_at.to_string(),
        },
        requested_by: std::iter::once(ask.user_id.as_str())
            .chain(ask.manager_id.as_deref())
            .collect(),
        decided_by: "an administrator who is neither of them",
    }
}
