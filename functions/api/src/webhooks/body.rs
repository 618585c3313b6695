//! Reads the fields of a webhook.

use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::notice::event_type::{EVENT_TYPES, EventType};
use shared::runtime::parse;

/// Reads the url of a receiver.
pub(crate) fn read_url(egress: EgressPolicy) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let url = parse::text(raw)?;
        match egress.refuses(&url) {
            Some(rule) => Err(rule.to_owned()),
            None => Ok(url),
        }
    }
}

pub(super) fn read_events(raw: &str) -> Result<Vec<EventType>, String> {
    let mut events = Vec::new();
    for value in parse::list(0, EVENT_TYPES.len())(raw)? {
        let event = parse::one_of(EVENT_TYPES)(&value)?;
        if events.contains(&event) {
            return Err("must name each event type once".to_owned());
        }
        events.push(event);
    }
    Ok(events)
}
