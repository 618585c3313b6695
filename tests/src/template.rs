//! The deployment template, read as CloudFormation reads it.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use yaml_serde::Value as Yaml;

/// The method and path of the default route, as [`Template::routes`] has them.
pub const DEFAULT_ROUTE: (&str, &str) = ("ANY", "$default");

/// A template with its resources by name.
#[derive(Clone, Debug)]
pub struct Template {
    /// The whole document as JSON; `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`.
    pub document: Value,
}

/// A statement of a role.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Whether it allows or denies.
    pub is_allowed: bool,
    /// Actions such as `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// Its resources, as [`resource_of`] names them.
    pub resources: Vec<String>,
    /// The patterns that partition keys must match.
    pub partitions: Option<Partitions>,
}

/// A condition on partition keys.
#[derive(Clone, Debug)]
pub struct Partitions {
    patterns: Vec<String>,
    /// Whether a key has to match one of the patterns, or none.
    has_to_match: bool,
    /// Whether one key is enough, or each has to.
    is_any: bool,
}

impl Partitions {
    /// Whether one key that fits is enough.
    pub fn is_any(&self) -> bool {
        self.is_any
    }

    fn hold(&self, keys: &[&str]) -> bool {
        let fits = |key: &&str| {
            let matches = self.patterns.iter().any(|pattern| is_like(pattern, key));
            matches == self.has_to_match
        };
        // A call without keys fulfils "each" and not "any", as in IAM.
        if self.is_any {
            keys.iter().any(fits)
        } else {
            keys.iter().all(fits)
        }
    }
}

impl Statement {
    /// Whether it is about this.
    pub fn applies(&self, action: &str, resource: &str, partitions: &[&str]) -> bool {
        let known = self.partitions.as_ref();
        self.actions.iter().any(|known| is_like(known, action))
            && self.resources.iter().any(|known| is_like(known, resource))
            && known.is_none_or(|known| known.hold(partitions))
    }
}

impl Template {
    /// Reads a template's text.
    pub fn parse(text: &str) -> Self {
        let yaml: Yaml = yaml_serde::from_str(text).unwrap();
        Self {
            document: json_of(yaml),
        }
    }

    /// The resources of a type by name.
    pub fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.document["Resources"].as_object().unwrap();
        let of = resources.iter().filter(|(_, of)| of["Type"] == kind);
        of.map(|(name, of)| (name.as_str(), &of["Properties"]))
            .collect()
    }

    /// The functions by the names that the code has for them: `preflight`.
    pub fn functions(&self) -> BTreeMap<String, &Value> {
        let functions = self.of_type("AWS::Serverless::Function").into_iter();
        functions.map(|(name, of)| (code_name(name), of)).collect()
    }

    /// Every statement of a function's role.
    pub fn statements(&self, function: &str) -> Vec<Statement> {
        let written = self.written_statements(function).into_iter();
        written.filter_map(|(_, of)| statement(of)).collect()
    }

    /// The same as they are written, each with the condition of the template without which it is
    /// not there.
    pub fn written_statements(&self, function: &str) -> Vec<(Option<String>, &Value)> {
        let functions = self.functions();
        let Some(role) = functions.get(function).and_then(|of| name_of(&of["Role"])) else {
            return Vec::new();
        };
        let policies = &self.document["Resources"][&role]["Properties"]["Policies"];
        let mut found = Vec::new();
        for statements in each(policies).map(|policy| &policy["PolicyDocument"]["Statement"]) {
            for item in statements.as_array().into_iter().flatten() {
                let choice = &item["Fn::If"];
                match choice[0].as_str() {
                    Some(condition) => {
                        found.push((Some(condition.to_owned()), &choice[1]));
                        found.push((Some(format!("not {condition}")), &choice[2]));
                    }
                    None => found.push((None, item)),
                }
            }
        }
        found.retain(|(_, of)| of["Ref"] != "AWS::NoValue");
        found
    }

    /// Everything that is set, as text by its place: `EventsQueue.VisibilityTimeout` is a property
    /// of a resource, `EventsQueue.DeletionPolicy` an attribute. A resource that has a property
    /// `Type` has its properties under `Properties`: `Record.Properties.Type`. The place of
    /// anything else begins with its section: `Parameters.LogLevel.Default`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (section, of) in self.document.as_object().unwrap() {
            if section != "Resources" {
                flatten(section.clone(), of, &mut found);
                continue;
            }
            for (name, resource) in of.as_object().unwrap() {
                for (attribute, value) in resource.as_object().unwrap() {
                    let place = match attribute.as_str() {
                        "Properties" if value["Type"].is_null() => name.clone(),
                        attribute => format!("{name}.{attribute}"),
                    };
                    flatten(place, value, &mut found);
                }
            }
        }
        found
    }

    /// Whether a function may do this to a table, an index or a queue of the template, in
    /// partitions such as `org#record#id`. Those of a transaction are looked at together, which is
    /// at least as strict as one after the other.
    pub fn may(&self, function: &str, action: &str, resource: &str, partitions: &[&str]) -> bool {
        let statements = self.statements(function);
        let applies = |of: &&Statement| of.applies(action, resource, partitions);
        let applying: Vec<&Statement> = statements.iter().filter(applies).collect();
        !applying.is_empty() && applying.iter().all(|of| of.is_allowed)
    }

    /// The routes that lead to each function, each as its method and path; the default route takes
    /// what no other one does, and is [`DEFAULT_ROUTE`].
    pub fn routes(&self) -> BTreeMap<String, BTreeSet<(String, String)>> {
        let mut found: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for api in self.of_type("AWS::Serverless::HttpApi").values() {
            let paths = api["DefinitionBody"]["paths"].as_object();
            for (path, operations) in paths.into_iter().flatten() {
                for (method, operation) in operations.as_object().into_iter().flatten() {
                    let uri = operation["x-amazon-apigateway-integration"]["uri"].to_string();
                    let functions = self.of_type("AWS::Serverless::Function");
                    let (method, path) = match operation["isDefaultRoute"] == true {
                        true => DEFAULT_ROUTE,
                        false => (method.as_str(), path.as_str()),
                    };
                    if let Some(name) = functions.into_keys().find(|name| uri.contains(*name)) {
                        let routes = found.entry(code_name(name)).or_default();
                        routes.insert((method.to_uppercase(), path.to_owned()));
                    }
                }
            }
        }
        found
    }
}

