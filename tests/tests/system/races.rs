//! A thousand racing requests against the real engine: exactly what fits is admitted, at every
//! level.

use end_to_end::{AGENT, World};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tokens of one request; with gpt-4o's price of $2.50 a million these are 1,000 micro-USD.
const Q: i64 = 400;
const USD_OF_Q: f64 = 0.001;
const FITTING: i64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Units {
    Tokens,
    Usd,
    Both,
}

/// Hard budgets on the organisation and each of `depth` departments; the one at `binding` (0 is the
/// organisation) fits `FITTING` requests, the others far more. The ids of the budgets, and how much
/// fits in each unit.
async fn tree(depth: usize, units: Units, binding: usize) -> (World, Vec<(String, Value)>) {
    let world = World::empty().await;
    let mut budgets = Vec::new();
    let name = |level: usize| format!("d{level}");
    for level in 0..=depth {
        let fits = if level == binding {
            FITTING
        } else {
            20 * FITTING
        };
        if level > 0 {
            let parent = (level > 1).then(|| name(level - 1));
            world.department(&name(level), parent.as_deref()).await;
        }
        let department = (level > 0).then(|| name(level));
        let department = department.as_deref();
        if units != Units::Usd {
            let id = world
                .budget(department, "tokens", json!(fits * Q), true)
                .await;
            budgets.push((id, json!(FITTING * Q)));
        }
        if units != Units::Tokens {
            let amount = json!(f64::from(u16::try_from(fits).unwrap()) / 1_000.0);
            let id = world.budget(department, "usd", amount, true).await;
            budgets.push((
                id,
                json!(f64::from(u16::try_from(FITTING).unwrap()) * USD_OF_Q),
            ));
        }
    }
    for n in 0..10 {
        world.user(&format!("u{n}"), &name(depth)).await;
    }
    (world, budgets)
}

/// Sends all at once from tasks of their own; each answer with its request id.
async fn race(world: Arc<World>, requests: Vec<(String, String)>) -> Vec<(String, Value)> {
    let tasks = requests.into_iter().map(|(user, request)| {
        let world = world.clone();
        tokio::spawn(async move {
            let decision = world.preflight(&user, &request, Q, 0).await;
            (request, decision)
        })
    });
    join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn thousand() -> Vec<(String, String)> {
    (0..1_000)
        .map(|n| (format!("u{}", n % 10), format!("r-{n}")))
        .collect()
}

async fn exactly_fifty(depth: usize, units: Units, binding: usize) {
    let (world, budgets) = tree(depth, units, binding).await;
    let world = Arc::new(world);
    let answers = race(world.clone(), thousand()).await;
    let admitted = answers
        .iter()
        .filter(|(_, d)| d["decision"] == "allow")
        .count();
    let case = format!("depth {depth}, {units:?}, binding level {binding}");
    assert_eq!(i64::try_from(admitted).unwrap(), FITTING, "{case}");
    assert!(
        answers.iter().all(|(_, d)| d["degraded"] == false),
        "{case}"
    );
    for (id, held) in budgets {
        let figures = world.figures(&id).await;
        assert_eq!(
            figures["held"].as_f64(),
            held.as_f64(),
            "{case}: held at every level"
        );
        assert_eq!(figures["spent"].as_f64(), Some(0.0), "{case}");
    }
    for (_, refused) in answers.iter().filter(|(_, d)| d["decision"] == "block") {
        let reasons = refused["reasons"].as_array().unwrap();
        let department = (binding > 0).then(|| format!("d{binding}"));
        assert!(
            reasons
                .iter()
                .all(|r| r["department_id"] == json!(department)),
            "{case}: {refused}"
        );
    }
}

macro_rules! races {
    ($($name:ident: $depth:literal, $units:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let levels: BTreeSet<usize> = [$depth, usize::div_ceil($depth, 2), 0].into();
            for binding in levels {
                exactly_fifty($depth, Units::$units, binding).await;
            }
        }
    )*};
}

