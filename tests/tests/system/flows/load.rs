//! Honest load: many clients that ask, use what they asked for and report it at once, while
//! evaluation lags behind.

use super::figure;
use super::places::fill;
use end_to_end::{AGENT, World};
use futures::future::join_all;
use local::system::SystemSettings;
use reset::AuditRequest;
use serde_json::{Value, json};
use shared::domain::ledger::cell::MAX_HOLDS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TOKENS: i64 = 10;
/// The places that others leave.
const PLACES: usize = 12;

/// The answers that clients got.
#[derive(Debug, Default)]
struct Seen {
    admitted: AtomicU64,
    refused_for_places: AtomicU64,
}

/// Asks for ten tokens and reports them, again and again, until the cap is reached for good.
async fn client(world: Arc<World>, user: String, name: usize, seen: Arc<Seen>) {
    for n in 0..10_000 {
        let id = format!("c{name}-{n}");
        let decision = world.preflight(&user, &id, TOKENS, 0).await;
        if decision["decision"] == "allow" {
            assert!(
                decision["hold"].is_object(),
                "nothing passes unheld: {decision}"
            );
            seen.admitted.fetch_add(1, Ordering::Relaxed);
            let hold = decision["hold"]["id"].as_str();
            let body = json!({"events": [world.usage(&id, &user, TOKENS, 0, hold)]});
            let answer = world.call(AGENT, "POST", "/v1/events", body).await;
            assert_eq!(answer.expect(202)["accepted"], 1);
            continue;
        }
        let code = decision["reasons"][0]["code"].as_str().unwrap();
        match code {
            "too_many_holds" => {
                assert_eq!(decision["retryable"], true);
                seen.refused_for_places.fetch_add(1, Ordering::Relaxed);
            }
            "budget_exhausted" if decision["retryable"] == false => return,
            "budget_exhausted" => {}
            _ => panic!("{decision}"),
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    panic!("the cap was never reached");
}

/// `clients` on a cap, each batch of events handled `delay` late. All of the cap is
/// spent and no more, and the books agree.
async fn load(clients: usize, cap: i64, delay: Duration) -> Arc<Seen> {
    let settings = SystemSettings {
        evaluate_delay: Some(delay),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    for user in 0..4 {
        world.user(&format!("u{user}"), "eng").await;
    }
    let budget = world.budget(Some("eng"), "tokens", json!(cap), true).await;
    fill(&world, MAX_HOLDS - PLACES, 110).await;
    let world = Arc::new(world);
    let seen = Arc::<Seen>::default();
    let running = (0..clients).map(|n| {
        let user = format!("u{}", n % 4);
        tokio::spawn(client(world.clone(), user, n, seen.clone()))
    });
    for ended in join_all(running).await {
        ended.unwrap();
    }
    world.system.drain().await.unwrap();
    assert_eq!(figure(&world.figures(&budget).await), (cap, 0, 0, 0));
    assert_eq!(
        seen.admitted.load(Ordering::Relaxed),
        u64::try_from(cap / TOKENS).unwrap()
    );
    let request = AuditRequest {
        audit: "demo".to_owned(),
        repair: false,
    };
    let until = Instant::now() + Duration::from_secs(60);
    for month in world.system.audit(&request, until).await.unwrap() {
        assert!(month.differences.is_empty(), "{:?}", month.differences);
    }
    seen
}

macro_rules! loads {
    ($($name:ident: $clients:literal, $cap:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let seen = load($clients, $cap, Duration::from_millis(40)).await;
            // Each of them opened every cap when it was looked at before the counters.
            assert!(seen.refused_for_places.load(Ordering::Relaxed) > 0, "{seen:?}");
        }
    )*};
}

loads! {
    eight_clients_spend_exactly_the_cap_while_evaluation_lags: 8, 400;
    sixteen_clients_spend_exactly_the_cap_while_evaluation_lags: 16, 400;
    sixty_four_clients_spend_exactly_the_cap_while_evaluation_lags: 64, 200;
}

#[tokio::test]
async fn while_no_event_is_evaluated_nothing_is_opened() {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(Some("eng"), "tokens", json!(600), true).await;
    fill(&world, MAX_HOLDS - 5, 110).await;
    let mut events = Vec::new();
    for n in 0..5 {
        let hold = world.hold("ada", &format!("r-{n}"), TOKENS, 0).await;
        events.push(world.usage(&format!("e-{n}"), "ada", TOKENS, 0, Some(&hold)));
    }
    let body = json!({ "events": events });
    let accepted = world.call(AGENT, "POST", "/v1/events", body).await;
    assert_eq!(accepted.expect(202)["accepted"], 5);
    let refused = world.preflight("ada", "r-5", TOKENS, 0).await;
    assert_eq!(
        (
            &refused["decision"],
            &refused["retryable"],
            &refused["hold"]
        ),
        (&json!("block"), &json!(true), &Value::Null)
    );
    let queued = world.system.queues().counts("events").unwrap().visible;
    assert_eq!(
        queued, 5,
        "a refusal for want of a place is no work for evaluation"
    );
    world.system.drain().await.unwrap();
    world.hold("ada", "r-5", TOKENS, 0).await;
    assert_eq!(figure(&world.figures(&budget).await), (50, 10, 550, 540));
}
