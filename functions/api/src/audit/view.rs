//! Shows entries of the audit log as JSON.

use crate::authority::AuthorityView;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::org::audit::AuditRecord;
use shared::runtime::openapi::Moment;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryView<'a> {
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

pub(super) fn entry_view(record: &AuditRecord) -> EntryView<'_> {
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
