//! What a hold and a settlement cost if the live holds are in many cells.

use super::of;
use crate::api_client::{ApiClient, usage_event};
use crate::bench::figures::tenths;
use crate::bench::new_system;
use crate::error::CommandError;
use crate::output::say;
use http::Method;
use local::system::{ORGANISATION, System};
use serde_json::{Value, json};
use shared::domain::change::Author;
use shared::domain::org::placement::{HOME, Load, MAX_CELLS};
use std::collections::BTreeMap;

/// Live holds and the depth of the tree, on as many cells as there can be.
const CASES: [(u32, u32); 3] = [(900, 4), (900, 8), (10_000, 8)];
const USERS: u32 = 640;
/// The requests that are measured: each user is in a cell by a hash, so one says little.
const MEASURED: u32 = 320;

/// The average cost of a request, in tenths.
struct Average {
    live: u32,
    depth: u32,
    hold: u64,
    settle: u64,
    /// How many of the requests took one round trip.
    in_one: u32,
}

/// Measures and prints a table.
pub(super) async fn print() -> Result<(), CommandError> {
    say(&format!(
        "| live holds on {MAX_CELLS} cells | depth | holds in one round trip | write units of a \
         hold | of hold + settle, in the cells |"
    ));
    say("| --- | --- | --- | --- | --- |");
    for (live, depth) in CASES {
        let cost = measure(live, depth).await?;
        say(&format!(
            "| {} | {} | {} % | {} | {} |",
            cost.live,
            cost.depth,
            cost.in_one * 100 / MEASURED,
            tenths(cost.hold),
            tenths(cost.hold + cost.settle),
        ));
    }
    say("");
    Ok(())
}

async fn measure(live: u32, depth: u32) -> Result<Average, CommandError> {
    let system = new_system().await?;
    let agent = company(&system, depth).await?;
    let user = |n: u32| format!("u{}", n % USERS);
    for n in 0..live {
        agent.preflight(&user(n), &format!("live-{n}"), 1).await?;
    }
    let engine = system.engine();
    let (mut held, mut in_one, mut events) = (0, 0, Vec::new());
    for n in 0..MEASURED {
        engine.reset_meter();
        let id = format!("measured-{n}");
        let decision = agent.preflight(&user(n), &id, 1).await?;
        let (round_trips, units) = of(&engine.meter(), "preflight");
        held += units;
        in_one += u32::from(round_trips == 1);
        events.push(usage_event(&id, &user(n), 1, &decision["hold"]["id"]));
    }
    engine.reset_meter();
    for batch in events.chunks(10) {
        agent.report(batch).await?;
        system.drain().await?;
    }
    let (_, settled) = of(&engine.meter(), "evaluate");
    system.stop().await;
    Ok(Average {
        live,
        depth,
        hold: held / u64::from(MEASURED),
        settle: settled / u64::from(MEASURED),
        in_one,
    })
}

/// A tree with a budget at each level, whose leaf is served by all cells but home.
async fn company(system: &System, depth: u32) -> Result<ApiClient, CommandError> {
    let api = ApiClient::of_system(system);
    let amount = json!(1_000_000_000);
    api.create_budget(None, "tokens", &amount).await?;
    for level in 1..=depth {
        let parent = (level > 1).then(|| format!("d{}", level - 1));
        let id = format!("d{level}");
        api.create_department(&id, parent.as_deref()).await?;
        api.create_budget(Some(&id), "tokens", &amount).await?;
    }
    for user in 0..USERS {
        api.create_user(&format!("u{user}"), &format!("d{depth}"))
            .await?;
    }
    let store = system.store();
    let failed = |error: shared::store::StoreError| CommandError::Answer(error.to_string());
    let configuration = store.configuration(ORGANISATION).await.map_err(failed)?;
    let placement = configuration.map(|of| of.placement).unwrap_or_default();
    let load = Load::from([(HOME, BTreeMap::from([(depth - 1, 1_000_000)]))]);
    let placement = placement.divided(&load, MAX_CELLS, 0);
    let (author, now) = (Author::schedule(), system.clock().now());
    let placed = store.place_cells(ORGANISATION, &author, now, Some(&placement));
    placed.await.map_err(failed)?;
    let agent = api.as_agent();
    // Every cell gets its part of each counter with its first request.
    for user in 0..USERS {
        let (user, request) = (format!("u{user}"), format!("first-{user}"));
        let decision = agent.preflight(&user, &request, 1).await?;
        let hold = decision["hold"]["id"].as_str().unwrap_or_default();
        let path = format!("/v1/holds/{hold}");
        agent.send(Method::DELETE, &path, &Value::Null).await?;
    }
    Ok(agent)
}
