//! Identities of webhooks: a redelivery, a second hook or a replay under other headers has the same
//! one.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The prefix of the event ids of GitHub's webhooks.
pub const GITHUB_PREFIX: &str = "github-";

/// Fields about the hook that sent the body, not about the event.
const OF_THE_HOOK: [&str; 3] = ["installation", "organization", "enterprise"];

/// Returns the id of the event in a body. It is the same for every hook and every delivery.
///
/// An alert is identified by its repository, event, action, number and last change, so a reopened
/// one is another event. Anything else is identified by a digest of its body. Only signed content
/// is used; `event` was checked against the body.
pub fn event_id(event: &str, body: &Value) -> String {
    let named = alert_time(body).map(|time| {
        let repository = &body["repository"];
        let id = match repository["id"].is_null() {
            true => &repository["full_name"],
            false => &repository["id"],
        };
        json!([id, event, body["action"], body["alert"]["number"], time])
    });
    let text = named.unwrap_or_else(|| without_hook(body)).to_string();
    format!(
        "{GITHUB_PREFIX}{}",
        hex::encode(Sha256::digest(text.as_bytes()))
    )
}

/// Returns when an alert was last changed. None if the body has no alert with a time. A new alert
/// may have no changes yet.
fn alert_time(body: &Value) -> Option<&str> {
    let alert = body.get("alert")?;
    alert["number"].as_u64()?;
    let is_new = matches!(body["action"].as_str(), Some("created" | "create"));
    let created = alert["created_at"].as_str().filter(|_| is_new);
    alert["updated_at"].as_str().or(created)
}

fn without_hook(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        for name in OF_THE_HOOK {
            fields.remove(name);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(action: &str, updated_at: Value) -> Value {
        json!({
            "action": action, "repository": {"id": 1, "full_name": "acme/shop"},
            "alert": {"number": 7, "secret_type": "aws", "created_at": "2026-11-24T10:00:00Z",
            "updated_at": updated_at},
        })
    }

    fn id(body: &Value) -> String {
        event_id("secret_scanning_alert", body)
    }

    #[test]
    fn an_alert_is_the_same_from_every_hook_and_another_when_it_is_reopened() {
        let first = alert("reopened", json!("2026-11-24T11:00:00Z"));
        let mut of_other_hook = first.clone();
        of_other_hook["installation"] = json!({"id": 5});
        of_other_hook["sender"] = json!({"login": "octocat"});
        assert_eq!(id(&first), id(&of_other_hook));
        for other in [
            alert("reopened", json!("2026-11-24T12:00:00Z")),
            alert("resolved", json!("2026-11-24T11:00:00Z")),
        ] {
            assert_ne!(id(&first), id(&other));
        }
        let mut elsewhere = first.clone();
        elsewhere["repository"]["id"] = json!(2);
        assert_ne!(id(&first), id(&elsewhere));
        assert_ne!(id(&first), event_id("code_scanning_alert", &first));
    }

    #[test]
    fn an_alert_without_a_time_of_change_is_known_by_its_making_or_by_its_body() {
        let new = alert("created", Value::Null);
        let mut again = new.clone();
        again["repository"]["pushed_at"] = json!(1);
        assert_eq!(id(&new), id(&again), "it is made once");
        let reopened = alert("reopened", Value::Null);
        let mut again = reopened.clone();
        again["alert"]["resolved_at"] = json!("2026-11-24T12:00:00Z");
        assert_ne!(id(&reopened), id(&again), "it may be reopened twice");
    }

    #[test]
    fn without_an_alert_the_body_counts_but_for_what_it_says_of_the_hook() {
        let push = json!({"ref": "refs/heads/main", "after": "a", "commits": []});
        let mut of_organisation = push.clone();
        of_organisation["organization"] = json!({"login": "acme"});
        of_organisation["installation"] = json!({"id": 5});
        assert_eq!(event_id("push", &push), event_id("push", &of_organisation));
        assert_eq!(event_id("push", &push), event_id("public", &push));
        let mut other = push.clone();
        other["after"] = json!("b");
        assert_ne!(event_id("push", &push), event_id("push", &other));
        assert!(event_id("push", &push).len() <= 128);
    }
}
