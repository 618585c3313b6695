//! The steps: what a client does, and does again until it has an answer that is not a fault; in the
//! system and in the model.

use super::Facts;
use super::model::{Model, Sum, time};
use super::seen::seen;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{ADMIN, AGENT, World, is_undecided};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When worlds begin: holds that are made now have lapsed when the step is done.
const BEGIN: &str = "2026-11-30T23:40:00Z";
/// The same for the step that is the first in its month.
const BEGIN_BEFORE: &str = "2026-10-31T12:00:00Z";
/// When the step is done. Holds that are made now outlive the month.
pub(super) const NOW: &str = "2026-11-30T23:59:00Z";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    FirstHoldOfTheMonth,
    Hold,
    HoldAfterLapsed,
    HoldUnderExemption,
    Renew,
    Settle,
    SettleUnderExemption,
    Void,
    LateUsage,
    LateUsageOfCharged,
    UsageWithoutHold,
    SettleTwoTogether,
    CreateBudget,
    ChangeAmount,
    TopUp,
    Correct,
    MoveUser,
    MoveDepartment,
    Block,
    DeleteBudget,
    Approve,
    Revoke,
}

pub(super) const STEPS: [Step; 22] = [
    Step::FirstHoldOfTheMonth,
    Step::Hold,
    Step::HoldAfterLapsed,
    Step::HoldUnderExemption,
    Step::Renew,
    Step::Settle,
    Step::SettleUnderExemption,
    Step::Void,
    Step::LateUsage,
    Step::LateUsageOfCharged,
    Step::UsageWithoutHold,
    Step::SettleTwoTogether,
    Step::CreateBudget,
    Step::ChangeAmount,
    Step::TopUp,
    Step::Correct,
    Step::MoveUser,
    Step::MoveDepartment,
    Step::Block,
    Step::DeleteBudget,
    Step::Approve,
    Step::Revoke,
];

/// An event that a step reports: its id, the request whose hold it names, and its tokens.
type Reported = (&'static str, Option<&'static str>, [i64; 2]);

impl Step {
    /// The input and output tokens that a request asks for.
    pub(super) fn asks(self, request: &str) -> [i64; 2] {
        match (request, self) {
            ("r-1", _) => [307, 97],
            ("r-2", _) => [211, 89],
            (_, Self::HoldAfterLapsed) => [907, 0],
            (_, Self::HoldUnderExemption | Self::SettleUnderExemption | Self::Revoke) => [401, 36],
            _ => [101, 0],
        }
    }

