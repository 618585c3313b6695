//! `counts`: measures what a hold and a settlement cost, as AWS would bill them, while the depth,
//! the budgets and the live holds grow, and what an event's record costs.

mod cells;
mod records;

use super::figures::tenths;
use super::new_system;
use crate::api_client::{ApiClient, usage_event};
use crate::error::CommandError;
use crate::output::say;
use clap::Args;
use local::dynamodb::Meter;
use local::system::System;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

const DEPTHS: [u32; 4] = [1, 2, 4, 8];
const BUDGETS: [u32; 6] = [5, 10, 20, 50, 100, 500];
const USERS: u32 = 10;
const LIVE_HOLDS: [u32; 8] = [1, 10, 20, 50, 100, 250, 500, 1_000];

/// Measures on new systems in memory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also writes a plot.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Cost {
    x: u32,
    round_trips: u64,
    hold_tenths: u64,
    settle_tenths: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let mut by_depth = Vec::new();
    for depth in DEPTHS {
        let tenant = Tenant::new(depth, depth + 1).await?;
        by_depth.push(tenant.measure(depth, "depth").await?);
    }
    let mut by_budgets = Vec::new();
    for budgets in BUDGETS {
        let tenant = Tenant::new(4, budgets).await?;
        by_budgets.push(tenant.measure(budgets, "budgets").await?);
    }
    let tenant = Tenant::new(4, 5).await?;
    let mut by_holds = Vec::new();
    let mut live = 0;
    for holds in LIVE_HOLDS {
        while live + 1 < holds {
            // A single user may not own all of the holds.
            let user = format!("u{}", live % USERS);
            tenant
                .agent
                .preflight(&user, &format!("live-{live}"), 1)
                .await?;
            live += 1;
        }
        by_holds.push(tenant.measure(holds, "holds").await?);
    }
    let tables = [
        ("depth of the tree (a budget at each level)", &by_depth),
        ("budgets of the organisation (depth 4)", &by_budgets),
        ("live holds (depth 4, 5 budgets)", &by_holds),
    ];
    for (title, costs) in tables {
        say(&format!(
            "| {title} | round trips of a warm preflight | write units of a hold \
             | of hold + settle, in the cell |"
        ));
        say("| --- | --- | --- | --- |");
        for cost in costs {
            say(&format!(
                "| {} | {} | {} | {} |",
                cost.x,
                cost.round_trips,
                tenths(cost.hold_tenths),
                tenths(cost.hold_tenths + cost.settle_tenths),
            ));
        }
        say("");
    }
    cells::print().await?;
    let are_records_claimed = records::measure().await?;
    if let Some(path) = arguments.svg {
        let text = plot(&tables.map(|(title, costs)| (title, costs.as_slice())));
        let shown = format!("cannot write {}", path.display());
        std::fs::write(path, text).map_err(|error| CommandError::Io(shown, error))?;
    }
    let is_dear = by_depth.iter().any(Cost::is_more_than_claimed);
    let claim = |text: &str| Err(CommandError::Claim(text.to_owned()));
    match (is_dear, are_records_claimed) {
        (true, _) => claim("a hold costs more than one round trip and one unit"),
        (false, false) => claim("an event's record costs more than is claimed"),
        (false, true) => Ok(()),
    }
}

impl Cost {
    fn is_more_than_claimed(&self) -> bool {
        let both = self.hold_tenths + self.settle_tenths;
        self.round_trips != 1 || self.hold_tenths != 10 || both > 22
    }
}

struct Tenant {
    system: System,
    agent: ApiClient,
}

