//! The deployment template, read as CloudFormation reads it.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use yaml_serde::Value as Yaml;

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
    /// `dynamodb:GetItem`, ...
    pub actions: Vec<String>,
    /// The name of a resource of the template where it is one (`Counters`, `EventsQueue`), what it says otherwise.
    pub resources: Vec<String>,
    /// What the partition keys have to be like.
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
        functions
            .map(|(name, of)| (name.trim_end_matches("Function").to_lowercase(), of))
            .collect()
    }

    /// Every statement of a function's role.
    pub fn statements(&self, function: &str) -> Vec<Statement> {
        let functions = self.functions();
        let Some(role) = functions.get(function).and_then(|of| name_of(&of["Role"])) else {
            return Vec::new();
        };
        let policies = &self.document["Resources"][&role]["Properties"]["Policies"];
        let documents = each(policies).map(|policy| &policy["PolicyDocument"]["Statement"]);
        documents.flat_map(each).filter_map(statement).collect()
    }

    /// Whether a function may do this to a table, an index or a queue of the template, in partitions such as `org#record#id`. Those
    /// of a transaction are looked at together, which is at least as strict as one after the other.
    pub fn may(&self, function: &str, action: &str, resource: &str, partitions: &[&str]) -> bool {
        let statements = self.statements(function);
        let applies = |of: &&Statement| of.applies(action, resource, partitions);
        let applying: Vec<&Statement> = statements.iter().filter(applies).collect();
        !applying.is_empty() && applying.iter().all(|of| of.is_allowed)
    }

    /// The routes that lead to a function, each as its method and path.
    pub fn routes(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for api in self.of_type("AWS::Serverless::HttpApi").values() {
            let paths = api["DefinitionBody"]["paths"].as_object();
            for (path, operations) in paths.into_iter().flatten() {
                for (method, operation) in operations.as_object().into_iter().flatten() {
                    let uri = operation["x-amazon-apigateway-integration"]["uri"].to_string();
                    let leads = self
                        .of_type("AWS::Serverless::Function")
                        .into_keys()
                        .any(|name| uri.contains(name));
                    if leads {
                        found.insert((method.to_uppercase(), path.clone()));
                    }
                }
            }
        }
        for function in self.functions().values() {
            for event in function["Events"].as_object().into_iter().flatten() {
                let of = &event.1["Properties"];
                if let (Some(method), Some(path)) = (of["Method"].as_str(), of["Path"].as_str()) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
        found
    }
}

/// The resource that a value refers to: `Counters` of `!GetAtt Counters.Arn`, `!Ref Counters` or `!Sub ${Counters.Arn}/index/x`.
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

fn statement(of: &Value) -> Option<Statement> {
    let effect = of["Effect"].as_str()?;
    let actions = each(&of["Action"]).filter_map(Value::as_str);
    let resource = |value: &Value| {
        let said = value["Fn::Sub"].as_str().or_else(|| value.as_str());
        let said = said.map(|text| text.replace(".Arn}", "").replace("${", ""));
        name_of(value).or(said).unwrap_or_else(|| value.to_string())
    };
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
        resources: each(&of["Resource"]).map(resource).collect(),
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
}
