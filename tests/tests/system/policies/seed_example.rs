//! The example: a high risk of engineering opens an incident and writes to the manager, from
//! GitHub's signed webhook to the queued mail.

use super::{active, all, firings, notices, tested, world};
use axum::body::Body;
use end_to_end::World;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "a-secret-of-github";

async fn deliver(world: &World, secret: &str, delivery: &str, body: &[u8]) -> u16 {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = Request::builder()
        .method("POST")
        .uri("/v1/integrations/github/demo")
        .header("x-github-event", "secret_scanning_alert")
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", format!("sha256={hex}"))
        .body(Body::from(body.to_vec()))
        .unwrap();
    let status = world.send(request).await.status;
    world.system.drain().await.unwrap();
    status
}

async fn set_up() -> (World, String) {
    let world = world().await;
    for (id, department) in [("max", "engineering"), ("root", "sales")] {
        world.user(id, department).await;
    }
    let users = json!({"secret": SECRET, "users": {"codertocat": "ada", "sam-at-github": "sam"}});
    world
        .admin("PUT", "/v1/integrations/github", users)
        .await
        .expect(200);
    world
        .admin("PATCH", "/v1/users/ada", json!({"manager_id": "max"}))
        .await
        .expect(200);
    let policy = json!({
        "name": "Leaks of engineering",
        "trigger": {"type": "ip_risk_event"},
        "match": "all",
        "conditions": [
            {"field": "risk_level", "op": "eq", "value": "high"},
            {"field": "department_id", "op": "eq", "value": "engineering"},
        ],
        "actions": [{"type": "create_incident"}, {"type": "email_manager"}],
    });
    let id = active(&world, policy).await;
    (world, id)
}

fn leak(login: &str) -> Vec<u8> {
    alert(191, login)
}

/// The alert of a number, caused by somebody.
fn alert(number: u64, login: &str) -> Vec<u8> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/data/github-webhooks/secret_scanning_alert.reopened.json"
    );
    let body = std::fs::read_to_string(file).unwrap();
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["sender"]["login"] = json!(login);
    body["alert"]["number"] = json!(number);
    body.to_string().into_bytes()
}

#[tokio::test]
async fn a_high_risk_of_engineering_opens_an_incident_and_queues_a_mail_to_the_manager() {
    let (world, policy) = set_up().await;
    assert_eq!(
        deliver(&world, SECRET, "d-1", &leak("Codertocat")).await,
        202
    );
    let incidents = all(&world, "/v1/incidents").await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let incident = &incidents[0];
    assert_eq!(
        (
            &incident["severity"],
            &incident["status"],
            &incident["org_id"]
        ),
        (&json!("high"), &json!("open"), &json!("demo"))
    );
    assert_eq!(
        (&incident["user_id"], &incident["department_id"]),
        (&json!("ada"), &json!("backend"))
    );
    assert_eq!(incident["policy_id"], policy);
    let event_id = incident["event_id"].as_str().unwrap();
    assert!(event_id.starts_with("github-"), "{event_id}");
    let notices = notices(&world).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    let mail = &notices[0]["recipients"][0];
    assert_eq!(
        (&mail["channel"], &mail["email"], &mail["status"]),
        (
            &json!("mail"),
            &json!("max@example.com"),
            &json!("delivering")
        )
    );
    assert_eq!(mail["because"], "you are the manager of ada");
    let payload = &notices[0]["payload"];
    assert_eq!(payload["incident_id"], incident["id"]);
    assert!(
        payload["message"]
            .as_str()
            .unwrap()
            .contains("Codertocat/Hello-World"),
        "{payload}"
    );
    let conditions = payload["facts"]["conditions"].as_array().unwrap();
    assert_eq!(conditions[0], "risk_level eq high: holds, it is high");
    assert_eq!(
        conditions[1],
        "department_id eq engineering: holds, it is /engineering/backend/"
    );
    let alert = &firings(&world, &policy).await[0];
    assert_eq!(
        (&alert["type"], &alert["severity"]),
        (&json!("security_event"), &json!("high"))
    );
    assert_eq!(tested(&world, &policy, 30).await["would_trigger"], 1);
}

