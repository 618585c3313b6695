//! What evaluate writes for an event that settles its hold: by itself, and in a batch of many
//! users.

use super::super::figures::tenths;
use crate::api_client::{ApiClient, usage_event};
use crate::error::CommandError;
use crate::output::say;
use local::system::{System, SystemSettings};
use serde_json::json;

/// How many users the events of a batch are of.
const USERS: u32 = 50;
/// The most tenths of units that are claimed: of an event by itself, and of one in a batch.
const MOST_ALONE: u64 = 90;
const MOST_IN_BATCH: u64 = 70;

/// The write units of events that were recorded together, in tenths.
struct Cost {
    what: &'static str,
    events: u64,
    ledger: u64,
    cell: u64,
    most: u64,
}

impl Cost {
    fn each(&self, tenths_of_all: u64) -> String {
        tenths(tenths_of_all.div_ceil(self.events))
    }

    fn is_as_claimed(&self) -> bool {
        self.ledger + self.cell <= self.most * self.events
    }
}

/// Measures, and prints a table. Returns whether an event costs no more than is claimed.
pub(super) async fn measure() -> Result<bool, CommandError> {
    // Events wait until all are reported, so that they are recorded together.
    let settings = SystemSettings {
        delivers_events: false,
        ..SystemSettings::default()
    };
    let system = System::start(settings).await?;
    let api = ApiClient::of_system(&system);
    let amount = json!(1_000_000_000);
    api.create_budget(None, "tokens", &amount).await?;
    api.create_department("d1", None).await?;
    api.create_department("d2", Some("d1")).await?;
    for user in 0..USERS {
        api.create_user(&format!("u{user}"), "d2").await?;
    }
    let agent = api.as_agent();
    let mut costs = Vec::new();
    for (what, users, most) in [
        (
            "an event by itself, the first of its user's day",
            1,
            MOST_ALONE,
        ),
        ("an event by itself", 1, MOST_ALONE),
        (
            "50 events of 50 users, nearly all the first of a day",
            USERS,
            MOST_IN_BATCH,
        ),
        ("50 events of 50 users", USERS, MOST_IN_BATCH),
    ] {
        let mut events = Vec::new();
        for user in 0..users {
            let (id, user) = (format!("{}-{user}", costs.len()), format!("u{user}"));
            let decision = agent.preflight(&user, &id, 1).await?;
            events.push(usage_event(&id, &user, 1, &decision["hold"]["id"]));
        }
        agent.report(&events).await?;
        system.engine().reset_meter();
        system.drain().await?;
        let meter = system.engine().meter();
        let evaluate = meter.callers.get("evaluate").cloned().unwrap_or_default();
        let of = |table: &str| {
            let units = evaluate.tables.get(table).copied().unwrap_or_default();
            units.write_units_tenths
        };
        costs.push(Cost {
            what,
            events: users.into(),
            ledger: of("Ledger"),
            cell: of("Counters"),
            most,
        });
    }
    say("| write units of evaluate for each event | record and sums | in the cell | at most |");
    say("| --- | --- | --- | --- |");
    for cost in &costs {
        say(&format!(
            "| {} | {} | {} | {} |",
            cost.what,
            cost.each(cost.ledger),
            cost.each(cost.cell),
            tenths(cost.most),
        ));
    }
    say("");
    Ok(costs.iter().all(Cost::is_as_claimed))
}