/// The code's name of a function of the template: `preflight`.
fn code_name(function: &str) -> String {
    function.trim_end_matches("Function").to_lowercase()
}

/// The resource that a value refers to: `Counters` of `!GetAtt Counters.Arn`, `!Ref Counters` or
/// `!Sub ${Counters.Arn}/index/x`.
pub fn name_of(value: &Value) -> Option<String> {
    if let Some(name) = value["Ref"].as_str() {
        return Some(name.to_owned());
    }
    let name = value["Fn::GetAtt"].as_str()?;
    Some(name.split('.').next().unwrap_or(name).to_owned())
}

/// The items of a list, or the one thing that stands for it; of a choice, both.
pub fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let items: Vec<&Value> = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    items.into_iter().flat_map(|item| match &item["Fn::If"] {
        Value::Array(choice) => choice[1..].iter().collect::<Vec<_>>(),
        _ => vec![item],
    })
}

/// The subject of a statement: `Counters` of `!GetAtt Counters.Arn`, `Ledger/index/x` of `!Sub
/// ${Ledger.Arn}/index/x`; its own text if it names no resource of the template by its ARN.
pub fn resource_of(value: &Value) -> String {
    let attribute = value["Fn::GetAtt"].as_str();
    if let Some(name) = attribute.and_then(|of| of.strip_suffix(".Arn")) {
        return name.to_owned();
    }
    let Some(text) = value["Fn::Sub"].as_str().or_else(|| value.as_str()) else {
        return shown(value);
    };
    let of_resource = text
        .strip_prefix("${")
        .and_then(|of| of.split_once(".Arn}"));
    of_resource.map_or_else(|| text.to_owned(), |(name, rest)| format!("{name}{rest}"))
}

/// A value in one line, as the template writes it: `[allow, deny]`, `!Ref Counters`. A text that
/// could be taken for something else is in quotes.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(of) => match function_of(value) {
            Some((name, of)) => format!("!{name} {}", shown(of)),
            None => {
                let parts: BTreeMap<&String, String> =
                    of.iter().map(|(name, of)| (name, shown(of))).collect();
                let parts = parts.into_iter().map(|(name, of)| format!("{name}: {of}"));
                format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
            }
        },
        other => other.to_string(),
    }
}

fn shown_text(text: &str) -> String {
    let is_another = matches!(
        serde_json::from_str(text),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_))
    );
    let is_plain = !text.is_empty()
        && !text.contains('\n')
        && !text.starts_with(['[', '!', '"', ' '])
        && !text.ends_with(' ')
        && !is_another;
    match is_plain {
        true => text.to_owned(),
        false => json!(text).to_string(),
    }
}

/// The name and the argument of a function of CloudFormation: `Ref`, `Sub`, ...
fn function_of(value: &Value) -> Option<(&str, &Value)> {
    let of = value.as_object().filter(|of| of.len() == 1)?;
    let (name, argument) = of.iter().next()?;
    let is_function = match name.as_str() {
        "Ref" => true,
        "Condition" => argument.is_string(),
        name => name.starts_with("Fn::"),
    };
    is_function.then(|| (name.trim_start_matches("Fn::"), argument))
}

