use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{ADMIN_KEY, AGENT_KEY, EVENTS, OPERATOR_KEY, StartError, System, SystemSettings};

fn settings(data: &Path) -> SystemSettings {
    SystemSettings {
        data: Some(data.to_owned()),
        ..SystemSettings::default()
    }
}

async fn call(system: &System, key: &str, request: &str, body: Value) -> (StatusCode, Value) {
    let (method, path) = request.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .body(if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        })
        .unwrap();
    let response = system.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

async fn get(system: &System, path: &str) -> Value {
    let (status, body) = call(system, ADMIN_KEY, &format!("GET {path}"), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

#[tokio::test]
async fn the_clock_is_set_for_all_and_wrong_times_are_refused_by_name() {
    let system = System::start(SystemSettings::empty()).await.unwrap();
    let set = async |body: Value| call(&system, ADMIN_KEY, "PUT /local/clock", body).await;
    let (status, body) = set(json!({"now": "2026-11-23T13:00:00.5+01:00"})).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({"now": "2026-11-23T12:00:00.5Z"}))
    );
    assert_eq!(
        get(&system, "/local/clock").await["now"],
        "2026-11-23T12:00:00.5Z"
    );
    assert_eq!(system.clock().now().to_string(), "2026-11-23T12:00:00.5Z");

    for (body, field) in [
        (json!({}), "now"),
        (json!({"now": "tomorrow"}), "now"),
        (json!({"now": "1999-12-31T23:59:59Z"}), "now"),
        (
            json!({"now": "2026-11-23T12:00:00Z", "zone": "UTC"}),
            "zone",
        ),
    ] {
        let (status, answer) = set(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["details"][0]["field"], field);
    }
    assert_eq!(system.clock().now().to_string(), "2026-11-23T12:00:00.5Z");
}

#[tokio::test]
async fn an_empty_system_has_its_organisation_and_three_keys_and_nothing_else() {
    let system = System::start(SystemSettings::empty()).await.unwrap();
    let organisation = get(&system, "/v1/organisation").await;
    assert_eq!(
        (&organisation["id"], &organisation["timezone"]),
        (&json!("demo"), &json!("UTC"))
    );
    for list in ["/v1/departments", "/v1/users", "/v1/budgets"] {
        assert_eq!(get(&system, list).await["items"], json!([]), "{list}");
    }
    let (status, _) = call(&system, OPERATOR_KEY, "GET /v1/organisations", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = call(&system, AGENT_KEY, "GET /v1/users", Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(get(&system, "/local/emails").await, json!({"items": []}));
    let (status, body) = call(&system, ADMIN_KEY, "POST /local/schedule", Value::Null).await;
    assert_eq!((status, &body["fired"]), (StatusCode::OK, &json!(true)));
    assert_eq!(body["report"]["organisations"], 1);
}

#[tokio::test]
async fn a_message_that_nobody_can_read_is_shown_as_a_dead_letter() {
    let system = System::start(SystemSettings::empty()).await.unwrap();
    system
        .queues()
        .send(EVENTS, "not an event", Duration::ZERO)
        .unwrap();
    let (_, body) = call(&system, ADMIN_KEY, "POST /local/drain", Value::Null).await;
    assert_eq!(body, json!({"drained": true}));
    let queues = get(&system, "/local/queues").await;
    assert_eq!(queues["dead_letters"], json!(["not an event"]));
    let depths: Vec<(&str, u64)> = queues["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| {
            (
                queue["name"].as_str().unwrap(),
                queue["visible"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("events", 0),
        ("events-dlq", 1),
        ("notices", 0),
        ("notices-dlq", 0),
    ];
    assert_eq!(depths, expected);
}

#[tokio::test]
async fn accepted_events_outlive_a_stop_and_are_handled_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = SystemSettings {
        delivers_events: false,
        ..settings(dir.path())
    };
    let system = System::start(waiting).await.unwrap();
    let second = System::start(settings(dir.path())).await;
    assert!(matches!(second, Err(StartError::InUse(_))));
    for (path, body) in [
        (
            "/v1/departments",
            json!({"id": "engineering", "name": "Engineering"}),
        ),
        (
            "/v1/users",
            json!({
                "id": "ada", "email": "ada@demo.example", "name": "Ada",
                "department_id": "engineering", "role": "member",
            }),
        ),
        (
            "/v1/budgets",
            json!({
                "name": "Tokens", "department_id": null, "unit": "tokens", "amount": 10_000,
                "hard_cap": true,
            }),
        ),
    ] {
        let (status, body) = call(&system, ADMIN_KEY, &format!("POST {path}"), body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }
    let event = json!({
        "event_id": "e-1", "type": "llm_request", "occurred_at": system.clock().now().to_string(),
        "user_id": "ada", "provider": "anthropic", "model": "claude-sonnet-5-5",
        "input_tokens": 1_000, "output_tokens": 500,
    });
    let (status, body) = call(
        &system,
        AGENT_KEY,
        "POST /v1/events",
        json!({"events": [event]}),
    )
    .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    assert_eq!(system.queues().counts(EVENTS).unwrap().visible, 1);
    system.stop().await;

    let system = System::start(settings(dir.path())).await.unwrap();
    system.drain().await.unwrap();
    let budgets = get(&system, "/v1/budgets").await;
    assert_eq!(budgets["items"][0]["spent"], 1_500);
}

#[tokio::test]
async fn a_served_system_knows_its_peers_and_tells_those_with_many_unknown_keys_to_wait() {
    let settings = SystemSettings {
        is_limited: true,
        ..SystemSettings::empty()
    };
    let system = System::start(settings).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/organisation", listener.local_addr().unwrap());
    let client = reqwest::Client::new();
    let asks = async {
        let mut statuses = Vec::new();
        for _ in 0..31 {
            let asked = client.get(&url).bearer_auth("tk_nobody").send();
            statuses.push(asked.await.unwrap().status().as_u16());
        }
        let known = client.get(&url).bearer_auth(ADMIN_KEY).send().await;
        (statuses, known.unwrap().status().as_u16())
    };
    let (statuses, known) = tokio::select! {
        asked = asks => asked,
        served = system.serve(listener, std::future::pending()) => panic!("{served:?}"),
    };
    assert_eq!(statuses, [vec![401; 30], vec![429]].concat());
    assert_eq!(known, 200);
}
