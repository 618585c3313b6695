//! Late usage counts in the department that its user was in when it happened.

use super::figure;
use end_to_end::World;
use serde_json::{Value, json};

/// `eng` > `backend` and `sales`, a budget of 1,000 tokens on each root, and ada in `backend`.
struct Company {
    world: World,
    eng: String,
    sales: String,
}

const HISTORY: &str = "/v1/rollovers?limit=100";

impl Company {
    async fn new() -> Self {
        let world = World::empty().await;
        world.set_clock("2026-11-10T12:00:00Z").await;
        world.department("eng", None).await;
        world.department("backend", Some("eng")).await;
        world.department("sales", None).await;
        world.user("ada", "backend").await;
        let (eng, sales) = (budget(&world, "eng").await, budget(&world, "sales").await);
        Self { world, eng, sales }
    }

    async fn move_user(&self, at: &str, department_id: &str) {
        self.world.set_clock(at).await;
        let body = json!({ "department_id": department_id });
        let path = "/v1/users/ada";
        self.world.admin("PATCH", path, body).await.expect(200);
    }

    async fn move_department(&self, at: &str, id: &str, parent_id: Value) {
        self.world.set_clock(at).await;
        let body = json!({ "parent_id": parent_id });
        let path = format!("/v1/departments/{id}");
        self.world.admin("PATCH", &path, body).await.expect(200);
    }

    /// Reports usage without a hold that happened at `occurred_at`.
    async fn report(&self, event_id: &str, occurred_at: &str, tokens: i64) {
        let mut event = self.world.usage(event_id, "ada", tokens, 0, None);
        event["occurred_at"] = json!(occurred_at);
        self.world.report(&[event]).await;
    }

    /// The amounts that eng and sales have spent this month.
    async fn spent(&self) -> (i64, i64) {
        let of = async |id: &str| figure(&self.world.figures(id).await).0;
        (of(&self.eng).await, of(&self.sales).await)
    }

    async fn fire(&self, at: &str) {
        self.world.set_clock(at).await;
        let path = "/local/schedule";
        let fired = self
            .world
            .admin("POST", path, Value::Null)
            .await
            .expect(200);
        assert_eq!(fired["report"]["differences"], 0, "{fired}");
    }

    /// The amounts that november carries over for eng and sales.
    async fn carried(&self) -> [i64; 2] {
        let rows = self
            .world
            .admin("GET", HISTORY, Value::Null)
            .await
            .expect(200);
        let rows = rows["items"].as_array().unwrap().clone();
        [&self.eng, &self.sales].map(|id| {
            let row = rows.iter().find(|row| row["budget_id"] == **id).unwrap();
            row["carried_out"].as_i64().unwrap()
        })
    }
}

