//! The local server as a socket sees it: clients that are slow, send too much or come from
//! elsewhere.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

use axum::body::{Body, Bytes};
use end_to_end::routes::{METHODS, endpoints, routes};
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use futures::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt as _;
use local::system::SystemSettings;
use serde_json::Value;
use shared::runtime::endpoint::Endpoint;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// How long a client may take here; nothing depends on how much longer it takes.
const SHORT: Duration = Duration::from_millis(200);
/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);
/// The most that the server reads from a caller without a valid key.
const SMALL: usize = 64 * 1024;

/// A world that listens on a port.
struct Listening {
    address: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listening(time_to_send: Duration) -> Listening {
    let settings = SystemSettings {
        time_to_send,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let never = std::future::pending();
        world.system.serve(listener, never).await.unwrap();
    });
    Listening { address, serving }
}

impl Listening {
    /// Sends text as it is and returns the answers until the server closes the connection.
    async fn answer_to(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
        // A connection that is reset was closed, too.
        let _ = read.expect("the server waits for ever");
        String::from_utf8(answer).unwrap()
    }

    /// The status of a request with these headers, in the connection's last answer.
    async fn status_of(&self, request: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let mut text = format!("{request} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let answer = self.answer_to(&text).await;
        let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
        status.unwrap_or_else(|| panic!("{request}: {answer:?}"))
    }
}

#[tokio::test]
async fn a_header_that_never_ends_ends_the_connection() {
    let server = listening(SHORT).await;
    for begun in [
        "",
        "GET",
        "GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ",
    ] {
        let answer = server.answer_to(begun).await;
        assert!(!answer.contains(" 200 "), "{begun:?}: {answer}");
    }
    // And so does one on which nothing follows.
    let health = format!(
        "GET /v1/health HTTP/1.1\r\nhost: {}\r\n\r\n",
        server.address
    );
    let answer = server.answer_to(&health).await;
    assert_eq!(answer.matches(" 200 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused() {
    let server = listening(SHORT).await;
    for (path, key) in [
        ("/v1/departments", ADMIN),
        ("/v1/events", AGENT),
        ("/v1/preflight", AGENT),
        ("/v1/oauth/token", "none"),
        ("/local/clock", ADMIN),
    ] {
        let method = if path == "/local/clock" {
            "PUT"
        } else {
            "POST"
        };
        let host = &server.address;
        for length in ["content-length: 100", "transfer-encoding: chunked"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\n\
                 authorization: Bearer {key}\r\n{length}\r\n\r\n"
            );
            let answer = server.answer_to(&request).await;
            assert!(answer.contains(" 400 "), "{path}: {answer}");
            assert!(
                answer.contains("could not be read completely"),
                "{path}: {answer}"
            );
        }
    }
}

/// A body of two megabytes, and how much of it was read.
fn counted() -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let chunks = stream::iter(0..512).map(move |_| {
        let chunk = Bytes::from(vec![b' '; 4_096]);
        count.fetch_add(chunk.len(), Ordering::SeqCst);
        Ok::<_, std::io::Error>(chunk)
    });
    (Body::from_stream(chunks), read)
}

#[tokio::test]
async fn no_route_reads_much_of_a_caller_without_a_valid_key() {
    let world = World::empty().await;
    let mut all: Vec<(String, String)> = routes().into_iter().collect();
    for (method, path) in [("PUT", "/local/clock"), ("POST", "/local/bounces")] {
        all.push((method.to_owned(), path.to_owned()));
    }
    for (method, path) in all {
        let path = path.replace("{id}", "x").replace("{delivery_id}", "x");
        let path = path.replace("{email}", "x");
        for key in [None, Some("tk_wrong")] {
            let (body, read) = counted();
            let mut request = Request::builder().method(method.as_str()).uri(&path);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let answer = world.send(request.body(body).unwrap()).await;
            let read = read.load(Ordering::SeqCst);
            assert!(
                read <= SMALL + 8_192,
                "{method} {path} {key:?}: {read} bytes"
            );
            if path.starts_with("/v1/oauth/token") || path == "/v1/preflight" {
                assert_eq!(
                    (answer.status, answer.fields()),
                    (413, vec!["body".to_owned()]),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn the_api_function_knows_which_endpoints_are_elsewhere() {
    let of_others = endpoints().into_iter().filter(|of| {
        let is_same = |own: &Endpoint| (own.method, own.path) == (of.method, of.path);
        !api::ENDPOINTS.iter().any(is_same)
    });
    let of_others: Vec<_> = of_others.map(|of| (of.path, of.filter)).collect();
    let mut known = api::ELSEWHERE.to_vec();
    known.sort_by_key(|(path, _)| *path);
    assert_eq!(known, of_others);
}

/// The gateway sends the API function what it has no route for, and there it gets the answer of the
/// whole system.
#[tokio::test]
async fn the_api_function_alone_refuses_paths_and_methods_as_the_whole_system_does() {
    let world = World::empty().await;
    let routes = routes();
    let mut paths: BTreeSet<&str> = routes.iter().map(|(_, path)| path.as_str()).collect();
    paths.extend(["/", "/v1", "/v1/nothing", "/v1/users/", "/v1/holds"]);
    let mut tried = 0;
    for path in paths {
        for method in METHODS.into_iter().chain(["HEAD"]) {
            let is_route = |method: &str| routes.contains(&(method.to_owned(), path.to_owned()));
            if is_route(method) || method == "HEAD" && is_route("GET") {
                continue;
            }
            let mut answers = Vec::new();
            for router in [world.system.router(), world.system.deployed_api()] {
                let request = Request::builder().method(method);
                let request = request.uri(path.replace(['{', '}'], ""));
                let request = request.body(Body::empty()).unwrap();
                let answer = router.oneshot(request).await.unwrap();
                let allow = answer.headers().get("allow").cloned();
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                answers.push((
                    status,
                    allow,
                    body["error"].clone(),
                    body["message"].clone(),
                ));
            }
            assert!(matches!(answers[0].0, 404 | 405), "{method} {path}");
            assert_eq!(answers[0], answers[1], "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

/// The `$default` route of the gateway takes them, and a browser wants a 2xx.
#[tokio::test]
async fn the_deployed_api_answers_every_question_of_a_browser_about_another_origin() {
    let world = World::empty().await;
    for path in ["/v1/preflight", "/v1/users/ada", "/v1/nothing", "/"] {
        let request = Request::builder().method("OPTIONS").uri(path);
        let request = request.body(Body::empty()).unwrap();
        let answer = world.system.deployed_api().oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 204, "{path}");
    }
}

#[tokio::test]
async fn the_local_routes_want_the_local_administrators_key() {
    let world = World::empty().await;
    let made = serde_json::json!({"role": "admin"});
    let made = world.admin("POST", "/v1/api-keys", made).await.expect(201);
    let other = made["key"].as_str().unwrap();
    for (method, path) in [
        ("GET", "/local/clock"),
        ("GET", "/local/emails"),
        ("GET", "/local/queues"),
        ("GET", "/local/bus"),
        ("GET", "/local/bucket"),
        ("GET", "/local/notices"),
        ("GET", "/local/meter"),
        ("POST", "/local/drain"),
        ("POST", "/local/schedule"),
    ] {
        for key in [AGENT, other, "tk_local_operator", ""] {
            let answer = world.call(key, method, path, Value::Null).await;
            assert_eq!(answer.status, 401, "{path} {key}");
        }
        let request = Request::builder().method(method).uri(path);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.body["error"], "unauthorized", "{path}");
        assert_eq!(
            world.admin(method, path, Value::Null).await.status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_local_routes_are_for_pages_of_this_server_only() {
    let server = listening(LONG).await;
    let own = server.address.as_str();
    let named = own.replace("127.0.0.1", "localhost");
    let (own_page, other_page) = (format!("http://{named}"), "http://evil.example");
    let key = ("authorization", "Bearer tk_local_admin");
    for (headers, status) in [
        (vec![key, ("host", own)], 200),
        (vec![key, ("host", named.as_str())], 200),
        (vec![key, ("host", own), ("origin", own_page.as_str())], 200),
        (vec![key, ("host", own), ("origin", other_page)], 403),
        (
            vec![key, ("host", own), ("origin", "http://localhost:1")],
            403,
        ),
        (vec![key, ("host", own), ("origin", "null")], 403),
        (vec![key, ("host", "evil.example")], 403),
        (vec![key, ("host", "127.0.0.1:1")], 403),
        (vec![("host", own)], 401),
    ] {
        let found = server.status_of("GET /local/clock", &headers, "").await;
        assert_eq!(found, status, "{headers:?}");
        if status == 403 {
            let found = server.status_of("POST /local/drain", &headers, "").await;
            assert_eq!(found, status, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn no_page_of_a_name_that_was_made_to_lead_here_gets_anything() {
    let server = listening(LONG).await;
    let own = server.address.as_str();
    let port = own.split_once(':').unwrap().1;
    let [admin, operator] = [ADMIN, OPERATOR].map(|key| format!("Bearer {key}"));
    let admin = ("authorization", admin.as_str());
    let operator = ("authorization", operator.as_str());
    let new = r#"{"id": "third", "name": "Third", "timezone": "UTC"}"#;
    let evil = format!("evil.example:{port}");
    let looks_own = format!("127.0.0.1.evil.example:{port}");
    let origin = format!("http://{evil}");
    for host in [evil.as_str(), looks_own.as_str(), "evil.example"] {
        let host = ("host", host);
        for page in [None, Some(("origin", origin.as_str()))] {
            for (request, key, body) in [
                ("GET /v1/users", admin, ""),
                ("GET /v1/organisation", admin, ""),
                ("GET /v1/health", admin, ""),
                ("GET /local/clock", admin, ""),
                ("POST /v1/preflight", admin, "{}"),
                ("POST /v1/events", admin, "{}"),
                ("POST /v1/oauth/token", admin, ""),
                ("POST /v1/organisations", operator, new),
            ] {
                let mut headers = vec![host, key];
                headers.extend(page);
                let status = server.status_of(request, &headers, body).await;
                assert_eq!(status, 403, "{request} {headers:?}");
            }
        }
    }
    let both = [("host", own), ("host", evil.as_str()), admin];
    assert_eq!(server.status_of("GET /v1/users", &both, "").await, 403);
    // Nothing was made. Extensions, pages and whatever leads here under a name of this machine may
    // call as before.
    let named = format!("localhost:{port}");
    for (request, headers, status) in [
        ("POST /v1/organisations", vec![("host", own), operator], 201),
        ("GET /v1/users", vec![("host", own), admin], 200),
        ("GET /v1/users", vec![("host", named.as_str()), admin], 200),
        (
            "GET /v1/users",
            vec![("host", "localhost:8080"), admin],
            200,
        ),
        (
            "GET /v1/users",
            vec![("host", own), admin, ("origin", "chrome-extension://abc")],
            200,
        ),
        (
            "GET /v1/users",
            vec![("host", own), admin, ("origin", "http://localhost:5173")],
            200,
        ),
    ] {
        let body = if status == 201 { new } else { "" };
        let found = server.status_of(request, &headers, body).await;
        assert_eq!(found, status, "{request} {headers:?}");
    }
}
