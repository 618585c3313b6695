//! GitHub's webhooks as risk events: the severity of each event, and the people behind it.

mod identity;
mod people;
mod shape;

use crate::domain::ledger::usage::RiskLevel;
pub use identity::{GITHUB_PREFIX, event_id};
pub use people::user_of;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most rows of an organisation's table.
pub const MAX_ROWS: usize = 200;

/// The severity of one event of GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RiskRow {
    /// GitHub's name of the event: `secret_scanning_alert`.
    pub event: String,
    /// The action of the event. None for any action without its own row.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub action: Option<String>,
    /// Its severity. None for no risk.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub risk_level: Option<RiskLevel>,
}

/// Returns the default rows of an organisation. A `push` counts only if it adds or changes a file
/// that usually holds secrets.
pub fn default_rows() -> Vec<RiskRow> {
    use RiskLevel::{Critical, High, Low, Medium};
    let rows: [(&str, &str, RiskLevel); 15] = [
        ("secret_scanning_alert", "created", High),
        ("secret_scanning_alert", "reopened", High),
        ("secret_scanning_alert", "publicly_leaked", Critical),
        ("code_scanning_alert", "created", Medium),
        ("code_scanning_alert", "reopened", Medium),
        ("code_scanning_alert", "appeared_in_branch", Medium),
        ("dependabot_alert", "created", Medium),
        ("dependabot_alert", "reintroduced", Medium),
        ("dependabot_alert", "reopened", Medium),
        ("repository_vulnerability_alert", "create", Medium),
        ("public", "", Critical),
        ("repository", "publicized", Critical),
        ("fork", "", Medium),
        ("member", "added", Low),
        ("push", "", High),
    ];
    rows.into_iter()
        .map(|(event, action, level)| RiskRow {
            event: event.to_owned(),
            action: (!action.is_empty()).then(|| action.to_owned()),
            risk_level: Some(level),
        })
        .collect()
}

/// The risk that a webhook reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub risk_level: RiskLevel,
    /// The logins of the people who may have caused it, the likeliest first.
    pub logins: Vec<String>,
    pub repository: Option<String>,
    pub summary: String,
}

/// The outcome of reading a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Risk(Sighting),
    /// Not a risk, with the reason.
    Ignored(&'static str),
    /// The body does not match the event.
    Mismatch,
}

/// Reads the webhook called `event` by an organisation's table. The name is not signed, so a body
/// that cannot belong to that event is rejected.
pub fn read(event: &str, body: &Value, rows: &[RiskRow]) -> Read {
    let action = body["action"].as_str();
    let of_event = || rows.iter().filter(|row| row.event == event);
    let exact = of_event().find(|row| row.action.is_some() && row.action.as_deref() == action);
    let Some(row) = exact.or_else(|| of_event().find(|row| row.action.is_none())) else {
        return Read::Ignored("the table of risks has no row for this event and action");
    };
    let Some(risk_level) = row.risk_level else {
        return Read::Ignored("the table of risks says that this event and action are no risk");
    };
    if !shape::fits(event, body) {
        return Read::Mismatch;
    }
    let mut sensitive = Vec::new();
    if event == "push" {
        sensitive = sensitive_paths(body);
        if sensitive.is_empty() {
            return Read::Ignored("the push adds or changes no file that usually holds secrets");
        }
    }
    let repository = body["repository"]["full_name"].as_str();
    Read::Risk(Sighting {
        risk_level,
        logins: people::logins(event, body),
        repository: repository.map(|name| shortened(name, 200)),
        summary: shortened(&summary(event, action, body, &sensitive), 500),
    })
}

/// Returns at most `most` characters, without control characters.
fn shortened(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(most)
        .collect()
}

/// Returns one line about the event. It uses only names and numbers of the webhook, never the
/// leaked text.
fn summary(event: &str, action: Option<&str>, body: &Value, sensitive: &[String]) -> String {
    let what = event.replace('_', " ");
    let action = action.map_or(String::new(), |action| {
        format!(" {}", action.replace('_', " "))
    });
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let number = &body["alert"]["number"];
    let detail = match event {
        "secret_scanning_alert" => {
            let kind = text(&body["alert"]["secret_type"]);
            format!(": {kind}, alert {number}")
        }
        "code_scanning_alert" => format!(": {}", text(&body["alert"]["rule"]["id"])),
        "dependabot_alert" => {
            let package = &body["alert"]["dependency"]["package"]["name"];
            format!(": {}", text(package))
        }
        "fork" => format!(": to {}", text(&body["forkee"]["full_name"])),
        "member" => format!(": {}", text(&body["member"]["login"])),
        "push" => format!(": {}", sensitive.join(", ")),
        "public" => ": the repository is now public".to_owned(),
        _ => String::new(),
    };
    format!("{what}{action}{detail}")
}

/// The most paths of a push that the summary names.
const MAX_NAMED: usize = 10;

