//! A real receiver of webhooks on this machine, whose answer can be switched.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        value.unwrap().to_str().unwrap().to_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A status and headers.
type Answer = (u16, Vec<(&'static str, String)>);

#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Answer>>,
    /// The answers to bodies that contain a text.
    answers: Arc<Mutex<Vec<(String, u16)>>>,
    /// Answers to bodies with this text in them wait.
    held: Arc<watch::Sender<Option<String>>>,
}

/// The receiver; it stops when this is dropped.
pub struct Receiver {
    /// The address as `http://127.0.0.1:<port>`.
    pub url: String,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Receiver {
    /// A receiver that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared {
            received: Arc::default(),
            answer: Arc::new(Mutex::new((200, Vec::new()))),
            answers: Arc::default(),
            held: Arc::new(watch::Sender::new(None)),
        };
        let router = Router::new()
            .fallback(any(receive))
            .with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Lets it answer so from now on.
    pub fn answer(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        *self.shared.answer.lock().unwrap() = (status, headers.collect());
    }

    /// Lets it answer so to bodies that have `text` in them.
    pub fn answer_to(&self, text: &str, status: u16) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.push((text.to_owned(), status));
    }

    /// Keeps its answers back, or lets them go.
    pub fn hold(&self, is_held: bool) {
        // Every text has this one in it.
        self.shared.held.send_replace(is_held.then(String::new));
    }

    /// Keeps its answers back to bodies that have `text` in them, and to no others.
    pub fn hold_to(&self, text: &str) {
        self.shared.held.send_replace(Some(text.to_owned()));
    }

    /// Returns when so many requests have come in.
    pub async fn wait_for(&self, requests: usize) {
        while self.received().len() < requests {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// The requests, the oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The ids of the events that came in, in order.
    pub fn ids(&self) -> Vec<String> {
        let each = self.received().into_iter();
        each.map(|received| received.header("webhook-id")).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    shared.received.lock().unwrap().push(Received {
        path: uri.path().to_owned(),
        headers,
        body: body.clone(),
    });
    let mut held = shared.held.subscribe();
    let may_go = |held: &Option<String>| held.as_ref().is_none_or(|text| !body.contains(text));
    held.wait_for(may_go).await.unwrap();
    let (mut status, headers) = shared.answer.lock().unwrap().clone();
    for (text, other) in shared.answers.lock().unwrap().iter() {
        if body.contains(text) {
            status = *other;
        }
    }
    let mut response = StatusCode::from_u16(status).unwrap().into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
