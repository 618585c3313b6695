//! How a table of wrong requests is read.

use end_to_end::{ADMIN, Answer, OPERATOR, World};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// A request of a table and its answer.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    body: Option<BTreeMap<String, Box<RawValue>>>,
    pub(super) text: String,
    pub(super) expected: String,
    pub(super) fields: BTreeSet<String>,
}

/// A section begins with a right request. Each line under it describes the change that makes
/// it wrong (`-field`, `field=value`, `?query`, `/path`, a header, or `.` for nothing), the status,
/// and the fields in `details`.
/// `<a65>` stands for 65 times `a`, `<budget>` for an id.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) right: Line,
    pub(super) wrong: Vec<Line>,
}

impl Line {
    fn of_header(text: &str) -> Self {
        let mut parts = text.splitn(3, ' ');
        let mut part = || parts.next().map(str::to_owned);
        Self {
            method: part().unwrap(),
            path: part().unwrap(),
            headers: Vec::new(),
            body: part().map(|body| serde_json::from_str(&body).unwrap()),
            text: text.to_owned(),
            expected: String::new(),
            fields: BTreeSet::new(),
        }
    }

    fn changed(&self, text: &str) -> Self {
        let (changes, expected) = text.trim().rsplit_once(" => ").unwrap();
        let mut expected = expected.split_whitespace().map(str::to_owned);
        let mut line = self.clone();
        line.text = format!("{} {} with {text}", self.method, self.path);
        line.text.truncate(200);
        line.expected = expected.next().unwrap();
        line.fields = expected.collect();
        for change in changes.split(" ; ") {
            line.change(change);
        }
        line
    }

    fn change(&mut self, change: &str) {
        let is_header = change.starts_with("If-Match: ") || change.starts_with("Idempotency-Key: ");
        if let Some(query) = change.strip_prefix('?') {
            self.path = format!("{}?{query}", self.path);
        } else if change.starts_with('/') {
            change.clone_into(&mut self.path);
        } else if is_header {
            let (name, value) = change.split_once(": ").unwrap();
            self.headers.push((name.to_owned(), value.to_owned()));
        } else if let Some(name) = change.strip_prefix('-') {
            let removed = self.body.as_mut().unwrap().remove(name);
            assert!(removed.is_some(), "{name} was not there");
        } else {
            let (name, value) = change.split_once('=').unwrap();
            let value = RawValue::from_string(value.to_owned()).unwrap();
            self.body.as_mut().unwrap().insert(name.to_owned(), value);
        }
    }

    pub(super) fn key(&self) -> &'static str {
        if self.path.starts_with("/v1/organisations") {
            OPERATOR
        } else {
            ADMIN
        }
    }

    pub(super) fn json(&self) -> String {
        self.body
            .as_ref()
            .map_or(String::new(), |body| serde_json::to_string(body).unwrap())
    }

    pub(super) async fn send(&self, world: &World) -> Answer {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        world
            .raw(self.key(), &self.method, &self.path, &headers, self.json())
            .await
    }
}

pub(super) fn sections(table: &str, ids: &BTreeMap<&str, String>) -> Vec<Section> {
    let mut out: Vec<Section> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let line = expanded(line, ids);
        if line.starts_with(' ') {
            let section = out.last_mut().unwrap();
            section.wrong.push(section.right.changed(&line));
        } else {
            out.push(Section {
                right: Line::of_header(&line),
                wrong: Vec::new(),
            });
        }
    }
    out
}

fn expanded(line: &str, ids: &BTreeMap<&str, String>) -> String {
    let mut line = line.to_owned();
    for (name, id) in ids {
        line = line.replace(&format!("<{name}>"), id);
    }
    while let Some((before, rest)) = line.split_once("<a") {
        let (count, after) = rest.split_once('>').unwrap();
        line = format!("{before}{}{after}", "a".repeat(count.parse().unwrap()));
    }
    line
}