    fn reports(self) -> &'static [Reported] {
        match self {
            Self::Settle | Self::LateUsage | Self::LateUsageOfCharged => {
                &[("e-1", Some("r-1"), [203, 48])]
            }
            Self::UsageWithoutHold => &[("e-1", None, [203, 48])],
            Self::SettleTwoTogether => &[
                ("e-1", Some("r-1"), [203, 48]),
                ("e-2", Some("r-2"), [97, 31]),
            ],
            Self::SettleUnderExemption => &[("e-9", Some("r-9"), [331, 20])],
            _ => &[],
        }
    }

    /// Of how many parts it is, each of which takes effect by itself.
    pub(super) fn parts(self) -> usize {
        self.reports().len().max(1)
    }

    /// Whether it is reported, and takes effect when the queue delivers it.
    pub(super) fn is_reported(self) -> bool {
        !self.reports().is_empty()
    }

    /// The holds that are made before it.
    fn holds(self) -> &'static [&'static str] {
        match self {
            Self::FirstHoldOfTheMonth => &[],
            Self::SettleUnderExemption | Self::Revoke => &["r-1", "r-2", "r-9"],
            _ => &["r-1", "r-2"],
        }
    }

    /// Whether the holds that were made before it have lapsed.
    fn comes_after_lapsed(self) -> bool {
        let comes_late = matches!(self, Self::LateUsage | Self::LateUsageOfCharged);
        comes_late || self == Self::HoldAfterLapsed
    }

    /// Whether ada has asked for an exemption, and whether it is approved.
    fn exemption(self) -> Option<bool> {
        match self {
            Self::Approve => Some(false),
            Self::HoldUnderExemption | Self::SettleUnderExemption | Self::Revoke => Some(true),
            _ => None,
        }
    }

    /// Lets a part of it happen in the model. Done before, it changes nothing more.
    pub(super) fn happen(self, model: &mut Model, part: usize) {
        if let Some((event, request, tokens)) = self.reports().get(part) {
            model.usage(event, *request, *tokens, time(NOW));
            return;
        }
        match self {
            Self::FirstHoldOfTheMonth
            | Self::Hold
            | Self::HoldAfterLapsed
            | Self::HoldUnderExemption => {
                let [input, output] = self.asks("r-9");
                model.preflight("r-9", input, output);
            }
            Self::Renew => model.renew("r-1", 523, 600),
            Self::Void => model.void("r-1"),
            Self::CreateBudget => model.create_budget("backend", "tokens", 5_003, true),
            Self::ChangeAmount => model.change_amount("eng", "tokens", 2_003),
            Self::TopUp => model.top_up("top-up", "eng", "tokens", 333),
            Self::Correct => {
                let amounts = Sum {
                    tokens: 101,
                    pico_usd: 1_003_000_000,
                };
                model.correct("correction", amounts);
            }
            Self::MoveUser => model.move_user("sales"),
            Self::MoveDepartment => model.move_department("backend", "sales"),
            Self::Block => model.block(),
            Self::DeleteBudget => model.delete_budget("eng", "tokens"),
            Self::Approve => model.approve(),
            Self::Revoke => model.revoke(),
            Self::Settle
            | Self::SettleUnderExemption
            | Self::LateUsage
            | Self::LateUsageOfCharged
            | Self::UsageWithoutHold
            | Self::SettleTwoTogether => unreachable!("{self:?} has no part {part}"),
        }
    }
}

/// A world in which a step can be done, and the model of it.
pub(super) struct Prepared {
    pub(super) world: World,
    pub(super) model: Model,
    step: Step,
    /// The hard cap of `eng` in tokens.
    eng: String,
    /// The holds, by their request.
    holds: BTreeMap<&'static str, String>,
    events: Vec<Value>,
    exemption: Option<String>,
}

/// The settings of the world of `step`: its functions do not retry calls by themselves.
pub(super) fn settings_of(step: Step) -> SystemSettings {
    SystemSettings {
        now: Some(time(begin_of(step))),
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    }
}

fn begin_of(step: Step) -> &'static str {
    match step {
        Step::FirstHoldOfTheMonth => BEGIN_BEFORE,
        _ => BEGIN,
    }
}

/// The world of `step` with its usual settings.
pub(super) async fn prepare(step: Step) -> Prepared {
    prepare_with(step, settings_of(step)).await
}

/// The world of `step` with these settings.
pub(super) async fn prepare_with(step: Step, settings: SystemSettings) -> Prepared {
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.department("sales", None).await;
    world.user("ada", "backend").await;
    world.user("bob", "sales").await;
    let mut model = Model::new(time(begin_of(step)));
    if step == Step::LateUsageOfCharged {
        let body = json!({"abandoned_holds": "charge"});
        world
            .admin("PATCH", "/v1/organisation", body)
            .await
            .expect(200);
        model.charges_abandoned = true;
    }
    let eng = world
        .budget(Some("eng"), "tokens", json!(1_001), true)
        .await;
    model.create_budget("eng", "tokens", 1_001, true);
    world.budget(None, "usd", json!(1.000003), true).await;
    model.create_budget("org", "usd", 1_000_003, true);
    world
        .budget(Some("backend"), "usd", json!(0.5), false)
        .await;
    model.create_budget("backend", "usd", 500_000, false);
    let mut prepared = Prepared {
        world,
        model,
        step,
        eng,
        holds: BTreeMap::new(),
        events: Vec::new(),
        exemption: None,
    };
    if !step.comes_after_lapsed() {
        prepared.set_clock(NOW).await;
    }
    if let Some(is_approved) = step.exemption() {
        prepared.ask_for_exemption(is_approved).await;
    }
    for request in step.holds() {
        prepared.make_hold(request).await;
    }
    if step.comes_after_lapsed() {
        prepared.set_clock(NOW).await;
    }
    if matches!(step, Step::LateUsage | Step::LateUsageOfCharged) {
        // A request for too much is refused, which releases the lapsed holds.
        let refused = prepared.world.preflight("ada", "r-3", 5_003, 0).await;
        assert_eq!(refused["decision"], "block", "{refused}");
        prepared.model.preflight("r-3", 5_003, 0);
    }
    for (event, request, [input, output]) in step.reports() {
        let hold = request.map(|request| prepared.holds[request].as_str());
        let event = prepared.world.usage(event, "ada", *input, *output, hold);
        prepared.events.push(event);
    }
    prepared.world.system.drain().await.unwrap();
    prepared
}

