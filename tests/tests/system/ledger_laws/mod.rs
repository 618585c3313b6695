//! The ledger's laws over random operations on the real engine, beside a naive model that sums
//! everything again: conservation, no overshoot, all levels or none, no needless refusal, once in
//! effect. Events come twice and out of order, clocks move, departments and users move, and calls
//! fail in between.

mod act;
mod model;
mod steps;

use act::act;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::{World, is_undecided};
use local::system::SystemSettings;
use model::{Model, ModelBudget, shown};
use proptest::prelude::*;
use serde_json::{Value, json};
use steps::{Step, step};

const USERS: [&str; 3] = ["ada", "bob", "cy"];
const DEPARTMENTS: [&str; 4] = ["eng", "backend", "frontend", "sales"];

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
        if answer.status != 503 && !is_undecided(&answer.body) {
            return answer;
        }
    }
    panic!("{method} {path} was never answered");
}

async fn admin(world: &World, method: &str, path: &str, body: Value) -> end_to_end::Answer {
    persist(world, end_to_end::ADMIN, method, path, body).await
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
    model.note_move();
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

fn micro(value: &Value) -> i64 {
    shared::domain::amount::micro_usd_from_json(&value.to_string()).unwrap()
}

/// Conservation at every budget: the spent amount is that of the records, the held one that of the
/// live holds, and the rest is right.
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
        let used = |counted| shown(budget.is_usd, counted);
        let expected = used(model.spent(budget));
        assert_eq!(spent, expected, "spent of {budget:?}\n{seen}");
        let least = used(model.held(budget, false));
        let most = used(model.held(budget, true));
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
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_budget_equals_the_naive_model_after_random_operations(
        steps in prop::collection::vec(step(), 5..50)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
