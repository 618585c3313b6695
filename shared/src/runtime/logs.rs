//! A function's logs: a line of JSON for each event, under the id of its request, and lines in
//! CloudWatch's embedded metric format for counts. Neither contains a secret or an address.

mod counts;
mod names;

pub use names::{ErrorType, Metric};

use super::settings::optional;
use counts::Counts;
use std::borrow::Cow;
use std::error::Error;
use std::io::Write as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The CloudWatch namespace of all metrics.
pub const NAMESPACE: &str = "Toktra";
/// The target of counts, for filters of a log.
pub const COUNTS: &str = "counts";
/// The crates of the functions, as targets of a log.
const OURS: [&str; 7] = [
    "api",
    "evaluate",
    "ingest",
    "notify",
    "preflight",
    "reset",
    "shared",
];
/// The replacement for an address or a key in a log.
const HIDDEN: &str = "(hidden)";

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

/// Returns what `asked` lets pass, which is a level or names targets, too (`info,shared=debug`).
/// Its level is for our own crates. Of others only warnings pass, unless it names them: what they
/// say in detail has the headers of requests in it, and keys.
fn targets(asked: Option<&str>) -> Targets {
    let asked: Option<Targets> = asked.and_then(|text| text.parse().ok());
    let asked = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let level = asked.default_level().unwrap_or(LevelFilter::OFF);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)))
        .with_targets(asked.iter())
}

/// Starts the logs of a function at the level of `RUST_LOG`, or `info`. If the environment names
/// the `STACK`, counts are written for CloudWatch, too.
pub fn start() {
    let asked = targets(optional("RUST_LOG").as_deref());
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
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
    fn a_level_is_for_our_own_crates_and_others_only_warn() {
        use tracing::Level;
        for (asked, target, level, passes) in [
            (Some("debug"), "shared::store::call", Level::DEBUG, true),
            (Some("debug"), "preflight", Level::DEBUG, true),
            (Some("debug"), "hyper_util::client", Level::DEBUG, false),
            (
                Some("debug"),
                "aws_smithy_runtime::client",
                Level::INFO,
                false,
            ),
            (Some("debug"), "aws_config", Level::WARN, true),
            (Some("error"), "aws_config", Level::WARN, false),
            (Some("error"), "shared", Level::WARN, false),
            (None, "shared", Level::INFO, true),
            (None, "shared", Level::DEBUG, false),
            (None, "hyper_util::client", Level::INFO, false),
            (
                Some("warn,shared=debug"),
                "shared::ledger",
                Level::DEBUG,
                true,
            ),
            (Some("info,rustls=info"), "rustls", Level::INFO, true),
        ] {
            let is_wanted = targets(asked).would_enable(target, &level);
            assert_eq!(is_wanted, passes, "{asked:?} {target} {level}");
        }
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
