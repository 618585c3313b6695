//! Objects of another tenant are neither shown nor changed.

use super::{MARK, everything, two_tenants};
use end_to_end::ADMIN;
use serde_json::{Value, json};
use shared::runtime::endpoint::Access;

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
            format!("/v1/policies/{}", id("policy")),
            json!({"name": "Stolen"}),
        ),
        (format!("/v1/policies/{}/test", id("policy")), json!({})),
        (format!("/v1/policies/{}/publish", id("policy")), json!({})),
        (format!("/v1/policies/{}/disable", id("policy")), json!({})),
        (format!("/v1/webhooks/{}", id("webhook")), json!({})),
        (
            format!("/v1/webhooks/{}/deliveries", id("webhook")),
            json!({}),
        ),
        (
            format!("/v1/webhooks/{}/rotate-secret", id("webhook")),
            json!({}),
        ),
        (
            "/v1/suppressions/onlydemo@example.com".to_owned(),
            json!({}),
        ),
        (
            format!("/v1/incidents/{}", id("incident")),
            json!({"status": "resolved"}),
        ),
        (format!("/v1/exemptions/{}", id("exemption")), json!({})),
        (
            format!("/v1/exemptions/{}/approve", id("exemption")),
            json!({}),
        ),
        (
            format!("/v1/exemptions/{}/deny", id("exemption")),
            json!({}),
        ),
        (
            format!("/v1/exemptions/{}/revoke", id("exemption")),
            json!({}),
        ),
        (
            "/v1/exemptions?user_id=u-onlydemo".to_owned(),
            json!({
                "user_id": "u-onlydemo", "kind": "lift", "reason": "spite",
                "ends_at": "2099-01-01T00:00:00Z",
            }),
        ),
        (format!("/v1/oauth/clients/{}", id("client")), json!({})),
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
        let has_no_get = [
            "/api-keys/",
            "/holds/",
            "/test",
            "/publish",
            "/disable",
            "/rotate-secret",
            "/approve",
            "/deny",
            "/revoke",
            "/oauth/clients/",
            "/suppressions/",
        ]
        .iter()
        .any(|part| path.contains(part));
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
async fn every_endpoint_of_the_table_refuses_another_tenants_ids_to_every_role() {
    let (world, first, rival) = two_tenants().await;
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alert = alerts.expect(200)["items"][0]["id"].clone();
    let before = everything(&world, ADMIN).await;
    let mut tried = 0;
    for endpoint in end_to_end::routes::endpoints() {
        let (method, path) = (endpoint.method, endpoint.path);
        if endpoint.access == Access::Anybody || !path.contains('{') {
            continue;
        }
        if ["prices", "models"]
            .iter()
            .any(|of| path.split('/').nth(2) == Some(of))
        {
            // They have no ids: each tenant has its own under the same names (`prices`).
            continue;
        }
        let of = |name: &str| first.ids[name].clone();
        let id = match path.split('/').nth(2).unwrap() {
            "alerts" => alert.as_str().unwrap().to_owned(),
            "api-keys" => of("key"),
            "budgets" => of("secret_budget"),
            "departments" => "d-onlydemo".to_owned(),
            "exemptions" => of("exemption"),
            "holds" => of("hold"),
            "incidents" => of("incident"),
            "oauth" => of("client"),
            "organisations" => "demo".to_owned(),
            "policies" => of("policy"),
            "suppressions" => "onlydemo@example.com".to_owned(),
            "users" => "u-onlydemo".to_owned(),
            "webhooks" => of("webhook"),
            other => panic!("no id of {other}"),
        };
        let path = path.replace("{id}", &id).replace("{email}", &id);
        let path = path.replace("{delivery_id}", "nothing");
        let keys = &rival.keys;
        for key in [&keys.admin, &keys.agent, &keys.manager, &keys.member] {
            // Bodies that any endpoint would take.
            let body = match method {
                "PUT" => json!({"reason": "spite"}),
                "PATCH" | "POST" => json!({}),
                _ => Value::Null,
            };
            let answer = world.call(key, method, &path, body).await;
            let is_refused = matches!(answer.status, 403 | 404);
            let shows = answer.body.to_string().contains(MARK);
            assert!(
                is_refused && !shows,
                "{method} {path} {} {}",
                answer.status,
                answer.body
            );
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(everything(&world, ADMIN).await, before);
}

#[tokio::test]
async fn another_tenants_ids_are_unknown_inside_a_body() {
    let (world, first, rival) = two_tenants().await;
    let new_user = |extra: Value| {
        let mut body = json!({
            "id": "new", "email": "new@example.com", "name": "New", "department_id": "eng",
            "role": "member",
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
        .expect(400);
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
async fn a_policy_of_one_tenant_sees_no_event_of_another() {
    let (world, _, rival) = two_tenants().await;
    let risk = json!({
        "event_id": "e-other", "type": "ip_risk",
        "occurred_at": world.system.clock().now().to_string(),
        "user_id": "ada", "risk_level": "critical", "summary": "theirs",
    });
    let admin = &rival.keys.admin;
    let body = json!({ "events": [risk] });
    let answer = world.call(admin, "POST", "/v1/events", body).await;
    assert_eq!(answer.expect(202)["accepted"], 1);
    world.system.drain().await.unwrap();
    for (key, incidents) in [(ADMIN, 1), (admin.as_str(), 0)] {
        let seen = world.call(key, "GET", "/v1/incidents", Value::Null).await;
        let seen = seen.expect(200);
        let all = seen["items"].as_array().unwrap().iter();
        let of_policies = all.filter(|incident| !incident["policy_id"].is_null());
        assert_eq!(of_policies.count(), incidents, "{seen}");
    }
}
