//! `cells`: shows the cells of an organisation's month, and splits them.

use clap::Args;
use jiff::Timestamp;
use local::system::{ORGANISATION, System, SystemSettings, has_data};
use shared::domain::change::Author;
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::placement::{HOME, Placement};
use shared::runtime::settings::{self, MissingSetting, Patience};
use shared::store::{Store, Tables};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::CommandError;
use crate::output::print;

/// Long waits are fine: only the operator waits.
const PATIENCE: Patience = Patience {
    attempt: Duration::from_secs(10),
    attempts: 3,
};

const HELP: &str = "\
A write costs a unit for each KB of a cell, and each live hold adds some fifty bytes. The system
splits crowded cells by itself; this command shows them, and need not wait for a minute of load.

Without --data it works on a deployment, and needs AWS_REGION, AWS credentials and the names of the
tables (COUNTERS_TABLE, LEDGER_TABLE, GOVERNANCE_TABLE, AUDIT_TABLE) in the environment.

Examples:
    cells --data target/local --dry-run
    cells --organisation acme --dry-run";

/// Shows which cells serve which departments and how full they are, and splits crowded ones.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The directory of the local system's data, which no other program may use meanwhile.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[arg(long, value_name = "ID", default_value = ORGANISATION)]
    organisation: String,
    /// Only shows what a split would change.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let Some(data) = arguments.data.clone() else {
        // Before AWS is asked for anything.
        let missing = |error: MissingSetting| {
            let message = format!("{error}; or give --data");
            CommandError::Answer(message)
        };
        Tables::from_env().map_err(missing)?;
        let aws = settings::aws(PATIENCE).await;
        let store = settings::store(&aws).map_err(missing)?;
        return show_and_split(&store, &arguments, Timestamp::now()).await;
    };
    // A start would make the missing tables, and nobody would see that the data is elsewhere.
    if !has_data(&data) {
        let message = format!("there is no data in {}", data.display());
        return Err(CommandError::Answer(message));
    }
    let settings = SystemSettings {
        data: Some(data),
        ..SystemSettings::empty()
    };
    let system = System::start(settings).await?;
    let now = system.clock().now();
    let done = show_and_split(system.store(), &arguments, now).await;
    system.stop().await;
    done
}

async fn show_and_split(
    store: &Store,
    arguments: &Arguments,
    now: Timestamp,
) -> Result<(), CommandError> {
    let id = &arguments.organisation;
    let failed = |error: shared::store::StoreError| CommandError::Answer(error.to_string());
    let configuration = store.configuration(id).await.map_err(failed)?;
    let Some(configuration) = configuration else {
        let message = format!("there is no organisation {id:?}");
        return Err(CommandError::Answer(message));
    };
    let month = configuration.period_of(now);
    let sum = store.cell(id, month).await.map_err(failed)?;
    print(&shown(&configuration, &sum.unwrap_or_default(), now));
    let planned = match arguments.dry_run {
        true => store.planned_cells(id, now).await,
        false => {
            let author = Author {
                name: "operator".to_owned(),
                ..Author::schedule()
            };
            store.split_cells(id, &author, now).await
        }
    };
    print(&match planned.map_err(failed)? {
        None => "Nothing needs to be split.\n".to_owned(),
        Some(after) => described(&configuration, &after, arguments.dry_run),
    });
    Ok(())
}

/// Shows the cells of a month: how many holds live in each, and which departments it serves.
fn shown(configuration: &Configuration, sum: &Cell, now: Timestamp) -> String {
    let load = sum.load(now);
    let month = configuration.period_of(now);
    let mut text = format!("{month}\ncell  live holds  departments\n");
    for cell in HOME..=configuration.placement.others.max(sum.others) {
        let holds: u32 = load.get(&cell).map_or(0, |of| of.values().sum());
        let served = served_by(configuration, &configuration.placement, cell).join(", ");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{cell:>4}  {holds:>10}  {served}");
    }
    text
}

/// Returns the departments that a cell serves.
fn served_by(configuration: &Configuration, placement: &Placement, cell: u32) -> Vec<String> {
    let departments = configuration.departments.values();
    let served = departments.filter(|of| placement.serving([of.index]).contains(&cell));
    served.map(|department| department.id.clone()).collect()
}

/// Says which departments get other cells.
fn described(configuration: &Configuration, after: &Placement, is_dry: bool) -> String {
    let would = if is_dry { "would get" } else { "get" };
    let (before, cells) = (configuration.placement.others + 1, after.others + 1);
    let mut text =
        format!("{before} cells become {cells}. These departments {would} other cells:\n");
    for department in configuration.departments.values() {
        let of = |placement: &Placement| placement.serving([department.index]);
        let (was, is) = (of(&configuration.placement), of(after));
        if was != is {
            let _ = writeln!(
                text,
                "    {}: {} -> {}",
                department.id,
                list(&was),
                list(&is)
            );
        }
    }
    text
}

fn list(cells: &BTreeSet<u32>) -> String {
    let each: Vec<String> = cells.iter().map(u32::to_string).collect();
    each.join(" ")
}
