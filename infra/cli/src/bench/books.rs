//! `books`: measures the comparison of many records with their totals, in read units, dollars and
//! time.
//!
//! Settles one hold in the usual way, then copies its record and its resolution many times with
//! other ids, users and times over the 27 days before, and writes the totals that fit. So the items
//! look as `evaluate` writes them. The comparison goes on pass by pass, as `reset` does it.

use super::figures::ratio;
use super::new_system;
use crate::error::CommandError;
use crate::output::say;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use local::system::{ORGANISATION, System};
use shared::ledger::Allowance;
use std::time::{Duration, Instant};

mod items;

/// How long a pass of the schedule reads the records of an organisation.
const PASS: Duration = Duration::from_secs(240);
const MAX_PASSES: u32 = 1_000;
/// Ten-thousandths of a dollar for a million read units in us-east-1: docs/costs.md has the prices.
const PRICE: u64 = 1_250;
/// The number of records that the result is told for.
const TOLD: u64 = 10_000_000;

/// Measures on a new system in memory, which needs about 3 GB for a million records.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The number of records.
    #[arg(
        long,
        default_value_t = 200_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000)
    )]
    records: u64,
    /// The number of users who own the records.
    #[arg(
        long,
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=100_000)
    )]
    users: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let system = new_system().await?;
    let now = system.clock().now();
    let template = items::settled(&system, now).await?;
    items::write_all(&system, &template, &arguments, now).await?;
    let Arguments { records, users } = arguments;
    say(&format!(
        "{records} records of {users} users in 27 days, all of which settled a hold"
    ));
    say("");
    say("| comparison | records read | passes | seconds | read units | $ |");
    say("| --- | --- | --- | --- | --- | --- |");
    let all = compare(&system, now).await?;
    say(&all.row("the first, of all records"));
    let next_day = now.saturating_add(SignedDuration::from_hours(24));
    let next = compare(&system, next_day.map_err(wrong)?).await?;
    say(&next.row("the next day's, of open days"));
    if all.records != records {
        let what = format!("{} of {records} records were compared", all.records);
        return Err(CommandError::Claim(what));
    }
    let scaled = |value: u64| value.saturating_mul(TOLD) / records;
    let told = Cost {
        records: TOLD,
        passes: 0,
        millis: scaled(all.millis),
        units: scaled(all.units),
    };
    say("");
    say(&format!(
        "{TOLD} records at this rate: {} s, {} read units, ${}; the embedded engine's share of the \
         time is in it",
        told.millis / 1_000,
        told.units,
        told.dollars()
    ));
    Ok(())
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    records: u64,
    passes: u32,
    millis: u64,
    units: u64,
}

impl Cost {
    /// Returns the price, rounded up to a cent.
    fn dollars(&self) -> String {
        // Ten-thousandths of a dollar for a million units are cents for a hundred million.
        let cents = self.units.saturating_mul(PRICE).div_ceil(100_000_000);
        ratio(cents, 100)
    }

    fn row(&self, name: &str) -> String {
        let Self {
            records,
            passes,
            millis,
            units,
        } = self;
        let seconds = ratio(*millis, 1_000);
        let dollars = self.dollars();
        format!("| {name} | {records} | {passes} | {seconds} | {units} | {dollars} |")
    }
}

/// Compares in as many passes as it takes. There must be no difference.
async fn compare(system: &System, now: Timestamp) -> Result<Cost, CommandError> {
    let store = system.store();
    system.engine().reset_meter();
    let begun = Instant::now();
    let mut cost = Cost::default();
    while cost.passes < MAX_PASSES {
        cost.passes += 1;
        let configuration = store.configuration(ORGANISATION).await.map_err(wrong)?;
        let configuration = configuration.ok_or_else(|| wrong("there is no organisation"))?;
        let kept = store.comparison(ORGANISATION).await.map_err(wrong)?;
        let allowance = Allowance::until(Instant::now() + PASS);
        let compared = store.compare_on(&configuration, kept, now, allowance);
        let compared = compared.await.map_err(wrong)?;
        cost.records += compared.records;
        let Some(over) = compared.over else { continue };
        if let Some(difference) = over.differences.first() {
            return Err(CommandError::Claim(difference.to_string()));
        }
        let ended = store.end_comparison(ORGANISATION, over, now);
        ended.await.map_err(wrong)?;
        cost.millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // A batch read says nothing of its units here: each resolution is below 4 KB and costs one.
        let counted = system.engine().meter().read_units_tenths / 10;
        cost.units = counted.saturating_add(cost.records);
        return Ok(cost);
    }
    Err(CommandError::Claim(
        "the comparison does not end".to_owned(),
    ))
}

/// An answer that is not what it should be.
fn wrong(what: impl std::fmt::Display) -> CommandError {
    CommandError::Answer(what.to_string())
}
