//! The routes of the functions, and that a table has each of them.

use super::ALL;
use super::table::sections;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(super) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// What takes no input at all, not even a key.
pub(super) const OPEN: (&str, &str) = ("GET", "/v1/health");

/// Every route of the functions, read from their source: method and path.
pub(super) fn routes() -> BTreeSet<(String, String)> {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut found = BTreeSet::new();
    for function in std::fs::read_dir(functions).unwrap() {
        let source = std::fs::read_to_string(function.unwrap().path().join("src/lib.rs")).unwrap();
        for route in source.split(".route(").skip(1) {
            let mut parts = route.splitn(3, '"');
            let (path, rest) = (parts.nth(1).unwrap(), parts.next().unwrap());
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let handlers = &rest[..end.unwrap()];
            let before = found.len();
            for method in METHODS {
                let call = format!("{}(", method.to_lowercase());
                let is_call = |(at, _): (usize, &str)| {
                    !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                };
                if handlers.match_indices(&call).any(is_call) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
            assert!(found.len() > before, "no method of {path} was recognised");
        }
    }
    found
}

pub(super) fn concrete(path: &str) -> String {
    path.replace("{id}", "nobody")
}

#[test]
fn every_route_has_wrong_inputs_in_a_table() {
    let routes = routes();
    assert!(routes.len() >= 28, "{routes:#?}");
    let mut covered = BTreeSet::from([(OPEN.0.to_owned(), OPEN.1.to_owned())]);
    let names = [
        "budget",
        "usd",
        "hold",
        "key",
        "their_budget",
        "their_key",
        "their_hold",
    ];
    let ids = BTreeMap::from(names.map(|name| (name, "id".to_owned())));
    for section in ALL.iter().flat_map(|table| sections(table, &ids)) {
        assert!(
            !section.wrong.is_empty(),
            "{} has no wrong input",
            section.right.text
        );
        let (method, path) = (section.right.method, section.right.path);
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let parts = template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count()
                && parts
                    .into_iter()
                    .all(|(part, given)| part == "{id}" || part == given)
        };
        let of_method = || routes.iter().filter(|(known, _)| *known == method);
        let found = of_method().find(|(_, template)| template == path);
        let found = found.or_else(|| of_method().find(|(_, template)| fits(template)));
        covered.insert(
            found
                .unwrap_or_else(|| panic!("{method} {path} is no route"))
                .clone(),
        );
    }
    let missing: Vec<_> = routes.difference(&covered).collect();
    assert!(missing.is_empty(), "without a wrong input: {missing:#?}");
}
