//! An organisation whose month has several cells: what people see is what one cell would say.

mod splits;

use end_to_end::cells::place;
use end_to_end::{AGENT, World};
use futures::future::join_all;
use local::dynamodb::{Fault, FaultKind, When};
use serde_json::{Value, json};

/// A cap on tokens of the whole company, and users `u0` to `u8` in three departments, which are
/// served by all cells but home, by one of them, and by all of them again.
struct Company {
    world: World,
    cap: String,
}

async fn company(cells: u32, cap: i64) -> Company {
    let world = World::empty().await;
    place(&world.system, cells).await;
    for department in ["a", "b", "c"] {
        world.department(department, None).await;
    }
    for (n, department) in ["a", "b", "c"].iter().cycle().take(9).enumerate() {
        world.user(&format!("u{n}"), department).await;
    }
    let cap = world.budget(None, "tokens", json!(cap), true).await;
    Company { world, cap }
}

impl Company {
    async fn is_allowed(&self, user: &str, request: &str, tokens: i64) -> bool {
        let decision = self.world.preflight(user, request, tokens, 0).await;
        decision["decision"] == "allow"
    }

    /// Spent, held and available of the cap.
    async fn figures(&self) -> [i64; 3] {
        let budget = self.world.figures(&self.cap).await;
        ["spent", "held", "available"].map(|name| budget[name].as_i64().unwrap())
    }

    async fn change(&self, change: Value) {
        let path = format!("/v1/budgets/{}", self.cap);
        self.world.admin("PATCH", &path, change).await.expect(200);
    }

    /// Uses `tokens` under a hold of `held`.
    async fn use_up(&self, user: &str, request: &str, held: i64, tokens: i64) {
        let world = &self.world;
        let hold = world.hold(user, request, held, 0).await;
        let event = world.usage(request, user, tokens, 0, Some(&hold));
        world.report(&[event]).await;
    }