races! {
    a_thousand_racing_requests_at_depth_1_in_tokens_admit_exactly_fifty: 1, Tokens;
    a_thousand_racing_requests_at_depth_1_in_dollars_admit_exactly_fifty: 1, Usd;
    a_thousand_racing_requests_at_depth_1_in_both_admit_exactly_fifty: 1, Both;
    a_thousand_racing_requests_at_depth_4_in_tokens_admit_exactly_fifty: 4, Tokens;
    a_thousand_racing_requests_at_depth_4_in_dollars_admit_exactly_fifty: 4, Usd;
    a_thousand_racing_requests_at_depth_4_in_both_admit_exactly_fifty: 4, Both;
    a_thousand_racing_requests_at_depth_8_in_tokens_admit_exactly_fifty: 8, Tokens;
    a_thousand_racing_requests_at_depth_8_in_dollars_admit_exactly_fifty: 8, Usd;
    a_thousand_racing_requests_at_depth_8_in_both_admit_exactly_fifty: 8, Both;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_with_five_percent_doubled_request_ids_hold_nothing_twice() {
    let world = World::empty().await;
    world.department("d1", None).await;
    for n in 0..10 {
        world.user(&format!("u{n}"), "d1").await;
    }
    let fits = 200;
    let budget = world
        .budget(Some("d1"), "tokens", json!(fits * Q), true)
        .await;
    // Every twentieth request is sent again, beside its first try or far behind it.
    let mut requests: Vec<(String, String)> = (0..9_500)
        .map(|n| (format!("u{}", n % 10), format!("r-{n}")))
        .collect();
    for n in 0..500 {
        let again = requests[n * 19].clone();
        let place = if n % 2 == 0 {
            n * 19 + 1
        } else {
            requests.len()
        };
        requests.insert(place, again);
    }
    let world = Arc::new(world);
    let answers = race(world.clone(), requests).await;
    let mut holds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (request, decision) in &answers {
        if let Some(hold) = decision["hold"]["id"].as_str() {
            holds
                .entry(request.clone())
                .or_default()
                .insert(hold.to_owned());
        }
    }
    assert_eq!(answers.len(), 10_000);
    assert_eq!(i64::try_from(holds.len()).unwrap(), fits);
    assert!(
        holds.values().all(|of_one| of_one.len() == 1),
        "one request, one hold"
    );
    assert_eq!(world.figures(&budget).await["held"], json!(fits * Q));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlements_voids_and_holds_race_and_the_sums_are_exact() {
    let (world, _) = tree(4, Units::Tokens, 0).await;
    let world = Arc::new(world);
    let mut tasks = Vec::new();
    for n in 0..400_i64 {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            let user = format!("u{}", n % 10);
            let decision = world.preflight(&user, &format!("r-{n}"), Q, 0).await;
            let hold = decision["hold"]["id"].as_str()?;
            if n % 3 == 0 {
                let path = format!("/v1/holds/{hold}");
                assert_eq!(
                    world.call(AGENT, "DELETE", &path, Value::Null).await.status,
                    204
                );
                return None;
            }
            let event = world.usage(&format!("e-{n}"), &user, n % 100, 7, Some(hold));
            let body = json!({"events": [event.clone(), event]});
            world
                .call(AGENT, "POST", "/v1/events", body)
                .await
                .expect(202);
            Some(n % 100 + 7)
        }));
    }
    let spent: i64 = join_all(tasks)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .sum();
    world.system.drain().await.unwrap();
    let budgets = world
        .admin("GET", "/v1/budgets?limit=100", Value::Null)
        .await
        .expect(200);
    for budget in budgets["items"].as_array().unwrap() {
        assert_eq!(
            (&budget["spent"], &budget["held"]),
            (&json!(spent), &json!(0)),
            "{budget}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_take_effect_in_the_middle_of_a_race_and_nothing_passes_after_their_answer() {
    let (world, budgets) = tree(4, Units::Tokens, 0).await;
    let world = Arc::new(world);
    let running = tokio::spawn(race(world.clone(), thousand()));
    tokio::task::yield_now().await;
    let made = world.budget(Some("d2"), "usd", json!(100), true).await;
    world
        .admin("PUT", "/v1/users/u3/block", json!({"reason": "stop"}))
        .await
        .expect(200);
    let blocked = world.preflight("u3", "after", 1, 0).await;
    assert_eq!(blocked["reasons"][0]["code"], "user_blocked");
    world
        .admin("PATCH", "/v1/departments/d3", json!({"parent_id": "d1"}))
        .await
        .expect(200);
    world
        .admin(
            "PATCH",
            &format!("/v1/budgets/{}", budgets[0].0),
            json!({"amount": 10 * Q}),
        )
        .await
        .expect(200);
    let refused = world.preflight("u1", "after", 11 * Q, 0).await;
    assert_eq!(refused["decision"], "block");
    let answers = running.await.unwrap();
    let admitted: Vec<&Value> = answers
        .iter()
        .filter(|(_, d)| d["decision"] == "allow")
        .map(|(_, d)| d)
        .collect();
    assert!(admitted.len() <= 50, "{}", admitted.len());
    assert!(answers.iter().all(|(_, d)| d["degraded"] == false));
    let held: i64 = admitted
        .iter()
        .map(|d| d["hold"]["tokens"].as_i64().unwrap())
        .sum();
    let organisation = world.figures(&budgets[0].0).await;
    assert_eq!(organisation["held"], json!(held));
    assert_eq!(organisation["available"], json!(10 * Q - held));
    let in_dollars = world.figures(&made).await["held"].as_f64().unwrap();
    assert!(
        in_dollars <= f64::from(u32::try_from(held).unwrap()) * 2.5e-6 + 1e-9,
        "no hold counts twice in a new budget"
    );
}
