//! The cost of a request in round trips and write units, counted by the engine as AWS would bill
//! it.

use axum::body::Body;
use end_to_end::{ADMIN, AGENT, OPERATOR, World};
use http::Request;
use http_body_util::BodyExt;
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// Calls and tenths of write units in the table of cells since the last reset.
fn spent(world: &World) -> (u64, u64) {
    let meter = world.system.engine().meter();
    let cells = meter
        .tables
        .get("Counters")
        .map_or(0, |table| table.write_units_tenths);
    (meter.calls.values().sum(), cells)
}

#[tokio::test]
async fn a_warm_preflight_is_one_round_trip_and_one_write_unit_at_any_depth() {
    for depth in [1_usize, 4, 8] {
        let world = World::empty().await;
        world.budget(None, "tokens", json!(1_000_000), true).await;
        for level in 1..=depth {
            let parent = (level > 1).then(|| format!("d{}", level - 1));
            world
                .department(&format!("d{level}"), parent.as_deref())
                .await;
            world
                .budget(Some(&format!("d{level}")), "tokens", json!(1_000_000), true)
                .await;
        }
        world.user("ada", &format!("d{depth}")).await;
        world.hold("ada", "cold", 10, 10).await;
        let engine = world.system.engine();
        engine.reset_meter();
        let hold = world.hold("ada", "warm", 10, 10).await;
        let warm = spent(&world);
        assert_eq!(warm, (1, 10), "allowed at depth {depth}");
        world
            .report(&[world.usage("e-1", "ada", 10, 5, Some(&hold))])
            .await;
        let settled = spent(&world);
        assert!(settled.1 <= 22, "hold and settle: {} tenths", settled.1);
        engine.reset_meter();
        let refused = world.preflight("ada", "too-much", 2_000_000, 0).await;
        assert_eq!(refused["decision"], "block");
        let of_preflight = world.system.engine().meter().callers["preflight"].calls;
        assert_eq!(of_preflight, 1, "refused at depth {depth}");
        println!(
            "depth {depth}: warm preflight {} round trip, {}.{} write units; \
             hold + settle {}.{} write units in the cell",
            warm.0,
            warm.1 / 10,
            warm.1 % 10,
            settled.1 / 10,
            settled.1 % 10,
        );
    }
}

/// The first answer of a new instance, and its cost: the calls of its start, of the
/// request, and of the next one.
async fn first_request(world: &World, key: &str, user_id: &str) -> (Value, [u64; 3]) {
    let engine = world.system.engine();
    let calls = || {
        let meter = engine.meter();
        engine.reset_meter();
        meter.callers.get("preflight").map_or(0, |of| of.calls)
    };
    calls();
    let instance = world.system.another_preflight().await;
    let start = calls();
    let mut answers = Vec::new();
    let mut counted = vec![start];
    for number in 0..2 {
        let body = json!({
            "request_id": format!("{user_id}-{number}"), "user_id": user_id, "model": "gpt-4o",
            "input_tokens": 10,
            "max_output_tokens": 10
        });
        let request = Request::post("/v1/preflight")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = instance.clone().oneshot(request).await.unwrap();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        answers.push(serde_json::from_slice::<Value>(&bytes).unwrap());
        counted.push(calls());
    }
    (answers.remove(0), counted.try_into().unwrap())
}

#[tokio::test]
async fn the_first_request_of_an_instance_costs_one_call_more_if_organisations_are_few() {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("bob", "eng").await;
    world
        .budget(Some("eng"), "tokens", json!(1_000_000), true)
        .await;
    // Opens the month's cell
    world.hold("ada", "cell", 10, 10).await;
    let (answer, [start, first, warm]) = first_request(&world, AGENT, "ada").await;
    assert_eq!(answer["decision"], "allow");
    assert_eq!((start, first, warm), (4, 2, 1));

    // Data that was read at the start decides nothing by itself: a change since then is seen
    let instance = world.system.another_preflight().await;
    let block = json!({"reason": "lost laptop"});
    world
        .admin("PUT", "/v1/users/bob/block", block)
        .await
        .expect(200);
    let body = json!({
        "request_id": "b-1", "user_id": "bob", "model": "gpt-4o", "input_tokens": 10,
        "max_output_tokens": 10
    });
    let ask = |key: &str| {
        Request::post("/v1/preflight")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let answer = instance.clone().oneshot(ask(AGENT)).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["reasons"][0]["code"], "user_blocked");
    let unknown = instance.oneshot(ask("tk_nobody")).await.unwrap();
    assert_eq!(unknown.status(), 401);
}

