//! Versions, and many changes at once.

use super::{all_pages, at_once, names, request};
use end_to_end::{ADMIN, World};
use serde_json::{Value, json};

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
            "id": id, "email": format!("{id}@example.com"), "name": "X", "department_id": "eng",
            "role": "member",
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
