//! Tenants, roles and keys: nobody sees or touches what is another's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers fail loudly where a test would"
)]

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// The second organisation; its id begins with the first one's.
const RIVAL: &str = "demo-2";
/// What only the first organisation knows.
const MARK: &str = "onlydemo";

/// The keys of one organisation.
#[derive(Clone, Debug)]
struct Keys {
    admin: String,
    agent: String,
    manager: String,
    member: String,
}

struct Tenant {
    keys: Keys,
    /// Ids that are made by the system.
    ids: BTreeMap<&'static str, String>,
}

fn text(value: &Value, name: &str) -> String {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}

async fn made(world: &World, key: &str, path: &str, body: Value) -> Value {
    world.call(key, "POST", path, body).await.expect(201)
}

async fn key(world: &World, admin: &str, role: &str, user_id: Option<&str>) -> (String, String) {
    let body = json!({"role": role, "user_id": user_id});
    let made = made(world, admin, "/v1/api-keys", body).await;
    (text(&made, "id"), text(&made, "key"))
}

async fn user(world: &World, admin: &str, id: &str, department: &str) {
    let body = json!({
        "id": id, "email": format!("{id}@example.com"), "name": id, "department_id": department, "role": "member",
    });
    made(world, admin, "/v1/users", body).await;
}

/// Fills an organisation with `eng` > `backend`, ada, bob and the manager mo, whom bob reports to, and two budgets.
async fn fill(world: &World, admin: &str) -> Tenant {
    for (id, parent) in [("eng", None), ("backend", Some("eng"))] {
        let body = json!({"id": id, "name": id, "parent_id": parent});
        made(world, admin, "/v1/departments", body).await;
    }
    for (id, department) in [("ada", "backend"), ("bob", "backend"), ("mo", "eng")] {
        user(world, admin, id, department).await;
    }
    world
        .call(admin, "PATCH", "/v1/users/bob", json!({"manager_id": "mo"}))
        .await
        .expect(200);
    let mut ids = BTreeMap::new();
    for (name, department, unit) in [("budget", None, "tokens"), ("usd", Some("eng"), "usd")] {
        let body = json!({
            "name": "a budget", "department_id": department, "unit": unit, "amount": 100_000, "hard_cap": true,
        });
        ids.insert(
            name,
            text(&made(world, admin, "/v1/budgets", body).await, "id"),
        );
    }
    let (agent_id, agent) = key(world, admin, "agent", None).await;
    ids.insert("key", agent_id);
    let keys = Keys {
        admin: admin.to_owned(),
        agent,
        manager: key(world, admin, "manager", Some("mo")).await.1,
        member: key(world, admin, "member", Some("ada")).await.1,
    };
    Tenant { keys, ids }
}

async fn rival_of(world: &World) -> Tenant {
    let body = json!({"id": RIVAL, "name": "Rival", "timezone": "UTC"});
    let made = made(world, OPERATOR, "/v1/organisations", body).await;
    fill(world, &text(&made, "admin_key")).await
}

/// Both organisations with the same ids, and the first one with some of its own.
async fn two_tenants() -> (World, Tenant, Tenant) {
    let world = World::empty().await;
    let mut first = fill(&world, ADMIN).await;
    let rival = rival_of(&world).await;
    let secret = json!({"id": "d-onlydemo", "name": MARK});
    made(&world, ADMIN, "/v1/departments", secret).await;
    user(&world, ADMIN, "u-onlydemo", "d-onlydemo").await;
    let secret = json!({
        "name": MARK, "department_id": "d-onlydemo", "unit": "tokens", "amount": 9_999, "hard_cap": true,
    });
    let budget = made(&world, ADMIN, "/v1/budgets", secret).await;
    first.ids.insert("secret_budget", text(&budget, "id"));
    first
        .ids
        .insert("hold", world.hold("ada", "r-live", 10, 10).await);
    (world, first, rival)
}

