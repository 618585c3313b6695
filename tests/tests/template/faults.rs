//! The faults that the deployment template may have.

use super::transactions::{self, LOG};
use super::{alarms, rules};
use end_to_end::template::{DEFAULT_ROUTE, Template, each, name_of};
use serde_json::{Value, json};
use shared::runtime::logs::{ErrorType, Metric, NAMESPACE};
use std::collections::{BTreeMap, BTreeSet};

/// The deployment, as text, and the documents that must match it.
#[derive(Clone)]
pub(crate) struct Deployed {
    pub(crate) template: String,
    pub(crate) monitoring: String,
    pub(crate) runbook: String,
    pub(crate) deployment: String,
    /// The routes that each function handles.
    pub(crate) routes: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The settings that each function reads, those included that it can do without.
    pub(crate) settings: BTreeMap<String, BTreeSet<String>>,
}

/// Actions that no role may allow: function, action, table or queue, partition.
const FORBIDDEN: [(&str, &str, &str, &str); 40] = [
    ("*", "dynamodb:Scan", "Counters", ""),
    ("*", "dynamodb:Scan", "Ledger", ""),
    ("*", "dynamodb:Scan", "Governance", ""),
    ("*", "dynamodb:DeleteTable", "Governance", ""),
    ("*", "dynamodb:BatchWriteItem", "Governance", "org"),
    // The audit log is put and read; who has nothing to do with it does neither.
    ("*", "dynamodb:UpdateItem", "Audit", "org"),
    ("*", "dynamodb:DeleteItem", "Audit", "org"),
    ("*", "dynamodb:BatchWriteItem", "Audit", "org"),
    ("preflight", "dynamodb:Query", "Audit", "org"),
    (
        "preflight",
        "dynamodb:BatchGetItem",
        "Governance",
        "@operator",
    ),
    ("ingest", "dynamodb:BatchGetItem", "Governance", "@operator"),
    ("ingest", "dynamodb:PutItem", "Audit", "org"),
    ("evaluate", "dynamodb:Query", "Audit", "org"),
    ("notify", "dynamodb:PutItem", "Audit", "org"),
    ("*", "dynamodb:DeleteItem", "Ledger", "org#record#id"),
    ("*", "dynamodb:DeleteItem", "Counters", "org.id"),
    // Preflight holds, and changes nothing that was decided.
    ("preflight", "dynamodb:PutItem", "Governance", "org"),
    ("preflight", "dynamodb:UpdateItem", "Governance", "org"),
    ("preflight", "dynamodb:PutItem", "Ledger", "org#record#id"),
    // Its charge for an abandoned hold is in no user's month.
    ("preflight", "dynamodb:UpdateItem", "Ledger", "org#user#id"),
    ("preflight", "sqs:SendMessage", "NoticesQueue", ""),
    // Ingest claims events and writes nothing else: the queue keeps accepted events.
    ("ingest", "dynamodb:PutItem", "Governance", "org"),
    ("ingest", "dynamodb:PutItem", "Ledger", "org#total#id"),
    ("ingest", "dynamodb:PutItem", "Ledger", "org#resolution#id"),
    ("ingest", "dynamodb:UpdateItem", "Ledger", "org#record#id"),
    ("ingest", "dynamodb:UpdateItem", "Counters", "org.id"),
    // The API counts implausible reports and corrects usage; it records nothing, and neither
    // does the schedule.
    ("api", "dynamodb:PutItem", "Ledger", "org#record#id"),
    ("api", "dynamodb:PutItem", "Ledger", "org#correction#id"),
    ("api", "dynamodb:UpdateItem", "Ledger", "org#abandoned#id"),
    ("api", "dynamodb:UpdateItem", "Governance", "org"),
    ("reset", "dynamodb:PutItem", "Ledger", "org#record#id"),
    ("reset", "dynamodb:UpdateItem", "Ledger", "org#user#id"),
    ("reset", "dynamodb:DeleteItem", "Governance", "org"),
    // Evaluate puts alerts and their markers and changes nothing.
    ("evaluate", "dynamodb:UpdateItem", "Governance", "org"),
    ("evaluate", "dynamodb:GetItem", "Governance", "@key#id"),
    // Notify sends prepared messages.
    ("notify", "dynamodb:GetItem", "Counters", "org.id"),
    ("notify", "dynamodb:GetItem", "Ledger", "org#record#id"),
    // Nobody but the API knows the operator, and nobody but the schedule signs heads.
    (
        "preflight",
        "secretsmanager:GetSecretValue",
        "!Ref OperatorKey",
        "",
    ),
    (
        "notify",
        "secretsmanager:GetSecretValue",
        "!Ref TokenKey",
        "",
    ),
    ("api", "secretsmanager:GetSecretValue", "!Ref AuditKey", ""),
];

