//! GitHub's own webhooks: signed, read by the table of risks, counted once.

use super::world;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use end_to_end::{ADMIN, AGENT, Answer, OPERATOR, World};
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::Path;

const SECRET: &str = "a-secret-of-github";

/// Real bodies of GitHub, by the name of their file: `event.action`.
fn bodies() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/github-webhooks");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let webhooks = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    webhooks
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

async fn deliver(world: &World, to: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let path = format!("/v1/integrations/github/{to}");
    let mut request = Request::builder().method("POST").uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world
        .send(request.body(Body::from(body.to_vec())).unwrap())
        .await
}

/// A webhook as GitHub sends it.
async fn webhook(world: &World, event: &str, delivery: &str, body: &[u8]) -> Answer {
    let signed = signature(SECRET, body);
    let headers = [
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signed.as_str()),
    ];
    let answer = deliver(world, "demo", &headers, body).await;
    world.system.drain().await.unwrap();
    answer
}

async fn set_up(world: &World) {
    let body = json!({"secret": SECRET, "users": {"codertocat": "ada"}});
    let answer = world
        .admin("PUT", "/v1/integrations/github", body)
        .await
        .expect(200);
    assert_eq!(answer["receiver"], "/v1/integrations/github/demo");
    assert!(!answer.to_string().contains(SECRET));
}

/// Everything in a table, as text.
async fn everything_in(world: &World, table: &str) -> Vec<String> {
    let items = world
        .tables()
        .scan()
        .table_name(table)
        .send()
        .await
        .unwrap();
    items
        .items()
        .iter()
        .map(|item| format!("{item:?}"))
        .collect()
}

async fn risk_records(world: &World) -> Vec<String> {
    let is_risk =
        |item: &String| item.contains(&format!("{:?}", AttributeValue::S("ip_risk".into())));
    everything_in(world, "Ledger")
        .await
        .into_iter()
        .filter(is_risk)
        .collect()
}

#[tokio::test]
async fn each_real_webhook_gives_what_the_table_says() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let expected = [
        ("fork", Some("medium"), None),
        ("member.added", Some("low"), None),
        ("ping", None, None),
        ("public", Some("critical"), Some("ada")),
        ("push", None, None),
        ("push.with-organization", None, None),
        (
            "repository.publicized.with-organization",
            Some("critical"),
            Some("ada"),
        ),
        ("secret_scanning_alert.reopened", Some("high"), Some("ada")),
    ];
    let bodies = bodies();
    assert_eq!(bodies.len(), expected.len());
    for (number, (name, level, user)) in expected.iter().enumerate() {
        let event = name.split('.').next().unwrap();
        let answer = webhook(&world, event, &format!("d-{number}"), &bodies[*name])
            .await
            .expect(202);
        assert_eq!(answer["risk_level"].as_str(), *level, "{name}: {answer}");
        assert_eq!(answer["user_id"].as_str(), *user, "{name}: {answer}");
        let id = level.map(|_| format!("github-d-{number}"));
        assert_eq!(answer["event_id"].as_str(), id.as_deref(), "{name}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    let records = risk_records(&world).await;
    assert_eq!(records.len(), 5);
    assert!(
        records.iter().any(|r| r.contains("Codertocat/Hello-World")
            && r.contains("secret scanning alert reopened"))
    );
}

#[tokio::test]
async fn a_redelivered_webhook_counts_once() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let body = &bodies()["public"];
    for _ in 0..3 {
        webhook(
            &world,
            "public",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            body,
        )
        .await
        .expect(202);
    }
    assert_eq!(risk_records(&world).await.len(), 1);
}

#[tokio::test]
async fn a_push_of_a_key_file_is_a_risk_of_who_pushed_it() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let mut push: Value = serde_json::from_slice(&bodies()["push"]).unwrap();
    push["commits"] =
        json!([{"added": ["deploy/.env"], "modified": ["server.pem"], "removed": []}]);
    let answer = webhook(&world, "push", "d-1", push.to_string().as_bytes())
        .await
        .expect(202);
    assert_eq!(
        (&answer["risk_level"], &answer["user_id"]),
        (&json!("high"), &json!("ada"))
    );
    let records = risk_records(&world).await;
    assert!(
        records[0].contains("push: deploy/.env, server.pem"),
        "{records:?}"
    );
}

