//! The limits of a home cell: 500 budgets, 2,000 live holds, eight levels.

use end_to_end::{AGENT, World};
use serde_json::{Value, json};

#[tokio::test]
async fn two_thousand_holds_of_ten_users_live_and_the_next_one_has_to_wait() {
    let world = World::at("2026-11-23T12:00:00Z").await;
    world.department("eng", None).await;
    for user in 0..10 {
        world.user(&format!("u{user}"), "eng").await;
    }
    world.user("ada", "eng").await;
    let budget = world.budget(None, "tokens", json!(1_000_000), true).await;
    for n in 0..2_000 {
        world
            .hold(&format!("u{}", n % 10), &format!("r-{n}"), 10, 0)
            .await;
    }
    assert_eq!(world.figures(&budget).await["held"], 20_000);

    let refused = world.preflight("ada", "one-more", 10, 0).await;
    assert_eq!(
        (&refused["decision"], &refused["retryable"]),
        (&json!("block"), &json!(true))
    );
    assert_eq!(refused["reasons"][0]["code"], "too_many_holds");
    assert_eq!(
        world.preflight("u7", "r-7", 10, 0).await["decision"],
        "allow",
        "an earlier hold is still answered"
    );

    // A budget made now counts all of them, and each gives back to it.
    let late = world
        .budget(Some("eng"), "tokens", json!(30_000), true)
        .await;
    assert_eq!(world.figures(&late).await["held"], 20_000);
    let hold = world.preflight("u7", "r-7", 10, 0).await["hold"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        world
            .call(AGENT, "DELETE", &format!("/v1/holds/{hold}"), Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(world.figures(&late).await["held"], 19_990);
    world.hold("ada", "after-a-void", 10, 0).await;

    world.set_clock("2026-11-23T12:03:00Z").await;
    let admitted = world.preflight("ada", "after-they-lapsed", 10, 0).await;
    assert_eq!(
        admitted["decision"], "allow",
        "lapsed holds are released before anybody is refused"
    );
    assert!(admitted["hold"].is_object());
}

#[tokio::test]
async fn five_hundred_budgets_are_taken_and_one_more_is_refused() {
    let world = World::empty().await;
    for n in 0..250 {
        world.department(&format!("d{n}"), None).await;
        world
            .budget(Some(&format!("d{n}")), "tokens", json!(1_000), true)
            .await;
        world
            .budget(Some(&format!("d{n}")), "usd", json!(1), true)
            .await;
    }
    let body = json!({"name": "b", "unit": "tokens", "amount": 1, "hard_cap": true});
    let refused = world.admin("POST", "/v1/budgets", body).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    world.user("ada", "d249").await;
    world.hold("ada", "r-1", 400, 600).await;
    assert_eq!(
        world.preflight("ada", "r-2", 1, 0).await["reasons"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_hold_counts_at_all_nine_levels_in_both_units() {
    let world = World::empty().await;
    let mut budgets = vec![
        world.budget(None, "tokens", json!(1_000), true).await,
        world.budget(None, "usd", json!(1), true).await,
    ];
    for level in 1..=8 {
        let parent = (level > 1).then(|| format!("d{}", level - 1));
        let id = format!("d{level}");
        world.department(&id, parent.as_deref()).await;
        budgets.push(world.budget(Some(&id), "tokens", json!(1_000), true).await);
        budgets.push(world.budget(Some(&id), "usd", json!(1), true).await);
    }
    let ninth = json!({"id": "d9", "name": "d9", "parent_id": "d8"});
    assert_eq!(
        world.admin("POST", "/v1/departments", ninth).await.fields(),
        ["parent_id"]
    );
    world.user("ada", "d8").await;
    world.hold("ada", "r-1", 400, 0).await;
    for budget in &budgets {
        let figures = world.figures(budget).await;
        let expected = if figures["unit"] == "usd" {
            "0.001"
        } else {
            "400"
        };
        assert_eq!(figures["held"].to_string(), expected, "{figures}");
    }
    let refused = world.preflight("ada", "r-2", 700, 0).await;
    assert_eq!(
        refused["reasons"].as_array().unwrap().len(),
        9,
        "every short level is named"
    );
}
