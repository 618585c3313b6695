//! The layers: which crates may need which others, and which words stay out of which folders.

use end_to_end::sources::{read, relative_sources};
use std::collections::{BTreeMap, BTreeSet};

/// The places of a folder's files that name one of these words, except files below `except`.
fn naming(files: &[(String, String)], words: &[&str], except: &[&str]) -> Vec<String> {
    let is_left_out = |path: &str| except.iter().any(|of| path.starts_with(of));
    let files = files.iter().filter(|(path, _)| !is_left_out(path));
    files
        .flat_map(|(path, text)| {
            let named = words.iter().filter(|word| text.contains(**word));
            named.map(move |word| format!("{path} names {word}"))
        })
        .collect()
}

fn assert_none_names(folders: &[&str], words: &[&str], except: &[&str]) {
    let named = naming(&relative_sources("", folders), words, except);
    assert!(named.is_empty(), "{named:#?}");
}

/// The folders of the crates of a workspace.
pub(crate) fn members(manifest: &str) -> Vec<String> {
    let list = manifest
        .split_once("members = [")
        .map_or("", |(_, rest)| rest);
    let list = list.split(']').next().unwrap_or_default();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The place of a crate in the order of layers: it may need only crates of lower layers.
fn layer(member: &str) -> Option<u8> {
    match member {
        "shared/endpoint" => Some(0),
        "shared" => Some(1),
        function if function.starts_with("functions/") => Some(2),
        "infra/local" => Some(3),
        program if program.starts_with("infra/") => Some(4),
        "tests" => Some(5),
        _ => None,
    }
}

/// The name of a package and the names in its lists of dependencies.
fn package(manifest: &str) -> (&str, Vec<&str>) {
    let (mut name, mut needs, mut section) = ("", Vec::new(), "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[package]" && line.starts_with("name = ") {
            name = line.split('"').nth(1).unwrap_or_default();
        } else if section.ends_with("dependencies]") {
            let end = line.find(['.', ' ', '=']).unwrap_or(0);
            needs.push(&line[..end]);
        }
    }
    (name, needs)
}

/// The dependencies that do not go down, given the folder and the manifest of each crate.
fn not_downward(crates: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let layers: BTreeMap<&str, u8> = crates
        .iter()
        .filter_map(|(member, manifest)| Some((package(manifest).0, layer(member)?)))
        .collect();
    for (member, manifest) in crates {
        let Some(own) = layer(member) else {
            wrong.push(format!("{member} is in no layer"));
            continue;
        };
        for needed in package(manifest).1 {
            if layers.get(needed).is_some_and(|layer| *layer >= own) {
                wrong.push(format!("{member} needs {needed}"));
            }
        }
    }
    wrong
}

#[test]
fn crates_need_only_crates_of_lower_layers() {
    let crates: Vec<_> = members(&read("Cargo.toml"))
        .into_iter()
        .map(|member| {
            let manifest = read(&format!("{member}/Cargo.toml"));
            (member, manifest)
        })
        .collect();
    assert!(crates.len() > 8, "{crates:?}");
    let wrong = not_downward(&crates);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_knows_no_other_layer_and_neither_aws_nor_time_nor_chance_nor_async() {
    let words = [
        "aws_",
        "lambda_",
        "Timestamp::now",
        "SystemTime",
        "Instant",
        "getrandom",
        "tokio",
        "async fn",
        "std::env",
        "crate::store",
        "crate::runtime",
        "crate::ledger",
        "crate::http",
    ];
    assert_none_names(&["shared/src/domain"], &words, &[]);
}

#[test]
fn only_the_store_knows_dynamodb() {
    let words = [
        "AttributeValue",
        "update_expression",
        "condition_expression",
        "begins_with(",
        "aws_sdk_dynamodb::types",
    ];
    let store = ["shared/src/store"];
    assert_none_names(&["functions", "shared/src"], &words, &store);
    let folders = ["functions", "shared/src/domain"];
    assert_none_names(&folders, &["aws_sdk_dynamodb"], &[]);
}

/// The names of the functions that are defined in these files.
fn defined(files: &[(String, String)]) -> BTreeSet<&str> {
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    let names = lines.filter_map(|line| line.split_once("fn ")?.1.split_once(['(', '<']));
    names.map(|(name, _)| name).collect()
}

/// The calls of methods that are defined only in `above`.
fn calls_up(above: &[(String, String)], below: &[(String, String)]) -> Vec<String> {
    let own = defined(below);
    let only_above = defined(above)
        .into_iter()
        .filter(|name| !own.contains(name));
    let calls: Vec<String> = only_above.map(|name| format!("self.{name}(")).collect();
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let in_one_line = |text: &str| text.split_whitespace().collect();
    let below = below
        .iter()
        .map(|(path, text)| (path.clone(), in_one_line(text)));
    naming(&below.collect::<Vec<_>>(), &calls, &[])
}

#[test]
fn the_store_calls_no_use_case() {
    let store = ["shared/src/store"];
    assert_none_names(&store, &["crate::ledger", "crate::runtime"], &[]);
    // Use cases are methods of `Store` too, so no path names their layer.
    let [above, below] =
        ["shared/src/ledger", "shared/src/store"].map(|folder| relative_sources("", &[folder]));
    assert!(defined(&above).contains("close_month"));
    let wrong = calls_up(&above, &below);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_call_of_a_method_above_is_found() {
    let file = |text: &str| [("a.rs".to_owned(), text.to_owned())];
    let above = file("pub async fn close_month(&self) {}\nfn item<T>() {}");
    let below = file("fn item() {}\nfn f() { self.item(); }");
    assert!(calls_up(&above, &below).is_empty());
    let below = file("fn f() { self\n  .close_month(\"acme\"); }");
    assert_eq!(calls_up(&above, &below), ["a.rs names self.close_month("]);
}

#[test]
fn no_suite_asks_the_computer_for_the_date() {
    let words = ["Timestamp::now", "SystemTime", "System::start"];
    let except = ["tests/tests/architecture/", "tests/src/lib.rs"];
    assert_none_names(&["tests/tests", "tests/src"], &words, &except);
    let harness = read("tests/src/lib.rs");
    assert_eq!(harness.matches("System::start").count(), 1);
    assert!(!harness.contains("Timestamp::now") && !harness.contains("SystemTime"));
}

#[test]
fn no_float_is_near_money() {
    assert_none_names(&["shared/src", "functions"], &["f64", "f32"], &[]);
}

#[test]
fn every_route_of_a_function_is_an_endpoint_with_a_rule_of_access() {
    // The API's answers for paths of other functions are no endpoints.
    assert_none_names(&["functions"], &[".route("], &["functions/api/src/lib.rs"]);
    let api = read("functions/api/src/lib.rs");
    assert_eq!(api.matches(".route(").count(), 1);
}

#[test]
fn preflight_knows_no_mail_and_no_bus() {
    let manifest = read("functions/preflight/Cargo.toml");
    let (_, needs) = package(&manifest);
    assert!(needs.contains(&"shared"), "{needs:?}");
    let is_forbidden = |name: &&str| name.contains("eventbridge") || name.contains("ses");
    assert!(!needs.iter().any(is_forbidden), "{needs:?}");
}

#[test]
fn a_forbidden_word_is_found_if_its_file_is_not_left_out() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("a/b.rs", "use tokio::x;"),
        file("a/c/d.rs", "async fn f()"),
    ];
    let words = ["tokio", "async fn"];
    let found = naming(&files, &words, &[]);
    assert_eq!(found, ["a/b.rs names tokio", "a/c/d.rs names async fn"]);
    assert_eq!(naming(&files, &words, &["a/c"]), ["a/b.rs names tokio"]);
}

#[test]
fn a_dependency_on_the_same_or_a_higher_layer_is_found() {
    let file = |member: &str, name: &str, needs: &str| {
        let manifest = format!("[package]\nname = \"{name}\"\n[dependencies]\n{needs}");
        (member.to_owned(), manifest)
    };
    let crates = [
        file("shared", "shared", "serde = \"1\""),
        file("functions/a", "a", "shared.workspace = true"),
        file("functions/b", "b", "shared = { workspace = true }\n"),
        file("infra/local", "local", "a.workspace = true"),
        file("infra/cli", "program", "local.workspace = true"),
    ];
    assert!(not_downward(&crates).is_empty());
    let wrong = [
        file("functions/b", "b", "a = { workspace = true }"),
        file(
            "infra/local",
            "local",
            "\n[dev-dependencies]\nprogram.workspace = true",
        ),
        file("other", "other", ""),
    ];
    let all = [&crates[..2], &crates[4..], &wrong[..]].concat();
    let expected = [
        "functions/b needs a",
        "infra/local needs program",
        "other is in no layer",
    ];
    assert_eq!(not_downward(&all), expected);
}

#[test]
fn members_are_read_from_their_list() {
    let manifest = "[workspace]\nmembers = [\n  \"a/b\",\n  \"c\",\n]\ndefault-members = [\"d\"]\n";
    assert_eq!(members(manifest), ["a/b", "c"]);
}
