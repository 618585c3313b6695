//! Models with an unknown or inexact price: their charge, the list that has them, and who
//! is told.

use super::{figure, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use end_to_end::receiver::Receiver;
use end_to_end::{ADMIN, AGENT, OPERATOR, World, at_least};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::pricing::book::PriceBooks;
use shared::domain::pricing::tokens::{ServiceTier, TokenCounts};

/// A model of nobody's price list.
const UNKNOWN: &str = "claude-of-tomorrow";
const MILLION: i64 = 1_000_000;

async fn set_unknown_model(world: &World, setting: &str) {
    let body = json!({ "unknown_model": setting });
    let patched = world.admin("PATCH", "/v1/organisation", body).await;
    patched.expect(200);
}

/// Usage of a million tokens of a model of Anthropic.
fn million(world: &World, event_id: &str, user_id: &str, model: &str) -> Value {
    let mut event = world.usage(event_id, user_id, MILLION, 0, None);
    event["provider"] = json!("anthropic");
    event["model"] = json!(model);
    event
}

/// Usage of ten tokens of a model of OpenAI.
fn of_openai(world: &World, event_id: &str, model: &str, hold: Option<&str>) -> Value {
    let mut event = world.usage(event_id, "ada", 7, 3, hold);
    event["model"] = json!(model);
    event
}

/// A provider, and a model by the name of a deployment there.
const ALIAS: (&str, &str) = ("azure", "gpt-41-mini");
/// The name of the same model in the price list.
const NAMED: &str = "azure/gpt-4.1-mini";
const EXACT: (&str, &str) = ("openai", "gpt-4o");

async fn asks(world: &World, request_id: &str, provider: Value, model: &str) -> Value {
    let body = json!({
        "request_id": request_id, "user_id": "ada", "provider": provider, "model": model,
        "input_tokens": 7, "max_output_tokens": 3,
    });
    let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
    answer.expect(200)
}

/// The items of all pages of a list. `path` has a query.
async fn items(world: &World, key: &str, path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut page = path.to_owned();
    loop {
        let list = world.call(key, "GET", &page, Value::Null).await.expect(200);
        found.extend(list["items"].as_array().unwrap().clone());
        match list["next_cursor"].as_str() {
            Some(cursor) => page = format!("{path}&cursor={cursor}"),
            None => return found,
        }
    }
}

async fn listed(world: &World, status: &str) -> Vec<Value> {
    items(world, ADMIN, &format!("/v1/models?status={status}")).await
}

/// The alerts about models, the newest first.
async fn told(world: &World) -> Vec<Value> {
    let mut alerts = items(world, ADMIN, "/v1/alerts?limit=100").await;
    alerts.retain(|alert| alert["type"] == "unpriced_model");
    alerts
}

/// The user `root`, who is an administrator with an address.
async fn administrator(world: &World) {
    let body = json!({
        "id": "root", "email": "root@example.com", "name": "Root", "department_id": "eng",
        "role": "admin",
    });
    world.admin("POST", "/v1/users", body).await.expect(201);
}

#[tokio::test]
async fn usage_without_a_price_is_beside_a_budget_that_it_does_not_spend_listed_and_told_once() {
    let (world, tokens) = world(100 * MILLION).await;
    set_unknown_model(&world, "refuse").await;
    administrator(&world).await;
    world.user("bob", "eng").await;
    let receiver = Receiver::start().await;
    let hook = json!({"url": receiver.url, "events": ["model.unpriced"]});
    world.admin("POST", "/v1/webhooks", hook).await.expect(201);
    let usd = world.budget(None, "usd", json!(10), true).await;
    let own = world.budget(Some("backend"), "usd", json!(10), false).await;
    let refused = asks(&world, "r-1", json!("anthropic"), UNKNOWN).await;
    assert_eq!(refused["reasons"][0]["code"], "unknown_model");
    assert_eq!(refused["price"]["match"], "none");
    // It counts nowhere, so nothing is said of how it counts.
    assert_eq!(refused["warnings"], json!([]));
    let ten: Vec<Value> = (0..10)
        .map(|n| {
            let user = if n < 6 { "ada" } else { "bob" };
            million(&world, &format!("e-{n}"), user, UNKNOWN)
        })
        .collect();
    // The second time nothing is new, and the third time each comes alone.
    world.report(&ten).await;
    world.report(&ten).await;
    world.record(&ten[..3]).await;
    let all = world.figures(&usd).await;
    assert_eq!(
        (&all["spent"], &all["unpriced_tokens"]),
        (&json!(0), &json!(10 * MILLION))
    );
    assert_eq!(world.figures(&own).await["unpriced_tokens"], 6 * MILLION);
    let counted = world.figures(&tokens).await;
    assert_eq!(figure(&counted).0, 10 * MILLION);
    assert_eq!(counted["unpriced_tokens"], Value::Null);
    let path = "/v1/budgets/effective?user_id=bob";
    let effective = items(&world, ADMIN, path).await;
    let shown: Vec<&Value> = effective.iter().map(|of| &of["unpriced_tokens"]).collect();
    assert_eq!(shown, [&Value::Null, &json!(10 * MILLION)]);
    let path = "/v1/departments/tree";
    let tree = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(tree["usage"]["unpriced_tokens"], 10 * MILLION);
    assert_eq!(tree["budgets"][0]["unpriced_tokens"], 10 * MILLION);
    let path = "/v1/usage?period=monthly&user_id=bob";
    let rows = items(&world, ADMIN, path).await;
    assert_eq!(rows[0]["unpriced"], 4 * MILLION);
    let version = &refused["price"]["version"];
    let expected = json!({
        "provider": "anthropic", "model": UNKNOWN, "status": "unpriced", "month": "2026-11",
        "price": {"match": "none", "model": null, "version": version},
        "first_seen": "2026-11-24T12:00:00Z", "last_seen": "2026-11-24T12:00:00Z",
        "tokens": 10 * MILLION, "requests": 10, "users": 2,
    });
    assert_eq!(listed(&world, "unpriced").await, [expected]);
    assert!(listed(&world, "inexact").await.is_empty());
    let told = told(&world).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0]["severity"], &told[0]["user_id"]),
        (&json!("high"), &json!("ada"))
    );
    let facts = &told[0]["metadata"];
    assert_eq!(
        (
            &facts["model"],
            &facts["provider"],
            &facts["price"]["match"]
        ),
        (&json!(UNKNOWN), &json!("anthropic"), &json!("none"))
    );
    let mails = world.system.mails().sent();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].to, "root@example.com");
    let subject = format!("the model {UNKNOWN:?} has no known price");
    assert_eq!(mails[0].subject, subject);
    let events = receiver.received();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].json()["data"]["facts"], *facts);
}

