//! Recorded usage is priced anew, and the difference is booked once.

use super::{GPT, NOON, million, put, refuse_unknown_models, spent, world};
use end_to_end::{ADMIN, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::Duration;

const PRICE: &str = "/v1/prices/openai/gpt-4o";

/// A price of so many dollars for all of today.
async fn all_day(world: &World, usd: Value) {
    let rates = json!({"input_usd_per_million": usd, "effective_from": "2026-11-24T00:00:00Z"});
    put(world, PRICE, rates).await;
}

fn window(dry_run: bool) -> Value {
    json!({"from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z", "dry_run": dry_run})
}

async fn reprice(world: &World, body: Value) -> Value {
    world
        .admin("POST", "/v1/prices/reprice", body)
        .await
        .expect(200)
}

/// A world at noon in which a call has time for a single record.
async fn hurried() -> (World, String) {
    let world = World::with(SystemSettings {
        test_time: Some(Duration::ZERO),
        ..SystemSettings::empty()
    })
    .await;
    world.set_clock("2026-11-24T08:00:00Z").await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world.budget(None, "usd", json!(1_000), true).await;
    world.set_clock(NOON).await;
    (world, budget)
}

async fn corrections(world: &World) -> Vec<Value> {
    let page = world
        .admin("GET", "/v1/corrections", Value::Null)
        .await
        .expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_difference_is_shown_by_department_and_budget_and_booked_once() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    world
        .report(&[million(
            &world,
            "e-2",
            ("openai", "nobody-knows"),
            "11:00:00",
        )])
        .await;
    all_day(&world, json!(4)).await;
    let shown = reprice(&world, window(true)).await;
    assert_eq!(
        (&shown["records"], &shown["next_cursor"]),
        (&json!(2), &Value::Null)
    );
    let expected = json!([{
        "department_id": "eng", "month": "2026-11", "recorded_usd": 2.5, "repriced_usd": 4,
        "difference_usd": 1.5, "priced_tokens": 0, "correction_id": null, "refused": null,
    }]);
    assert_eq!(shown["departments"], expected);
    assert_eq!(shown["budgets"][0]["budget_id"], budget);
    assert_eq!(shown["budgets"][0]["difference_usd"].to_string(), "1.5");
    assert_eq!(spent(&world, &budget).await, "2.5", "it was only shown");
    assert_eq!(corrections(&world).await.len(), 0);
    let booked = reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "4");
    let made = corrections(&world).await;
    assert_eq!(made.len(), 1);
    assert_eq!(booked["departments"][0]["correction_id"], made[0]["id"]);
    assert_eq!(
        (&made[0]["tokens"], made[0]["usd"].to_string().as_str()),
        (&json!(0), "1.5")
    );
    let again = reprice(&world, window(false)).await;
    assert_eq!(again["departments"][0]["difference_usd"], 0);
    assert_eq!(corrections(&world).await.len(), 1);
}

#[tokio::test]
async fn what_was_booked_is_taken_back_with_the_price_and_windows_may_overlap() {
    let (world, budget) = world().await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    world.set_clock("2026-11-24T15:30:00Z").await;
    world
        .report(&[million(&world, "e-2", GPT, "15:00:00")])
        .await;
    all_day(&world, json!(4)).await;
    let first = json!({"from": NOON, "to": "2026-11-24T13:00:00Z"});
    reprice(&world, first).await;
    assert_eq!(spent(&world, &budget).await, "6.5");
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "8");
    all_day(&world, json!(2.5)).await;
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "5");
    all_day(&world, json!(0)).await;
    reprice(&world, window(false)).await;
    assert_eq!(spent(&world, &budget).await, "0");
    assert_eq!(corrections(&world).await.len(), 4);
}

