//! Money is exact: what many small reports cost is their sum, and each place says so.

use super::books::books;
use end_to_end::{AGENT, World};
use serde_json::{Value, json};
use shared::domain::amount::{Unit, micro_usd_from_json};
use shared::domain::ledger::node::Node;

/// A token of gpt-5-nano costs a twentieth of a micro-dollar.
const PICO_USD_OF_NANO: i128 = 50_000;

/// `eng` > `backend` with ada, and a cap on `eng` in dollars.
async fn world(cap: Value) -> (World, String) {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.user("ada", "backend").await;
    let budget = world.budget(Some("eng"), "usd", cap, true).await;
    (world, budget)
}

fn usage(world: &World, id: &str, model: &str, [input, cached, output]: [i64; 3]) -> Value {
    let mut event = world.usage(id, "ada", input, output, None);
    event["model"] = json!(model);
    event["cached_input_tokens"] = json!(cached);
    event
}

fn micro(usd: &Value) -> i64 {
    micro_usd_from_json(&usd.to_string()).unwrap()
}

/// The sums of pico-dollars of November in the totals of the department and the user, and what the
/// counters of the organisation and of `eng` have less than their budgets.
async fn counted(world: &World, cap: i128) -> [i128; 4] {
    let store = world.system.store();
    let month = "2026-11".parse().unwrap();
    let totals = store.department_totals("demo", month).await.unwrap();
    let user = store.user_total("demo", month, "ada").await.unwrap();
    let cell = store.cell("demo", month).await.unwrap().unwrap();
    let rest = |department| {
        let index = Node::level(department);
        let unit = Unit::Usd;
        cell.nodes[&Node { unit, index }]
    };
    [
        totals.spent_under(Some("eng")).pico_usd,
        user.pico_usd,
        -rest(None),
        Unit::Usd.counted(1) * cap - rest(Some(0)),
    ]
}

#[tokio::test]
async fn a_thousand_reports_of_one_token_cost_what_a_thousand_tokens_cost() {
    let (world, budget) = world(json!(1)).await;
    // The cell is open before the first report.
    world.preflight("ada", "r-0", 0, 0).await;
    for batch in 0..10 {
        let events: Vec<Value> = (0..100)
            .map(|n| usage(&world, &format!("e-{batch}-{n}"), "gpt-5-nano", [1, 0, 0]))
            .collect();
        world.report(&events).await;
    }
    let exact = 1_000 * PICO_USD_OF_NANO;
    assert_eq!(counted(&world, 1_000_000).await, [exact; 4]);
    let seen = world.figures(&budget).await;
    assert_eq!(seen["spent"].to_string(), "0.00005");
    assert_eq!(seen["available"].to_string(), "0.99995");
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await;
    let tree = tree.expect(200);
    assert_eq!(tree["items"][0]["usage"]["usd"].to_string(), "0.00005");
    for period in ["monthly", "daily", "hourly"] {
        let path = format!("/v1/usage?limit=100&period={period}");
        let rows = world.admin("GET", &path, Value::Null).await.expect(200);
        let rows = rows["items"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["estimated_cost_usd"].to_string(), "0.00005");
        assert_eq!(rows[0]["total_requests"], 1_000);
    }
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_sum_over_many_prices_is_rounded_up_once_and_only_where_it_is_shown() {
    let (world, budget) = world(json!(1)).await;
    world.preflight("ada", "r-0", 0, 0).await;
    let (mut exact, mut events) = (0, Vec::new());
    for n in 1..=30_i64 {
        // 10^-12 dollars a token of fresh input, cached input, output.
        for (model, prices) in [
            ("gpt-5-nano", [50_000, 5_000, 400_000]),
            ("gpt-4o-mini", [150_000, 75_000, 600_000]),
            ("gpt-4o", [2_500_000, 1_250_000, 10_000_000]),
        ] {
            let [input, cached, output] = [3 * n + 1, n, n % 7];
            let each = [input - cached, cached, output];
            let costs = each.iter().zip(prices);
            exact += costs
                .map(|(tokens, price)| i128::from(tokens * price))
                .sum::<i128>();
            let id = format!("e-{model}-{n}");
            events.push(usage(&world, &id, model, [input, cached, output]));
        }
    }
    world.report(&events).await;
    assert!(exact % 1_000_000 != 0, "a sum that is not whole");
    assert_eq!(counted(&world, 1_000_000).await, [exact; 4]);
    let shown = (exact + 999_999) / 1_000_000;
    let seen = world.figures(&budget).await;
    let shown = i64::try_from(shown).unwrap();
    let found = ["spent", "remaining"].map(|name| micro(&seen[name]));
    assert_eq!(found, [shown, 1_000_000 - shown]);
}

#[tokio::test]
async fn a_cap_of_a_micro_dollar_admits_the_parts_that_it_has_and_a_refusal_adds_up() {
    let (world, budget) = world(json!(0.000_001)).await;
    let ask = async |n: u32| {
        let body = json!({
            "request_id": format!("r-{n}"), "user_id": "ada", "provider": "openai",
            "model": "gpt-5-nano", "input_tokens": 1, "max_output_tokens": 0,
        });
        let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
        answer.expect(200)
    };
    let mut holds = Vec::new();
    for n in 0..20 {
        let answer = ask(n).await;
        assert_eq!(answer["decision"], "allow", "{n}: {answer}");
        assert_eq!(micro(&answer["hold"]["usd"]), 1);
        holds.push(answer["hold"]["id"].clone());
    }
    let refused = ask(20).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    let reason = &refused["reasons"][0];
    let shown = ["amount", "spent", "held", "available", "requested"];
    let shown = shown.map(|name| micro(&reason[name]));
    assert_eq!(shown, [1, 0, 1, 0, 1]);
    let message = reason["message"].as_str().unwrap();
    let said = "has nothing of $0.000001 available and the request needs $0.000001";
    assert!(message.contains(said), "{message}");
    let events: Vec<Value> = (0..20)
        .map(|n| {
            let mut event = usage(&world, &format!("e-{n}"), "gpt-5-nano", [1, 0, 0]);
            event["hold_id"] = holds[n].clone();
            event
        })
        .collect();
    world.report(&events[..19]).await;
    // A part of a micro-dollar is shown as a whole one: what is held is, and what is spent.
    let seen = world.figures(&budget).await;
    let shown = ["spent", "held", "remaining", "available"].map(|name| micro(&seen[name]));
    assert_eq!(shown, [1, 1, 0, -1]);
    world.report(&events[19..]).await;
    let seen = world.figures(&budget).await;
    let shown = ["spent", "held", "remaining", "available"].map(|name| micro(&seen[name]));
    assert_eq!(shown, [1, 0, 0, 0]);
    assert_eq!(ask(21).await["decision"], "block");
}
