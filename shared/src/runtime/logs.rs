//! A function's logs: a line of JSON for each event, under the id of its request, and lines in
//! CloudWatch's embedded metric format for counts. Neither contains a secret or an address.

use super::settings::optional;
use crate::store::StoreError;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::error::Error;
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The CloudWatch namespace of all metrics.
pub const NAMESPACE: &str = "Toktra";
/// The target of counts, for filters of a log.
pub const COUNTS: &str = "counts";
/// The replacement for an address or a key in a log.
const HIDDEN: &str = "(hidden)";

macro_rules! named {
    ($(#[$of:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind { $($(#[$doc])* $variant,)* }

        impl $kind {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in logs and in CloudWatch, which must not change.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

named! {
    /// The `error_type` of a log line and the dimension `ErrorType` of the metric `Errors`. Each
    /// has an alarm (`infra/monitoring.yaml`) and a line in the runbook.
    ErrorType {
        /// A preflight was decided by `on_unavailable`.
        DecisionWithoutDatabase = "decision_without_database",
        /// The database did not answer, or too many callers changed the same item: a request got a
        /// 503, or work is left for later.
        StoreFailed = "store_failed",
        /// An item has a form that this version does not know.
        UnreadableData = "unreadable_data",
        /// An event was not recorded and will be redelivered.
        EventNotRecorded = "event_not_recorded",
        /// A message of a queue has an unknown form.
        UnreadableMessage = "unreadable_message",
        /// A policy could not act, or events could not be evaluated. They will be redelivered.
        PolicyNotActed = "policy_not_acted",
        /// A crossing of a budget's level raised no alert yet.
        CrossingNotTold = "crossing_not_told",
        /// A refused preflight is missing in the record.
        RefusalNotRecorded = "refusal_not_recorded",
        /// The queue of events rejected some.
        EventsNotQueued = "events_not_queued",
        /// The queue of notices rejected one. The schedule finds it.
        NoticeNotQueued = "notice_not_queued",
        /// A notice or a delivery was not sent and will be redelivered.
        NoticeNotSent = "notice_not_sent",
        /// The mail service rejected a mail. It is retried for a day.
        MailNotSent = "mail_not_sent",
        /// A part of an organisation's turn in the schedule failed. The next pass tries again.
        OrganisationNotTended = "organisation_not_tended",
        /// Records, totals and counters do not agree.
        SelfAuditDifference = "self_audit_difference",
        /// An organisation's audit log is broken.
        AuditLogBroken = "audit_log_broken",
        /// The head of an audit log could not be signed or put into the bucket. The next pass tries
        /// again.
        AuditHeadNotKept = "audit_head_not_kept",
        Panicked = "panicked",
    }
}

named! {
    /// A metric in CloudWatch, with the dimension `Stack`.
    Metric {
        PreflightsAllowed = "PreflightsAllowed",
        PreflightsBlocked = "PreflightsBlocked",
        /// Events that the queue accepted.
        EventsAccepted = "EventsAccepted",
        /// Recorded events, each once.
        EventsRecorded = "EventsRecorded",
        /// The age of the oldest event of a batch when it was recorded.
        EventAge = "EventAge",
        /// Crossings of budgets that raised an alert.
        AlertsRaised = "AlertsRaised",
        PoliciesFired = "PoliciesFired",
        /// Mails that the mail service accepted.
        MailsSent = "MailsSent",
        /// Addresses that bounced or complained.
        MailsBounced = "MailsBounced",
        /// Attempts of webhooks that were answered with a 2xx.
        DeliveriesTaken = "DeliveriesTaken",
        /// Attempts of webhooks that were not.
        DeliveriesRefused = "DeliveriesRefused",
        /// Organisations that had their turn in the schedule.
        OrganisationsTended = "OrganisationsTended",
        MonthsClosed = "MonthsClosed",
        /// Records that were compared with the totals.
        RecordsCompared = "RecordsCompared",
        /// Differences that were found. 0 for a comparison that found none.
        Differences = "Differences",
    }
}

impl ErrorType {
    /// Returns the type of a failure of the store.
    pub fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Contended => ErrorType::StoreFailed,
            StoreError::Unreadable(_) => ErrorType::UnreadableData,
        }
    }
}

impl Metric {
    pub fn unit(self) -> &'static str {
        match self {
            Self::EventAge => "Milliseconds",
            _ => "Count",
        }
    }
}

/// Logs an error with its causes in one line, and counts it under its type.
pub fn report(of: ErrorType, context: &str, error: &(dyn Error + 'static)) {
    let error = chain(error);
    tracing::error!(error_type = of.as_str(), error, "{context}");
}

/// Logs an error without consequences.
pub fn note(context: &str, error: &(dyn Error + 'static)) {
    tracing::warn!(error = chain(error), "{context}");
}

/// Returns an error and its causes, without addresses and keys.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    hidden(&chain).into_owned()
}

/// Returns a text without anything that looks like an address or a key. Errors of libraries may
/// quote their input.
pub fn hidden(text: &str) -> Cow<'_, str> {
    let is_secret = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.contains('@') || word.starts_with("tk_") || word.starts_with("whsec_")
    };
    let ends_word = |c: char| c.is_whitespace() || "\"'<>(),;:=".contains(c);
    if !text.split(ends_word).any(is_secret) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for part in text.split_inclusive(ends_word) {
        let word = part.trim_end_matches(ends_word);
        if is_secret(word) {
            clean.push_str(HIDDEN);
            clean.push_str(&part[word.len()..]);
        } else {
            clean.push_str(part);
        }
    }
    Cow::Owned(clean)
}

