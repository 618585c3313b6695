//! Describes the bodies of requests about exemptions, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::domain::exemption::grant::Covers;
use shared::runtime::openapi::{Moment, NoteText, SomeDollars, SomeTokens, UserId};
use utoipa::ToSchema;

/// The kind of an exemption: more tokens, more dollars, both, or no limit.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateExemption {
    Tokens(RaiseOfTokens),
    Dollars(RaiseOfDollars),
    Lift(Lift),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum RaiseKind {
    Raise,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum LiftKind {
    Lift,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RaiseOfTokens {
    user_id: UserId,
    kind: RaiseKind,
    /// The amount for each month that it covers.
    tokens: SomeTokens,
    usd: Option<SomeDollars>,
    /// The caps that are raised; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RaiseOfDollars {
    user_id: UserId,
    kind: RaiseKind,
    /// The amount for each month that it covers.
    usd: SomeDollars,
    /// The caps that are raised; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lift {
    user_id: UserId,
    kind: LiftKind,
    /// The caps that are lifted; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    note: Option<NoteText>,
}
