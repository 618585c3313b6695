//! Notices about blocked and released users.

use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::people::{Block, Superiors, User};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns whom to ask, for the middle of a sentence.
fn whom(superiors: &Superiors) -> String {
    let shown = |user: &User| format!("{} ({})", user.name, user.email);
    match (&superiors.manager, superiors.administrators.first()) {
        (Some((manager, _)), _) => format!("{} or an administrator", shown(manager)),
        (None, Some(administrator)) => format!("the administrator {}", shown(administrator)),
        (None, None) => "an administrator".to_owned(),
    }
}

fn until(block: &Block) -> Option<String> {
    block.until.map(|until| until.to_string())
}

/// Returns the part of the payload that blocks and releases share.
fn payload(user: &User, [title, message]: [String; 2]) -> Value {
    json!({
        "title": title,
        "message": message,
        "user": {"id": user.id, "name": user.name},
        "department_id": user.department_id,
    })
}

/// Returns the user and their manager, each with the reason for the mail.
fn people(user: &User, superiors: &Superiors) -> Vec<Recipient> {
    let own = Recipient::mail(user, "it is your access".to_owned());
    let manager = superiors.manager.as_ref();
    let manager = manager.map(|(manager, because)| Recipient::mail(manager, because.clone()));
    [own].into_iter().chain(manager).collect()
}

/// Returns the notice of a manual block for the user and their manager: why, until when, and whom
/// to ask.
pub fn blocked_by_hand(id: String, user: &User, block: &Block, superiors: &Superiors) -> Notice {
    let recipients = people(user, superiors);
    let by = "An administrator has blocked it";
    let whom = whom(superiors);
    blocked(id, user, block, [by, &whom], recipients)
}

/// Returns the notice of a block by a policy, for webhooks and the bus only: the policy itself says
/// who gets a mail, and that mail mentions the block.
pub fn blocked_by_policy(id: String, user: &User, block: &Block) -> Notice {
    let by = "A policy has blocked it";
    blocked(id, user, block, [by, "an administrator"], Vec::new())
}

fn blocked(
    id: String,
    user: &User,
    block: &Block,
    [by, whom]: [&str; 2],
    recipients: Vec<Recipient>,
) -> Notice {
    let title = format!("The LLM access of {} is blocked", user.name);
    let message = format!("{by}: {}", block.reason);
    let mut payload = payload(user, [title, message]);
    payload["blocked"] = json!({
        "reason": block.reason,
        "since": block.since.to_string(),
        "until": until(block),
        "policy_id": block.policy_id,
    });
    payload["what_now"] = json!(format!("Ask {whom} to release it."));
    Notice::new(id, EventType::UserBlocked, payload, recipients, block.since)
}

/// Returns the notice that the block `before` was ended by hand, for the people who were told of
/// the block.
pub fn released(
    id: String,
    user: &User,
    before: &Block,
    superiors: &Superiors,
    now: Timestamp,
) -> Notice {
    let title = format!("The LLM access of {} is released", user.name);
    let message = format!(
        "An administrator has released {}. Requests pass again if the budgets allow them. The \
         reason for the block was: {}",
        before.since, before.reason
    );
    let mut payload = payload(user, [title, message]);
    payload["released"] = json!({
        "reason": before.reason,
        "since": before.since.to_string(),
        "until": until(before),
        "policy_id": before.policy_id,
    });
    let recipients = people(user, superiors);
    Notice::new(id, EventType::UserReleased, payload, recipients, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Address;
    use crate::domain::samples::{NOW, at, user};

    fn block(until: Option<&str>) -> Block {
        Block {
            policy_id: None,
            reason: "a key was pushed".to_owned(),
            since: at("2026-11-24T11:30:00Z"),
            until: until.map(at),
        }
    }

    /// The mail addresses of a notice's recipients.
    fn emails(notice: &Notice) -> Vec<&str> {
        let each = notice.recipients.iter();
        each.map(|recipient| match &recipient.address {
            Address::Mail { email, .. } => email.as_str(),
            Address::Webhook { webhook_id } => webhook_id,
        })
        .collect()
    }

    #[test]
    fn who_is_blocked_and_their_manager_hear_why_until_when_and_whom_to_ask() {
        let superiors = Superiors {
            manager: Some((user("mo"), "you manage ada".to_owned())),
            administrators: Vec::new(),
        };
        let block = block(Some("2026-12-01T00:00:00Z"));
        let notice = blocked_by_hand("ntc_1".to_owned(), &user("ada"), &block, &superiors);
        assert_eq!(emails(&notice), ["ada@example.com", "mo@example.com"]);
        let payload = &notice.payload;
        assert_eq!(
            payload["message"],
            "An administrator has blocked it: a key was pushed"
        );
        assert_eq!(payload["blocked"]["since"], "2026-11-24T11:30:00Z");
        assert_eq!(payload["blocked"]["until"], "2026-12-01T00:00:00Z");
        let what_now = "Ask The user mo (mo@example.com) or an administrator to release it.";
        assert_eq!(payload["what_now"], what_now);
        let by_policy = blocked_by_policy("ntc_2".to_owned(), &user("ada"), &block);
        assert!(emails(&by_policy).is_empty());
    }

    #[test]
    fn who_is_released_hears_it_also_without_a_manager() {
        let superiors = Superiors::default();
        let id = "ntc_1".to_owned();
        let notice = released(id, &user("ada"), &block(None), &superiors, at(NOW));
        assert_eq!(emails(&notice), ["ada@example.com"]);
        assert_eq!(notice.payload["released"]["until"], Value::Null);
    }
}
