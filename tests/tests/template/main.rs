//! The deployment template says what the code needs, and nothing else; each mistake that could be
//! in it is found.

mod alarms;
mod cors;
mod expected;
mod faults;
mod planted;
mod rules;
mod tour;
mod transactions;

use end_to_end::routes::routes_by_function;
use end_to_end::sources::{read, relative_sources};
use end_to_end::template::Template;
use faults::{Deployed, FUNCTIONS};
use shared::runtime::logs::ErrorType;
use std::collections::{BTreeMap, BTreeSet};

/// The settings that a source reads: its texts that are written as `TOKEN_KEY`.
fn settings_in(path: &str) -> BTreeSet<String> {
    let is_setting =
        |text: &&str| text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let source = read(path);
    let texts = source.split('"').filter(is_setting);
    texts.map(str::to_owned).collect()
}

fn deployed() -> Deployed {
    let mut of_all = settings_in("shared/src/runtime/settings.rs");
    of_all.extend(settings_in("shared/src/runtime/logs.rs"));
    assert_eq!(of_all.len(), 6, "{of_all:?}");
    let mut settings = BTreeMap::new();
    for function in FUNCTIONS {
        let own = settings_in(&format!("functions/{function}/src/main.rs"));
        assert!(!own.is_empty(), "{function} reads nothing");
        settings.insert(function.to_owned(), &own | &of_all);
    }
    Deployed {
        template: read("template.yaml"),
        monitoring: read("infra/monitoring.yaml"),
        runbook: read("docs/runbook.md"),
        deployment: read("docs/deployment.md"),
        routes: routes_by_function(),
        settings,
    }
}

#[test]
fn nothing_is_wrong_with_the_template() {
    let faults = deployed().faults();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn everything_is_set_as_the_tables_say_and_nothing_else_is() {
    let differences = expected::differences(&deployed());
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn roles_are_read_as_iam_reads_them() {
    let template = Template::parse(&read("template.yaml"));
    for (function, action, resource, partition, expected) in [
        ("preflight", "UpdateItem", "Counters", "org.id", true),
        ("preflight", "GetItem", "Governance", "org", true),
        ("preflight", "GetItem", "Audit", "org", false),
        ("preflight", "GetItem", "Governance", "@key#id", true),
        ("preflight", "Query", "Governance", "@key#id", false),
        (
            "preflight",
            "PutItem",
            "Ledger",
            "org#resolution#id org#abandoned#id",
            true,
        ),
        (
            "preflight",
            "UpdateItem",
            "Ledger",
            "org#total#id org#usage#id",
            true,
        ),
        (
            "preflight",
            "PutItem",
            "Ledger",
            "org#resolution#id org#record#id",
            false,
        ),
        ("api", "PutItem", "Governance", "org @key#id", true),
        ("api", "PutItem", "Audit", "org", true),
        ("api", "DeleteItem", "Governance", "org @key#id", true),
        ("api", "DeleteItem", "Governance", "org @operator", false),
        ("api", "DeleteItem", "Audit", "org", false),
        ("api", "UpdateItem", "Governance", "org#requests", true),
        ("api", "UpdateItem", "Governance", "org", false),
        (
            "api",
            "UpdateItem",
            "Ledger",
            "org#correction#id org#total#id org#usage#id org#models#id",
            true,
        ),
        ("api", "Query", "Ledger/index/by_day", "", true),
        ("ingest", "Query", "Ledger/index/by_day", "", false),
        ("ingest", "PutItem", "Ledger", "org#record#id", true),
        ("ingest", "PutItem", "Ledger", "org#usage#id", false),
        (
            "evaluate",
            "PutItem",
            "Ledger",
            "org#record#id org#resolution#id",
            true,
        ),
        ("evaluate", "PutItem", "Governance", "org", true),
        ("evaluate", "PutItem", "Audit", "org", true),
        ("evaluate", "Query", "Audit", "org", false),
        ("evaluate", "PutItem", "Governance", "@key#id", false),
        ("reset", "PutItem", "Ledger", "org#resolution#id", true),
        ("reset", "UpdateItem", "Ledger", "org#total#id", true),
        ("reset", "UpdateItem", "Ledger", "org#usage#id", true),
        ("reset", "PutItem", "Governance", "org", true),
        ("reset", "Query", "Audit", "org", true),
        ("reset", "Query", "Governance", "@organisations", true),
        ("reset", "GetItem", "Governance", "@key#id", false),
        ("notify", "PutItem", "Governance", "org", true),
        ("notify", "PutItem", "Audit", "org", false),
    ] {
        let action = format!("dynamodb:{action}");
        let found = template.may(function, &action, resource, &faults::keys(partition));
        assert_eq!(
            found, expected,
            "{function} {action} {resource} {partition}"
        );
    }
}

#[test]
fn every_error_type_in_the_code_is_one_that_has_an_alarm() {
    let known: BTreeSet<&str> = ErrorType::ALL.iter().map(|of| of.as_str()).collect();
    let mut found = BTreeSet::new();
    for (path, source) in relative_sources("", &["functions", "shared/src"]) {
        for written in source.split("error_type = \"").skip(1) {
            let name = written.split('"').next().unwrap();
            assert!(known.contains(name), "{path}: {name}");
            found.insert(name.to_owned());
        }
        for written in source.split("ErrorType::").skip(1) {
            let name: String = written
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            let of = ErrorType::ALL.iter().find(|of| format!("{of:?}") == name);
            found.extend(of.map(|of| of.as_str().to_owned()));
        }
    }
    let unused: Vec<_> = known
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(unused.is_empty(), "nothing reports {unused:?}");
}
