//! Compares the template, the alarms and the roles with the tables in `tests/data`, each
//! line under its reason.

use super::alarms;
use super::faults::Deployed;
use end_to_end::sources::read;
use end_to_end::template::{Template, each, resource_of, shown};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Values by their places.
type Settings = BTreeMap<String, String>;

const TEMPLATE: &str = "tests/data/template.txt";
const MONITORING: &str = "tests/data/monitoring.txt";
const ALARMS: &str = "tests/data/alarms.txt";
const PERMISSIONS: &str = "tests/data/permissions.txt";

/// How a table writes a comparison.
const COMPARISONS: [(&str, &str); 2] = [
    (">=", "GreaterThanOrEqualToThreshold"),
    ("<", "LessThanThreshold"),
];

/// How a table writes a condition on partition keys.
const KEYS: [(&str, &str); 3] = [
    ("ForAllValues:StringLike", "all like"),
    ("ForAllValues:StringNotLike", "none like"),
    ("ForAllValues:StringEquals", "all are"),
];

/// Everything that is not as the tables say, each in a sentence.
pub(crate) fn differences(deployed: &Deployed) -> Vec<String> {
    let template = Template::parse(&deployed.template);
    let monitoring = alarms::read(&deployed.monitoring);
    let mut found = Vec::new();
    compare(
        TEMPLATE,
        &expected(TEMPLATE),
        &of_template(&template),
        &mut found,
    );
    compare(
        MONITORING,
        &expected(MONITORING),
        &of_monitoring(&monitoring),
        &mut found,
    );
    let set = of_alarms(&monitoring, &mut found);
    compare(ALARMS, &expected_alarms(), &set, &mut found);
    let granted = granted(&template, &mut found);
    let expected = expected_permissions();
    for one in granted.difference(&expected) {
        found.push(format!("{one}: {PERMISSIONS} does not say so"));
    }
    for one in expected.difference(&granted) {
        found.push(format!("{one}: {PERMISSIONS} says so, and no role does"));
    }
    found
}

fn compare(table: &str, expected: &Settings, found: &Settings, faults: &mut Vec<String>) {
    for (place, value) in found {
        match expected.get(place) {
            None => faults.push(format!("{place} is {value}, which {table} does not know")),
            Some(known) if known != value => {
                faults.push(format!("{place} is {value}, and {table} says {known}"));
            }
            Some(_) => {}
        }
    }
    for (place, value) in expected {
        if !found.contains_key(place) {
            faults.push(format!("{place} is missing, and {table} says {value}"));
        }
    }
}

/// The lines of a table. Each block of them begins with the reason that they have in common.
fn rows(table: &str) -> Vec<String> {
    let text = read(table);
    let mut rows = Vec::new();
    for block in text.split("\n\n") {
        let lines: Vec<&str> = block.lines().map(str::trim).collect();
        let is_reason = lines
            .first()
            .is_some_and(|line| line.len() > "# ".len() && line.starts_with('#'));
        assert!(is_reason, "{table} gives no reason for {block}");
        let settings = lines
            .iter()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        rows.extend(settings.map(|line| (*line).to_owned()));
    }
    rows
}

/// The cells of a row.
fn cells(row: &str) -> Vec<&str> {
    row.split(" | ").map(str::trim).collect()
}

/// The settings of a table: `(A|B).x = ()y` is `A.x = Ay` and `B.x = By`.
fn expected(table: &str) -> Settings {
    let mut settings = Settings::new();
    for row in rows(table) {
        let Some((place, value)) = row.split_once(" = ") else {
            panic!("{table} has a line without a value: {row}");
        };
        let several = place.split_once('(').and_then(|(before, rest)| {
            let (names, after) = rest.split_once(')')?;
            Some((before, names, after))
        });
        let lines: Vec<(String, String)> = match several {
            None => vec![(place.to_owned(), value.to_owned())],
            Some((before, names, after)) => names
                .split('|')
                .map(|name| (format!("{before}{name}{after}"), value.replace("()", name)))
                .collect(),
        };
        for (place, value) in lines {
            let before = settings.insert(place.clone(), value);
            assert!(before.is_none(), "{table} has {place} twice");
        }
    }
    settings
}

/// Settings that have other comparisons, or are words for people.
fn without(settings: Settings, elsewhere: &[String]) -> Settings {
    let is_here = |place: &str| {
        !place.ends_with(".Description")
            && !place.ends_with(".ConstraintDescription")
            && place != "Description"
            && !elsewhere.iter().any(|of| place.starts_with(of.as_str()))
    };
    settings
        .into_iter()
        .filter(|(place, _)| is_here(place))
        .collect()
}

/// The settings of the template except permissions.
fn of_template(template: &Template) -> Settings {
    // Titles of parameters (tests/deploy/rules looks whether each has one).
    let mut elsewhere = vec!["Metadata.".to_owned()];
    let roles = template.of_type("AWS::IAM::Role").into_keys();
    elsewhere.extend(roles.map(|name| format!("{name}.Policies")));
    without(template.settings(), &elsewhere)
}

