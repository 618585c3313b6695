//! `bench`: measures our ledger beside the designs that others use, in one run, on the same engine
//! and the same machine.

mod design;
mod killed;
mod measure;
mod ours;
mod plot;
mod report;
mod runs;
mod tables;
#[cfg(test)]
mod tests;
mod users;

use super::rivals::postgres;
use super::runaway;
use crate::error::CommandError;
use crate::output::say;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runs::Plan;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  toktra bench                              all of it, in some minutes
  toktra bench --quick                      a small part of it, in seconds
  toktra bench --svg docs/bench.svg         with a plot
  toktra bench --data /mnt/disk/bench       on another disk
  toktra bench runaway                      a loop of 100 calls on a cap that fits 5";

/// Measures on new systems, each with its own data.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Makes few and small runs. Their times say little.
    #[arg(long)]
    quick: bool,
    /// The directory for the data of the durable runs, which is deleted afterwards. Without it a
    /// temporary directory is used.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The directory with `initdb` and `postgres`. Without it they are looked for.
    #[arg(long, value_name = "DIR")]
    postgres: Option<PathBuf>,
    /// Also writes a plot.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Runs a loop of 100 calls of $0.18 into a cap of $1.00 at each level, kills the system in
    /// between, and checks that 5 calls pass.
    Runaway(runaway::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    if let Some(Other::Runaway(arguments)) = arguments.other {
        return runaway::run(&arguments).await;
    }
    let programs = postgres::programs(arguments.postgres.as_deref());
    if let Some(asked) = arguments.postgres.filter(|_| programs.is_none()) {
        let shown = asked.display();
        let message = format!("there is no initdb and no postgres in {shown}");
        return Err(CommandError::Answer(message));
    }
    let dir = Dir::create(arguments.data.as_deref())?;
    let plan = if arguments.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    let progress = progress(plan.steps(programs.is_some()));
    let figures = tables::measure(&plan, programs.as_deref(), &dir.path, &progress).await;
    progress.finish_and_clear();
    let figures = figures?;
    say(&report::text(&figures));
    if let Some(path) = &arguments.svg {
        let written = std::fs::write(path, plot::svg(&figures));
        let shown = format!("cannot write {}", path.display());
        written.map_err(|error| CommandError::Io(shown, error))?;
    }
    report::check(&figures)
}

fn progress(steps: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    let bar = ProgressBar::with_draw_target(Some(steps), target);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A directory that is deleted with this value.
struct Dir {
    path: PathBuf,
}

impl Dir {
    /// Makes a directory of this run in `parent`, or where temporary files are.
    fn create(parent: Option<&Path>) -> Result<Self, CommandError> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("toktra-bench-{}", std::process::id()));
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self { path }),
            Err(error) => {
                let message = format!("cannot make {}", path.display());
                Err(CommandError::Io(message, error))
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "the data is left in {}", self.path.display());
        }
    }
}
