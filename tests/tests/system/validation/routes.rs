//! The routes of the functions, and that a table has each of them.

use super::ALL;
use super::table::sections;
pub(super) use end_to_end::routes::{METHODS, routes};
use std::collections::{BTreeMap, BTreeSet};

/// The routes without a key. Wrong requests for a token are tested in `governance/oauth.rs`;
/// the others take no input.
pub(super) const OPEN: [(&str, &str); 3] = [
    ("GET", "/v1/health"),
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/oauth/token"),
];

/// The routes that GitHub calls with a signature. Wrong ones are tested in `path/github.rs`.
pub(super) const RECEIVER: (&str, &str) = ("POST", "/v1/integrations/github/{id}");

pub(super) fn concrete(path: &str) -> String {
    path.replace("{id}", "nobody")
        .replace("{delivery_id}", "nothing")
        .replace("{provider}", "nobody")
        .replace("{*model}", "nothing")
        .replace("{*name}", "nothing")
}

#[test]
fn every_route_has_wrong_inputs_in_a_table() {
    let routes = routes();
    assert!(routes.len() >= 28, "{routes:#?}");
    let without = OPEN.into_iter().chain([RECEIVER]);
    let mut covered: BTreeSet<_> = without
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    let names = [
        "budget",
        "usd",
        "hold",
        "key",
        "alert",
        "policy",
        "their_policy",
        "incident",
        "webhook",
        "delivery",
        "their_incident",
        "their_alert",
        "their_budget",
        "their_key",
        "their_hold",
        "to_approve",
        "to_deny",
        "to_revoke",
        "own",
        "client",
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
                    .all(|(part, given)| part.starts_with('{') || part == given)
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
