//! Alarms of metrics whose gaps are filled with zeros, read as alarms of these metrics.

use end_to_end::template::Template;
use serde_json::{Value, json};

/// Reads a template. An alarm of `FILL(counted, 0)` becomes one of what is counted, with
/// `Filled: 0` beside its properties; an alarm of any other `Metrics` stays as it is written.
pub(crate) fn read(text: &str) -> Template {
    let mut template = Template::parse(text);
    let resources = template.document["Resources"].as_object_mut();
    for (_, of) in resources.into_iter().flatten() {
        if of["Type"] == "AWS::CloudWatch::Alarm" {
            simplify(&mut of["Properties"]);
        }
    }
    template
}

fn simplify(of: &mut Value) {
    let counted = of["Metrics"][1]["MetricStat"].clone();
    let metric = &counted["Metric"];
    let filled = json!([
        {"Id": "filled", "Expression": "FILL(counted, 0)", "Label": metric["MetricName"]},
        {
            "Id": "counted",
            "ReturnData": false,
            "MetricStat": {
                "Stat": counted["Stat"],
                "Period": counted["Period"],
                "Metric": {
                    "Namespace": metric["Namespace"],
                    "MetricName": metric["MetricName"],
                    "Dimensions": metric["Dimensions"],
                },
            },
        },
    ]);
    let is_filled = of["Metrics"] == filled;
    let Some(properties) = of.as_object_mut().filter(|_| is_filled) else {
        return;
    };
    properties.remove("Metrics");
    for (name, value) in [
        ("Namespace", &metric["Namespace"]),
        ("MetricName", &metric["MetricName"]),
        ("Dimensions", &metric["Dimensions"]),
        ("Statistic", &counted["Stat"]),
        ("Period", &counted["Period"]),
        ("Filled", &json!(0)),
    ] {
        properties.insert(name.to_owned(), value.clone());
    }
}
