//! Mistakes in the template and the alarms, each of which is found and named.

use super::deployed;
use super::expected;
use super::faults::Deployed;

/// A mistake and its message: the replaced text, the new text, and a part of the fault.
type Planted = (&'static str, &'static str, &'static str);

const IN_THE_TEMPLATE: [Planted; 74] = [
    // Wildcards
    (
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:PutItem, dynamodb:UpdateItem]\n                Resource: !GetAtt Counters.Arn",
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
        "                  Condition: {StringEquals: {'ses:FromAddress': !Ref MailSender}}\n",
        "",
        "notify has a wildcard",
    ),
    (
        "Action: [s3:PutObject]",
        "Action: [s3:PutObject, s3:GetObject]",
        "reset has a wildcard",
    ),
    (
        "Resource: !Ref TokenKey",
        "Resource: [!Ref TokenKey, !Ref OperatorKey]",
        "preflight may secretsmanager:GetSecretValue in !Ref OperatorKey",
    ),
    // Actions that architecture.md forbids
    (
        "Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:ConditionCheckItem]",
        "Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:PutItem]",
        "preflight may dynamodb:PutItem in Governance",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#resolution#*', '*#abandoned#*', '*#total#*', '*#usage#*']}}",
        "# everything",
        "preflight may dynamodb:PutItem in Ledger org#record#id",
    ),
    (
        "Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#resolution#*', '*#abandoned#*', '*#total#*', '*#usage#*']}}",
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
        "api may dynamodb:BatchWriteItem in Governance org",
    ),
    (
        "Action: [dynamodb:Query, dynamodb:PutItem]\n                Resource: !GetAtt Audit.Arn",
        "Action: [dynamodb:Query, dynamodb:PutItem, dynamodb:UpdateItem]\n                Resource: !GetAtt Audit.Arn",
        "api may alter the audit log: dynamodb:UpdateItem",
    ),
    (
        "Action: [dynamodb:PutItem]\n                Resource: !GetAtt Audit.Arn",
        "Action: [dynamodb:PutItem, dynamodb:PartiQLDelete]\n                Resource: !GetAtt Audit.Arn",
        "evaluate may alter the audit log: dynamodb:PartiQLDelete",
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
        "'dynamodb:LeadingKeys': ['*#record#*', '*#correction#*', '*#resolution#*', '*#total#*', '*#usage#*', '*#models#*']",
        "'dynamodb:LeadingKeys': ['*']",
        "api may dynamodb:UpdateItem in Ledger org#abandoned#id",
    ),
    // Conditions that hold for a transaction only if IAM sees its keys one by one
    (
        "                # Counts what was held back, and corrects what was used\n",
        "                Action: [dynamodb:UpdateItem]\n                Resource: !GetAtt Ledger.Arn\n                Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#models#*']}}\n              - Effect: Allow\n",
        "2 statements of api allow dynamodb:UpdateItem on Ledger",
    ),
    (
        "'ForAllValues:StringNotLike': {'dynamodb:LeadingKeys': ['*#requests', '@operator', '@organisations']}",
        "'ForAnyValue:StringNotLike': {'dynamodb:LeadingKeys': ['*#requests', '@operator', '@organisations']}",
        "api has a condition that one key meets for all",
    ),
    (
        "              - Effect: Allow\n                # Each change has its entry;",
        "              - Effect: Deny\n                Action: [dynamodb:DeleteItem]\n                Resource: !GetAtt Governance.Arn\n                Condition: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': ['*#flagged']}}\n              - Effect: Allow\n                # Each change has its entry;",
        "api is denied dynamodb:DeleteItem",
    ),
    // Roles
    (
        "Role: !GetAtt IngestRole.Arn",
        "Policies: [AmazonDynamoDBFullAccess]",
        "ingest has no role of its own",
    ),
    (
        "ManagedPolicyArns: !If [IsTraced,",
        "ManagedPolicyArns: !If [SendsMail,",
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
        "SSESpecification: !If [HasTableKey, {SSEEnabled: true, SSEType: KMS, KMSMasterKeyId: !Ref TableKey}, !Ref AWS::NoValue]",
        "SSESpecification: {SSEEnabled: true}",
        "Counters waits for a key in KMS that nobody chose",
    ),
    (
        "{AttributeName: y, Enabled: true}",
        "{AttributeName: ttl, Enabled: true}",
        "Counters forgets nothing",
    ),
    (
        "        - {AttributeName: sk, KeyType: RANGE}\n      PointInTimeRecoverySpecification:",
        "        - {AttributeName: sk, KeyType: RANGE}\n      TimeToLiveSpecification: {AttributeName: y, Enabled: true}\n      PointInTimeRecoverySpecification:",
        "entries of Audit expire",
    ),
    (
        "DeletionProtectionEnabled: !Ref DeletionProtection",
        "DeletionProtectionEnabled: false",
        "can be deleted by mistake",
    ),
    (
        "DeletionPolicy: RetainExceptOnCreate",
        "DeletionPolicy: Delete",
        "Counters goes with the stack",
    ),
    (
        "DeletionPolicy: RetainExceptOnCreate",
        "DeletionPolicy: Retain",
        "Ledger stays after a deployment that failed",
    ),
    // Queues
    (
        "RedrivePolicy: {deadLetterTargetArn: !GetAtt EventsDeadLetters.Arn, maxReceiveCount: 1000}",
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
        "ScalingConfig: {MaximumConcurrency: !Ref EvaluateConcurrency}",
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
        "          /v1/events:\n",
        "          /v1/event:\n",
        "no function handles POST /v1/event",
    ),
    (
        "          /v1/events:\n            post:\n",
        "          /v1/events:\n            put:\n",
        "nothing leads to POST /v1/events of ingest",
    ),
    (
        "isDefaultRoute: true",
        "isDefaultRoute: false",
        "nothing leads to GET /v1/users of api",
    ),
    (
        "          /v1/events:\n            post:\n",
        "          /v1/events:\n            post:\n              isDefaultRoute: true\n",
        "the default route leads to [\"api\", \"ingest\"]",
    ),
    (
        "          /v1/holds/{id}:\n            delete:",
        "          /v1/holds/{id}:\n            get:",
        "nothing leads to DELETE /v1/holds/{id}",
    ),
    (
        "{Target: !Ref PreflightFunction.Alias}",
        "{Target: !Ref Elsewhere.Alias}",
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
        "TOKEN_KEY_SECRET: !Ref",
        "TOKENS_KEY_SECRET: !Ref",
        "the setting TOKEN_KEY_SECRET",
    ),
    // Mails' reports
    (
        "aws:SourceAccount: !Ref AWS::AccountId",
        "aws:SourceOrgID: o-1",
        "lets others publish",
    ),
    // Settings that code reads
    (
        "          CONSOLE_URL: !Ref ConsoleUrl\n",
        "",
        "the setting CONSOLE_URL is not given to notify",
    ),
    (
        "          AUDIT_BUCKET: !Ref AuditBucket\n",
        "",
        "the setting AUDIT_BUCKET is not given to reset",
    ),
    (
        "          ON_UNAVAILABLE: !Ref OnUnavailable\n",
        "",
        "the setting ON_UNAVAILABLE is not given to preflight",
    ),
    (
        "        AUDIT_TABLE: !Ref Audit\n",
        "",
        "the setting AUDIT_TABLE is not given to api",
    ),
    (
        "          NOTICES_QUEUE_URL: !Ref NoticesQueue\n      Role: !GetAtt EvaluateRole.Arn",
        "          NOTICES_QUEUE_URL: !Ref NoticesQueue\n          AUDIT_KEY_SECRET: !Ref AuditKey\n      Role: !GetAtt EvaluateRole.Arn",
        "evaluate is given AUDIT_KEY_SECRET, which it does not read",
    ),
    (
        "AUDIT_KEY_SECRET: !Ref AuditKey",
        "AUDIT_KEY_SECRET: !Sub '{{resolve:secretsmanager:${AuditKey}}}'",
        "a secret stands in the variables of reset",
    ),
    // Resources that stay
    (
        "  SealingKey:\n    Type: AWS::SecretsManager::Secret\n    DeletionPolicy: RetainExceptOnCreate\n",
        "  SealingKey:\n    Type: AWS::SecretsManager::Secret\n",
        "SealingKey goes with the stack",
    ),
    (
        "  AuditKey:\n    Type: AWS::SecretsManager::Secret\n    DeletionPolicy: RetainExceptOnCreate\n    UpdateReplacePolicy: Retain\n",
        "  AuditKey:\n    Type: AWS::SecretsManager::Secret\n    DeletionPolicy: RetainExceptOnCreate\n",
        "AuditKey goes with the stack",
    ),
    (
        "  EventsDeadLetters:\n    Type: AWS::SQS::Queue\n    DeletionPolicy: RetainExceptOnCreate\n",
        "  EventsDeadLetters:\n    Type: AWS::SQS::Queue\n    DeletionPolicy: Delete\n",
        "EventsDeadLetters goes with the stack",
    ),
    // Numbers
    (
        "deadLetterTargetArn: !GetAtt EventsDeadLetters.Arn, maxReceiveCount: 1000",
        "deadLetterTargetArn: !GetAtt EventsDeadLetters.Arn, maxReceiveCount: 200",
        "EventsQueue tries a message for 72000 seconds, 200 times",
    ),
    (
        "deadLetterTargetArn: !GetAtt NoticesDeadLetters.Arn, maxReceiveCount: 1000",
        "deadLetterTargetArn: !GetAtt NoticesDeadLetters.Arn, maxReceiveCount: 2000",
        "NoticesQueue tries a message for 360000 seconds, 2000 times",
    ),
    (
        "MessageRetentionPeriod: 1209600, SqsManagedSseEnabled: true}",
        "MessageRetentionPeriod: 86400, SqsManagedSseEnabled: true}",
        "EventsDeadLetters forgets messages after 86400 seconds",
    ),
    (
        "            MaximumBatchingWindowInSeconds: 1\n",
        "",
        "evaluate has no time to gather 50 messages",
    ),
    ("BatchSize: 50", "BatchSize: 5", "evaluate takes 5 messages"),
    (
        "Timeout: 28",
        "Timeout: 60",
        "nobody waits as long as api may take",
    ),
    (
        "ScheduleExpression: rate(1 hour)",
        "ScheduleExpression: rate(1 day)",
        "reset runs at \"rate(1 day)\"",
    ),
    (
        "            OmitName: true\n",
        "",
        "the schedule of reset has a name of its own",
    ),
    // One for another
    (
        "Role: !GetAtt IngestRole.Arn",
        "Role: !GetAtt ApiRole.Arn",
        "IngestFunction does not have IngestRole",
    ),
    (
        "LogGroup: !Ref ResetLogs",
        "LogGroup: !Ref AccessLogs",
        "ResetFunction does not have ResetLogs",
    ),
    (
        "        Notices:\n          Type: SQS\n",
        "        Post:\n          Type: HttpApi\n        Notices:\n          Type: SQS\n",
        "Post of notify makes a permission of its own",
    ),
    (
        "EventsQueue: !GetAtt EventsQueue.QueueName",
        "EventsQueue: !GetAtt NoticesQueue.QueueName",
        "the alarms look at another EventsQueue",
    ),
    (
        "        Reset: !Ref ResetFunction\n",
        "",
        "the alarms look at another Reset",
    ),
    (
        "  DeadLettersUrl: {Description",
        "  LettersUrl: {Description",
        "there is no output DeadLettersUrl",
    ),
    (
        "sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes]\n                Resource: !GetAtt NoticesQueue.Arn",
        "sqs:DeleteMessage]\n                Resource: !GetAtt NoticesQueue.Arn",
        "notify may not take from NoticesQueue",
    ),
];

