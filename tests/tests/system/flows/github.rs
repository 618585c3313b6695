//! GitHub's own webhooks: signed, read by the table of risks, counted once.

use super::world;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use end_to_end::{ADMIN, AGENT, Answer, OPERATOR, World};
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use local::system::SystemSettings;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
async fn each_real_webhook_gives_the_event_of_the_table() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let expected = [
        ("code_scanning_alert.created", Some("medium"), None),
        ("create", None, None),
        ("delete", None, None),
        ("dependabot_alert.created", Some("medium"), None),
        ("deploy_key.created", None, None),
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
        ("repository.privatized", None, None),
        (
            "repository_vulnerability_alert.create",
            Some("medium"),
            None,
        ),
        ("secret_scanning_alert.reopened", Some("high"), Some("ada")),
        ("star.created", None, None),
        ("team.created", None, None),
        ("watch.started", None, None),
    ];
    let bodies = bodies();
    assert_eq!(bodies.len(), expected.len());
    let mut ids = BTreeSet::new();
    for (number, (name, level, user)) in expected.iter().enumerate() {
        let event = name.split('.').next().unwrap();
        let answer = webhook(&world, event, &format!("d-{number}"), &bodies[*name])
            .await
            .expect(202);
        assert_eq!(answer["risk_level"].as_str(), *level, "{name}: {answer}");
        assert_eq!(answer["user_id"].as_str(), *user, "{name}: {answer}");
        let id = answer["event_id"].as_str();
        assert_eq!(id.is_some(), level.is_some(), "{name}");
        ids.extend(id.map(str::to_owned));
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    assert!(ids.iter().all(|id| id.starts_with("github-")), "{ids:?}");
    let records = risk_records(&world).await;
    assert_eq!((records.len(), ids.len()), (8, 8));
    assert!(
        records.iter().any(|r| r.contains("Codertocat/Hello-World")
            && r.contains("secret scanning alert reopened"))
    );
}

/// A policy that opens an incident for each risk from `level` on.
async fn incidents_from(world: &World, level: &str, conditions: Value) -> String {
    let mut all = vec![json!({"field": "risk_level", "op": "gte", "value": level})];
    all.extend(conditions.as_array().unwrap().clone());
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"}, "match": "all", "conditions": all,
        "actions": [{"type": "create_incident"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let publish = format!("/v1/policies/{id}/publish");
    world.admin("POST", &publish, Value::Null).await.expect(200);
    id
}

async fn incidents(world: &World) -> Vec<Value> {
    let page = world.admin("GET", "/v1/incidents", Value::Null).await;
    page.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_signed_body_counts_once_under_whatever_headers_it_is_sent_again() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    incidents_from(&world, "low", json!([])).await;
    let body = &bodies()["member.added"];
    for delivery in ["72d3162e-cc78-11e3-81ab-4c9367dc0958", "another", "third"] {
        webhook(&world, "member", delivery, body).await.expect(202);
    }
    for event in ["public", "fork", "push", "secret_scanning_alert"] {
        let answer = webhook(&world, event, "d-9", body).await;
        if answer.status == 202 {
            // The table of risks has no row for this event with the action of the body.
            assert_eq!(answer.body["event_id"], Value::Null, "{event}");
        } else {
            assert_eq!(
                (answer.status, answer.fields()),
                (400, vec!["x-github-event".to_owned()]),
                "{event}"
            );
        }
    }
    assert_eq!(risk_records(&world).await.len(), 1);
    let opened = incidents(&world).await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["severity"], "low");
}

#[tokio::test]
async fn no_real_body_is_a_risk_under_the_name_of_another_event() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let bodies = bodies();
    let event = |name: &str| name.split('.').next().unwrap().to_owned();
    let events: BTreeSet<String> = bodies.keys().map(|name| event(name)).collect();
    let rows: Vec<Value> = events
        .iter()
        .chain([&"novelty".to_owned()])
        .map(|event| json!({"event": event, "action": null, "risk_level": "critical"}))
        .collect();
    let own = json!({ "items": rows });
    world
        .admin("PUT", "/v1/integrations/github/risks", own)
        .await
        .expect(200);
    for (name, body) in &bodies {
        for other in events.iter().chain([&"novelty".to_owned()]) {
            let answer = webhook(&world, other, "d-1", body).await;
            let expected = if *other == event(name) { 202 } else { 400 };
            assert_eq!(answer.status, expected, "{name} as {other}");
        }
    }
}

