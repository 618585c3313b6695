//! Verifies the chain of the audit log.

use super::{MAX_SEQ, after_seq};
use crate::App;
use crate::json::to_json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::org::audit::{Break, KeptHead};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{Denied, EntryHash, EntrySeq, Invalid, Seq, Unknown};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long a walk runs before it answers how far it came. The function has half a minute.
const WALK_TIME: Duration = Duration::from_secs(15);

/// The parameters `seq` and `hash`: a head kept by the caller. Both are needed.
fn kept_head(parameters: &mut Parameters) -> Option<KeptHead> {
    let [has_seq, has_hash] = ["seq", "hash"].map(|name| parameters.has(name));
    let number = |text: &str| text.parse().ok().filter(|seq| (1..MAX_SEQ).contains(seq));
    let digits = |text: &str| {
        let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| text.to_ascii_lowercase())
    };
    let seq = parameters.take("seq", "must be the number of an entry", number);
    let hash = parameters.take("hash", "must be 64 hexadecimal digits", digits);
    match (has_seq, has_hash) {
        (true, false) => parameters.refuse("hash", "is required with seq"),
        (false, true) => parameters.refuse("seq", "is required with hash"),
        _ => {}
    }
    let (seq, hash) = (seq?, hash?);
    Some(KeptHead { seq, hash })
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditWalk)]
struct VerifyView {
    /// Whether nothing was altered as far as the walk came, and the entry `seq` of the request has
    /// the hash that was kept.
    ok: bool,
    /// How many entries were verified.
    entries: u64,
    /// The number of the last verified entry, and its hash.
    seq: u64,
    head: String,
    /// Whether the walk reached the end. If not, continue with `next_after_seq` as `after_seq`.
    is_complete: bool,
    #[schema(required = true)]
    next_after_seq: Option<u64>,
    /// The first fault in the chain.
    #[schema(required = true)]
    broken: Option<BreakView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditBreak)]
struct BreakView {
    seq: u64,
    message: String,
}

impl From<Break> for BreakView {
    fn from(broken: Break) -> Self {
        Self {
            seq: broken.seq,
            message: broken.message,
        }
    }
}

/// Verifies the chain of the audit log from its first entry to its last.
///
/// With `seq` and `hash` of a head that was kept elsewhere, it also finds a chain that was
/// rewritten as a whole.
#[shared::endpoint(GET "/v1/audit-log/verify", ADMIN)]
#[utoipa::path(
    operation_id = "verifyAuditLog",
    tag = "Audit",
    params(
        ("after_seq" = Option<Seq>, Query, description = "Goes on after this entry."),
        (
            "seq" = Option<EntrySeq>, Query,
            description = "The number of an entry whose hash was kept; only with `hash`.",
        ),
        (
            "hash" = Option<EntryHash>, Query,
            description = "The hash that was kept of it; only with `seq`.",
        ),
    ),
    responses(
        (status = 200, description = "What it found.", body = VerifyView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn verify(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let after = after_seq(&mut parameters);
    let kept = kept_head(&mut parameters);
    parameters.finish()?;
    let head = app.store.head(&owner.organisation_id).await?;
    if head.is_some_and(|head| after > head.seq) {
        return Err(ApiError::not_found("entry yet"));
    }
    let until = Instant::now() + WALK_TIME;
    let verified = app
        .store
        .verify_audit_log(&owner.organisation_id, after, until)
        .await?;
    let kept_broken = match &kept {
        Some(kept) => {
            let compared = app.store.compare_audit_entry(&owner.organisation_id, kept);
            compared.await?
        }
        None => None,
    };
    let all = verified.broken.into_iter().chain(kept_broken);
    let broken = all.min_by_key(|broken| broken.seq);
    let body = VerifyView {
        ok: broken.is_none(),
        entries: verified.walk.entries,
        is_complete: verified.is_complete,
        next_after_seq: (!verified.is_complete).then_some(verified.walk.seq),
        broken: broken.map(BreakView::from),
        seq: verified.walk.seq,
        head: verified.walk.hash,
    };
    Ok(json(200, to_json(&body)))
}
