//! `replay`: sends real traffic through preflight and events, and reports what was held, spent and
//! refused, and what it cost.

mod company;
mod costs;
mod report;
mod spread;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod traffic;

use super::figures::cpu_hundredths;
use super::new_system;
use crate::api_client::ApiClient;
use crate::audit;
use crate::error::CommandError;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use costs::Costs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use local::system::{ADMIN_KEY, ORGANISATION, System};
use report::{Latency, Report};
use shared::domain::change::Author;
use shared::domain::org::placement::{HOME, Load};
use shared::store::StoreError;
use spread::{SplitMix64, Zipf};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use trace::Row;
use traffic::Plan;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A trace with the columns TIMESTAMP,ContextTokens,GeneratedTokens. Without it the built-in
    /// trace is replayed: one hour of a code assistant, 8,819 requests.
    file: Option<PathBuf>,
    /// The URL of the system, such as http://127.0.0.1:3000. Without it a new system in memory is
    /// used.
    #[arg(long)]
    url: Option<String>,
    /// The administrator's key of that system.
    #[arg(long, requires = "url", default_value = ADMIN_KEY, hide_default_value = true)]
    key: String,
    /// Replays the trace this many times as fast as it was recorded. Without it as fast as
    /// possible.
    #[arg(long, value_name = "X", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    speed: Option<u32>,
    /// The number of concurrent requests.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=4_096)
    )]
    concurrency: u16,
    /// Sends only the first N requests of the trace.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// The caps, in percent of the tokens that are sent.
    #[arg(
        long,
        value_name = "P",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(0..=1_000)
    )]
    budget_percent: u32,
    /// The seed by which requests are assigned to users.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The number of users. A few of them send most requests.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = clap::value_parser!(u16).range(1..=1_000)
    )]
    users: u16,
    /// The number of cells that the month has from the beginning, as after splits. Without it the
    /// system begins with one and splits it as it would anywhere. Not with --url.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "url",
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    cells: Option<u32>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Replays the trace and prints the report. Fails if a check fails.
pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let report = replay(&arguments).await?;
    let text = if arguments.json {
        format!("{:#}\n", report.json())
    } else {
        report.text()
    };
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CommandError::Io("cannot write the report".to_owned(), error))?;
    let failed: Vec<&str> = report.failed().iter().map(|check| check.what).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Claim(failed.join("; ")))
    }
}

/// Replays the trace on the system of the arguments, or on a new one if they name none.
async fn replay(arguments: &Arguments) -> Result<Report, CommandError> {
    let rows = rows(arguments)?;
    if let Some(url) = &arguments.url {
        let client = ApiClient::at(url, &arguments.key);
        return measure(arguments, rows, client, None).await;
    }
    let system = new_system().await?;
    let client = ApiClient::of_system(&system);
    let report = measure(arguments, rows, client, Some(&system)).await;
    system.stop().await;
    report
}

fn rows(arguments: &Arguments) -> Result<Vec<Row>, CommandError> {
    let (name, text) = match &arguments.file {
        None => ("the trace".to_owned(), trace::BUILT_IN.to_owned()),
        Some(file) => {
            let name = format!("the trace {}", file.display());
            let unread = |error| CommandError::Io(format!("{name} cannot be read"), error);
            let text = fs::read_to_string(file).map_err(unread)?;
            (name, text)
        }
    };
    let mut rows = trace::parse(&text).map_err(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        CommandError::Io(format!("{name} is not a trace"), error)
    })?;
    rows.truncate(arguments.limit.unwrap_or(usize::MAX));
    Ok(rows)
}

/// Makes the company and assigns a sender to each row.
async fn plan(
    arguments: &Arguments,
    rows: Vec<Row>,
    client: ApiClient,
) -> Result<Plan, CommandError> {
    let tokens = rows.iter().map(Row::tokens).sum();
    let zipf = Zipf::new(arguments.users);
    let mut random = SplitMix64::new(arguments.seed);
    let senders = rows.iter().map(|_| zipf.pick(&mut random)).collect();
    let company = company::create(
        &client,
        &new_name()?,
        &zipf,
        tokens,
        arguments.budget_percent,
    )
    .await?;
    let can_drain = traffic::can_drain(&client).await?;
    Ok(Plan {
        progress: progress(arguments, rows.len()),
        client,
        company,
        rows,
        senders,
        speed: arguments.speed,
        concurrency: arguments.concurrency,
        can_drain,
    })
}

