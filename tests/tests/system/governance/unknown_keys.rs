//! Keys and secrets that do not exist: their cost, and how often a source may try.

use super::leavers::unknown_key;
use super::oauth::{client, form};
use axum::body::Body;
use axum::extract::ConnectInfo;
use end_to_end::{ADMIN, AGENT, Answer, World};
use http::Request;
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::net::SocketAddr;

const CALLS: [(&str, &str); 3] = [
    ("GET", "/v1/organisation"),
    ("POST", "/v1/preflight"),
    ("POST", "/v1/events"),
];

fn calls(world: &World) -> u64 {
    let meter = world.system.engine().meter();
    world.system.engine().reset_meter();
    meter.calls.values().sum()
}

fn request(method: &str, path: &str, key: &str) -> Request<Body> {
    let body = json!({"request_id": "r", "user_id": "ada", "model": "gpt-4o", "input_tokens": 1});
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn asking(id: &str, secret: &str) -> Request<Body> {
    Request::post("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form(id, secret)))
        .unwrap()
}

/// Sends a request as it comes from an address.
async fn from(world: &World, address: &str, mut request: Request<Body>) -> Answer {
    let peer: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    world.send(request).await
}

#[tokio::test]
async fn a_malformed_key_is_refused_without_a_read_of_the_database() {
    let world = super::world(100).await;
    let (id, secret) = client(&world, json!({"role": "agent"})).await;
    calls(&world);
    let wrong = [
        "tk_nobody".to_owned(),
        "x".repeat(1_000),
        secret.clone(),
        id.clone(),
        format!("tk_{}", "A".repeat(42)),
        format!("tk_{}", "A".repeat(44)),
        format!("tk_{}B", "A".repeat(42)),
        "eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(),
    ];
    for key in &wrong {
        for (method, path) in CALLS {
            let refused = world.send(request(method, path, key)).await;
            assert_eq!(refused.status, 401, "{key:.60} {path}");
        }
        assert_eq!(calls(&world), 0, "{key:.60}");
    }
    let made_up = format!("tks_{}", "A".repeat(43));
    for (id, secret, reads) in [
        ("oac_nobody", made_up.as_str(), 0),
        (&id, "wrong", 0),
        (&id, ADMIN, 0),
        ("oac_000000000000000000000000", &made_up, 1),
        (&id, &made_up, 1),
    ] {
        let refused = world.send(asking(id, secret)).await;
        assert_eq!(refused.status, 401, "{id} {secret}");
        assert_eq!(calls(&world), reads, "{id} {secret}");
    }
    let unknown = world.send(request("GET", CALLS[0].1, &unknown_key())).await;
    assert_eq!((unknown.status, calls(&world)), (401, 1));
    // A new instance reads no more than that.
    let instance = world.system.another_preflight().await;
    calls(&world);
    let refused = tower::ServiceExt::oneshot(instance, request("POST", "/v1/preflight", "tk_x"));
    assert_eq!(
        (refused.await.unwrap().status().as_u16(), calls(&world)),
        (401, 0)
    );
}

#[tokio::test]
async fn a_source_of_many_unknown_keys_is_told_to_wait_and_known_keys_pass_from_there() {
    let settings = SystemSettings {
        is_limited: true,
        ..SystemSettings::empty()
    };
    for (method, path) in CALLS {
        let world = World::with(settings.clone()).await;
        let good = if path == CALLS[0].1 { ADMIN } else { AGENT };
        let unknown = |n: usize| format!("tk_{n:042}A");
        for n in 0..30 {
            // Whatever a header says of it, it is the same source.
            let mut asked = request(method, path, &unknown(n));
            let forwarded = format!("203.0.113.{n}").parse().unwrap();
            asked.headers_mut().insert("x-forwarded-for", forwarded);
            let refused = from(&world, &format!("192.0.2.1:{}", 1_000 + n), asked).await;
            assert_eq!(refused.status, 401, "{path} {n}");
        }
        for n in 30..40 {
            let refused = from(&world, "192.0.2.1:9", request(method, path, &unknown(n))).await;
            assert_eq!(refused.status, 429, "{path} {n}");
            assert_eq!(refused.body["error"], "rate_limited");
            let wait = refused.headers["retry-after"].to_str().unwrap();
            assert!((1..=60).contains(&wait.parse::<u64>().unwrap()), "{wait}");
        }
        let known = from(&world, "192.0.2.1:9", request(method, path, good)).await;
        assert!(matches!(known.status, 200 | 400), "{path} {}", known.body);
        let elsewhere = request(method, path, &unknown(41));
        let elsewhere = from(&world, "192.0.2.2:9", elsewhere).await;
        assert_eq!(elsewhere.status, 401, "{path}");
        for n in 40..340 {
            from(&world, "192.0.2.1:9", request(method, path, &unknown(n))).await;
        }
        calls(&world);
        let last = from(&world, "192.0.2.1:9", request(method, path, &unknown(999))).await;
        assert_eq!(
            (last.status, calls(&world)),
            (429, 0),
            "{path}: not looked up"
        );
        let known = from(&world, "192.0.2.1:9", request(method, path, good)).await;
        assert!(matches!(known.status, 200 | 400), "{path} {}", known.body);
    }
}

#[tokio::test]
async fn wrong_secrets_of_clients_are_limited_by_source_too() {
    let settings = SystemSettings {
        is_limited: true,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let (id, secret) = client(&world, json!({"role": "agent"})).await;
    let wrong = |n: usize| format!("tks_{n:042}A");
    let address = "[2001:db8::1]:5";
    for n in 0..30 {
        let refused = from(&world, address, asking(&id, &wrong(n))).await;
        assert_eq!(refused.status, 401, "{n}");
    }
    let neighbour = "[2001:db8::ffff]:5";
    let over = from(&world, neighbour, asking(&id, &wrong(30))).await;
    assert_eq!(over.status, 429, "one network is one source");
    assert!(over.headers.contains_key("retry-after"));
    let right = from(&world, address, asking(&id, &secret)).await;
    assert_eq!(right.status, 200, "{}", right.body);
    let other = from(&world, "[2001:db8:0:1::1]:5", asking(&id, &wrong(31))).await;
    assert_eq!(other.status, 401);
    let nowhere = world.send(asking(&id, &wrong(32))).await;
    assert_eq!(
        (nowhere.status, &nowhere.body["error"]),
        (401, &Value::from("unauthorized"))
    );
}
