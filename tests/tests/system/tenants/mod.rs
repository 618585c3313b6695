//! Tenants, roles and keys: no tenant sees or changes another.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers fail loudly where a test would"
)]

mod apart;
mod foreign;
mod roles;
mod storage;

use end_to_end::{ADMIN, OPERATOR, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The second organisation; its id begins with the first one's.
const RIVAL: &str = "demo-2";
/// A word that only the first organisation knows.
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
        "id": id, "email": format!("{id}@example.com"), "name": id, "department_id": department,
        "role": "member",
    });
    made(world, admin, "/v1/users", body).await;
}

/// Fills an organisation with `eng` > `backend`, ada, bob and the manager mo, whom bob reports to,
/// and two budgets.
async fn fill(world: &World, admin: &str) -> Tenant {
    for (id, parent) in [("eng", None), ("backend", Some("eng"))] {
        let body = json!({"id": id, "name": id, "parent_id": parent});
        made(world, admin, "/v1/departments", body).await;
    }
    for (id, department) in [("ada", "backend"), ("bob", "backend"), ("mo", "eng")] {
        user(world, admin, id, department).await;
    }
    for (path, body) in [
        ("/v1/users/mo", json!({"role": "manager"})),
        ("/v1/users/bob", json!({"manager_id": "mo"})),
    ] {
        world.call(admin, "PATCH", path, body).await.expect(200);
    }
    let mut ids = BTreeMap::new();
    for (name, department, unit) in [("budget", None, "tokens"), ("usd", Some("eng"), "usd")] {
        let body = json!({
            "name": "a budget", "department_id": department, "unit": unit, "amount": 100_000,
            "hard_cap": true,
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
        "name": MARK, "department_id": "d-onlydemo", "unit": "tokens", "amount": 9_999,
        "hard_cap": true,
    });
    let budget = made(&world, ADMIN, "/v1/budgets", secret).await;
    let secret = json!({
        "name": MARK, "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "create_incident"}],
    });
    let policy = text(&made(&world, ADMIN, "/v1/policies", secret).await, "id");
    let publish = format!("/v1/policies/{policy}/publish");
    world.admin("POST", &publish, Value::Null).await.expect(200);
    let risk = json!({
        "event_id": "e-risk", "type": "ip_risk",
        "occurred_at": world.system.clock().now().to_string(),
        "user_id": "u-onlydemo", "risk_level": "high", "summary": MARK,
    });
    world.report(&[risk]).await;
    let incidents = world
        .admin("GET", "/v1/incidents", Value::Null)
        .await
        .expect(200);
    let bounce = json!({"email": "onlydemo@example.com", "type": "bounce"});
    world
        .admin("POST", "/local/bounces", bounce)
        .await
        .expect(200);
    world.system.drain().await.unwrap();
    let hook = json!({"url": "https://onlydemo.example.com/", "description": MARK});
    let hook = made(&world, ADMIN, "/v1/webhooks", hook).await;
    let tomorrow = world.system.clock().now() + jiff::SignedDuration::from_hours(24);
    let exemption = json!({
        "user_id": "u-onlydemo", "kind": "lift", "reason": MARK, "ends_at": tomorrow.to_string(),
    });
    let exemption = made(&world, ADMIN, "/v1/exemptions", exemption).await;
    first.ids.insert("exemption", text(&exemption, "id"));
    let client = json!({"role": "agent", "description": MARK});
    let client = made(&world, ADMIN, "/v1/oauth/clients", client).await;
    first.ids.insert("client", text(&client, "client_id"));
    first.ids.insert("webhook", text(&hook, "id"));
    first.ids.insert("policy", policy);
    first
        .ids
        .insert("incident", text(&incidents["items"][0], "id"));
    first.ids.insert("secret_budget", text(&budget, "id"));
    first
        .ids
        .insert("hold", world.hold("ada", "r-live", 10, 10).await);
    (world, first, rival)
}

async fn everything(world: &World, admin: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in [
        "departments",
        "users",
        "budgets",
        "api-keys",
        "policies",
        "incidents",
        "alerts",
        "webhooks",
        "exemptions",
        "oauth/clients",
        "suppressions",
    ] {
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
