//! The harness of the end-to-end suites: the whole local system in one process, spoken to through
//! its HTTP routes.

mod books;
pub mod cells;
pub mod former;
pub mod permissions;
pub mod receiver;
pub mod routes;
pub mod sources;
pub mod template;

use aws_sdk_dynamodb::{Client, config};
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use local::dynamodb::When;
use local::system::{System, SystemSettings};
use serde_json::{Value, json};
use shared::domain::ledger::usage::{Event, Usage};
use shared::domain::pricing::book::PriceBooks;
use std::pin::pin;
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// The administrator's key of the organisation `demo`.
pub const ADMIN: &str = "tk_local_admin";
/// The agent's key of the organisation `demo`.
pub const AGENT: &str = "tk_local_agent";
pub const OPERATOR: &str = "tk_local_operator";
/// The time of a world whose test names none. Each world has its time before anything is made in
/// it, so that no test depends on the day it runs on.
pub const NOW: &str = "2026-11-24T12:00:00Z";

/// The time for which instances trust a key in suites that wait until this time is over. The
/// tests of `shared::runtime::auth` check the five seconds of the deployed functions.
pub const SHORT_TRUST: Duration = Duration::from_millis(500);

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The body as JSON; null if there is none.
    pub body: Value,
    pub headers: HeaderMap,
}

impl Answer {
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The fields that `details` names.
    pub fn fields(&self) -> Vec<String> {
        let details = self.body["details"].as_array().cloned().unwrap_or_default();
        details
            .iter()
            .filter_map(|detail| detail["field"].as_str().map(str::to_owned))
            .collect()
    }
}

/// Whether an answer of preflight was given without a decision: in an outage, or by a database that
/// was overloaded.
pub fn is_undecided(answer: &Value) -> bool {
    let is_overloaded = |list: &str| answer[list][0]["code"] == "overloaded";
    answer["degraded"] == true || is_overloaded("reasons") || is_overloaded("warnings")
}

/// Whether a call of the database changes a cell and nothing else: the second half of a settlement
/// or of a void, whose first half is the hold's resolution.
pub fn changes_cell(operation: &str, body: &str) -> bool {
    operation == "UpdateItem" && body.contains("\"Counters\"")
}

/// How many calls must be made to fail: all of them before they are applied; those that write, if
/// their answers are lost.
pub fn at_least(when: When, calls: u64, writes: u64) -> u64 {
    match when {
        When::Before => calls,
        When::After => writes,
    }
}