/// The partition, if one is named.
pub(crate) fn keys(partition: &str) -> Vec<&str> {
    partition.split(' ').filter(|key| !key.is_empty()).collect()
}

/// The functions as the code calls them.
pub(crate) const FUNCTIONS: [&str; 6] =
    ["preflight", "api", "ingest", "evaluate", "reset", "notify"];

impl Deployed {
    /// Everything that is wrong, each in a sentence.
    pub(crate) fn faults(&self) -> Vec<String> {
        let template = Template::parse(&self.template);
        let monitoring = alarms::read(&self.monitoring);
        let mut faults = Vec::new();
        self.routes(&template, &mut faults);
        roles(&template, &mut faults);
        tables(&template, &mut faults);
        queues(&template, &mut faults);
        functions(&template, &mut faults);
        reports(&template, &mut faults);
        self.settings(&template, &mut faults);
        self.outputs(&template, &mut faults);
        self.alarms(&monitoring, &mut faults);
        rules::broken(&template, &monitoring, &mut faults);
        transactions::broken(&template, &mut faults);
        faults
    }

    fn settings(&self, template: &Template, faults: &mut Vec<String>) {
        let names = |of: &Value| -> BTreeSet<String> {
            let variables = of["Environment"]["Variables"].as_object();
            variables
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect()
        };
        let of_all = names(&template.document["Globals"]["Function"]);
        for (function, of) in template.functions() {
            let given: BTreeSet<String> = &names(of) | &of_all;
            let read = self.settings.get(&function).cloned().unwrap_or_default();
            for name in read.difference(&given) {
                faults.push(format!("the setting {name} is not given to {function}"));
            }
            for name in given.difference(&read) {
                faults.push(format!(
                    "{function} is given {name}, which it does not read"
                ));
            }
            let variables = &of["Environment"]["Variables"];
            if variables.to_string().contains("{{resolve:") {
                faults.push(format!("a secret stands in the variables of {function}"));
            }
        }
    }

    /// The outputs that the documents name exist.
    fn outputs(&self, template: &Template, faults: &mut Vec<String>) {
        let guides = [&self.runbook, &self.deployment];
        let asked = guides
            .into_iter()
            .flat_map(|guide| guide.split("$(out ").skip(1));
        let asked: BTreeSet<&str> = asked.filter_map(|rest| rest.split(')').next()).collect();
        assert!(asked.len() >= 5, "{asked:?}");
        for name in asked {
            if template.document["Outputs"][name].is_null() {
                faults.push(format!("there is no output {name}"));
            }
        }
    }

