//! `race`: many requests at once on caps that fit some of them.

use super::tenant::{Api, cpu_hundredths, own_system, ratio, tenths};
use super::{CommandError, say};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use http::Method;
use local::system::{ADMIN_KEY, AGENT_KEY};
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens of one request: with gpt-4o's price of $2.50 a million these are 1,000 micro-USD.
pub(crate) const TOKENS: i64 = 400;

/// Which budgets there are at each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Units {
    /// In tokens.
    Tokens,
    /// In US dollars.
    Usd,
    /// In both.
    Both,
}

/// Where the cap is that binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binding {
    /// The user's own department.
    Leaf,
    /// A department half way up.
    Middle,
    /// The organisation.
    Root,
}

/// Races on a system of its own, in memory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many levels of departments stand under the organisation, each with its budgets: 1 to 8.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    depth: u8,
    /// What the budgets count.
    #[arg(long, value_enum, default_value_t = Units::Both)]
    unit: Units,
    /// Which level's cap binds.
    #[arg(long, value_enum, default_value_t = Binding::Root)]
    binding: Binding,
    /// How many requests are sent at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// How many of them the binding cap fits.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1_900))]
    cap_holds: u32,
}

/// A budget and what its holds must add up to.
struct Level {
    name: String,
    budget_id: String,
    held: Value,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let system = own_system(None).await?;
    let api = Api::Own(system.router());
    let fits = arguments.cap_holds.min(arguments.requests);
    let levels = set_up(&api, &arguments, fits).await?;
    // The first request of an instance reads the configuration; it is not part of the race.
    preflight(&api, "warm", 0).await?;
    system.engine().reset_meter();
    let cpu = cpu_hundredths();
    let raced = race(&api, "race", arguments.requests).await?;
    let cpu = cpu_hundredths()
        .zip(cpu)
        .map(|(after, before)| after - before);
    let meter = system.engine().meter();
    let preflight = meter.callers.get("preflight").cloned().unwrap_or_default();
    let units = preflight
        .tables
        .get("Counters")
        .map_or(0, |t| t.write_units_tenths);
    say(&format!("requests at once       {}", arguments.requests));
    say(&format!(
        "admitted               {} (the cap fits {fits})",
        raced.admitted
    ));
    say(&format!("refused                {}", raced.refused));
    say(&format!(
        "round trips a request  {}",
        ratio(preflight.calls, arguments.requests.into())
    ));
    say(&format!(
        "write units a hold     {}",
        tenths(units / u64::from(raced.admitted.max(1)))
    ));
    say(&format!(
        "preflight p50, p99     {}, {} ms",
        millis(raced.p50),
        millis(raced.p99)
    ));
    match cpu {
        Some(cpu) => say(&format!(
            "CPU of all requests    {} s, client included",
            ratio(cpu, 100)
        )),
        None => say("CPU of all requests    n/a"),
    }
    let mut is_exact = raced.admitted == fits;
    for level in &levels {
        let figures = api.figures(ADMIN_KEY, &level.budget_id).await?;
        let is_right = figures["held"].as_f64() == level.held.as_f64();
        let mark = if is_right { "as it must be" } else { "WRONG" };
        say(&format!(
            "held at {:<14} {} ({mark})",
            level.name, figures["held"]
        ));
        is_exact &= is_right;
    }
    system.stop().await;
    if is_exact {
        Ok(())
    } else {
        let said = format!("{} were admitted where {fits} fit", raced.admitted);
        Err(CommandError::Claim(said))
    }
}

fn dollars(holds: u32) -> Value {
    // 1,000 micro-USD a hold.
    serde_json::from_str(&ratio_of_thousand(holds)).unwrap_or(Value::Null)
}

fn ratio_of_thousand(holds: u32) -> String {
    let text = format!("{}.{:03}", holds / 1_000, holds % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

async fn set_up(api: &Api, arguments: &Arguments, fits: u32) -> Result<Vec<Level>, CommandError> {
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
            api.department(ADMIN_KEY, &name, parent.as_deref()).await?;
        }
        let department = (level > 0).then_some(name.as_str());
        let whose = department.unwrap_or("organisation");
        if arguments.unit != Units::Usd {
            let amount = json!(i64::from(room) * TOKENS);
            levels.push(Level {
                name: format!("{whose}, tokens"),
                budget_id: api.budget(ADMIN_KEY, department, "tokens", &amount).await?,
                held: json!(i64::from(fits) * TOKENS),
            });
        }
        if arguments.unit != Units::Tokens {
            levels.push(Level {
                name: format!("{whose}, usd"),
                budget_id: api
                    .budget(ADMIN_KEY, department, "usd", &dollars(room))
                    .await?,
                held: dollars(fits),
            });
        }
    }
    for user in 0..10 {
        api.user(ADMIN_KEY, &format!("u{user}"), &format!("d{depth}"))
            .await?;
    }
    Ok(levels)
}

/// What became of a race.
pub(crate) struct Raced {
    pub(crate) admitted: u32,
    pub(crate) refused: u32,
    /// In microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

/// Sends `requests` at once, of ten users.
pub(crate) async fn race(api: &Api, name: &str, requests: u32) -> Result<Raced, CommandError> {
    let tasks = (0..requests).map(|n| {
        let (api, name) = (api.clone(), format!("{name}-{n}"));
        tokio::spawn(async move {
            let began = Instant::now();
            let decision = ask(&api, &format!("u{}", n % 10), &name, TOKENS).await?;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            Ok::<_, CommandError>((decision["decision"] == "allow", took))
        })
    });
    let started: Vec<_> = tasks.collect();
    let mut raced = Raced {
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
            raced.admitted += 1;
        } else {
            raced.refused += 1;
        }
    }
    times.sort_unstable();
    raced.p50 = percentile(&times, 50);
    raced.p99 = percentile(&times, 99);
    Ok(raced)
}

/// The value that `percent` of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// Microseconds as milliseconds.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

async fn preflight(api: &Api, request_id: &str, tokens: i64) -> Result<Value, CommandError> {
    ask(api, "u0", request_id, tokens).await
}

/// Asks to pass for `user_id`.
pub(crate) async fn ask(
    api: &Api,
    user_id: &str,
    request_id: &str,
    tokens: i64,
) -> Result<Value, CommandError> {
    let body = json!({
        "request_id": request_id, "user_id": user_id, "provider": "openai", "model": "gpt-4o",
        "input_tokens": tokens, "max_output_tokens": 0,
    });
    api.expect(AGENT_KEY, Method::POST, "/v1/preflight", &body)
        .await
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
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (50, 99));
        assert_eq!((percentile(&[7], 50), percentile(&[], 50)), (7, 0));
        assert_eq!(millis(1_234), "1.23");
        assert_eq!(ratio_of_thousand(50), "0.05");
    }
}
