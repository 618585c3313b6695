//! Rules whose reason a table of values does not show: numbers that depend on each
//! other, on the code or on AWS.

use end_to_end::template::{Template, each, name_of};
use local::system::EVENTS_BATCH;
use serde_json::Value;
use shared::runtime::logs::{ErrorType, Metric, NAMESPACE};
use std::collections::BTreeSet;

/// The resources that stay if the stack is deleted or replaces them, and why. All others go.
const KEPT: [(&str, &str); 8] = [
    ("Counters", "it has what budgets have left"),
    ("Ledger", "it has what was used"),
    ("Governance", "it has what is configured and decided"),
    ("Audit", "it has who changed what"),
    ("EventsDeadLetters", "nothing else knows of its usage"),
    ("NoticesDeadLetters", "nobody was told of its notices"),
    ("SealingKey", "nothing that is sealed opens without it"),
    ("AuditKey", "nobody can sign as before without it"),
];

/// The most that SQS keeps messages, in seconds; the runbook says it, too.
const RETENTION: i64 = 1_209_600;
/// How long API Gateway waits for an answer, in seconds.
const GATEWAY_WAITS: i64 = 30;
/// How long a message is tried, at the least, in seconds: a day's outage leaves no dead letters.
const PATIENCE: i64 = 86_400;
/// The most deliveries that SQS counts.
const DELIVERIES: i64 = 1_000;
/// SQS gathers a batch of more messages only if it is given a time for it.
const UNGATHERED: u64 = 10;
/// How often the schedule runs: months, exemptions and lost notices are promised within two hours.
const SCHEDULE: &str = "rate(1 hour)";
/// The actions of Lambda on a queue, by the role of the function that it invokes.
pub(crate) const TAKING: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];

/// Problems that do not end by themselves, or made a request fail: an alarm that waits for a second
/// one comes too late.
const ONE_IS_TOO_MANY: [ErrorType; 6] = [
    ErrorType::UnreadableData,
    ErrorType::UnreadableMessage,
    ErrorType::EventsNotQueued,
    ErrorType::SelfAuditDifference,
    ErrorType::AuditLogBroken,
    ErrorType::Panicked,
];

/// Every rule that does not hold, in a sentence.
pub(crate) fn broken(template: &Template, monitoring: &Template, faults: &mut Vec<String>) {
    kept(template, faults);
    queues(template, faults);
    functions(template, faults);
    events(template, faults);
    watched(template, monitoring, faults);
    for (name, of) in monitoring.of_type("AWS::CloudWatch::Alarm") {
        alarm(name, of, faults);
    }
    dashboard(monitoring, faults);
}

fn kept(template: &Template, faults: &mut Vec<String>) {
    let resources = &template.document["Resources"];
    for (name, resource) in resources.as_object().into_iter().flatten() {
        let why = KEPT.iter().find(|(kept, _)| kept == name);
        // What a first deployment leaves behind after it failed stands in the way of the second.
        for (policy, keeps) in [
            ("DeletionPolicy", "RetainExceptOnCreate"),
            ("UpdateReplacePolicy", "Retain"),
        ] {
            let of = resource[policy].as_str().unwrap_or_default();
            match why {
                Some((_, why)) if !of.starts_with("Retain") => {
                    faults.push(format!("{name} goes with the stack, and {why}"));
                }
                Some(_) if of != keeps => {
                    faults.push(format!("{name} stays after a deployment that failed"));
                }
                None if of.starts_with("Retain") => {
                    faults.push(format!("{name} stays, and nobody needs it"));
                }
                _ => {}
            }
        }
    }
    for (name, why) in KEPT {
        if resources[name].is_null() {
            faults.push(format!("there is no {name}, and {why}"));
        }
    }
}

fn queues(template: &Template, faults: &mut Vec<String>) {
    for (name, of) in template.of_type("AWS::SQS::Queue") {
        let retention = &of["MessageRetentionPeriod"];
        if *retention != RETENTION {
            faults.push(format!("{name} forgets messages after {retention} seconds"));
        }
        let number = |value: &Value| value.as_i64().unwrap_or_default();
        let deliveries = number(&of["RedrivePolicy"]["maxReceiveCount"]);
        let tried = number(&of["VisibilityTimeout"]).saturating_mul(deliveries);
        let is_right = (PATIENCE..RETENTION).contains(&tried) && deliveries <= DELIVERIES;
        if !name.ends_with("DeadLetters") && !is_right {
            faults.push(format!(
                "{name} tries a message for {tried} seconds, {deliveries} times"
            ));
        }
    }
}