impl Tenant {
    /// An organisation with `depth` levels and `budgets` budgets: one at each level, the others in
    /// departments beside the path.
    async fn new(depth: u32, budgets: u32) -> Result<Self, CommandError> {
        let system = new_system().await?;
        let api = ApiClient::of_system(&system);
        let amount = json!(1_000_000_000);
        api.create_budget(None, "tokens", &amount).await?;
        for level in 1..=depth {
            let parent = (level > 1).then(|| format!("d{}", level - 1));
            api.create_department(&format!("d{level}"), parent.as_deref())
                .await?;
            api.create_budget(Some(&format!("d{level}")), "tokens", &amount)
                .await?;
        }
        for beside in 0..budgets.saturating_sub(depth + 1) {
            let id = format!("beside-{beside}");
            api.create_department(&id, None).await?;
            api.create_budget(Some(&id), "tokens", &amount).await?;
        }
        for user in 0..USERS {
            api.create_user(&format!("u{user}"), &format!("d{depth}"))
                .await?;
        }
        let agent = api.as_agent();
        agent.preflight("u0", "warm", 1).await?;
        Ok(Self { system, agent })
    }

    async fn measure(&self, x: u32, name: &str) -> Result<Cost, CommandError> {
        let engine = self.system.engine();
        engine.reset_meter();
        let id = format!("measured-{name}-{x}");
        let decision = self.agent.preflight("u0", &id, 1).await?;
        let (round_trips, hold_tenths) = of(&engine.meter(), "preflight");
        let event = usage_event(&id, "u0", 1, &decision["hold"]["id"]);
        self.agent.report(&[event]).await?;
        self.system.drain().await?;
        let (_, settle_tenths) = of(&engine.meter(), "evaluate");
        Ok(Cost {
            x,
            round_trips,
            hold_tenths,
            settle_tenths,
        })
    }
}

/// Returns the round trips of a function and its write units in the cell.
fn of(meter: &Meter, function: &str) -> (u64, u64) {
    let caller = meter.callers.get(function).cloned().unwrap_or_default();
    let cells = caller.tables.get("Counters").copied().unwrap_or_default();
    (caller.calls, cells.write_units_tenths)
}

const WIDTH: u64 = 300;
const HEIGHT: u64 = 200;
const MARGIN: u64 = 50;

/// Draws three panels side by side: the units of a hold in blue, of a hold and its settlement in
/// red.
fn plot(panels: &[(&str, &[Cost]); 3]) -> String {
    let panel_width = WIDTH + 2 * MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        3 * panel_width,
        HEIGHT + 2 * MARGIN
    );
    for (place, (title, costs)) in (0_u64..).zip(panels) {
        let left = place * panel_width + MARGIN;
        let bottom = HEIGHT + MARGIN;
        let total = |cost: &Cost| cost.hold_tenths + cost.settle_tenths;
        let top = costs.iter().map(total).max().unwrap_or(0).max(30);
        let steps = u64::try_from(costs.len().saturating_sub(1).max(1)).unwrap_or(1);
        let x_of = |n: u64| left + n * WIDTH / steps;
        let y_of = |value: u64| bottom - value * HEIGHT / top;
        let _ = writeln!(
            out,
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>\n\
             <path d=\"M{left} {MARGIN}V{bottom}H{}\" fill=\"none\" stroke=\"#888\"/>",
            MARGIN - 14,
            left + WIDTH
        );
        for value in (0..=3_u64).map(|tick| top * tick / 3) {
            write_tick(&mut out, left - 6, y_of(value) + 4, value);
        }
        for (n, cost) in (0_u64..).zip(costs.iter()) {
            let (x, y) = (x_of(n), bottom + 16);
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                cost.x
            );
        }
        let lines = [("hold", "#1f5fbf"), ("hold + settle", "#bf3f1f")];
        for (row, (name, colour)) in (1_u64..).zip(lines) {
            let value = |cost: &Cost| {
                if row == 1 {
                    cost.hold_tenths
                } else {
                    total(cost)
                }
            };
            let mut points = String::new();
            for (n, cost) in (0_u64..).zip(costs.iter()) {
                let _ = write!(points, "{},{} ", x_of(n), y_of(value(cost)));
            }
            let y = bottom + 16 + 14 * row;
            let _ = writeln!(
                out,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/>\n\
                 <text x=\"{left}\" y=\"{y}\" fill=\"{colour}\">\
                 {name}, write units in the cell</text>",
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Writes the number at a tick of the upright axis.
fn write_tick(out: &mut String, x: u64, y: u64, value: u64) {
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
        tenths(value)
    );
}
