//! The endpoints of all functions.

use shared::runtime::endpoint::Endpoint;

/// The endpoints of each function that has any. A function whose endpoints are new is added here.
pub fn by_function() -> [(&'static str, &'static [Endpoint]); 3] {
    [
        ("api", api::ENDPOINTS),
        ("preflight", preflight::ENDPOINTS),
        ("ingest", ingest::ENDPOINTS),
    ]
}

/// All endpoints in the order of their paths.
pub fn all() -> Vec<Endpoint> {
    let endpoints = by_function().into_iter().flat_map(|(_, of)| of);
    let mut endpoints: Vec<Endpoint> = endpoints.copied().collect();
    // Those of one path stay in the order of their function.
    endpoints.sort_by_key(|endpoint| endpoint.path);
    endpoints
}
