//! Compares the calls of each function with the roles of the deployment template.

use crate::sources::read;
use crate::template::Template;
use local::permissions::Permission;
use local::system::{AUDIT_SECRET, OPERATOR_SECRET, SEALING_SECRET, TOKEN_SECRET};
use local::system::{BUCKET, BUS, CONFIGURATION_SET, DEAD_EVENTS, DEAD_NOTICES, EVENTS};
use local::system::{MAIL_SENDER, NOTICES};
use std::collections::BTreeSet;
use std::sync::OnceLock;

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::parse(&read("template.yaml")))
}

/// The template's name of a resource of the local system, as its roles name it. One that it does
/// not have keeps its name.
pub fn deployed_name(permission: &Permission) -> String {
    let service = permission.action.split(':').next().unwrap_or_default();
    let resource = permission.resource.as_str();
    let of_ses = |rest: &str| {
        format!("arn:${{AWS::Partition}}:ses:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
    };
    match (service, resource, resource.split_once('/')) {
        ("sqs", EVENTS, _) => "EventsQueue".to_owned(),
        ("sqs", DEAD_EVENTS, _) => "EventsDeadLetters".to_owned(),
        ("sqs", NOTICES, _) => "NoticesQueue".to_owned(),
        ("sqs", DEAD_NOTICES, _) => "NoticesDeadLetters".to_owned(),
        ("events", BUS, _) => "Bus".to_owned(),
        ("s3", BUCKET, _) => "arn:${AWS::Partition}:s3:::${AuditBucket}/*".to_owned(),
        // The role is for the sender's mails only, so for other identities it is none.
        ("ses", _, Some(("identity", of))) if of == MAIL_SENDER || is_domain_of_sender(of) => {
            of_ses("identity/*")
        }
        ("secretsmanager", OPERATOR_SECRET | SEALING_SECRET | TOKEN_SECRET | AUDIT_SECRET, _) => {
            format!("!Ref {resource}")
        }
        ("ses", _, Some(("configuration-set", CONFIGURATION_SET))) => {
            of_ses("configuration-set/${MailConfigurationSet}")
        }
        _ => resource.to_owned(),
    }
}

fn is_domain_of_sender(domain: &str) -> bool {
    MAIL_SENDER
        .split_once('@')
        .is_some_and(|(_, of)| of == domain)
}

/// The permissions in `used` that a deployed function would not have.
pub(crate) fn missing(used: BTreeSet<Permission>) -> Vec<Permission> {
    let functions = template().functions();
    let is_missing = |one: &Permission| {
        let resource = deployed_name(one);
        let partitions: Vec<&str> = one.partitions.iter().map(String::as_str).collect();
        functions.contains_key(one.caller)
            && !template().may(one.caller, &one.action, &resource, &partitions)
    };
    used.into_iter().filter(is_missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_role_does_not_allow_is_missing() {
        for (caller, action, resource, is_allowed) in [
            ("ingest", "sqs:SendMessage", EVENTS, true),
            ("ingest", "sqs:SendMessage", NOTICES, false),
            ("preflight", "sqs:SendMessage", NOTICES, false),
            ("evaluate", "sqs:SendMessage", NOTICES, true),
            ("evaluate", "sqs:SendMessage", DEAD_EVENTS, false),
            ("notify", "sqs:SendMessage", DEAD_NOTICES, true),
            ("notify", "sqs:PurgeQueue", NOTICES, false),
            ("api", "sqs:SendMessage", "unknown", false),
            ("notify", "events:PutEvents", BUS, true),
            ("notify", "events:PutEvents", "default", false),
            ("api", "events:PutEvents", BUS, false),
            ("notify", "ses:SendEmail", "identity/toktra@localhost", true),
            ("notify", "ses:SendEmail", "identity/localhost", true),
            ("notify", "ses:SendEmail", "identity/somebody@else", false),
            ("notify", "ses:SendEmail", "identity/else", false),
            ("notify", "ses:SendEmail", "configuration-set/local", true),
            ("reset", "ses:SendEmail", "identity/toktra@localhost", false),
            ("reset", "s3:PutObject", BUCKET, true),
            ("reset", "s3:GetObject", BUCKET, false),
            ("reset", "s3:PutObject", "another", false),
            (
                "preflight",
                "secretsmanager:GetSecretValue",
                "TokenKey",
                true,
            ),
            (
                "preflight",
                "secretsmanager:GetSecretValue",
                "SealingKey",
                false,
            ),
            (
                "evaluate",
                "secretsmanager:GetSecretValue",
                "TokenKey",
                false,
            ),
            ("evaluate", "dynamodb:GetItem", "Counters", true),
            ("evaluate", "dynamodb:DeleteItem", "Counters", false),
            // A caller that is not a function may do anything.
            ("local", "sqs:SendMessage", NOTICES, true),
        ] {
            let one = Permission {
                caller,
                action: action.to_owned(),
                resource: resource.to_owned(),
                partitions: BTreeSet::new(),
            };
            let missing = missing(BTreeSet::from([one]));
            assert_eq!(
                missing.is_empty(),
                is_allowed,
                "{caller} {action} {resource}"
            );
        }
    }
}
