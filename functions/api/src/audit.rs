//! The audit log: listed the newest first, exported as lines of JSON, walked from its first entry to its last.

use super::{App, view};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::audit::AuditRecord;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use std::time::{Duration, Instant};

/// How long a walk goes on before it answers how far it came; the function has half a minute.
const WALK_TIME: Duration = Duration::from_secs(15);
/// About how much one export answers, in bytes: a function's answer has at most six megabytes.
const EXPORT_BYTES: usize = 3 * 1024 * 1024;
/// Where the next export goes on.
const NEXT: HeaderName = HeaderName::from_static("x-next-after-seq");

#[derive(Serialize)]
struct EntryView<'a> {
    seq: u64,
    at: String,
    actor: &'a str,
    action: &'a str,
    resource: &'a str,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
    reason: Option<&'a str>,
    request_id: &'a str,
    hash: &'a str,
    previous_hash: &'a str,
}

/// A resource as it was written: the bytes that the hash is over.
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

/// Whether `value` is `wanted` or one of its kind: `exemption` is all of `exemption.approve` and `exemption/exm_1`.
fn is_of(value: &str, wanted: &str) -> bool {
    let rest = value.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
}

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

/// The parameter `after_seq`: what a walk or an export goes on after.
fn after_seq(query: Option<&str>) -> Result<u64, ApiError> {
    let mut parameters = Parameters::of_query(query);
    let rule = "must be the number of an entry, or 0";
    let after = parameters.take("after_seq", rule, |text| {
        text.parse::<u64>()
            .ok()
            .filter(|seq| *seq < 1_000_000_000_000)
    });
    parameters.finish()?;
    Ok(after.unwrap_or(0))
}

pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut after = after_seq(query.as_deref())?;
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

#[derive(Serialize)]
struct VerifyView {
    ok: bool,
    entries: u64,
    /// The number of the last entry that was walked, and its hash.
    seq: u64,
    head: String,
    is_complete: bool,
    next_after_seq: Option<u64>,
    broken: Option<BreakView>,
}

#[derive(Serialize)]
struct BreakView {
    seq: u64,
    message: String,
}

pub(crate) async fn verify(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let after = after_seq(query.as_deref())?;
    let until = Instant::now() + WALK_TIME;
    let verified = app
        .store
        .verify_audit_log(&owner.organisation_id, after, until)
        .await?;
    let body = VerifyView {
        ok: verified.broken.is_none(),
        entries: verified.walk.entries,
        is_complete: verified.is_complete,
        next_after_seq: (!verified.is_complete).then_some(verified.walk.seq),
        broken: verified.broken.map(|broken| BreakView {
            seq: broken.seq,
            message: broken.message,
        }),
        seq: verified.walk.seq,
        head: verified.walk.hash,
    };
    Ok(json(200, view::text(&body)))
}
