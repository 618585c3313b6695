//! The world of a scenario, and how each script is acted: by the requests and calls of a deployed
//! system.

use super::scenario::{AFTER, BEFORE, Q, Script, Setting, hold_of, used};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{ADMIN, AGENT, World, is_undecided};
use jiff::Timestamp;
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use std::collections::BTreeMap;
use std::time::Duration;

/// The levels that may have a cap, with their department.
const LEVELS: [(&str, Option<&str>); 3] = [
    ("org", None),
    ("eng", Some("eng")),
    ("sales", Some("sales")),
];
/// The number of times that a step of the schedule restarts if the configuration has changed.
const ATTEMPTS: u32 = 20;

/// The answer that an actor got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The request passes, with this hold if a budget counts it.
    Passes(Option<String>),
    /// It does not, for this reason.
    Refused(String),
    /// The hold is renewed; none if it had ended.
    Renewed(Option<String>),
    Done,
}

pub(super) struct Company {
    pub(super) world: World,
    tables: Client,
    caps: BTreeMap<&'static str, String>,
    /// The holds that were made before, by their request.
    pub(super) holds: BTreeMap<u8, String>,
    events: BTreeMap<u8, Value>,
    exemption: Option<String>,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The month of a time of a scenario.
pub(super) fn month_of(at: &str) -> Month {
    at[..7].parse().unwrap()
}

fn name_of(request: u8) -> String {
    format!("r-{request}")
}

impl Company {
    pub(super) async fn new(setting: &Setting) -> Self {
        let settings = SystemSettings {
            now: Some(time(BEFORE)),
            retry: RetryConfig::disabled(),
            delivers_events: false,
            // The key of each actor is known.
            keys_believed: Some(Duration::from_secs(3_600)),
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        let mut company = Self {
            tables: world.tables(),
            world,
            caps: BTreeMap::new(),
            holds: BTreeMap::new(),
            events: BTreeMap::new(),
            exemption: None,
        };
        company.fill(setting).await;
        company
    }

    async fn fill(&mut self, setting: &Setting) {
        self.world.department("eng", None).await;
        self.world.department("sales", None).await;
        self.world.user("ada", "eng").await;
        if setting.charges_abandoned {
            let body = json!({"abandoned_holds": "charge"});
            let changed = self.world.admin("PATCH", "/v1/organisation", body).await;
            changed.expect(200);
        }
        for ((level, department), amount) in LEVELS.into_iter().zip(setting.caps) {
            if let Some(amount) = amount {
                let amount = json!(amount);
                let id = self.world.budget(department, "tokens", amount, true).await;
                self.caps.insert(level, id);
            }
        }
        if let Some(is_approved) = setting.exemption {
            self.ask_for_exemption(is_approved).await;
        }
        for request in setting.holds {
            let id = self.world.hold("ada", &name_of(*request), Q, 0).await;
            self.holds.insert(*request, id);
        }
        // The instance of preflight knows ada and the current configuration.
        self.world.preflight("ada", "warm", 0, 0).await;
        if setting.at != BEFORE {
            self.world.set_clock(setting.at).await;
        }
        if setting.is_behind {
            let amount = json!(1_000);
            self.world
                .budget(Some("sales"), "tokens", amount, true)
                .await;
        }
        for event in 0..6 {
            self.prepare_event(event, setting);
        }
        if setting.is_swept {
            self.expire().await;
        }
    }

    /// Makes an event, if the hold that it names exists.
    fn prepare_event(&mut self, event: u8, setting: &Setting) {
        let hold = match hold_of(event) {
            None => None,
            Some(request) => match self.holds.get(&request) {
                None => return,
                hold => hold,
            },
        };
        let id = format!("e-{event}");
        let hold = hold.map(String::as_str);
        let mut body = self.world.usage(&id, "ada", used(event), 0, hold);
        if let Some(at) = setting.used_at {
            body["occurred_at"] = json!(at);
        }
        self.events.insert(event, body);
    }

    async fn ask_for_exemption(&mut self, is_approved: bool) {
        let key = json!({"role": "member", "user_id": "ada"});
        let key = self.world.admin("POST", "/v1/api-keys", key).await;
        let key = key.expect(201);
        let body = json!({
            "user_id": "ada", "kind": "raise", "tokens": 2 * Q, "reason": "the release",
            "ends_at": "2026-12-20T12:00:00Z",
        });
        let key = key["key"].as_str().unwrap();
        let asked = self.world.call(key, "POST", "/v1/exemptions", body).await;
        let id = asked.expect(201)["id"].as_str().unwrap().to_owned();
        self.exemption = Some(id);
        if is_approved {
            self.decide("approve").await;
        }
    }

    /// Acts a script from its beginning to its end.
    pub(super) async fn act(&self, script: Script) -> Outcome {
        let world = &self.world;
        match script {
            Script::Ask(request) => return self.ask(request).await,
            Script::Renew(request) => return self.renew(request).await,
            Script::Use(event) => world.record(&[self.event(event)]).await,
            Script::UseBoth(first, second) => {
                world.record(&[self.event(first), self.event(second)]).await;
            }
            Script::Report(event) => {
                let body = json!({"events": [self.event(event)]});
                self.call(AGENT, "POST", "/v1/events", body, &[202]).await;
                world.system.deliver_events_once().await.unwrap();
            }
            Script::GiveBack(request) => {
                let path = self.path_of_hold(request);
                self.call(AGENT, "DELETE", &path, Value::Null, &[204]).await;
            }
            Script::Expire => self.expire().await,
            Script::OpenMonth(month) => self.open(month.parse().unwrap()).await,
            Script::ChangeAmount(level, amount) => {
                let body = json!({ "amount": amount });
                self.change("PATCH", &self.path_of_cap(level), body, &[200])
                    .await;
            }
            Script::MakeBudget => {
                let body = json!({
                    "name": "b", "department_id": "eng", "unit": "tokens", "amount": 15,
                    "hard_cap": true,
                });
                self.change("POST", "/v1/budgets", body, &[201, 409]).await;
            }
            Script::DeleteBudget(level) => {
                let path = self.path_of_cap(level);
                self.change("DELETE", &path, Value::Null, &[204, 404]).await;
            }
            Script::MoveUser => {
                let body = json!({"department_id": "sales"});
                self.change("PATCH", "/v1/users/ada", body, &[200]).await;
            }
            Script::Block => {
                let body = json!({"reason": "a look"});
                self.change("PUT", "/v1/users/ada/block", body, &[200])
                    .await;
            }
            Script::Approve => self.decide("approve").await,
            Script::Revoke => self.decide("revoke").await,
        }
        Outcome::Done
    }

    async fn ask(&self, request: u8) -> Outcome {
        let request = name_of(request);
        let decision = self.world.preflight("ada", &request, Q, 0).await;
        assert!(!is_undecided(&decision), "{decision}");
        if decision["decision"] == "allow" {
            return Outcome::Passes(decision["hold"]["id"].as_str().map(str::to_owned));
        }
        let code = decision["reasons"][0]["code"].as_str();
        Outcome::Refused(code.unwrap().to_owned())
    }

    async fn renew(&self, request: u8) -> Outcome {
        let path = self.path_of_hold(request);
        let body = json!({"tokens": Q + Q / 2, "extend_seconds": 3_600});
        let renewed = self.call(AGENT, "PATCH", &path, body, &[200, 409]).await;
        Outcome::Renewed(renewed.map(|renewed| {
            assert_eq!(renewed["decision"], "allow", "{renewed}");
            renewed["hold"]["id"].as_str().unwrap().to_owned()
        }))
    }

    /// Releases what has lapsed in the first month, as the schedule does.
    async fn expire(&self) {
        let store = self.world.system.store();
        let now = self.world.system.clock().now().max(time(AFTER));
        for _ in 0..ATTEMPTS {
            let configuration = self.configuration().await;
            let swept = store.swept_cell(&configuration, month_of(BEFORE), now);
            if swept.await.unwrap().is_some() {
                return;
            }
        }
        panic!("the configuration changes all the time");
    }

    /// Opens a month, or brings it up to date.
    async fn open(&self, month: Month) {
        let store = self.world.system.store();
        for _ in 0..ATTEMPTS {
            let configuration = self.configuration().await;
            let opened = store.cell_in_force(&configuration, month);
            if opened.await.unwrap().is_some() {
                return;
            }
        }
        panic!("the configuration changes all the time");
    }

    /// Approves or revokes the exemption, unless somebody has done it.
    async fn decide(&self, step: &str) {
        let id = self.exemption.as_ref().unwrap();
        let path = format!("/v1/exemptions/{id}/{step}");
        self.change("POST", &path, json!({}), &[200, 409]).await;
    }

    async fn change(&self, method: &str, path: &str, body: Value, statuses: &[u16]) {
        self.call(ADMIN, method, path, body, statuses).await;
    }

    /// The body of an answer with the first of the statuses, none with another of them. There is no
    /// other answer.
    async fn call(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Value,
        statuses: &[u16],
    ) -> Option<Value> {
        let answer = self.world.call(key, method, path, body).await;
        let status = answer.status;
        assert!(
            statuses.contains(&status),
            "{method} {path}: {status} {}",
            answer.body
        );
        (statuses.first() == Some(&status)).then_some(answer.body)
    }

    fn event(&self, event: u8) -> Value {
        self.events[&event].clone()
    }

    fn path_of_hold(&self, request: u8) -> String {
        format!("/v1/holds/{}", self.holds[&request])
    }

    fn path_of_cap(&self, level: &str) -> String {
        format!("/v1/budgets/{}", self.caps[level])
    }

    /// The configuration in force.
    pub(super) async fn configuration(&self) -> Configuration {
        let store = self.world.system.store();
        store.configuration("demo").await.unwrap().unwrap()
    }

    /// Whether it is written how a hold has ended, though its cell may not have followed.
    pub(super) async fn has_ended(&self, hold: &str) -> bool {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let row = self
            .tables
            .get_item()
            .table_name("Ledger")
            .key("pk", text(&format!("demo#resolution#{hold}")))
            .key("sk", text("-"))
            .consistent_read(true);
        let row = row.send().await.unwrap().item.unwrap_or_default();
        let outcome = row.get("outcome").and_then(|outcome| outcome.as_s().ok());
        outcome.is_some_and(|outcome| outcome != "renewed")
    }
}
