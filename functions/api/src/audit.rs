//! Lists the audit log, exports it as JSON lines and verifies its chain.

use super::authority::AuthorityView;
use super::{App, view};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::org::audit::{AuditRecord, Break, KeptHead};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    AuditText, Denied, EntryHash, EntrySeq, Invalid, Moment, Page, Seq, Unknown,
};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long a walk runs before it answers how far it came. The function has half a minute.
const WALK_TIME: Duration = Duration::from_secs(15);
/// The approximate size of one export in bytes. A function's answer has at most six megabytes.
const EXPORT_BYTES: usize = 3 * 1024 * 1024;
/// Tells where the next export continues.
const NEXT: HeaderName = HeaderName::from_static("x-next-after-seq");

#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryView<'a> {
    seq: u64,
    #[schema(value_type = Moment)]
    at: String,
    actor: &'a str,
    action: &'a str,
    resource: &'a str,
    /// The resource before; null if there was none.
    #[schema(value_type = Option<serde_json::Value>, required = true)]
    before: Option<Box<RawValue>>,
    /// The resource after; null if it was deleted.
    #[schema(value_type = Option<serde_json::Value>, required = true)]
    after: Option<Box<RawValue>>,
    #[schema(required = true)]
    reason: Option<&'a str>,
    /// Why the actor was allowed to act; null if no key of the organisation acted, and in entries
    /// older than this field.
    #[schema(value_type = Option<AuthorityView>, required = true)]
    authority: Option<Box<RawValue>>,
    request_id: &'a str,
    hash: &'a str,
    previous_hash: &'a str,
}

/// A resource exactly as it was written: the hash covers these bytes.
fn as_json(text: Option<&String>) -> Option<Box<RawValue>> {
    let text = text?;
    let quoted = || RawValue::from_string(serde_json::Value::from(text.as_str()).to_string());
    RawValue::from_string(text.clone())
        .or_else(|_| quoted())
        .ok()
}

fn entry(record: &AuditRecord) -> EntryView<'_> {
    EntryView {
        seq: record.seq,
        at: record.at.to_string(),
        actor: &record.actor,
        action: &record.action,
        resource: &record.resource,
        before: as_json(record.before.as_ref()),
        after: as_json(record.after.as_ref()),
        reason: record.reason.as_deref(),
        authority: as_json(record.authority.as_ref()),
        request_id: &record.request_id,
        hash: &record.hash,
        previous_hash: &record.previous_hash,
    }
}

fn text(parameters: &mut Parameters, name: &str) -> Option<String> {
    parameters.take(name, "must be 1 to 200 characters", |text| {
        (1..=200)
            .contains(&text.chars().count())
            .then(|| text.to_owned())
    })
}

fn time(parameters: &mut Parameters, name: &str) -> Option<Timestamp> {
    let rule = "must be a time like 2026-11-23T12:00:00Z";
    parameters.take(name, rule, |text| text.parse().ok())
}

/// Returns whether `value` is `wanted` or one of its kind: `exemption` includes `exemption.approve`
/// and `exemption/exm_1`.
fn is_of(value: &str, wanted: &str) -> bool {
    let rest = value.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
}

/// Lists changes and decisions, the newest first.
#[shared::endpoint(GET "/v1/audit-log", ADMIN)]
#[utoipa::path(
    operation_id = "listAuditLog",
    tag = "Audit",
    params(
        (
            "actor" = Option<AuditText>, Query,
            description = "By whom: `key/key_1`, `key`, `schedule`.",
        ),
        (
            "action" = Option<AuditText>, Query,
            description = "What was done: `budget.create`, or `budget` for all of it.",
        ),
        (
            "resource" = Option<AuditText>, Query,
            description = "To what: `budget/bud_1`, or `budget` for all of them.",
        ),
        ("from" = Option<Moment>, Query, description = "Not before."),
        ("to" = Option<Moment>, Query, description = "Not after."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of it.", body = PageBody<EntryView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let actor = text(&mut parameters, "actor");
    let action = text(&mut parameters, "action");
    let resource = text(&mut parameters, "resource");
    let from = time(&mut parameters, "from");
    let to = time(&mut parameters, "to");
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} audit {actor:?} {action:?} {resource:?} {from:?} {to:?}");
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let fits = |wanted: &Option<String>, value: &str| {
        wanted.as_ref().is_none_or(|wanted| is_of(value, wanted))
    };
    let wanted = |record: &AuditRecord| {
        fits(&actor, &record.actor)
            && fits(&action, &record.action)
            && fits(&resource, &record.resource)
            && from.is_none_or(|from| record.at >= from)
            && to.is_none_or(|to| record.at <= to)
    };
    let page = app
        .store
        .audit_log(organisation_id, wanted, asked.after.as_deref(), asked.limit)
        .await?;
    let items = page.items.iter().map(entry).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// The number of every entry is below this.
const MAX_SEQ: u64 = 1_000_000_000_000;

/// The parameter `after_seq`: a walk or an export continues after this entry.
fn after_seq(parameters: &mut Parameters) -> u64 {
    let rule = "must be the number of an entry, or 0";
    let after = parameters.take("after_seq", rule, |text| {
        text.parse::<u64>().ok().filter(|seq| *seq < MAX_SEQ)
    });
    after.unwrap_or(0)
}

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

/// Exports the audit log as lines of JSON, the oldest entry first. If there is more,
/// `X-Next-After-Seq` says where to continue.
#[shared::endpoint(GET "/v1/audit-log/export", ADMIN)]
#[utoipa::path(
    operation_id = "exportAuditLog",
    tag = "Audit",
    params(("after_seq" = Option<Seq>, Query, description = "Entries after this one only.")),
    responses(
        (
            status = 200,
            description = "An entry a line.",
            body = String,
            content_type = "application/x-ndjson",
        ),
        Invalid, Denied,
    ),
)]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let mut after = after_seq(&mut parameters);
    parameters.finish()?;
    let mut lines = String::new();
    let mut next = None;
    loop {
        let (entries, has_more) = app
            .store
            .audit_entries(&owner.organisation_id, after)
            .await?;
        for record in &entries {
            lines.push_str(&view::text(&entry(record)));
            lines.push('\n');
            after = record.seq;
        }
        if !has_more {
            break;
        }
        if lines.len() >= EXPORT_BYTES {
            next = Some(after);
            break;
        }
    }
    let kind = HeaderValue::from_static("application/x-ndjson");
    let mut response = ([(header::CONTENT_TYPE, kind)], lines).into_response();
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, HeaderValue::from(next));
    }
    Ok(response)
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
    Ok(json(200, view::text(&body)))
}
