//! Notices about the steps of an exemption.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::grant::{Covers, Kind};
use crate::domain::exemption::{Decision, Exemption};
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::people::User;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A step in the life of an exemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A user or manager requested it.
    Requested,
    Approved,
    Denied,
    /// It was withdrawn or ended early.
    Revoked,
    /// It ends soon. This much of it was used.
    Ending(Amounts),
    /// It has ended. This much of it was used.
    Expired(Amounts),
}

impl Event {
    fn kind(self) -> EventType {
        match self {
            Self::Requested => EventType::ExemptionRequested,
            Self::Approved => EventType::ExemptionApproved,
            Self::Denied => EventType::ExemptionDenied,
            Self::Revoked => EventType::ExemptionRevoked,
            Self::Ending(_) => EventType::ExemptionEnding,
            Self::Expired(_) => EventType::ExemptionExpired,
        }
    }
}

/// Returns `50,000 tokens more than the caps of engineering allow`.
fn terms(exemption: &Exemption, user: &User) -> String {
    let terms = &exemption.terms;
    let amounts = [(Unit::Tokens, terms.tokens), (Unit::Usd, terms.micro_usd)];
    let amounts = amounts.into_iter();
    let amounts: Vec<String> = amounts
        .filter_map(|(unit, amount)| Some(unit.shown(amount?)))
        .collect();
    let caps = match terms.covers {
        Covers::Department => format!("the caps of {}", user.department_id),
        Covers::Path => format!("the caps of {} and all above it", user.department_id),
    };
    match terms.kind {
        Kind::Raise => format!("{} more than {caps} allow", amounts.join(" and ")),
        Kind::Lift => format!("no limit by {caps}"),
    }
}

fn by(decision: &Option<Decision>) -> String {
    let name = decision
        .as_ref()
        .map(|decision| decision.by.name().to_owned());
    name.unwrap_or_default()
}

/// Returns the note of a decision after a space, if there is one.
fn note(decision: &Option<Decision>) -> String {
    let note = decision.as_ref().and_then(|decision| decision.note.clone());
    note.map(|note| format!(" {note}")).unwrap_or_default()
}

/// Returns the title and the message of a step.
fn texts(event: Event, exemption: &Exemption, user: &User) -> (String, String) {
    let what = terms(exemption, user);
    let (name, until) = (&user.name, exemption.terms.ends_at);
    let asker = exemption.requested_by.name();
    match event {
        Event::Requested => (
            format!("{name} asks for an exemption"),
            format!(
                "{asker} asks for {what}, for {name} until {until}: {}",
                exemption.reason
            ),
        ),
        Event::Approved => (
            format!("The exemption for {name} was approved"),
            format!(
                "{} approved {what}, for {name} until {until}.{}",
                by(&exemption.decision),
                note(&exemption.decision)
            ),
        ),
        Event::Denied => (
            format!("The exemption for {name} was denied"),
            format!(
                "{} denied {what}, for {name}.{}",
                by(&exemption.decision),
                note(&exemption.decision)
            ),
        ),
        Event::Revoked => (
            format!("The exemption for {name} was revoked"),
            format!(
                "{} revoked {what}, for {name}.{}",
                by(&exemption.revocation),
                note(&exemption.revocation)
            ),
        ),
        Event::Ending(_) => (
            format!("The exemption for {name} ends soon"),
            format!("The exemption of {name}, {what}, ends at {until}."),
        ),
        Event::Expired(_) if exemption.decision.is_none() => (
            format!("The exemption for {name} was not decided"),
            format!("Nobody decided in time whether {name} gets {what} until {until}."),
        ),
        Event::Expired(_) => (
            format!("The exemption for {name} has ended"),
            format!("The exemption of {name}, {what}, ended at {until}."),
        ),
    }
}

/// Returns what a recipient can do after a step. Empty if there is nothing to do.
fn what_now(event: Event, exemption: &Exemption) -> String {
    let text = match event {
        Event::Requested => {
            return format!(
                "Decide it with POST /v1/exemptions/{0}/approve or /deny. Its requester and its \
                 user cannot decide it.",
                exemption.id
            );
        }
        Event::Approved => {
            "It is in force from its start on. There is nothing to do. It takes nothing from the \
             budgets of others."
        }
        Event::Denied => {
            "The budgets alone decide on requests. Ask the administrator who denied it for the \
             reason, or request again with a better one."
        }
        Event::Revoked => "From now on the budgets alone decide on requests.",
        Event::Ending(_) => "Request another one in time if it is still needed.",
        Event::Expired(_) if exemption.decision.is_none() => {
            "Request it again if it is still needed, and tell an administrator."
        }
        Event::Expired(_) => "",
    };
    text.to_owned()
}

