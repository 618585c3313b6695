//! What the deployment template lets each function do with the tables.

use crate::sources::read;
use crate::template::Template;
use local::engine::Permission;
use std::collections::BTreeSet;
use std::sync::OnceLock;

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::parse(&read("template.yaml")))
}

/// Those of `used` that a function would not have where it is deployed.
pub(crate) fn missing(used: BTreeSet<Permission>) -> Vec<Permission> {
    let functions = template().functions();
    let is_missing = |one: &Permission| {
        let action = format!("dynamodb:{}", one.action);
        let partitions: Vec<&str> = one.partitions.iter().map(String::as_str).collect();
        functions.contains_key(one.caller)
            && !template().may(one.caller, &action, &one.resource, &partitions)
    };
    used.into_iter().filter(is_missing).collect()
}