#[tokio::test]
async fn a_key_that_is_bound_to_a_user_costs_no_call_more_cold_or_read_again() {
    for role in ["agent", "member"] {
        let settings = SystemSettings {
            keys_believed: Some(Duration::ZERO),
            ..SystemSettings::empty()
        };
        for (settings, again) in [(SystemSettings::empty(), 1), (settings, 2)] {
            let world = World::with(settings).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            world.budget(None, "tokens", json!(1_000_000), true).await;
            world.hold("ada", "cell", 10, 10).await;
            let user = (role == "member").then_some("ada");
            let body = json!({"role": role, "user_id": user});
            let made = world.admin("POST", "/v1/api-keys", body).await.expect(201);
            let (answer, counted) =
                first_request(&world, made["key"].as_str().unwrap(), "ada").await;
            assert_eq!(answer["decision"], "allow", "{answer}");
            // If no key is trusted, each request reads the key and its user.
            let first = if again == 1 { 2 } else { 3 };
            assert_eq!(counted, [4, first, again], "{role}");
        }
    }
}

#[tokio::test]
async fn an_administrators_key_without_a_user_costs_one_cold_read_for_its_makers_and_none_later() {
    let settings = SystemSettings {
        keys_believed: Some(Duration::ZERO),
        ..SystemSettings::empty()
    };
    for (settings, first, again) in [(SystemSettings::empty(), 3, 1), (settings, 4, 2)] {
        let world = World::with(settings).await;
        world.department("eng", None).await;
        let mut key: Option<String> = None;
        for id in ["ada", "ann", "bob"] {
            world.user(id, "eng").await;
        }
        for id in ["ann", "bob"] {
            let path = format!("/v1/users/{id}");
            let role = json!({"role": "admin"});
            world.admin("PATCH", &path, role).await.expect(200);
        }
        // A key of ann made one for bob, which made one without a user: ann and bob are read.
        for user in [Some("ann"), Some("bob"), None] {
            let with = key.as_deref().unwrap_or(ADMIN);
            let body = json!({"role": "admin", "user_id": user});
            let made = world.call(with, "POST", "/v1/api-keys", body).await;
            key = made.expect(201)["key"].as_str().map(str::to_owned);
        }
        world.budget(None, "tokens", json!(1_000_000), true).await;
        world.hold("ada", "cell", 10, 10).await;
        let (answer, counted) = first_request(&world, &key.unwrap(), "ada").await;
        assert_eq!(answer["decision"], "allow", "{answer}");
        assert_eq!(counted, [4, first, again]);
    }
}

#[tokio::test]
async fn among_many_organisations_an_instance_reads_whose_key_it_is_first() {
    let world = World::empty().await;
    let mut admins = Vec::new();
    for number in 0..4 {
        let body = json!({"id": format!("org-{number}"), "name": "Org", "timezone": "UTC"});
        let made = world
            .call(OPERATOR, "POST", "/v1/organisations", body)
            .await
            .expect(201);
        admins.push(made["admin_key"].as_str().unwrap().to_owned());
    }
    let key = &admins[2];
    let department = json!({"id": "eng", "name": "Eng"});
    world
        .call(key, "POST", "/v1/departments", department)
        .await
        .expect(201);
    let user = json!({
        "id": "ada", "email": "ada@example.com", "name": "Ada", "department_id": "eng",
        "role": "member"
    });
    world.call(key, "POST", "/v1/users", user).await.expect(201);
    let budget = json!({
        "name": "Eng", "department_id": "eng", "unit": "tokens", "amount": 1_000, "hard_cap": true
    });
    world
        .call(key, "POST", "/v1/budgets", budget)
        .await
        .expect(201);
    let cell = json!({
        "request_id": "c", "user_id": "ada", "model": "gpt-4o", "input_tokens": 1,
        "max_output_tokens": 1,
    });
    world
        .call(key, "POST", "/v1/preflight", cell)
        .await
        .expect(200);
    let (answer, [start, first, warm]) = first_request(&world, key, "ada").await;
    assert_eq!(answer["decision"], "allow");
    assert_eq!((start, first, warm), (1, 6, 1));
}

