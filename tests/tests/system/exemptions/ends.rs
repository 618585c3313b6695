//! How exemptions end: by time, over the end of a month, and the notices of both.

use super::{asking, company};
use end_to_end::ADMIN;
use serde_json::{Value, json};

#[tokio::test]
async fn an_exemption_ends_by_time_without_a_request() {
    let company = company(0).await;
    let world = &company.world;
    let id = company
        .granted(json!({"kind": "lift", "ends_at": "2026-11-24T13:00:00Z"}))
        .await;
    world.hold("ada", "r-1", 10, 0).await;
    world.set_clock("2026-11-24T12:59:59Z").await;
    world.hold("ada", "r-2", 10, 0).await;
    world.set_clock("2026-11-24T13:00:00Z").await;
    let refused = world.preflight("ada", "r-3", 10, 0).await;
    assert_eq!(refused["decision"], "block");
    assert_eq!(company.exemption(&id).await["status"], "expired");
    assert_eq!(company.step(ADMIN, &id, "revoke").await.status, 409);
    let expired = "/v1/exemptions?status=expired";
    let expired = world.admin("GET", expired, Value::Null).await.expect(200);
    assert_eq!(expired["items"][0]["id"], json!(id));
}

#[tokio::test]
async fn an_exemption_that_begins_later_gives_nothing_before() {
    let company = company(0).await;
    let world = &company.world;
    company
        .granted(json!({"kind": "lift", "starts_at": "2026-11-25T00:00:00Z"}))
        .await;
    let refused = world.preflight("ada", "r-1", 10, 0).await;
    assert_eq!(refused["decision"], "block");
    world.set_clock("2026-11-25T00:00:00Z").await;
    world.hold("ada", "r-1", 10, 0).await;
}

#[tokio::test]
async fn an_exemption_cannot_be_decided_after_its_time() {
    let company = company(0).await;
    let id = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    company.world.set_clock("2026-11-30T12:00:00Z").await;
    assert_eq!(company.step(ADMIN, &id, "approve").await.status, 409);
    assert_eq!(company.exemption(&id).await["status"], "expired");
}

#[tokio::test]
async fn over_the_end_of_a_month_a_raise_gives_as_much_in_the_next() {
    let company = company(100).await;
    let world = &company.world;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 300, "ends_at": "2026-12-05T00:00:00Z"}))
        .await;
    world.hold("ada", "r-1", 300, 0).await;
    let refused = world.preflight("ada", "r-2", 101, 0).await;
    assert_eq!(refused["decision"], "block");
    world.set_clock("2026-12-01T00:10:00Z").await;
    world.hold("ada", "r-3", 300, 0).await;
    let refused = world.preflight("ada", "r-4", 101, 0).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    assert_eq!(company.figures().await, [200, 0, 300, 0]);
    assert_eq!(company.exemption(&id).await["used"]["tokens"], 200 + 200);
    world.set_clock("2026-12-05T00:00:00Z").await;
    let refused = world.preflight("ada", "r-5", 300, 0).await;
    assert_eq!(refused["decision"], "block");
}

#[tokio::test]
async fn a_month_that_was_opened_ahead_has_an_exemption_approved_after_that() {
    let company = company(100).await;
    let world = &company.world;
    world.set_clock("2026-11-30T23:00:00Z").await;
    assert_eq!(company.differences().await, 0, "and the next month is open");
    let cell = world
        .system
        .store()
        .cell("demo", "2026-12".parse().unwrap());
    assert!(cell.await.unwrap().is_some());
    company
        .granted(json!({"kind": "raise", "tokens": 300, "ends_at": "2026-12-05T00:00:00Z"}))
        .await;
    world.set_clock("2026-12-01T00:00:00Z").await;
    world.hold("ada", "r-1", 300, 0).await;
    assert_eq!(company.figures().await, [200, 0, 300, 0]);
    assert_eq!(company.differences().await, 0);
}

#[tokio::test]
async fn another_time_zone_does_not_leave_it_without_counters() {
    let company = company(100).await;
    let world = &company.world;
    world.set_clock("2026-11-30T22:00:00Z").await;
    assert_eq!(company.differences().await, 0, "and the next month is open");
    // In UTC it ends before December; in Auckland it is December already.
    let id = company
        .granted(json!({"kind": "lift", "ends_at": "2026-11-30T23:30:00Z"}))
        .await;
    let zone = json!({"timezone": "Pacific/Auckland"});
    world
        .admin("PATCH", "/v1/organisation", zone)
        .await
        .expect(200);
    let passed = world.preflight("ada", "r-1", 500, 0).await;
    assert_eq!(passed["exemption_id"], json!(id), "{passed}");
    assert_eq!(company.figures().await, [500, 0, 500, 100]);
}

#[tokio::test]
async fn the_end_of_an_exemption_is_told_once_before_and_once_after_it() {
    let company = company(0).await;
    let world = &company.world;
    let id = company
        .granted(json!({"kind": "raise", "tokens": 50}))
        .await;
    let asked = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    let hold = world.hold("ada", "r-1", 20, 0).await;
    let usage = world.usage("e-1", "ada", 20, 0, Some(&hold));
    world.report(&[usage]).await;
    for now in [
        "2026-11-24T12:30:00Z",
        "2026-11-29T13:00:00Z",
        "2026-11-29T14:00:00Z",
        "2026-11-30T12:00:00Z",
        "2026-11-30T13:00:00Z",
    ] {
        world.set_clock(now).await;
        assert_eq!(company.differences().await, 0);
        assert_eq!(company.differences().await, 0);
    }
    world.system.drain().await.unwrap();
    let log = "/v1/audit-log?actor=schedule&limit=100";
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    let of_exemptions = |entry: &&Value| entry["resource"].to_string().contains("exemption");
    let mut steps: Vec<(String, String)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_exemptions)
        .map(|entry| (entry["action"].to_string(), entry["resource"].to_string()))
        .collect();
    steps.sort_unstable();
    let step = |action: &str, id: &str| (format!("\"{action}\""), format!("\"exemption/{id}\""));
    let mut expected = vec![
        step("exemption.ending", &id),
        step("exemption.expire", &asked),
        step("exemption.expire", &id),
    ];
    expected.sort_unstable();
    assert_eq!(steps, expected, "{log}");
    let mails = world
        .admin("GET", "/local/emails", Value::Null)
        .await
        .expect(200);
    let subjects = mails["items"].as_array().unwrap().iter();
    let subjects: Vec<String> = subjects.map(|mail| mail["text"].to_string()).collect();
    let told = subjects.join("\n");
    assert_eq!(
        told.matches("The exemption for ada ends soon").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("The exemption for ada was not decided")
            .count(),
        1
    );
    assert_eq!(
        told.matches("The exemption for ada has ended").count(),
        1,
        "{told}"
    );
    let seen = company.exemption(&id).await;
    assert_eq!(
        (&seen["status"], &seen["used"]["tokens"]),
        (&json!("expired"), &json!(20))
    );
}
