//! Reads one event from JSON.

use super::usage::usage;
use jiff::Timestamp;
use shared::domain::github::GITHUB_PREFIX;
use shared::domain::ledger::usage::{
    Event, MAX_AGE, MAX_AHEAD, Risk, RiskLevel, RiskOrigin, Usage,
};
use shared::runtime::error::Detail;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::{Repository, Source, Summary};

#[derive(Clone, Copy)]
enum Kind {
    LlmRequest,
    IpRisk,
}

const KINDS: &[(&str, Option<Kind>)] = &[
    ("llm_request", Some(Kind::LlmRequest)),
    ("ip_risk", Some(Kind::IpRisk)),
];

/// Reads an event, or returns all its wrong fields, with its id if that can be read.
pub(crate) fn event(
    raw: &str,
    index: usize,
    organisation_id: &str,
    now: Timestamp,
) -> Result<Event, (Option<String>, Vec<Detail>)> {
    let path = format!("events[{index}]");
    let mut fields = Fields::of_value(raw, &path).map_err(|details| (None, details))?;
    let event_id = fields.required("event_id", event_id);
    let shown_id = (!event_id.is_empty()).then(|| event_id.clone());
    let kind = fields.required("type", parse::one_of(KINDS));
    let occurred_at = occurred_at(&mut fields, now);
    let source = fields.optional("source", Source::read);
    let event = match kind {
        None => {
            // The type decides which other fields there are.
            let details = fields.into_details();
            let known =
                ["event_id", "type", "occurred_at", "source"].map(|name| format!("{path}.{name}"));
            let is_of_all = |d: &Detail| known.contains(&d.field);
            let details = details.into_iter().filter(is_of_all).collect();
            return Err((shown_id, details));
        }
        Some(Kind::LlmRequest) => {
            let usage = usage(&mut fields, organisation_id);
            Event::LlmRequest(Usage {
                event_id,
                occurred_at,
                source,
                ..usage
            })
        }
        Some(Kind::IpRisk) => Event::IpRisk(Risk {
            event_id,
            occurred_at,
            source,
            user_id: fields.optional("user_id", parse::user_id),
            risk_level: fields
                .required("risk_level", parse::required_name::<RiskLevel>)
                .unwrap_or(RiskLevel::Low),
            repository: fields.optional("repository", Repository::read),
            summary: fields.required("summary", Summary::read),
            origin: RiskOrigin::Reported,
        }),
    };
    let details = fields.into_details();
    if details.is_empty() {
        Ok(event)
    } else {
        Err((shown_id, details))
    }
}

/// Reads the id of a client's event. GitHub's webhooks have their own ids.
fn event_id(raw: &str) -> Result<String, String> {
    let id = parse::client_id(raw)?;
    if id.starts_with(GITHUB_PREFIX) {
        return Err(format!(
            "must not begin with {GITHUB_PREFIX}, which is for GitHub's webhooks"
        ));
    }
    Ok(id)
}

fn occurred_at(fields: &mut Fields, now: Timestamp) -> Timestamp {
    let within = |raw: &str| {
        let at = parse::timestamp(raw)?;
        if at > now.saturating_add(MAX_AHEAD).unwrap_or(now) {
            return Err("must not be more than five minutes in the future".to_owned());
        }
        if at < now.saturating_sub(MAX_AGE).unwrap_or(now) {
            return Err("must not be older than 13 months".to_owned());
        }
        Ok(at)
    };
    fields.required("occurred_at", within)
}