#[tokio::test]
async fn a_user_without_a_budget_costs_one_read() {
    let world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.preflight("ada", "cold", 1, 1).await;
    world.system.engine().reset_meter();
    world.preflight("ada", "warm", 1, 1).await;
    let calls = world.system.engine().meter().calls;
    assert_eq!(
        calls.into_iter().collect::<Vec<_>>(),
        [("GetItem".to_owned(), 1)]
    );
}

/// How often a batch of ten users' events reads by keys, and how often it queries, under these
/// policies.
async fn batch_reads(triggers: &[Value]) -> (u64, u64) {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    let users: Vec<String> = (0..10).map(|n| format!("u{n}")).collect();
    for user in &users {
        world.user(user, "eng").await;
    }
    for trigger in triggers {
        let body = json!({"name": "x", "trigger": trigger});
        let made = world.admin("POST", "/v1/policies", body).await.expect(201);
        let path = format!("/v1/policies/{}/publish", made["id"].as_str().unwrap());
        world.admin("POST", &path, Value::Null).await.expect(200);
    }
    let events = |round: u32| -> Vec<Value> {
        let event = |user: &String| world.usage(&format!("e-{round}-{user}"), user, 10, 0, None);
        users.iter().map(event).collect()
    };
    world.report(&events(1)).await;
    world.system.engine().reset_meter();
    world.report(&events(2)).await;
    let calls = world.system.engine().meter().calls;
    let of = |operation: &str| calls.get(operation).copied().unwrap_or(0);
    (of("BatchGetItem"), of("Query"))
}

#[tokio::test]
async fn policies_cost_a_batch_one_read_of_its_records_and_a_query_for_each_month_of_a_user() {
    let unusual = json!({"type": "unusual_usage_pattern"});
    let total = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1_000_000});
    let risks = json!({"type": "ip_risk_event"});
    assert_eq!(batch_reads(&[]).await.0, 0);
    let (reads, others) = batch_reads(&[risks]).await;
    assert_eq!(reads, 0, "usage is of no interest");
    // What earlier releases have of all users' months is one read more.
    let (reads, queries) = batch_reads(std::slice::from_ref(&total)).await;
    assert_eq!((reads, queries - others), (2, 10));
    let (reads, queries) = batch_reads(std::slice::from_ref(&unusual)).await;
    assert_eq!(
        (reads, queries - others),
        (2, 20),
        "28 days are of two months"
    );
    let (reads, queries) = batch_reads(&[unusual, total]).await;
    assert_eq!((reads, queries - others), (2, 20));
}

/// A world whose events wait, with a budget, and a hold of each of 30 users with the event that
/// settles it.
async fn thirty_holds() -> (World, String, Vec<Value>) {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    let mut events = Vec::new();
    for n in 0..30 {
        let user = format!("u{n}");
        world.user(&user, "eng").await;
        let hold = world.hold(&user, "r", 10, 0).await;
        // Every client counts its own events from one.
        events.push(world.usage("1", &user, 10, 0, Some(&hold)));
    }
    (world, budget, events)
}