    /// The numbers of the cells that have live holds.
    async fn cells_with_holds(&self) -> Vec<u32> {
        let store = self.world.system.store();
        let month = "2026-11".parse().unwrap();
        let sum = store.cell("demo", month).await.unwrap().unwrap();
        let load = sum.load(self.world.system.clock().now());
        load.into_keys().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_requests_in_all_cells_admit_exactly_what_the_company_has() {
    for cells in [2, 5] {
        let company = company(cells, 50 * 400).await;
        let ask = async |n: usize| {
            let (user, request) = (format!("u{}", n % 9), format!("r-{n}"));
            company.is_allowed(&user, &request, 400).await
        };
        let answers = join_all((0..300).map(ask)).await;
        let admitted = answers
            .into_iter()
            .filter(|is_admitted| *is_admitted)
            .count();
        assert_eq!(admitted, 50, "{cells} cells");
        assert_eq!(company.figures().await, [0, 20_000, 0]);
    }
}

#[tokio::test]
async fn the_last_token_can_be_spent_wherever_it_is() {
    let company = company(4, 1_000).await;
    for (n, user) in ["u0", "u1", "u2", "u3", "u4"].iter().enumerate() {
        assert!(company.is_allowed(user, &format!("r-{n}"), 199).await);
    }
    assert!(!company.is_allowed("u5", "r-5", 6).await, "five are left");
    assert!(company.is_allowed("u6", "r-6", 5).await);
    assert_eq!(company.figures().await, [0, 1_000, 0]);
    assert!(company.cells_with_holds().await.len() > 1);
}

#[tokio::test]
async fn a_hold_names_its_cell_and_is_released_renewed_and_settled_there() {
    let company = company(4, 1_000).await;
    let world = &company.world;
    let hold = world.hold("u1", "r-1", 400, 0).await;
    assert!(hold.starts_with("hold_202611c"), "{hold}");
    let path = format!("/v1/holds/{hold}");
    let more = json!({"tokens": 700, "extend_seconds": 600});
    let renewed = world.call(AGENT, "PATCH", &path, more).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    assert_eq!(company.figures().await, [0, 700, 300]);
    let event = world.usage("e-1", "u1", 600, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(company.figures().await, [600, 0, 400]);
    let voided = world.hold("u2", "r-2", 400, 0).await;
    let path = format!("/v1/holds/{voided}");
    let answer = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 204);
    assert_eq!(company.figures().await, [600, 0, 400]);
}

#[tokio::test]
async fn a_hold_grows_by_what_other_cells_have() {
    let company = company(4, 1_000).await;
    let world = &company.world;
    world.hold("u0", "r-0", 300, 0).await;
    let hold = world.hold("u1", "r-1", 100, 0).await;
    let path = format!("/v1/holds/{hold}");
    let grow = async |tokens: i64| {
        let answer = world.call(AGENT, "PATCH", &path, json!({"tokens": tokens}));
        answer.await.expect(200)["decision"].clone()
    };
    assert_eq!(grow(701).await, "block");
    assert_eq!(grow(700).await, "allow");
    assert_eq!(company.figures().await, [0, 1_000, 0]);
}

#[tokio::test]
async fn a_debt_in_one_cell_stops_everybody_until_it_is_made_good() {
    let company = company(4, 1_000).await;
    for user in ["u0", "u1", "u2"] {
        company.use_up(user, &format!("r-{user}"), 100, 100).await;
    }
    // 700 are left, in several cells. One answer takes 850.
    company.use_up("u4", "r-4", 100, 850).await;
    assert_eq!(company.figures().await, [1_150, 0, -150]);
    for n in 0..9 {
        assert!(
            !company
                .is_allowed(&format!("u{n}"), &format!("s-{n}"), 1)
                .await
        );
    }
    company.change(json!({"amount": 1_149})).await;
    assert!(!company.is_allowed("u0", "t-0", 1).await);
    company.change(json!({"amount": 1_250})).await;
    assert!(!company.is_allowed("u3", "t-1", 101).await);
    assert!(company.is_allowed("u3", "t-2", 60).await);
    assert!(company.is_allowed("u8", "t-3", 40).await);
    assert!(!company.is_allowed("u5", "t-4", 1).await);
    assert_eq!(company.figures().await, [1_150, 100, 0]);
}

#[tokio::test]
async fn usage_that_nobody_asked_for_is_charged_and_stops_others() {
    let company = company(4, 1_000).await;
    let world = &company.world;
    company.use_up("u0", "r-0", 100, 100).await;
    world
        .report(&[
            world.usage("e-1", "u1", 500, 0, None),
            world.usage("e-2", "u2", 399, 0, None),
        ])
        .await;
    assert_eq!(company.figures().await, [999, 0, 1]);
    assert!(!company.is_allowed("u3", "r-3", 2).await);
    world.report(&[world.usage("e-3", "u4", 50, 0, None)]).await;
    assert_eq!(company.figures().await, [1_049, 0, -49]);
    assert!(!company.is_allowed("u3", "r-4", 1).await);
    let correction = json!({
        "user_id": "u4", "month": "2026-11", "tokens": -49, "reason": "it was a test"
    });
    let corrected = world.admin("POST", "/v1/corrections", correction).await;
    assert_eq!(corrected.status, 201, "{}", corrected.body);
    assert!(!company.is_allowed("u3", "r-5", 1).await);
    assert_eq!(company.figures().await, [1_000, 0, 0]);
}

#[tokio::test]
async fn a_cap_can_be_lowered_made_soft_and_hard_again_while_parts_are_elsewhere() {
    let company = company(4, 1_000).await;
    for user in ["u0", "u1", "u2"] {
        company.use_up(user, &format!("r-{user}"), 200, 200).await;
    }
    company.change(json!({"amount": 700})).await;
    assert_eq!(company.figures().await, [600, 0, 100]);
    assert!(!company.is_allowed("u3", "s-1", 101).await);
    assert!(company.is_allowed("u3", "s-2", 30).await);
    company.change(json!({"hard_cap": false})).await;
    assert!(company.is_allowed("u4", "s-3", 500).await, "it is soft");
    assert_eq!(company.figures().await, [600, 530, -430]);
    company.change(json!({"hard_cap": true})).await;
    assert!(!company.is_allowed("u0", "s-4", 1).await);
    company.change(json!({"amount": 1_200})).await;
    assert!(company.is_allowed("u8", "s-5", 70).await);
    assert!(!company.is_allowed("u7", "s-6", 1).await);
    assert_eq!(company.figures().await, [600, 600, 0]);
}

#[tokio::test]
async fn a_new_budget_counts_what_was_used_before_and_a_deleted_one_stops_nobody() {
    let company = company(4, 10_000).await;
    let world = &company.world;
    for user in ["u0", "u3", "u6"] {
        company.use_up(user, &format!("r-{user}"), 100, 100).await;
    }
    let of_a = world.budget(Some("a"), "tokens", json!(350), true).await;
    let figures = world.figures(&of_a).await;
    assert_eq!(
        (&figures["spent"], &figures["available"]),
        (&json!(300), &json!(50))
    );
    assert!(!company.is_allowed("u0", "s-0", 51).await);
    assert!(company.is_allowed("u3", "s-1", 50).await);
    assert!(
        company.is_allowed("u1", "s-2", 51).await,
        "another department"
    );
    let path = format!("/v1/budgets/{of_a}");
    let deleted = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    assert!(company.is_allowed("u6", "s-3", 400).await);
}

#[tokio::test]
async fn each_call_of_a_hold_that_gathers_may_fail_and_the_retry_holds_once() {
    for call in 0..20_u64 {
        let company = company(4, 1_000).await;
        let engine = company.world.system.engine();
        for (n, user) in ["u0", "u1", "u2"].iter().enumerate() {
            assert!(company.is_allowed(user, &format!("r-{n}"), 200).await);
        }
        engine.inject(Fault {
            call: call / 2,
            when: [When::Before, When::After][usize::from(call % 2 == 1)],
            kind: FaultKind::ConnectionReset,
        });
        let first = company.world.preflight("u4", "big", 399, 0).await;
        engine.clear_faults();
        let again = company.world.preflight("u4", "big", 399, 0).await;
        assert_eq!(again["decision"], "allow", "call {call}: {first} {again}");
        assert_eq!(company.figures().await, [0, 999, 1], "call {call}");
    }
}