#[tokio::test]
async fn two_hooks_on_one_alert_count_once_and_a_reopened_alert_counts_again() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    incidents_from(&world, "high", json!([])).await;
    let mut alert: Value =
        serde_json::from_slice(&bodies()["secret_scanning_alert.reopened"]).unwrap();
    alert["alert"]["updated_at"] = json!("2026-11-24T11:00:00Z");
    let mut of_app = alert.clone();
    of_app["installation"] = json!({"id": 1, "node_id": "x"});
    of_app["repository"]["open_issues_count"] = json!(77);
    let send = async |delivery: &str, body: &Value| {
        webhook(
            &world,
            "secret_scanning_alert",
            delivery,
            body.to_string().as_bytes(),
        )
        .await
        .expect(202)
    };
    let first = send("d-1", &alert).await;
    let second = send("d-2", &of_app).await;
    assert_eq!(first["event_id"], second["event_id"]);
    assert_eq!(incidents(&world).await.len(), 1);
    alert["alert"]["updated_at"] = json!("2026-11-25T11:00:00Z");
    let reopened = send("d-3", &alert).await;
    assert_ne!(first["event_id"], reopened["event_id"]);
    assert_eq!(incidents(&world).await.len(), 2);
}

#[tokio::test]
async fn a_redelivery_after_a_login_was_mapped_completes_what_was_missing_once() {
    let (world, _) = world(1_000).await;
    let nobody = json!({"secret": SECRET, "users": {}});
    world
        .admin("PUT", "/v1/integrations/github", nobody)
        .await
        .expect(200);
    let of_eng = json!([{"field": "department_id", "op": "eq", "value": "eng"}]);
    incidents_from(&world, "low", of_eng).await;
    let of_anybody = incidents_from(&world, "low", json!([])).await;
    let body = &bodies()["secret_scanning_alert.reopened"];
    let send = async |delivery: &str| {
        webhook(&world, "secret_scanning_alert", delivery, body)
            .await
            .expect(202)
    };
    let first = send("d-1").await;
    assert_eq!(first["user_id"], Value::Null);
    let opened = incidents(&world).await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["policy_id"], of_anybody.as_str());

    set_up(&world).await;
    // Months later, so that it cannot be taken for the same message.
    world.set_clock("2027-02-01T12:00:00Z").await;
    for delivery in ["d-1", "d-2"] {
        let again = send(delivery).await;
        assert_eq!(again["event_id"], first["event_id"]);
        assert_eq!(again["user_id"], "ada");
    }
    let records = risk_records(&world).await;
    assert_eq!(records.len(), 1);
    for said in ["S(\"ada\")", "S(\"/eng/backend/\")"] {
        assert!(records[0].contains(said), "{said}: {records:?}");
    }
    let opened = incidents(&world).await;
    assert_eq!(opened.len(), 2, "each policy once: {opened:?}");
    assert_eq!(
        (&opened[0]["user_id"], &opened[0]["department_id"]),
        (&json!("ada"), &json!("backend"))
    );

    // Its user stays, even if the login is mapped to another one later.
    let other = json!({"secret": SECRET, "users": {"codertocat": "bob"}});
    world.user("bob", "eng").await;
    world
        .admin("PUT", "/v1/integrations/github", other)
        .await
        .expect(200);
    send("d-3").await;
    assert!(risk_records(&world).await[0].contains("S(\"ada\")"));
    assert_eq!(incidents(&world).await.len(), 2);
}

