//! The boundaries of the code, read from its text: layers, circles of imports and lengths.

mod circles;
mod layers;
mod lengths;
mod roads;
mod text;

use end_to_end::sources::{read, relative_sources};
use std::collections::BTreeMap;

const EXCEPTIONS: &str = "tests/data/architecture.txt";
const FOLDERS: [&str; 4] = ["shared", "functions", "infra", "tests"];

/// Compares findings with the listed exceptions; both are keys, a finding also has its number.
/// An exception that is no longer found is wrong, too, so that the list can only shrink.
fn differences(found: &BTreeMap<String, usize>, exceptions: &str) -> Vec<String> {
    let listed: Vec<&str> = exceptions
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let new = found
        .iter()
        .filter(|(key, _)| !listed.contains(&key.as_str()));
    let new = new.map(|(key, number)| format!("{key}: {number}"));
    let over = listed.iter().filter(|key| !found.contains_key(**key));
    let over = over.map(|key| format!("{key}: is within the limits, delete its line"));
    new.chain(over).collect()
}

/// The exceptions of some kinds.
fn exceptions(kinds: &[&str]) -> String {
    let text = read(EXCEPTIONS);
    let is_one = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
    text.lines().filter(is_one).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut found = BTreeMap::new();
    for (path, text) in relative_sources("", &FOLDERS) {
        found.extend(lengths::too_long(&path, &text));
    }
    let wrong = differences(&found, &exceptions(&["file ", "function ", "columns "]));
    assert!(wrong.is_empty(), "see {EXCEPTIONS}:\n{}", wrong.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut found = BTreeMap::new();
    for member in layers::members(&read("Cargo.toml")) {
        let name = member.rsplit('/').next().unwrap_or_default();
        let sources = relative_sources(&format!("{member}/src/"), &[""]);
        let circles = circles::circles(name, &sources).into_iter();
        found.extend(circles.map(|circle| {
            let modules = circle.split(' ').count() - 2;
            (circle, modules)
        }));
    }
    let wrong = differences(&found, &exceptions(&["circle "]));
    assert!(wrong.is_empty(), "see {EXCEPTIONS}:\n{}", wrong.join("\n"));
}

#[test]
fn an_exception_is_listed_if_and_only_if_it_is_one() {
    let found = BTreeMap::from([("file a.rs".to_owned(), 301)]);
    assert!(differences(&found, "# why\nfile a.rs\n").is_empty());
    assert_eq!(differences(&found, "# file a.rs\n"), ["file a.rs: 301"]);
    let over = differences(&found, "file a.rs\nfile b.rs");
    assert_eq!(over, ["file b.rs: is within the limits, delete its line"]);
}
