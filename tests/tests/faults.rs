//! Each store call fails once, before and after it was applied, and each step runs twice: the state is that of once.

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::{AGENT, World, changes_cell, is_undecided};
use local::engine::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::configuration::OnUnavailable;
use shared::runtime::settings::Patience;

const NOON: &str = "2026-11-23T12:00:00Z";
const LATER: &str = "2026-11-23T12:11:00Z";

/// What a client does, and does again until it has an answer that is not a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    FirstHoldOfTheMonth,
    Hold,
    HoldAfterLapsed,
    Settle,
    Void,
    LateUsage,
    LateUsageOfCharged,
    UsageWithoutHold,
    SettleTwoTogether,
    CreateBudget,
    ChangeAmount,
    MoveUser,
    MoveDepartment,
    Block,
    DeleteBudget,
}

const STEPS: [Step; 15] = [
    Step::FirstHoldOfTheMonth,
    Step::Hold,
    Step::HoldAfterLapsed,
    Step::Settle,
    Step::Void,
    Step::LateUsage,
    Step::LateUsageOfCharged,
    Step::UsageWithoutHold,
    Step::SettleTwoTogether,
    Step::CreateBudget,
    Step::ChangeAmount,
    Step::MoveUser,
    Step::MoveDepartment,
    Step::Block,
    Step::DeleteBudget,
];

struct Prepared {
    world: World,
    budget: String,
    hold: Option<String>,
    second: Option<String>,
}

/// A world in which `step` can be done; its functions do not try calls again by themselves.
async fn prepare(step: Step) -> Prepared {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        delivers_events: false,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.department("sales", None).await;
    world.user("ada", "backend").await;
    world.user("bob", "sales").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    world.budget(None, "usd", json!(1), true).await;
    let mut prepared = Prepared {
        world,
        budget,
        hold: None,
        second: None,
    };
    let world = &prepared.world;
    if step == Step::FirstHoldOfTheMonth {
        return prepared;
    }
    if step == Step::LateUsageOfCharged {
        world
            .admin(
                "PATCH",
                "/v1/organisation",
                json!({"abandoned_holds": "charge"}),
            )
            .await
            .expect(200);
    }
    prepared.hold = Some(world.hold("ada", "r-1", 300, 100).await);
    prepared.second = Some(world.hold("ada", "r-2", 200, 100).await);
    if matches!(
        step,
        Step::HoldAfterLapsed | Step::LateUsage | Step::LateUsageOfCharged
    ) {
        world.set_clock(LATER).await;
    }
    if matches!(step, Step::LateUsage | Step::LateUsageOfCharged) {
        // Somebody asks for what is not there, which releases the lapsed holds.
        assert_eq!(
            world.preflight("ada", "r-3", 5_000, 0).await["decision"],
            "block"
        );
    }
    prepared
}

async fn preflight(world: &World, request_id: &str, input: i64) -> bool {
    let body = json!({
        "request_id": request_id, "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": input, "max_output_tokens": 0,
    });
    let answer = world.call(AGENT, "POST", "/v1/preflight", body).await;
    if answer.status == 503 {
        return false;
    }
    let decision = answer.expect(200);
    if !is_undecided(&decision) {
        assert_eq!(decision["decision"], "allow", "{decision}");
    }
    !is_undecided(&decision)
}

async fn report(world: &World, events: &[Value]) -> bool {
    let answer = world
        .call(AGENT, "POST", "/v1/events", json!({ "events": events }))
        .await;
    if answer.status == 202 {
        world.system.drain().await.unwrap();
    }
    answer.status == 202
}

async fn admin(world: &World, method: &str, path: &str, body: Value) -> bool {
    let answer = world.admin(method, path, body).await;
    assert!(
        matches!(answer.status, 200..=299 | 404 | 409 | 503),
        "{}",
        answer.body
    );
    answer.status != 503
}