fn flatten(place: String, value: &Value, into: &mut BTreeMap<String, String>) {
    match value.as_object() {
        Some(of) if !of.is_empty() && function_of(value).is_none() => {
            for (name, value) in of {
                flatten(format!("{place}.{name}"), value, into);
            }
        }
        _ => {
            let before = into.insert(place.clone(), shown(value));
            assert!(before.is_none(), "{place} is set twice");
        }
    }
}

fn statement(of: &Value) -> Option<Statement> {
    let effect = of["Effect"].as_str()?;
    let actions = each(&of["Action"]).filter_map(Value::as_str);
    let condition = of["Condition"].as_object().and_then(|of| of.iter().next());
    let partitions = condition.map(|(operator, of)| {
        let patterns = each(&of["dynamodb:LeadingKeys"]).filter_map(Value::as_str);
        Partitions {
            patterns: patterns.map(str::to_owned).collect(),
            has_to_match: !operator.ends_with("NotLike"),
            is_any: operator.starts_with("ForAnyValue"),
        }
    });
    Some(Statement {
        is_allowed: effect == "Allow",
        actions: actions.map(str::to_owned).collect(),
        resources: each(&of["Resource"]).map(resource_of).collect(),
        partitions,
    })
}

/// Whether a text is like a pattern in which `*` stands for anything, as IAM's `StringLike`.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| is_like(rest, &text[at..]))
}

fn json_of(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(of) => json!(of),
        Yaml::Number(of) => serde_json::to_value(of).unwrap(),
        Yaml::String(of) => json!(of),
        Yaml::Sequence(of) => Value::Array(of.into_iter().map(json_of).collect()),
        Yaml::Mapping(of) => {
            let text = |key: Yaml| match key {
                Yaml::String(key) => key,
                key => yaml_serde::to_string(&key).unwrap().trim().to_owned(),
            };
            let of = of.into_iter().map(|(key, of)| (text(key), json_of(of)));
            Value::Object(of.collect::<Map<_, _>>())
        }
        Yaml::Tagged(of) => {
            let tag = of.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let name = match tag {
                "Ref" | "Condition" => tag.to_owned(),
                tag => format!("Fn::{tag}"),
            };
            Value::Object(Map::from_iter([(name, json_of(of.value))]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_iam_do() {
        for (pattern, text, expected) in [
            ("*#audit", "org#audit", true),
            ("*#audit", "org#audits", false),
            ("@key#*", "@key#id", true),
            ("*#*", "org", false),
            ("*#total#*", "org#total#id", true),
            ("Counters", "Counters", true),
            ("Counters", "Counter", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn everything_that_is_set_has_a_place_and_a_text() {
        let template = Template::parse(
            "
Parameters:
  Level: {Type: String, AllowedValues: ['true', warn], Default: ''}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    Properties:
      VisibilityTimeout: 360
      Redrive: {target: !GetAtt Dead.Arn, none: []}
      Policies: !If [IsOpen, [{Name: !Sub '${Queue}-1', At: 1}], !Ref AWS::NoValue]
",
        );
        let expected = [
            ("Parameters.Level.AllowedValues", "[\"true\", warn]"),
            ("Parameters.Level.Default", "\"\""),
            ("Parameters.Level.Type", "String"),
            ("Queue.DeletionPolicy", "Retain"),
            (
                "Queue.Policies",
                "!If [IsOpen, [{At: 1, Name: !Sub ${Queue}-1}], !Ref AWS::NoValue]",
            ),
            ("Queue.Redrive.none", "[]"),
            ("Queue.Redrive.target", "!GetAtt Dead.Arn"),
            ("Queue.Type", "AWS::SQS::Queue"),
            ("Queue.VisibilityTimeout", "360"),
        ];
        let expected = expected.map(|(place, value)| (place.to_owned(), value.to_owned()));
        assert_eq!(template.settings(), BTreeMap::from(expected));
    }

    #[test]
    fn only_an_arn_names_a_resource() {
        for (value, expected) in [
            (json!({"Fn::GetAtt": "Queue.Arn"}), "Queue"),
            (
                json!({"Fn::GetAtt": "Queue.QueueName"}),
                "!GetAtt Queue.QueueName",
            ),
            (json!({"Ref": "Table"}), "!Ref Table"),
            (
                json!({"Fn::Sub": "${Table.Arn}/index/day"}),
                "Table/index/day",
            ),
            (
                json!({"Fn::Sub": "arn:${AWS::Partition}:s3:::${Bucket}/*"}),
                "arn:${AWS::Partition}:s3:::${Bucket}/*",
            ),
            (json!("*"), "*"),
        ] {
            assert_eq!(resource_of(&value), expected);
        }
    }
}
