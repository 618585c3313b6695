//! The routes of the functions, as they declare them.

use shared::runtime::endpoint::Endpoint;
use std::collections::{BTreeMap, BTreeSet};

/// The methods that the API uses.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The endpoints of all functions.
pub fn endpoints() -> Vec<Endpoint> {
    local::endpoints::all()
}

/// The routes of the functions: method and path.
pub fn routes() -> BTreeSet<(String, String)> {
    routes_by_function().into_values().flatten().collect()
}

/// The routes of each function that has any.
pub fn routes_by_function() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let route = |of: &Endpoint| (of.method.to_owned(), of.path.to_owned());
    let functions = local::endpoints::by_function().into_iter();
    functions
        .map(|(function, of)| (function.to_owned(), of.iter().map(route).collect()))
        .collect()
}