#[tokio::test]
async fn each_department_has_a_correction_and_a_retry_has_the_first_answer() {
    let (world, budget) = world().await;
    world.department("sales", None).await;
    world.user("bob", "sales").await;
    let mut theirs = million(&world, "e-2", GPT, "11:00:00");
    theirs["user_id"] = json!("bob");
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00"), theirs])
        .await;
    all_day(&world, json!(5)).await;
    let headers = [("idempotency-key", "once")];
    let call = async || {
        let body = window(false).to_string();
        world
            .raw(ADMIN, "POST", "/v1/prices/reprice", &headers, body)
            .await
            .expect(200)
    };
    let first = call().await;
    assert_eq!(first["departments"].as_array().unwrap().len(), 2);
    assert_eq!(first["budgets"][0]["difference_usd"], 5);
    assert_eq!(call().await, first);
    assert_eq!(corrections(&world).await.len(), 2);
    assert_eq!(spent(&world, &budget).await, "10");
}

#[tokio::test]
async fn a_difference_that_takes_away_more_than_there_is_is_refused_and_said() {
    let (world, budget) = world().await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    let back = json!({
        "department_id": "eng", "month": "2026-11", "usd": -2, "reason": "an agreement",
    });
    world
        .admin("POST", "/v1/corrections", back)
        .await
        .expect(201);
    all_day(&world, json!(0)).await;
    let shown = reprice(&world, window(false)).await;
    let refused = shown["departments"][0]["refused"].as_str().unwrap();
    assert!(refused.contains("more than there is"), "{refused}");
    assert_eq!(shown["departments"][0]["correction_id"], Value::Null);
    assert_eq!(spent(&world, &budget).await, "0.5");
}

#[tokio::test]
async fn tokens_that_have_a_price_now_are_no_longer_without_one_and_that_once() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    let models = [
        ("e-1", "ours"),
        ("e-2", "ours"),
        ("e-3", "free"),
        ("e-4", "nobody-knows"),
    ];
    for (id, model) in models {
        let usage = million(&world, id, ("openai", model), "11:00:00");
        world.report(&[usage]).await;
    }
    let unpriced = async || world.figures(&budget).await["unpriced_tokens"].clone();
    let set = async |model: &str, usd: Value| {
        let rates = json!({
            "input_usd_per_million": usd, "output_usd_per_million": usd,
            "effective_from": "2026-11-24T00:00:00Z",
        });
        put(&world, &format!("/v1/prices/openai/{model}"), rates).await;
    };
    assert_eq!(unpriced().await, 4_000_000);
    set("ours", json!(2)).await;
    let shown = reprice(&world, window(true)).await;
    assert_eq!(shown["departments"][0]["priced_tokens"], 2_000_000);
    assert_eq!(shown["budgets"][0]["priced_tokens"], 2_000_000);
    assert_eq!(unpriced().await, 4_000_000, "it was only shown");
    for _ in 0..2 {
        reprice(&world, window(false)).await;
        assert_eq!(unpriced().await, 2_000_000);
        assert_eq!(spent(&world, &budget).await, "4");
    }
    let made = corrections(&world).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["unpriced_tokens"], -2_000_000);
    // Nothing is a price, too.
    set("free", json!(0)).await;
    let headers = [("idempotency-key", "once")];
    for _ in 0..2 {
        let body = window(false).to_string();
        let path = "/v1/prices/reprice";
        let booked = world.raw(ADMIN, "POST", path, &headers, body).await;
        let booked = booked.expect(200);
        let of = &booked["departments"][0];
        assert_eq!(
            (&of["priced_tokens"], &of["difference_usd"]),
            (&json!(1_000_000), &json!(0))
        );
        assert_eq!(unpriced().await, 1_000_000);
    }
    assert_eq!(corrections(&world).await.len(), 2);
    assert_eq!(spent(&world, &budget).await, "4");
    let tree = world
        .admin("GET", "/v1/departments/tree", Value::Null)
        .await
        .expect(200);
    assert_eq!(tree["usage"]["unpriced_tokens"], 1_000_000);
}

