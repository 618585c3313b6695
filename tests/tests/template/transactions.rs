//! What roles must say so that transactions are allowed on AWS, and what keeps the audit log.
//!
//! AWS documents partition keys in conditions (`dynamodb:LeadingKeys`) for calls of one item and of
//! batches. Whether IAM sees the keys of a transaction one by one or together, it says nowhere, so
//! the roles have to be right either way.

use end_to_end::template::{Statement, Template};
use std::collections::BTreeSet;

/// The table of the audit logs.
pub(crate) const LOG: &str = "Audit";
/// What functions may do with the log.
const OF_THE_LOG: [&str; 2] = ["dynamodb:PutItem", "dynamodb:Query"];
/// The actions of calls that touch several items: parts of transactions, and batches. The code
/// reads nothing in transactions, so `GetItem` is a call of one item.
const TOGETHER: [&str; 6] = [
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
];

/// Every rule that does not hold, in a sentence.
pub(crate) fn broken(template: &Template, faults: &mut Vec<String>) {
    for function in template.functions().keys() {
        let statements = template.statements(function);
        one_statement(function, &statements, faults);
        for of in &statements {
            conditions(function, of, faults);
            log(function, of, faults);
        }
    }
}

/// Each action on a table is allowed by one statement. Two of them, each for a kind of items,
/// allow a transaction of both kinds only if IAM sees its keys one by one.
fn one_statement(function: &str, statements: &[Statement], faults: &mut Vec<String>) {
    let allowed = || statements.iter().filter(|of| of.is_allowed);
    let resources: BTreeSet<&String> = allowed().flat_map(|of| &of.resources).collect();
    for action in TOGETHER {
        for resource in &resources {
            let says = |of: &&Statement| {
                of.actions.iter().any(|known| known == action) && of.resources.contains(resource)
            };
            let several = allowed().filter(says).count();
            if several > 1 {
                faults.push(format!(
                    "{several} statements of {function} allow {action} on {resource}, and no one \
                     of them all keys of a transaction"
                ));
            }
        }
    }
}

/// A condition that some key must meet is met or not by the other keys of a transaction: an
/// allowance would reach too far, and a denial would refuse what is allowed.
fn conditions(function: &str, of: &Statement, faults: &mut Vec<String>) {
    if of.partitions.as_ref().is_some_and(|keys| keys.is_any()) {
        faults.push(format!(
            "{function} has a condition that one key meets for all"
        ));
    }
    if !of.is_allowed {
        faults.push(format!(
            "{function} is denied {}, perhaps in a transaction that has it beside the allowed",
            of.actions.join(", ")
        ));
    }
}

/// The log is put and read, and nothing else.
fn log(function: &str, of: &Statement, faults: &mut Vec<String>) {
    let is_of_log = |resource: &String| resource.split('/').next() == Some(LOG);
    if !of.is_allowed || !of.resources.iter().any(is_of_log) {
        return;
    }
    let more = of.actions.iter();
    for action in more.filter(|action| !OF_THE_LOG.contains(&action.as_str())) {
        faults.push(format!("{function} may alter the audit log: {action}"));
    }
}
