//! Which models may be used: by the organisation's rule and those of its departments.

use super::{figure, world};
use end_to_end::{AGENT, World};
use serde_json::{Value, json};

/// Asks for ten tokens of a model of a provider, for ada in `backend`, or for sam in `sales`.
async fn asks(world: &World, user_id: &str, request_id: &str, model: &str) -> Value {
    let body = json!({
        "request_id": request_id, "user_id": user_id, "provider": "openai", "model": model,
        "input_tokens": 5, "max_output_tokens": 5,
    });
    let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
    answer.expect(200)
}

async fn set(world: &World, path: &str, models: Value) -> Value {
    let body = json!({ "models": models });
    world.admin("PATCH", path, body).await.expect(200)
}

async fn forbidden(world: &World) -> Vec<Value> {
    let path = "/v1/events?status=model_not_allowed";
    let list = world.admin("GET", path, Value::Null).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_forbidden_model_is_refused_with_the_permitted_ones_and_a_change_is_seen_at_once() {
    let (world, budget) = world(10_000).await;
    assert_eq!(
        asks(&world, "ada", "r-0", "gpt-4o").await["decision"],
        "allow"
    );
    let rule = json!({
        "allow": ["GPT-4o-mini*", "anthropic/*"], "deny": [],
        "max_usd_per_million_output": 2.5,
    });
    let shown = set(&world, "/v1/organisation", rule.clone()).await;
    assert_eq!(shown["models"], rule);
    let refused = asks(&world, "ada", "r-1", "gpt-4o").await;
    assert_eq!(
        (
            &refused["decision"],
            &refused["hold"],
            &refused["retryable"]
        ),
        (&json!("block"), &Value::Null, &json!(false))
    );
    let reason = &refused["reasons"][0];
    assert_eq!(
        (
            &reason["code"],
            &reason["department_id"],
            &reason["permitted"]
        ),
        (&json!("model_not_allowed"), &Value::Null, &rule)
    );
    let expected = "the model \"gpt-4o\" may not be used in the organisation: it is not among \
        those that are permitted there; permitted are GPT-4o-mini*, anthropic/*, up to $2.50 per \
        million output tokens; use one of those, or ask an administrator";
    assert_eq!(reason["message"], expected);
    assert_eq!(
        figure(&world.figures(&budget).await).1,
        10,
        "only r-0 is held"
    );
    assert_eq!(
        asks(&world, "ada", "r-2", "gpt-4o-mini").await["decision"],
        "allow"
    );
    set(&world, "/v1/organisation", Value::Null).await;
    assert_eq!(
        asks(&world, "ada", "r-1", "gpt-4o").await["decision"],
        "allow"
    );
    // It is counted and audited as any other refusal.
    world.system.drain().await.unwrap();
    world.set_clock("2026-11-24T14:00:00Z").await;
    world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    let path = "/v1/audit-log?action=preflight.refused";
    let log = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(log["items"][0]["after"]["reason"], "model_not_allowed");
    let path = "/v1/audit-log?action=organisation.update";
    let log = world.admin("GET", path, Value::Null).await.expect(200);
    let [removed, given] = [0, 1].map(|at| &log["items"][at]);
    assert_eq!(
        (&given["before"]["models"], &given["after"]["models"]),
        (&Value::Null, &rule)
    );
    assert_eq!(
        (&removed["before"]["models"], &removed["after"]["models"]),
        (&rule, &Value::Null)
    );
}

#[tokio::test]
async fn the_nearest_department_with_a_rule_decides_alone() {
    let (world, _) = world(10_000).await;
    let body = json!({"id": "sales", "name": "Sales", "models": {"deny": ["openai/*"]}});
    let sales = world
        .admin("POST", "/v1/departments", body)
        .await
        .expect(201);
    let rule = json!({
        "allow": [], "deny": ["openai/*"], "max_usd_per_million_output": null,
    });
    assert_eq!(sales["models"], rule);
    world.user("sam", "sales").await;
    set(&world, "/v1/organisation", json!({"allow": ["claude-*"]})).await;
    let codes = async |user: &str, id: &str| {
        let answer = asks(&world, user, id, "gpt-4o").await;
        let reason = answer["reasons"][0].clone();
        (reason["code"].clone(), reason["department_id"].clone())
    };
    let forbidden_by = |level: Value| (json!("model_not_allowed"), level);
    let permitted = (Value::Null, Value::Null);
    assert_eq!(codes("sam", "r-1").await, forbidden_by(json!("sales")));
    assert_eq!(codes("ada", "r-1").await, forbidden_by(Value::Null));
    // An object without patterns permits all models, whatever the levels above say.
    set(&world, "/v1/departments/eng", json!({})).await;
    assert_eq!(codes("ada", "r-1").await, permitted);
    let dear = json!({"max_usd_per_million_output": 9.999999});
    set(&world, "/v1/departments/backend", dear).await;
    assert_eq!(codes("ada", "r-2").await, forbidden_by(json!("backend")));
    let enough = json!({"max_usd_per_million_output": 10});
    set(&world, "/v1/departments/backend", enough).await;
    assert_eq!(codes("ada", "r-2").await, permitted);
    let unknown = asks(&world, "ada", "r-3", "nobody-knows").await;
    assert_eq!(unknown["reasons"][0]["code"], "model_not_allowed");
    // A user who moves is under the rules of the new place.
    let body = json!({"department_id": "sales"});
    world
        .admin("PATCH", "/v1/users/ada", body)
        .await
        .expect(200);
    assert_eq!(codes("ada", "r-4").await, forbidden_by(json!("sales")));
}

#[tokio::test]
async fn an_exemption_opens_no_model() {
    let (world, _) = world(10_000).await;
    set(&world, "/v1/departments/eng", json!({"deny": ["gpt-4o"]})).await;
    let body = json!({
        "user_id": "ada", "kind": "lift", "reason": "a demo", "ends_at": "2026-11-25T00:00:00Z",
    });
    let key = json!({"role": "member", "user_id": "ada"});
    let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let key = key["key"].as_str().unwrap();
    let asked = world.call(key, "POST", "/v1/exemptions", body).await;
    let asked = asked.expect(201);
    let path = format!("/v1/exemptions/{}/approve", asked["id"].as_str().unwrap());
    world.admin("POST", &path, json!({})).await.expect(200);
    let refused = asks(&world, "ada", "r-1", "gpt-4o").await;
    assert_eq!(refused["reasons"][0]["code"], "model_not_allowed");
    assert_eq!(refused["reasons"][0]["exemption"], Value::Null);
}

#[tokio::test]
async fn a_hold_gains_nothing_of_a_forbidden_model() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 10, 0).await;
    set(&world, "/v1/departments/eng", json!({"deny": ["gpt-4o"]})).await;
    let path = format!("/v1/holds/{hold}");
    let renew = async |body: Value| {
        let answer = world.call(AGENT, "PATCH", &path, body).await.expect(200);
        answer["reasons"][0]["code"].clone()
    };
    let body = json!({"tokens": 20, "model": "gpt-4o", "provider": "openai"});
    assert_eq!(renew(body).await, "model_not_allowed");
    assert_eq!(figure(&world.figures(&budget).await).1, 10);
    assert_eq!(
        renew(json!({"tokens": 20, "model": "o1"})).await,
        Value::Null
    );
    assert_eq!(renew(json!({"extend_seconds": 300})).await, Value::Null);
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
}

