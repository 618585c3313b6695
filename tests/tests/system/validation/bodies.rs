//! Bodies that no route takes.

use super::company::Company;
use super::everywhere::{all_refused, request};
use super::key_for;
use super::routes::{OPEN, RECEIVER, routes};
use serde_json::json;

/// The routes that read a body, with ids that exist.
fn with_body() -> Vec<(String, String)> {
    let known = |path: &str| match path {
        "/v1/organisations/{id}/admin-keys" => "/v1/organisations/demo/admin-keys".to_owned(),
        "/v1/departments/{id}" => "/v1/departments/eng".to_owned(),
        path => path.replace("/v1/users/{id}", "/v1/users/ada"),
    };
    let takes_body = |method: &str| matches!(method, "POST" | "PUT" | "PATCH");
    let all = routes().into_iter().filter(|(method, path)| {
        let route = (method.as_str(), path.as_str());
        takes_body(method) && route != RECEIVER && !OPEN.contains(&route)
    });
    all.map(|(method, path)| (method, known(&path))).collect()
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_everywhere() {
    let company = Company::new().await;
    let deep = format!(
        "{{\"surprise\": {}{}}}",
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    let wrong: [&[u8]; 14] = [
        b"",
        b"  ",
        b"{",
        b"[]",
        b"[{}]",
        b"5",
        b"null",
        b"\"x\"",
        b"{\"name\":}",
        b"{} {}",
        b"{'name': 'x'}",
        b"\xff\xfe",
        b"{\"name\": \"\xff\"}",
        b"\xef\xbb\xbf{}",
    ];
    let mut requests = Vec::new();
    for (method, path) in with_body() {
        let path = path.replace(
            "/v1/budgets/{id}",
            &format!("/v1/budgets/{}", company.ids["usd"]),
        );
        for body in wrong {
            let needs_none = [
                "/admin-keys",
                "/publish",
                "/disable",
                "/test",
                "/rotate-secret",
                "/retry",
                "/approve",
                "/deny",
                "/revoke",
            ];
            if body.is_empty() && needs_none.iter().any(|end| path.ends_with(end)) {
                continue;
            }
            let text = format!("{method} {path} {:?}", String::from_utf8_lossy(body));
            requests.push((
                text,
                request(key_for(&path), &method, &path, body),
                400,
                Some("body"),
            ));
        }
        requests.push((
            format!("{method} {path} deep"),
            request(key_for(&path), &method, &path, deep.clone()),
            400,
            None,
        ));
    }
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn a_body_of_two_megabytes_is_refused_everywhere() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    for (method, path) in with_body() {
        let path = path.replace(
            "/v1/budgets/{id}",
            &format!("/v1/budgets/{}", company.ids["usd"]),
        );
        let body = json!({"name": "a".repeat(2 * 1024 * 1024)}).to_string();
        requests.push((
            format!("{method} {path}"),
            request(key_for(&path), &method, &path, body),
            413,
            Some("body"),
        ));
    }
    all_refused(&company, requests).await;
}
