//! The API's document: the file that is checked in equals the one that the handlers describe, and
//! they describe every route.

use end_to_end::World;
use end_to_end::routes::routes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The operations that need no key.
const OPEN: [(&str, &str); 4] = [
    ("POST", "/v1/oauth/token"),
    ("GET", "/v1/health"),
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/integrations/github/{id}"),
];

fn document() -> Value {
    serde_json::to_value(local::openapi::document()).unwrap()
}

/// Every operation: its method, its path and itself.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &'_ Value)| -> Vec<(String, String)> {
        let methods = methods.as_object().unwrap().keys();
        methods
            .map(|method| (method.clone(), path.clone()))
            .collect()
    };
    let all = paths.iter().flat_map(of_path);
    all.map(|(method, path)| {
        let operation = &document["paths"][&path][&method];
        (method.to_uppercase(), path, operation)
    })
    .collect()
}

/// Every reference in `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_document_that_is_checked_in_is_that_of_the_handlers() {
    assert!(
        local::openapi::text().unwrap() == api::openapi::CHECKED_IN,
        "docs/openapi.json is stale; renew it: cargo run -- openapi > docs/openapi.json"
    );
}

#[tokio::test]
async fn the_document_is_served_as_it_is_checked_in_and_needs_no_key() {
    let world = World::empty().await;
    let request = http::Request::builder().uri("/v1/openapi.json");
    let answer = world
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let body = answer.expect(200);
    assert_eq!(body, document());
    assert_eq!(body["openapi"], "3.1.0");
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect::<BTreeSet<_>>();
    // The document has no form for a parameter that may have slashes.
    let routes = routes().into_iter();
    let routes = routes.map(|(method, path)| (method, path.replace("{*", "{")));
    assert_eq!(described, routes.collect());
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
    let document = document();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(summary.ends_with('.'), "{method} {path}: {summary}");
        let tags = operation["tags"].as_array().unwrap();
        let known = document["tags"].as_array().unwrap();
        assert!(
            tags.iter()
                .all(|tag| known.iter().any(|known| known["name"] == *tag))
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let place = reference.trim_start_matches('#');
        assert!(document.pointer(place).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_lists_its_errors() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let lists = |status: &str| operation["responses"].get(status).is_some();
        let is_open = OPEN.contains(&(method.as_str(), path.as_str()));
        let security = operation.get("security").unwrap_or(&document["security"]);
        let key = match path.starts_with("/v1/organisations") {
            true => json!([{"operator_key": []}]),
            false => json!([{"key": []}]),
        };
        let expected = if is_open { json!([{}]) } else { key };
        assert_eq!(security, &expected, "{what}");
        let proves_itself = path.contains("github") || path.contains("token");
        assert_eq!(lists("401"), !is_open || proves_itself, "{what}");
        assert_eq!(lists("403"), !is_open, "{what}");
        for status in ["429", "500", "503"] {
            assert!(lists(status), "{what} {status}");
        }
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default();
        let has_body = operation.get("requestBody").is_some();
        assert!(!has_body || lists("413"), "{what} 413");
        assert!(
            !has_body && parameters.is_empty() || lists("400"),
            "{what} 400"
        );
        let named = |name: &str| parameters.iter().any(|p| p["name"] == name);
        let names_something = named("id") && !is_open;
        assert!(!names_something || lists("404"), "{what} 404");
        let may_conflict = named("If-Match") || named("Idempotency-Key");
        assert!(!may_conflict || lists("409"), "{what} 409");
    }
}

#[test]
fn errors_have_one_form() {
    let document = document();
    let error = &document["components"]["schemas"]["Error"];
    let fields: BTreeSet<&str> = error["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let form = BTreeSet::from(["error", "message", "details", "request_id"]);
    assert_eq!(fields, form);
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Error", "{name}");
    }
}

#[test]
fn every_list_is_a_page() {
    let document = document();
    let mut lists = 0;
    for (method, path, operation) in operations(&document) {
        let schema =
            &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().unwrap_or_default();
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default();
        let takes = |name: &str| parameters.iter().any(|p| p["name"] == name);
        let is_page = schema.contains("/Page_");
        // A retry of many deliveries returns no list, and continues with a cursor, too.
        let goes_on = is_page || path == "/v1/webhooks/{id}/retry";
        assert_eq!(takes("cursor"), goes_on, "{method} {path}");
        assert_eq!(takes("limit"), is_page, "{method} {path}");
        if is_page {
            lists += 1;
            let page = document.pointer(schema.trim_start_matches('#')).unwrap();
            let required = &page["required"];
            assert_eq!(required, &json!(["items", "next_cursor", "has_more"]));
        }
    }
    assert!(lists >= 13, "{lists}");
}
