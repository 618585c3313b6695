//! The routes of the functions, read from their source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The methods that the API uses.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Every route of the functions, read from their source: method and path.
pub fn routes() -> BTreeSet<(String, String)> {
    routes_by_function().into_values().flatten().collect()
}

/// The routes of each function that has any.
pub fn routes_by_function() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut by_function = BTreeMap::new();
    for function in std::fs::read_dir(functions).unwrap() {
        let function = function.unwrap();
        let source = std::fs::read_to_string(function.path().join("src/lib.rs")).unwrap();
        let mut found = BTreeSet::new();
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
        if !found.is_empty() {
            by_function.insert(function.file_name().to_string_lossy().into_owned(), found);
        }
    }
    by_function
}