#[tokio::test]
async fn an_estimate_is_charged_at_the_dearest_price_of_the_provider_and_closes_the_cap() {
    let (world, _) = world(100 * MILLION).await;
    let usd = world.budget(None, "usd", json!(5), true).await;
    let passed = asks(&world, "r-1", json!("anthropic"), UNKNOWN).await;
    let price = &passed["price"];
    assert_eq!(
        (&passed["decision"], &price["match"], &price["model"]),
        (&json!("allow"), &json!("estimate"), &Value::Null)
    );
    let warning = &passed["warnings"][0];
    assert_eq!(warning["code"], "unpriced");
    let message = warning["message"].as_str().unwrap();
    assert!(
        message.contains("the dearest price of its provider"),
        "{message}"
    );
    assert!(passed["hold"]["usd"].as_f64().unwrap() > 0.0);
    world
        .report(&[million(&world, "e-1", "ada", UNKNOWN)])
        .await;
    let book = PriceBooks::built_in().at(world.system.clock().now());
    let dearest = book.dearest_of(Some("anthropic")).unwrap();
    let counts = TokenCounts {
        input: MILLION,
        ..TokenCounts::default()
    };
    let cost = dearest.cost(counts, ServiceTier::Default);
    let shown = world.figures(&usd).await;
    let spent: f64 = shown["spent"].to_string().parse().unwrap();
    let micro_usd = cost.div_euclid(1_000_000);
    assert_eq!(format!("{:.0}", spent * 1e6), micro_usd.to_string());
    assert!(micro_usd > 5_000_000, "it is more than the cap");
    assert_eq!(shown["unpriced_tokens"], 0);
    let refused = asks(&world, "r-2", json!("anthropic"), UNKNOWN).await;
    assert_eq!(refused["reasons"][0]["code"], "budget_exhausted");
    let before = listed(&world, "unpriced").await;
    assert_eq!(before[0]["price"]["match"], "estimate");
    assert_eq!(told(&world).await[0]["severity"], "medium");
    // With a price of its own it is sure from then on, and stays in the list of the month.
    let own = json!({"input_usd_per_million": 1, "output_usd_per_million": 2});
    let path = format!("/v1/prices/anthropic/{UNKNOWN}");
    world.admin("PUT", &path, own).await.expect(200);
    world
        .report(&[million(&world, "e-2", "ada", UNKNOWN)])
        .await;
    assert_eq!(listed(&world, "unpriced").await, before);
    let after: f64 = world.figures(&usd).await["spent"]
        .to_string()
        .parse()
        .unwrap();
    assert_eq!(format!("{:.3}", after - spent), "1.000");
}

