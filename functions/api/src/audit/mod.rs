//! Lists the audit log and exports it as JSON lines.

mod view;
pub(crate) mod walk;

use self::view::{EntryView, entry_view};
use super::App;
use super::json::to_json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use shared::domain::org::audit::AuditRecord;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{AuditText, Denied, Invalid, Moment, Page, Seq};

/// The approximate size of one export in bytes. A function's answer has at most six megabytes.
const EXPORT_BYTES: usize = 3 * 1024 * 1024;
/// Tells where the next export continues.
const NEXT: HeaderName = HeaderName::from_static("x-next-after-seq");

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
    let items = page.items.iter().map(entry_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
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
            lines.push_str(&to_json(&entry_view(record)));
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
