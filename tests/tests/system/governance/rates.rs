//! How many requests a key may make in a minute.

use end_to_end::{ADMIN, AGENT, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::runtime::rate::Rates;

#[tokio::test]
async fn a_thousand_requests_a_minute_are_answered_and_the_next_is_told_to_wait() {
    let settings = SystemSettings {
        is_limited: true,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let number = |answer: &end_to_end::Answer, name: &str| -> i64 {
        answer.headers[name].to_str().unwrap().parse().unwrap()
    };
    let mut before = i64::MAX;
    let mut over = None;
    // A minute may end in between, and then there are a thousand more.
    for _ in 0..2_100 {
        let answer = world.admin("GET", "/v1/organisation", Value::Null).await;
        assert_eq!(number(&answer, "x-ratelimit-limit"), 1_000);
        assert!(number(&answer, "x-ratelimit-reset") > 1_700_000_000);
        if answer.status == 429 {
            over = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
        let remaining = number(&answer, "x-ratelimit-remaining");
        assert!(
            remaining < before || remaining >= 998,
            "{remaining} after {before}"
        );
        before = remaining;
    }
    let over = over.unwrap();
    assert_eq!(over.body["error"], "rate_limited");
    assert!((1..=60).contains(&number(&over, "retry-after")));
    assert_eq!(number(&over, "x-ratelimit-remaining"), 0);
    let body =
        json!({"request_id": "r-1", "user_id": "nobody", "model": "gpt-4o", "input_tokens": 5});
    let agent = world
        .call(AGENT, "POST", "/v1/preflight", body.clone())
        .await;
    assert_eq!(
        (agent.status, number(&agent, "x-ratelimit-limit")),
        (200, 60_000)
    );
    let admin = world.call(ADMIN, "POST", "/v1/preflight", body).await;
    assert_eq!(admin.status, 200, "preflight has a limit of its own");
}

#[tokio::test]
async fn the_path_of_a_preflight_pays_nothing_for_its_limit() {
    let mut calls = Vec::new();
    for is_limited in [false, true] {
        let settings = SystemSettings {
            is_limited,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        world.department("eng", None).await;
        world.user("ada", "eng").await;
        world.budget(None, "tokens", json!(1_000_000), true).await;
        world.hold("ada", "r-0", 1, 0).await;
        let count = || world.system.engine().meter().callers["preflight"].calls;
        let before = count();
        for n in 1..=50 {
            world.hold("ada", &format!("r-{n}"), 1, 0).await;
        }
        calls.push(count() - before);
    }
    assert_eq!(calls, [50, 50]);
}

#[tokio::test]
async fn instances_tell_each_other_so_that_a_limit_holds_for_all_of_them_within_a_tenth_each() {
    let world = World::empty().await;
    let store = world.system.store();
    let limit = 1_000;
    let instances = [(); 4].map(|()| Rates::of(limit).shared(store.clone()));
    let now = "2026-11-24T12:00:20Z".parse().unwrap();
    let mut admitted = 0;
    for _ in 0..limit {
        for instance in &instances {
            let rate_limit = instance.take("demo", "key_1", now).await.unwrap();
            admitted += u32::from(!rate_limit.is_over);
        }
    }
    let most = limit + 4 * limit / 10;
    assert!((limit..=most).contains(&admitted), "{admitted}");
    let other = instances[0].take("demo", "key_2", now).await.unwrap();
    assert!(!other.is_over);
}