/// Counts events of this invocation.
pub fn count(counted: &[(Metric, u64)]) {
    let counted: Vec<String> = counted
        .iter()
        .map(|(metric, value)| format!("{}={value}", metric.as_str()))
        .collect();
    if !counted.is_empty() {
        tracing::info!(target: COUNTS, counted = counted.join(" "));
    }
}

/// Returns the number of `items` as a count.
pub fn number_of(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// Starts the logs of a function at the level of `RUST_LOG`, or `info`. It may name targets
/// (`info,shared=debug`). If the environment names the `STACK`, counts are written for CloudWatch,
/// too.
pub fn start() {
    let asked: Option<Targets> = optional("RUST_LOG").and_then(|text| text.parse().ok());
    let asked = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    // The span with the id of the request exists at every level.
    let is_wanted = filter_fn(move |of| {
        let is_context = of.is_span() && *of.level() <= tracing::Level::INFO;
        is_context || (of.target() != COUNTS && asked.would_enable(of.target(), of.level()))
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .without_time()
        .with_filter(is_wanted);
    let counts = optional("STACK").map(|stack| {
        let write = |line: &str| {
            // If this fails, there is nobody to report to.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        };
        Counts { stack, write }.with_filter(filter_fn(Counts::<fn(&str)>::has_any))
    });
    let started = tracing_subscriber::registry().with(lines).with(counts);
    if let Err(error) = started.try_init() {
        tracing::debug!(%error, "logs were started before");
    }
}

/// Writes counts in the [embedded metric format][emf], which CloudWatch reads from the log of a
/// function.
///
/// [emf]:
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
struct Counts<W> {
    stack: String,
    write: W,
}

impl<W> Counts<W> {
    fn has_any(of: &tracing::Metadata<'_>) -> bool {
        of.target() == COUNTS || of.fields().field("error_type").is_some()
    }

    fn line(&self, dimension: Option<(&str, &str)>, values: &[(&str, &str, u64)]) -> String {
        let mut line = Map::new();
        let mut dimensions = vec!["Stack"];
        line.insert("Stack".to_owned(), json!(self.stack));
        if let Some((name, value)) = dimension {
            dimensions.push(name);
            line.insert(name.to_owned(), json!(value));
        }
        let metrics: Vec<Value> = values
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect();
        for (name, _, value) in values {
            line.insert((*name).to_owned(), json!(value));
        }
        let of = json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics});
        let at = jiff::Timestamp::now().as_millisecond();
        let about = json!({"Timestamp": at, "CloudWatchMetrics": [of]});
        line.insert("_aws".to_owned(), about);
        Value::Object(line).to_string()
    }
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Counts<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut seen = CountedFields::default();
        event.record(&mut seen);
        if let Some(of) = seen.error_type {
            let line = self.line(Some(("ErrorType", &of)), &[("Errors", "Count", 1)]);
            (self.write)(&line);
        }
        let counted = seen.counted.unwrap_or_default();
        let counted = counted.split(' ').filter_map(|one| one.split_once('='));
        let values: Vec<(&str, &str, u64)> = counted
            .filter_map(|(name, value)| {
                let metric = Metric::ALL.iter().find(|known| known.as_str() == name)?;
                Some((metric.as_str(), metric.unit(), value.parse().ok()?))
            })
            .collect();
        if !values.is_empty() {
            (self.write)(&self.line(None, &values));
        }
    }
}

#[derive(Default)]
struct CountedFields {
    error_type: Option<String>,
    counted: Option<String>,
}

impl Visit for CountedFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "error_type" => self.error_type = Some(value.to_owned()),
            "counted" => self.counted = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn written(work: impl FnOnce()) -> Vec<Value> {
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let write = move |line: &str| {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(line).unwrap());
        };
        let stack = "toktra".to_owned();
        let counts = Counts { stack, write }.with_filter(filter_fn(Counts::<fn(&str)>::has_any));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(counts), work);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn an_error_is_counted_under_its_type() {
        let error = std::io::Error::other("broken");
        let lines = written(|| report(ErrorType::MailNotSent, "a mail was not sent", &error));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["Errors"], 1);
        assert_eq!(lines[0]["ErrorType"], "mail_not_sent");
        assert_eq!(lines[0]["Stack"], "toktra");
        let of = &lines[0]["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(of["Namespace"], "Toktra");
        assert_eq!(of["Dimensions"], json!([["Stack", "ErrorType"]]));
        assert_eq!(of["Metrics"], json!([{"Name": "Errors", "Unit": "Count"}]));
        assert!(lines[0]["_aws"]["Timestamp"].is_i64());
    }

    #[test]
    fn counts_of_one_invocation_are_one_line_with_their_units() {
        let lines = written(|| {
            count(&[(Metric::EventsRecorded, 7), (Metric::EventAge, 1_500)]);
            count(&[]);
            tracing::error!("an error without a type is counted by nobody");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["EventsRecorded"], 7);
        assert_eq!(lines[0]["EventAge"], 1_500);
        let of = &lines[0]["_aws"]["CloudWatchMetrics"][0];
        let units = json!([
            {"Name": "EventsRecorded", "Unit": "Count"},
            {"Name": "EventAge", "Unit": "Milliseconds"}
        ]);
        assert_eq!(of["Metrics"], units);
    }

    #[test]
    fn addresses_and_keys_are_hidden_wherever_an_error_quotes_them() {
        let cases = [
            ("not verified: ada@example.com", "not verified: (hidden)"),
            ("key \"tk_secret_1\" failed", "key \"(hidden)\" failed"),
            ("to=<ada@x.org>, again", "to=<(hidden)>, again"),
            ("whsec_abc", "(hidden)"),
            ("the table toktra-Governance", "the table toktra-Governance"),
        ];
        for (text, expected) in cases {
            assert_eq!(hidden(text), expected);
        }
    }

    #[test]
    fn names_are_unique_and_fit_for_cloudwatch() {
        let mut names: Vec<&str> = ErrorType::ALL.iter().map(|of| of.as_str()).collect();
        names.extend(Metric::ALL.iter().map(|of| of.as_str()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        }
    }
}