#[tokio::test]
async fn a_crash_before_the_booking_leaves_the_tokens_to_the_next_call() {
    let (world, budget) = world().await;
    refuse_unknown_models(&world).await;
    let usage = million(&world, "e-1", ("openai", "ours"), "11:00:00");
    world.report(&[usage]).await;
    let rates = json!({
        "input_usd_per_million": 2, "output_usd_per_million": 2,
        "effective_from": "2026-11-24T00:00:00Z",
    });
    put(&world, "/v1/prices/openai/ours", rates).await;
    let books = |operation: &str, _: &str| operation == "TransactWriteItems";
    world.crash(reprice(&world, window(false)), books).await;
    assert_eq!(world.figures(&budget).await["unpriced_tokens"], 1_000_000);
    for _ in 0..2 {
        reprice(&world, window(false)).await;
        assert_eq!(world.figures(&budget).await["unpriced_tokens"], 0);
        assert_eq!(spent(&world, &budget).await, "2");
    }
}

#[tokio::test]
async fn an_answer_shows_what_is_left_when_another_call_books_first() {
    let (world, budget) = world().await;
    world
        .report(&[million(&world, "e-1", GPT, "11:00:00")])
        .await;
    all_day(&world, json!(4)).await;
    let books = |operation: &str, _: &str| operation == "TransactWriteItems";
    let (late, first) = world
        .meanwhile(
            reprice(&world, window(false)),
            books,
            reprice(&world, window(false)),
        )
        .await;
    assert_eq!(first["departments"][0]["difference_usd"], 1.5);
    let late = &late["departments"][0];
    assert_eq!(
        (&late["difference_usd"], &late["correction_id"]),
        (&json!(0), &Value::Null)
    );
    let refused = late["refused"].as_str().unwrap();
    assert!(refused.contains("another call"), "{refused}");
    assert_eq!(spent(&world, &budget).await, "4");
}

#[tokio::test]
async fn a_hundred_refusals_do_not_keep_a_call_from_the_places_behind_them() {
    let (world, budget) = world().await;
    let mut usages = Vec::new();
    for n in 0..=101 {
        let id = if n <= 100 {
            format!("d{n:03}")
        } else {
            "z".to_owned()
        };
        world.department(&id, None).await;
        world.user(&id, &id).await;
        let mut usage = million(&world, "e-1", GPT, "11:00:00");
        usage["user_id"] = json!(id);
        usages.push(usage);
    }
    for some in usages.chunks(50) {
        world.report(some).await;
    }
    for n in 0..=100 {
        let back = json!({
            "department_id": format!("d{n:03}"), "month": "2026-11", "usd": -2, "reason": "agreed",
        });
        world
            .admin("POST", "/v1/corrections", back)
            .await
            .expect(201);
    }
    all_day(&world, json!(0)).await;
    let first = reprice(&world, window(false)).await;
    let refused = |answer: &Value| {
        let departments = answer["departments"].as_array().unwrap();
        let refused = departments.iter().filter(|of| of["refused"].is_string());
        (departments.len(), refused.count())
    };
    assert_eq!(refused(&first), (100, 100));
    let mut next = window(false);
    next["cursor"] = first["next_cursor"].clone();
    let second = reprice(&world, next).await;
    assert_eq!(refused(&second), (2, 1));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(second["departments"][1]["department_id"], "z");
    assert_eq!(
        spent(&world, &budget).await,
        "50.5",
        "a half of each that is refused"
    );
}