async fn everything(world: &World, admin: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in ["departments", "users", "budgets", "api-keys"] {
        let path = format!("/v1/{path}?limit=100");
        seen.push(
            world
                .call(admin, "GET", &path, Value::Null)
                .await
                .expect(200),
        );
    }
    seen.push(
        world
            .call(admin, "GET", "/v1/organisation", Value::Null)
            .await
            .expect(200),
    );
    seen
}

#[tokio::test]
async fn another_tenants_resources_are_neither_shown_nor_changed() {
    let (world, first, rival) = two_tenants().await;
    let id = |name: &str| first.ids[name].clone();
    let block = json!({"reason": "spite"});
    let paths = [
        (
            "/v1/departments/d-onlydemo".to_owned(),
            json!({"name": "Stolen"}),
        ),
        ("/v1/users/u-onlydemo".to_owned(), json!({"name": "Stolen"})),
        ("/v1/users/u-onlydemo/block".to_owned(), block),
        (
            format!("/v1/budgets/{}", id("budget")),
            json!({"amount": 1}),
        ),
        (
            format!("/v1/budgets/{}", id("secret_budget")),
            json!({"amount": 1}),
        ),
        (format!("/v1/api-keys/{}", id("key")), json!({})),
        ("/v1/api-keys/key_local_admin".to_owned(), json!({})),
        (format!("/v1/holds/{}", id("hold")), json!({})),
        (
            "/v1/budgets/effective?user_id=u-onlydemo".to_owned(),
            json!({}),
        ),
        ("/v1/users?department=d-onlydemo".to_owned(), json!({})),
        ("/v1/organisations/demo/admin-keys".to_owned(), json!({})),
        ("/v1/organisations".to_owned(), json!({})),
        ("/v1/organisation/demo".to_owned(), json!({})),
    ];
    for (path, _) in paths
        .iter()
        .filter(|(path, _)| !path.contains("/block") && !path.contains("/organisation"))
    {
        let shown = world.admin("GET", path, Value::Null).await.status;
        let has_no_get = path.contains("/api-keys/") || path.contains("/holds/");
        assert_eq!(
            shown,
            if has_no_get { 405 } else { 200 },
            "its owner sees {path}"
        );
    }
    let before = everything(&world, ADMIN).await;
    let own_before = everything(&world, &rival.keys.admin).await;
    let mut faults = Vec::new();
    let keys = &rival.keys;
    for key in [&keys.admin, &keys.agent, &keys.manager, &keys.member] {
        for (path, body) in &paths {
            for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
                let answer = world.call(key, method, path, body.clone()).await;
                let is_refused = matches!(answer.status, 400 | 403 | 404 | 405);
                if !is_refused || answer.body.to_string().contains(MARK) {
                    faults.push(format!(
                        "{method} {path}: {} {}",
                        answer.status, answer.body
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(everything(&world, ADMIN).await, before);
    assert_eq!(everything(&world, &rival.keys.admin).await, own_before);
    for seen in &own_before {
        assert!(!seen.to_string().contains(MARK), "{seen}");
    }
}

#[tokio::test]
async fn another_tenants_ids_are_unknown_inside_a_body() {
    let (world, first, rival) = two_tenants().await;
    let new_user = |extra: Value| {
        let mut body = json!({
            "id": "new", "email": "new@example.com", "name": "New", "department_id": "eng", "role": "member",
        });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    let budget = json!({
        "name": "x", "department_id": "d-onlydemo", "unit": "tokens", "amount": 1, "hard_cap": true,
    });
    let department =
        json!({"id": "x", "name": "x", "parent_id": "d-onlydemo", "manager_id": "u-onlydemo"});
    let cases = [
        (
            "POST",
            "/v1/departments",
            department,
            vec!["parent_id", "manager_id"],
        ),
        (
            "PATCH",
            "/v1/departments/eng",
            json!({"parent_id": "d-onlydemo"}),
            vec!["parent_id"],
        ),
        (
            "POST",
            "/v1/users",
            new_user(json!({"department_id": "d-onlydemo"})),
            vec!["department_id"],
        ),
        (
            "POST",
            "/v1/users",
            new_user(json!({"manager_id": "u-onlydemo"})),
            vec!["manager_id"],
        ),
        (
            "PATCH",
            "/v1/users/ada",
            json!({"department_id": "d-onlydemo"}),
            vec!["department_id"],
        ),
        ("POST", "/v1/budgets", budget, vec!["department_id"]),
        (
            "POST",
            "/v1/api-keys",
            json!({"role": "member", "user_id": "u-onlydemo"}),
            vec!["user_id"],
        ),
    ];
    let before = [
        everything(&world, ADMIN).await,
        everything(&world, &rival.keys.admin).await,
    ];
    for (method, path, body, fields) in cases {
        let answer = world.call(&rival.keys.admin, method, path, body).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (400, fields.iter().map(|f| (*f).to_owned()).collect()),
            "{path}"
        );
    }
    let ask =
        json!({"request_id": "r", "user_id": "u-onlydemo", "model": "gpt-4o", "input_tokens": 1});
    let decision = world
        .call(&rival.keys.agent, "POST", "/v1/preflight", ask)
        .await
        .expect(200);
    assert_eq!(decision["reasons"][0]["code"], "unknown_user");
    let foreign = world.usage("e-1", "u-onlydemo", 1, 1, None);
    let stolen = world.usage("e-2", "ada", 1, 1, Some(&first.ids["hold"]));
    let body = json!({"events": [foreign, stolen]});
    let answer = world
        .call(&rival.keys.agent, "POST", "/v1/events", body)
        .await
        .expect(202);
    let codes: Vec<&Value> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["error"])
        .collect();
    assert_eq!(
        (&answer["accepted"], codes),
        (
            &json!(0),
            vec![&json!("unknown_user"), &json!("bad_request")]
        )
    );
    world.system.drain().await.unwrap();
    assert_eq!(
        [
            everything(&world, ADMIN).await,
            everything(&world, &rival.keys.admin).await
        ],
        before
    );
}

#[tokio::test]
async fn the_same_requests_and_events_count_in_each_tenant_by_themselves() {
    let world = World::empty().await;
    let first = fill(&world, ADMIN).await;
    let rival = rival_of(&world).await;
    let figures = async |tenant: &Tenant| {
        let path = format!("/v1/budgets/{}", tenant.ids["budget"]);
        let budget = world
            .call(&tenant.keys.admin, "GET", &path, Value::Null)
            .await
            .expect(200);
        (
            budget["spent"].as_i64().unwrap(),
            budget["held"].as_i64().unwrap(),
        )
    };
    let hold = async |tenant: &Tenant, tokens: i64| {
        let ask = json!({
            "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": tokens, "max_output_tokens": 0,
        });
        let decision = world
            .call(&tenant.keys.agent, "POST", "/v1/preflight", ask)
            .await
            .expect(200);
        text(&decision["hold"], "id")
    };
    let report = async |tenant: &Tenant, tokens: i64, hold: Option<&str>| {
        let body = json!({"events": [world.usage("e-1", "ada", tokens, 0, hold)]});
        let answer = world
            .call(&tenant.keys.agent, "POST", "/v1/events", body)
            .await
            .expect(202);
        assert_eq!(answer["accepted"], 1);
        world.system.drain().await.unwrap();
    };
    let first_hold = hold(&first, 100).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((0, 100), (0, 0))
    );
    let rival_hold = hold(&rival, 40).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((0, 100), (0, 40))
    );
    report(&first, 70, Some(&first_hold)).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (0, 40))
    );
    report(&rival, 5, Some(&rival_hold)).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (5, 0))
    );
    report(&first, 70, Some(&first_hold)).await;
    report(&rival, 5, None).await;
    assert_eq!(
        (figures(&first).await, figures(&rival).await),
        ((70, 0), (5, 0)),
        "each id once in each"
    );
}

