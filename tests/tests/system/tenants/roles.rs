//! The permissions of each role, and a revoked key.

use super::{everything, fill, key, text};
use end_to_end::{ADMIN, OPERATOR, SHORT_TRUST, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Each endpoint, and who may call it: admin, manager, member (e), agent, operator.
const ROLES: &str = "
GET /v1/health ameg o
GET /v1/openapi.json ameg o
GET /v1/organisations o
POST /v1/organisations o
POST /v1/organisations/nobody/admin-keys o
GET /v1/organisation ame
PATCH /v1/organisation a
GET /v1/departments am
POST /v1/departments a
GET /v1/departments/<dept> am
PATCH /v1/departments/nobody a
DELETE /v1/departments/nobody a
GET /v1/users am
POST /v1/users a
GET /v1/users/<own> ame
PATCH /v1/users/<own> a
PUT /v1/users/<own>/block a
DELETE /v1/users/nobody/block a
GET /v1/budgets am
POST /v1/budgets a
GET /v1/budgets/effective?user_id=<own> ame
GET /v1/budgets/<dept_budget> am
PATCH /v1/budgets/nobody a
DELETE /v1/budgets/nobody a
POST /v1/budgets/nobody/top-ups a
GET /v1/departments/tree am
GET /v1/budgets/<dept_budget>/rollovers am
GET /v1/rollovers am
GET /v1/integrations/github a
PUT /v1/integrations/github a
GET /v1/integrations/github/risks a
PUT /v1/integrations/github/risks a
GET /v1/usage?user_id=<own> ame
GET /v1/models?status=unpriced ame
GET /v1/events?status=held_back a
POST /v1/events/decisions a
GET /v1/corrections a
POST /v1/corrections a
GET /v1/prices am
GET /v1/prices/nobody/nothing am
PUT /v1/prices/nobody/nothing a
DELETE /v1/prices/nobody/nothing a
PUT /v1/prices a
DELETE /v1/prices?provider=nobody&model=nothing a
GET /v1/prices/discounts am
PUT /v1/prices/discounts/nobody a
DELETE /v1/prices/discounts/nobody a
PUT /v1/prices/discounts a
DELETE /v1/prices/discounts?provider=nobody a
POST /v1/prices/reprice a
GET /v1/models/aliases am
PUT /v1/models/aliases a
DELETE /v1/models/aliases/nothing a
DELETE /v1/models/aliases?name=nothing a
GET /v1/alerts am
GET /v1/alerts/nobody am
PATCH /v1/alerts/nobody a
GET /v1/policies a
POST /v1/policies a
GET /v1/policies/nobody a
PATCH /v1/policies/nobody a
DELETE /v1/policies/nobody a
POST /v1/policies/nobody/publish a
POST /v1/policies/nobody/disable a
POST /v1/policies/nobody/test a
GET /v1/incidents am
GET /v1/incidents/nobody am
PATCH /v1/incidents/nobody a
GET /v1/webhooks a
POST /v1/webhooks a
GET /v1/webhooks/nobody a
PATCH /v1/webhooks/nobody a
DELETE /v1/webhooks/nobody a
POST /v1/webhooks/nobody/retry a
POST /v1/webhooks/nobody/test a
POST /v1/webhooks/nobody/rotate-secret a
GET /v1/webhooks/nobody/deliveries a
POST /v1/webhooks/nobody/deliveries/nothing/retry a
GET /v1/exemptions ame
POST /v1/exemptions ame
GET /v1/exemptions/nobody ame
POST /v1/exemptions/nobody/approve a
POST /v1/exemptions/nobody/deny a
POST /v1/exemptions/nobody/revoke ame
GET /v1/audit-log a
GET /v1/audit-log/export a
GET /v1/audit-log/verify a
GET /v1/oauth/clients a
POST /v1/oauth/clients a
DELETE /v1/oauth/clients/nobody a
GET /v1/suppressions a
DELETE /v1/suppressions/nobody@example.com a
DELETE /v1/suppressions?email=nobody@example.com a
GET /v1/api-keys a
POST /v1/api-keys a
DELETE /v1/api-keys/nobody a
POST /v1/preflight ameg
DELETE /v1/holds/nobody ameg
PATCH /v1/holds/nobody ameg
POST /v1/events ameg
";

#[test]
fn every_route_has_its_line() {
    // GitHub's webhooks have a signature and no key; who asks for a token has none yet.
    let mut routes = end_to_end::routes::routes();
    let is_open = ["/v1/integrations/github/{id}", "/v1/oauth/token"];
    routes.retain(|(_, path)| !is_open.contains(&path.as_str()));
    let lines: Vec<(&str, &str)> = ROLES
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(method, rest)| (method, rest.split([' ', '?']).next().unwrap()))
        .collect();
    let fits = |template: &str, path: &str| {
        let (mut template, mut path) = (template.split('/'), path.split('/'));
        loop {
            match (template.next(), path.next()) {
                (None, None) => return true,
                (Some(part), Some(given)) if part == given || part.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let missing: Vec<_> = routes
        .iter()
        .filter(|(method, template)| {
            let has = |(m, path): &(&str, &str)| m == method && fits(template, path);
            !lines.iter().any(has)
        })
        .collect();
    assert!(missing.is_empty(), "no role is said for {missing:#?}");
}

#[tokio::test]
async fn every_role_may_do_exactly_what_its_line_says() {
    let world = World::empty().await;
    let tenant = fill(&world, ADMIN).await;
    let keys = tenant.keys;
    // The departments and people of mo.
    world
        .admin("PATCH", "/v1/departments/eng", json!({"manager_id": "mo"}))
        .await
        .expect(200);
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
            // A permitted call fails later, because its body is empty.
            let body = if method == "GET" {
                Value::Null
            } else {
                json!({"surprise": 1})
            };
            let path = path
                .replace("<own>", own)
                .replace("<dept>", "eng")
                .replace("<dept_budget>", &tenant.ids["usd"]);
            let answer = world.call(key, method, &path, body).await;
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
    for (event_id, key, own, other) in [
        ("e-2", &keys.member, "ada", "bob"),
        ("e-2", &keys.manager, "mo", "bob"),
        ("e-3", &keys.member, "ada", "nobody"),
    ] {
        let ask = |user: &str, id: &str| {
            json!({
                "request_id": id, "user_id": user, "model": "gpt-4o", "input_tokens": 1,
                "max_output_tokens": 0,
            })
        };
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
            "event_id": "e-9", "type": "ip_risk", "occurred_at": now, "risk_level": "low",
            "summary": "s",
        });
        let events = [
            world.usage("e-1", other, 0, 0, None),
            world.usage(event_id, own, 0, 0, None),
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
async fn every_function_refuses_a_revoked_key_when_its_time_of_trust_ends() {
    let world = World::with_short_trust(SystemSettings::empty()).await;
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
                since.elapsed() < SHORT_TRUST + Duration::from_millis(500),
                "{path} still trusts it"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let listed = world
        .admin("GET", "/v1/api-keys", Value::Null)
        .await
        .expect(200);
    assert!(!listed.to_string().contains(&id));
}
