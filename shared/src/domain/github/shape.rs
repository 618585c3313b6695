//! Matches bodies to events. The header with the event's name is not signed, but the body is.

use serde_json::Value;

/// The fields that a body of an event has or lacks (`!`), as paths of field names.
///
/// Checked against the examples of octokit/webhooks: each fits its own event and no other. An event
/// with several forms has several lines.
const SHAPES: &[(&str, &str)] = &[
    ("secret_scanning_alert", "alert.secret_type !location"),
    ("secret_scanning_alert_location", "alert location"),
    ("code_scanning_alert", "alert.rule"),
    ("dependabot_alert", "alert.dependency"),
    (
        "repository_vulnerability_alert",
        "alert.affected_package_name",
    ),
    ("push", "ref commits"),
    ("fork", "forkee"),
    ("member", "member !team !scope"),
    ("membership", "member scope"),
    ("branch_protection_rule", "rule"),
    ("check_run", "check_run !deployment_status"),
    ("check_suite", "check_suite"),
    ("commit_comment", "comment !issue !discussion !pull_request"),
    ("create", "ref_type master_branch"),
    ("delete", "ref_type !master_branch"),
    ("custom_property", "definition"),
    ("custom_property_values", "new_property_values"),
    ("deploy_key", "key"),
    (
        "deployment",
        "deployment !deployment_status !deployment_callback_url !workflow_job",
    ),
    ("deployment_protection_rule", "deployment_callback_url"),
    ("deployment_review", "workflow_run since"),
    ("deployment_status", "deployment_status"),
    ("discussion", "discussion !comment"),
    ("discussion_comment", "discussion comment"),
    ("gollum", "pages"),
    ("installation", "installation.account !repositories_added"),
    ("installation_repositories", "repositories_added"),
    ("installation_target", "target_type account"),
    ("issue_comment", "issue comment"),
    ("issues", "issue !comment"),
    ("label", "label !issue !pull_request !discussion"),
    ("marketplace_purchase", "marketplace_purchase"),
    ("merge_group", "merge_group"),
    ("meta", "hook !zen"),
    ("milestone", "milestone !issue !pull_request"),
    ("org_block", "blocked_user"),
    ("organization", "membership"),
    ("organization", "invitation"),
    ("organization", "changes.login !repository"),
    ("package", "package"),
    ("page_build", "build"),
    ("ping", "zen"),
    ("project", "project"),
    ("project_card", "project_card"),
    ("project_column", "project_column"),
    ("projects_v2", "projects_v2"),
    ("projects_v2_item", "projects_v2_item"),
    ("pull_request", "pull_request !review !comment !thread"),
    ("pull_request_review", "review"),
    ("pull_request_review_comment", "pull_request comment"),
    ("pull_request_review_thread", "thread"),
    ("registry_package", "registry_package"),
    ("release", "release"),
    ("repository_advisory", "repository_advisory"),
    ("repository_dispatch", "client_payload"),
    ("repository_import", "status repository"),
    ("repository_ruleset", "repository_ruleset"),
    ("security_advisory", "security_advisory"),
    (
        "security_and_analysis",
        "changes.from.security_and_analysis",
    ),
    ("sponsorship", "sponsorship"),
    ("star", "starred_at"),
    ("status", "sha branches"),
    ("team", "team action !member"),
    ("team_add", "team !action"),
    ("workflow_dispatch", "workflow inputs"),
    ("workflow_job", "workflow_job"),
    ("workflow_run", "workflow_run !deployment !since"),
];

/// The actions on a repository. Only the action distinguishes these bodies.
const OF_REPOSITORY: [&str; 9] = [
    "created",
    "deleted",
    "archived",
    "unarchived",
    "edited",
    "renamed",
    "transferred",
    "publicized",
    "privatized",
];
/// The events that only their action distinguishes.
const BARE: [&str; 3] = ["public", "repository", "watch"];

fn has(body: &Value, path: &str) -> bool {
    let mut value = Some(body);
    for name in path.split('.') {
        value = value.and_then(|value| value.get(name));
    }
    value.is_some()
}

fn is_of_shape(body: &Value, shape: &str) -> bool {
    shape.split(' ').all(|path| match path.strip_prefix('!') {
        Some(path) => !has(body, path),
        None => has(body, path),
    })
}

/// Returns the event of a body that has none of the shapes.
fn bare(body: &Value) -> Option<&'static str> {
    let action = body.get("action").and_then(Value::as_str);
    let event = match action {
        None => "public",
        Some("started") => "watch",
        Some(action) if OF_REPOSITORY.contains(&action) => "repository",
        Some(_) => return None,
    };
    has(body, "repository").then_some(event)
}

/// Returns true if `body` can be a body of `event`. An unknown event fits if the body belongs to no
/// known one.
pub(super) fn fits(event: &str, body: &Value) -> bool {
    let mut shaped = SHAPES
        .iter()
        .filter(|(_, shape)| is_of_shape(body, shape))
        .map(|(event, _)| *event)
        .peekable();
    if shaped.peek().is_some() {
        return shaped.any(|shaped| shaped == event);
    }
    match bare(body) {
        Some(bare) => bare == event,
        None => {
            let mut known = SHAPES.iter().map(|(event, _)| *event).chain(BARE);
            body.is_object() && !known.any(|known| known == event)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_fits_its_own_event_only() {
        let bodies = [
            (
                "secret_scanning_alert",
                json!({"action": "created", "alert": {"secret_type": "aws"}}),
            ),
            (
                "code_scanning_alert",
                json!({"action": "created", "alert": {"rule": {}}, "ref": "refs/heads/main"}),
            ),
            (
                "dependabot_alert",
                json!({"action": "created", "alert": {"dependency": {}}}),
            ),
            ("push", json!({"ref": "refs/heads/main", "commits": []})),
            ("public", json!({"repository": {}})),
            (
                "repository",
                json!({"action": "publicized", "repository": {}}),
            ),
            ("watch", json!({"action": "started", "repository": {}})),
            (
                "member",
                json!({"action": "added", "member": {}, "repository": {}}),
            ),
            ("ping", json!({"zen": "z", "hook": {}, "repository": {}})),
            ("team", json!({"action": "created", "team": {}})),
            (
                "membership",
                json!({"action": "added", "member": {}, "scope": "team", "team": {}}),
            ),
        ];
        for (own, body) in &bodies {
            for (event, _) in &bodies {
                assert_eq!(fits(event, body), own == event, "{own} as {event}");
            }
        }
    }

    #[test]
    fn an_event_that_is_not_known_takes_no_body_of_one_that_is() {
        let new = json!({"action": "made", "novelty": {}, "repository": {}});
        assert!(fits("novelty", &new));
        assert!(!fits("public", &new) && !fits("repository", &new));
        let fork = json!({"forkee": {}, "repository": {}});
        assert!(!fits("novelty", &fork));
        assert!(!fits("novelty", &json!([])) && !fits("public", &json!({})));
    }
}