fn functions(template: &Template, faults: &mut Vec<String>) {
    for (name, of) in template.of_type("AWS::Serverless::Function") {
        let own = name.trim_end_matches("Function");
        for (what, value) in [
            ("Role", &of["Role"]),
            ("Logs", &of["LoggingConfig"]["LogGroup"]),
        ] {
            if name_of(value) != Some(format!("{own}{what}")) {
                faults.push(format!("{name} does not have {own}{what}"));
            }
        }
    }
    let functions = template.functions();
    for name in template.routes().keys() {
        let seconds = functions.get(name).and_then(|of| of["Timeout"].as_i64());
        if seconds.is_none_or(|seconds| seconds >= GATEWAY_WAITS) {
            faults.push(format!("nobody waits as long as {name} may take"));
        }
    }
}

/// The triggers of the functions.
fn events(template: &Template, faults: &mut Vec<String>) {
    let mut schedules = 0;
    for (name, function) in template.functions() {
        for (called, event) in function["Events"].as_object().into_iter().flatten() {
            let of = &event["Properties"];
            match event["Type"].as_str().unwrap_or_default() {
                "HttpApi" => faults.push(format!(
                    "{called} of {name} makes a permission of its own, and is no route of the API"
                )),
                "SQS" => {
                    let batch = of["BatchSize"].as_u64().unwrap_or_default();
                    let window = of["MaximumBatchingWindowInSeconds"].as_u64();
                    if batch > UNGATHERED && window.unwrap_or_default() == 0 {
                        faults.push(format!("{name} has no time to gather {batch} messages"));
                    }
                    let tested = u64::try_from(EVENTS_BATCH).unwrap_or_default();
                    if name == "evaluate" && batch != tested {
                        faults.push(format!(
                            "{name} takes {batch} messages, and the tests run with {tested}"
                        ));
                    }
                }
                "ScheduleV2" => {
                    schedules += 1;
                    let rate = &of["ScheduleExpression"];
                    if *rate != SCHEDULE || name != "reset" {
                        faults.push(format!("{name} runs at {rate}"));
                    }
                    if of["OmitName"] != true {
                        faults.push(format!("the schedule of {name} has a name of its own"));
                    }
                    if of["State"] == "DISABLED" {
                        faults.push(format!("the schedule of {name} is off"));
                    }
                }
                other => faults.push(format!("nobody knows what {other} does with {name}")),
            }
        }
    }
    if schedules != 1 {
        faults.push(format!("there are {schedules} schedules"));
    }
}

/// The alarms get the resources that they name.
fn watched(template: &Template, monitoring: &Template, faults: &mut Vec<String>) {
    let given = &template.document["Resources"]["Monitoring"]["Properties"]["Parameters"];
    let wanted = &monitoring.document["Parameters"];
    for (name, _) in wanted.as_object().into_iter().flatten() {
        let own = match name.as_str() {
            "Stack" => "AWS::StackName".to_owned(),
            name if given[name]["Ref"]
                .as_str()
                .is_some_and(|of| of.ends_with("Function")) =>
            {
                format!("{name}Function")
            }
            name => name.to_owned(),
        };
        if name_of(&given[name.as_str()]) != Some(own) {
            faults.push(format!("the alarms look at another {name}"));
        }
    }
    for (name, _) in given.as_object().into_iter().flatten() {
        if wanted[name.as_str()].is_null() {
            faults.push(format!("the alarms want no {name}"));
        }
    }
}

/// The dimensions of a metric; none if there is no such metric. CloudWatch finds it by exactly
/// these.
fn dimensions_of(namespace: &str, metric: &str) -> &'static [&'static str] {
    let is_counted = || Metric::ALL.iter().any(|of| of.as_str() == metric);
    match (namespace, metric) {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible" | "ApproximateAgeOfOldestMessage") => {
            &["QueueName"]
        }
        (
            "AWS/Lambda",
            "Duration" | "Errors" | "Invocations" | "RecursiveInvocationsDropped" | "Throttles",
        ) => &["FunctionName"],
        (
            "AWS/DynamoDB",
            "ConsumedWriteCapacityUnits" | "ReadThrottleEvents" | "WriteThrottleEvents",
        ) => &["TableName"],
        ("AWS/ApiGateway", "Count" | "4xx" | "5xx") => &["ApiId"],
        (NAMESPACE, "Errors") => &["Stack", "ErrorType"],
        (NAMESPACE, _) if is_counted() => &["Stack"],
        _ => &[],
    }
}

