//! Usage reports by hour, day and month.

use super::world;
use end_to_end::{AGENT, OPERATOR, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn usage(world: &World, query: &str) -> Vec<Value> {
    let path = format!("/v1/usage?limit=100&{query}");
    let page = world.admin("GET", &path, Value::Null).await.expect(200);
    assert_eq!(page["has_more"], false);
    page["items"].as_array().unwrap().clone()
}

/// period, department, user, model, requests, input, output, cost.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{} {} {} {} {} {} {} {}",
        text("period_id"),
        text("department_id"),
        text("user_id"),
        text("model"),
        row["total_requests"],
        row["total_input_tokens"],
        row["total_output_tokens"],
        row["estimated_cost_usd"]
    )
}

fn lines(rows: &[Value]) -> Vec<String> {
    rows.iter().map(line).collect()
}

fn event(id: &str, at: &str, user: &str, model: &str, tokens: [i64; 3]) -> Value {
    json!({
        "event_id": id, "type": "llm_request", "occurred_at": at, "user_id": user, "provider": "openai", "model": model,
        "input_tokens": tokens[0], "cached_input_tokens": tokens[1], "output_tokens": tokens[2],
    })
}

#[tokio::test]
async fn usage_is_summed_by_hour_day_and_month_in_the_organisations_time_zone() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-12-01T12:00:00Z").await;
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"timezone": "Asia/Kolkata"}),
        )
        .await
        .expect(200);
    world.user("bob", "eng").await;
    let events = [
        // Half past five is added in Kolkata: the first two are of one hour, the third is of the next day.
        event(
            "e-1",
            "2026-11-24T10:31:00Z",
            "ada",
            "gpt-4o",
            [1_000, 0, 100],
        ),
        event(
            "e-2",
            "2026-11-24T11:29:00Z",
            "ada",
            "gpt-4o",
            [1_000, 400, 100],
        ),
        event("e-3", "2026-11-24T18:30:00Z", "ada", "gpt-4o", [10, 0, 0]),
        event(
            "e-4",
            "2026-11-24T10:31:00Z",
            "ada",
            "gpt-4o-mini",
            [10, 0, 0],
        ),
        event("e-5", "2026-11-24T10:31:00Z", "bob", "gpt-4o", [4, 0, 1]),
        // The evening of November's last day is December in Kolkata.
        event("e-6", "2026-11-30T18:30:00Z", "ada", "gpt-4o", [7, 0, 0]),
    ];
    world.report(&events).await;
    world.report(&events[..3]).await;
    // $2.50 a million, cached $1.25, output $10: 2,500 + 1,000 and 1,500 + 500 + 1,000 micro-USD.
    let hours = usage(
        &world,
        "period=hourly&start_date=2026-11-24&end_date=2026-11-24&user_id=ada&model=gpt-4o",
    )
    .await;
    assert_eq!(
        lines(&hours),
        ["2026-11-24T10:30Z backend ada gpt-4o 2 2000 200 0.0065"]
    );
    assert_eq!(hours[0]["total_cached_input_tokens"], 400);
    assert_eq!(hours[0]["total_tokens"], 2_200);
    assert_eq!(
        (&hours[0]["period"], &hours[0]["provider"]),
        (&json!("hourly"), &json!("openai"))
    );
    assert_eq!(hours[0]["starts_at"], "2026-11-24T10:30:00Z");
    let days = usage(
        &world,
        "start_date=2026-11-01&end_date=2026-11-30&model=gpt-4o",
    )
    .await;
    assert_eq!(
        lines(&days),
        [
            "2026-11-24 backend ada gpt-4o 2 2000 200 0.0065",
            "2026-11-24 eng bob gpt-4o 1 4 1 0.00002",
            "2026-11-25 backend ada gpt-4o 1 10 0 0.000025",
        ]
    );
    assert_eq!(days[0]["starts_at"], "2026-11-23T18:30:00Z");
    let months = usage(&world, "period=monthly&user_id=ada&model=gpt-4o").await;
    assert_eq!(
        lines(&months),
        [
            "2026-11 backend ada gpt-4o 3 2010 200 0.006525",
            "2026-12 backend ada gpt-4o 1 7 0 0.000018",
        ]
    );
    let by_provider = usage(&world, "period=monthly&provider=anthropic").await;
    assert!(by_provider.is_empty());
    let by_time = usage(
        &world,
        "start_date=2026-11-24T18:30:00Z&end_date=2026-11-25T18:29:59Z",
    )
    .await;
    assert_eq!(
        lines(&by_time),
        ["2026-11-25 backend ada gpt-4o 1 10 0 0.000025"]
    );
    let this_month = usage(&world, "").await;
    assert_eq!(
        lines(&this_month),
        ["2026-12-01 backend ada gpt-4o 1 7 0 0.000018"]
    );
}

#[tokio::test]
async fn a_report_from_a_month_until_a_month_has_all_days_of_both() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-12-31T12:00:00Z").await;
    let of_days = ["10-31", "11-01", "11-24", "11-30", "12-01", "12-31"].map(|day| {
        let at = format!("2026-{day}T10:00:00Z");
        event(day, &at, "ada", "gpt-4o", [10, 0, 0])
    });
    world.report(&of_days).await;
    let days = async |query: &str| {
        let rows = usage(&world, query).await;
        let days = rows.iter().map(|row| row["period_id"].as_str().unwrap());
        days.map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(
        days("period=daily&start_date=2026-11&end_date=2026-11").await,
        ["2026-11-01", "2026-11-24", "2026-11-30"]
    );
    assert_eq!(
        days("start_date=2026-11-24&end_date=2026-12").await,
        ["2026-11-24", "2026-11-30", "2026-12-01", "2026-12-31"]
    );
    assert_eq!(
        days("period=monthly&start_date=2026-10&end_date=2026-11").await,
        ["2026-10", "2026-11"]
    );
}