#[tokio::test]
async fn a_tenants_changes_do_not_reach_the_other_one() {
    let (world, _, rival) = two_tenants().await;
    let before = everything(&world, ADMIN).await;
    let admin = &rival.keys.admin;
    let usd = format!("/v1/budgets/{}", rival.ids["usd"]);
    for (method, path, body) in [
        (
            "PATCH",
            "/v1/organisation",
            json!({"name": "New", "hold_seconds": 30}),
        ),
        ("PATCH", "/v1/departments/eng", json!({"name": "New"})),
        ("PATCH", "/v1/users/ada", json!({"status": "suspended"})),
        ("PUT", "/v1/users/bob/block", json!({"reason": "leak"})),
        ("PATCH", usd.as_str(), json!({"amount": 0})),
    ] {
        world.call(admin, method, path, body).await.expect(200);
    }
    assert_eq!(
        world.call(admin, "DELETE", &usd, Value::Null).await.status,
        204
    );
    assert_eq!(everything(&world, ADMIN).await, before);
    assert_eq!(
        world.preflight("bob", "r-2", 1, 1).await["decision"],
        "allow"
    );
}

/// Each endpoint, and who may call it: admin, manager, member (e), agent, operator.
const ROLES: &str = "
GET /v1/health ameg o
GET /v1/organisations o
POST /v1/organisations o
POST /v1/organisations/nobody/admin-keys o
GET /v1/organisation ame
PATCH /v1/organisation a
GET /v1/departments a
POST /v1/departments a
GET /v1/departments/eng a
PATCH /v1/departments/nobody a
DELETE /v1/departments/nobody a
GET /v1/users a
POST /v1/users a
GET /v1/users/<own> ame
PATCH /v1/users/<own> a
PUT /v1/users/<own>/block a
DELETE /v1/users/nobody/block a
GET /v1/budgets a
POST /v1/budgets a
GET /v1/budgets/effective?user_id=<own> ame
GET /v1/budgets/nobody a
PATCH /v1/budgets/nobody a
DELETE /v1/budgets/nobody a
GET /v1/api-keys a
POST /v1/api-keys a
DELETE /v1/api-keys/nobody a
POST /v1/preflight ameg
DELETE /v1/holds/nobody ameg
POST /v1/events ameg
";