fn alarm(name: &str, of: &Value, faults: &mut Vec<String>) {
    let text = |property: &str| of[property].as_str().unwrap_or_default();
    let number = |property: &str| of[property].as_i64().unwrap_or_default();
    let (namespace, metric) = (text("Namespace"), text("MetricName"));
    let dimensions = each(&of["Dimensions"]).map(|one| &one["Name"]);
    let dimensions: Vec<&str> = dimensions.filter_map(Value::as_str).collect();
    if dimensions.is_empty() || dimensions != dimensions_of(namespace, metric) {
        faults.push(format!(
            "{name} finds no metric {metric} of {namespace} by {dimensions:?}"
        ));
    }
    // One alarm fires if nothing happens: silence is the problem. For everything else
    // silence is no trouble.
    let is_of_silence = metric == "Invocations";
    let expected = match is_of_silence {
        true => ("LessThanThreshold", "breaching"),
        false => ("GreaterThanOrEqualToThreshold", "notBreaching"),
    };
    let said = (text("ComparisonOperator"), text("TreatMissingData"));
    if said != expected {
        faults.push(format!("{name} goes off at {} and {}", said.0, said.1));
    }
    // CloudWatch keeps the state of DynamoDB's alarms while there are no data, and looks for older
    // ones before it sees a silence.
    if of["Filled"].is_null() == (namespace == "AWS/DynamoDB" || is_of_silence) {
        faults.push(format!("{name} waits for data that do not come"));
    }
    // A level is there all the time; what happens is added up.
    let expected = match namespace {
        "AWS/SQS" => "Maximum",
        _ => "Sum",
    };
    if text("Statistic") != expected {
        faults.push(format!("{name} looks at the {}", text("Statistic")));
    }
    let seconds = number("Period").saturating_mul(number("EvaluationPeriods"));
    if !(300..=10_800).contains(&seconds) || is_of_silence && seconds < 2 * 3_600 {
        faults.push(format!("{name} takes {seconds} seconds to go off"));
    }
    let threshold = number("Threshold");
    let error_type = each(&of["Dimensions"]).find(|one| one["Name"] == "ErrorType");
    let error_type = error_type.map_or("", |one| one["Value"].as_str().unwrap_or_default());
    let is_too_many = ONE_IS_TOO_MANY.iter().any(|of| of.as_str() == error_type)
        || [
            "Throttles",
            "ApproximateNumberOfMessagesVisible",
            "RecursiveInvocationsDropped",
        ]
        .contains(&metric);
    let most = match metric {
        "ApproximateAgeOfOldestMessage" => 1_800,
        _ if is_too_many => 1,
        _ => 20,
    };
    if !(1..=most).contains(&threshold) {
        faults.push(format!("{name} waits for {threshold}"));
    }
    if name_of(&of["OKActions"][0]).as_deref() != Some("Alarms") {
        faults.push(format!("{name} does not say that it is over"));
    }
}

/// The dashboard shows everything that is counted, and nothing that is not.
fn dashboard(monitoring: &Template, faults: &mut Vec<String>) {
    let mut shown: BTreeSet<String> = BTreeSet::new();
    for of in monitoring.of_type("AWS::CloudWatch::Dashboard").values() {
        let body = of["DashboardBody"]["Fn::Sub"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        for widget in body["widgets"].as_array().into_iter().flatten() {
            for metric in metrics_of(&widget["properties"]["metrics"]) {
                let part = |at: usize| metric.get(at).map_or("", String::as_str);
                let dimensions: Vec<&str> = (2..metric.len()).step_by(2).map(part).collect();
                if dimensions.is_empty() || dimensions != dimensions_of(part(0), part(1)) {
                    faults.push(format!(
                        "the dashboard draws {metric:?}, which is not there"
                    ));
                }
                let is_known = |name: &str| ErrorType::ALL.iter().any(|of| of.as_str() == name);
                if part(0) == NAMESPACE && part(1) == "Errors" && !is_known(part(5)) {
                    faults.push(format!("the dashboard draws errors {metric:?} of no type"));
                }
                if part(0) == NAMESPACE {
                    shown.insert(part(1).to_owned());
                }
            }
        }
    }
    for of in Metric::ALL {
        if !shown.contains(of.as_str()) {
            faults.push(format!("the dashboard does not draw {}", of.as_str()));
        }
    }
}

/// The metrics of a widget, written out: `.` stands for the same as before, `...` for all of it but
/// what follows.
fn metrics_of(metrics: &Value) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for metric in metrics.as_array().into_iter().flatten() {
        let parts = metric.as_array().into_iter().flatten();
        let parts: Vec<&str> = parts.filter_map(Value::as_str).collect();
        let before = found.last().cloned().unwrap_or_default();
        let written: Vec<String> = match parts.split_first() {
            // A search or a sum.
            None => continue,
            Some((&"...", rest)) => {
                let kept = before.len().saturating_sub(rest.len());
                let kept = before[..kept].iter().cloned();
                kept.chain(rest.iter().map(|part| (*part).to_owned()))
                    .collect()
            }
            Some(_) => parts
                .iter()
                .enumerate()
                .map(|(at, part)| match *part {
                    "." => before.get(at).cloned().unwrap_or_default(),
                    part => part.to_owned(),
                })
                .collect(),
        };
        found.push(written);
    }
    found
}
