use std::path::Path;

use local::system::{Summary, System, SystemSettings};
use serde_json::{Value, json};

use crate::api_client::ApiClient;

async fn start(data: Option<&Path>) -> (System, ApiClient) {
    let settings = SystemSettings {
        data: data.map(Path::to_owned),
        ..SystemSettings::default()
    };
    let system = System::start(settings).await.unwrap();
    let client = ApiClient::of_system(&system);
    (system, client)
}

#[tokio::test]
async fn the_demo_shows_usage_a_hold_a_warning_and_a_refusal() {
    let (system, client) = start(None).await;
    assert!(!super::is_complete(system.store()).await.unwrap());
    super::ensure(&system).await.unwrap();
    let summary = system.summary().await.unwrap();
    assert_eq!(
        (summary.departments, summary.users, summary.budgets),
        (12, 20, 11)
    );
    assert!(super::is_complete(system.store()).await.unwrap());

    let budgets = client.get("/v1/budgets?limit=100").await.unwrap();
    let company = budgets["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|budget| budget["name"] == "Company tokens")
        .unwrap();
    assert_eq!(company["spent"], 4_849_500);
    assert_eq!(company["held"], 48_000);

    let agent = client.as_agent();
    let ask = async |user: &str, input_tokens: u32| {
        let body = json!({
            "request_id": "r", "user_id": user, "provider": "anthropic",
            "model": "claude-sonnet-5-5", "input_tokens": input_tokens, "max_output_tokens": 800,
        });
        agent.post("/v1/preflight", &body).await.unwrap()
    };
    assert_eq!(ask("liam", 1_200).await["decision"], "allow");
    assert_eq!(
        ask("theo", 1_200).await["warnings"][0]["code"],
        "soft_cap_exceeded"
    );
    let refusal = ask("ivy", 30_000).await;
    assert_eq!(refusal["decision"], "block");
    assert_eq!(refusal["reasons"][0]["department_id"], "interns");
    let queues = client.get("/local/queues").await.unwrap();
    assert_eq!(queues["dead_letters"], json!([]));
}

#[tokio::test]
async fn a_second_start_doubles_nothing_and_completes_what_was_left() {
    async fn figures(system: &System, client: &ApiClient) -> (Vec<Value>, Summary) {
        let budgets = client.get("/v1/budgets?limit=100").await.unwrap();
        let budgets = budgets["items"].as_array().unwrap().clone();
        let spent = budgets
            .iter()
            .map(|budget| json!([budget["id"], budget["spent"]]))
            .collect();
        (spent, system.summary().await.unwrap())
    }
    let dir = tempfile::tempdir().unwrap();
    let (system, client) = start(Some(dir.path())).await;
    super::ensure(&system).await.unwrap();
    let first = figures(&system, &client).await;
    // As if the first start had ended before its last step.
    super::create(&system).await.unwrap();
    assert_eq!(figures(&system, &client).await, first);
    system.stop().await;

    let (system, client) = start(Some(dir.path())).await;
    assert_eq!(figures(&system, &client).await, first);
    super::ensure(&system).await.unwrap();
    assert_eq!(figures(&system, &client).await, first);
    system.stop().await;
}
