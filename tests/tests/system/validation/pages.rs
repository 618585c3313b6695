//! Wrong pages of every list, and wrong idempotency keys.

use super::company::Company;
use super::everywhere::{all_refused, request};
use super::table::{Line, sections};
use super::{ALL, key_for};
use serde_json::Value;

#[tokio::test]
async fn wrong_pages_are_refused_by_every_list() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    for list in [
        "departments",
        "users",
        "budgets",
        "api-keys",
        "organisations",
    ] {
        let path = format!("/v1/{list}");
        let first = company
            .world
            .call(
                key_for(&path),
                "GET",
                &format!("{path}?limit=1"),
                Value::Null,
            )
            .await
            .expect(200);
        let cursor = first["next_cursor"].as_str().unwrap();
        let altered = format!(
            "{}{}",
            if cursor.starts_with('A') { 'B' } else { 'A' },
            &cursor[1..]
        );
        let queries = [
            ("limit=0".to_owned(), "limit"),
            ("limit=101".to_owned(), "limit"),
            ("limit=-1".to_owned(), "limit"),
            ("limit=abc".to_owned(), "limit"),
            ("limit=".to_owned(), "limit"),
            ("limit=1.5".to_owned(), "limit"),
            (format!("limit=1{}", "0".repeat(30)), "limit"),
            ("limit=1e400".to_owned(), "limit"),
            ("limit=5&limit=5".to_owned(), "limit"),
            ("page=2".to_owned(), "page"),
            ("Limit=5".to_owned(), "Limit"),
            ("cursor=".to_owned(), "cursor"),
            ("cursor=nothing".to_owned(), "cursor"),
            (format!("cursor={}", "A".repeat(4_000)), "cursor"),
            (format!("cursor={altered}"), "cursor"),
            (format!("cursor={cursor}="), "cursor"),
        ];
        for (query, field) in queries {
            let path = format!("{path}?{query}");
            let request = request(key_for(&path), "GET", &path, "");
            requests.push((path, request, 400, Some(field)));
        }
    }
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn an_idempotency_key_is_visible_text_of_reasonable_length() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    let bodies = ALL.iter().flat_map(|table| sections(table, &company.ids));
    let has_key = |line: &Line| {
        line.headers
            .iter()
            .any(|(name, _)| name == "Idempotency-Key")
    };
    for section in bodies.filter(|section| section.wrong.iter().any(has_key)) {
        let right = section.right;
        if right.method != "POST" {
            continue;
        }
        for key in [&b""[..], b"\xff", &[b'a'; 256], &[b'a'; 5_000]] {
            let mut request = request(right.key(), "POST", &right.path, right.json());
            request.headers_mut().insert(
                "idempotency-key",
                http::HeaderValue::from_bytes(key).unwrap(),
            );
            requests.push((right.text.clone(), request, 400, Some("Idempotency-Key")));
        }
    }
    assert_eq!(requests.len(), 13 * 4, "thirteen endpoints create");
    all_refused(&company, requests).await;
}