impl Prepared {
    /// Sets the clock of the system and of the model.
    pub(super) async fn set_clock(&mut self, now: &str) {
        self.world.set_clock(now).await;
        self.model.now = time(now);
    }

    /// Lets ada ask for 500 tokens more in each month.
    async fn ask_for_exemption(&mut self, is_approved: bool) {
        let world = &self.world;
        let key = json!({"role": "member", "user_id": "ada"});
        let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
        let key = key["key"].as_str().unwrap();
        let body = json!({
            "user_id": "ada", "kind": "raise", "tokens": 500, "reason": "the release",
            "ends_at": "2026-12-20T12:00:00Z",
        });
        let asked = world.call(key, "POST", "/v1/exemptions", body).await;
        let id = asked.expect(201)["id"].as_str().unwrap().to_owned();
        self.model.ask_for_exemption(500);
        if is_approved {
            let path = format!("/v1/exemptions/{id}/approve");
            world.admin("POST", &path, json!({})).await.expect(200);
            self.model.approve();
        }
        self.exemption = Some(id);
    }

    async fn make_hold(&mut self, request: &'static str) {
        let [input, output] = self.step.asks(request);
        let id = self.world.hold("ada", request, input, output).await;
        self.holds.insert(request, id);
        self.model.preflight(request, input, output);
    }

    /// Does the step once, with all that follows from it; whether it was answered.
    pub(super) async fn act(&self) -> bool {
        let is_answered = self.send().await;
        if is_answered && self.step.is_reported() {
            self.world.system.drain().await.unwrap();
        }
        is_answered
    }

    /// Does the step once, and lets the queue deliver what it reports once, so that what fails
    /// there has not come again. Whether all of it is done.
    pub(super) async fn act_halfway(&self) -> bool {
        let is_answered = self.send().await;
        if !self.step.is_reported() {
            return is_answered;
        }
        let system = &self.world.system;
        system.deliver_events_once().await.unwrap();
        let left = system.queues().counts("events").unwrap();
        is_answered && left.visible + left.in_flight + left.released == 0
    }

    /// Sends what the client sends; whether that was answered.
    async fn send(&self) -> bool {
        let step = self.step;
        match step {
            Step::FirstHoldOfTheMonth
            | Step::Hold
            | Step::HoldAfterLapsed
            | Step::HoldUnderExemption => self.preflight("r-9").await,
            Step::Renew => {
                let body = json!({"tokens": 523, "extend_seconds": 600});
                self.call(AGENT, "PATCH", &self.path_of("r-1"), body).await
            }
            Step::Void => self.void("r-1").await,
            Step::Settle
            | Step::SettleUnderExemption
            | Step::LateUsage
            | Step::LateUsageOfCharged
            | Step::UsageWithoutHold
            | Step::SettleTwoTogether => {
                let body = json!({ "events": self.events });
                let answer = self.world.call(AGENT, "POST", "/v1/events", body).await;
                assert!(matches!(answer.status, 202 | 503), "{}", answer.body);
                // An event that is rejected is sent again, as one is that got no answer.
                answer.status == 202 && answer.body["rejected"] == json!([])
            }
            Step::CreateBudget => self.create_budget().await,
            Step::ChangeAmount => self.change_amount(2_003).await,
            Step::TopUp => {
                let path = format!("/v1/budgets/{}/top-ups", self.eng);
                let body = json!({"amount": 333, "reason": "the release"});
                self.post_once("top-up", &path, body).await
            }
            Step::Correct => {
                let body = json!({
                    "user_id": "ada", "month": "2026-11", "tokens": 101, "usd": 0.001003,
                    "reason": "was not reported",
                });
                self.post_once("correction", "/v1/corrections", body).await
            }
            Step::MoveUser => self.move_user().await,
            Step::MoveDepartment => {
                let body = json!({"parent_id": "sales"});
                self.admin("PATCH", "/v1/departments/backend", body).await
            }
            Step::Block => {
                let body = json!({"reason": "a look"});
                self.admin("PUT", "/v1/users/ada/block", body).await
            }
            Step::DeleteBudget => {
                let path = format!("/v1/budgets/{}", self.eng);
                self.admin("DELETE", &path, Value::Null).await
            }
            Step::Approve => self.decide("approve").await,
            Step::Revoke => self.decide("revoke").await,
        }
    }