const IN_THE_MONITORING: [Planted; 23] = [
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
        "Dimensions: [{Name: TableName, Value: !Ref Audit}]",
        "Dimensions: [{Name: TableName, Value: !Ref Ledger}]",
        "no alarm of the WriteThrottleEvents of Audit",
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
    (
        "ComparisonOperator: LessThanThreshold\n      TreatMissingData: breaching",
        "ComparisonOperator: LessThanThreshold\n      TreatMissingData: notBreaching",
        "ScheduleMissingAlarm goes off at LessThanThreshold and notBreaching",
    ),
    (
        "ComparisonOperator: GreaterThanOrEqualToThreshold",
        "ComparisonOperator: LessThanThreshold",
        "PanickedAlarm goes off at LessThanThreshold",
    ),
    (
        "TreatMissingData: notBreaching",
        "TreatMissingData: breaching",
        "StoreFailedAlarm goes off at GreaterThanOrEqualToThreshold and breaching",
    ),
    (
        "Threshold: 1\n",
        "Threshold: 1000\n",
        "EventsDeadLettersAlarm waits for 1000",
    ),
    (
        "Threshold: 1\n",
        "Threshold: 2\n",
        "AuditLogBrokenAlarm waits for 2",
    ),
    (
        "Dimensions: [{Name: Stack, Value: !Ref Stack}, {Name: ErrorType, Value: store_failed}]",
        "Dimensions: [{Name: ErrorType, Value: store_failed}]",
        "StoreFailedAlarm finds no metric Errors of Toktra by [\"ErrorType\"]",
    ),
    (
        "      Dimensions: [{Name: ApiId, Value: !Ref HttpApi}]\n",
        "",
        "AnswersFailedAlarm finds no metric 5xx",
    ),
    (
        "Namespace: AWS/ApiGateway",
        "Namespace: AWS/Lambda",
        "AnswersFailedAlarm finds no metric 5xx of AWS/Lambda",
    ),
    (
        "Namespace: AWS/ApiGateway",
        "Namespace: AWS/DynamoDB",
        "AnswersFailedAlarm waits for data that do not come",
    ),
    (
        "Expression: 'FILL(counted, 0)'",
        "Expression: 'FILL(counted, REPEAT)'",
        "CountersWriteThrottledAlarm finds no metric",
    ),
    (
        "MetricName: Invocations, Dimensions",
        "MetricName: Duration, Dimensions",
        "ScheduleMissingAlarm goes off at LessThanThreshold",
    ),
    (
        "Statistic: Sum",
        "Statistic: Average",
        "PanickedAlarm looks at the Average",
    ),
    (
        "Period: 300",
        "Period: 86400",
        "StoreFailedAlarm takes 86400 seconds",
    ),
    (
        "OKActions: [!Ref Alarms]",
        "OKActions: []",
        "PanickedAlarm does not say that it is over",
    ),
    (
        "[\".\", \"MonthsClosed\", \".\", \".\",",
        "[\".\", \"MonthsOpened\", \".\", \".\",",
        "the dashboard does not draw MonthsClosed",
    ),
    (
        "{\"widgets\": [",
        "{\"widgets\": ",
        "the dashboard does not draw EventsAccepted",
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
    let of_ingest = routes.get_mut("ingest").unwrap();
    of_ingest.insert(("GET".to_owned(), "/v1/new".to_owned()));
    look(
        Deployed {
            routes,
            ..right.clone()
        },
        ("", "a new route", "nothing leads to GET /v1/new"),
    );
    assert!(missed.is_empty(), "{missed:#?}");
}

/// A mistake that only the tables find, and its whole message.
#[test]
fn every_changed_added_or_missing_setting_is_named_with_its_place() {
    let right = deployed();
    let mut missed = Vec::new();
    for (from, to, said) in [
        (
            "ThrottlingRateLimit: 1000",
            "ThrottlingRateLimit: 10",
            "HttpApi.DefaultRouteSettings.ThrottlingRateLimit is 10, and tests/data/template.txt says 1000",
        ),
        (
            "      MemorySize: 256\n      Timeout: 15\n",
            "      MemorySize: 256\n      ReservedConcurrentExecutions: 1\n      Timeout: 15\n",
            "IngestFunction.ReservedConcurrentExecutions is 1, which tests/data/template.txt does not know",
        ),
        (
            "    MinValue: 0\n",
            "",
            "Parameters.ProvisionedConcurrency.MinValue is missing, and tests/data/template.txt says 0",
        ),
        (
            "    AllowedValues: [allow, deny]\n",
            "    AllowedValues: [allow, deny, perhaps]\n",
            "Parameters.OnUnavailable.AllowedValues is [allow, deny, perhaps], and tests/data/template.txt says [allow, deny]",
        ),
        (
            "                Action: [events:PutEvents]\n",
            "                Action: [events:PutEvents, events:PutRule]\n",
            "notify: Allow events:PutRule on Bus, partition keys -, only if -: tests/data/permissions.txt does not say so",
        ),
        (
            "              - !If\n                - SendsMail\n                - Effect: Allow\n                  # SES looks",
            "              - !If\n                - IsTraced\n                - Effect: Allow\n                  # SES looks",
            "notify: Allow ses:SendEmail on arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*, partition keys {StringEquals: {ses:FromAddress: !Ref MailSender}}, only if SendsMail: tests/data/permissions.txt says so, and no role does",
        ),
    ] {
        let template = planted(&right.template, (from, to, said));
        let wrong = Deployed {
            template,
            ..right.clone()
        };
        if !expected::differences(&wrong).iter().any(|one| one == said) {
            missed.push(said);
        }
    }
    for (from, to, said) in [
        (
            "      Threshold: 2\n",
            "      Threshold: 3\n",
            "event-not-recorded.Threshold is 3, and tests/data/alarms.txt says 2",
        ),
        (
            "FILL(counted, 0)', Label: Invocations",
            "FILL(counted, 1)', Label: Invocations",
            "schedule-missing.Filled is missing, and tests/data/alarms.txt says 0",
        ),
        (
            "AlarmName: !Sub '${Stack}-events-oldest'",
            "AlarmName: !Sub '${Stack}-notices-oldest'",
            "two alarms are called notices-oldest",
        ),
        (
            "AlarmName: !Sub '${Stack}-panicked'",
            "AlarmName: !Sub '${Stack}-panics'",
            "panicked.MetricName is missing, and tests/data/alarms.txt says Errors",
        ),
        (
            "      AlarmName: !Sub '${Stack}-panicked'\n",
            "      AlarmName: !Sub '${Stack}-panicked'\n      ActionsEnabled: false\n",
            "panicked.ActionsEnabled is false, which tests/data/alarms.txt does not know",
        ),
        (
            "  PanickedAlarm:\n    Type: AWS::CloudWatch::Alarm\n",
            "  PanickedAlarm:\n    Type: AWS::CloudWatch::Alarm\n    Condition: HasAlarmMail\n",
            "panicked.Condition is HasAlarmMail, which tests/data/alarms.txt does not know",
        ),
        (
            "    Condition: HasAlarmMail\n",
            "",
            "AlarmsSubscription.Condition is missing, and tests/data/monitoring.txt says HasAlarmMail",
        ),
    ] {
        let monitoring = planted(&right.monitoring, (from, to, said));
        let wrong = Deployed {
            monitoring,
            ..right.clone()
        };
        if !expected::differences(&wrong).iter().any(|one| one == said) {
            missed.push(said);
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
