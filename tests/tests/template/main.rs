//! The deployment template says what the code needs, and no more; each mistake that could be in it is found.

mod faults;

use end_to_end::routes::routes;
use end_to_end::sources::{read, sources};
use end_to_end::template::Template;
use faults::Deployed;
use shared::runtime::logs::ErrorType;
use std::collections::BTreeSet;

fn deployed() -> Deployed {
    let mut settings = BTreeSet::new();
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
        let calls = source.split("required(\"").skip(1);
        settings.extend(calls.map(|call| call.split('"').next().unwrap().to_owned()));
    }
    assert!(settings.len() >= 5, "{settings:?}");
    Deployed {
        template: read("template.yaml"),
        monitoring: read("infra/monitoring.yaml"),
        runbook: read("docs/runbook.md"),
        routes: routes(),
        settings,
    }
}

#[test]
fn nothing_is_wrong_with_the_template() {
    let faults = deployed().faults();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A mistake, and what is said of it: the text that is replaced, by what, and a part of the fault.
type Planted = (&'static str, &'static str, &'static str);

const IN_THE_TEMPLATE: [Planted; 41] = [
    // Wildcards
    (
        "Action: [dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem]\n                Resource: !GetAtt Counters.Arn",
        "Action: 'dynamodb:*'\n                Resource: !GetAtt Counters.Arn",
        "preflight has a wildcard",
    ),
    (
        "Resource: !GetAtt Bus.Arn",
        "Resource: '*'",
        "notify has a wildcard",
    ),
    (
        "Resource: !Sub '${Ledger.Arn}/index/by_day'",
        "Resource: !Sub '${Ledger.Arn}/*'",
        "api has a wildcard",
    ),
    (
        "Action: [s3:PutObject]",
        "Action: [s3:PutObject, s3:GetObject]",
        "reset has a wildcard",
    ),
    // What architecture.md says a function must not
    (
        "Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:ConditionCheckItem]",
        "Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:PutItem]",
        "preflight may dynamodb:PutItem in Governance",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#resolution#*', '*#abandoned#*', '*#total#*']}}",
        "# everything",
        "preflight may dynamodb:PutItem in Ledger org#record#id",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#resolution#*', '*#abandoned#*', '*#total#*']}}",
        "# everything",
        "reset may dynamodb:PutItem in Ledger org#record#id",
    ),
    (
        "# Tells of what it refuses; an admitted request queues nothing\n                Action: [sqs:SendMessage]\n                Resource: !GetAtt EventsQueue.Arn",
        "Action: [sqs:SendMessage]\n                Resource: [!GetAtt EventsQueue.Arn, !GetAtt NoticesQueue.Arn]",
        "preflight may sqs:SendMessage in NoticesQueue",
    ),
    (
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:Query, dynamodb:PutItem, dynamodb:ConditionCheckItem]",
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:Query, dynamodb:PutItem, dynamodb:BatchWriteItem]",
        "api may dynamodb:BatchWriteItem in Governance org#audit",
    ),
    (
        "Condition: {'ForAnyValue:StringLike': {'dynamodb:LeadingKeys': ['*#audit']}}",
        "Condition: {'ForAnyValue:StringLike': {'dynamodb:LeadingKeys': ['*#audits']}}",
        "can be altered by a later permission",
    ),
    (
        "['*#backtest#*', '*#requests', '@*']",
        "['*#backtest#*', '*#requests']",
        "evaluate may dynamodb:GetItem in Governance @key#id",
    ),
    (
        "'dynamodb:LeadingKeys': ['*#requests']",
        "'dynamodb:LeadingKeys': ['*']",
        "api may dynamodb:UpdateItem in Governance org",
    ),
    (
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:Query, dynamodb:ConditionCheckItem]\n                Resource: !GetAtt Ledger.Arn",
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:Query, dynamodb:ConditionCheckItem, dynamodb:PutItem]\n                Resource: !GetAtt Ledger.Arn",
        "api may dynamodb:PutItem in Ledger",
    ),
    (
        "# Keeps what became of notices, deliveries and letters, opens an incident for one that is given up\n                Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:PutItem, dynamodb:DeleteItem, dynamodb:ConditionCheckItem]\n                Resource: !GetAtt Governance.Arn",
        "Action: [dynamodb:GetItem]\n                Resource: !GetAtt Ledger.Arn\n              - Effect: Allow\n                Action: [dynamodb:GetItem]\n                Resource: !GetAtt Governance.Arn",
        "notify may dynamodb:GetItem in Ledger",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#record#*']}}",
        "# everything",
        "ingest may dynamodb:PutItem in Ledger org#total#id",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#correction#*']}}",
        "# everything",
        "api may dynamodb:PutItem in Ledger org#record#id",
    ),
    (
        "'dynamodb:LeadingKeys': ['*#record#*', '*#resolution#*', '*#total#*', '*#usage#*', '*#user#*']",
        "'dynamodb:LeadingKeys': ['*']",
        "api may dynamodb:UpdateItem in Ledger org#abandoned#id",
    ),
    // Roles
    (
        "Role: !GetAtt IngestRole.Arn",
        "Policies: [AmazonDynamoDBFullAccess]",
        "ingest has no role of its own",
    ),
    (
        "ManagedPolicyArns: !If [IsTraced,",
        "ManagedPolicyArns: !If [HasMailIdentity,",
        "policies that the template does not show",
    ),
    // Tables
    (
        "BillingMode: PAY_PER_REQUEST",
        "BillingMode: PROVISIONED",
        "Counters is not paid by use",
    ),
    (
        "PointInTimeRecoveryEnabled: true",
        "PointInTimeRecoveryEnabled: false",
        "Counters cannot be restored",
    ),
    (
        "SSEEnabled: true",
        "SSEEnabled: false",
        "Counters is not encrypted",
    ),
    (
        "{AttributeName: y, Enabled: true}",
        "{AttributeName: ttl, Enabled: true}",
        "Counters forgets nothing",
    ),
    (
        "DeletionProtectionEnabled: !Ref DeletionProtection",
        "DeletionProtectionEnabled: false",
        "can be deleted by mistake",
    ),
    (
        "DeletionPolicy: Retain",
        "DeletionPolicy: Delete",
        "Counters goes with the stack",
    ),
    // Queues
    (
        "RedrivePolicy: {deadLetterTargetArn: !GetAtt EventsDeadLetters.Arn, maxReceiveCount: 5}",
        "DelaySeconds: 0",
        "EventsQueue has no dead letters",
    ),
    (
        "deadLetterTargetArn: !GetAtt NoticesDeadLetters.Arn, maxReceiveCount",
        "deadLetterTargetArn: !GetAtt Forgotten.Arn, maxReceiveCount",
        "NoticesQueue has no dead letters",
    ),
    (
        "VisibilityTimeout: 360",
        "VisibilityTimeout: 300",
        "EventsQueue shows a message again",
    ),
    (
        "SqsManagedSseEnabled: true",
        "SqsManagedSseEnabled: false",
        "EventsQueue is not encrypted",
    ),
    (
        "FunctionResponseTypes: [ReportBatchItemFailures]",
        "Enabled: true",
        "evaluate fails a batch for one message",
    ),
    (
        "ScalingConfig: {MaximumConcurrency: 10}",
        "Enabled: true",
        "evaluate may run without limit",
    ),
    (
        "sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes]",
        "sqs:ReceiveMessage]",
        "evaluate may not take from EventsQueue",
    ),
    // Routes
    (
        "Path: '/v1/usage'}",
        "Path: '/v1/usages'}",
        "no function handles GET /v1/usages",
    ),
    (
        "Method: GET, Path: '/v1/usage'}",
        "Method: PUT, Path: '/v1/usage'}",
        "nothing leads to GET /v1/usage",
    ),
    (
        "          /v1/holds/{id}:\n            delete:",
        "          /v1/holds/{id}:\n            get:",
        "nothing leads to DELETE /v1/holds/{id}",
    ),
    (
        "!If [HasProvisionedConcurrency, !Ref PreflightFunction.Alias, !GetAtt PreflightFunction.Arn]",
        "!GetAtt Elsewhere.Arn",
        "nothing leads to POST /v1/preflight",
    ),
    // Functions
    (
        "Architectures: [arm64]",
        "Architectures: [x86_64]",
        "do not run on arm64",
    ),
    (
        "MemorySize: 512\n      Timeout: 5",
        "Timeout: 5",
        "preflight has no memory",
    ),
    (
        "LogGroup: !Ref PreflightLogs",
        "LogGroup: made-by-lambda",
        "the logs of preflight are kept for ever",
    ),
    (
        "TOKEN_KEY: !Sub",
        "TOKENS_KEY: !Sub",
        "the setting TOKEN_KEY",
    ),
    // Mails' reports
    (
        "aws:SourceAccount: !Ref AWS::AccountId",
        "aws:SourceOrgID: o-1",
        "lets others publish",
    ),
];