#[tokio::test]
async fn a_batch_of_many_users_shares_transactions_and_the_cells_updates() {
    let (world, budget, events) = thirty_holds().await;
    world.system.engine().reset_meter();
    world.report(&events).await;
    let calls = world.system.engine().meter().calls;
    let of = |operation: &str| calls.get(operation).copied().unwrap_or(0);
    assert_eq!(
        of("TransactWriteItems"),
        1,
        "49 users fit into one: {calls:?}"
    );
    let kept_until_recorded = 30;
    let in_the_list_of_the_day = 30;
    assert_eq!(
        of("UpdateItem") - kept_until_recorded - in_the_list_of_the_day,
        2,
        "25 holds are taken out at once: {calls:?}"
    );
    let figures = world.figures(&budget).await;
    assert_eq!(
        (&figures["spent"], &figures["held"]),
        (&json!(300), &json!(0))
    );
}

/// Settles a hold of each of 30 users whose model is forbidden meanwhile, so many in each batch.
/// Returns the transactions, and tenths of write units of all tables.
async fn settled_though_forbidden(at_once: usize) -> (u64, u64) {
    let (world, budget, events) = thirty_holds().await;
    let deny = json!({"models": {"deny": ["gpt-4o"]}});
    world
        .admin("PATCH", "/v1/organisation", deny)
        .await
        .expect(200);
    world.system.engine().reset_meter();
    for batch in events.chunks(at_once) {
        world.report(batch).await;
    }
    let meter = world.system.engine().meter();
    let path = "/v1/events?status=model_not_allowed&limit=100";
    let marked = world.admin("GET", path, Value::Null).await.expect(200);
    assert_eq!(marked["items"].as_array().unwrap().len(), 30);
    assert_eq!(world.figures(&budget).await["spent"], 300);
    let transactions = meter.calls.get("TransactWriteItems");
    let tables = meter.tables.values();
    let written = tables.map(|table| table.write_units_tenths).sum();
    (transactions.copied().unwrap_or(0), written)
}

#[tokio::test]
async fn usage_of_a_forbidden_model_shares_the_transactions_of_its_batch() {
    let (alone, dear) = settled_though_forbidden(1).await;
    let (together, cheap) = settled_though_forbidden(30).await;
    assert_eq!((alone, together), (30, 1), "33 users fit into one");
    println!(
        "30 settlements of a forbidden model: {} write units one by one, {} in a batch",
        dear / 10,
        cheap / 10
    );
    // The total of the department and the cell are written once for many.
    assert!(cheap + 29 * 20 + 20 * 10 <= dear, "{cheap} of {dear}");
}

/// What evaluate writes for each of these events, in tenths of write units.
async fn written_for(world: &World, events: &[Value]) -> u64 {
    world.system.engine().reset_meter();
    world.report(events).await;
    let meter = world.system.engine().meter();
    let tables = meter.callers["evaluate"].tables.values();
    let written: u64 = tables.map(|table| table.write_units_tenths).sum();
    written.div_ceil(u64::try_from(events.len()).unwrap())
}

#[tokio::test]
async fn an_event_writes_at_most_nine_units_by_itself_and_seven_in_a_batch_of_fifty_users() {
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world
        .budget(Some("eng"), "tokens", json!(1_000_000), true)
        .await;
    for n in 0..50 {
        world.user(&format!("u{n}"), "backend").await;
    }
    let mut costs = Vec::new();
    for (round, users, most) in [(1, 1, 90), (2, 1, 80), (3, 50, 70), (4, 50, 60)] {
        let mut events = Vec::new();
        for n in 0..users {
            let (user, id) = (format!("u{n}"), format!("request-{round}"));
            let hold = world.hold(&user, &id, 1_000, 500).await;
            events.push(world.usage(&id, &user, 1_000, 321, Some(&hold)));
        }
        let each = written_for(&world, &events).await;
        assert!(each <= most, "{users} users, round {round}: {each} tenths");
        costs.push(each);
    }
    println!("tenths of units of an event, the first of a day and later, of 50 users: {costs:?}");
    // Only the first usage of a user and model on a day is put into the day's list.
    assert!(
        costs[0] >= costs[1] + 10 && costs[2] >= costs[3] + 9,
        "{costs:?}"
    );
}