/// Makes the company, sends the requests, waits for the records and reads the figures.
async fn measure(
    arguments: &Arguments,
    rows: Vec<Row>,
    client: ApiClient,
    own: Option<&System>,
) -> Result<Report, CommandError> {
    let plan = Arc::new(plan(arguments, rows, client).await?);
    if let (Some(system), Some(cells)) = (own, arguments.cells) {
        place(system, &plan, cells).await?;
    }
    let meter_before = costs::meter(&plan.client).await?;
    let cpu_before = own.and_then(|_| cpu_hundredths());
    let started = Instant::now();
    let mut outcome = traffic::send(&plan).await?;
    let elapsed = started.elapsed().as_micros();
    let cpu_after = own.and_then(|_| cpu_hundredths());
    let meter_after = costs::meter(&plan.client).await?;
    plan.progress.finish_and_clear();

    let levels = report::levels(&plan, &outcome).await?;
    let books = match own {
        None => None,
        Some(system) => Some(report::Books {
            recorded_tokens: costs::recorded_tokens(system).await?,
            differences: audit::differences(&audit::compare_local(system).await?),
        }),
    };
    let checks = report::checks(&outcome, &levels, plan.company.root, books.as_ref());
    let latencies = std::mem::take(&mut outcome.tally.latencies_us);
    let (tally, events) = (&outcome.tally, outcome.reported.events);
    let costs = meter_before
        .zip(meter_after)
        .map(|(before, after)| Costs::between(before, after, tally.sent, tally.admitted, events));
    let cpu = cpu_before.zip(cpu_after);
    Ok(Report {
        system: arguments
            .url
            .clone()
            .unwrap_or("a system of its own".to_owned()),
        root: plan.company.name().to_owned(),
        sent: tally.sent,
        admitted: tally.admitted,
        refused: tally.refused,
        degraded: tally.degraded,
        tokens_sent: tally.tokens_sent,
        tokens_admitted: tally.tokens_admitted,
        elapsed_us: u64::try_from(elapsed).unwrap_or(u64::MAX),
        concurrency: plan.concurrency,
        most_open: plan.can_drain.then_some(outcome.most_open),
        preflight_us: Latency::of(latencies),
        cpu_us_per_request: cpu.map(|(before, after)| {
            after.saturating_sub(before).saturating_mul(10_000) / tally.sent.max(1)
        }),
        levels,
        costs,
        checks,
    })
}

/// Divides the month among cells by how many requests each department sends.
async fn place(system: &System, plan: &Plan, cells: u32) -> Result<(), CommandError> {
    let failed = |error: StoreError| CommandError::Answer(format!("cannot place cells: {error}"));
    let store = system.store();
    let configuration = store.configuration(ORGANISATION).await.map_err(failed)?;
    let configuration = configuration.ok_or_else(|| {
        CommandError::Answer(format!("there is no organisation {ORGANISATION:?}"))
    })?;
    let mut sent: BTreeMap<u32, u32> = BTreeMap::new();
    for sender in &plan.senders {
        let department = plan.company.department_of(*sender);
        let index = configuration
            .departments
            .get(&department)
            .map(|of| of.index);
        *sent.entry(index.unwrap_or_default()).or_default() += 1;
    }
    let load = Load::from([(HOME, sent)]);
    let placement = configuration.placement.divided(&load, cells, 0);
    let now = system.clock().now();
    let author = Author::schedule();
    let placed = store.place_cells(ORGANISATION, &author, now, Some(&placement));
    placed.await.map_err(failed)?;
    Ok(())
}

/// Returns a random name, so that a running system can take many replays.
fn new_name() -> Result<String, CommandError> {
    let random = shared::runtime::random::bytes::<4>()
        .map_err(|error| CommandError::Answer(format!("no randomness: {error}")))?;
    Ok(format!("replay-{:08x}", u32::from_be_bytes(random)))
}

fn progress(arguments: &Arguments, requests: usize) -> ProgressBar {
    let is_seen = !arguments.json && io::stderr().is_terminal();
    let target = if is_seen {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {per_sec}, {eta} left");
    let bar = ProgressBar::with_draw_target(u64::try_from(requests).ok(), target);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