#[tokio::test]
async fn each_decision_says_how_sure_its_price_is() {
    let (world, _) = world(100 * MILLION).await;
    let matched = async |id: &str, provider: Value, model: &str| {
        let price = asks(&world, id, provider, model).await["price"].clone();
        assert!(price["version"].is_string(), "{price}");
        (price["match"].clone(), price["model"].clone())
    };
    let said = |kind: &str, model: Value| (json!(kind), model);
    for (n, (provider, model), expected) in [
        (1, EXACT, said("exact", json!("gpt-4o"))),
        (2, ALIAS, said("alias", json!(NAMED))),
        (3, ("openai", UNKNOWN), said("estimate", Value::Null)),
    ] {
        let id = format!("r-{n}");
        assert_eq!(matched(&id, json!(provider), model).await, expected);
    }
    let nobody = json!({
        "request_id": "r-9", "user_id": "nobody", "model": "gpt-4o", "input_tokens": 1,
    });
    let nobody = world.call(AGENT, "POST", "/v1/preflight", nobody).await;
    assert_eq!(nobody.expect(200)["price"], Value::Null);
    let deny = json!({"models": {"deny": ["gpt-4o"]}});
    world
        .admin("PATCH", "/v1/organisation", deny)
        .await
        .expect(200);
    let forbidden = matched("r-4", json!("openai"), "gpt-4o").await;
    assert_eq!(forbidden, said("exact", json!("gpt-4o")));
}

#[tokio::test]
async fn a_model_by_another_name_is_listed_as_inexact_and_an_exact_one_nowhere() {
    let (world, _) = world(100 * MILLION).await;
    let mut batch = Vec::new();
    for n in 0..12 {
        let (provider, model) = if n % 2 == 0 { ALIAS } else { EXACT };
        let hold = asks(&world, &format!("r-{n}"), json!(provider), model).await;
        let hold = hold["hold"]["id"].as_str().unwrap();
        let mut event = of_openai(&world, &format!("e-{n}"), model, Some(hold));
        event["provider"] = json!(provider);
        batch.push(event);
    }
    // In one batch and again: the books of the world add up what the list has.
    world.report(&batch).await;
    world.record(&batch).await;
    let inexact = listed(&world, "inexact").await;
    assert_eq!(inexact.len(), 1, "{inexact:#?}");
    let of = &inexact[0];
    assert_eq!(
        (&of["model"], &of["price"]["match"], &of["price"]["model"]),
        (&json!("gpt-41-mini"), &json!("alias"), &json!(NAMED))
    );
    assert_eq!(
        (&of["tokens"], &of["requests"], &of["users"]),
        (&json!(60), &json!(6), &json!(1))
    );
    assert!(listed(&world, "unpriced").await.is_empty());
    let told = told(&world).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0]["severity"], &told[0]["title"]),
        (
            &json!("low"),
            &json!("the price of the model \"gpt-41-mini\" is inexact")
        )
    );
}