#[tokio::test]
async fn a_manager_who_is_suspended_is_not_told_and_an_administrator_is() {
    let (world, _) = set_up().await;
    for (path, change) in [
        ("/v1/departments/engineering", json!({"manager_id": "max"})),
        ("/v1/users/root", json!({"role": "admin"})),
        ("/v1/users/max", json!({"status": "suspended"})),
    ] {
        world.admin("PATCH", path, change).await.expect(200);
    }
    assert_eq!(
        deliver(&world, SECRET, "d-1", &leak("Codertocat")).await,
        202
    );
    let notices = notices(&world).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    let recipients = notices[0]["recipients"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> = recipients
        .iter()
        .map(|recipient| (&recipient["user_id"], &recipient["because"]))
        .collect();
    let because = "nobody manages ada or their department, and you are an administrator";
    assert_eq!(told, [(&json!("root"), &json!(because))]);
}

#[tokio::test]
async fn a_wrong_signature_too_much_and_a_second_delivery_each_end_as_they_should() {
    let (world, policy) = set_up().await;
    assert_eq!(
        deliver(
            &world,
            "another-secret-of-github",
            "d-1",
            &leak("Codertocat")
        )
        .await,
        401
    );
    assert_eq!(
        deliver(&world, SECRET, "d-1", &vec![b' '; 25 * 1024 * 1024 + 1]).await,
        413
    );
    assert!(all(&world, "/v1/incidents").await.is_empty());
    for _ in 0..3 {
        assert_eq!(
            deliver(&world, SECRET, "d-1", &leak("Codertocat")).await,
            202
        );
    }
    assert_eq!(
        deliver(&world, SECRET, "d-2", &leak("sam-at-github")).await,
        202
    );
    assert_eq!(
        deliver(&world, SECRET, "d-3", &leak("nobody-known")).await,
        202
    );
    assert_eq!(
        all(&world, "/v1/incidents").await.len(),
        1,
        "once, and for engineering only"
    );
    assert_eq!(firings(&world, &policy).await.len(), 1);
    assert_eq!(notices(&world).await.len(), 1);
}

#[tokio::test]
async fn notices_about_a_user_without_a_manager_go_to_the_departments_manager_or_administrators() {
    let (world, _) = set_up().await;
    let told = async |number: u64| {
        let body = alert(number, "Codertocat");
        assert_eq!(deliver(&world, SECRET, "d", &body).await, 202);
        let notices = notices(&world).await;
        let said = format!("alert {number}");
        let of_this = |notice: &&Value| {
            let message = notice["payload"]["message"].as_str().unwrap();
            message.contains(&said)
        };
        let last = notices.iter().find(of_this).unwrap()["recipients"].clone();
        let all = last.as_array().unwrap().iter();
        all.map(|r| {
            (
                r["user_id"].as_str().unwrap().to_owned(),
                r["because"].as_str().unwrap().to_owned(),
            )
        })
        .collect::<Vec<_>>()
    };
    let patch = async |path: &str, body: Value| world.admin("PATCH", path, body).await.expect(200);
    patch("/v1/departments/engineering", json!({"manager_id": "max"})).await;
    patch("/v1/users/ada", json!({"manager_id": null})).await;
    let because = "ada has no manager, and you manage the department engineering";
    assert_eq!(told(1).await, [("max".to_owned(), because.to_owned())]);
    patch("/v1/departments/backend", json!({"manager_id": "ada"})).await;
    assert_eq!(told(2).await[0].0, "max", "nobody is their own manager");
    patch("/v1/departments/engineering", json!({"manager_id": null})).await;
    for id in ["root", "sam"] {
        patch(&format!("/v1/users/{id}"), json!({"role": "admin"})).await;
    }
    patch("/v1/users/sam", json!({"status": "suspended"})).await;
    let because = "nobody manages ada or their department, and you are an administrator";
    assert_eq!(told(3).await, [("root".to_owned(), because.to_owned())]);
    patch("/v1/users/root", json!({"role": "member"})).await;
    assert_eq!(
        deliver(&world, SECRET, "d-4", &alert(4, "Codertocat")).await,
        202
    );
    assert_eq!(
        all(&world, "/v1/incidents").await.len(),
        4,
        "the incident is opened also where nobody can be told"
    );
    let last = notices(&world).await;
    let of_nobody = last
        .iter()
        .filter(|n| n["recipients"].as_array().unwrap().is_empty());
    assert_eq!((last.len(), of_nobody.count()), (4, 1));
}
