//! Lists in pages, idempotency keys, versions, and many changes at once.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

use axum::body::Body;
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

async fn page(world: &World, path: &str, query: &str) -> Value {
    world
        .admin("GET", &format!("{path}?{query}"), Value::Null)
        .await
        .expect(200)
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

/// Thirty departments, and sixty users by turns in the first three of them; every fifth is suspended.
async fn company() -> World {
    let world = World::empty().await;
    for id in names("d", 30) {
        world.department(&id, None).await;
    }
    // Not made in order, so that a list is not in order by chance.
    for n in (0..60).rev() {
        let id = format!("u{n:03}");
        world.user(&id, &format!("d{:03}", n % 3)).await;
        if n % 5 == 0 {
            world
                .admin(
                    "PATCH",
                    &format!("/v1/users/{id}"),
                    json!({"status": "suspended"}),
                )
                .await
                .expect(200);
        }
    }
    world
}

#[tokio::test]
async fn pages_of_every_size_give_each_item_exactly_once_and_in_order() {
    let world = company().await;
    for limit in [1, 7, 25, 30, 60, 100] {
        assert_eq!(
            all_pages(&world, ADMIN, "/v1/users", "", limit).await,
            names("u", 60),
            "{limit}"
        );
        assert_eq!(
            all_pages(&world, ADMIN, "/v1/departments", "", limit).await,
            names("d", 30),
            "{limit}"
        );
    }
    assert_eq!(
        ids(&page(&world, "/v1/users", "").await),
        names("u", 60)[..25],
        "25 unless told"
    );
}

#[tokio::test]
async fn budgets_keys_and_organisations_come_in_pages_too() {
    let world = World::empty().await;
    for n in 0..5 {
        world.department(&format!("d{n}"), None).await;
        world
            .budget(Some(&format!("d{n}")), "tokens", json!(5), true)
            .await;
        world
            .admin("POST", "/v1/api-keys", json!({"role": "agent"}))
            .await
            .expect(201);
        let body = json!({"id": format!("org{n}"), "name": "O", "timezone": "UTC"});
        world
            .call(OPERATOR, "POST", "/v1/organisations", body)
            .await
            .expect(201);
    }
    for (key, path, count) in [
        (ADMIN, "/v1/budgets", 5),
        (ADMIN, "/v1/api-keys", 7),
        (OPERATOR, "/v1/organisations", 6),
    ] {
        let whole = all_pages(&world, key, path, "", 100).await;
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), count, "{path}");
        for limit in [1, 2, count] {
            assert_eq!(
                all_pages(&world, key, path, "", limit).await,
                whole,
                "{path} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn inserts_between_pages_neither_repeat_nor_hide_what_was_there() {
    let world = company().await;
    for (path, prefix, count) in [("/v1/users", "u", 60), ("/v1/departments", "d", 30)] {
        let first = page(&world, path, "limit=7").await;
        let mut seen = ids(&first);
        let mut cursor = first["next_cursor"].as_str().map(str::to_owned);
        let mut turn = 0;
        while let Some(after) = cursor {
            // One before everything, one just after the cursor, one after everything.
            let last = seen.last().unwrap().clone();
            for id in [
                format!("a{turn}"),
                format!("{last}-new"),
                format!("z{turn}"),
            ] {
                match path {
                    "/v1/users" => world.user(&id, "d000").await,
                    _ => world.department(&id, None).await,
                }
            }
            let next = page(&world, path, &format!("limit=7&cursor={after}")).await;
            seen.extend(ids(&next));
            cursor = next["next_cursor"].as_str().map(str::to_owned);
            turn += 1;
            if turn > 4 {
                let rest = format!("limit=100&cursor={}", cursor.take().unwrap_or_default());
                if !rest.ends_with('=') {
                    seen.extend(ids(&page(&world, path, &rest).await));
                }
            }
        }
        assert!(turn >= 4);
        assert!(seen.is_sorted(), "{seen:?}");
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "{seen:?}");
        let old: Vec<String> = seen
            .into_iter()
            .filter(|id| id.starts_with(prefix) && id.len() == 4)
            .collect();
        assert_eq!(old, names(prefix, count));
    }
}

#[tokio::test]
async fn filters_give_what_fits_and_nothing_else_on_full_pages() {
    let world = company().await;
    let users = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..60)
            .filter(|n| wanted(*n))
            .map(|n| format!("u{n:03}"))
            .collect()
    };
    for limit in [1, 7, 100] {
        let found = all_pages(&world, ADMIN, "/v1/users", "department=d001&", limit).await;
        assert_eq!(found, users(&|n| n % 3 == 1));
        let found = all_pages(&world, ADMIN, "/v1/users", "status=suspended&", limit).await;
        assert_eq!(found, users(&|n| n % 5 == 0));
        let found = all_pages(
            &world,
            ADMIN,
            "/v1/users",
            "status=active&department=d002&",
            limit,
        )
        .await;
        assert_eq!(found, users(&|n| n % 5 != 0 && n % 3 == 2));
        assert!(
            all_pages(&world, ADMIN, "/v1/users", "department=d029&", limit)
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_filter_and_tenant_only_and_unaltered_only() {
    let world = company().await;
    let body = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(OPERATOR, "POST", "/v1/organisations", body)
        .await
        .expect(201);
    let rival = rival["admin_key"].as_str().unwrap();
    for id in ["d000", "d001"] {
        world
            .call(
                rival,
                "POST",
                "/v1/departments",
                json!({"id": id, "name": id}),
            )
            .await
            .expect(201);
    }
    let cursor = page(&world, "/v1/users", "limit=1").await["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let departments = page(&world, "/v1/departments", "limit=1").await;
    let departments = departments["next_cursor"].as_str().unwrap();
    let filtered = page(&world, "/v1/users", "limit=1&status=active").await;
    let filtered = filtered["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(&page(&world, "/v1/users", &format!("limit=3&cursor={cursor}")).await),
        names("u", 4)[1..]
    );
    let mut wrong = vec![
        (ADMIN, format!("/v1/departments?cursor={cursor}")),
        (ADMIN, format!("/v1/budgets?cursor={cursor}")),
        (ADMIN, format!("/v1/api-keys?cursor={cursor}")),
        (OPERATOR, format!("/v1/organisations?cursor={cursor}")),
        (ADMIN, format!("/v1/users?cursor={departments}")),
        (ADMIN, format!("/v1/users?cursor={filtered}")),
        (
            ADMIN,
            format!("/v1/users?status=suspended&cursor={filtered}"),
        ),
        (
            ADMIN,
            format!("/v1/users?department=d000&status=active&cursor={filtered}"),
        ),
        (ADMIN, format!("/v1/users?status=active&cursor={cursor}")),
        (ADMIN, format!("/v1/users?department=d000&cursor={cursor}")),
        (rival, format!("/v1/users?cursor={cursor}")),
        (rival, format!("/v1/departments?cursor={departments}")),
        (
            ADMIN,
            format!("/v1/users?cursor={}", &cursor[..cursor.len() - 1]),
        ),
        (ADMIN, format!("/v1/users?cursor={cursor}A")),
        (ADMIN, format!("/v1/users?cursor={cursor}%20")),
    ];
    for at in 0..cursor.len() {
        for other in ["A", "B", "-"] {
            let altered = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
            if altered != cursor {
                wrong.push((ADMIN, format!("/v1/users?cursor={altered}")));
            }
        }
    }
    for (key, path) in wrong {
        let answer = world.call(key, "GET", &path, Value::Null).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (400, vec!["cursor".to_owned()]),
            "{path}: {}",
            answer.body
        );
    }
}

/// Everything that creates: who, where, a body, and another one.
fn creations() -> Vec<(&'static str, &'static str, Value, Value)> {
    let user = |id: &str| json!({"id": id, "email": "x@example.com", "name": "X", "department_id": "eng", "role": "member"});
    let budget = |amount: i64| json!({"name": "B", "department_id": "eng", "unit": "tokens", "amount": amount, "hard_cap": true});
    let organisation = |id: &str| json!({"id": id, "name": "O", "timezone": "UTC"});
    vec![
        (
            ADMIN,
            "/v1/departments",
            json!({"id": "new", "name": "N"}),
            json!({"id": "other", "name": "N"}),
        ),
        (ADMIN, "/v1/users", user("new"), user("other")),
        (ADMIN, "/v1/budgets", budget(5), budget(6)),
        (
            ADMIN,
            "/v1/api-keys",
            json!({"role": "agent"}),
            json!({"role": "admin"}),
        ),
        (
            OPERATOR,
            "/v1/organisations",
            organisation("new"),
            organisation("other"),
        ),
        (
            OPERATOR,
            "/v1/organisations/demo/admin-keys",
            json!({}),
            Value::Null,
        ),
    ]
}

async fn counts(world: &World) -> Vec<usize> {
    let mut counts = Vec::new();
    for (key, list) in [
        (ADMIN, "departments"),
        (ADMIN, "users"),
        (ADMIN, "budgets"),
        (ADMIN, "api-keys"),
        (OPERATOR, "organisations"),
    ] {
        counts.push(
            all_pages(world, key, &format!("/v1/{list}"), "", 100)
                .await
                .len(),
        );
    }
    counts
}

async fn post(world: &World, key: &str, path: &str, idempotency_key: &str, body: &Value) -> Bytes {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let header = Some(("idempotency-key", idempotency_key));
    sent(
        world.system.router(),
        request(key, "POST", path, header, &body),
    )
    .await
}

#[tokio::test]
async fn the_same_idempotency_key_replays_the_first_answer_byte_by_byte_or_refuses_another_body() {
    let world = World::empty().await;
    world.department("eng", None).await;
    for (key, path, body, other) in creations() {
        let first = post(&world, key, path, path, &body).await;
        assert_eq!(first.0, 201, "{path} {}", String::from_utf8_lossy(&first.1));
        let made = counts(&world).await;
        assert_eq!(post(&world, key, path, path, &body).await, first, "{path}");
        let conflict = post(&world, key, path, path, &other).await;
        assert_eq!(
            conflict.0,
            409,
            "{path} {}",
            String::from_utf8_lossy(&conflict.1)
        );
        assert_eq!(post(&world, key, path, path, &body).await, first, "{path}");
        assert_eq!(counts(&world).await, made, "{path}");
    }
    for (key, path, body, _) in creations().into_iter().take(3) {
        let used_elsewhere = if path == "/v1/users" {
            "/v1/departments"
        } else {
            "/v1/users"
        };
        assert_eq!(
            post(&world, key, path, used_elsewhere, &body).await.0,
            409,
            "used for another path"
        );
    }
}

#[tokio::test]
async fn a_replay_is_the_first_answer_even_after_a_change_and_its_secret_works() {
    let world = World::empty().await;
    let body = json!({"id": "eng", "name": "First"});
    let first = post(&world, ADMIN, "/v1/departments", "k", &body).await;
    world
        .admin("PATCH", "/v1/departments/eng", json!({"name": "Second"}))
        .await
        .expect(200);
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await,
        first
    );
    let body = json!({"role": "agent"});
    post(&world, ADMIN, "/v1/api-keys", "k-2", &body).await;
    let (_, replayed) = post(&world, ADMIN, "/v1/api-keys", "k-2", &body).await;
    let replayed: Value = serde_json::from_slice(&replayed).unwrap();
    let secret = replayed["key"].as_str().unwrap();
    assert_eq!(
        world
            .call(secret, "POST", "/v1/events", json!({}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_replay_is_the_first_answer_whatever_its_texts_contain() {
    let world = World::empty().await;
    for (n, description) in ["{secret}", "{\"key\":\"{secret}\"}", "\\u007b", "tk_"]
        .into_iter()
        .enumerate()
    {
        let body = json!({"role": "agent", "description": description});
        let key = format!("k-{n}");
        let first = post(&world, ADMIN, "/v1/api-keys", &key, &body).await;
        assert_eq!(first.0, 201);
        let again = post(&world, ADMIN, "/v1/api-keys", &key, &body).await;
        let shown = |answer: &Bytes| String::from_utf8_lossy(&answer.1).into_owned();
        assert_eq!(shown(&again), shown(&first));
    }
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_the_key_that_sent_it() {
    let world = World::empty().await;
    let other = world
        .admin("POST", "/v1/api-keys", json!({"role": "admin"}))
        .await
        .expect(201);
    let other = other["key"].as_str().unwrap();
    let body = json!({"role": "agent"});
    let first = post(&world, ADMIN, "/v1/api-keys", "k", &body).await;
    let second = post(&world, other, "/v1/api-keys", "k", &body).await;
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1);
    assert_eq!(
        post(&world, AGENT, "/v1/api-keys", "k", &body).await.0,
        403,
        "a replay needs the right too"
    );
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_idempotency_key() {
    let world = World::empty().await;
    let body = json!({"id": "child", "name": "C", "parent_id": "eng"});
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await.0,
        400
    );
    world.department("eng", None).await;
    assert_eq!(
        post(&world, ADMIN, "/v1/departments", "k", &body).await.0,
        201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_concurrent_posts_with_one_idempotency_key_make_one_thing_and_give_one_answer() {
    let mut faults = Vec::new();
    // Who is first differs from time to time.
    for _ in 0..5 {
        let world = World::empty().await;
        world.department("eng", None).await;
        for (key, path, body, _) in creations() {
            let before: usize = counts(&world).await.iter().sum();
            let body = body.to_string();
            let one = |_| request(key, "POST", path, Some(("idempotency-key", path)), &body);
            let answers = at_once(&world, (0..20).map(one).collect()).await;
            let made = counts(&world).await.iter().sum::<usize>() - before;
            if made != 1 {
                faults.push(format!("{path} made {made}"));
            }
            let first = answers.iter().find(|(status, _)| *status == 201);
            let others = answers.iter().filter(|answer| Some(*answer) != first);
            faults.extend(others.map(|(status, body)| {
                format!("{path}: {status} {}", String::from_utf8_lossy(body))
            }));
        }
    }
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}

/// Everything that has a version, with two changes.
async fn updatable(world: &World) -> Vec<(String, Value, Value)> {
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(Some("eng"), "tokens", json!(5), true).await;
    let paths = [
        "/v1/organisation",
        "/v1/departments/eng",
        "/v1/users/ada",
        &format!("/v1/budgets/{budget}"),
    ];
    paths
        .map(|path| {
            (
                path.to_owned(),
                json!({"name": "First"}),
                json!({"name": "Second"}),
            )
        })
        .to_vec()
}

async fn patch(world: &World, path: &str, version: &str, body: &Value) -> end_to_end::Answer {
    world
        .raw(
            ADMIN,
            "PATCH",
            path,
            &[("if-match", version)],
            body.to_string(),
        )
        .await
}

#[tokio::test]
async fn a_patch_with_a_stale_version_is_a_conflict_and_changes_nothing() {
    let world = World::empty().await;
    for (path, first, second) in updatable(&world).await {
        let before = world.admin("GET", &path, Value::Null).await.expect(200);
        let version = before["version"].as_u64().unwrap();
        let changed = patch(&world, &path, &version.to_string(), &first)
            .await
            .expect(200);
        assert_eq!(
            (&changed["name"], changed["version"].as_u64()),
            (&json!("First"), Some(version + 1)),
            "{path}"
        );
        let head = world.system.store().head("demo").await.unwrap();
        for stale in [
            version.to_string(),
            format!("\"{version}\""),
            (version + 2).to_string(),
            "0".to_owned(),
        ] {
            let answer = patch(&world, &path, &stale, &second).await;
            assert_eq!(
                (answer.status, &answer.body["error"]),
                (409, &json!("conflict")),
                "{path} {stale}"
            );
        }
        let after = world.admin("GET", &path, Value::Null).await.expect(200);
        assert_eq!(
            (after["name"].as_str(), after["version"].as_u64()),
            (Some("First"), Some(version + 1))
        );
        assert_eq!(world.system.store().head("demo").await.unwrap(), head);
        let quoted = format!("\"{}\"", version + 1);
        patch(&world, &path, &quoted, &second).await.expect(200);
        world
            .admin("PATCH", &path, json!({"name": "Without a version"}))
            .await
            .expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_patches_with_the_same_version_exactly_one_wins() {
    let world = World::empty().await;
    for (path, _, _) in updatable(&world).await {
        let before = world.admin("GET", &path, Value::Null).await.expect(200);
        let version = before["version"].to_string();
        let one = |n: usize| {
            let body = json!({"name": format!("Name {n}")}).to_string();
            request(
                ADMIN,
                "PATCH",
                &path,
                Some(("if-match", version.as_str())),
                &body,
            )
        };
        let answers = at_once(&world, (0..10).map(one).collect()).await;
        let won: Vec<usize> = (0..10).filter(|n| answers[*n].0 == 200).collect();
        let lost = answers.iter().filter(|(status, _)| *status == 409).count();
        assert_eq!((won.len(), lost), (1, 9), "{path}");
        let after = world.admin("GET", &path, Value::Null).await.expect(200);
        assert_eq!(after["name"], format!("Name {}", won[0]), "{path}");
        assert_eq!(
            after["version"].as_u64(),
            before["version"].as_u64().map(|version| version + 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_concurrent_new_users_are_all_made_and_counted() {
    let world = World::empty().await;
    world.department("eng", None).await;
    let one = |id: &String| {
        let body = json!({
            "id": id, "email": "x@example.com", "name": "X", "department_id": "eng", "role": "member",
        });
        request(ADMIN, "POST", "/v1/users", None, &body.to_string())
    };
    let answers = at_once(&world, names("u", 50).iter().map(one).collect()).await;
    let refused: Vec<String> = answers
        .iter()
        .filter(|(status, _)| *status != 201)
        .map(|(status, body)| format!("{status} {}", String::from_utf8_lossy(body)))
        .collect();
    let department = world
        .admin("GET", "/v1/departments/eng", Value::Null)
        .await
        .expect(200);
    assert_eq!(
        department["users"],
        50 - refused.len(),
        "as many as were made"
    );
    assert!(
        refused.is_empty(),
        "{} refused: {:?}",
        refused.len(),
        refused.first()
    );
    assert_eq!(
        all_pages(&world, ADMIN, "/v1/users", "", 100).await,
        names("u", 50)
    );
}
