//! What the deployment template lets each function do with the tables.

use local::engine::Permission;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// The function, the action and the table or index of each permission.
type Allowed = BTreeSet<(String, String, String)>;

fn allowed() -> &'static Allowed {
    static ALLOWED: OnceLock<Allowed> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let mut found = Allowed::new();
        let (mut function, mut actions, mut is_denied) = (String::new(), Vec::new(), false);
        for line in template.lines() {
            let name = line.strip_suffix("Function:").map(str::trim_start);
            if line.starts_with("  ") && !line.starts_with("   ") {
                function = name.unwrap_or_default().to_lowercase();
            }
            let line = line.trim();
            if line.starts_with("- Effect:") {
                is_denied = line.ends_with("Deny");
            } else if let Some(listed) = line.strip_prefix("Action:") {
                let listed = listed.trim().trim_matches(['[', ']']).split(',');
                actions = listed.map(|a| a.trim().to_owned()).collect();
            } else if let Some(resource) = line.strip_prefix("Resource:") {
                let resource = resource.trim().replace("!GetAtt ", "");
                let resource = resource.replace("!Sub '${", "").replace(['}', '\''], "");
                let resource = resource.replace(".Arn", "");
                let tables = ["Counters", "Ledger", "Governance"];
                if !is_denied && tables.iter().any(|table| resource.starts_with(table)) {
                    let action = |a: &String| a.trim_start_matches("dynamodb:").to_owned();
                    found.extend(
                        actions
                            .iter()
                            .map(|a| (function.clone(), action(a), resource.clone())),
                    );
                }
            }
        }
        assert!(found.len() > 20, "{found:#?}");
        found
    })
}

/// Those of `used` that a function would not have where it is deployed.
pub(crate) fn missing(used: BTreeSet<Permission>) -> Vec<Permission> {
    let functions: BTreeSet<&str> = allowed().iter().map(|(name, ..)| name.as_str()).collect();
    let is_missing = |one: &Permission| {
        let needed = (
            one.caller.to_owned(),
            one.action.clone(),
            one.resource.clone(),
        );
        functions.contains(one.caller) && !allowed().contains(&needed)
    };
    used.into_iter().filter(is_missing).collect()
}
