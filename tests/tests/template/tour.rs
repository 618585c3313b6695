//! The resources of the template and their use: a tour does everything that roles allow
//! beside the tables, and the tables are those that the tests run on.

use super::rules::TAKING;
use aws_sdk_dynamodb::types::KeySchemaElement;
use end_to_end::World;
use end_to_end::permissions::deployed_name;
use end_to_end::sources::read;
use end_to_end::template::{Template, each};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn template() -> Template {
    Template::parse(&read("template.yaml"))
}

/// A function, an action and a resource as the template names it.
type Done = (String, String, String);

/// Everything but the tables, of which not every partition can be visited, and the logs, which
/// Lambda writes.
fn is_of_the_tour(action: &str) -> bool {
    !action.starts_with("dynamodb:") && !action.starts_with("logs:")
}

/// The permissions in the roles, except those that Lambda uses to read queues.
fn allowed(template: &Template) -> BTreeSet<Done> {
    let mut found = BTreeSet::new();
    for function in template.functions().keys() {
        let statements = template.statements(function).into_iter();
        for of in statements.filter(|of| of.is_allowed) {
            for action in of.actions.iter().filter(|action| is_of_the_tour(action)) {
                if TAKING.contains(&action.as_str()) {
                    continue;
                }
                for resource in &of.resources {
                    found.insert((function.clone(), action.clone(), resource.clone()));
                }
            }
        }
    }
    found
}

/// The calls of the functions.
fn done(world: &World, template: &Template) -> BTreeSet<Done> {
    let functions = template.functions();
    let used = world.system.permissions_used().into_iter();
    let used = used.filter(|one| functions.contains_key(one.caller) && is_of_the_tour(&one.action));
    used.map(|one| {
        (
            one.caller.to_owned(),
            one.action.clone(),
            deployed_name(&one),
        )
    })
    .collect()
}

async fn pass(world: &World, seconds: i64) {
    let now = world.system.clock().now() + jiff::SignedDuration::from_secs(seconds);
    world.set_clock(&now.to_string()).await;
    world.system.drain().await.unwrap();
}

fn risk(world: &World, event_id: &str) -> Value {
    json!({
        "event_id": event_id, "type": "ip_risk",
        "occurred_at": world.system.clock().now().to_string(),
        "user_id": "ada", "risk_level": "high", "summary": "a key",
    })
}

/// Ada's risks are mailed to her manager max; bob is blocked, which the API tells.
async fn company() -> World {
    let world = World::empty().await;
    world.department("eng", None).await;
    for id in ["max", "ada", "bob"] {
        world.user(id, "eng").await;
    }
    let manager = json!({"manager_id": "max"});
    let changed = world.admin("PATCH", "/v1/users/ada", manager).await;
    changed.expect(200);
    let policy = json!({
        "name": "Leaks", "trigger": {"type": "ip_risk_event"},
        "actions": [{"type": "email_manager"}],
    });
    let made = world
        .admin("POST", "/v1/policies", policy)
        .await
        .expect(201);
    let publish = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
    world.admin("POST", &publish, Value::Null).await.expect(200);
    let blocked = json!({"reason": "lost the machine"});
    let answer = world.admin("PUT", "/v1/users/bob/block", blocked).await;
    assert!(answer.status < 300, "{}", answer.body);
    world
}

