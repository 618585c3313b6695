//! Holds: made once, voided, lapsed, and charged if they are abandoned.

use super::{figure, world};
use end_to_end::AGENT;
use serde_json::{Value, json};

#[tokio::test]
async fn the_same_request_again_is_the_same_hold_and_another_body_is_a_conflict() {
    let (world, budget) = world(10_000).await;
    let first = world.preflight("ada", "r-1", 10, 10).await;
    let again = world.preflight("ada", "r-1", 10, 10).await;
    assert_eq!(first, again);
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
    let other =
        json!({"request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 11});
    let answer = world.call(AGENT, "POST", "/v1/preflight", other).await;
    assert_eq!(answer.status, 409);
}

#[tokio::test]
async fn another_provider_under_the_same_request_id_is_another_body() {
    let (world, budget) = world(10_000).await;
    let ask = async |provider: Option<&str>| {
        let mut body = json!({
            "request_id": "r-1", "user_id": "ada", "model": "gpt-4o", "input_tokens": 10,
            "max_output_tokens": 10,
        });
        if let Some(provider) = provider {
            body["provider"] = json!(provider);
        }
        world.call(AGENT, "POST", "/v1/preflight", body).await
    };
    let first = ask(Some("openai")).await.expect(200);
    assert_eq!(first["decision"], "allow");
    for other in [Some("azure"), None] {
        let answer = ask(other).await;
        assert_eq!(answer.status, 409, "{other:?}: {}", answer.body);
    }
    assert_eq!(ask(Some("openai")).await.expect(200), first);
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
}

#[tokio::test]
async fn a_voided_hold_comes_back_once_and_its_request_may_be_asked_again() {
    let (world, budget) = world(10_000).await;
    let hold = world.hold("ada", "r-1", 10, 10).await;
    let path = format!("/v1/holds/{hold}");
    for _ in 0..2 {
        assert_eq!(
            world.call(AGENT, "DELETE", &path, Value::Null).await.status,
            204
        );
        assert_eq!(
            figure(&world.figures(&budget).await),
            (0, 0, 10_000, 10_000)
        );
    }
    let second = world.hold("ada", "r-1", 10, 10).await;
    assert_ne!(
        hold, second,
        "another hold, which the first one's void does not touch"
    );
    assert_eq!(
        world.call(AGENT, "DELETE", &path, Value::Null).await.status,
        204
    );
    assert_eq!(figure(&world.figures(&budget).await).1, 20);
    let never = "hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA";
    assert_eq!(
        world
            .call(AGENT, "DELETE", &format!("/v1/holds/{never}"), Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_lapsed_hold_is_released_before_anybody_is_refused_and_its_late_usage_counts() {
    let (world, budget) = world(100).await;
    world.set_clock("2026-11-23T12:00:00Z").await;
    let hold = world.hold("ada", "r-1", 40, 60).await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "block"
    );
    world.set_clock("2026-11-23T12:10:00Z").await;
    let second = world.hold("ada", "r-2", 40, 60).await;
    world
        .report(&[world.usage("e-2", "ada", 40, 50, Some(&second))])
        .await;
    world
        .report(&[world.usage("e-1", "ada", 40, 10, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (140, 0, -40, -40),
        "recorded debt"
    );
    assert_eq!(
        world.preflight("ada", "r-3", 0, 0).await["decision"],
        "block"
    );
}

#[tokio::test]
async fn an_abandoned_hold_is_charged_if_the_organisation_wants_it_and_late_usage_pays_the_rest() {
    let (world, budget) = world(1_000).await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"abandoned_holds": "charge"}),
        )
        .await
        .expect(200);
    world.set_clock("2026-11-23T12:00:00Z").await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world.set_clock("2026-11-23T12:10:01Z").await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "block"
    );
    assert_eq!(figure(&world.figures(&budget).await), (1_000, 0, 0, 0));
    world
        .report(&[world.usage("e-1", "ada", 400, 100, Some(&hold))])
        .await;
    assert_eq!(figure(&world.figures(&budget).await), (500, 0, 500, 500));
    world
        .report(&[world.usage("e-1b", "ada", 10, 0, Some(&hold))])
        .await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (510, 0, 490, 490),
        "a second one counts in full"
    );
}

#[tokio::test]
async fn strict_organisations_reserve_the_models_maximum() {
    let (world, _) = world(1_000_000).await;
    let ask = json!({
        "request_id": "r", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_bytes": 90,
    });
    let first = world
        .call(AGENT, "POST", "/v1/preflight", ask.clone())
        .await
        .expect(200);
    assert_eq!(first["hold"]["tokens"], 30 + 4_096);
    world
        .admin("PATCH", "/v1/organisation", json!({"reserve": "strict"}))
        .await
        .expect(200);
    let mut second = ask;
    second["request_id"] = json!("r-2");
    let second = world
        .call(AGENT, "POST", "/v1/preflight", second)
        .await
        .expect(200);
    assert_eq!(second["hold"]["tokens"], 90 + 16_384);
}

#[tokio::test]
async fn only_one_of_two_concurrent_late_events_is_deducted_from_the_charge_of_their_hold() {
    let (world, budget) = world(1_000).await;
    let charge = json!({"abandoned_holds": "charge"});
    world
        .admin("PATCH", "/v1/organisation", charge)
        .await
        .expect(200);
    world.set_clock("2026-11-23T12:00:00Z").await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world.set_clock("2026-11-23T12:10:01Z").await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["decision"],
        "block"
    );
    assert_eq!(figure(&world.figures(&budget).await), (1_000, 0, 0, 0));
    let first = [world.usage("e-1", "ada", 300, 0, Some(&hold))];
    let second = [world.usage("e-2", "ada", 20, 0, Some(&hold))];
    // The first has read that nothing was set against the hold yet.
    let writes_first = |operation: &str, body: &str| {
        operation == "TransactWriteItems" && body.contains("llm_request#ada#e-1")
    };
    let (first, second) = (world.record(&first), world.record(&second));
    world.meanwhile(first, writes_first, second).await;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (320, 0, 680, 680),
        "the second pays 20 of the thousand, and the first all of its own"
    );
}
