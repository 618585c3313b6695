//! What the audit log says of prices.

use super::world;
use end_to_end::{Answer, World};
use serde_json::{Value, json};

async fn log(world: &World, action: &str) -> Vec<Value> {
    let path = format!("/v1/audit-log?action={action}");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// Calls that set and remove each kind, and the beginning of their actions.
async fn each_kind(world: &World) -> [(&'static str, Answer, Answer, Answer); 3] {
    let kinds = [
        (
            "price",
            "/v1/prices/openai/gpt-4o",
            "/v1/prices/openai/gpt-4o",
            [
                json!({"input_usd_per_million": 1}),
                json!({"input_usd_per_million": 2}),
            ],
        ),
        (
            "discount",
            "/v1/prices/discounts/openai",
            "/v1/prices/discounts/openai",
            [json!({"percent": 1}), json!({"percent": 2})],
        ),
        (
            "alias",
            "/v1/models/aliases",
            "/v1/models/aliases/our/chat",
            [
                json!({"name": "our/chat", "model": "gpt-4o"}),
                json!({"name": "our/chat", "model": "gpt-4.1"}),
            ],
        ),
    ];
    let mut done = Vec::new();
    for (kind, set, remove, [first, second]) in kinds {
        done.push((
            kind,
            world.admin("PUT", set, first).await,
            world.admin("PUT", set, second).await,
            world.admin("DELETE", remove, Value::Null).await,
        ));
    }
    done.try_into().unwrap()
}

#[tokio::test]
async fn every_change_of_a_price_is_in_the_audit_log() {
    let (world, _) = world().await;
    for (kind, first, second, removed) in each_kind(&world).await {
        let (first, second) = (first.expect(200), second.expect(200));
        assert_eq!(removed.status, 204, "{}", removed.body);
        let set = log(&world, &format!("{kind}.set")).await;
        assert_eq!(set.len(), 2, "{kind}");
        assert_eq!(
            (&set[1]["before"], &set[1]["after"]),
            (&Value::Null, &first)
        );
        assert_eq!((&set[0]["before"], &set[0]["after"]), (&first, &second));
        let deleted = log(&world, &format!("{kind}.delete")).await;
        assert_eq!(deleted.len(), 1, "{kind}");
        let expected = (&second, &Value::Null);
        assert_eq!((&deleted[0]["before"], &deleted[0]["after"]), expected);
        let resource = deleted[0]["resource"].as_str().unwrap();
        assert!(resource.starts_with(&format!("{kind}/o")), "{resource}");
    }
}