/// Gives a client a token.
async fn token(world: &World) -> String {
    let body = json!({"role": "agent"});
    let made = world.admin("POST", "/v1/oauth/clients", body).await;
    let made = made.expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let form =
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=all");
    let request = http::Request::post("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = world.send(request.body(form.into()).unwrap()).await;
    let answer = answer.expect(200);
    answer["access_token"].as_str().unwrap().to_owned()
}

/// What is signed and sealed with secrets of the deployment: tokens, and the secrets of a webhook
/// whose receiver does not answer and of GitHub's.
async fn secrets(world: &World) {
    let token = token(world).await;
    let preflight = json!({
        "request_id": "r-2", "user_id": "ada", "model": "gpt-4o", "input_tokens": 1,
        "max_output_tokens": 1,
    });
    let decided = world.call(&token, "POST", "/v1/preflight", preflight).await;
    assert_eq!(decided.status, 200, "{}", decided.body);
    let events = json!({"events": [risk(world, "e-0")]});
    let sent = world.call(&token, "POST", "/v1/events", events).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let webhook = json!({"url": "http://127.0.0.1:9/hook"});
    let made = world.admin("POST", "/v1/webhooks", webhook).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let github = json!({"secret": "a-secret-both-sides-know", "users": {"octocat": "ada"}});
    let put = world.admin("PUT", "/v1/integrations/github", github).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let unsigned = format!("sha256={}", "0".repeat(64));
    let headers = [("x-hub-signature-256", unsigned.as_str())];
    let path = "/v1/integrations/github/demo";
    let refused = world.raw("", "POST", path, &headers, "{}").await;
    assert_eq!(refused.status, 401, "{}", refused.body);
    world.system.drain().await.unwrap();
}

#[tokio::test]
async fn functions_do_beside_the_tables_all_that_their_roles_allow_and_nothing_else() {
    let world = company().await;
    secrets(&world).await;
    // Preflight reports its refusals.
    let refused = world.preflight("bob", "r-1", 10, 10).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    // Ingest queues, evaluate lets a policy fire, notify mails and puts it on the bus.
    world.report(&[risk(&world, "e-1")]).await;
    assert!(!world.system.mails().sent().is_empty());
    assert!(!world.system.bus().events().is_empty());
    // A delivery that fails for a day is given up.
    world.system.mails().refuse(1_000);
    world.report(&[risk(&world, "e-2")]).await;
    for _ in 0..30 {
        pass(&world, 3_600).await;
    }
    world.system.mails().refuse(0);
    // The day has a head, which the schedule tells and puts into the bucket.
    let until = Instant::now() + Duration::from_secs(60);
    let report = world.system.schedule(until).await.unwrap();
    assert_eq!(report.totals.heads_signed, 1, "{report:?}");
    assert_eq!(world.system.bucket().objects().len(), 1);

    let template = template();
    let (allowed, done) = (allowed(&template), done(&world, &template));
    let more: Vec<&Done> = done.difference(&allowed).collect();
    assert!(more.is_empty(), "not allowed by the template: {more:#?}");
    let less: Vec<&Done> = allowed.difference(&done).collect();
    assert!(less.is_empty(), "allowed, and nobody needs it: {less:#?}");
}

#[tokio::test]
async fn the_tables_are_those_that_the_tests_run_on() {
    let world = World::empty().await;
    let template = template();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tables = template.of_type("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 4);
    for (name, of) in tables {
        let call = world.tables().describe_table().table_name(name);
        let answer = call.send().await.unwrap();
        let table = answer.table().unwrap();

        let keys = |of: &Value| -> Vec<(String, String)> {
            let keys = each(of).map(|key| (text(&key["AttributeName"]), text(&key["KeyType"])));
            keys.collect()
        };
        let known_keys = |keys: &[KeySchemaElement]| -> Vec<(String, String)> {
            let keys = keys.iter();
            keys.map(|key| {
                (
                    key.attribute_name().to_owned(),
                    key.key_type().as_str().to_owned(),
                )
            })
            .collect()
        };
        assert_eq!(
            keys(&of["KeySchema"]),
            known_keys(table.key_schema()),
            "{name}"
        );

        let attributes = each(&of["AttributeDefinitions"]);
        let attributes: BTreeSet<(String, String)> = attributes
            .map(|one| (text(&one["AttributeName"]), text(&one["AttributeType"])))
            .collect();
        let known: BTreeSet<(String, String)> = table
            .attribute_definitions()
            .iter()
            .map(|one| {
                (
                    one.attribute_name().to_owned(),
                    one.attribute_type().as_str().to_owned(),
                )
            })
            .collect();
        assert_eq!(attributes, known, "{name}");

        let indexes: BTreeSet<(String, Vec<(String, String)>)> =
            each(&of["GlobalSecondaryIndexes"])
                .map(|index| (text(&index["IndexName"]), keys(&index["KeySchema"])))
                .collect();
        let known: BTreeSet<(String, Vec<(String, String)>)> = table
            .global_secondary_indexes()
            .iter()
            .map(|index| {
                (
                    index.index_name().unwrap_or_default().to_owned(),
                    known_keys(index.key_schema()),
                )
            })
            .collect();
        assert_eq!(indexes, known, "{name}");
    }
}
