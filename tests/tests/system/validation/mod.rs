//! Wrong inputs: each is a clear 4xx that names the field, and nothing changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers fail loudly where a test would"
)]

mod bodies;
mod budgets;
mod company;
mod corrections;
mod departments;
mod events;
mod everywhere;
mod exemptions;
mod integrations;
mod keys;
mod organisations;
mod pages;
mod policies;
mod preflight;
mod prices;
mod reports;
mod routes;
mod table;
mod users;

use end_to_end::{ADMIN, Answer, OPERATOR};
use http::HeaderMap;
use std::collections::BTreeSet;

/// All tables of wrong requests; those of events are by themselves.
const ALL: [&str; 12] = [
    organisations::TABLE,
    departments::TABLE,
    users::TABLE,
    budgets::TABLE,
    keys::TABLE,
    preflight::TABLE,
    integrations::TABLE,
    reports::TABLE,
    policies::TABLE,
    exemptions::TABLE,
    corrections::TABLE,
    prices::TABLE,
];

fn key_for(path: &str) -> &'static str {
    if path.starts_with("/v1/organisations") {
        OPERATOR
    } else {
        ADMIN
    }
}

fn code_of(status: u16) -> &'static str {
    match status {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        413 => "payload_too_large",
        status => panic!("{status} is not a refusal"),
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

/// Whether an answer has the one form of all errors, this status, and names these fields.
fn is_refusal(
    answer: &Answer,
    status: u16,
    fields: Option<&BTreeSet<String>>,
) -> Result<(), String> {
    let body = &answer.body;
    let shown = || format!("{} {body}", answer.status);
    if answer.status != status || body["error"] != code_of(status) {
        return Err(format!("not {status}: {}", shown()));
    }
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    let has_form = keys == ["details", "error", "message", "request_id"]
        && body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
        && body["request_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("req_"))
        && body["request_id"] == header(&answer.headers, "x-request-id")
        && header(&answer.headers, "content-type") == "application/json"
        && body["details"].is_array();
    if !has_form {
        return Err(format!("not the form of an error: {}", shown()));
    }
    let told = body.to_string().to_lowercase();
    if let Some(word) = ["dynamo", "serde", "panick", "governance", "tk_", "thea@"]
        .iter()
        .find(|word| told.contains(**word))
    {
        return Err(format!("tells {word}: {}", shown()));
    }
    let named: BTreeSet<String> = answer.fields().into_iter().collect();
    match fields {
        Some(fields) if *fields != named => Err(format!("names {named:?}, not {fields:?}")),
        _ => Ok(()),
    }
}
