//! Lists in pages, idempotency keys, versions, and many changes at once.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod by_name;
mod idempotency;
mod pages;
mod rare;
mod versions;

use axum::body::Body;
use end_to_end::World;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A status and the bytes of a body.
type Bytes = (u16, Vec<u8>);

fn request(
    key: &str,
    method: &str,
    path: &str,
    header: Option<(&str, &str)>,
    body: &str,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn sent(router: axum::Router, request: Request<Body>) -> Bytes {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
}

/// Sends requests at the same time, each on a task of its own.
async fn at_once(world: &World, requests: Vec<Request<Body>>) -> Vec<Bytes> {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| tokio::spawn(sent(world.system.router(), request)))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

/// All ids of a list by its cursors; every page but the last one is full.
async fn all_pages(
    world: &World,
    key: &str,
    path: &str,
    filter: &str,
    limit: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut query = format!("{filter}limit={limit}");
    loop {
        let page = world
            .call(key, "GET", &format!("{path}?{query}"), Value::Null)
            .await
            .expect(200);
        let on_page = ids(&page);
        found.extend(on_page.clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(
                (&page["next_cursor"], &page["has_more"]),
                (&Value::Null, &json!(false))
            );
            return found;
        };
        assert_eq!(
            (&page["has_more"], on_page.len()),
            (&json!(true), limit),
            "{page}"
        );
        query = format!("{filter}limit={limit}&cursor={cursor}");
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n:03}")).collect()
}
