//! The deployment template says what the code needs, and no more.

use end_to_end::routes::routes;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The resources of the template: each name with its own lines.
fn resources() -> Vec<(String, String)> {
    let template = read("template.yaml");
    let (_, after) = template.split_once("\nResources:\n").unwrap();
    let (resources, _) = after.split_once("\nOutputs:\n").unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in resources.lines() {
        let is_name = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        if is_name {
            found.push((line.trim().trim_end_matches(':').to_owned(), String::new()));
        } else if let Some((_, text)) = found.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    found
}

fn of_type(kind: &str) -> Vec<(String, String)> {
    let line = format!("    Type: {kind}\n");
    let found: Vec<_> = resources()
        .into_iter()
        .filter(|(_, text)| text.contains(&line))
        .collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

#[test]
fn every_route_of_a_function_is_in_the_template_and_the_other_way_round() {
    let mut given = BTreeSet::new();
    for (_, text) in of_type("AWS::Serverless::Function") {
        for line in text.lines().filter(|line| line.contains("ApiId:")) {
            let of = |name: &str| {
                let value = line.split_once(name).unwrap().1.trim_start();
                let value = value.trim_start_matches('\'');
                let end = value.find([',', '\'', ' ']).unwrap();
                value[..end].to_owned()
            };
            assert!(
                given.insert((of("Method:"), of("Path:"))),
                "{line} is there twice"
            );
        }
    }
    assert_eq!(given, routes());
}

#[test]
fn no_permission_is_wider_than_its_table_or_queue() {
    for (name, text) in of_type("AWS::Serverless::Function") {
        assert!(text.contains("Action: ["), "{name} has no statement");
        for line in text.lines().map(str::trim) {
            if line.starts_with("Action:") || line.starts_with("Resource:") {
                assert!(!line.contains('*'), "{name}: {line}");
            }
        }
        assert!(
            !text.contains("Managed") && !text.contains("Role:"),
            "{name}"
        );
    }
}

#[test]
fn no_function_can_write_what_it_must_not() {
    let functions = of_type("AWS::Serverless::Function");
    let statements = |function: &str, resource: &str| -> String {
        let (_, text) = functions.iter().find(|(name, _)| name == function).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let allowing = lines
            .windows(3)
            .filter(|three| three[2].contains(resource) && !three[0].contains("Effect: Deny"));
        allowing.map(|three| three[1]).collect()
    };
    let writes = |actions: &str| {
        ["Put", "Update", "Delete", "Write"]
            .iter()
            .any(|verb| actions.contains(verb))
    };
    assert!(
        !writes(&statements("IngestFunction", "Governance.Arn")),
        "ingest writes no table"
    );
    assert_eq!(statements("IngestFunction", "Counters.Arn"), "");
    assert_eq!(
        statements("PreflightFunction", "EventsQueue.Arn").trim(),
        "Action: [sqs:SendMessage]",
        "preflight tells of what it refuses"
    );
    for name in [
        "ApiFunction",
        "EvaluateFunction",
        "ResetFunction",
        "NotifyFunction",
    ] {
        let (_, text) = functions.iter().find(|(known, _)| known == name).unwrap();
        let denied = "- Effect: Deny
              Action: [dynamodb:UpdateItem, dynamodb:DeleteItem]
              Resource: !GetAtt Governance.Arn
              Condition: {'ForAnyValue:StringLike': {'dynamodb:LeadingKeys': ['*#audit']}}";
        assert!(text.contains(denied), "{name} may alter the audit log");
    }
    assert!(!writes(&statements("PreflightFunction", "Governance.Arn")));
    let of_evaluate = statements("EvaluateFunction", "Governance.Arn");
    assert!(
        of_evaluate.contains("Put")
            && !of_evaluate.contains("Update")
            && !of_evaluate.contains("Delete"),
        "evaluate puts alerts and their markers and changes nothing"
    );
    assert_eq!(statements("NotifyFunction", "Counters.Arn"), "");
    assert_eq!(statements("NotifyFunction", "Ledger.Arn"), "");
    let of_reset = statements("ResetFunction", "Governance.Arn");
    assert!(!of_reset.contains("Delete"), "the schedule deletes nothing");
    assert!(
        !writes(&statements("ApiFunction", "Ledger.Arn")),
        "the api records nothing"
    );
}

#[test]
fn every_table_can_be_restored_and_every_queue_has_its_dead_letters() {
    for (name, text) in of_type("AWS::DynamoDB::Table") {
        assert!(text.contains("PointInTimeRecoveryEnabled: true"), "{name}");
        assert!(text.contains("BillingMode: PAY_PER_REQUEST"), "{name}");
        assert!(text.contains("AttributeName: y, Enabled: true"), "{name}");
    }
    for (name, text) in of_type("AWS::SQS::Queue") {
        let is_for_dead_letters = name.ends_with("DeadLetters");
        assert!(
            is_for_dead_letters || text.contains("deadLetterTargetArn"),
            "{name}"
        );
    }
}

#[test]
fn every_setting_that_the_code_requires_is_given() {
    let template = read("template.yaml");
    let mut required = BTreeSet::new();
    for path in [
        "shared/src/runtime/settings.rs",
        "functions/preflight/src/main.rs",
        "functions/api/src/main.rs",
        "functions/ingest/src/main.rs",
        "functions/evaluate/src/main.rs",
        "functions/reset/src/main.rs",
        "functions/notify/src/main.rs",
    ] {
        let source = read(path);
        for call in source.split("required(\"").skip(1) {
            required.insert(call.split('"').next().unwrap().to_owned());
        }
    }
    assert!(required.len() >= 5, "{required:?}");
    for name in required {
        assert!(
            template.contains(&format!("{name}: ")),
            "{name} is not given"
        );
    }
}

#[test]
fn only_the_mail_service_of_this_account_may_report_and_only_its_topic_may_queue() {
    let (_, topic) = of_type("AWS::SNS::TopicPolicy").remove(0);
    for said in [
        "Principal: {Service: ses.amazonaws.com}",
        "aws:SourceAccount: !Ref AWS::AccountId",
        "configuration-set/${MailConfigurationSet}",
    ] {
        assert!(topic.contains(said), "{said}");
    }
    let (_, queue) = of_type("AWS::SQS::QueuePolicy").remove(0);
    assert!(queue.contains("aws:SourceArn: !Ref MailReports"));
    assert!(!topic.contains('*') && !queue.contains('*'));
    let (_, subscription) = of_type("AWS::SNS::Subscription").remove(0);
    assert!(subscription.contains("deadLetterTargetArn"));
}
