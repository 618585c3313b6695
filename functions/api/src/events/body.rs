//! Reads a decision about an event.

use shared::domain::ledger::flagged::Flag;
use shared::domain::ledger::identity::EventIdentity;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::NoteText;

const TYPES: &[(&str, ())] = &[("llm_request", ())];
const DECISIONS: &[(&str, Option<Flag>)] = &[
    ("count", Some(Flag::Counted)),
    ("discard", Some(Flag::Discarded)),
];

/// The event of a request and the decision about it.
pub(super) struct DecisionRequest {
    pub(super) identity: EventIdentity,
    /// The state of the event after the decision.
    pub(super) flag: Flag,
    pub(super) reason: String,
}

pub(super) fn read_decision(body: &[u8]) -> Result<DecisionRequest, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let user_id = fields.required("user_id", parse::user_id);
    let event_id = fields.required("event_id", parse::client_id);
    fields.optional("type", parse::one_of(TYPES));
    let flag = fields.required("decision", parse::one_of(DECISIONS));
    let reason = fields.required("reason", NoteText::read);
    fields.finish()?;
    Ok(DecisionRequest {
        identity: EventIdentity::of_usage_named(&user_id, &event_id),
        flag: flag.unwrap_or(Flag::Discarded),
        reason,
    })
}