/// Returns the notice of a step, for `recipients`.
pub fn notice(
    id: String,
    event: Event,
    exemption: &Exemption,
    user: &User,
    recipients: Vec<Recipient>,
    now: Timestamp,
) -> Notice {
    let (title, message) = texts(event, exemption, user);
    let what_now = what_now(event, exemption);
    let used = match event {
        Event::Ending(used) | Event::Expired(used) => {
            json!({"tokens": used.tokens, "usd": Unit::Usd.figure(used.micro_usd())})
        }
        _ => Value::Null,
    };
    let terms = &exemption.terms;
    let payload = json!({
        "title": title,
        "message": message,
        "what_now": what_now,
        "exemption_id": exemption.id,
        "user_id": terms.user_id,
        "department_id": user.department_id,
        "kind": terms.kind,
        "tokens": terms.tokens,
        "usd": terms.micro_usd.map(|micro| Unit::Usd.figure(micro)),
        "covers": terms.covers,
        "starts_at": terms.starts_at,
        "ends_at": terms.ends_at,
        "reason": exemption.reason,
        "requested_by": exemption.requested_by.name(),
        "decided_by": exemption.decision.as_ref().map(|decision| decision.by.name()),
        "used": used,
    });
    Notice::new(id, event.kind(), payload, recipients, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exemption::grant::Terms;
    use crate::domain::exemption::{ExemptionStatus, Party};
    use crate::domain::samples;
    use std::collections::BTreeSet;

    fn party(user_id: &str) -> Party {
        Party {
            key_id: format!("key_{user_id}"),
            user_id: Some(user_id.to_owned()),
            responsible_user_id: None,
            makers: BTreeSet::new(),
        }
    }

    /// The payload for a raise that mo requested, root approved and eve revoked.
    fn told(event: Event) -> Value {
        let now = samples::at(samples::NOW);
        let decision = |user_id, note: Option<&str>| Decision {
            by: party(user_id),
            at: now,
            note: note.map(str::to_owned),
        };
        let exemption = Exemption {
            id: "exm_1".to_owned(),
            terms: Terms {
                user_id: "ada".to_owned(),
                kind: Kind::Raise,
                tokens: Some(50_001),
                micro_usd: Some(2_500_000),
                covers: Covers::Path,
                starts_at: now,
                ends_at: samples::at("2026-12-01T00:00:00Z"),
            },
            reason: "a release".to_owned(),
            requested_by: party("mo"),
            decided: ExemptionStatus::Revoked,
            decision: Some(decision("root", None)),
            revocation: Some(decision("eve", Some("It is done."))),
            index: Some(1),
            is_end_told: false,
            version: 3,
            created_at: now,
            updated_at: now,
        };
        let id = "ntc_1".to_owned();
        notice(
            id,
            event,
            &exemption,
            &samples::user("ada"),
            Vec::new(),
            now,
        )
        .payload
    }

    const TERMS: &str =
        "50,001 tokens and $2.50 more than the caps of backend and all above it allow";

    #[test]
    fn each_step_names_whoever_took_it() {
        let message = |event| told(event)["message"].as_str().unwrap().to_owned();
        assert_eq!(
            message(Event::Requested),
            format!("mo asks for {TERMS}, for The user ada until 2026-12-01T00:00:00Z: a release")
        );
        assert_eq!(
            message(Event::Approved),
            format!("root approved {TERMS}, for The user ada until 2026-12-01T00:00:00Z.")
        );
        assert_eq!(
            message(Event::Revoked),
            format!("eve revoked {TERMS}, for The user ada. It is done.")
        );
    }

    #[test]
    fn its_end_is_told_with_what_was_used_in_both_units() {
        let used = Amounts::of_micro_usd(1_203, 1_250_000);
        for event in [Event::Ending(used), Event::Expired(used)] {
            let payload = told(event);
            assert_eq!(payload["used"]["tokens"], 1_203);
            assert_eq!(payload["used"]["usd"].to_string(), "1.25");
        }
        assert_eq!(told(Event::Approved)["used"], Value::Null);
    }
}
