//! `bench runaway`: a loop that nobody stops, a cap at one level of the tree, and a system that is
//! killed in between.

use super::crash::Running;
use crate::api_client::ApiClient;
use crate::error::CommandError;
use crate::output::say;
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The tokens of one call. At gpt-4o's price of $2.50 per million they cost $0.18.
const TOKENS: i64 = 72_000;
/// The calls that fit into $1.00: five cost $0.90.
const FIT: usize = 5;
const EXAMPLES: &str = "\
Examples:
  toktra bench runaway               a cap at each of 8 levels
  toktra bench runaway --levels 2    at the two uppermost levels only";

/// Runs a system of its own, with data on disk, and kills it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The levels of departments, each of which has the cap in turn.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8))]
    levels: u8,
    /// The calls of a loop.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    calls: u32,
    /// The calls that are under way at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    at_once: u16,
    /// The directory of the data. Without it a temporary directory is used and deleted afterwards.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let (data, is_ours) = match &arguments.data {
        Some(data) => (data.clone(), false),
        None => {
            let name = format!("toktra-runaway-{}", std::process::id());
            (std::env::temp_dir().join(name), true)
        }
    };
    let done = run_away(&data, arguments).await;
    if is_ours && let Err(error) = std::fs::remove_dir_all(&data) {
        tracing::warn!(%error, "the data is left in {}", data.display());
    }
    done
}

async fn run_away(data: &Path, arguments: &Arguments) -> Result<(), CommandError> {
    say(&format!(
        "A loop of {} calls of $0.18, {} at once, on a cap of $1.00. Killed with SIGKILL when a \
         tenth is answered, and started again on its data.",
        arguments.calls, arguments.at_once
    ));
    let mut running = Running::start(data)?;
    let mut is_exact = true;
    for level in 1..=arguments.levels {
        let budget_id = create_tree(&running.api, level, arguments.levels).await?;
        let mut passed = BTreeSet::new();
        let calls: Vec<u32> = (0..arguments.calls).collect();
        let before = calls.len() / 10;
        let open = send(
            &running.api,
            level,
            calls,
            Some(before),
            arguments,
            &mut passed,
        )
        .await?;
        running.kill()?;
        running = Running::start(data)?;
        let passed_before = passed.len();
        // Those that got no answer ask again, as an agent does.
        let retried = open.len();
        send(&running.api, level, open, None, arguments, &mut passed).await?;
        let figures = running.api.budget(&budget_id).await?;
        let is_right = passed.len() == FIT && figures["held"].as_f64() == json!(0.9).as_f64();
        is_exact &= is_right;
        say(&format!(
            "cap at level {level}: {passed_before} passed before the crash, {} of {retried} after \
             it, {} in all ({}), held ${}",
            passed.len() - passed_before,
            passed.len(),
            if is_right { "as it must be" } else { "WRONG" },
            figures["held"],
        ));
    }
    running.kill()?;
    if is_exact {
        Ok(())
    } else {
        let message = format!("not exactly {FIT} calls passed at each level");
        Err(CommandError::Claim(message))
    }
}

/// Makes a tree whose department at `level` has the cap, and a user in its lowest department.
/// Returns the cap's id.
async fn create_tree(api: &ApiClient, level: u8, levels: u8) -> Result<String, CommandError> {
    let mut parent: Option<String> = None;
    for below in 1..=levels {
        let id = format!("tree{level}-d{below}");
        api.create_department(&id, parent.as_deref()).await?;
        parent = Some(id);
    }
    api.create_user(&user_of(level), &format!("tree{level}-d{levels}"))
        .await?;
    let capped = format!("tree{level}-d{level}");
    api.create_budget(Some(&capped), "usd", &json!(1)).await
}

fn user_of(level: u8) -> String {
    format!("agent{level}")
}

/// Sends calls, and adds those that pass to `passed`. Stops when `until` of them are answered.
/// Returns the calls that have no answer.
async fn send(
    api: &ApiClient,
    level: u8,
    calls: Vec<u32>,
    until: Option<usize>,
    arguments: &Arguments,
    passed: &mut BTreeSet<u32>,
) -> Result<Vec<u32>, CommandError> {
    let agent = api.as_agent();
    let user = user_of(level);
    let mut open: BTreeSet<u32> = calls.iter().copied().collect();
    let asking = calls.into_iter().map(|n| {
        let (agent, user) = (agent.clone(), user.clone());
        async move {
            let request = format!("{user}-{n}");
            (n, agent.preflight(&user, &request, TOKENS).await)
        }
    });
    let at_once = usize::from(arguments.at_once);
    let mut answers = futures::stream::iter(asking).buffer_unordered(at_once);
    let mut answered = 0;
    while until.is_none_or(|until| answered < until) {
        let Some((n, answer)) = answers.next().await else {
            break;
        };
        let decision = answer?;
        answered += 1;
        open.remove(&n);
        if decision["hold"].is_object() {
            passed.insert(n);
        }
    }
    Ok(open.into_iter().collect())
}
