//! Changes an organisation. A handler prepares a change, which is committed with its audit entry
//! and answered once for each idempotency key.

use super::App;
use super::authority::authority_json;
use super::replay::{Answer, IdempotentRequest};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Author, Change};
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::ledger::{ChangeRequest, Changed, Snapshot, Step};
use shared::runtime::error::{ApiError, Detail};
use shared::runtime::http::json;
use shared::store::{KeyOwner, StoreError};
use std::sync::Arc;

/// How often a change is prepared again after it met other changes.
const ATTEMPTS: u32 = 40;

/// The caller of a change and the organisation.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) organisation_id: String,
    pub(crate) author: Author,
}

impl Actor {
    /// Returns the owner of a key, in their organisation.
    pub(crate) fn of(owner: &KeyOwner, request_id: &str) -> Self {
        Self {
            organisation_id: owner.organisation_id.clone(),
            author: Author {
                name: format!("key/{}", owner.key_id),
                authority: Some(authority_json(owner)),
                request_id: request_id.to_owned(),
            },
        }
    }
}

/// Names `field` as invalid if the user it names does not exist. `user` is that user.
pub(crate) fn check_user(
    field: &str,
    id: Option<&String>,
    user: Option<&User>,
) -> Result<(), ApiError> {
    match id {
        Some(_) if user.is_none() => Err(ApiError::field(field, "there is no such user")),
        _ => Ok(()),
    }
}

/// Names `field` as invalid if the department it names does not exist.
pub(crate) fn check_department(
    configuration: &Configuration,
    field: &str,
    id: Option<&String>,
) -> Result<(), ApiError> {
    match id {
        Some(id) if !configuration.departments.contains_key(id) => {
            Err(ApiError::field(field, "there is no such department"))
        }
        _ => Ok(()),
    }
}

/// Finds the user of an optional id.
pub(crate) async fn user_of(
    app: &App,
    organisation_id: &str,
    id: Option<&String>,
) -> Result<Option<User>, ApiError> {
    match id {
        Some(id) => Ok(app.store.user(organisation_id, id).await?),
        None => Ok(None),
    }
}

/// Runs several checks, so that every wrong field is named at once.
pub(crate) fn check_all(
    checks: impl IntoIterator<Item = Result<(), ApiError>>,
) -> Result<(), ApiError> {
    let mut details: Vec<Detail> = Vec::new();
    for check in checks {
        match check {
            Ok(()) => {}
            Err(error) if error.details.is_empty() => return Err(error),
            Err(error) => details.extend(error.details),
        }
    }
    if details.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(details))
    }
}

/// Builds the answer to a change from the cell of the current period as it will be.
pub(crate) type AnswerOf = Box<dyn Fn(Option<&Cell>) -> Answer + Send + Sync>;

/// Returns an answer that does not depend on the cell.
fn fixed(answer: Answer) -> AnswerOf {
    Box::new(move |_| answer.clone())
}

/// A change with its answer.
pub(crate) struct Proposal {
    change: Change,
    answer: AnswerOf,
}

impl Proposal {
    pub(crate) fn new(change: Change, answer: AnswerOf) -> Self {
        Self { change, answer }
    }

    /// Returns a change whose answer is known already.
    pub(crate) fn answering(change: Change, answer: Answer) -> Self {
        Self::new(change, fixed(answer))
    }

    /// Returns a change that is answered with a value.
    pub(crate) fn showing(change: Change, status: u16, body: String) -> Self {
        let answer = Answer {
            status,
            body,
            secrets: Vec::new(),
        };
        Self::answering(change, answer)
    }

    /// Returns a change that is answered without a body.
    pub(crate) fn silent(change: Change) -> Self {
        Self::showing(change, 204, String::new())
    }
}

/// Prepares a change and commits it, and repeats that while other changes come first. `prepare` has
/// to read after the snapshot: every later change makes the commit stale.
pub(crate) async fn change(
    app: &App,
    actor: &Actor,
    idempotent: Option<&IdempotentRequest>,
    prepare: impl AsyncFnOnce(Arc<Snapshot>) -> Result<Proposal, ApiError> + Copy,
) -> Result<Response, ApiError> {
    if let Some(answer) = answered_before(app, idempotent).await? {
        return Ok(respond(answer));
    }
    let organisation_id = &actor.organisation_id;
    let request = ChangeRequest {
        organisation_id,
        author: &actor.author,
        now: app.clock.now(),
        attempts: ATTEMPTS,
    };
    let step = async |snapshot: Arc<Snapshot>| match prepare(snapshot).await {
        Ok(Proposal { change, answer }) => Ok(Step::commit(change, answer)),
        // The conflict may come from the same request a moment ago.
        Err(error) => {
            let answer = answered_before(app, idempotent).await?;
            let stop = |answer: Answer| Step::Stop(fixed(answer));
            answer.map(stop).ok_or(error)
        }
    };
    let keep = |answer: &AnswerOf, cell: Option<&Cell>| {
        idempotent.map(|key| key.keep(&answer(cell))).transpose()
    };
    match app.store.change_and_answer(&request, step, keep).await? {
        Changed::Committed(committed) => {
            for notice_id in &committed.notice_ids {
                app.notices.tell_or_leave(organisation_id, notice_id).await;
            }
            Ok(respond((committed.value)(committed.cell.as_ref())))
        }
        Changed::Stopped(answer) => Ok(respond(answer(None))),
        Changed::AnsweredBefore => match answered_before(app, idempotent).await? {
            Some(answer) => Ok(respond(answer)),
            None => Err(StoreError::Contended.into()),
        },
        Changed::Contended => Err(StoreError::Contended.into()),
        Changed::UnknownOrganisation => Err(ApiError::not_found("organisation")),
    }
}

/// Returns the stored answer of an idempotency key.
pub(crate) async fn answered_before(
    app: &App,
    idempotent: Option<&IdempotentRequest>,
) -> Result<Option<Answer>, ApiError> {
    let Some(idempotent) = idempotent else {
        return Ok(None);
    };
    let (organisation_id, digest) = idempotent.place();
    match app.store.stored_answer(organisation_id, digest).await? {
        Some(stored) => idempotent.replay(stored).map(Some),
        None => Ok(None),
    }
}

/// Turns an answer into a response.
pub(crate) fn respond(answer: Answer) -> Response {
    if answer.status == 204 {
        return axum::response::IntoResponse::into_response(http::StatusCode::NO_CONTENT);
    }
    json(answer.status, answer.body)
}

/// Returns a conflict if the header `If-Match` names another version.
pub(crate) fn check_version(headers: &HeaderMap, version: u64) -> Result<(), ApiError> {
    let Some(value) = headers.get(http::header::IF_MATCH) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let wanted =
        version_of(text).ok_or_else(|| ApiError::field("If-Match", "must be a version like 3"))?;
    if wanted == version {
        Ok(())
    } else {
        Err(ApiError::conflict(format!(
            "the version is {version}, not {wanted}; read it again and retry"
        )))
    }
}

/// Reads a version: `3`, `"3"` or `W/"3"`.
fn version_of(text: &str) -> Option<u64> {
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let quoted = tag.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    let digits = quoted.unwrap_or(Some(tag))?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}
