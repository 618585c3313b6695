//! Checks of the parameters that single and batch requests share.

use std::time::Duration;

use super::URL_PREFIX;
use super::wire::{Content, MAX_BYTES, Refusal};

const MAX_DELAY_SECONDS: i64 = 900;

/// Returns the name of the queue in a URL.
pub(super) fn queue_name(url: &str) -> Result<&str, Refusal> {
    url.strip_prefix(URL_PREFIX).ok_or(Refusal::NoSuchQueue)
}

/// Checks a message and returns its delay.
pub(super) fn check_content(content: &Content) -> Result<Duration, Refusal> {
    if content.message_attributes.is_some() {
        return Err(Refusal::Unsupported("MessageAttributes"));
    }
    let body = &content.message_body;
    if body.is_empty() {
        return Err(Refusal::Missing("MessageBody"));
    }
    if body.len() > MAX_BYTES {
        return Err(Refusal::Invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {MAX_BYTES} \
             bytes."
        )));
    }
    if body.chars().any(is_forbidden) {
        return Err(Refusal::BadCharacters);
    }
    let delay = content.delay_seconds.unwrap_or(0);
    seconds("DelaySeconds", delay, MAX_DELAY_SECONDS)
}

fn is_forbidden(character: char) -> bool {
    let allowed_control = matches!(character, '\t' | '\n' | '\r');
    (character < ' ' && !allowed_control) || matches!(character, '\u{fffe}' | '\u{ffff}')
}

pub(super) fn seconds(parameter: &str, value: i64, max: i64) -> Result<Duration, Refusal> {
    u64::try_from(value)
        .ok()
        .filter(|_| value <= max)
        .map(Duration::from_secs)
        .ok_or_else(|| {
            Refusal::Invalid(format!(
                "Value {value} for parameter {parameter} is invalid. Reason: Must be between 0 \
                 and {max}."
            ))
        })
}
