//! The ledger's laws over random operations on the real engine, beside a naive model that sums everything anew:
//! conservation, no overshoot, all levels or none, no needless refusal, once in effect. Events come twice and out of
//! order, clocks move, departments and users move, and calls fail in between.

use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{AGENT, World};
use local::engine::{Fault, FaultKind, When};
use local::system::SystemSettings;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const USERS: [&str; 3] = ["ada", "bob", "cy"];
const DEPARTMENTS: [&str; 4] = ["eng", "backend", "frontend", "sales"];
/// gpt-4o: $2.50 a million input tokens, $10 output.
const INPUT_PRICE: i64 = 2_500_000;
const OUTPUT_PRICE: i64 = 10_000_000;
const HOLD_SECONDS: i64 = 600;

fn micro_usd(input: i64, output: i64) -> i64 {
    (input * INPUT_PRICE + output * OUTPUT_PRICE + 999_999) / 1_000_000
}

#[derive(Clone, Debug)]
enum Step {
    Hold {
        user: usize,
        request: u8,
        input: i64,
        output: i64,
    },
    Usage {
        user: usize,
        request: u8,
        event: u8,
        input: i64,
        output: i64,
        times: u8,
    },
    Unreserved {
        user: usize,
        event: u8,
        input: i64,
        times: u8,
    },
    Deliver,
    Void {
        user: usize,
        request: u8,
    },
    Tick {
        seconds: i64,
    },
    Create {
        department: Option<usize>,
        is_usd: bool,
        amount: i64,
        hard: bool,
    },
    Change {
        budget: u8,
        amount: i64,
    },
    Delete {
        budget: u8,
    },
    MoveUser {
        user: usize,
        department: usize,
    },
    MoveDepartment {
        department: usize,
        parent: Option<usize>,
    },
    Fail {
        call: u64,
        after: bool,
        conflict: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    prop_oneof![
        8 => (user.clone(), 0_u8..8, 0_i64..300, 0_i64..100)
            .prop_map(|(user, request, input, output)| Step::Hold { user, request, input, output }),
        5 => (user.clone(), 0_u8..8, 0_u8..30, 0_i64..300, 0_i64..150, 1_u8..3).prop_map(
            |(user, request, event, input, output, times)| Step::Usage { user, request, event, input, output, times }),
        2 => (user.clone(), 0_u8..30, 0_i64..100, 1_u8..3)
            .prop_map(|(user, event, input, times)| Step::Unreserved { user, event, input, times }),
        4 => Just(Step::Deliver),
        2 => (user.clone(), 0_u8..8).prop_map(|(user, request)| Step::Void { user, request }),
        2 => (1_i64..900).prop_map(|seconds| Step::Tick { seconds }),
        2 => (prop::option::of(0..DEPARTMENTS.len()), any::<bool>(), 0_i64..1_500, any::<bool>())
            .prop_map(|(department, is_usd, amount, hard)| Step::Create { department, is_usd, amount, hard }),
        1 => (0_u8..6, 0_i64..1_500).prop_map(|(budget, amount)| Step::Change { budget, amount }),
        1 => (0_u8..6).prop_map(|budget| Step::Delete { budget }),
        1 => (user, 0..DEPARTMENTS.len()).prop_map(|(user, department)| Step::MoveUser { user, department }),
        1 => (0..DEPARTMENTS.len(), prop::option::of(0..DEPARTMENTS.len()))
            .prop_map(|(department, parent)| Step::MoveDepartment { department, parent }),
        3 => (0_u64..12, any::<bool>(), any::<bool>())
            .prop_map(|(call, after, conflict)| Step::Fail { call, after, conflict }),
    ]
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    tokens: i64,
    micro_usd: i64,
}

impl Sum {
    fn of(self, is_usd: bool) -> i64 {
        if is_usd { self.micro_usd } else { self.tokens }
    }
}

#[derive(Clone, Debug)]
struct ModelHold {
    id: String,
    path: Vec<String>,
    amounts: Sum,
    expires: i64,
    body: (i64, i64),
    is_over: bool,
}

#[derive(Clone, Debug)]
struct ModelBudget {
    id: String,
    department: Option<String>,
    is_usd: bool,
    amount: i64,
    hard: bool,
}

impl ModelBudget {
    fn counts(&self, path: &[String]) -> bool {
        self.department
            .as_ref()
            .is_none_or(|department| path.contains(department))
    }
}

#[derive(Default)]
struct Model {
    now: i64,
    /// How many budgets were asked for.
    asked: u32,
    parents: BTreeMap<String, Option<String>>,
    homes: BTreeMap<String, String>,
    budgets: Vec<ModelBudget>,
    /// By user and request: the last hold of that name.
    holds: BTreeMap<(usize, u8), ModelHold>,
    /// Holds whose name was taken by a later one.
    earlier: Vec<ModelHold>,
    charges: Vec<(Vec<String>, Sum)>,
    counted: BTreeSet<String>,
    /// Reported and not yet delivered.
    waiting: Vec<(String, usize, Option<String>, Sum)>,
}

impl Model {
    fn path(&self, department: &str) -> Vec<String> {
        let mut path = vec![department.to_owned()];
        let mut next = self.parents[department].clone();
        while let Some(parent) = next {
            next = self.parents[&parent].clone();
            path.push(parent);
        }
        path
    }