/// A world in which a policy fired for a risk of an unknown user. It blocks, mails and opens
/// an incident.
async fn fired_for_nobody(settings: SystemSettings) -> World {
    let world = World::with(settings).await;
    world.set_clock("2026-11-24T12:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let nobody = json!({"secret": SECRET, "users": {}});
    world
        .admin("PUT", "/v1/integrations/github", nobody)
        .await
        .expect(200);
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "block_access"}, {"type": "email_user"}, {"type": "create_incident"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    let body = &bodies()["secret_scanning_alert.reopened"];
    webhook(&world, "secret_scanning_alert", "d-1", body)
        .await
        .expect(202);
    assert_eq!(world.system.mails().sent().len(), 0);
    world
}

/// Checks that the user is blocked and told, and that one alert and one incident name them.
async fn assert_finished_once(world: &World, case: &str) {
    let user = world.admin("GET", "/v1/users/ada", Value::Null).await;
    let user = user.expect(200);
    assert!(user["block"].is_object(), "{case}: {user}");
    let opened = incidents(world).await;
    assert_eq!(opened.len(), 1, "{case}: {opened:?}");
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alerts = alerts.expect(200)["items"].as_array().unwrap().clone();
    assert_eq!(alerts.len(), 1, "{case}: {alerts:?}");
    for known in [&opened[0], &alerts[0]] {
        assert_eq!(
            (&known["user_id"], &known["department_id"]),
            (&json!("ada"), &json!("eng")),
            "{case}"
        );
    }
    assert_eq!(alerts[0]["metadata"]["not_done"], json!([]), "{case}");
    let mails = world.system.mails().sent();
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["ada@example.com"], "{case}");
    assert!(mails[0].text.contains("known now whose it is"), "{case}");
}

#[tokio::test]
async fn a_policy_that_had_nobody_to_block_blocks_when_the_redelivery_says_who_it_was() {
    let world = fired_for_nobody(SystemSettings::empty()).await;
    set_up(&world).await;
    let body = &bodies()["secret_scanning_alert.reopened"];
    for delivery in ["d-1", "d-2"] {
        webhook(&world, "secret_scanning_alert", delivery, body)
            .await
            .expect(202);
    }
    assert_finished_once(&world, "once").await;
    // Who is released stays released, however often it is delivered.
    let path = "/v1/users/ada/block";
    world.admin("DELETE", path, Value::Null).await;
    webhook(&world, "secret_scanning_alert", "d-3", body)
        .await
        .expect(202);
    let user = world.admin("GET", "/v1/users/ada", Value::Null).await;
    assert_eq!(user.expect(200)["block"], Value::Null);
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
async fn a_push_by_a_program_is_of_who_pushed_or_wrote_it() {
    let (world, _) = world(1_000).await;
    world.user("mona", "eng").await;
    let users = json!({"secret": SECRET, "users": {"codertocat": "ada", "Mona-L": "mona"}});
    world
        .admin("PUT", "/v1/integrations/github", users)
        .await
        .expect(200);
    let mut push: Value = serde_json::from_slice(&bodies()["push"]).unwrap();
    push["sender"] = json!({"login": "sync[bot]", "type": "Bot"});
    push["commits"] = json!([{
        "added": [".env"], "modified": [], "author": {"name": "Mona", "username": "mona-l"},
    }]);
    let send = async |push: &Value| {
        webhook(&world, "push", "d-1", push.to_string().as_bytes())
            .await
            .expect(202)["user_id"]
            .clone()
    };
    assert_eq!(send(&push).await, "ada", "the pusher");
    push["pusher"] = json!({"name": "deploy-key", "email": null});
    assert_eq!(send(&push).await, "mona", "an author");
    push["commits"][0]["author"]["username"] = json!("stranger");
    assert_eq!(send(&push).await, Value::Null);
}

/// A real push with so many commits, the last of which adds a key.
fn large_push(commits: usize) -> Vec<u8> {
    let mut push: Value = serde_json::from_slice(&bodies()["push"]).unwrap();
    let author =
        json!({"name": "Ada", "email": "ada@users.noreply.github.com", "username": "Codertocat"});
    let modified = |n: usize| {
        if n + 1 == commits {
            "deploy/.env".to_owned()
        } else {
            format!("src/file_{n}.rs")
        }
    };
    let commit = |n: usize| {
        json!({
            "id": format!("{n:040x}"), "tree_id": format!("{:040x}", n + 1), "distinct": true,
            "message": format!("Change {n}: {}", "say what it is for and why ".repeat(10)),
            "timestamp": "2026-11-24T11:00:00Z",
            "url": format!("https://github.com/Codertocat/Hello-World/commit/{n:040x}"),
            "author": author, "committer": author, "added": [], "removed": [],
            "modified": [modified(n)],
        })
    };
    push["commits"] = (0..commits).map(commit).collect();
    push.to_string().into_bytes()
}

#[tokio::test]
async fn a_push_of_two_thousand_commits_is_taken_and_more_than_25_megabytes_are_not() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let push = large_push(2_048);
    assert!(push.len() > 1_500_000, "{}", push.len());
    let answer = webhook(&world, "push", "d-1", &push).await.expect(202);
    assert_eq!(answer["risk_level"], "high");
    let mut most = push;
    most.resize(25 * 1024 * 1024, b' ');
    webhook(&world, "push", "d-1", &most).await.expect(202);
    assert_eq!(risk_records(&world).await.len(), 1);
    most.push(b' ');
    let refused = webhook(&world, "push", "d-1", &most).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (413, vec!["body".to_owned()])
    );
    // Other routes keep their limit.
    let large = vec![b' '; 1024 * 1024 + 1];
    let refused = world.raw(AGENT, "POST", "/v1/events", &[], large).await;
    assert_eq!(refused.status, 413);
}