#[tokio::test]
async fn usage_of_a_forbidden_model_is_charged_marked_and_can_fire_a_policy() {
    let (world, budget) = world(10_000).await;
    let policy = async |name: &str, condition: Value| {
        let trigger = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1});
        let body = json!({
            "name": name, "trigger": trigger, "conditions": [condition],
            "actions": [{"type": "create_incident"}],
        });
        let made = world.admin("POST", "/v1/policies", body).await.expect(201);
        let path = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
        world.admin("POST", &path, Value::Null).await.expect(200);
    };
    let fired = async || {
        let path = "/v1/alerts?limit=100";
        let alerts = world.admin("GET", path, Value::Null).await.expect(200);
        let alerts = alerts["items"].as_array().unwrap().clone();
        let mut fired: Vec<(Value, Value)> = alerts
            .iter()
            .filter(|alert| alert["policy_id"].is_string())
            .map(|alert| {
                let event = &alert["metadata"]["event"];
                let name = &alert["metadata"]["policy"]["name"];
                (name.clone(), event["event_id"].clone())
            })
            .collect();
        fired.sort_by_key(|fired| fired.0.to_string());
        fired
    };
    let condition = json!({"field": "model_allowed", "op": "eq", "value": false});
    policy("Forbidden", condition).await;
    let condition = json!({"field": "model_id", "op": "eq", "value": "gpt-4o-mini"});
    policy("Matched", condition).await;
    set(
        &world,
        "/v1/departments/eng",
        json!({"allow": ["gpt-4o-mini"]}),
    )
    .await;
    let event = |id: &str, model: &str, hold: Option<&str>| {
        let mut event = world.usage(id, "ada", 100, 0, hold);
        event["model"] = json!(model);
        event
    };
    // By the name that its price is found by, and by the name without its date.
    world
        .report(&[event("e-1", "openai/gpt-4o-mini", None)])
        .await;
    world
        .report(&[event("e-0", "gpt-4o-mini-2024-07-18", None)])
        .await;
    assert!(forbidden(&world).await.is_empty());
    world.report(&[event("e-2", "gpt-4o", None)]).await;
    let marked = forbidden(&world).await;
    assert_eq!(marked.len(), 1, "{marked:?}");
    let seen = &marked[0];
    assert_eq!(
        (
            &seen["event_id"],
            &seen["model_not_allowed"],
            &seen["charged"]["tokens"]
        ),
        (&json!("e-2"), &json!(true), &json!(100))
    );
    assert_eq!(figure(&world.figures(&budget).await).0, 300);
    // Whoever asks for one model and uses another is marked too, alone and in a batch.
    let ask = async |id: &str| {
        let answer = asks(&world, "ada", id, "gpt-4o-mini").await;
        answer["hold"]["id"].as_str().unwrap().to_owned()
    };
    let holds = [ask("r-1").await, ask("r-2").await, ask("r-3").await];
    let batch = [
        event("e-3", "gpt-4o-mini", Some(&holds[0])),
        event("e-4", "gpt-4o", Some(&holds[1])),
        event("e-5", "gpt-4o-mini", Some(&holds[2])),
    ];
    for _ in 0..2 {
        world.report(&batch).await;
        let marked = forbidden(&world).await;
        let ids: Vec<&Value> = marked.iter().map(|event| &event["event_id"]).collect();
        assert_eq!(ids, [&json!("e-4"), &json!("e-2")]);
    }
    assert_eq!(
        figure(&world.figures(&budget).await),
        (600, 0, 9_400, 9_400)
    );
    let expected = [("Forbidden", "e-2"), ("Matched", "e-1")];
    assert_eq!(
        fired().await,
        expected.map(|(name, id)| (json!(name), json!(id)))
    );
    // What is recorded stays as it was judged.
    set(&world, "/v1/departments/eng", Value::Null).await;
    assert_eq!(forbidden(&world).await.len(), 2);
    world.report(&[event("e-6", "gpt-4o", None)]).await;
    assert_eq!(forbidden(&world).await.len(), 2);
}

#[tokio::test]
async fn usage_that_is_held_back_keeps_its_mark_when_it_is_counted() {
    let (world, _) = world(10_000_000).await;
    set(&world, "/v1/departments/eng", json!({"deny": ["openai/*"]})).await;
    world
        .report(&[world.usage("e-1", "ada", 5_000_000, 0, None)])
        .await;
    let path = "/v1/events?status=held_back";
    let list = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(list["items"][0]["model_not_allowed"], true);
    let body = json!({
        "user_id": "ada", "event_id": "e-1", "decision": "count", "reason": "it was one",
    });
    let counted = world.admin("POST", "/v1/events/decisions", body).await;
    assert_eq!(counted.expect(200)["model_not_allowed"], true);
}
