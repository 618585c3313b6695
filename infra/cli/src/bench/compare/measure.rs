//! Puts a load on a design and measures it.

use super::super::figures::{cpu_micros, percentile};
use super::design::Design;
use super::runs::Load;
use crate::error::CommandError;
use local::system::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

/// What one run has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) requests: u32,
    pub(super) admitted: u32,
    /// The calls to the database.
    pub(super) calls: u64,
    /// The calls that waited for each other.
    pub(super) round_trips: u64,
    /// None if nothing counts them.
    pub(super) write_units_tenths: Option<u64>,
    /// The processor time of everything, clients included.
    pub(super) cpu_micros: Option<u64>,
    pub(super) elapsed_micros: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
}

/// What a client noted of one request.
struct Sample {
    is_admitted: bool,
    round_trips: u32,
    micros: u64,
}

/// Sends all requests of a load. `processes` are those of a database beside this process.
pub(super) async fn run(
    design: Design,
    system: Option<&System>,
    processes: &[u32],
    load: Load,
) -> Result<Figures, CommandError> {
    let design = Arc::new(design);
    if let Some(system) = system {
        system.engine().reset_meter();
    }
    let cpu_before = cpu(processes);
    let began = Instant::now();
    let samples = send(&design, load).await?;
    let elapsed_micros = micros(began);
    let cpu_micros = cpu(processes)
        .zip(cpu_before)
        .map(|(after, before)| after.saturating_sub(before));
    let count = |counted: usize| u32::try_from(counted).unwrap_or(u32::MAX);
    let admitted = count(samples.iter().filter(|one| one.is_admitted).count());
    let round_trips = samples.iter().map(|one| u64::from(one.round_trips)).sum();
    let mut times: Vec<u64> = samples.iter().map(|one| one.micros).collect();
    times.sort_unstable();
    let mut figures = Figures {
        requests: load.requests,
        admitted,
        calls: round_trips,
        round_trips,
        write_units_tenths: None,
        cpu_micros,
        elapsed_micros,
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
    };
    if let Some(system) = system {
        let meter = system.engine().meter();
        let caller = meter.callers.get(design.caller()).cloned();
        let caller = caller.unwrap_or_default();
        let units = caller.tables.values().map(|table| table.write_units_tenths);
        figures.write_units_tenths = Some(units.sum());
        figures.calls = caller.calls;
        if round_trips == 0 {
            figures.round_trips = caller.calls;
        }
    }
    Ok(figures)
}

async fn send(design: &Arc<Design>, load: Load) -> Result<Vec<Sample>, CommandError> {
    let next = Arc::new(AtomicU32::new(0));
    let mut clients = JoinSet::new();
    for client in 0..usize::try_from(load.at_once).unwrap_or(1) {
        let (design, next) = (design.clone(), next.clone());
        clients.spawn(async move {
            let mut samples = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= load.requests {
                    return Ok::<_, CommandError>(samples);
                }
                let began = Instant::now();
                let outcome = design.hold(&load, client, n).await?;
                samples.push(Sample {
                    is_admitted: outcome.is_admitted,
                    round_trips: outcome.round_trips,
                    micros: micros(began),
                });
            }
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = clients.join_next().await {
        all.extend(ended.map_err(|error| CommandError::Answer(error.to_string()))??);
    }
    Ok(all)
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The processor time of this process and of `others`.
fn cpu(others: &[u32]) -> Option<u64> {
    let own = cpu_micros("self")?;
    let others = others.iter().map(|id| cpu_micros(&id.to_string()));
    Some(own + others.sum::<Option<u64>>()?)
}
