//! Usage reports by hour, day and month.

use super::books::books;
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
        "event_id": id, "type": "llm_request", "occurred_at": at, "user_id": user,
        "provider": "openai", "model": model,
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
        // Half past five is added in Kolkata: the first two are of one hour, the third is of the
        // next day.
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

const NO_LINES: [String; 0] = [];

async fn charges_abandoned_holds(world: &World) {
    let charge = json!({"abandoned_holds": "charge"});
    let changed = world.admin("PATCH", "/v1/organisation", charge).await;
    changed.expect(200);
}

/// The lines of November's 24th and 25th by the hour and the day, and those of all months.
async fn all_lines(world: &World) -> [Vec<String>; 3] {
    let days = "start_date=2026-11-24&end_date=2026-11-25";
    let hours = usage(world, &format!("period=hourly&{days}")).await;
    let of_days = usage(world, &format!("period=daily&{days}")).await;
    let months = usage(world, "period=monthly").await;
    [lines(&hours), lines(&of_days), lines(&months)]
}

/// The same figures in the hour, the day and the month.
fn in_each(hour: &str, day: &str, figures: &str) -> [Vec<String>; 3] {
    [hour, day, "2026-11"].map(|bucket| vec![format!("{bucket} {figures}")])
}

/// The rows of the month must add up to the figures of the tree: tokens, micro-USD, requests. Each
/// row shows a part of a micro-dollar as a whole one.
async fn sums(world: &World) -> [i64; 3] {
    let micro = |usd: &Value| (usd.as_f64().unwrap() * 1e6).round() as i64;
    let rows = usage(world, "period=monthly&start_date=2026-11&end_date=2026-11").await;
    let mut sums = [0; 3];
    for row in &rows {
        sums[0] += row["total_tokens"].as_i64().unwrap();
        sums[1] += micro(&row["estimated_cost_usd"]);
        sums[2] += row["total_requests"].as_i64().unwrap();
    }
    let path = "/v1/departments/tree";
    let tree = world.admin("GET", path, Value::Null).await.expect(200);
    let shown = &tree["items"][0]["usage"];
    let tokens = shown["tokens"].as_i64().unwrap();
    let requests = shown["requests"].as_i64().unwrap();
    let dollars = micro(&shown["usd"]);
    let parts = sums[1] - dollars;
    assert!(
        (0..=rows.len().try_into().unwrap()).contains(&parts),
        "{tree}"
    );
    sums[1] = dollars;
    assert_eq!(sums, [tokens, dollars, requests], "{tree}");
    sums
}

