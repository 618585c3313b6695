//! The tables as text, and the claims that they must show.

use super::super::figures::{millis, ratio, tenths};
use super::design::Kind;
use super::killed::Killed;
use super::measure::Figures;
use super::runs::Load;
use super::tables::{Row, Tables};
use crate::error::CommandError;

const IN_MEMORY: &str = "\
| depth | at once | users | fit | design | admitted of | overshoot | round trips | calls \
| write units | CPU ms | p50 ms | p99 ms |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";
const ON_DISK: &str = "\
| at once | design | holds a second | beside atomic updates | CPU ms | p50 ms | p99 ms |
| --- | --- | --- | --- | --- | --- | --- |";
const KILLED: &str = "\
| design | clients were told of | levels count | forgotten | stuck for ever |
| --- | --- | --- | --- | --- |";

/// All tables, in Markdown.
pub(super) fn text(tables: &Tables) -> String {
    let mut lines = Vec::new();
    if tables.is_quick {
        lines.push("These are few and small runs: their times say little.\n".to_owned());
    }
    lines.push("In memory. Calls, units and CPU are those of one request.\n".to_owned());
    lines.push(IN_MEMORY.to_owned());
    for row in &tables.in_memory {
        let all = row.figures.iter();
        lines.extend(all.map(|(kind, figures)| in_memory(&row.load, *kind, figures)));
    }
    lines.push("\nAll clients killed when a quarter of the requests was answered.\n".to_owned());
    lines.push(KILLED.to_owned());
    lines.extend(
        tables
            .killed
            .iter()
            .map(|(kind, after)| killed(*kind, after)),
    );
    let depth = tables.durable.first().map_or(0, |row| row.load.depth);
    lines.push(format!(
        "\nOn disk: an answer is given when it is there. A chain of {depth} counters.\n"
    ));
    if !tables.has_postgres {
        lines.push("PostgreSQL is not installed here, so it is not measured.\n".to_owned());
    }
    lines.push(ON_DISK.to_owned());
    for row in &tables.durable {
        let all = row.figures.iter();
        lines.extend(all.map(|(kind, figures)| on_disk(row, *kind, figures)));
    }
    lines.join("\n")
}

fn in_memory(load: &Load, kind: Kind, figures: &Figures) -> String {
    let requests = figures.requests;
    let fits = load.fits.map_or("all".to_owned(), |fits| fits.to_string());
    let (admitted, expected) = (figures.admitted, load.expected());
    let overshoot = match admitted < expected {
        true => format!("0, {} refused that fit", expected - admitted),
        false => (admitted - expected).to_string(),
    };
    let units = figures.write_units_tenths.map_or("-".to_owned(), |units| {
        tenths(units / u64::from(admitted.max(1)))
    });
    format!(
        "| {} | {} | {} | {fits} | {} | {admitted} of {requests} | {overshoot} | {} | {} | {units} \
         | {} | {} | {} |",
        load.depth,
        load.at_once,
        load.users,
        kind.name(),
        of_each(figures.round_trips, requests),
        of_each(figures.calls, requests),
        cpu(figures),
        millis(figures.p50),
        millis(figures.p99),
    )
}

/// `total` / `requests` with one decimal.
fn of_each(total: u64, requests: u32) -> String {
    tenths(total.saturating_mul(10) / u64::from(requests.max(1)))
}

fn cpu(figures: &Figures) -> String {
    let of_each = |micros: u64| millis(micros / u64::from(figures.requests.max(1)));
    figures.cpu_micros.map_or("n/a".to_owned(), of_each)
}

fn killed(kind: Kind, after: &Killed) -> String {
    let counted = match after.least == after.most {
        true => after.least.to_string(),
        false => format!("{} to {}", after.least, after.most),
    };
    format!(
        "| {} | {} | {counted} | {} | {} |",
        kind.name(),
        after.answered,
        after.forgotten(),
        after.stuck()
    )
}

fn on_disk(row: &Row, kind: Kind, figures: &Figures) -> String {
    use super::super::rivals::postgres::Way;
    let rate = holds_a_second(figures);
    let beside = |other: &Figures| ratio(rate, holds_a_second(other));
    let atomic = row
        .figures
        .iter()
        .find(|(kind, _)| *kind == Kind::Postgres(Way::Atomic));
    format!(
        "| {} | {} | {rate} | {} | {} | {} | {} |",
        row.load.at_once,
        kind.name(),
        atomic.map_or("-".to_owned(), |(_, atomic)| beside(atomic)),
        cpu(figures),
        millis(figures.p50),
        millis(figures.p99),
    )
}

/// The holds that were answered in a second.
pub(super) fn holds_a_second(figures: &Figures) -> u64 {
    u64::from(figures.admitted).saturating_mul(1_000_000) / figures.elapsed_micros.max(1)
}

/// Fails if our ledger admitted more or fewer than fit, or lost something by a crash. Times depend
/// on the machine, so they are no claim.
pub(super) fn check(tables: &Tables) -> Result<(), CommandError> {
    for row in tables.in_memory.iter().chain(&tables.durable) {
        let ours = row.figures.iter().filter(|(kind, _)| is_ours(*kind));
        for (_, figures) in ours {
            let rounds = figures.requests / row.load.requests.max(1);
            let expected = row.load.expected() * rounds;
            if figures.admitted != expected {
                let admitted = figures.admitted;
                let message = format!("{admitted} were admitted, but {expected} fit");
                return Err(CommandError::Claim(message));
            }
        }
    }
    let ours = tables.killed.iter().filter(|(kind, _)| is_ours(*kind));
    let lost: u32 = ours
        .map(|(_, after)| after.forgotten() + after.stuck())
        .sum();
    match lost {
        0 => Ok(()),
        lost => {
            let message = format!("{lost} holds were lost when the clients were killed");
            Err(CommandError::Claim(message))
        }
    }
}

fn is_ours(kind: Kind) -> bool {
    matches!(kind, Kind::Ours(_))
}