#[tokio::test]
async fn every_role_may_do_exactly_what_its_line_says() {
    let world = World::empty().await;
    let keys = fill(&world, ADMIN).await.keys;
    let callers = [
        ('a', keys.admin.as_str(), "ada"),
        ('m', keys.manager.as_str(), "mo"),
        ('e', keys.member.as_str(), "ada"),
        ('g', keys.agent.as_str(), "ada"),
        ('o', OPERATOR, "ada"),
    ];
    let before = everything(&world, ADMIN).await;
    let mut faults = Vec::new();
    for line in ROLES.lines().filter(|line| !line.is_empty()) {
        let (method, rest) = line.split_once(' ').unwrap();
        let (path, may) = rest.split_once(' ').unwrap();
        for (letter, key, own) in callers {
            // What may be called is refused later, for its empty body.
            let body = if method == "GET" {
                Value::Null
            } else {
                json!({"surprise": 1})
            };
            let answer = world
                .call(key, method, &path.replace("<own>", own), body)
                .await;
            let is_hot_path = ["/v1/preflight", "/v1/holds", "/v1/events"]
                .iter()
                .any(|hot| path.starts_with(hot));
            let is_as_said = match (may.contains(letter), letter, method) {
                (true, _, "GET") => matches!(answer.status, 200 | 404),
                (true, _, _) => matches!(answer.status, 400 | 404),
                // The functions of the hot path do not know the operator's key.
                (false, 'o', _) if is_hot_path => matches!(answer.status, 401 | 403),
                (false, _, _) => answer.status == 403 && answer.body["error"] == "forbidden",
            };
            if !is_as_said {
                faults.push(format!(
                    "{letter} {line}: {} {}",
                    answer.status, answer.body
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(everything(&world, ADMIN).await, before);
}

#[tokio::test]
async fn a_member_or_manager_acts_for_their_own_user_only_and_an_agent_for_any() {
    let world = World::empty().await;
    let keys = fill(&world, ADMIN).await.keys;
    for (key, own, other) in [
        (&keys.member, "ada", "bob"),
        (&keys.manager, "mo", "bob"),
        (&keys.member, "ada", "nobody"),
    ] {
        let ask = |user: &str, id: &str| json!({"request_id": id, "user_id": user, "model": "gpt-4o", "input_tokens": 1, "max_output_tokens": 0});
        let refused = world
            .call(key, "POST", "/v1/preflight", ask(other, "r-1"))
            .await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        let passed = world
            .call(key, "POST", "/v1/preflight", ask(own, "r-1"))
            .await
            .expect(200);
        assert_eq!(passed["decision"], "allow");
        let theirs = world.hold("bob", "r-bob", 1, 0).await;
        let own_hold = format!("/v1/holds/{}", text(&passed["hold"], "id"));
        assert_eq!(
            world
                .call(key, "DELETE", &format!("/v1/holds/{theirs}"), Value::Null)
                .await
                .status,
            404
        );
        assert_eq!(
            world
                .call(key, "DELETE", &own_hold, Value::Null)
                .await
                .status,
            204
        );
        let now = world.system.clock().now().to_string();
        let nobodys = json!({
            "event_id": "e-9", "type": "ip_risk", "occurred_at": now, "risk_level": "low", "summary": "s",
        });
        let events = [
            world.usage("e-1", other, 0, 0, None),
            world.usage("e-2", own, 0, 0, None),
            nobodys,
        ];
        let answer = world
            .call(key, "POST", "/v1/events", json!({"events": events}))
            .await
            .expect(202);
        let rejected: Vec<(&Value, &Value)> = answer["rejected"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (&r["index"], &r["error"]))
            .collect();
        let forbidden = json!("forbidden");
        assert_eq!(rejected, [(&json!(0), &forbidden), (&json!(2), &forbidden)]);
        assert_eq!(answer["accepted"], 1);
    }
    let member = |path: &str| {
        let path = path.to_owned();
        let (world, keys) = (&world, &keys);
        async move {
            world
                .call(&keys.member, "GET", &path, Value::Null)
                .await
                .status
        }
    };
    for other in ["bob", "mo", "nobody"] {
        assert_eq!(member(&format!("/v1/users/{other}")).await, 403);
        assert_eq!(
            member(&format!("/v1/budgets/effective?user_id={other}")).await,
            403
        );
    }
    let unrelated = world
        .call(&keys.manager, "GET", "/v1/users/ada", Value::Null)
        .await;
    assert_eq!(unrelated.status, 403);
    for user in ["ada", "bob", "mo"] {
        let ask =
            json!({"request_id": "r-2", "user_id": user, "model": "gpt-4o", "input_tokens": 1});
        let passed = world
            .call(&keys.agent, "POST", "/v1/preflight", ask)
            .await
            .expect(200);
        assert_eq!(passed["decision"], "allow");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_five_seconds_by_every_function() {
    let world = World::empty().await;
    let (id, revoked) = key(&world, ADMIN, "admin", None).await;
    let calls = [
        ("GET", "/v1/organisation"),
        ("POST", "/v1/preflight"),
        ("POST", "/v1/events"),
    ];
    for (method, path) in calls {
        let status = world.call(&revoked, method, path, json!({})).await.status;
        assert!(matches!(status, 200 | 400), "{path} {status}");
    }
    let deleted = world
        .admin("DELETE", &format!("/v1/api-keys/{id}"), Value::Null)
        .await;
    assert_eq!(deleted.status, 204);
    let since = Instant::now();
    for (method, path) in calls {
        while world.call(&revoked, method, path, json!({})).await.status != 401 {
            assert!(
                since.elapsed() < Duration::from_millis(5_500),
                "{path} believes it still"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let listed = world
        .admin("GET", "/v1/api-keys", Value::Null)
        .await
        .expect(200);
    assert!(!listed.to_string().contains(&id));
}

/// Every item of every table, read as the functions read them.
async fn items(world: &World) -> Vec<(String, HashMap<String, AttributeValue>)> {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(world.system.engine().http_client());
    let client = Client::from_conf(config.build());
    let mut found = Vec::new();
    for table in client.list_tables().send().await.unwrap().table_names() {
        let pages = client
            .scan()
            .table_name(table)
            .into_paginator()
            .items()
            .send();
        let items = pages.try_collect().await.unwrap();
        found.extend(items.into_iter().map(|item| (table.clone(), item)));
    }
    found
}

/// Every text in a value: strings, keys of maps, and bytes as far as they are text.
fn texts(value: &AttributeValue, into: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) => into.push(text.clone()),
        AttributeValue::B(bytes) => into.push(String::from_utf8_lossy(bytes.as_ref()).into_owned()),
        AttributeValue::L(values) => values.iter().for_each(|value| texts(value, into)),
        AttributeValue::M(values) => {
            into.extend(values.keys().cloned());
            values.values().for_each(|value| texts(value, into));
        }
        AttributeValue::Ss(values) => into.extend(values.iter().cloned()),
        _ => {}
    }
}

#[tokio::test]
async fn no_table_holds_a_key_in_clear() {
    let (world, first, rival) = two_tenants().await;
    let mut secrets = vec![ADMIN.to_owned(), AGENT.to_owned(), OPERATOR.to_owned()];
    for keys in [&first.keys, &rival.keys] {
        secrets.extend([&keys.admin, &keys.agent, &keys.manager, &keys.member].map(Clone::clone));
    }
    for (key, path, body, name) in [
        (ADMIN, "/v1/api-keys", r#"{"role": "agent"}"#, "key"),
        (
            OPERATOR,
            "/v1/organisations/demo/admin-keys",
            "{}",
            "admin_key",
        ),
        (
            OPERATOR,
            "/v1/organisations",
            r#"{"id": "third", "name": "T", "timezone": "UTC"}"#,
            "admin_key",
        ),
    ] {
        let idempotency_key = format!("again {path}");
        let headers = [("idempotency-key", idempotency_key.as_str())];
        secrets.push(text(
            &world
                .raw(key, "POST", path, &headers, body)
                .await
                .expect(201),
            name,
        ));
    }
    let items = items(&world).await;
    assert!(items.len() > 40, "{}", items.len());
    for (table, item) in &items {
        let mut found = Vec::new();
        item.values().for_each(|value| texts(value, &mut found));
        for secret in &secrets {
            assert!(secret.starts_with("tk_"));
            let bare = secret.trim_start_matches("tk_");
            let is_long = bare.len() > 20;
            let holds = found
                .iter()
                .any(|text| text.contains(secret) || is_long && text.contains(bare));
            assert!(!holds, "{table}: {item:?}");
        }
    }
}

#[tokio::test]
async fn every_partition_belongs_to_one_organisation_or_leads_to_one() {
    let (world, first, rival) = two_tenants().await;
    for (tenant, hold) in [(&first, Some(first.ids["hold"].as_str())), (&rival, None)] {
        let body = json!({"events": [world.usage("demo#e-1", "ada", 1, 0, hold)]});
        world
            .call(&tenant.keys.agent, "POST", "/v1/events", body)
            .await
            .expect(202);
    }
    let idempotent = [("idempotency-key", "again")];
    world
        .raw(
            ADMIN,
            "POST",
            "/v1/api-keys",
            &idempotent,
            r#"{"role": "agent"}"#,
        )
        .await
        .expect(201);
    world.system.drain().await.unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (table, item) in items(&world).await {
        let partition = item
            .get("pk")
            .or_else(|| item.get("k"))
            .unwrap()
            .as_s()
            .unwrap();
        let owner = partition.split(['#', '.']).next().unwrap();
        let is_known = [RIVAL, "demo"].contains(&owner) || partition.starts_with('@');
        assert!(is_known, "{table}: {partition}");
        if let Some(day) = item.get("day") {
            assert!(
                day.as_s().unwrap().starts_with(&format!("{owner}#")),
                "{item:?}"
            );
        }
        let kind = if partition.starts_with('@') {
            "@"
        } else {
            owner
        };
        *seen.entry(format!("{table} {kind}")).or_default() += 1;
    }
    for table in ["Counters", "Ledger", "Governance"] {
        for owner in ["demo", RIVAL] {
            assert!(seen.contains_key(&format!("{table} {owner}")), "{seen:?}");
        }
    }
}