    /// Whether a call was answered. It may be refused only if it was done before.
    async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> bool {
        let answer = self.world.call(key, method, path, body).await;
        let is_right = matches!(answer.status, 200..=299 | 404 | 409 | 503);
        assert!(
            is_right,
            "{method} {path}: {} {}",
            answer.status, answer.body
        );
        answer.status != 503
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> bool {
        self.call(ADMIN, method, path, body).await
    }

    /// Posts what would add again each time, under a key that keeps it from that.
    async fn post_once(&self, key: &str, path: &str, body: Value) -> bool {
        let headers = [
            ("idempotency-key", key),
            ("content-type", "application/json"),
        ];
        let answer = self
            .world
            .raw(ADMIN, "POST", path, &headers, body.to_string());
        let answer = answer.await;
        assert!(matches!(answer.status, 201 | 503), "{}", answer.body);
        answer.status == 201
    }

    /// The hold that a request got before the step.
    pub(super) fn hold_of(&self, request: &str) -> &str {
        &self.holds[request]
    }

    fn path_of(&self, request: &str) -> String {
        format!("/v1/holds/{}", self.hold_of(request))
    }

    /// Asks as `request` does, whatever is decided; whether it was decided.
    pub(super) async fn preflight(&self, request: &str) -> bool {
        let [input, output] = self.step.asks(request);
        let body = json!({
            "request_id": request, "user_id": "ada", "provider": "openai", "model": "gpt-4o",
            "input_tokens": input, "max_output_tokens": output,
        });
        let answer = self.world.call(AGENT, "POST", "/v1/preflight", body).await;
        answer.status != 503 && !is_undecided(&answer.expect(200))
    }

    pub(super) async fn void(&self, request: &str) -> bool {
        self.call(AGENT, "DELETE", &self.path_of(request), Value::Null)
            .await
    }

    pub(super) async fn create_budget(&self) -> bool {
        let body = json!({
            "name": "b", "department_id": "backend", "unit": "tokens", "amount": 5_003,
            "hard_cap": true,
        });
        self.admin("POST", "/v1/budgets", body).await
    }

    pub(super) async fn change_amount(&self, amount: i64) -> bool {
        let path = format!("/v1/budgets/{}", self.eng);
        self.admin("PATCH", &path, json!({ "amount": amount }))
            .await
    }

    pub(super) async fn move_user(&self) -> bool {
        let body = json!({"department_id": "sales"});
        self.admin("PATCH", "/v1/users/ada", body).await
    }

    /// Approves or revokes the exemption.
    pub(super) async fn decide(&self, step: &str) -> bool {
        let id = self.exemption.as_ref().unwrap();
        let path = format!("/v1/exemptions/{id}/{step}");
        self.admin("POST", &path, json!({})).await
    }

    /// The state of the system.
    pub(super) async fn seen(&self) -> Facts {
        self.world.system.drain().await.unwrap();
        seen(&self.world, self.exemption.as_deref()).await
    }

    /// The state after the step was done alone, once or more often.
    pub(super) fn wanted(&self) -> Facts {
        let mut model = self.model.clone();
        for part in 0..self.step.parts() {
            self.step.happen(&mut model, part);
        }
        model.facts()
    }
}
