//! `toktra`: the whole system on this machine. `cargo run` starts it, and the API answers on
//! <http://127.0.0.1:3000>. The other commands measure it or help to operate a deployment.

mod api_client;
mod audit;
mod bench;
mod cells;
mod demo;
mod error;
mod mails;
mod openapi;
mod output;
mod prices;
mod redrive;
mod roles;
mod serve;
mod welcome;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use bench::{backtest, books, compare, counts, crash, race, replay, stress};
use clap::{Parser, Subcommand};
use error::CommandError;
use output::print_error;
use serve::ServeError;
use shared::runtime::logs::COUNTS;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Runs the whole system in one process: every function, DynamoDB and SQS.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends real traffic through preflight and events, and prints what was held, spent and
    /// refused.
    Replay(replay::Arguments),
    /// Sends racing requests to caps that fit some of them, and checks that exactly those pass.
    Race(race::Arguments),
    /// Puts a hard cap under the load of many clients, and checks that it is spent and not
    /// exceeded.
    Stress(stress::Arguments),
    /// Kills the system while it works, starts it again, and checks that the cap still holds.
    Crash(crash::Arguments),
    /// Measures our ledger beside the designs that others use.
    Bench(compare::Arguments),
    /// Prints the cost of a hold and a settlement as depth, budgets and live holds grow.
    Counts(counts::Arguments),
    /// Compares the records, totals and counters of an organisation, and prints each difference.
    Audit(audit::Arguments),
    /// Tests policies on a million stored records, and prints the processor time.
    Backtest(backtest::Arguments),
    /// Compares many stored records with their totals, and prints the read units, the cost and the
    /// time.
    Books(books::Arguments),
    /// Shows the cells of an organisation's month, and splits crowded ones.
    Cells(cells::Arguments),
    /// Moves the dead letters of a deployment back to their queue.
    Redrive(redrive::Arguments),
    /// Prints one mail of each kind as it would be sent.
    Mails(mails::Arguments),
    /// Imports a newer list of prices, or checks the price book.
    Prices(prices::Arguments),
    /// Prints who may call each endpoint.
    Roles,
    /// Prints the OpenAPI document, which is checked in as docs/openapi.json.
    Openapi,
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logs();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error(&format!("error: {}\n", chain(&failure)));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Some(command) = arguments.command else {
        return Ok(serve::run(arguments.serve).await?);
    };
    match command {
        Command::Replay(arguments) => replay::run(arguments).await?,
        Command::Race(arguments) => race::run(arguments).await?,
        Command::Stress(arguments) => stress::run(arguments).await?,
        Command::Crash(arguments) => crash::run(arguments).await?,
        Command::Bench(arguments) => compare::run(arguments).await?,
        Command::Counts(arguments) => counts::run(arguments).await?,
        Command::Audit(arguments) => audit::run(arguments).await?,
        Command::Backtest(arguments) => backtest::run(arguments).await?,
        Command::Books(arguments) => books::run(arguments).await?,
        Command::Cells(arguments) => cells::run(arguments).await?,
        Command::Redrive(arguments) => redrive::run(arguments).await?,
        Command::Mails(arguments) => mails::run(&arguments)?,
        Command::Prices(arguments) => prices::run(&arguments)?,
        Command::Roles => roles::run(),
        Command::Openapi => openapi::run()?,
    }
    Ok(())
}

/// Starts the logs on standard error, at the levels of `RUST_LOG`: `debug`, or by target
/// `warn,notify=info`.
fn start_logs() {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let asked: Option<Targets> = asked.parse().ok().filter(|_| !asked.is_empty());
    let targets = asked.unwrap_or_else(|| {
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("notify", LevelFilter::INFO)
    });
    // The counts are for CloudWatch.
    let targets = targets.with_target(COUNTS, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_filter(targets);
    let started = tracing_subscriber::registry().with(lines);
    if let Err(error) = started.try_init() {
        print_error(&format!("cannot write logs: {error}\n"));
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
