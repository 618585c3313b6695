//! `race`: sends many requests at once to caps that fit some of them.

use super::figures::{cpu_hundredths, millis, percentile, ratio, tenths};
use super::new_system;
use crate::api_client::ApiClient;
use crate::error::CommandError;
use crate::output::say;
use clap::{Args, ValueEnum};
use futures::StreamExt;
use local::dynamodb::Meter;
use serde_json::{Value, json};
use std::time::Instant;

/// The tokens of one request. At gpt-4o's price of $2.50 per million they cost 1,000 micro-USD.
pub(crate) const TOKENS: i64 = 400;

/// The units of the budgets at each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Units {
    Tokens,
    Usd,
    Both,
}

/// The level whose cap binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binding {
    /// The department of the users.
    Leaf,
    /// A department halfway up.
    Middle,
    Root,
}

/// Races on a new system in memory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The levels of departments below the organisation, each with its budgets: 1 to 8.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    depth: u8,
    /// The units that the budgets count.
    #[arg(long, value_enum, default_value_t = Units::Both)]
    unit: Units,
    /// The level whose cap binds.
    #[arg(long, value_enum, default_value_t = Binding::Root)]
    binding: Binding,
    /// The number of requests sent at once.
    #[arg(
        long,
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    requests: u32,
    /// The number of requests that the binding cap fits.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1_900))]
    cap_holds: u32,
}

/// A budget and the expected sum of its holds.
struct Level {
    name: String,
    budget_id: String,
    held: Value,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let system = new_system().await?;
    let api = ApiClient::of_system(&system);
    let agent = api.as_agent();
    let fits = arguments.cap_holds.min(arguments.requests);
    let levels = set_up(&api, &arguments, fits).await?;
    // The first request of an instance reads the configuration and is not part of the race.
    agent.preflight("u0", "warm", 0).await?;
    system.engine().reset_meter();
    let cpu_before = cpu_hundredths();
    let result = race(&agent, "race", arguments.requests).await?;
    let cpu = cpu_hundredths()
        .zip(cpu_before)
        .map(|(after, before)| after - before);
    print(&arguments, fits, &result, &system.engine().meter(), cpu);
    let mut is_exact = result.admitted == fits;
    for level in &levels {
        let budget = api.budget(&level.budget_id).await?;
        let is_right = budget["held"].as_f64() == level.held.as_f64();
        let mark = if is_right { "as it must be" } else { "WRONG" };
        say(&format!(
            "held at {:<14} {} ({mark})",
            level.name, budget["held"]
        ));
        is_exact &= is_right;
    }
    system.stop().await;
    if is_exact {
        Ok(())
    } else {
        let message = format!("{} were admitted, but {fits} fit", result.admitted);
        Err(CommandError::Claim(message))
    }
}

fn print(arguments: &Arguments, fits: u32, result: &RaceResult, meter: &Meter, cpu: Option<u64>) {
    let preflight = meter.callers.get("preflight").cloned().unwrap_or_default();
    let counters = preflight.tables.get("Counters");
    let units = counters.map_or(0, |table| table.write_units_tenths);
    let requests = arguments.requests;
    say(&format!("requests at once       {requests}"));
    say(&format!(
        "admitted               {} (the cap fits {fits})",
        result.admitted
    ));
    say(&format!("refused                {}", result.refused));
    say(&format!(
        "round trips a request  {}",
        ratio(preflight.calls, requests.into())
    ));
    say(&format!(
        "write units a hold     {}",
        tenths(units / u64::from(result.admitted.max(1)))
    ));
    say(&format!(
        "preflight p50, p99     {}, {} ms",
        millis(result.p50),
        millis(result.p99)
    ));
    match cpu {
        Some(cpu) => say(&format!(
            "CPU of all requests    {} s, client included",
            ratio(cpu, 100)
        )),
        None => say("CPU of all requests    n/a"),
    }
}

fn dollars(holds: u32) -> Value {
    // Each hold is 1,000 micro-USD.
    serde_json::from_str(&ratio_of_thousand(holds)).unwrap_or(Value::Null)
}

fn ratio_of_thousand(holds: u32) -> String {
    let text = format!("{}.{:03}", holds / 1_000, holds % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

async fn set_up(
    api: &ApiClient,
    arguments: &Arguments,
    fits: u32,
) -> Result<Vec<Level>, CommandError> {
    let depth = arguments.depth;
    let binding = match arguments.binding {
        Binding::Leaf => depth,
        Binding::Middle => depth.div_ceil(2),
        Binding::Root => 0,
    };
    let mut levels = Vec::new();
    for level in 0..=depth {
        let room = if level == binding {
            arguments.cap_holds
        } else {
            arguments.cap_holds * 20 + 1_000
        };
        let name = format!("d{level}");
        if level > 0 {
            let parent = (level > 1).then(|| format!("d{}", level - 1));
            api.create_department(&name, parent.as_deref()).await?;
        }
        let department = (level > 0).then_some(name.as_str());
        let owner = department.unwrap_or("organisation");
        if arguments.unit != Units::Usd {
            let amount = json!(i64::from(room) * TOKENS);
            levels.push(Level {
                name: format!("{owner}, tokens"),
                budget_id: api.create_budget(department, "tokens", &amount).await?,
                held: json!(i64::from(fits) * TOKENS),
            });
        }
        if arguments.unit != Units::Tokens {
            levels.push(Level {
                name: format!("{owner}, usd"),
                budget_id: api.create_budget(department, "usd", &dollars(room)).await?,
                held: dollars(fits),
            });
        }
    }
    for user in 0..10 {
        api.create_user(&format!("u{user}"), &format!("d{depth}"))
            .await?;
    }
    Ok(levels)
}

/// The result of a race.
pub(crate) struct RaceResult {
    pub(crate) admitted: u32,
    pub(crate) refused: u32,
    /// The median latency, in microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

/// Sends `requests` requests of ten users at once.
pub(crate) async fn race(
    agent: &ApiClient,
    name: &str,
    requests: u32,
) -> Result<RaceResult, CommandError> {
    let tasks = (0..requests).map(|n| {
        let (agent, name) = (agent.clone(), format!("{name}-{n}"));
        tokio::spawn(async move {
            let began = Instant::now();
            let user = format!("u{}", n % 10);
            let decision = agent.preflight(&user, &name, TOKENS).await?;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            Ok::<_, CommandError>((decision["decision"] == "allow", took))
        })
    });
    let started: Vec<_> = tasks.collect();
    let mut result = RaceResult {
        admitted: 0,
        refused: 0,
        p50: 0,
        p99: 0,
    };
    let mut times = Vec::with_capacity(started.len());
    let mut answers = futures::stream::iter(started).buffer_unordered(64);
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| CommandError::Answer(error.to_string()))?;
        let (is_admitted, took) = answer?;
        times.push(took);
        if is_admitted {
            result.admitted += 1;
        } else {
            result.refused += 1;
        }
    }
    times.sort_unstable();
    result.p50 = percentile(&times, 50);
    result.p99 = percentile(&times, 99);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_race_prints_figures_that_hold() {
        let arguments = Arguments {
            depth: 4,
            unit: Units::Both,
            binding: Binding::Middle,
            requests: 200,
            cap_holds: 20,
        };
        run(arguments).await.unwrap();
    }

    #[test]
    fn dollars_have_no_zeros_at_their_end() {
        assert_eq!(ratio_of_thousand(50), "0.05");
    }
}