    fn routes(&self, template: &Template, faults: &mut Vec<String>) {
        let mut given = template.routes();
        let default = (DEFAULT_ROUTE.0.to_owned(), DEFAULT_ROUTE.1.to_owned());
        let mut catching = Vec::new();
        for (function, routes) in &mut given {
            if routes.remove(&default) {
                catching.push(function.clone());
            }
        }
        if catching.len() != 1 {
            faults.push(format!("the default route leads to {catching:?}"));
        }
        let none = BTreeSet::new();
        for (function, routes) in &given {
            let handled = self.routes.get(function).unwrap_or(&none);
            for route in routes.difference(handled) {
                let (method, path) = route;
                let is_anybodys = self.routes.values().any(|known| known.contains(route));
                faults.push(match is_anybodys {
                    true => {
                        format!("{method} {path} leads to {function}, which does not handle it")
                    }
                    false => format!("no function handles {method} {path}"),
                });
            }
        }
        for (function, routes) in &self.routes {
            let led = given.get(function).unwrap_or(&none);
            for (method, path) in routes.difference(led) {
                if !catching.contains(function) {
                    faults.push(format!("nothing leads to {method} {path} of {function}"));
                }
            }
        }
    }

    fn alarms(&self, monitoring: &Template, faults: &mut Vec<String>) {
        let alarms = monitoring.of_type("AWS::CloudWatch::Alarm");
        let dimension = |of: &Value, name: &str| {
            let mut dimensions = each(&of["Dimensions"]);
            let found = dimensions
                .find(|one| one["Name"] == name)
                .map(|one| &one["Value"]);
            found.and_then(|value| value.as_str().map(str::to_owned).or(name_of(value)))
        };
        let has = |metric: &str, name: &str, value: &str| {
            alarms.values().any(|of| {
                of["MetricName"] == metric && dimension(of, name).as_deref() == Some(value)
            })
        };
        for of in ErrorType::ALL {
            if !has("Errors", "ErrorType", of.as_str()) {
                faults.push(format!("no alarm of the error type {}", of.as_str()));
            }
        }
        for queue in ["EventsDeadLetters", "NoticesDeadLetters"] {
            if !has("ApproximateNumberOfMessagesVisible", "QueueName", queue) {
                faults.push(format!("no alarm of the depth of {queue}"));
            }
        }
        for queue in ["EventsQueue", "NoticesQueue"] {
            if !has("ApproximateAgeOfOldestMessage", "QueueName", queue) {
                faults.push(format!("no alarm of the oldest message of {queue}"));
            }
        }
        for function in ["Preflight", "Api", "Ingest", "Evaluate", "Notify", "Reset"] {
            for metric in ["Throttles", "Errors"] {
                if !has(metric, "FunctionName", function) {
                    faults.push(format!("no alarm of the {metric} of {function}"));
                }
            }
        }
        for table in ["Counters", "Ledger", "Governance", "Audit"] {
            for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
                if !has(metric, "TableName", table) {
                    faults.push(format!("no alarm of the {metric} of {table}"));
                }
            }
        }
        let ours: BTreeSet<&str> = Metric::ALL.iter().map(|of| of.as_str()).collect();
        for (name, of) in &alarms {
            let metric = of["MetricName"].as_str().unwrap_or_default();
            if of["Namespace"] == NAMESPACE && metric != "Errors" && !ours.contains(metric) {
                faults.push(format!("{name} waits for {metric}, which nobody counts"));
            }
            let error_type = dimension(of, "ErrorType").unwrap_or_default();
            let is_known = ErrorType::ALL.iter().any(|of| of.as_str() == error_type);
            if !error_type.is_empty() && !is_known {
                faults.push(format!(
                    "{name} waits for {error_type}, which nobody reports"
                ));
            }
            if name_of(&of["AlarmActions"][0]).as_deref() != Some("Alarms") {
                faults.push(format!("{name} tells nobody"));
            }
            let called = of["AlarmName"]["Fn::Sub"].as_str().unwrap_or_default();
            let called = called.trim_start_matches("${Stack}-");
            if called.is_empty() || !self.runbook.contains(&format!("`{called}`")) {
                faults.push(format!(
                    "the runbook does not say what to do about {called} ({name})"
                ));
            }
        }
    }
}