#[tokio::test]
async fn a_departments_usage_is_its_subtrees_and_stays_where_it_was_spent() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world.department("sales", None).await;
    let now = "2026-11-20T12:00:00Z";
    world
        .report(&[event("e-1", now, "ada", "gpt-4o", [10, 0, 0])])
        .await;
    world
        .admin(
            "PATCH",
            "/v1/departments/backend",
            json!({"parent_id": "sales"}),
        )
        .await
        .expect(200);
    world
        .report(&[event("e-2", now, "ada", "gpt-4o", [5, 0, 0])])
        .await;
    let of = async |department: &str| {
        let rows = usage(
            &world,
            &format!("period=monthly&department_id={department}"),
        )
        .await;
        let tokens = rows
            .iter()
            .map(|row| row["total_input_tokens"].as_i64().unwrap());
        tokens.sum::<i64>()
    };
    assert_eq!(
        (of("eng").await, of("sales").await, of("backend").await),
        (10, 5, 15)
    );
    assert_eq!(of("nobody").await, 0);
}

#[tokio::test]
async fn settled_late_and_uncounted_usage_is_reported_with_what_it_was_charged() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-11-30T23:59:00Z").await;
    let holds = [
        world.hold("ada", "r-1", 100, 100).await,
        world.hold("ada", "r-2", 100, 100).await,
    ];
    world.set_clock("2026-12-01T00:01:00Z").await;
    let mut aborted = world.usage("e-2", "ada", 0, 0, Some(&holds[1]));
    for name in ["input_tokens", "output_tokens"] {
        aborted.as_object_mut().unwrap().remove(name);
    }
    aborted["outcome"] = json!("aborted");
    world
        .report(&[world.usage("e-1", "ada", 100, 40, Some(&holds[0])), aborted])
        .await;
    let months = usage(&world, "period=monthly").await;
    assert_eq!(
        lines(&months),
        ["2026-11 backend ada gpt-4o 2 100 40 0.0019"]
    );
    assert_eq!(
        months[0]["total_tokens"],
        140 + 200,
        "a hold settles in its month, as estimated"
    );
    let days = usage(&world, "").await;
    assert_eq!(days[0]["period_id"], "2026-12-01", "the day it happened");
}

#[tokio::test]
async fn a_long_report_is_complete_in_pages_and_its_cursor_fits_no_other() {
    let (world, _) = world(100_000_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    let mut events = Vec::new();
    for n in 0..130 {
        let at = format!("2026-11-{:02}T0{}:00:00Z", 1 + n % 19, n % 10);
        events.push(event(
            &format!("e-{n}"),
            &at,
            "ada",
            &format!("model-{}", n % 9),
            [n + 1, 0, 0],
        ));
    }
    world.report(&events).await;
    let (mut seen, mut tokens, mut cursor) = (BTreeSet::new(), 0, String::new());
    loop {
        let path = format!("/v1/usage?period=daily&user_id=ada&limit=7{cursor}");
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        for row in page["items"].as_array().unwrap() {
            assert!(
                seen.insert(format!("{} {}", row["period_id"], row["model"])),
                "{row}"
            );
            tokens += row["total_input_tokens"].as_i64().unwrap();
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(tokens, (1..=130).sum::<i64>());
    let first = world
        .admin("GET", "/v1/usage?limit=1", Value::Null)
        .await
        .expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let other = format!("/v1/usage?limit=1&model=model-1&cursor={cursor}");
    assert_eq!(
        world.admin("GET", &other, Value::Null).await.fields(),
        ["cursor"]
    );
}

#[tokio::test]
async fn members_see_their_own_usage_and_other_tenants_see_none() {
    let (world, _) = world(1_000_000).await;
    world.set_clock("2026-11-20T12:00:00Z").await;
    world.user("bob", "backend").await;
    let now = "2026-11-20T12:00:00Z";
    world
        .report(&[event("e-1", now, "ada", "gpt-4o", [10, 0, 0])])
        .await;
    let key = async |body: Value| {
        let made = world.admin("POST", "/v1/api-keys", body).await.expect(201);
        made["key"].as_str().unwrap().to_owned()
    };
    let member = key(json!({"role": "member", "user_id": "ada"})).await;
    let own = world
        .call(&member, "GET", "/v1/usage?user_id=ada", Value::Null)
        .await;
    assert_eq!(own.expect(200)["items"].as_array().unwrap().len(), 1);
    for path in [
        "/v1/usage",
        "/v1/usage?user_id=bob",
        "/v1/usage?department_id=eng",
    ] {
        assert_eq!(
            world.call(&member, "GET", path, Value::Null).await.status,
            403,
            "{path}"
        );
    }
    assert_eq!(
        world
            .call(AGENT, "GET", "/v1/usage", Value::Null)
            .await
            .status,
        403
    );
    let body = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(OPERATOR, "POST", "/v1/organisations", body)
        .await
        .expect(201);
    let rival = rival["admin_key"].as_str().unwrap();
    let theirs = world
        .call(rival, "GET", "/v1/usage?user_id=ada", Value::Null)
        .await
        .expect(200);
    assert_eq!(theirs["items"], json!([]));
}
