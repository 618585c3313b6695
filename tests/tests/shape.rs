//! The boundaries of the code, read from its text.

use end_to_end::sources::{read, sources};

fn none_names(folders: &[&str], forbidden: &[&str], except: &[&str]) {
    for (path, text) in sources(folders) {
        if except.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for word in forbidden {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn the_domain_knows_neither_aws_nor_time_nor_chance_nor_async() {
    let forbidden = [
        "aws_",
        "Timestamp::now",
        "getrandom",
        "tokio",
        "async fn",
        "std::env",
        "crate::store",
        "crate::runtime",
    ];
    none_names(&["shared/src/domain"], &forbidden, &[]);
}

#[test]
fn no_suite_asks_the_computer_for_the_date() {
    let forbidden = ["Timestamp::now", "SystemTime", "System::start"];
    let except = ["tests/tests/shape.rs", "tests/src/lib.rs"];
    none_names(&["tests/tests", "tests/src"], &forbidden, &except);
    let harness = read("tests/src/lib.rs");
    assert_eq!(harness.matches("System::start").count(), 1);
    assert!(!harness.contains("Timestamp::now") && !harness.contains("SystemTime"));
}

#[test]
fn only_the_store_knows_dynamodb() {
    let forbidden = [
        "AttributeValue",
        "update_expression",
        "condition_expression",
        "begins_with(",
        "aws_sdk_dynamodb::types",
    ];
    none_names(
        &["functions", "shared/src/runtime", "shared/src/domain"],
        &forbidden,
        &[],
    );
    none_names(
        &["functions", "shared/src/domain"],
        &["aws_sdk_dynamodb"],
        &[],
    );
}

#[test]
fn no_float_is_near_money() {
    none_names(&["shared/src", "functions"], &["f64", "f32"], &[]);
}

#[test]
fn every_route_of_a_function_is_an_endpoint_with_a_rule_of_access() {
    // What the API function answers for other functions is no endpoint.
    none_names(&["functions"], &[".route("], &["functions/api/src/lib.rs"]);
    let api = read("functions/api/src/lib.rs");
    assert_eq!(api.matches(".route(").count(), 1);
}

#[test]
fn preflight_knows_no_mail_and_no_bus() {
    let manifest = read("functions/preflight/Cargo.toml");
    assert!(
        !manifest.contains("eventbridge") && !manifest.contains("ses"),
        "{manifest}"
    );
}
