//! `crash`: kills the system while it works and starts it again on the same data.

use super::figures::millis;
use super::race::{TOKENS, race};
use crate::api_client::{ApiClient, usage_event};
use crate::error::CommandError;
use crate::output::say;
use clap::Args;
use local::system::ADMIN_KEY;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The number of requests sent at once after the crash.
const AFTER: u32 = 500;

/// Kills a new system with SIGKILL.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The number of requests that the cap fits. Four fifths of them are spent before the crash.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(5..=1_900))]
    cap_holds: u32,
    /// The directory of the data. Without it a temporary directory is used and deleted afterwards.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A system in another process.
pub(super) struct Running {
    child: Child,
    pub(super) api: ApiClient,
}

impl Running {
    /// Starts this program on a free port and waits until it prints its address.
    pub(super) fn start(data: &Path) -> Result<Self, CommandError> {
        let io = |what: &str, error| CommandError::Io(what.to_owned(), error);
        let program = std::env::current_exe().map_err(|e| io("cannot find this program", e))?;
        let mut child = Command::new(program)
            .args(["--empty", "--port", "0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| io("cannot start the system", e))?;
        let silent = || CommandError::Answer("the system did not print its address".to_owned());
        let output = child.stdout.take().ok_or_else(silent)?;
        let mut lines = BufReader::new(output).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            Some(format!("http://{}", line.split_once("http://")?.1.trim()))
        });
        let running = address.map(|address| Self {
            child,
            api: ApiClient::at(&address, ADMIN_KEY),
        });
        // Read the rest, so that the system never blocks on its output.
        std::thread::spawn(move || lines.for_each(drop));
        running.ok_or_else(silent)
    }

    /// Sends SIGKILL, so that nothing is flushed.
    pub(super) fn kill(mut self) -> Result<(), CommandError> {
        let io = |error| CommandError::Io("cannot kill the system".to_owned(), error);
        self.child.kill().map_err(io)?;
        self.child.wait().map_err(io)?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            tracing::debug!(%error, "the system had ended");
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let (data, is_ours) = match arguments.data {
        Some(data) => (data, false),
        None => {
            let name = format!("toktra-crash-{}", std::process::id());
            (std::env::temp_dir().join(name), true)
        }
    };
    let done = crash(&data, arguments.cap_holds).await;
    if is_ours && let Err(error) = std::fs::remove_dir_all(&data) {
        tracing::warn!(%error, "the data is left in {}", data.display());
    }
    done
}

async fn crash(data: &Path, cap_holds: u32) -> Result<(), CommandError> {
    let running = Running::start(data)?;
    let api = &running.api;
    let agent = api.as_agent();
    api.create_department("d1", None).await?;
    for user in 0..10 {
        api.create_user(&format!("u{user}"), "d1").await?;
    }
    let amount = json!(i64::from(cap_holds) * TOKENS);
    let budget = api.create_budget(Some("d1"), "tokens", &amount).await?;
    let spent = cap_holds / 5 * 4;
    let mut events = Vec::new();
    for n in 0..spent {
        let user = format!("u{}", n % 10);
        let decision = agent
            .preflight(&user, &format!("before-{n}"), TOKENS)
            .await?;
        let hold_id = &decision["hold"]["id"];
        events.push(usage_event(&format!("e-{n}"), &user, TOKENS, hold_id));
    }
    for some in events.chunks(500) {
        agent.report(some).await?;
    }
    // Kill it immediately: each accepted event is in the queue, recorded, or in between.
    running.kill()?;
    say(&format!(
        "before: {spent} of {cap_holds} used, reported, and the system killed with SIGKILL"
    ));

    let running = Running::start(data)?;
    let result = race(&running.api.as_agent(), "after", AFTER).await?;
    running.api.drain().await?;
    let figures = running.api.budget(&budget).await?;
    let fits = cap_holds - spent;
    say(&format!(
        "after:  {AFTER} at once, {} admitted (the rest fits {fits}), {} refused",
        result.admitted, result.refused
    ));
    say(&format!(
        "        preflight p50, p99: {}, {} ms over HTTP, all at once",
        millis(result.p50),
        millis(result.p99)
    ));
    say(&format!(
        "        spent {}, held {}, available {}",
        figures["spent"], figures["held"], figures["available"]
    ));
    running.kill()?;
    if result.admitted == fits && figures["available"] == json!(0) {
        Ok(())
    } else {
        Err(CommandError::Claim(format!(
            "{} were admitted, but {fits} fit",
            result.admitted
        )))
    }
}
