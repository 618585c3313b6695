//! Wrong requests that fit every route: keys, methods and paths.

use super::company::{Company, made};
use super::routes::{METHODS, OPEN, concrete, routes};
use super::{header, is_refusal};
use axum::body::Body;
use end_to_end::ADMIN;
use http::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sends wrong requests that fit many routes, and compares everything before and after all of them.
pub(super) async fn all_refused(
    company: &Company,
    requests: Vec<(String, Request<Body>, u16, Option<&str>)>,
) {
    assert!(!requests.is_empty());
    let before = company.snapshot().await;
    let mut faults = Vec::new();
    for (text, request, status, field) in requests {
        let fields = field.map(|field| BTreeSet::from([field.to_owned()]));
        let answer = company.world.send(request).await;
        if let Err(fault) = is_refusal(&answer, status, fields.as_ref()) {
            faults.push(format!("{text}: {fault}"));
        }
        if status == 405 && header(&answer.headers, "allow").is_empty() {
            faults.push(format!("{text}: does not say which methods are allowed"));
        }
    }
    assert_eq!(company.snapshot().await, before);
    assert!(faults.is_empty(), "{faults:#?}");
}

pub(super) fn request(key: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request
        .header("authorization", format!("Bearer {key}"))
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn a_missing_wrong_or_revoked_key_is_refused_everywhere_but_for_what_is_open() {
    let company = Company::new().await;
    let revoked = made(
        &company.world,
        ADMIN,
        "/v1/api-keys",
        json!({"role": "admin"}),
    )
    .await;
    let path = format!("/v1/api-keys/{}", revoked["id"].as_str().unwrap());
    company.world.admin("DELETE", &path, Value::Null).await;
    let revoked = format!("Bearer {}", revoked["key"].as_str().unwrap());
    let long = format!("Bearer {}", "a".repeat(5_000));
    let wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer tk_nobody",
        "Basic dGtfbG9jYWxfYWRtaW46",
        ADMIN,
        "Bearer tk_local_admin tk_local_admin",
        "Bearer TK_LOCAL_ADMIN",
        "Bearer key_local_admin",
        &revoked,
        &long,
    ];
    let mut requests = Vec::new();
    for (method, path) in routes() {
        if OPEN.contains(&(method.as_str(), path.as_str())) {
            continue;
        }
        let bare = Request::builder()
            .method(method.as_str())
            .uri(concrete(&path));
        requests.push((
            format!("{method} {path} without"),
            bare.body(Body::empty()).unwrap(),
            401,
            None,
        ));
        for header in wrong {
            let request = Request::builder()
                .method(method.as_str())
                .uri(concrete(&path));
            let request = request
                .header("authorization", header)
                .body(Body::from("{}"))
                .unwrap();
            requests.push((format!("{method} {path} {header:.40}"), request, 401, None));
        }
    }
    all_refused(&company, requests).await;
    for (method, path) in OPEN.into_iter().filter(|(method, _)| *method == "GET") {
        let open = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        assert_eq!(company.world.send(open).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_are_refused_in_the_same_form() {
    let company = Company::new().await;
    let routes = routes();
    let mut requests = Vec::new();
    for path in routes.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
        for method in METHODS {
            if !routes.contains(&(method.to_owned(), path.clone())) {
                let request = request(ADMIN, method, &concrete(path), "{}");
                requests.push((format!("{method} {path}"), request, 405, None));
            }
        }
    }
    let unknown = [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/users",
        "/V1/health",
        "/v1//users",
        "/v1/users/",
        "/v1/users/ada/",
        "/v1/users/ada/block/x",
        "/v1/departments/eng/x",
        "/v1/organisations/demo",
        "/v1/health/x",
        "/v1/holds",
    ];
    for path in unknown {
        for method in METHODS {
            requests.push((
                format!("{method} {path}"),
                request(ADMIN, method, path, "{}"),
                404,
                None,
            ));
        }
    }
    requests.push((
        "not UTF-8".to_owned(),
        request(ADMIN, "GET", "/v1/users/%ff", ""),
        400,
        None,
    ));
    all_refused(&company, requests).await;
}
