//! Makes all runs of a plan.

use super::super::rivals::postgres::{Postgres, Way};
use super::design::{Design, Kind, new_system};
use super::killed::{self, Killed};
use super::measure::{self, Figures};
use super::runs::{DurableLoad, Load, Plan};
use crate::error::CommandError;
use indicatif::ProgressBar;
use std::path::Path;

/// A load and what each design has made of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) load: Load,
    pub(super) figures: Vec<(Kind, Figures)>,
}

/// All figures of one command.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) in_memory: Vec<Row>,
    pub(super) durable: Vec<Row>,
    pub(super) killed: Vec<(Kind, Killed)>,
    pub(super) has_postgres: bool,
    pub(super) is_quick: bool,
}

pub(super) async fn measure(
    plan: &Plan,
    programs: Option<&Path>,
    dir: &Path,
    progress: &ProgressBar,
) -> Result<Tables, CommandError> {
    let mut in_memory = Vec::new();
    for &load in &plan.loads {
        let mut figures = Vec::new();
        for kind in Kind::ON_ENGINE {
            start_step(progress, kind, &load, "in memory");
            figures.push((kind, on_engine(kind, load, None).await?));
        }
        in_memory.push(Row { load, figures });
    }
    let mut after_kill = Vec::new();
    for kind in Kind::ON_ENGINE {
        start_step(progress, kind, &plan.killed, "killed in the middle");
        let system = new_system(None).await?;
        let design = Design::on_engine(kind, &system, &plan.killed).await?;
        let result = killed::run(design, &system, plan.killed).await;
        system.stop().await;
        after_kill.extend(result?.map(|killed| (kind, killed)));
    }
    let postgres = match programs {
        Some(programs) => Some(Postgres::start(programs, &dir.join("postgres")).await?),
        None => None,
    };
    let mut durable = Vec::new();
    for of in &plan.durable {
        durable.push(on_disk(of, postgres.as_ref(), dir, progress).await?);
    }
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    Ok(Tables {
        in_memory,
        durable,
        killed: after_kill,
        has_postgres: programs.is_some(),
        is_quick: plan.is_quick,
    })
}

fn start_step(progress: &ProgressBar, kind: Kind, load: &Load, place: &str) {
    progress.inc(1);
    let (name, at_once) = (kind.name(), load.at_once);
    progress.set_message(format!("{name}, {at_once} at once, {place}"));
}

async fn on_engine(kind: Kind, load: Load, dir: Option<&Path>) -> Result<Figures, CommandError> {
    let system = new_system(dir).await?;
    let measured = async {
        let design = Design::on_engine(kind, &system, &load).await?;
        measure::run(design, Some(&system), &[], load).await
    };
    let figures = measured.await;
    system.stop().await;
    figures
}

/// Makes the rounds of a load on disk. The designs take turns, so that a disk that is slow for a
/// while is slow for all.
async fn on_disk(
    of: &DurableLoad,
    postgres: Option<&Postgres>,
    dir: &Path,
    progress: &ProgressBar,
) -> Result<Row, CommandError> {
    let on_postgres: &[Kind] = match postgres {
        Some(_) => &Kind::ON_POSTGRES,
        None => &[],
    };
    let kinds: Vec<Kind> = Kind::ON_ENGINE.iter().chain(on_postgres).copied().collect();
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); kinds.len()];
    for round in 0..of.rounds {
        for (kind, rounds) in kinds.iter().zip(&mut rounds) {
            start_step(progress, *kind, &of.load, "on disk");
            let figures = match (kind, postgres) {
                (Kind::Postgres(way), Some(postgres)) => on_server(*way, postgres, of.load).await?,
                _ => {
                    let data = dir.join(format!("round-{round}"));
                    let figures = on_engine(*kind, of.load, Some(&data)).await?;
                    let removed = std::fs::remove_dir_all(&data);
                    let shown = "cannot delete the data of a round".to_owned();
                    removed.map_err(|error| CommandError::Io(shown, error))?;
                    figures
                }
            };
            rounds.push(figures);
        }
    }
    let together = rounds.iter().map(|rounds| sum(rounds));
    Ok(Row {
        load: of.load,
        figures: kinds.into_iter().zip(together).collect(),
    })
}

async fn on_server(way: Way, postgres: &Postgres, load: Load) -> Result<Figures, CommandError> {
    let design = Design::on_postgres(way, postgres, &load).await?;
    measure::run(design, None, &postgres.processes(), load).await
}

/// Adds the rounds of one design. Its percentiles are the medians of the rounds'.
pub(super) fn sum(rounds: &[Figures]) -> Figures {
    let middle = |of: fn(&Figures) -> u64| {
        let mut values: Vec<u64> = rounds.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let total = |of: fn(&Figures) -> u64| rounds.iter().map(of).sum();
    Figures {
        requests: rounds.iter().map(|round| round.requests).sum(),
        admitted: rounds.iter().map(|round| round.admitted).sum(),
        calls: total(|round| round.calls),
        round_trips: total(|round| round.round_trips),
        write_units_tenths: rounds.iter().map(|round| round.write_units_tenths).sum(),
        cpu_micros: rounds.iter().map(|round| round.cpu_micros).sum(),
        elapsed_micros: total(|round| round.elapsed_micros),
        p50: middle(|round| round.p50),
        p99: middle(|round| round.p99),
    }
}