/// A running system. Its clock stands still at [`NOW`], or at the time in its settings, until a
/// test sets it. When it is dropped, it checks three things, so that they hold after every test:
/// the chain of each audit log, the sums of the books, and that the deployment template allows each
/// call of a function to tables, queues, mails, bus and bucket.
pub struct World {
    pub system: System,
    /// Whether somebody altered the audit log by hand.
    pub is_tampered: bool,
    /// Whether somebody altered the books by hand.
    pub has_wrong_books: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let missing = permissions::missing(self.system.permissions_used());
        assert!(
            missing.is_empty(),
            "not allowed by the template: {missing:#?}"
        );
        self.system.engine().clear_faults();
        let world = &*self;
        // In a thread of its own: this one may be in the middle of another runtime.
        let is_right = std::thread::scope(|scope| {
            let check = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(world.check());
            });
            check.join().is_ok()
        });
        assert!(is_right, "the audit log or the books do not hold");
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    async fn check(&self) {
        if !self.is_tampered {
            self.walk_logs().await;
        }
        if !self.has_wrong_books {
            let wrong = books::disagreements(self).await;
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }

    async fn walk_logs(&self) {
        let store = self.system.store();
        let until = Instant::now() + Duration::from_secs(600);
        let organisations = store.organisations(None, 100).await.unwrap();
        for organisation in organisations.items {
            let id = &organisation.id;
            let found = store.verify_audit_log(id, 0, until).await.unwrap();
            assert!(
                found.is_complete && found.broken.is_none(),
                "{id}: {found:?}"
            );
        }
    }

    /// The organisation `demo` with its keys, and nothing else.
    pub async fn empty() -> Self {
        Self::with(SystemSettings::empty()).await
    }

    /// The same, whose clock stands still at `now` before anything is made.
    pub async fn at(now: &str) -> Self {
        let settings = SystemSettings {
            now: Some(time(now)),
            ..SystemSettings::empty()
        };
        Self::with(settings).await
    }

    /// A system with these settings. Settings without a time get [`NOW`]: a world never sees the
    /// computer's clock.
    pub async fn with(mut settings: SystemSettings) -> Self {
        settings.now.get_or_insert_with(|| time(NOW));
        let system = System::start(settings).await.unwrap();
        cells::place_as_told(&system).await;
        Self {
            system,
            is_tampered: false,
            has_wrong_books: false,
        }
    }

    /// The same, but instances trust a key for [`SHORT_TRUST`] only.
    pub async fn with_short_trust(settings: SystemSettings) -> Self {
        Self::with(SystemSettings {
            keys_believed: Some(SHORT_TRUST),
            ..settings
        })
        .await
    }

    /// A client of the tables, for those who look into them or edit them by hand.
    pub fn tables(&self) -> Client {
        let config = config::Builder::new()
            .behavior_version(config::BehaviorVersion::latest())
            .region(config::Region::from_static("us-east-1"))
            .credentials_provider(config::Credentials::new("l", "l", None, None, "test"))
            .http_client(self.system.engine().http_client_of("test"));
        Client::from_conf(config.build())
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.system.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            headers: parts.headers,
        }
    }

    /// Sends a request with a key and headers, and a body that is taken as it stands.
    pub async fn raw(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Sends JSON, or no body if `body` is null.
    pub async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        self.raw(
            key,
            method,
            path,
            &[("content-type", "application/json")],
            body,
        )
        .await
    }

    /// The same as the administrator of `demo`.
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(ADMIN, method, path, body).await
    }

    /// Creates a department; fails if the API does not.
    pub async fn department(&self, id: &str, parent_id: Option<&str>) {
        let body = json!({"id": id, "name": id, "parent_id": parent_id});
        self.admin("POST", "/v1/departments", body)
            .await
            .expect(201);
    }

    /// Creates a member; fails if the API does not.
    pub async fn user(&self, id: &str, department_id: &str) {
        let body = json!({
            "id": id, "email": format!("{id}@example.com"), "name": id,
            "department_id": department_id, "role": "member",
        });
        self.admin("POST", "/v1/users", body).await.expect(201);
    }

    /// Creates a budget and returns its id.
    pub async fn budget(
        &self,
        department_id: Option<&str>,
        unit: &str,
        amount: Value,
        hard_cap: bool,
    ) -> String {
        let body = json!({
            "name": "a budget", "department_id": department_id, "unit": unit, "amount": amount,
            "hard_cap": hard_cap,
        });
        let made = self.admin("POST", "/v1/budgets", body).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A budget as it is now.
    pub async fn figures(&self, budget_id: &str) -> Value {
        self.admin("GET", &format!("/v1/budgets/{budget_id}"), Value::Null)
            .await
            .expect(200)
    }

    /// Asks for a hold of `input` and at most `output` tokens of a priced model.
    pub async fn preflight(
        &self,
        user_id: &str,
        request_id: &str,
        input: i64,
        output: i64,
    ) -> Value {
        let body = json!({
            "request_id": request_id, "user_id": user_id, "provider": "openai", "model": "gpt-4o",
            "input_tokens": input, "max_output_tokens": output,
        });
        self.call(AGENT, "POST", "/v1/preflight", body)
            .await
            .expect(200)
    }

    /// The id of a hold; fails if the request is refused.
    pub async fn hold(&self, user_id: &str, request_id: &str, input: i64, output: i64) -> String {
        let decision = self.preflight(user_id, request_id, input, output).await;
        assert_eq!(decision["decision"], "allow", "{decision}");
        decision["hold"]["id"].as_str().unwrap().to_owned()
    }

    /// A usage event of a priced model, now.
    pub fn usage(
        &self,
        event_id: &str,
        user_id: &str,
        input: i64,
        output: i64,
        hold_id: Option<&str>,
    ) -> Value {
        json!({
            "event_id": event_id, "type": "llm_request",
            "occurred_at": self.system.clock().now().to_string(),
            "user_id": user_id, "provider": "openai", "model": "gpt-4o",
            "input_tokens": input, "output_tokens": output, "hold_id": hold_id,
        })
    }

    /// Reports events and waits until they are recorded; fails if one is neither accepted nor
    /// known.
    pub async fn report(&self, events: &[Value]) {
        let body = json!({ "events": events });
        let answer = self
            .call(AGENT, "POST", "/v1/events", body)
            .await
            .expect(202);
        let taken = |name: &str| answer[name].as_u64().unwrap_or_default();
        let count = u64::try_from(events.len()).unwrap_or_default();
        assert_eq!(taken("accepted") + taken("duplicates"), count, "{answer}");
        self.system.drain().await.unwrap();
    }

    /// Records usage events in one batch, as evaluate does, without the queue.
    pub async fn record(&self, events: &[Value]) {
        let usages = events.iter().map(|event| {
            let mut event = event.clone();
            event["outcome"] = json!("completed");
            event["cached_input_tokens"] = json!(0);
            match serde_json::from_value(event).unwrap() {
                Event::LlmRequest(usage) => usage,
                Event::IpRisk(risk) => panic!("{risk:?} is no usage"),
            }
        });
        let usages: Vec<Usage> = usages.collect();
        let store = self.system.store();
        let configuration = store.configuration("demo").await.unwrap().unwrap();
        let now = self.system.clock().now();
        let usages: Vec<(&Usage, Timestamp)> = usages.iter().map(|usage| (usage, now)).collect();
        let books = PriceBooks::built_in();
        let recorded = store.record_usages(&configuration, books, &usages, now);
        for result in recorded.await {
            result.unwrap();
        }
    }

    /// Begins `first`, which makes a call of the database that `fits`, and stops it for good before
    /// that: as if the function had died there.
    pub async fn crash<T>(
        &self,
        first: impl Future<Output = T>,
        fits: impl Fn(&str, &str) -> bool + Send + 'static,
    ) {
        let mut stopped = self.system.engine().stop_next(fits);
        tokio::select! {
            _ = first => panic!("it was done without such a call"),
            () = stopped.arrived() => {}
        }
    }

    /// Begins `first`, which makes a call of the database that `fits`, does all of `then` before
    /// that, and goes on.
    pub async fn meanwhile<A, B>(
        &self,
        first: impl Future<Output = A>,
        fits: impl Fn(&str, &str) -> bool + Send + 'static,
        then: impl Future<Output = B>,
    ) -> (A, B) {
        let mut stopped = self.system.engine().stop_next(fits);
        let mut first = pin!(first);
        tokio::select! {
            _ = &mut first => panic!("it was done without such a call"),
            () = stopped.arrived() => {}
        }
        let then = async {
            let then = then.await;
            stopped.release();
            then
        };
        tokio::join!(first, then)
    }

    /// Sets the clock of every function.
    pub async fn set_clock(&self, now: &str) {
        let answer = self
            .admin("PUT", "/local/clock", json!({ "now": now }))
            .await;
        assert_eq!(answer.status, StatusCode::OK.as_u16());
    }
}