#[tokio::test]
async fn a_charged_hold_is_in_the_reports_until_late_usage_is_set_against_it() {
    let (world, _) = world(10_000).await;
    charges_abandoned_holds(&world).await;
    world.set_clock("2026-11-24T12:50:00Z").await;
    let first = world.hold("ada", "r-1", 400, 600).await;
    let second = world.hold("ada", "r-2", 100, 100).await;
    assert_eq!(all_lines(&world).await.concat(), NO_LINES);
    // They have lapsed, and a request for too much finds them.
    world.set_clock("2026-11-24T13:00:01Z").await;
    let refused = world.preflight("ada", "r-3", 10_000, 0).await;
    assert_eq!(refused["decision"], "block");
    // 400 at $2.50 a million and 600 at $10, and a hundred of both.
    let both = in_each(
        "2026-11-24T13:00Z",
        "2026-11-24",
        "backend  abandoned_hold 2 0 0 0.00825",
    );
    assert_eq!(all_lines(&world).await, both);
    assert_eq!(sums(&world).await, [1_200, 8_250, 2]);
    let months = usage(&world, "period=monthly&department_id=eng").await;
    assert_eq!(
        (&months[0]["provider"], &months[0]["total_tokens"]),
        (&json!("abandoned_hold"), &json!(1_200))
    );
    let of_ada = usage(&world, "period=monthly&user_id=ada").await;
    assert!(of_ada.is_empty(), "nobody has used anything: {of_ada:?}");
    assert!(books(&world, false).await.is_empty());

    // Late usage of one of them, in another hour of another day.
    world.set_clock("2026-11-25T09:00:00Z").await;
    world
        .report(&[world.usage("e-1", "ada", 400, 100, Some(&first))])
        .await;
    let used = in_each(
        "2026-11-25T09:00Z",
        "2026-11-25",
        "backend ada gpt-4o 1 400 100 0.002",
    );
    let mut expected = in_each(
        "2026-11-24T13:00Z",
        "2026-11-24",
        "backend  abandoned_hold 1 0 0 0.00125",
    );
    for (lines, used) in expected.iter_mut().zip(&used) {
        lines.extend(used.iter().cloned());
    }
    assert_eq!(all_lines(&world).await, expected);
    assert_eq!(sums(&world).await, [500 + 200, 2_000 + 1_250, 2]);
    assert!(books(&world, false).await.is_empty());

    // Late usage of the other one, and more of the first, which is a request of its own.
    world
        .report(&[
            world.usage("e-2", "ada", 100, 0, Some(&second)),
            world.usage("e-3", "ada", 10, 0, Some(&first)),
        ])
        .await;
    let used = in_each(
        "2026-11-25T09:00Z",
        "2026-11-25",
        "backend ada gpt-4o 3 510 100 0.002275",
    );
    assert_eq!(all_lines(&world).await, used, "no row of nothing is shown");
    assert_eq!(sums(&world).await, [610, 2_275, 3]);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn after_a_change_of_the_time_zone_a_charged_hold_leaves_the_rows_that_it_was_in() {
    let (world, _) = world(10_000).await;
    charges_abandoned_holds(&world).await;
    world.set_clock("2026-11-24T20:20:00Z").await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world.set_clock("2026-11-24T20:30:01Z").await;
    let refused = world.preflight("ada", "r-2", 10_000, 0).await;
    assert_eq!(refused["decision"], "block");
    let charged = in_each(
        "2026-11-24T20:00Z",
        "2026-11-24",
        "backend  abandoned_hold 1 0 0 0.007",
    );
    assert_eq!(all_lines(&world).await, charged);
    // Half past eight in the evening is the next day in Dubai.
    world.set_clock("2026-11-25T09:00:00Z").await;
    let zone = json!({"timezone": "Asia/Dubai"});
    let changed = world.admin("PATCH", "/v1/organisation", zone).await;
    changed.expect(200);
    world
        .report(&[world.usage("e-1", "ada", 400, 100, Some(&hold))])
        .await;
    let used = in_each(
        "2026-11-25T09:00Z",
        "2026-11-25",
        "backend ada gpt-4o 1 400 100 0.002",
    );
    assert_eq!(all_lines(&world).await, used);
    assert_eq!(sums(&world).await, [500, 2_000, 1]);
}

#[tokio::test]
async fn a_hold_that_is_charged_late_counts_in_its_month_and_on_the_day_of_its_charge() {
    let (world, _) = world(10_000).await;
    charges_abandoned_holds(&world).await;
    world.set_clock("2026-11-30T23:55:00Z").await;
    world.hold("ada", "r-1", 1_000, 1_000).await;
    let settled = world.hold("ada", "r-2", 100, 0).await;
    // The settlement of a hold of November finds the one that has lapsed.
    world.set_clock("2026-12-01T00:06:00Z").await;
    world
        .report(&[world.usage("e-1", "ada", 100, 0, Some(&settled))])
        .await;
    let months = usage(&world, "period=monthly&model=abandoned_hold").await;
    assert_eq!(
        lines(&months),
        ["2026-11 backend  abandoned_hold 1 0 0 0.0125"]
    );
    let days = "start_date=2026-11-01&end_date=2026-12-31&provider=abandoned_hold";
    assert_eq!(
        lines(&usage(&world, days).await),
        ["2026-12-01 backend  abandoned_hold 1 0 0 0.0125"]
    );
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_hold_whose_report_is_held_back_is_in_the_reports_until_that_is_counted() {
    let (world, _) = world(10_000_000).await;
    world.set_clock("2026-11-24T12:00:00Z").await;
    let counted = world.hold("ada", "r-1", 1_000, 1_000).await;
    let discarded = world.hold("ada", "r-2", 100, 100).await;
    let conflict = world.hold("ada", "r-3", 10, 10).await;
    world
        .report(&[
            world.usage("e-1", "ada", 2_000_000, 0, Some(&counted)),
            world.usage("e-2", "ada", 3_000_000, 0, Some(&discarded)),
        ])
        .await;
    let held_back = in_each(
        "2026-11-24T12:00Z",
        "2026-11-24",
        "backend  abandoned_hold 2 0 0 0.01375",
    );
    assert_eq!(all_lines(&world).await, held_back);
    assert_eq!(sums(&world).await, [2_200, 13_750, 2]);
    assert!(books(&world, false).await.is_empty());
    // Usage that names a hold and is not charged: nothing else is known about it.
    let body = json!({"events": [world.usage("e-1", "ada", 4_000_000, 0, Some(&conflict))]});
    let answer = world.call(AGENT, "POST", "/v1/events", body).await;
    answer.expect(400);
    world.system.drain().await.unwrap();
    assert_eq!(sums(&world).await, [2_220, 13_875, 3]);

    // Decided in another hour of another day.
    world.set_clock("2026-11-25T09:00:00Z").await;
    let decide = async |event_id: &str, decision: &str| {
        let body = json!({
            "user_id": "ada", "event_id": event_id, "decision": decision, "reason": "asked the team"
        });
        let decided = world.admin("POST", "/v1/events/decisions", body).await;
        decided.expect(200);
    };
    decide("e-2", "discard").await;
    assert_eq!(sums(&world).await, [2_220, 13_875, 3], "it stays");
    decide("e-1", "count").await;
    let mut expected = in_each(
        "2026-11-24T12:00Z",
        "2026-11-24",
        "backend  abandoned_hold 2 0 0 0.001375",
    );
    let used = in_each(
        "2026-11-24T12:00Z",
        "2026-11-24",
        "backend ada gpt-4o 1 2000000 0 5",
    );
    for (lines, used) in expected.iter_mut().zip(&used) {
        lines.extend(used.iter().cloned());
    }
    assert_eq!(all_lines(&world).await, expected);
    assert_eq!(sums(&world).await, [2_000_220, 5_001_375, 3]);
    assert!(books(&world, false).await.is_empty());
}

#[tokio::test]
async fn a_hold_that_is_given_back_when_it_lapses_is_in_no_report() {
    let (world, _) = world(10_000).await;
    world.set_clock("2026-11-24T12:50:00Z").await;
    let hold = world.hold("ada", "r-1", 400, 600).await;
    world.set_clock("2026-11-24T13:00:01Z").await;
    world.hold("ada", "r-2", 10_000, 0).await;
    assert_eq!(all_lines(&world).await.concat(), NO_LINES);
    world
        .report(&[world.usage("e-1", "ada", 400, 100, Some(&hold))])
        .await;
    let used = in_each(
        "2026-11-24T13:00Z",
        "2026-11-24",
        "backend ada gpt-4o 1 400 100 0.002",
    );
    assert_eq!(all_lines(&world).await, used);
    assert_eq!(sums(&world).await, [500, 2_000, 1]);
}
