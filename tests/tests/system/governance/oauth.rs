//! Clients that exchange their id and secret for a token.

use super::world;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use end_to_end::{ADMIN, Answer, OPERATOR, SHORT_TRUST, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) async fn client(world: &World, body: Value) -> (String, String) {
    let made = world
        .admin("POST", "/v1/oauth/clients", body)
        .await
        .expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

pub(super) async fn ask(world: &World, form: String, basic: Option<&str>) -> Answer {
    let mut request = http::Request::builder()
        .method("POST")
        .uri("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(basic) = basic {
        let encoded = STANDARD.encode(basic);
        request = request.header("authorization", format!("Basic {encoded}"));
    }
    world
        .send(request.body(axum::body::Body::from(form)).unwrap())
        .await
}

pub(super) fn form(id: &str, secret: &str) -> String {
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=all")
}

pub(super) async fn token(world: &World, id: &str, secret: &str) -> String {
    let answer = ask(world, form(id, secret), None).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let body = answer.expect(200);
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("bearer"), &json!(3600))
    );
    body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_as_good_as_a_key_of_its_role_for_an_hour() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "member", "user_id": "ada"})).await;
    let token = token(&world, &id, &secret).await;
    let own = world
        .call(&token, "GET", "/v1/users/ada", Value::Null)
        .await;
    assert_eq!(own.status, 200, "{}", own.body);
    let users = world.call(&token, "GET", "/v1/users", Value::Null).await;
    assert_eq!(users.status, 403);
    let body = json!({
        "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 5,
        "max_output_tokens": 0,
    });
    let passed = world
        .call(&token, "POST", "/v1/preflight", body)
        .await
        .expect(200);
    assert_eq!(passed["decision"], "allow");
    let events = json!({"events": [world.usage("e-1", "ada", 5, 0, None)]});
    let sent = world
        .call(&token, "POST", "/v1/events", events)
        .await
        .expect(202);
    assert_eq!(sent["accepted"], 1, "{sent}");
    world.set_clock("2026-11-24T12:59:59Z").await;
    let before = world
        .call(&token, "GET", "/v1/users/ada", Value::Null)
        .await;
    assert_eq!(before.status, 200);
    world.set_clock("2026-11-24T13:00:00Z").await;
    let after = world
        .call(&token, "GET", "/v1/users/ada", Value::Null)
        .await;
    assert_eq!(after.status, 401);
}

#[tokio::test]
async fn a_repeated_request_is_the_same_one_after_a_new_token() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "admin"})).await;
    let mut answers = Vec::new();
    for clock in ["2026-11-24T12:00:00Z", "2026-11-24T13:30:00Z"] {
        world.set_clock(clock).await;
        let token = token(&world, &id, &secret).await;
        let headers = [("idempotency-key", "once")];
        let body = r#"{"role": "agent"}"#;
        let made = world
            .raw(&token, "POST", "/v1/api-keys", &headers, body)
            .await;
        answers.push(made.expect(201));
    }
    assert_eq!(answers[0], answers[1], "with its secret");
}

#[tokio::test]
async fn a_token_may_be_asked_for_with_the_header_of_a_client_too() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "admin"})).await;
    let basic = format!("{id}:{secret}");
    let answer = ask(
        &world,
        "grant_type=client_credentials".to_owned(),
        Some(&basic),
    )
    .await;
    let body = answer.expect(200);
    let token = body["access_token"].as_str().unwrap();
    let users = world.call(token, "GET", "/v1/users", Value::Null).await;
    assert_eq!(users.status, 200);
    let log = "/v1/audit-log?action=department.create&limit=1";
    world
        .call(
            token,
            "POST",
            "/v1/departments",
            json!({"id": "x", "name": "x"}),
        )
        .await
        .expect(201);
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    assert_eq!(log["items"][0]["actor"], json!(format!("key/{id}")));
}

#[tokio::test]
async fn wrong_questions_for_a_token_are_refused() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "admin"})).await;
    let right = form(&id, &secret);
    for (asked, status, fields) in [
        (String::new(), 400, vec!["grant_type"]),
        ("{}".to_owned(), 400, vec!["grant_type"]),
        (
            right.replace("client_credentials", "password"),
            400,
            vec!["grant_type"],
        ),
        (right.replace(&format!("client_id={id}&"), ""), 401, vec![]),
        (format!("client_id=x&{right}"), 400, vec!["client_id"]),
        (form(&id, ""), 401, vec![]),
        (form(&id, &"a".repeat(300)), 400, vec!["client_secret"]),
        (form(&id, "wrong"), 401, vec![]),
        (form("oac_nobody", &secret), 401, vec![]),
        (form("a%23b", &secret), 401, vec![]),
        (form("key_local_admin", ADMIN), 401, vec![]),
        ("a".repeat(9_000), 400, vec!["body"]),
    ] {
        let answer = ask(&world, asked.clone(), None).await;
        assert_eq!(answer.status, status, "{asked:.80} {}", answer.body);
        assert_eq!(answer.fields(), fields, "{asked:.80}");
    }
    let secret_as_key = world.call(&secret, "GET", "/v1/users", Value::Null).await;
    assert_eq!(secret_as_key.status, 401, "a secret is no key");
}

#[tokio::test]
async fn a_token_of_a_deleted_client_ends_when_its_time_of_trust_ends() {
    let world = World::with_short_trust(SystemSettings::empty()).await;
    let (id, secret) = client(&world, json!({"role": "admin"})).await;
    let token = token(&world, &id, &secret).await;
    let works = async || {
        world
            .call(&token, "GET", "/v1/users", Value::Null)
            .await
            .status
            == 200
    };
    assert!(works().await);
    let path = format!("/v1/oauth/clients/{id}");
    let gone = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(gone.status, 204);
    let since = Instant::now();
    while works().await {
        assert!(
            since.elapsed() < SHORT_TRUST + Duration::from_millis(500),
            "it is still trusted"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&world, form(&id, &secret), None).await.status, 401);
}

#[tokio::test]
async fn clients_are_listed_without_their_secrets_and_belong_to_one_organisation() {
    let world = world(100).await;
    let (id, secret) = client(&world, json!({"role": "agent", "description": "a server"})).await;
    let list = world
        .admin("GET", "/v1/oauth/clients", Value::Null)
        .await
        .expect(200);
    assert_eq!(list["items"][0]["client_id"], json!(id));
    assert!(!list.to_string().contains(&secret), "{list}");
    let rival = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(OPERATOR, "POST", "/v1/organisations", rival)
        .await
        .expect(201);
    let rival = rival["admin_key"].as_str().unwrap();
    let theirs = world
        .call(rival, "GET", "/v1/oauth/clients", Value::Null)
        .await
        .expect(200);
    assert_eq!(theirs["items"], json!([]));
    let path = format!("/v1/oauth/clients/{id}");
    assert_eq!(
        world.call(rival, "DELETE", &path, Value::Null).await.status,
        404
    );
    token(&world, &id, &secret).await;
}
