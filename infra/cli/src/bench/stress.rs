//! `stress`: many clients over HTTP share one hard cap. Each asks, uses what it was admitted and
//! reports it at once.

mod clients;
mod report;

use crate::api_client::ApiClient;
use crate::audit;
use crate::error::CommandError;
use crate::output::say;
use clap::Args;
use clients::{Client, Tally};
use jiff::Timestamp;
use local::system::{ADMIN_KEY, System, SystemSettings};
use serde_json::json;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The number of users who own the live holds. Each owns at most a tenth of the places, so that
/// some are left for the clients.
const HOLDERS: u32 = 9;
/// The interval at which live holds are renewed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The number of live holds that are renewed at once.
const HOLDING: usize = 16;

/// Puts a hard cap under load on a new system.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The number of clients, each with its own user.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// The duration of the run, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// The hard cap, in tokens.
    #[arg(
        long,
        default_value_t = 30_000,
        value_parser = clap::value_parser!(i64).range(1..=1_000_000_000)
    )]
    cap: i64,
    /// The tokens of one request.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    tokens: i64,
    /// The directory of the data. Without it the data is in memory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Delays the evaluation of each batch of events, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=60_000)
    )]
    slow_evaluate: u64,
    /// Requests this many holds beforehand, for nine users without a hard cap, and keeps them
    /// alive.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=2_000)
    )]
    live_holds: u32,
}

/// The ids of a run. They are new in each run, so that its data can be used again.
struct RunIds {
    budget_id: String,
    users: Vec<String>,
    holders: Vec<String>,
    run: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let settings = SystemSettings {
        data: arguments.data.clone(),
        evaluate_delay: Some(Duration::from_millis(arguments.slow_evaluate)),
        resolves_names: false,
        ..SystemSettings::default()
    };
    let system = System::start(settings).await?;
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener =
        listening.map_err(|e| CommandError::Io("cannot listen on this machine".to_owned(), e))?;
    let address = listener
        .local_addr()
        .map_err(|e| CommandError::Io("cannot listen on this machine".to_owned(), e))?;
    let api = ApiClient::at(&format!("http://{address}"), ADMIN_KEY);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = system.serve(listener, async move {
        // Ends when the sender is dropped.
        let _ = stopped.await;
    });
    let working = async {
        let done = work(&system, &api, &arguments).await;
        drop(stop);
        done
    };
    let (served, done) = tokio::join!(serving, working);
    system.stop().await;
    served.map_err(|e| CommandError::Io("cannot serve".to_owned(), e))?;
    done
}

async fn work(system: &System, api: &ApiClient, arguments: &Arguments) -> Result<(), CommandError> {
    let ids = set_up(api, arguments).await?;
    let agent = api.as_agent();
    let live = hold_all(&agent, arguments, &ids).await?;
    say(&report::beginning(arguments, live));
    let tally = Arc::<Tally>::default();
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut running = JoinSet::new();
    for user in &ids.users {
        let client = Client {
            agent: agent.clone(),
            user: user.clone(),
            run: ids.run.clone(),
            tokens: arguments.tokens,
            tally: tally.clone(),
        };
        running.spawn(client.ask_until(until));
    }
    let began = Instant::now();
    let mut kept_alive = began;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let figures = api.budget(&ids.budget_id).await?;
        say(&report::progress(
            began.elapsed().as_secs(),
            &figures,
            &tally,
        ));
        if live > 0 && kept_alive.elapsed() > KEEP_ALIVE {
            kept_alive = Instant::now();
            hold_all(&agent, arguments, &ids).await?;
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| CommandError::Answer(error.to_string()))??;
    }
    system.drain().await?;
    let figures = api.budget(&ids.budget_id).await?;
    let books = audit::compare_local(system).await?;
    for line in report::end(arguments, &figures, &tally) {
        say(&line);
    }
    say(&audit::text(&books));
    report::check(&figures, &tally, audit::differences(&books))
}

/// Makes two departments: one with the cap and the clients, one without a hard cap for the live
/// holds.
async fn set_up(api: &ApiClient, arguments: &Arguments) -> Result<RunIds, CommandError> {
    let run = format!("s{}", Timestamp::now().as_millisecond());
    let (capped, others) = (format!("{run}-capped"), format!("{run}-others"));
    for department in [&capped, &others] {
        api.create_department(department, None).await?;
    }
    let cap = json!(arguments.cap);
    let budget_id = api.create_budget(Some(&capped), "tokens", &cap).await?;
    let soft = json!({
        "name": "of others", "department_id": others, "unit": "tokens", "amount": 1_000_000,
        "hard_cap": false,
    });
    api.post("/v1/budgets", &soft).await?;
    let users: Vec<String> = (0..arguments.clients)
        .map(|n| format!("{run}-c{n}"))
        .collect();
    for user in &users {
        api.create_user(user, &capped).await?;
    }
    let holders = match arguments.live_holds {
        0 => 0,
        _ => HOLDERS,
    };
    let holders: Vec<String> = (0..holders).map(|n| format!("{run}-h{n}")).collect();
    for user in &holders {
        api.create_user(user, &others).await?;
    }
    Ok(RunIds {
        budget_id,
        users,
        holders,
        run,
    })
}

/// Requests the live holds, and renews those that exist. Returns the number of live holds.
async fn hold_all(
    agent: &ApiClient,
    arguments: &Arguments,
    ids: &RunIds,
) -> Result<usize, CommandError> {
    use futures::StreamExt as _;
    let asked = (0..arguments.live_holds).zip(ids.holders.iter().cycle());
    let asking = asked.map(|(n, user)| {
        let request = format!("live-{n}");
        async move { agent.preflight(user, &request, 1).await }
    });
    let mut answers = futures::stream::iter(asking).buffer_unordered(HOLDING);
    let mut live = 0;
    while let Some(answer) = answers.next().await {
        live += usize::from(answer?["hold"].is_object());
    }
    Ok(live)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            clients: 8,
            seconds: 3,
            cap: 300,
            tokens: 10,
            data: None,
            slow_evaluate: 0,
            live_holds: 0,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cap_under_load_is_spent_and_never_passed() {
        run(arguments()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_evaluation_and_live_holds_change_nothing_on_disk_too() {
        let name = format!("toktra-stress-{}", std::process::id());
        let data = std::env::temp_dir().join(name);
        let arguments = Arguments {
            data: Some(data.clone()),
            slow_evaluate: 20,
            live_holds: 20,
            ..arguments()
        };
        let done = run(arguments).await;
        std::fs::remove_dir_all(&data).unwrap();
        done.unwrap();
    }
}