/// Returns the paths that a push adds or changes and that usually hold secrets.
fn sensitive_paths(body: &Value) -> Vec<String> {
    let commits = body["commits"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<String> = Vec::new();
    for commit in commits.iter().chain([&body["head_commit"]]) {
        for list in ["added", "modified"] {
            let paths = commit[list].as_array().map_or(&[][..], Vec::as_slice);
            for path in paths.iter().filter_map(Value::as_str) {
                let is_new = !found.iter().any(|known| known == path);
                if found.len() < MAX_NAMED && is_new && is_sensitive(path) {
                    found.push(path.to_owned());
                }
            }
        }
    }
    found
}

/// Returns true if a file at this path usually holds keys, passwords or credentials.
pub fn is_sensitive(path: &str) -> bool {
    const NAMES: [&str; 16] = [
        ".env",
        ".netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".htpasswd",
        "credentials",
        "credentials.json",
        "service-account.json",
        "secrets.yml",
        "secrets.yaml",
        "secrets.json",
        "id_rsa",
        "id_ecdsa",
        "id_ed25519",
        "terraform.tfstate",
    ];
    const ENDINGS: [&str; 8] = [
        ".pem",
        ".key",
        ".p12",
        ".pfx",
        ".jks",
        ".keystore",
        ".ppk",
        ".kdbx",
    ];
    const EXAMPLES: [&str; 4] = [".example", ".sample", ".template", ".dist"];
    let path = path.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    if EXAMPLES.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    NAMES.contains(&name)
        || name.starts_with(".env.")
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_that_usually_hold_secrets_are_known_by_name_and_ending() {
        for path in [
            ".env",
            "app/.ENV",
            ".env.production",
            "keys/server.pem",
            "a/id_rsa",
            "x/credentials",
        ] {
            assert!(is_sensitive(path), "{path}");
        }
        for path in [
            ".env.example",
            "src/environment.rs",
            "id_rsa.pub",
            "keyboard.rs",
            "docs/credentials.md",
            "",
        ] {
            assert!(!is_sensitive(path), "{path}");
        }
    }

    #[test]
    fn an_exact_action_comes_before_any_action_and_a_row_without_level_is_no_risk() {
        let row = |action: Option<&str>, risk_level| RiskRow {
            event: "fork".to_owned(),
            action: action.map(str::to_owned),
            risk_level,
        };
        let rows = [
            row(None, Some(RiskLevel::Low)),
            row(Some("x"), Some(RiskLevel::High)),
            row(Some("y"), None),
        ];
        let level = |action: &str| {
            let body = json!({"action": action, "forkee": {}});
            match read("fork", &body, &rows) {
                Read::Risk(sighting) => Some(sighting.risk_level),
                Read::Ignored(_) | Read::Mismatch => None,
            }
        };
        assert_eq!(
            (level("x"), level("y"), level("z")),
            (Some(RiskLevel::High), None, Some(RiskLevel::Low))
        );
        assert!(matches!(read("star", &json!({}), &rows), Read::Ignored(_)));
    }

    #[test]
    fn only_pushes_with_sensitive_files_are_risks_and_what_leaked_is_never_told() {
        let rows = default_rows();
        let push = json!({"ref": "refs/heads/main", "commits": [{"added": ["a.rs", "deploy/.env"],
            "modified": ["k.pem"], "removed": ["id_rsa"]}]});
        let Read::Risk(sighting) = read("push", &push, &rows) else {
            panic!("no risk")
        };
        assert_eq!(sighting.summary, "push: deploy/.env, k.pem");
        let alert = json!({"action": "created", "alert": {"number": 7, "secret_type": "aws",
            "secret": "AKIA"}});
        let Read::Risk(sighting) = read("secret_scanning_alert", &alert, &rows) else {
            panic!("no risk")
        };
        assert_eq!(
            sighting.summary,
            "secret scanning alert created: aws, alert 7"
        );
    }

    #[test]
    fn a_body_under_the_name_of_another_event_is_no_risk() {
        let fork = json!({"forkee": {}, "repository": {"full_name": "acme/shop"}});
        let rows = default_rows();
        assert!(matches!(read("fork", &fork, &rows), Read::Risk(_)));
        for event in ["public", "push", "secret_scanning_alert"] {
            let body = json!({"action": "created", "forkee": {}, "repository": {}});
            assert_eq!(read(event, &body, &rows), Read::Mismatch, "{event}");
        }
    }

    #[test]
    fn what_becomes_public_is_as_grave_as_can_be() {
        let rows = default_rows();
        let level = |event: &str, body: Value| match read(event, &body, &rows) {
            Read::Risk(sighting) => Some(sighting.risk_level),
            Read::Ignored(_) | Read::Mismatch => None,
        };
        let repository = json!({"full_name": "acme/shop"});
        let public = json!({"repository": repository});
        assert_eq!(level("public", public), Some(RiskLevel::Critical));
        let publicized = json!({"action": "publicized", "repository": repository});
        assert_eq!(level("repository", publicized), Some(RiskLevel::Critical));
        let leaked = json!({"action": "publicly_leaked", "alert": {"secret_type": "aws"}});
        assert_eq!(
            level("secret_scanning_alert", leaked),
            Some(RiskLevel::Critical)
        );
        let renamed = json!({"action": "renamed", "repository": repository});
        assert_eq!(level("repository", renamed), None);
    }
}