#[tokio::test]
async fn the_body_of_an_unknown_caller_is_not_read() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let zeros = format!("sha256={}", "0".repeat(64));
    for (to, signature) in [
        ("nobody", zeros.as_str()),
        ("demo", "sha256=short"),
        ("demo", ""),
        ("@operator", &zeros),
    ] {
        let is_read = Arc::new(AtomicBool::new(false));
        let seen = is_read.clone();
        let body = Body::from_stream(futures::stream::once(async move {
            seen.store(true, Ordering::SeqCst);
            Ok::<_, std::io::Error>(vec![b' '; 1024])
        }));
        let request = Request::builder()
            .method("POST")
            .uri(format!("/v1/integrations/github/{to}"))
            .header("x-github-event", "public")
            .header("x-github-delivery", "d-1")
            .header("x-hub-signature-256", signature);
        let answer = world.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, 401, "{to} {signature}");
        assert!(!is_read.load(Ordering::SeqCst), "{to} {signature}");
    }
}

#[tokio::test]
async fn a_form_is_taken_as_json_is_and_counts_as_the_same() {
    let (world, _) = world(1_000).await;
    set_up(&world).await;
    let json = &bodies()["public"];
    let encoded: String = json.iter().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!("payload={encoded}");
    let first = webhook(&world, "public", "d-1", form.as_bytes())
        .await
        .expect(202);
    assert_eq!(
        (&first["risk_level"], &first["user_id"]),
        (&json!("critical"), &json!("ada"))
    );
    let second = webhook(&world, "public", "d-2", json).await.expect(202);
    assert_eq!(first["event_id"], second["event_id"]);
    assert_eq!(risk_records(&world).await.len(), 1);
    for wrong in ["payload=%7B%7D", "payload=", "paiload=%7B%7D", "{"] {
        let refused = webhook(&world, "public", "d-1", wrong.as_bytes()).await;
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.body);
    }
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
async fn a_webhook_without_the_right_signature_is_refused_for_every_organisation() {
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
    let mut messages = BTreeSet::new();
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
    for table in ["Governance", "Ledger", "Audit"] {
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
