//! A client that asks again and again for what it cannot get does not heat the cell.

use end_to_end::{AGENT, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a refusal is repeated.
const REPEATED: Duration = Duration::from_millis(250);

/// A world whose instance of preflight remembers refusals, as a deployed one does, with `ada` and
/// `bob` under a hard cap of 1,000 tokens. Events wait, so that the calls are those of preflight.
async fn world() -> (World, String) {
    let settings = SystemSettings {
        repeats_refusals: true,
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("bob", "eng").await;
    let budget = world.budget(Some("eng"), "tokens", json!(1_000), true);
    let budget = budget.await;
    world.hold("ada", "warm", 1, 0).await;
    (world, budget)
}

/// Asks for `tokens` until a second is over. Returns how often, and how many calls preflight made.
async fn loop_for_a_second(world: &World, round: &str, tokens: i64) -> (u64, u64) {
    world.system.engine().reset_meter();
    let (begun, mut asked) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(1) {
        let name = format!("{round}-{asked}");
        let refused = world.preflight("ada", &name, tokens, 0).await;
        assert_eq!(refused["decision"], "block", "{refused}");
        let reason = &refused["reasons"][0];
        assert_eq!(
            (&reason["code"], &reason["available"], &reason["requested"]),
            (&json!("budget_exhausted"), &json!(999), &json!(tokens)),
            "the figures of the refusal that it repeats"
        );
        asked += 1;
    }
    let meter = world.system.engine().meter();
    let calls = meter.callers.get("preflight").map_or(0, |of| of.calls);
    (asked, calls)
}

/// Asks until the refusal is one from memory.
async fn storm(world: &World, tokens: i64) {
    for n in 0..30 {
        world.preflight("ada", &format!("s-{n}"), tokens, 0).await;
    }
    world.system.engine().reset_meter();
    let refused = world.preflight("ada", "from-memory", tokens, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    let callers = world.system.engine().meter().callers;
    assert!(!callers.contains_key("preflight"), "it asked the database");
}

#[tokio::test]
async fn a_looping_client_costs_twenty_calls_and_then_four_a_second() {
    let (world, _) = world().await;
    let (asked, calls) = loop_for_a_second(&world, "first", 1_000).await;
    println!("a loop asked {asked} times in a second, and preflight made {calls} calls");
    assert!(calls <= 20 + 4, "{calls} calls");
    assert!(asked > 4 * calls, "{asked} were asked for");
    let (asked, calls) = loop_for_a_second(&world, "second", 1_000).await;
    println!("in the next second {asked} times, and {calls} calls");
    assert!(calls <= 5, "{calls} calls");
}

#[tokio::test]
async fn a_smaller_request_of_the_same_user_passes_in_the_middle_of_a_storm() {
    let (world, _) = world().await;
    storm(&world, 1_000).await;
    world.hold("ada", "fits", 999, 0).await;
    let refused = world.preflight("ada", "s-99", 1, 0).await;
    assert_eq!(refused["reasons"][0]["available"], 0, "{refused}");
}

#[tokio::test]
async fn a_smaller_request_sees_what_was_freed_since_though_memory_would_refuse_it_too() {
    let (world, _) = world().await;
    let most = world.hold("bob", "most", 900, 0).await;
    storm(&world, 200).await;
    // Another function settles it, which this instance does not hear of.
    let event = world.usage("e-1", "bob", 100, 0, Some(&most));
    world.record(&[event]).await;
    world.hold("ada", "smaller", 199, 0).await;
    tokio::time::sleep(REPEATED).await;
    world.hold("ada", "s-1", 200, 0).await;
}

#[tokio::test]
async fn a_raised_cap_is_seen_a_quarter_of_a_second_later_at_most() {
    let (world, budget) = world().await;
    storm(&world, 1_000).await;
    let raise = json!({"amount": 5_000});
    let path = format!("/v1/budgets/{budget}");
    world.admin("PATCH", &path, raise).await.expect(200);
    tokio::time::sleep(REPEATED).await;
    world.hold("ada", "raised", 1_000, 0).await;
}

#[tokio::test]
async fn a_storm_in_front_of_living_holds_says_when_the_first_of_them_ends_and_sees_its_end() {
    let (world, _) = world().await;
    world.hold("bob", "most", 900, 0).await;
    storm(&world, 200).await;
    for (now, seconds) in [("2026-11-24T12:00:00Z", 120), ("2026-11-24T12:01:55Z", 5)] {
        world.set_clock(now).await;
        let refused = world.preflight("ada", "s-1", 200, 0).await;
        assert_eq!(refused["retryable"], true, "{refused}");
        assert_eq!(refused["retry_after_seconds"], seconds, "{refused}");
        assert_eq!(refused["reasons"][0]["held"], 901, "{refused}");
    }
    world.set_clock("2026-11-24T12:02:00Z").await;
    world.hold("ada", "s-1", 200, 0).await;
}

#[tokio::test]
async fn what_the_client_gives_back_is_seen_at_once() {
    let (world, _) = world().await;
    let most = world.hold("bob", "most", 900, 0).await;
    storm(&world, 200).await;
    let path = format!("/v1/holds/{most}");
    let released = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(released.status, 204);
    world.hold("ada", "s-1", 200, 0).await;
}