fn roles(template: &Template, faults: &mut Vec<String>) {
    for function in FUNCTIONS {
        let statements = template.statements(function);
        if statements.is_empty() {
            faults.push(format!("{function} has no role of its own"));
        }
        for of in &statements {
            let wide = of
                .actions
                .iter()
                .chain(&of.resources)
                .find(|of| of.contains('*'));
            // The objects of a bucket have no other name; they may be put, and nothing else.
            let is_of_objects = of.actions.iter().all(|action| action == "s3:PutObject")
                && of
                    .resources
                    .iter()
                    .all(|of| of.ends_with(":s3:::${AuditBucket}/*"));
            // The sandbox of SES asks for the identities of recipients. Whose mails they are says a
            // condition.
            let is_of_mails = of.actions.iter().all(|action| action == "ses:SendEmail")
                && only_sends_its_own(template, function);
            let is_narrow = is_of_objects || is_of_mails;
            if let Some(wide) = wide.filter(|_| of.is_allowed && !is_narrow) {
                faults.push(format!("{function} has a wildcard: {wide}"));
            }
        }
    }
    for (of, action, resource, partition) in FORBIDDEN {
        for function in FUNCTIONS.iter().filter(|name| of == "*" || of == **name) {
            if template.may(function, action, resource, &keys(partition)) {
                faults.push(format!("{function} may {action} in {resource} {partition}"));
            }
        }
    }
    for (name, of) in template.of_type("AWS::Serverless::Function") {
        if !of["Policies"].is_null() {
            faults.push(format!("{name} has policies beside its role"));
        }
    }
    for (name, of) in template.of_type("AWS::IAM::Role") {
        let managed = &of["ManagedPolicyArns"];
        if !managed.is_null() && managed["Fn::If"][0] != "IsTraced" {
            faults.push(format!(
                "{name} has policies that the template does not show"
            ));
        }
    }
}

/// Whether every statement of a function about mails names the sender.
fn only_sends_its_own(template: &Template, function: &str) -> bool {
    let statements = template.written_statements(function).into_iter();
    let mut mails = statements.filter(|(_, of)| of["Action"].to_string().contains("ses:"));
    mails.all(|(_, of)| of["Condition"]["StringEquals"]["ses:FromAddress"]["Ref"] == "MailSender")
}