/// Does the step once; whether it was answered.
async fn act(prepared: &Prepared, step: Step) -> bool {
    let Prepared {
        world,
        budget,
        hold,
        second,
    } = prepared;
    let hold = hold.as_deref();
    let usage = |id: &str, hold: Option<&str>| world.usage(id, "ada", 50, 7, hold);
    match step {
        Step::FirstHoldOfTheMonth | Step::Hold => preflight(world, "r-9", 100).await,
        Step::HoldAfterLapsed => preflight(world, "r-9", 900).await,
        Step::Settle | Step::LateUsage | Step::LateUsageOfCharged => {
            report(world, &[usage("e-1", hold)]).await
        }
        Step::UsageWithoutHold => report(world, &[usage("e-1", None)]).await,
        Step::SettleTwoTogether => {
            report(
                world,
                &[usage("e-1", hold), usage("e-2", second.as_deref())],
            )
            .await
        }
        Step::Void => {
            let path = format!("/v1/holds/{}", hold.unwrap());
            let status = world.call(AGENT, "DELETE", &path, Value::Null).await.status;
            assert!(matches!(status, 204 | 503), "{status}");
            status == 204
        }
        Step::CreateBudget => {
            let body = json!({"name": "b", "department_id": "backend", "unit": "tokens", "amount": 5_000, "hard_cap": true});
            admin(world, "POST", "/v1/budgets", body).await
        }
        Step::ChangeAmount => {
            admin(
                world,
                "PATCH",
                &format!("/v1/budgets/{budget}"),
                json!({"amount": 2_000}),
            )
            .await
        }
        Step::DeleteBudget => {
            admin(
                world,
                "DELETE",
                &format!("/v1/budgets/{budget}"),
                Value::Null,
            )
            .await
        }
        Step::MoveUser => {
            admin(
                world,
                "PATCH",
                "/v1/users/ada",
                json!({"department_id": "sales"}),
            )
            .await
        }
        Step::MoveDepartment => {
            admin(
                world,
                "PATCH",
                "/v1/departments/backend",
                json!({"parent_id": "sales"}),
            )
            .await
        }
        Step::Block => admin(world, "PUT", "/v1/users/ada/block", json!({"reason": "r"})).await,
    }
}

