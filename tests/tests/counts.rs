//! What a request costs in round trips and write units, counted by the engine as AWS would bill it.

use end_to_end::World;
use local::system::SystemSettings;
use serde_json::{Value, json};

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
            "depth {depth}: warm preflight {} round trip, {}.{} write units; hold + settle {}.{} write units in the cell",
            warm.0,
            warm.1 / 10,
            warm.1 % 10,
            settled.1 / 10,
            settled.1 % 10,
        );
    }
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

/// How often a batch of ten users' events reads by keys, under these policies.
async fn batch_reads(triggers: &[Value]) -> u64 {
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
    calls.get("BatchGetItem").copied().unwrap_or(0)
}

#[tokio::test]
async fn policies_cost_a_batch_one_read_of_its_records_and_one_of_all_its_users() {
    let unusual = json!({"type": "unusual_usage_pattern"});
    let total = json!({"type": "token_budget_exceeded", "subject": "user", "tokens": 1_000_000});
    let risks = json!({"type": "ip_risk_event"});
    assert_eq!(batch_reads(&[]).await, 0);
    assert_eq!(batch_reads(&[risks]).await, 0, "usage is of no interest");
    assert_eq!(batch_reads(std::slice::from_ref(&unusual)).await, 2);
    assert_eq!(batch_reads(&[unusual, total]).await, 2);
}