fn tables(template: &Template, faults: &mut Vec<String>) {
    let chosen = json!({
        "SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "TableKey"},
    });
    let encryption = json!({"Fn::If": ["HasTableKey", chosen, {"Ref": "AWS::NoValue"}]});
    for (name, of) in template.of_type("AWS::DynamoDB::Table") {
        let checks = [
            ("is not paid by use", of["BillingMode"] == "PAY_PER_REQUEST"),
            (
                "cannot be restored",
                of["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true,
            ),
            (
                "waits for a key in KMS that nobody chose",
                of["SSESpecification"] == encryption,
            ),
            (
                "can be deleted by mistake",
                of["DeletionProtectionEnabled"]["Ref"] == "DeletionProtection",
            ),
        ];
        let wrong = checks.iter().filter(|(_, is_right)| !is_right);
        faults.extend(wrong.map(|(what, _)| format!("{name} {what}")));
        let expires = &of["TimeToLiveSpecification"];
        if name == LOG && !expires.is_null() {
            faults.push(format!("entries of {name} expire"));
        }
        if name != LOG && (expires["AttributeName"] != "y" || expires["Enabled"] != true) {
            faults.push(format!("{name} forgets nothing"));
        }
        let kept = &template.document["Resources"][name];
        if kept["DeletionPolicy"] != "RetainExceptOnCreate"
            || kept["UpdateReplacePolicy"] != "Retain"
        {
            faults.push(format!("{name} goes with the stack"));
        }
    }
}

fn queues(template: &Template, faults: &mut Vec<String>) {
    let queues = template.of_type("AWS::SQS::Queue");
    for (name, of) in &queues {
        if of["SqsManagedSseEnabled"] != true {
            faults.push(format!("{name} is not encrypted"));
        }
        let dead = &of["RedrivePolicy"]["deadLetterTargetArn"];
        let known = name_of(dead).is_some_and(|dead| queues.contains_key(dead.as_str()));
        if !name.ends_with("DeadLetters") && !known {
            faults.push(format!("{name} has no dead letters"));
        }
    }
    for (name, function) in template.functions() {
        for (_, event) in function["Events"].as_object().into_iter().flatten() {
            if event["Type"] != "SQS" {
                continue;
            }
            let of = &event["Properties"];
            if of["FunctionResponseTypes"][0] != "ReportBatchItemFailures" {
                faults.push(format!("{name} fails a batch for one message"));
            }
            if of["ScalingConfig"]["MaximumConcurrency"].is_null() {
                faults.push(format!("{name} may run without limit"));
            }
            let queue = name_of(&of["Queue"]).unwrap_or_default();
            let visible = queues
                .get(queue.as_str())
                .map(|of| &of["VisibilityTimeout"]);
            let visible = visible.and_then(Value::as_i64).unwrap_or(0);
            if visible < 6 * function["Timeout"].as_i64().unwrap_or(i64::MAX / 6) {
                faults.push(format!("{queue} shows a message again while {name} has it"));
            }
            if !rules::TAKING
                .iter()
                .all(|action| template.may(&name, action, &queue, &[]))
            {
                faults.push(format!("{name} may not take from {queue}"));
            }
        }
    }
}

fn functions(template: &Template, faults: &mut Vec<String>) {
    let global = &template.document["Globals"]["Function"];
    if global["Architectures"][0] != "arm64" || global["Runtime"] != "provided.al2023" {
        faults.push("the functions do not run on arm64 and provided.al2023".to_owned());
    }
    let names: Vec<String> = template.functions().into_keys().collect();
    if names.iter().map(String::as_str).collect::<BTreeSet<_>>() != BTreeSet::from(FUNCTIONS) {
        faults.push(format!("the functions are {names:?}"));
    }
    for (name, of) in template.functions() {
        if of["MemorySize"].is_null() || of["Timeout"].is_null() {
            faults.push(format!("{name} has no memory or no time of its own"));
        }
        let logs = name_of(&of["LoggingConfig"]["LogGroup"]).unwrap_or_default();
        let kept = &template.document["Resources"][&logs]["Properties"]["RetentionInDays"];
        if kept.is_null() {
            faults.push(format!("the logs of {name} are kept for ever"));
        }
        if !template.may(&name, "logs:PutLogEvents", &logs, &[]) {
            faults.push(format!("{name} may not write its log"));
        }
    }
}

/// Only the mail service of this account may report, and only its topic may queue.
fn reports(template: &Template, faults: &mut Vec<String>) {
    for (name, of) in template.of_type("AWS::SNS::TopicPolicy") {
        for statement in each(&of["PolicyDocument"]["Statement"]) {
            let only = &statement["Condition"]["StringEquals"];
            let is_narrow = statement["Principal"]["Service"] == "ses.amazonaws.com"
                && only["aws:SourceAccount"]["Ref"] == "AWS::AccountId"
                && only["aws:SourceArn"]
                    .to_string()
                    .contains("MailConfigurationSet");
            if !is_narrow {
                faults.push(format!("{name} lets others publish"));
            }
        }
    }
    for (name, of) in template.of_type("AWS::SQS::QueuePolicy") {
        for statement in each(&of["PolicyDocument"]["Statement"]) {
            let source = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
            if name_of(source).as_deref() != Some("MailReports") {
                faults.push(format!("{name} lets others send"));
            }
        }
    }
    for (name, of) in template.of_type("AWS::SNS::Subscription") {
        if of["RedrivePolicy"].is_null() {
            faults.push(format!("{name} has no dead letters"));
        }
    }
}
