//! Counts for CloudWatch.

use super::{COUNTS, Metric, NAMESPACE};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Writes counts in the embedded metric format, which CloudWatch reads from the log of a function.
/// CloudWatch's user guide has its specification.
pub(super) struct Counts<W> {
    pub(super) stack: String,
    pub(super) write: W,
}

impl<W> Counts<W> {
    pub(super) fn has_any(of: &tracing::Metadata<'_>) -> bool {
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