/// Everything that a step may change, without ids, times and counts of changes.
async fn state(world: &World) -> Value {
    let all =
        async |path: &str| world.admin("GET", path, Value::Null).await.expect(200)["items"].clone();
    let mut state = json!({
        "budgets": all("/v1/budgets?limit=100").await,
        "departments": all("/v1/departments?limit=100").await,
        "users": all("/v1/users?limit=100").await,
    });
    for list in state.as_object_mut().unwrap().values_mut() {
        for item in list.as_array_mut().unwrap() {
            let item = item.as_object_mut().unwrap();
            for moving in ["id", "version", "created_at", "updated_at"] {
                if moving != "id" || item.contains_key("unit") {
                    item.remove(moving);
                }
            }
        }
        list.as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    let now = world.system.clock().now();
    let configuration = world
        .system
        .store()
        .configuration("demo")
        .await
        .unwrap()
        .unwrap();
    let period = configuration.period_of(now);
    let totals = world
        .system
        .store()
        .department_totals("demo", period)
        .await
        .unwrap();
    state["spent"] = json!(format!("{:?}", totals.sums_under(None)));
    let ada = world
        .system
        .store()
        .user_total("demo", period, "ada")
        .await
        .unwrap();
    state["ada"] = json!(format!("{ada:?}"));
    state["dead"] = json!(world.system.queues().counts("events-dlq").unwrap().visible);
    state
}

/// The state after the step was done in peace, and how many calls it took.
async fn in_peace(step: Step) -> (Value, u64) {
    let prepared = prepare(step).await;
    prepared.world.system.engine().reset_meter();
    assert!(act(&prepared, step).await, "{step:?}");
    let calls = prepared.world.system.engine().meter().calls.values().sum();
    (state(&prepared.world).await, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_done_twice_leaves_the_state_of_once() {
    for step in STEPS {
        let (once, _) = in_peace(step).await;
        let prepared = prepare(step).await;
        assert!(act(&prepared, step).await);
        assert!(act(&prepared, step).await);
        assert_eq!(state(&prepared.world).await, once, "{step:?}");
    }
}

async fn every_call_fails_once(kind: FaultKind, when: When) {
    let mut fired = 0;
    for step in STEPS {
        let (once, calls) = in_peace(step).await;
        assert!(calls > 0);
        for call in 0..calls {
            let prepared = prepare(step).await;
            let engine = prepared.world.system.engine();
            engine.inject(Fault { call, when, kind });
            let case = format!("{step:?}, call {call} of {calls}, {kind:?} {when:?}");
            let mut tries = 0;
            while !act(&prepared, step).await {
                tries += 1;
                assert!(tries < 10, "{case}");
            }
            // Answered as it was, a client may not know: it asks once more.
            engine.clear_faults();
            assert!(act(&prepared, step).await, "{case}");
            fired += engine.faults_fired();
            assert_eq!(state(&prepared.world).await, once, "{case}");
        }
    }
    assert!(fired > 20, "{fired}");
}

macro_rules! faults {
    ($($name:ident: $kind:ident, $when:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            every_call_fails_once(FaultKind::$kind, When::$when).await;
        }
    )*};
}

faults! {
    a_call_that_fails_before_it_is_applied_loses_nothing: InternalServerError, Before;
    a_call_whose_answer_is_lost_doubles_nothing: ConnectionReset, After;
    a_throttled_call_loses_nothing: Throttled, Before;
    a_call_that_meets_a_transaction_is_tried_again: TransactionConflict, Before;
}

#[tokio::test]
async fn a_hold_that_is_given_back_only_halfway_is_not_answered_again() {
    let prepared = prepare(Step::Void).await;
    let world = &prepared.world;
    let hold = prepared.hold.clone().unwrap();
    let kind = FaultKind::ConnectionReset;
    // The void reads the cell, writes the resolution, and fails before the cell follows.
    world.system.engine().inject(Fault {
        call: 2,
        when: When::Before,
        kind,
    });
    let path = format!("/v1/holds/{hold}");
    assert_eq!(
        world.call(AGENT, "DELETE", &path, Value::Null).await.status,
        503
    );
    let again = world.preflight("ada", "r-1", 300, 100).await;
    assert_eq!(again["decision"], "allow");
    assert_ne!(
        again["hold"]["id"],
        json!(hold),
        "another hold, of which nothing was given back"
    );
    let held = world.figures(&prepared.budget).await["held"].clone();
    assert_eq!(held, 400 + 300);
}

/// What the first budget has spent and holds.
async fn spent_and_held(prepared: &Prepared) -> (i64, i64) {
    let seen = prepared.world.figures(&prepared.budget).await;
    let of = |name: &str| seen[name].as_i64().unwrap();
    (of("spent"), of("held"))
}

/// How the record of the event `e-1` is marked.
async fn mark(world: &World) -> AttributeValue {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let tables = world.tables();
    let record = tables
        .get_item()
        .table_name("Ledger")
        .key("pk", text("demo#record#llm_request#ada#e-1"))
        .key("sk", text("-"));
    let record = record.send().await.unwrap().item.unwrap();
    record["mark"].clone()
}

#[tokio::test]
async fn a_hold_that_is_given_back_in_the_middle_of_its_settlement_stays_settled() {
    let prepared = prepare(Step::Void).await;
    let world = &prepared.world;
    let usage = [world.usage("e-1", "ada", 50, 7, prepared.hold.as_deref())];
    world.crash(world.record(&usage), changes_cell).await;
    for _ in 0..2 {
        assert!(act(&prepared, Step::Void).await);
        assert_eq!(spent_and_held(&prepared).await, (57, 300));
        world.record(&usage).await;
        assert_eq!(spent_and_held(&prepared).await, (57, 300));
    }
    assert_eq!(mark(world).await, AttributeValue::S("settled".to_owned()));
}

#[tokio::test]
async fn usage_that_comes_while_its_hold_is_given_back_only_halfway_is_late() {
    let prepared = prepare(Step::Void).await;
    let world = &prepared.world;
    let usage = [world.usage("e-1", "ada", 50, 7, prepared.hold.as_deref())];
    let void = act(&prepared, Step::Void);
    world.crash(void, changes_cell).await;
    assert_eq!(spent_and_held(&prepared).await, (0, 700));
    for _ in 0..2 {
        world.record(&usage).await;
        assert_eq!(spent_and_held(&prepared).await, (57, 300));
        assert!(act(&prepared, Step::Void).await);
        assert_eq!(spent_and_held(&prepared).await, (57, 300));
    }
    assert_eq!(mark(world).await, AttributeValue::S("late".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_in_the_middle_of_a_settlement_or_a_void_the_hold_ends_once() {
    let others = [
        Step::Hold,
        Step::Void,
        Step::CreateBudget,
        Step::ChangeAmount,
        Step::MoveUser,
        Step::MoveDepartment,
        Step::Block,
        Step::DeleteBudget,
    ];
    for (is_settled, spent) in [(true, 57), (false, 0)] {
        for other in others {
            // When it is dropped, its books are added up.
            let prepared = prepare(other).await;
            let world = &prepared.world;
            let usage = [world.usage("e-1", "ada", 50, 7, prepared.hold.as_deref())];
            match is_settled {
                true => world.crash(world.record(&usage), changes_cell).await,
                false => {
                    let void = act(&prepared, Step::Void);
                    world.crash(void, changes_cell).await;
                }
            }
            let case = format!("{other:?} {is_settled}");
            assert!(act(&prepared, other).await, "{case}");
            match is_settled {
                true => world.record(&usage).await,
                false => assert!(act(&prepared, Step::Void).await, "{case}"),
            }
            let (store, month) = (world.system.store(), "2026-11".parse().unwrap());
            let totals = store.department_totals("demo", month).await.unwrap();
            assert_eq!(totals.spent_under(None).tokens, spent, "{case}");
            let cell = store.cell("demo", month).await.unwrap().unwrap();
            let living = 1 + usize::from(other == Step::Hold);
            assert_eq!(cell.holds.len(), living, "{case}");
        }
    }
}

#[tokio::test]
async fn an_instance_that_knows_nothing_decides_by_the_deployment_in_an_outage() {
    for (on_unavailable, decision) in [
        (OnUnavailable::Allow, "allow"),
        (OnUnavailable::Deny, "block"),
    ] {
        let settings = SystemSettings {
            retry: RetryConfig::disabled(),
            on_unavailable,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        for call in 0..50 {
            world.system.engine().inject(Fault {
                call,
                when: When::Before,
                kind: FaultKind::ConnectionReset,
            });
        }
        let answer = world.preflight("ada", "r-1", 1, 1).await;
        assert_eq!(
            (&answer["decision"], &answer["degraded"]),
            (&json!(decision), &json!(true))
        );
        let wrong = json!({"user_id": "ada"});
        let refused = world.call(AGENT, "POST", "/v1/preflight", wrong).await;
        assert_eq!(
            refused.status, 400,
            "a wrong body is wrong in an outage too"
        );
        world.system.engine().clear_faults();
        let unknown = world
            .call("tk_nobody", "POST", "/v1/preflight", json!({}))
            .await;
        assert_eq!(unknown.status, 401);
    }
}

#[tokio::test]
async fn a_database_that_is_silent_is_waited_for_twice_and_then_the_organisation_decides() {
    let settings = SystemSettings {
        preflight_patience: Some(Patience::SHORT),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.set_clock(NOON).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    world.hold("ada", "r-1", 100, 0).await;
    let silence = |call: u64, when: When| {
        let kind = FaultKind::Silence;
        world.system.engine().inject(Fault { call, when, kind });
    };
    // The first attempt takes effect and its answer is lost; the second finds its hold.
    silence(0, When::After);
    let held = world.preflight("ada", "r-2", 200, 0).await;
    assert_eq!(
        (&held["decision"], &held["degraded"]),
        (&json!("allow"), &json!(false))
    );
    assert_eq!(world.figures(&budget).await["held"], 300);
    for (on_unavailable, decision) in [("allow", "allow"), ("deny", "block")] {
        let body = json!({ "on_unavailable": on_unavailable });
        world
            .admin("PATCH", "/v1/organisation", body)
            .await
            .expect(200);
        // Reads the new settings while there are answers.
        world.hold("ada", decision, 1, 0).await;
        silence(0, When::Before);
        silence(1, When::Before);
        let degraded = world.preflight("ada", "r-3", 10, 0).await;
        assert_eq!(
            (&degraded["decision"], &degraded["degraded"]),
            (&json!(decision), &json!(true))
        );
        assert_eq!(degraded["on_unavailable"], on_unavailable);
    }
    assert_eq!(world.figures(&budget).await["held"], 302);
}

#[tokio::test]
async fn in_an_outage_every_decision_is_made_by_on_unavailable() {
    let prepared = prepare(Step::Hold).await;
    let world = &prepared.world;
    let fail = |calls: u64| {
        for call in 0..calls {
            let kind = FaultKind::ConnectionReset;
            world.system.engine().inject(Fault {
                call,
                when: When::Before,
                kind,
            });
        }
    };
    fail(50);
    let allowed = world.preflight("ada", "r-8", 1, 1).await;
    assert_eq!(
        (&allowed["decision"], &allowed["degraded"]),
        (&json!("allow"), &json!(true))
    );
    assert_eq!(
        (&allowed["hold"], &allowed["warnings"][0]["code"]),
        (&Value::Null, &json!("unavailable"))
    );
    // Longer than a key is believed without asking.
    tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;
    assert_eq!(world.preflight("ada", "r-8", 1, 1).await["degraded"], true);
    world.system.engine().clear_faults();
    world
        .admin(
            "PATCH",
            "/v1/organisation",
            json!({"on_unavailable": "deny"}),
        )
        .await
        .expect(200);
    assert_eq!(world.preflight("ada", "r-9", 1, 1).await["degraded"], false);
    fail(50);
    let denied = world.preflight("ada", "r-10", 1, 1).await;
    assert_eq!(
        (&denied["decision"], &denied["retryable"]),
        (&json!("block"), &json!(true))
    );
    assert_eq!(
        (&denied["on_unavailable"], &denied["degraded"]),
        (&json!("deny"), &json!(true))
    );
}

#[tokio::test]
async fn a_crossing_is_told_once_whichever_call_fails() {
    for when in [When::Before, When::After] {
        let mut call = 0;
        loop {
            let settings = SystemSettings {
                retry: RetryConfig::disabled(),
                ..SystemSettings::empty()
            };
            let world = World::with(settings).await;
            world.set_clock(NOON).await;
            world.department("eng", None).await;
            world.user("ada", "eng").await;
            world
                .budget(Some("eng"), "tokens", json!(1_000), true)
                .await;
            let hold = world.hold("ada", "r-1", 600, 0).await;
            let fired = world.system.engine().faults_fired();
            world.system.engine().inject(Fault {
                call,
                when,
                kind: FaultKind::ConnectionReset,
            });
            let events = [
                world.usage("e-1", "ada", 600, 0, Some(&hold)),
                world.usage("e-2", "ada", 400, 0, None),
            ];
            while !report(&world, &events).await {}
            let has_fired = world.system.engine().faults_fired() > fired;
            world.system.engine().clear_faults();
            // Every event once more, as a queue may do.
            assert!(report(&world, &events).await);
            let path = "/v1/alerts";
            let alerts = world.admin("GET", path, Value::Null).await.expect(200);
            let mut levels: Vec<i64> = alerts["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["metadata"]["threshold"].as_i64().unwrap())
                .collect();
            levels.sort_unstable();
            assert_eq!(levels, [50, 80, 100], "call {call} {when:?}");
            if !has_fired {
                break;
            }
            call += 1;
        }
        assert!(call > 8, "{call} calls were made to fail");
    }
}
