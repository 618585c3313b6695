//! Months: they begin by themselves, are closed once and in order, and carry over what the rules
//! say.

mod changes;
mod comparison;
mod model;
mod rules;
mod two_years;
mod zones;

use end_to_end::World;
use local::system::SystemSettings;
use serde_json::Value;

/// A world whose events wait until they are drained.
async fn quiet_world() -> World {
    World::with(SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await
}

/// Fires the schedule, which must have nothing to complain of.
async fn fire(world: &World) -> Value {
    let fired = world
        .admin("POST", "/local/schedule", Value::Null)
        .await
        .expect(200);
    assert_eq!(fired["fired"], true);
    let report = fired["report"].clone();
    assert_eq!(report["failed"], serde_json::json!([]), "{report}");
    assert_eq!(report["is_complete"], true, "{report}");
    assert_eq!(report["differences"], 0, "{report}");
    report
}

/// The whole history of a budget, the newest month first.
async fn history(world: &World, budget_id: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/budgets/{budget_id}/rollovers?limit=10{cursor}");
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        rows.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}