const IN_THE_MONITORING: [Planted; 6] = [
    (
        "Value: event_not_recorded",
        "Value: event_not_written",
        "no alarm of the error type event_not_recorded",
    ),
    (
        "Value: panicked",
        "Value: paniced",
        "waits for paniced, which nobody reports",
    ),
    (
        "MetricName: MailsBounced",
        "MetricName: Bounces",
        "waits for Bounces, which nobody counts",
    ),
    (
        "Dimensions: [{Name: QueueName, Value: !Ref EventsDeadLetters}]",
        "Dimensions: []",
        "no alarm of the depth of EventsDeadLetters",
    ),
    (
        "AlarmActions: [!Ref Alarms]",
        "AlarmActions: []",
        "tells nobody",
    ),
    (
        "AlarmName: !Sub '${Stack}-panicked'",
        "AlarmName: !Sub '${Stack}-unknown'",
        "the runbook does not say what to do about unknown",
    ),
];

/// The text with every place replaced, which has to be there.
fn planted(text: &str, (from, to, _): Planted) -> String {
    assert!(text.contains(from), "there is no {from:?}");
    text.replace(from, to)
}

#[test]
fn each_planted_mistake_is_found() {
    let right = deployed();
    let mut missed = Vec::new();
    let mut look = |wrong: Deployed, (_, to, said): Planted| {
        if !wrong.faults().iter().any(|fault| fault.contains(said)) {
            missed.push(to);
        }
    };
    for mistake in IN_THE_TEMPLATE {
        let template = planted(&right.template, mistake);
        look(
            Deployed {
                template,
                ..right.clone()
            },
            mistake,
        );
    }
    for mistake in IN_THE_MONITORING {
        let monitoring = planted(&right.monitoring, mistake);
        look(
            Deployed {
                monitoring,
                ..right.clone()
            },
            mistake,
        );
    }
    let mut routes = right.routes.clone();
    routes.insert(("GET".to_owned(), "/v1/new".to_owned()));
    look(
        Deployed {
            routes,
            ..right.clone()
        },
        ("", "a new route", "nothing leads to GET /v1/new"),
    );
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn roles_are_read_as_iam_reads_them() {
    let template = Template::parse(&read("template.yaml"));
    for (function, action, resource, partition, expected) in [
        ("preflight", "UpdateItem", "Counters", "org.id", true),
        ("preflight", "GetItem", "Governance", "org", true),
        ("preflight", "GetItem", "Governance", "org#audit", false),
        ("preflight", "GetItem", "Governance", "@key#id", true),
        ("preflight", "Query", "Governance", "@key#id", false),
        (
            "preflight",
            "PutItem",
            "Ledger",
            "org#resolution#id org#abandoned#id",
            true,
        ),
        (
            "preflight",
            "PutItem",
            "Ledger",
            "org#resolution#id org#record#id",
            false,
        ),
        (
            "api",
            "PutItem",
            "Governance",
            "org org#audit @key#id",
            true,
        ),
        ("api", "DeleteItem", "Governance", "org @key#id", true),
        ("api", "DeleteItem", "Governance", "org#audit", false),
        ("api", "UpdateItem", "Governance", "org#requests", true),
        ("api", "UpdateItem", "Governance", "org", false),
        ("api", "Query", "Ledger/index/by_day", "", true),
        ("ingest", "Query", "Ledger/index/by_day", "", false),
        ("ingest", "PutItem", "Ledger", "org#record#id", true),
        ("ingest", "PutItem", "Ledger", "org#usage#id", false),
        (
            "evaluate",
            "PutItem",
            "Ledger",
            "org#record#id org#resolution#id",
            true,
        ),
        ("evaluate", "PutItem", "Governance", "org org#audit", true),
        ("evaluate", "PutItem", "Governance", "@key#id", false),
        ("reset", "PutItem", "Ledger", "org#resolution#id", true),
        ("reset", "UpdateItem", "Ledger", "org#total#id", true),
        ("reset", "PutItem", "Governance", "org org#audit", true),
        ("reset", "Query", "Governance", "@organisations", true),
        ("reset", "GetItem", "Governance", "@key#id", false),
        ("notify", "PutItem", "Governance", "org", true),
        ("notify", "PutItem", "Governance", "org#audit", false),
    ] {
        let action = format!("dynamodb:{action}");
        let found = template.may(function, &action, resource, &faults::keys(partition));
        assert_eq!(
            found, expected,
            "{function} {action} {resource} {partition}"
        );
    }
}

#[test]
fn every_error_type_in_the_code_is_one_that_has_an_alarm() {
    let known: BTreeSet<&str> = ErrorType::ALL.iter().map(|of| of.as_str()).collect();
    let mut found = BTreeSet::new();
    for (path, source) in sources(&["functions", "shared/src"]) {
        for written in source.split("error_type = \"").skip(1) {
            let name = written.split('"').next().unwrap();
            assert!(known.contains(name), "{}: {name}", path.display());
            found.insert(name.to_owned());
        }
        for written in source.split("ErrorType::").skip(1) {
            let name: String = written
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            let of = ErrorType::ALL.iter().find(|of| format!("{of:?}") == name);
            found.extend(of.map(|of| of.as_str().to_owned()));
        }
    }
    let unused: Vec<_> = known
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(unused.is_empty(), "nothing reports {unused:?}");
}