async fn budget(world: &World, department_id: &str) -> String {
    let body = json!({
        "name": department_id, "department_id": department_id, "unit": "tokens", "amount": 1_000,
        "hard_cap": true,
        "rollover": {"cap_percent": 100},
    });
    let made = world.admin("POST", "/v1/budgets", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn usage_of_yesterday_is_that_of_the_department_of_yesterday() {
    let company = Company::new().await;
    company.move_user("2026-11-12T09:00:00Z", "sales").await;
    company.report("before", "2026-11-11T12:00:00Z", 1).await;
    company.report("at", "2026-11-12T09:00:00Z", 10).await;
    company
        .report("last", "2026-11-12T08:59:59.999Z", 100)
        .await;
    assert_eq!(company.spent().await, (101, 10));
    company
        .report("long-before", "2026-10-30T12:00:00Z", 500)
        .await;
    assert_eq!(company.spent().await, (101, 10), "it is october's");
}

#[tokio::test]
async fn a_user_who_moves_back_and_forth_within_seconds_is_where_they_were() {
    let company = Company::new().await;
    for (at, department) in [
        ("2026-11-12T09:00:01Z", "sales"),
        ("2026-11-12T09:00:02Z", "backend"),
        ("2026-11-12T09:00:02.5Z", "sales"),
        ("2026-11-12T09:00:03Z", "eng"),
    ] {
        company.move_user(at, department).await;
    }
    for (n, (at, is_sales)) in [
        ("2026-11-12T09:00:00Z", false),
        ("2026-11-12T09:00:01Z", true),
        ("2026-11-12T09:00:01.999Z", true),
        ("2026-11-12T09:00:02Z", false),
        ("2026-11-12T09:00:02.75Z", true),
        ("2026-11-12T09:00:03Z", false),
    ]
    .into_iter()
    .enumerate()
    {
        let before = company.spent().await;
        company.report(&format!("e-{n}"), at, 1).await;
        let after = company.spent().await;
        let counted = (after.0 - before.0, after.1 - before.1);
        let expected = if is_sales { (0, 1) } else { (1, 0) };
        assert_eq!(counted, expected, "{at}");
    }
}

#[tokio::test]
async fn usage_from_before_a_department_moved_stays_with_its_old_parents() {
    let company = Company::new().await;
    let at = "2026-11-12T09:00:00Z";
    company.move_department(at, "backend", json!("sales")).await;
    company.report("before", "2026-11-12T08:00:00Z", 7).await;
    company.report("after", "2026-11-12T09:00:00Z", 30).await;
    assert_eq!(company.spent().await, (7, 30));
    let at = "2026-11-12T10:00:00Z";
    company.move_department(at, "backend", Value::Null).await;
    company.report("still", "2026-11-12T09:30:00Z", 200).await;
    company.report("nobody", "2026-11-12T10:00:00Z", 500).await;
    assert_eq!(company.spent().await, (7, 230));
}

#[tokio::test]
async fn usage_from_a_deleted_department_counts_above_it() {
    let company = Company::new().await;
    company.move_user("2026-11-12T09:00:00Z", "sales").await;
    let path = "/v1/departments/backend";
    let gone = company.world.admin("DELETE", path, Value::Null).await;
    assert_eq!(gone.status, 204);
    // Another department under its id has nothing to do with it.
    company.world.department("backend", Some("sales")).await;
    company.report("late", "2026-11-12T08:00:00Z", 40).await;
    assert_eq!(company.spent().await, (40, 0));
}

#[tokio::test]
async fn late_usage_of_last_month_corrects_the_carry_of_the_department_of_then() {
    let company = Company::new().await;
    company.report("eng", "2026-11-10T11:00:00Z", 100).await;
    company.move_user("2026-11-30T20:00:00Z", "sales").await;
    company.report("sales", "2026-11-30T20:00:00Z", 50).await;
    company.fire("2026-12-01T00:10:00Z").await;
    assert_eq!(company.carried().await, [900, 950]);
    company.report("late-1", "2026-11-30T19:59:00Z", 300).await;
    company.report("late-2", "2026-11-30T21:00:00Z", 20).await;
    assert_eq!(company.spent().await, (0, 0), "december has nothing of it");
    company.fire("2026-12-02T00:10:00Z").await;
    assert_eq!(company.carried().await, [600, 930]);
}

#[tokio::test]
async fn late_usage_of_a_moved_department_corrects_the_carries_of_both_parents() {
    let company = Company::new().await;
    let at = "2026-11-30T20:00:00Z";
    company.move_department(at, "backend", json!("sales")).await;
    company.fire("2026-12-01T00:10:00Z").await;
    assert_eq!(company.carried().await, [1_000, 1_000]);
    company.report("late-1", "2026-11-30T19:00:00Z", 300).await;
    company.report("late-2", "2026-11-30T21:00:00Z", 20).await;
    company.fire("2026-12-02T00:10:00Z").await;
    assert_eq!(company.carried().await, [700, 980]);
}

#[tokio::test]
async fn late_usage_of_a_hold_that_was_given_back_is_that_of_the_hold() {
    let company = Company::new().await;
    let world = &company.world;
    world.set_clock("2026-11-30T23:55:00Z").await;
    let hold = world.hold("ada", "r-1", 100, 0).await;
    let path = format!("/v1/holds/{hold}");
    let voided = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(voided.status, 204);
    company.move_user("2026-11-30T23:56:00Z", "sales").await;
    world.set_clock("2026-12-01T00:05:00Z").await;
    let event = world.usage("late", "ada", 60, 0, Some(&hold));
    world.report(&[event]).await;
    assert_eq!(company.spent().await, (0, 0), "it is november's");
    company.fire("2026-12-01T00:10:00Z").await;
    assert_eq!(company.carried().await, [940, 1_000]);
}

#[tokio::test]
async fn reports_show_usage_under_the_department_of_then() {
    let company = Company::new().await;
    company.move_user("2026-11-12T09:00:00Z", "sales").await;
    company.report("before", "2026-11-11T12:00:00Z", 5).await;
    let path = "/v1/usage?period=daily&start_date=2026-11-11&end_date=2026-11-12&department_id=eng";
    let rows = company
        .world
        .admin("GET", path, Value::Null)
        .await
        .expect(200);
    assert_eq!(rows["items"][0]["total_input_tokens"], 5, "{rows}");
    let path = "/v1/departments/tree";
    let tree = company
        .world
        .admin("GET", path, Value::Null)
        .await
        .expect(200);
    let of = |id: &str| {
        let items = tree["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == id).unwrap()["usage"]["tokens"].clone()
    };
    assert_eq!((of("eng"), of("sales")), (json!(5), json!(0)));
}

#[tokio::test]
async fn usage_that_is_being_charged_while_its_user_moves_counts_where_it_happened() {
    let company = Company::new().await;
    let world = &company.world;
    let at = "2026-11-12T09:00:00Z";
    world.set_clock(at).await;
    let usage = [world.usage("e-1", "ada", 10, 0, None)];
    let charges = |operation: &str, body: &str| {
        operation == "TransactWriteItems" && body.contains("llm_request#ada#e-1")
    };
    // It was in sales that it happened, by the move that is answered before it is charged.
    let moving = company.move_user(at, "sales");
    world.meanwhile(world.record(&usage), charges, moving).await;
    assert_eq!(company.spent().await, (0, 10));
}