/// The settings of the alarms' template except the alarms and the dashboard.
fn of_monitoring(monitoring: &Template) -> Settings {
    let alarms = monitoring.of_type("AWS::CloudWatch::Alarm").into_keys();
    let mut elsewhere: Vec<String> = alarms.map(|name| format!("{name}.")).collect();
    elsewhere.push("Dashboard.DashboardBody".to_owned());
    without(monitoring.settings(), &elsewhere)
}

/// Everything that is set for each alarm, under the name by which people know it.
fn of_alarms(monitoring: &Template, faults: &mut Vec<String>) -> Settings {
    let all = monitoring.settings();
    let mut found = Settings::new();
    for (name, of) in monitoring.of_type("AWS::CloudWatch::Alarm") {
        let called = shown(&of["AlarmName"]);
        let called = called.trim_start_matches("!Sub ${Stack}-");
        if found.contains_key(&format!("{called}.Type")) {
            faults.push(format!("two alarms are called {called}"));
        }
        let own = format!("{name}.");
        for (place, value) in &all {
            if let Some(property) = place.strip_prefix(&own) {
                found.insert(format!("{called}.{property}"), value.clone());
            }
        }
    }
    found
}

fn expected_alarms() -> Settings {
    let rows = rows(ALARMS);
    let columns = cells(&rows[0]);
    let mut settings = Settings::new();
    for row in &rows[1..] {
        let cells = cells(row);
        assert_eq!(cells.len(), columns.len(), "{ALARMS}: {row}");
        let name = cells[0];
        for (column, cell) in columns.iter().zip(&cells) {
            let value = match *column {
                "AlarmName" => format!("!Sub ${{Stack}}-{cell}"),
                "Dimensions" => {
                    let dimensions: Vec<String> = cell
                        .split(", ")
                        .filter_map(|one| one.split_once('='))
                        .map(|(name, value)| format!("{{Name: {name}, Value: {value}}}"))
                        .collect();
                    format!("[{}]", dimensions.join(", "))
                }
                "ComparisonOperator" => {
                    let known = COMPARISONS.iter().find(|(sign, _)| sign == cell);
                    known.map_or_else(|| (*cell).to_owned(), |(_, name)| (*name).to_owned())
                }
                // What gaps are filled with, and what becomes of data that are missing yet.
                "TreatMissingData" => match cell.split_once(", ") {
                    Some((filled, missing)) => {
                        settings.insert(format!("{name}.Filled"), filled.to_owned());
                        missing.to_owned()
                    }
                    None => (*cell).to_owned(),
                },
                _ => (*cell).to_owned(),
            };
            let before = settings.insert(format!("{name}.{column}"), value);
            assert!(before.is_none(), "{ALARMS} has {name} twice");
        }
        for (property, value) in [
            ("Type", "AWS::CloudWatch::Alarm"),
            ("AlarmActions", "[!Ref Alarms]"),
            ("OKActions", "[!Ref Alarms]"),
        ] {
            settings.insert(format!("{name}.{property}"), value.to_owned());
        }
    }
    settings
}

/// One permission in words.
fn permission([function, effect, action, resource, keys, only_if]: [&str; 6]) -> String {
    format!("{function}: {effect} {action} on {resource}, partition keys {keys}, only if {only_if}")
}

fn expected_permissions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for row in &rows(PERMISSIONS)[1..] {
        let [function, effect, actions, resource, keys, only_if] = cells(row)[..] else {
            panic!("{PERMISSIONS}: {row}");
        };
        for action in actions.split(", ") {
            found.insert(permission([
                function, effect, action, resource, keys, only_if,
            ]));
        }
    }
    found
}

/// The permissions in the roles of the functions.
fn granted(template: &Template, faults: &mut Vec<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for function in template.functions().keys() {
        for (only_if, of) in template.written_statements(function) {
            for name in of.as_object().into_iter().flatten().map(|(name, _)| name) {
                if !["Effect", "Action", "Resource", "Condition"].contains(&name.as_str()) {
                    faults.push(format!(
                        "a statement of {function} has {name}, which no test reads"
                    ));
                }
            }
            let effect = shown(&of["Effect"]);
            let keys = keys(&of["Condition"]);
            let only_if = only_if.unwrap_or_else(|| "-".to_owned());
            for action in each(&of["Action"]) {
                for resource in each(&of["Resource"]) {
                    let (action, resource) = (shown(action), resource_of(resource));
                    found.insert(permission([
                        function, &effect, &action, &resource, &keys, &only_if,
                    ]));
                }
            }
        }
    }
    found
}

/// A condition on partition keys in words; any other as it is.
fn keys(condition: &Value) -> String {
    if condition.is_null() {
        return "-".to_owned();
    }
    let in_words = || {
        let of = condition.as_object().filter(|of| of.len() == 1)?;
        let (operator, of) = of.iter().next()?;
        let (_, words) = KEYS.iter().find(|(known, _)| known == operator)?;
        let keys = of.as_object().filter(|of| of.len() == 1)?;
        let patterns = keys.get("dynamodb:LeadingKeys")?.as_array()?.iter();
        let mut patterns = patterns.map(Value::as_str).collect::<Option<Vec<&str>>>()?;
        patterns.sort_unstable();
        Some(format!("{words} {}", patterns.join(" ")))
    };
    in_words().unwrap_or_else(|| shown(condition))
}
