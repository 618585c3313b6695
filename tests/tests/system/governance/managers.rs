//! The visibility of a manager: their reports, and the departments they manage with all below.

use super::{key, listed, world};
use end_to_end::{ADMIN, World};
use serde_json::{Value, json};

/// mo manages `eng`; zoe in `sales` reports to mo; bob in `sales` does not.
async fn managed() -> (World, String, String) {
    let world = world(1_000).await;
    world.department("sales", None).await;
    for (id, department) in [("mo", "sales"), ("zoe", "sales"), ("bob", "sales")] {
        world.user(id, department).await;
    }
    for (path, body) in [
        ("/v1/users/mo", json!({"role": "manager"})),
        ("/v1/users/zoe", json!({"manager_id": "mo"})),
        ("/v1/departments/eng", json!({"manager_id": "mo"})),
    ] {
        world.admin("PATCH", path, body).await.expect(200);
    }
    world.budget(Some("sales"), "tokens", json!(10), true).await;
    world
        .budget(Some("backend"), "tokens", json!(10), false)
        .await;
    world.budget(None, "tokens", json!(10_000), true).await;
    let mo = key(&world, "manager", Some("mo")).await;
    let ada = key(&world, "member", Some("ada")).await;
    (world, mo, ada)
}

#[tokio::test]
async fn managers_see_their_people_and_departments_and_nothing_else() {
    let (world, mo, ada) = managed().await;
    assert_eq!(
        listed(&world, &mo, "/v1/users", "id").await,
        ["ada", "mo", "zoe"]
    );
    assert_eq!(listed(&world, ADMIN, "/v1/users", "id").await.len(), 4);
    assert_eq!(
        listed(&world, &mo, "/v1/departments", "id").await,
        ["backend", "eng"]
    );
    assert_eq!(
        listed(&world, &mo, "/v1/budgets", "department_id").await,
        ["backend", "eng"]
    );
    let tree = world
        .call(&mo, "GET", "/v1/departments/tree", Value::Null)
        .await
        .expect(200);
    assert_eq!(tree["items"][0]["id"], "eng", "{tree}");
    assert_eq!(tree["items"][0]["children"][0]["id"], "backend");
    assert_eq!(tree["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&tree["usage"], &tree["budgets"]),
        (&Value::Null, &json!([]))
    );
    for (path, status) in [
        ("/v1/users/ada", 200),
        ("/v1/users/zoe", 200),
        ("/v1/users/bob", 403),
        ("/v1/users/nobody", 403),
        ("/v1/departments/backend", 200),
        ("/v1/departments/sales", 403),
        ("/v1/departments/nowhere", 403),
        ("/v1/usage?user_id=zoe", 200),
        ("/v1/usage?user_id=bob", 403),
        ("/v1/usage?department_id=eng", 200),
        ("/v1/usage?department_id=sales", 403),
        ("/v1/usage", 403),
        ("/v1/budgets/effective?user_id=zoe", 200),
        ("/v1/budgets/effective?user_id=bob", 403),
    ] {
        let answer = world.call(&mo, "GET", path, Value::Null).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
    }
    for path in [
        "/v1/users",
        "/v1/departments",
        "/v1/departments/tree",
        "/v1/budgets",
        "/v1/alerts",
        "/v1/usage",
    ] {
        assert_eq!(
            world.call(&ada, "GET", path, Value::Null).await.status,
            403,
            "{path}"
        );
    }
    let own = world
        .call(&ada, "GET", "/v1/usage?user_id=ada", Value::Null)
        .await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn managers_see_the_alerts_and_budgets_of_their_departments_only() {
    let (world, mo, _) = managed().await;
    for (user, event) in [("ada", "e-1"), ("bob", "e-2")] {
        world.report(&[world.usage(event, user, 50, 0, None)]).await;
    }
    let all = listed(&world, ADMIN, "/v1/alerts?limit=100", "department_id").await;
    assert!(all.contains(&"sales".to_owned()) && all.contains(&"backend".to_owned()));
    let seen = listed(&world, &mo, "/v1/alerts?limit=100", "department_id").await;
    assert!(
        !seen.is_empty() && seen.iter().all(|id| id == "backend"),
        "{seen:?}"
    );
    let alerts = world
        .admin("GET", "/v1/alerts?limit=100", Value::Null)
        .await
        .expect(200);
    for alert in alerts["items"].as_array().unwrap() {
        let path = format!("/v1/alerts/{}", alert["id"].as_str().unwrap());
        let expected = if alert["department_id"] == "backend" {
            200
        } else {
            403
        };
        assert_eq!(
            world.call(&mo, "GET", &path, Value::Null).await.status,
            expected
        );
    }
    let budgets = world
        .admin("GET", "/v1/budgets", Value::Null)
        .await
        .expect(200);
    for budget in budgets["items"].as_array().unwrap() {
        let is_seen = ["eng", "backend"]
            .map(|id| json!(id))
            .contains(&budget["department_id"]);
        for path in ["", "/rollovers"] {
            let path = format!("/v1/budgets/{}{path}", budget["id"].as_str().unwrap());
            let status = world.call(&mo, "GET", &path, Value::Null).await.status;
            assert_eq!(status, if is_seen { 200 } else { 403 }, "{budget}");
        }
    }
}
