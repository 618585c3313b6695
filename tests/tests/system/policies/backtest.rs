//! Trying a policy: windows, and tests that need more than one call.

use super::{draft, risk, tested, world};
use end_to_end::{ADMIN, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::Duration;

fn policy() -> Value {
    json!({
        "name": "x", "trigger": {"type": "ip_risk_event"}, "actions": [{"type": "email_manager"}],
    })
}

#[tokio::test]
async fn a_window_begins_so_many_days_ago_and_thirty_by_default() {
    let world = world().await;
    for (n, at) in [
        "2026-09-01T00:00:00Z",
        "2026-10-26T00:00:00Z",
        "2026-11-23T00:00:00Z",
    ]
    .iter()
    .enumerate()
    {
        world.set_clock(at).await;
        let event = risk(&world, &format!("e-{n}"), Some("ada"), "low");
        world
            .report(&[event, world.usage(&format!("u-{n}"), "ada", 10, 0, None)])
            .await;
    }
    world.set_clock("2026-11-24T00:00:00Z").await;
    let id = draft(&world, policy()).await;
    let path = format!("/v1/policies/{id}/test");
    let test = world.admin("POST", &path, Value::Null).await.expect(200);
    assert_eq!(
        (&test["events_evaluated"], &test["would_trigger"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(test["window"]["from"], "2026-10-25T00:00:00Z");
    assert_eq!(test["by_day"], json!({"2026-10-26": 1, "2026-11-23": 1}));
    assert_eq!(
        (&test["is_complete"], &test["next_cursor"]),
        (&json!(true), &Value::Null)
    );
    let sample = &test["samples"][0];
    assert_eq!(
        (
            &sample["event_id"],
            &sample["user_id"],
            &sample["department_id"]
        ),
        (&json!("e-1"), &json!("ada"), &json!("backend"))
    );
    assert_eq!(
        tested(&world, &id, 1).await["would_trigger"],
        1,
        "a day ago to the millisecond is within a day"
    );
    assert_eq!(tested(&world, &id, 90).await["would_trigger"], 3);
}

#[tokio::test]
async fn a_test_without_time_answers_with_a_cursor_and_says_the_same_in_the_end() {
    let settings = SystemSettings {
        test_time: Some(Duration::ZERO),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock("2026-11-01T00:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    for day in 1..=20 {
        world
            .set_clock(&format!("2026-11-{day:02}T12:00:00Z"))
            .await;
        world
            .report(&[world.usage(&format!("e-{day}"), "ada", 100, 0, None)])
            .await;
    }
    let body = json!({
        "name": "x",
        "trigger": {"type": "token_budget_exceeded", "subject": "user", "tokens": 1500},
    });
    let id = draft(&world, body).await;
    let path = format!("/v1/policies/{id}/test");
    let mut asked = json!({"window_days": 30});
    let mut calls = 0;
    let last = loop {
        let answer = world.admin("POST", &path, asked.clone()).await.expect(200);
        calls += 1;
        // A call that is made twice goes on from the same place.
        let again = world.admin("POST", &path, asked).await.expect(200);
        for field in [
            "events_evaluated",
            "would_trigger",
            "evaluated_until",
            "is_complete",
        ] {
            assert_eq!(again[field], answer[field], "{field}");
        }
        match answer["next_cursor"].as_str() {
            Some(cursor) => {
                assert_eq!(answer["is_complete"], false);
                asked = json!({ "cursor": cursor });
            }
            None => break answer,
        }
    };
    assert!(calls > 20, "{calls}");
    assert_eq!(
        (&last["events_evaluated"], &last["would_trigger"]),
        (&json!(20), &json!(1))
    );
    assert_eq!(last["samples"][0]["event_id"], "e-15");
    assert_eq!(last["samples"][0]["measured"]["value"], 1500);
}

#[tokio::test]
async fn a_cursor_is_of_its_policy_and_gone_after_an_hour() {
    let settings = SystemSettings {
        test_time: Some(Duration::ZERO),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let (one, other) = (draft(&world, policy()).await, draft(&world, policy()).await);
    let test = async |id: &str, body: Value| {
        world
            .call(ADMIN, "POST", &format!("/v1/policies/{id}/test"), body)
            .await
    };
    let cursor = test(&one, json!({})).await.expect(200)["next_cursor"].clone();
    assert_eq!(
        test(&other, json!({"cursor": cursor})).await.fields(),
        ["cursor"]
    );
    assert_eq!(
        test(&one, json!({"cursor": cursor, "window_days": 5}))
            .await
            .fields(),
        ["window_days"]
    );
    for item in world
        .tables()
        .scan()
        .table_name("Governance")
        .send()
        .await
        .unwrap()
        .items()
    {
        if item["pk"].as_s().unwrap().contains("#backtest#") {
            let delete = world.tables().delete_item().table_name("Governance");
            delete
                .key("pk", item["pk"].clone())
                .key("sk", item["sk"].clone())
                .send()
                .await
                .unwrap();
        }
    }
    assert_eq!(
        test(&one, json!({"cursor": cursor})).await.fields(),
        ["cursor"]
    );
}
