//! The answer to `POST /v1/events`.

use super::claims::{Candidate, Sorted, Standing};
use axum::response::Response;
use serde::Serialize;
use shared::runtime::error::{ApiError, Detail, ErrorCode};
use shared::runtime::http::json_of;
use std::collections::HashSet;
use utoipa::ToSchema;

/// An event that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedEvent)]
pub(crate) struct Rejected {
    index: usize,
    #[schema(required = true)]
    event_id: Option<String>,
    error: &'static str,
    message: String,
    pub(crate) details: Vec<Detail>,
}

impl Rejected {
    pub(crate) fn of(candidate: &Candidate, error: &'static str, message: &str) -> Self {
        let event_id = candidate.event.event_id().to_owned();
        Self::new(candidate.index, Some(event_id), error, message)
    }

    pub(crate) fn new(
        index: usize,
        event_id: Option<String>,
        error: &'static str,
        message: &str,
    ) -> Self {
        Self {
            index,
            event_id,
            error,
            message: message.to_owned(),
            details: Vec::new(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AcceptedEvents)]
pub(crate) struct EventsView {
    /// Events that are new and durable.
    pub(crate) accepted: usize,
    /// Events that came before with the same body. They count once.
    duplicates: usize,
    /// Events that are invalid, each with the reasons.
    rejected: Vec<Rejected>,
    /// Events that came before with another body. They are stored and marked. If one names a hold
    /// of its own, it is charged to that hold; no other counts.
    conflicts: Vec<Rejected>,
}

/// The body if no event was accepted.
#[derive(Serialize)]
struct NothingAcceptedView {
    error: &'static str,
    message: &'static str,
    details: Vec<Detail>,
    request_id: String,
    #[serde(flatten)]
    events: EventsView,
}

/// The most invalid fields that the answer names if no event was accepted.
const MAX_DETAILS: usize = 100;

/// Sorts the events into the lists of the answer, in the order of the request.
pub(crate) fn view_of(
    sorted: &[Sorted<'_>],
    mut rejected: Vec<Rejected>,
    failed: &HashSet<usize>,
) -> EventsView {
    let (mut accepted, mut duplicates, mut conflicts) = (0, 0, Vec::new());
    for of in sorted {
        if of.carried_by.is_some_and(|index| failed.contains(&index)) {
            let said = "it could not be taken now; send it again, it counts once";
            rejected.push(Rejected::of(of.candidate, "unavailable", said));
            continue;
        }
        match of.standing {
            Standing::New => accepted += 1,
            Standing::Duplicate => duplicates += 1,
            Standing::Conflict => {
                let said = "another event of this user and type has this event_id; give each event \
                            an id of its own";
                conflicts.push(Rejected::of(of.candidate, "conflict", said));
            }
        }
    }
    rejected.sort_by_key(|rejected| rejected.index);
    EventsView {
        accepted,
        duplicates,
        rejected,
        conflicts,
    }
}

/// Returns 202 if any event is durable, and otherwise why none is.
pub(crate) fn answer(
    view: EventsView,
    has_failed: bool,
    request_id: String,
) -> Result<Response, ApiError> {
    if view.accepted + view.duplicates > 0 {
        return Ok(json_of(202, &view));
    }
    if has_failed {
        return Err(ApiError::new(
            ErrorCode::Unavailable,
            "events cannot be taken at the moment; the request may be repeated, each event counts \
             once",
        ));
    }
    let details = view.rejected.iter().flat_map(|rejected| &rejected.details);
    let view = NothingAcceptedView {
        error: ErrorCode::BadRequest.as_str(),
        message: "no event was accepted; rejected and conflicts say why",
        details: details.take(MAX_DETAILS).cloned().collect(),
        request_id,
        events: view,
    };
    Ok(json_of(400, &view))
}
