//! The users that a new key may be for, and the owner of an address.

use super::world;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{Answer, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_key_or_client_is_never_for_a_role_above_its_users() {
    let world = world(100).await;
    let roles = ["member", "manager", "admin"];
    for (has, user) in roles.iter().enumerate() {
        let path = "/v1/users/ada";
        world
            .admin("PATCH", path, json!({ "role": user }))
            .await
            .expect(200);
        for (asks, role) in roles.iter().enumerate() {
            for list in ["/v1/api-keys", "/v1/oauth/clients"] {
                let body = json!({"role": role, "user_id": "ada"});
                let answer = world.admin("POST", list, body).await;
                let what = format!("{list} {role} of a {user}: {}", answer.body);
                if asks <= has {
                    assert_eq!(answer.status, 201, "{what}");
                } else {
                    assert_eq!(answer.status, 400, "{what}");
                    assert_eq!(answer.fields(), ["role"], "{what}");
                }
            }
        }
    }
}

fn new(id: &str, email: &str) -> Value {
    json!({"id": id, "email": email, "name": id, "department_id": "backend", "role": "member"})
}

async fn make(world: &World, id: &str, email: &str) -> Answer {
    world.admin("POST", "/v1/users", new(id, email)).await
}

async fn patch(world: &World, id: &str, body: Value) -> Answer {
    let path = format!("/v1/users/{id}");
    world.admin("PATCH", &path, body).await
}

fn is_taken(answer: &Answer, by: &str) {
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(answer.fields(), ["email"]);
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains(by), "{message}");
}

#[tokio::test]
async fn no_two_users_have_one_address_however_it_is_written() {
    let world = world(100).await;
    is_taken(&make(&world, "bob", "Ada@EXAMPLE.com").await, "ada");
    make(&world, "bob", "bob@example.com").await.expect(201);
    let ada = json!({"email": "ADA@example.com"});
    is_taken(&patch(&world, "bob", ada.clone()).await, "ada");
    // Their own in another spelling, and suspended they keep it.
    patch(&world, "ada", ada.clone()).await.expect(200);
    patch(&world, "ada", json!({"status": "suspended"}))
        .await
        .expect(200);
    is_taken(&patch(&world, "bob", ada.clone()).await, "ada");
    // With another address the old one is free.
    let email = json!({"email": "lovelace@example.com"});
    patch(&world, "ada", email.clone()).await.expect(200);
    patch(&world, "bob", ada).await.expect(200);
    is_taken(&make(&world, "cy", "ada@example.com").await, "bob");
    is_taken(&patch(&world, "bob", email).await, "ada");
    make(&world, "cy", "bob@example.com").await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_one_address_at_once_one_gets_it() {
    let world = World::empty().await;
    world.department("backend", None).await;
    let ids: Vec<String> = (0..12).map(|n| format!("u{n}")).collect();
    let asked = ids.iter().map(|id| make(&world, id, "one@example.com"));
    let answers = futures::future::join_all(asked).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![409; 11]].concat());
}

#[tokio::test]
async fn users_from_before_addresses_were_looked_at_keep_them_and_are_known_with_their_next_change()
{
    let world = world(100).await;
    make(&world, "bob", "bob@example.com").await.expect(201);
    make(&world, "cy", "cy@example.com").await.expect(201);
    // As users were stored before: no row for an address, and two with one.
    let tables = world.tables();
    let rows = tables
        .query()
        .table_name("Governance")
        .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
        .expression_attribute_values(":pk", AttributeValue::S("demo".to_owned()))
        .expression_attribute_values(":sk", AttributeValue::S("mailowner#".to_owned()))
        .send()
        .await
        .unwrap();
    let rows = rows.items();
    assert_eq!(rows.len(), 3, "{rows:?}");
    for row in rows {
        tables
            .delete_item()
            .table_name("Governance")
            .key("pk", row["pk"].clone())
            .key("sk", row["sk"].clone())
            .send()
            .await
            .unwrap();
    }
    let twin = json!({"email": "BOB@example.com"});
    patch(&world, "ada", twin).await.expect(200);
    for id in ["ada", "bob"] {
        patch(&world, id, json!({"name": "Twin"})).await.expect(200);
    }
    is_taken(&make(&world, "dee", "bob@example.com").await, "ada");
    patch(&world, "cy", json!({"name": "Cy"})).await.expect(200);
    is_taken(&make(&world, "dee", "cy@example.com").await, "cy");
}