#[tokio::test]
async fn an_administrator_reads_and_changes_the_table() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let path = "/v1/integrations/github/risks";
    let table = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(table["is_default"], true);
    let row = json!({"event": "secret_scanning_alert", "action": "created", "risk_level": "high"});
    assert!(table["items"].as_array().unwrap().contains(&row));
    let own = json!({"items": [
        {"event": "fork", "action": null, "risk_level": "low"},
        {"event": "public", "action": null, "risk_level": null},
        {"event": "ping", "risk_level": "low"},
    ]});
    let put = world.admin("PUT", path, own).await.expect(200);
    assert_eq!(put["is_default"], false);
    assert_eq!(world.admin("GET", path, Value::Null).await.expect(200), put);
    let bodies = bodies();
    for (event, level) in [
        ("fork", Some("low")),
        ("public", None),
        ("ping", Some("low")),
    ] {
        let answer = webhook(&world, event, event, &bodies[event])
            .await
            .expect(202);
        assert_eq!(answer["risk_level"].as_str(), level, "{answer}");
    }
}

#[tokio::test]
async fn a_webhook_without_the_right_signature_is_refused_whoever_it_is_for() {
    let (world, _) = world(1_000).await;
    let body = &bodies()["public"];
    let right = signature(SECRET, body);
    let other = signature("another-secret-of-github", body);
    let zeros = format!("sha256={}", "0".repeat(64));
    let upper = right.to_uppercase();
    let altered = format!("{}é", &right[..70]);
    set_up(&world).await;
    let rival = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    world
        .call(OPERATOR, "POST", "/v1/organisations", rival)
        .await
        .expect(201);
    let basic = [("x-github-event", "public"), ("x-github-delivery", "d-1")];
    let mut messages = std::collections::BTreeSet::new();
    for (to, signature) in [
        ("demo", other.as_str()),
        ("demo", &zeros),
        ("demo", ""),
        ("demo", "sha256="),
        ("demo", &upper),
        ("demo", &altered),
        ("demo", &right[7..]),
        ("rival", &right),
        ("nobody", &right),
        ("@operator", &right),
    ] {
        let headers = [basic[0], basic[1], ("x-hub-signature-256", signature)];
        let answer = deliver(&world, to, &headers, body).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (401, &json!("unauthorized")),
            "{to} {signature}"
        );
        messages.insert(answer.body["message"].to_string());
    }
    assert_eq!(
        messages.len(),
        1,
        "nobody learns which organisations there are"
    );
    let without = deliver(&world, "demo", &basic, body).await;
    assert_eq!(without.status, 401);
    let with_key = [
        basic[0],
        basic[1],
        ("authorization", "Bearer tk_local_admin"),
    ];
    assert_eq!(deliver(&world, "demo", &with_key, body).await.status, 401);
    let mut altered = body.clone();
    altered.push(b' ');
    let headers = [basic[0], basic[1], ("x-hub-signature-256", right.as_str())];
    assert_eq!(
        deliver(&world, "demo", &headers, &altered).await.status,
        401
    );
    let headers = [("x-hub-signature-256", right.as_str()), basic[1]];
    assert_eq!(
        deliver(&world, "demo", &headers, body).await.fields(),
        ["x-github-event"]
    );
    let headers = [("x-hub-signature-256", right.as_str()), basic[0]];
    assert_eq!(
        deliver(&world, "demo", &headers, body).await.fields(),
        ["x-github-delivery"]
    );
    let form = webhook(&world, "public", "d-1", b"payload=%7B%7D").await;
    assert_eq!((form.status, form.fields()), (400, vec!["body".to_owned()]));
    let five_megabytes = vec![b' '; 5 * 1024 * 1024];
    assert_eq!(
        webhook(&world, "public", "d-1", &five_megabytes)
            .await
            .status,
        413
    );
    assert!(risk_records(&world).await.is_empty());
}

#[tokio::test]
async fn the_secret_is_stored_sealed_and_a_new_one_takes_the_place_of_the_old() {
    let (world, _) = world(1_000).await;
    let path = "/v1/integrations/github";
    assert_eq!(world.admin("GET", path, Value::Null).await.status, 404);
    set_up(&world).await;
    let body = &bodies()["public"];
    webhook(&world, "public", "d-1", body).await.expect(202);
    for table in ["Governance", "Ledger"] {
        for item in everything_in(&world, table).await {
            assert!(!item.contains(SECRET), "{table} has the secret");
        }
    }
    let new = json!({"secret": "another-secret-of-github", "users": {}});
    world.admin("PUT", path, new).await.expect(200);
    assert_eq!(webhook(&world, "public", "d-2", body).await.status, 401);
    let seen = world
        .call(ADMIN, "GET", path, Value::Null)
        .await
        .expect(200);
    assert_eq!(seen["users"], json!({}));
    assert_eq!(
        world.call(AGENT, "GET", path, Value::Null).await.status,
        403
    );
}