#[tokio::test]
async fn an_hour_that_takes_several_calls_is_booked_once_and_as_a_whole() {
    let (world, budget) = hurried().await;
    world.department("lab", None).await;
    world.user("bob", "lab").await;
    let mut theirs = million(&world, "e-3", GPT, "11:00:00");
    theirs["user_id"] = json!("bob");
    let [one, two] = ["e-1", "e-2"].map(|id| million(&world, id, GPT, "11:00:00"));
    world.report(&[one, two, theirs]).await;
    world.set_clock("2026-11-24T13:30:00Z").await;
    world
        .report(&[million(&world, "e-4", GPT, "11:00:00")])
        .await;
    all_day(&world, json!(4)).await;
    let all = async |dry_run: bool| {
        let (mut asked, mut records, mut dearer) = (window(dry_run), 0, 0.0);
        let mut seen = Vec::new();
        loop {
            let answer = reprice(&world, asked.clone()).await;
            records += answer["records"].as_u64().unwrap();
            let of = answer["departments"].as_array().unwrap().iter();
            dearer += of
                .map(|of| of["difference_usd"].as_f64().unwrap())
                .sum::<f64>();
            seen.push(spent(&world, &budget).await);
            // A call that is made twice goes on from the same place.
            let again = reprice(&world, asked.clone()).await;
            for field in ["from", "to", "records"] {
                assert_eq!(again[field], answer[field], "{field}");
            }
            match answer["next_cursor"].as_str() {
                Some(cursor) => asked["cursor"] = json!(cursor),
                None => return (seen, records, dearer),
            }
        }
    };
    let (seen, records, dearer) = all(true).await;
    assert!(seen.iter().all(|spent| spent == "10"), "{seen:?}");
    assert_eq!((records, dearer), (4, 6.0));
    let (seen, records, dearer) = all(false).await;
    assert_eq!(seen[..2], ["10", "10"], "the hour has not ended");
    assert!(seen.iter().any(|spent| spent == "14.5"), "{seen:?}");
    assert_eq!(seen.last().unwrap(), "16");
    assert_eq!((records, dearer), (4, 6.0));
    assert_eq!(corrections(&world).await.len(), 3);
    let (_, records, dearer) = all(false).await;
    assert_eq!((records, dearer), (4, 0.0));
    assert_eq!(spent(&world, &budget).await, "16");
}

#[tokio::test]
async fn more_places_than_a_call_books_are_booked_behind_an_hour_of_several_calls() {
    let (world, budget) = hurried().await;
    let mut usages = Vec::new();
    for n in 0..=100 {
        let id = format!("d{n:03}");
        world.department(&id, None).await;
        world.user(&id, &id).await;
        let mut usage = million(&world, "e-1", GPT, "11:00:00");
        usage["user_id"] = json!(id);
        usages.push(usage);
    }
    for some in usages.chunks(50) {
        world.report(some).await;
    }
    all_day(&world, json!(4)).await;
    let (mut asked, mut booked, mut calls) = (window(false), Vec::new(), 0);
    loop {
        let answer = reprice(&world, asked.clone()).await;
        calls += 1;
        let made = answer["departments"].as_array().unwrap().iter();
        let made = made.filter(|of| of["correction_id"].is_string()).count();
        booked.extend(Some(made).filter(|made| *made > 0));
        match answer["next_cursor"].as_str() {
            Some(cursor) => asked["cursor"] = json!(cursor),
            None => break,
        }
    }
    assert_eq!(booked, [100, 1]);
    assert_eq!(
        calls, 102,
        "the last one does not read all of the hour again"
    );
    assert_eq!(spent(&world, &budget).await, "404");
}

#[tokio::test]
async fn what_was_read_of_an_hour_is_gone_after_an_hour() {
    let (world, budget) = hurried().await;
    let [one, two] = ["e-1", "e-2"].map(|id| million(&world, id, GPT, "11:00:00"));
    world.report(&[one, two]).await;
    all_day(&world, json!(4)).await;
    let mut asked = window(false);
    asked["cursor"] = reprice(&world, asked.clone()).await["next_cursor"].clone();
    let kept = world.tables().scan().table_name("Governance").send().await;
    let is_kept = |pk: &str| pk.contains("#backtest#");
    for item in kept.unwrap().items() {
        if is_kept(item["pk"].as_s().unwrap()) {
            let delete = world.tables().delete_item().table_name("Governance");
            let delete = delete.key("pk", item["pk"].clone());
            let delete = delete.key("sk", item["sk"].clone());
            delete.send().await.unwrap();
        }
    }
    let gone = world.admin("POST", "/v1/prices/reprice", asked).await;
    assert_eq!(gone.status, 400);
    assert_eq!(gone.fields(), ["cursor"]);
    assert_eq!(spent(&world, &budget).await, "5");
}