#[tokio::test]
async fn a_model_is_told_once_in_each_month_and_listed_in_its_own() {
    let (world, _) = world(100 * MILLION).await;
    let counts = async || {
        let month = |month: &str| format!("/v1/models?status=unpriced&month={month}");
        let november = items(&world, ADMIN, &month("2026-11")).await.len();
        let december = items(&world, ADMIN, &month("2026-12")).await.len();
        (told(&world).await.len(), november, december)
    };
    world
        .report(&[of_openai(&world, "e-1", UNKNOWN, None)])
        .await;
    assert_eq!(counts().await, (1, 1, 0));
    world.set_clock("2026-12-02T12:00:00Z").await;
    world
        .report(&[of_openai(&world, "e-2", UNKNOWN, None)])
        .await;
    assert_eq!(counts().await, (2, 1, 1));
    let mut late = of_openai(&world, "e-3", UNKNOWN, None);
    late["occurred_at"] = json!("2026-11-30T12:00:00Z");
    world.report(&[late]).await;
    assert_eq!(counts().await, (2, 1, 1));
    assert_eq!(listed(&world, "unpriced").await[0]["requests"], 1);
}

#[tokio::test]
async fn the_list_has_pages_and_shows_each_key_what_it_may_see() {
    let (world, _) = world(100 * MILLION).await;
    world.user("bob", "backend").await;
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(million(&world, &format!("a-{n}"), "ada", &format!("m-{n}")));
        events.push(million(&world, &format!("b-{n}"), "bob", &format!("m-{n}")));
    }
    events.push(million(&world, "b-5", "bob", "m-5"));
    world.report(&events).await;
    let mut seen = Vec::new();
    let mut path = "/v1/models?status=unpriced&limit=2".to_owned();
    loop {
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            let users = if item["model"] == "m-5" { 1 } else { 2 };
            assert_eq!(item["users"], users, "{item}");
            seen.push(item["model"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/models?status=unpriced&limit=2&cursor={cursor}"),
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5"]);
    let key = json!({"role": "member", "user_id": "ada"});
    let key = world.admin("POST", "/v1/api-keys", key).await.expect(201);
    let own = items(
        &world,
        key["key"].as_str().unwrap(),
        "/v1/models?status=unpriced",
    )
    .await;
    assert_eq!(own.len(), 5);
    assert!(own.iter().all(|model| model["users"] == 1), "{own:#?}");
    let body = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(OPERATOR, "POST", "/v1/organisations", body)
        .await;
    let rival = rival.expect(201);
    let rival = rival["admin_key"].as_str().unwrap();
    for path in [
        "/v1/models?status=unpriced",
        "/v1/models?status=inexact",
        "/v1/alerts",
    ] {
        assert!(items(&world, rival, path).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn usage_that_is_held_back_says_its_price_and_is_listed_when_it_is_counted() {
    let (world, _) = world(100 * MILLION).await;
    set_unknown_model(&world, "count").await;
    let usd = world.budget(None, "usd", json!(10), true).await;
    let mut large = million(&world, "e-1", "ada", UNKNOWN);
    large["input_tokens"] = json!(20 * MILLION);
    world.report(&[large]).await;
    let held_back = items(&world, ADMIN, "/v1/events?status=held_back").await;
    assert_eq!(held_back[0]["price"]["match"], "none");
    assert!(listed(&world, "unpriced").await.is_empty());
    assert!(told(&world).await.is_empty(), "it counts nowhere");
    let decision = json!({
        "user_id": "ada", "event_id": "e-1", "decision": "count", "reason": "it was so",
    });
    for _ in 0..2 {
        let path = "/v1/events/decisions";
        let counted = world.admin("POST", path, decision.clone()).await;
        assert_eq!(counted.expect(200)["price"]["match"], "none");
    }
    let told = told(&world).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["metadata"]["model"], UNKNOWN);
    assert_eq!(listed(&world, "unpriced").await[0]["tokens"], 20 * MILLION);
    let unpriced = &world.figures(&usd).await["unpriced_tokens"];
    assert_eq!(*unpriced, 20 * MILLION);
}

#[tokio::test]
async fn late_usage_of_an_abandoned_hold_has_its_tokens_without_a_price_once() {
    let (world, _) = world(100 * MILLION).await;
    let body = json!({"unknown_model": "count", "abandoned_holds": "charge"});
    world
        .admin("PATCH", "/v1/organisation", body)
        .await
        .expect(200);
    let usd = world.budget(None, "usd", json!(10), false).await;
    let hold = asks(&world, "r-1", json!("openai"), UNKNOWN).await;
    let hold = hold["hold"]["id"].as_str().unwrap().to_owned();
    world.set_clock("2026-11-24T13:00:00Z").await;
    world.hold("ada", "r-2", 1, 0).await;
    let late = of_openai(&world, "e-1", UNKNOWN, Some(&hold));
    world.report(std::slice::from_ref(&late)).await;
    world.report(&[late]).await;
    assert_eq!(world.figures(&usd).await["unpriced_tokens"], 10);
    assert_eq!(listed(&world, "unpriced").await[0]["tokens"], 10);
}

#[tokio::test]
async fn a_client_that_makes_up_names_raises_no_more_than_a_hundred_alerts_a_month() {
    let (world, _) = world(100 * MILLION).await;
    let events: Vec<Value> = (0..130)
        .map(|n| of_openai(&world, &format!("e-{n}"), &format!("made-up-{n}"), None))
        .collect();
    for some in events.chunks(10) {
        world.report(some).await;
    }
    assert_eq!(told(&world).await.len(), 100);
    assert_eq!(listed(&world, "unpriced").await.len(), 130);
}

#[tokio::test]
async fn whichever_call_fails_a_model_is_listed_and_told_once() {
    for when in [When::Before, When::After] {
        for call in 0.. {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            let engine = world.system.engine();
            let kind = FaultKind::ConnectionReset;
            engine.inject(Fault { call, when, kind });
            let body = json!({"events": [of_openai(&world, "e-1", UNKNOWN, None)]});
            let path = "/v1/events";
            while world.call(AGENT, "POST", path, body.clone()).await.status != 202 {}
            world.system.drain().await.unwrap();
            let has_fired = engine.faults_fired() > 0;
            engine.clear_faults();
            let now = "2026-11-24T12:10:00Z";
            world.set_clock(now).await;
            world.system.drain().await.unwrap();
            let of = listed(&world, "unpriced").await;
            assert_eq!(of.len(), 1, "call {call} {when:?}");
            assert_eq!(of[0]["requests"], 1, "call {call} {when:?}");
            assert_eq!(told(&world).await.len(), 1, "call {call} {when:?}");
            if !has_fired {
                assert!(call > at_least(when, 8, 3), "{call}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn usage_that_comes_behind_newer_usage_does_not_take_the_last_time_back() {
    let (world, _) = world(100 * MILLION).await;
    let send = |mut event: Value, time: &str| {
        event["outcome"] = json!("completed");
        event["cached_input_tokens"] = json!(0);
        let received_at = format!("2026-11-24T12:{time}Z");
        let message = json!({
            "organisation_id": "demo", "received_at": received_at, "event": event,
        });
        let now = std::time::Duration::ZERO;
        let queues = world.system.queues();
        queues.send("events", &message.to_string(), now).unwrap();
    };
    for (n, time) in ["00:00", "05:00.5", "05:00", "01:00"]
        .into_iter()
        .enumerate()
    {
        let event = of_openai(&world, &format!("e-{n}"), UNKNOWN, None);
        send(event, time);
        world.system.drain().await.unwrap();
    }
    // Settlements that share a transaction are as late.
    for n in 4..6 {
        let hold = asks(&world, &format!("r-{n}"), json!("openai"), UNKNOWN).await;
        let hold = hold["hold"]["id"].as_str();
        send(of_openai(&world, &format!("e-{n}"), UNKNOWN, hold), "02:00");
    }
    world.system.drain().await.unwrap();
    let of = &listed(&world, "unpriced").await[0];
    assert_eq!(
        (&of["first_seen"], &of["last_seen"], &of["requests"]),
        (
            &json!("2026-11-24T12:00:00Z"),
            &json!("2026-11-24T12:05:00.5Z"),
            &json!(6)
        )
    );
}