    fn all_holds(&self) -> impl Iterator<Item = &ModelHold> {
        self.holds.values().chain(&self.earlier)
    }

    fn spent(&self, budget: &ModelBudget) -> i64 {
        let counted = self.charges.iter().filter(|(path, _)| budget.counts(path));
        counted.map(|(_, sum)| sum.of(budget.is_usd)).sum()
    }

    fn held(&self, budget: &ModelBudget, with_lapsed: bool) -> i64 {
        let living = |hold: &&ModelHold| !hold.is_over && (with_lapsed || hold.expires > self.now);
        let mine = self
            .all_holds()
            .filter(living)
            .filter(|hold| budget.counts(&hold.path));
        mine.map(|hold| hold.amounts.of(budget.is_usd)).sum()
    }

    fn available(&self, budget: &ModelBudget) -> i64 {
        budget.amount - self.spent(budget) - self.held(budget, false)
    }

    fn hold_of(&mut self, id: &str) -> Option<&mut ModelHold> {
        self.holds
            .values_mut()
            .chain(&mut self.earlier)
            .find(|hold| hold.id == id)
    }

    fn deliver(&mut self) {
        for (event, user, hold, sum) in std::mem::take(&mut self.waiting) {
            if !self.counted.insert(event) {
                continue;
            }
            let path = match hold.and_then(|id| {
                self.hold_of(&id).map(|hold| {
                    hold.is_over = true;
                    hold.path.clone()
                })
            }) {
                Some(path) => path,
                None => self.path(&self.homes[USERS[user]].clone()),
            };
            self.charges.push((path, sum));
        }
    }
}

/// Repeats what a client would repeat, until it is answered.
async fn persist(
    world: &World,
    key: &str,
    method: &str,
    path: &str,
    body: Value,
) -> end_to_end::Answer {
    for _ in 0..10 {
        let answer = world.call(key, method, path, body.clone()).await;
        if answer.status != 503 && answer.body["degraded"] != true {
            return answer;
        }
    }
    panic!("{method} {path} was never answered");
}

async fn admin(world: &World, method: &str, path: &str, body: Value) -> end_to_end::Answer {
    persist(world, end_to_end::ADMIN, method, path, body).await
}

async fn hold(world: &World, model: &mut Model, user: usize, request: u8, input: i64, output: i64) {
    let body = json!({
        "request_id": format!("r-{request}"), "user_id": USERS[user], "provider": "openai", "model": "gpt-4o",
        "input_tokens": input, "max_output_tokens": output,
    });
    let amounts = Sum {
        tokens: input + output,
        micro_usd: micro_usd(input, output),
    };
    let path = model.path(&model.homes[USERS[user]].clone());
    let answer = persist(world, AGENT, "POST", "/v1/preflight", body).await;
    let known = model
        .holds
        .get(&(user, request))
        .filter(|h| !h.is_over && h.expires > model.now)
        .cloned();
    if let Some(known) = known {
        // On a path without a budget there is nothing to look into: the request just passes.
        if answer.status == 200 && answer.body["hold"].is_null() {
            return;
        }
        if known.body == (input, output) {
            assert_eq!(
                answer.body["hold"]["id"],
                json!(known.id),
                "the same request is the same hold"
            );
        } else {
            assert_eq!(answer.status, 409, "{}", answer.body);
        }
        return;
    }
    let on_path: Vec<&ModelBudget> = model.budgets.iter().filter(|b| b.counts(&path)).collect();
    let short: BTreeSet<&str> = on_path
        .iter()
        .filter(|b| b.hard && model.available(b) < amounts.of(b.is_usd))
        .map(|b| b.id.as_str())
        .collect();
    let body = answer.expect(200);
    if short.is_empty() {
        assert_eq!(body["decision"], "allow", "it fits and was refused: {body}");
        if on_path.is_empty() {
            assert_eq!(body["hold"], Value::Null);
            return;
        }
        let made = ModelHold {
            id: body["hold"]["id"].as_str().unwrap().to_owned(),
            path,
            amounts,
            expires: model.now + HOLD_SECONDS,
            body: (input, output),
            is_over: false,
        };
        if let Some(before) = model.holds.insert((user, request), made) {
            model.earlier.push(before);
        }
    } else {
        let reasons = body["reasons"].as_array().unwrap();
        let named: BTreeSet<&str> = reasons
            .iter()
            .map(|r| r["budget_id"].as_str().unwrap())
            .collect();
        assert_eq!(
            named, short,
            "a refusal names what was short and nothing else: {body}"
        );
    }
}

async fn run(steps: Vec<Step>) {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let mut model = Model {
        now: 1_794_000_000,
        ..Model::default()
    };
    let at = |seconds: i64| jiff_text(seconds);
    world.set_clock(&at(model.now)).await;
    for (id, parent) in [
        ("eng", None),
        ("backend", Some("eng")),
        ("frontend", Some("eng")),
        ("sales", None),
    ] {
        world.department(id, parent).await;
        model
            .parents
            .insert(id.to_owned(), parent.map(str::to_owned));
    }
    for (user, department) in USERS.iter().zip(["backend", "frontend", "sales"]) {
        world.user(user, department).await;
        model
            .homes
            .insert((*user).to_owned(), department.to_owned());
    }
    let org = world.budget(None, "tokens", json!(1_200), true).await;
    model.budgets.push(ModelBudget {
        id: org,
        department: None,
        is_usd: false,
        amount: 1_200,
        hard: true,
    });
    for step in steps {
        act(&world, &mut model, step).await;
        check(&world, &model).await;
    }
    world.system.engine().clear_faults();
    world.system.drain().await.unwrap();
    model.deliver();
    check(&world, &model).await;
    assert_eq!(
        world.system.queues().counts("events-dlq").unwrap().visible,
        0
    );
}

fn jiff_text(seconds: i64) -> String {
    let day = (seconds - 1_793_491_200) / 86_400;
    let of_day = (seconds - 1_793_491_200) % 86_400;
    format!(
        "2026-11-{:02}T{:02}:{:02}:{:02}Z",
        day + 1,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

async fn act(world: &World, model: &mut Model, step: Step) {
    match step {
        Step::Hold {
            user,
            request,
            input,
            output,
        } => hold(world, model, user, request, input, output).await,
        Step::Usage {
            user,
            request,
            event,
            input,
            output,
            times,
        } => {
            let Some(of) = model
                .holds
                .get(&(user, request))
                .map(|hold| hold.id.clone())
            else {
                return;
            };
            let sum = Sum {
                tokens: input + output,
                micro_usd: micro_usd(input, output),
            };
            let id = format!("e-{event}");
            let body = json!({"events": [world.usage(&id, USERS[user], input, output, Some(&of))]});
            if model.counted.contains(&id) || model.waiting.iter().any(|(known, ..)| *known == id) {
                return;
            }
            for _ in 0..times {
                let answer = persist(world, AGENT, "POST", "/v1/events", body.clone())
                    .await
                    .expect(202);
                assert_eq!(answer["accepted"], 1, "{answer}");
                model
                    .waiting
                    .push((id.clone(), user, Some(of.clone()), sum));
            }
        }
        Step::Unreserved {
            user,
            event,
            input,
            times,
        } => {
            let id = format!("e-{event}");
            if model.counted.contains(&id) || model.waiting.iter().any(|(known, ..)| *known == id) {
                return;
            }
            let sum = Sum {
                tokens: input,
                micro_usd: micro_usd(input, 0),
            };
            let body = json!({"events": [world.usage(&id, USERS[user], input, 0, None)]});
            for _ in 0..times {
                persist(world, AGENT, "POST", "/v1/events", body.clone())
                    .await
                    .expect(202);
                model.waiting.push((id.clone(), user, None, sum));
            }
        }
        Step::Deliver => {
            world.system.drain().await.unwrap();
            model.deliver();
        }
        Step::Void { user, request } => {
            let now = model.now;
            let Some(hold) = model.holds.get_mut(&(user, request)) else {
                return;
            };
            let path = format!("/v1/holds/{}", hold.id);
            assert_eq!(
                persist(world, AGENT, "DELETE", &path, Value::Null)
                    .await
                    .status,
                204
            );
            let _ = now;
            hold.is_over = true;
        }
        Step::Tick { seconds } => {
            model.now += seconds;
            world.set_clock(&jiff_text(model.now)).await;
        }
        Step::Create {
            department,
            is_usd,
            amount,
            hard,
        } => {
            let department = department.map(|n| DEPARTMENTS[n].to_owned());
            let taken = model
                .budgets
                .iter()
                .any(|b| b.department == department && b.is_usd == is_usd);
            let (unit, shown) = match is_usd {
                true => ("usd", usd(amount)),
                false => ("tokens", json!(amount)),
            };
            let body = json!({"name": "b", "department_id": department, "unit": unit, "amount": shown, "hard_cap": hard});
            model.asked += 1;
            let key = format!("create-{}", model.asked);
            let answer = loop {
                let headers = [("idempotency-key", key.as_str())];
                let answer = world
                    .raw(
                        end_to_end::ADMIN,
                        "POST",
                        "/v1/budgets",
                        &headers,
                        body.to_string(),
                    )
                    .await;
                if answer.status != 503 {
                    break answer;
                }
            };
            if taken {
                assert_eq!(answer.status, 409);
                return;
            }
            let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
            model.budgets.push(ModelBudget {
                id,
                department,
                is_usd,
                amount,
                hard,
            });
        }
        Step::Change { budget, amount } => {
            let Some(budget) = model.budgets.get_mut(usize::from(budget)) else {
                return;
            };
            let shown = if budget.is_usd {
                usd(amount)
            } else {
                json!(amount)
            };
            let path = format!("/v1/budgets/{}", budget.id);
            admin(world, "PATCH", &path, json!({"amount": shown}))
                .await
                .expect(200);
            budget.amount = amount;
        }
        Step::Delete { budget } => {
            if usize::from(budget) < model.budgets.len() {
                let gone = model.budgets.remove(usize::from(budget));
                let answer = admin(
                    world,
                    "DELETE",
                    &format!("/v1/budgets/{}", gone.id),
                    Value::Null,
                )
                .await;
                assert!(matches!(answer.status, 204 | 404), "{}", answer.body);
            }
        }
        Step::MoveUser { user, department } => {
            let body = json!({"department_id": DEPARTMENTS[department]});
            admin(world, "PATCH", &format!("/v1/users/{}", USERS[user]), body)
                .await
                .expect(200);
            model
                .homes
                .insert(USERS[user].to_owned(), DEPARTMENTS[department].to_owned());
        }
        Step::MoveDepartment { department, parent } => {
            let id = DEPARTMENTS[department];
            let parent = parent.map(|n| DEPARTMENTS[n].to_owned());
            let is_cycle = parent
                .as_ref()
                .is_some_and(|parent| model.path(parent).iter().any(|step| step == id));
            let answer = admin(
                world,
                "PATCH",
                &format!("/v1/departments/{id}"),
                json!({"parent_id": parent}),
            )
            .await;
            if is_cycle {
                assert_eq!(answer.status, 409);
            } else {
                answer.expect(200);
                model.parents.insert(id.to_owned(), parent);
            }
        }
        Step::Fail {
            call,
            after,
            conflict,
        } => {
            let when = if after { When::After } else { When::Before };
            let kind = if conflict {
                FaultKind::TransactionConflict
            } else {
                FaultKind::ConnectionReset
            };
            // A conflict is always said before anything is applied.
            let when = if conflict { When::Before } else { when };
            world.system.engine().inject(Fault { call, when, kind });
        }
    }
}

fn usd(micro: i64) -> Value {
    serde_json::from_str(&format!("0.{micro:06}")).unwrap()
}

fn micro(value: &Value) -> i64 {
    shared::domain::amount::micro_usd_from_json(&value.to_string()).unwrap()
}

/// Conservation at every budget: what is spent is what records say, what is held is what lives, and the rest is right.
async fn check(world: &World, model: &Model) {
    let seen = admin(world, "GET", "/v1/budgets?limit=100", Value::Null)
        .await
        .expect(200);
    let items = seen["items"].as_array().unwrap();
    assert_eq!(items.len(), model.budgets.len());
    for budget in &model.budgets {
        let seen = items
            .iter()
            .find(|item| item["id"] == json!(budget.id))
            .unwrap();
        let figure = |name: &str| {
            if budget.is_usd {
                micro(&seen[name])
            } else {
                seen[name].as_i64().unwrap()
            }
        };
        let (spent, held) = (figure("spent"), figure("held"));
        assert_eq!(spent, model.spent(budget), "spent of {budget:?}\n{seen}");
        let least = model.held(budget, false);
        let most = model.held(budget, true);
        assert!(
            (least..=most).contains(&held),
            "held of {budget:?}: {held}, not {least} to {most}"
        );
        assert_eq!(figure("available"), budget.amount - spent - held, "{seen}");
        assert_eq!(figure("remaining"), budget.amount - spent, "{seen}");
    }
}

/// 64 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    asked.unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_budget_is_as_the_naive_model_has_it(steps in prop::collection::vec(step(), 5..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
