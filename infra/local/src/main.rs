//! The whole system on one machine, as a program: `cargo run` and the API answers on <http://127.0.0.1:3000>.

mod commands;
mod welcome;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::CommandError;
use local::system::{Contents, StartError, System, SystemSettings};
use shared::runtime::logs::COUNTS;
use shared::store::StoreError;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// The whole system on one machine: every function, DynamoDB and SQS in one process.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The port on 127.0.0.1 that the API is served on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The directory that keeps the data. Without it the data is in memory and goes with the program.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Starts with the organisation `demo` and its keys, without the demo company.
    #[arg(long)]
    empty: bool,
    /// Lets each key make as many requests as it likes, not 1,000 a minute as where it is deployed.
    #[arg(long)]
    unlimited: bool,
    /// Posts webhooks to this machine only: no other name is resolved.
    #[arg(long)]
    offline: bool,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Sends real traffic through preflight and events and prints what was held, spent and refused.
    Replay(commands::replay::Arguments),
    /// Sends racing requests on caps that fit some of them: exactly those pass.
    Race(commands::race::Arguments),
    /// Puts a hard cap under the load of many clients: it is spent and never passed.
    Stress(commands::stress::Arguments),
    /// Kills the system in the middle and starts it again: the cap still holds.
    Crash(commands::crash::Arguments),
    /// Prints what a hold and a settlement cost as depth, budgets and live holds grow.
    Counts(commands::counts::Arguments),
    /// Compares records, totals and counters of an organisation and prints every difference.
    Audit(commands::audit::Arguments),
    /// Tries policies on a million stored records and prints the processor time.
    Backtest(commands::backtest::Arguments),
    /// Moves dead letters of a deployment back to their queue.
    Redrive(commands::redrive::Arguments),
    /// Prints one mail of each kind as it would be sent.
    Mails(commands::mails::Arguments),
    /// Prints who may do what: each endpoint and role.
    Roles,
    /// Prints the API's document, made of the handlers: it belongs into docs/openapi.json.
    Openapi,
}

/// Why the program ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("port {0} is in use; choose another one with --port, for example --port {next}", next = other(*.0))]
    PortInUse(u16),
    #[error("cannot listen on port {0}")]
    Listen(u16, #[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("the demo data does not fit what is there; --empty starts without it")]
    Demo(#[source] StartError),
    #[error("cannot start")]
    Start(#[source] StartError),
    #[error("cannot read the data")]
    Read(#[from] StoreError),
    #[error("cannot serve")]
    Serve(#[source] io::Error),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Demo(_) => Self::Demo(error),
            _ => Self::Start(error),
        }
    }
}

fn other(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(3001)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logs();
    let done = match arguments.command {
        None => run(arguments).await,
        Some(Command::Replay(arguments)) => commands::replay::run(arguments)
            .await
            .map_err(Failure::from),
        Some(Command::Race(arguments)) => {
            commands::race::run(arguments).await.map_err(Failure::from)
        }
        Some(Command::Stress(arguments)) => commands::stress::run(arguments)
            .await
            .map_err(Failure::from),
        Some(Command::Crash(arguments)) => {
            commands::crash::run(arguments).await.map_err(Failure::from)
        }
        Some(Command::Audit(arguments)) => {
            commands::audit::run(arguments).await.map_err(Failure::from)
        }
        Some(Command::Backtest(arguments)) => commands::backtest::run(arguments)
            .await
            .map_err(Failure::from),
        Some(Command::Mails(arguments)) => commands::mails::run(&arguments).map_err(Failure::from),
        Some(Command::Redrive(arguments)) => commands::redrive::run(arguments)
            .await
            .map_err(Failure::from),
        Some(Command::Roles) => {
            commands::roles::run();
            Ok(())
        }
        Some(Command::Openapi) => commands::openapi::run().map_err(Failure::from),
        Some(Command::Counts(arguments)) => commands::counts::run(arguments)
            .await
            .map_err(Failure::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&mut io::stderr(), &format!("error: {}\n", chain(&failure)));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let listener = listen(arguments.port).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Listen(arguments.port, error))?;
    let signal = stop_signal().map_err(Failure::Signals)?;
    let contents = if arguments.empty {
        Contents::Empty
    } else {
        Contents::Demo
    };
    let settings = SystemSettings {
        data: arguments.data.clone(),
        contents,
        is_limited: !arguments.unlimited,
        resolves_names: !arguments.offline,
        ..SystemSettings::default()
    };
    let mut signal = std::pin::pin!(signal);
    let system = tokio::select! {
        started = System::start(settings) => started?,
        () = &mut signal => return Ok(()),
    };
    let summary = system.summary().await?;
    let now = system.clock().now();
    let welcome = welcome::text(address, arguments.data.as_deref(), summary, now);
    say(&mut io::stdout(), &welcome);

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = system.serve(listener, async move {
        // The other end never sends; it is dropped when the signal comes.
        let _ = stopped.await;
    });
    let served = {
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = &mut serving => served,
            () = &mut signal => {
                drop(stop);
                serving.await
            }
        }
    };
    system.stop().await;
    served.map_err(Failure::Serve)
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => Failure::PortInUse(port),
            _ => Failure::Listen(port, error),
        })
}

/// Ready when the program is told to stop: by Ctrl-C, or as a service is told.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when the program is told to stop by Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

fn start_logs() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,notify=info"));
    // Those are for CloudWatch.
    let filter = match format!("{COUNTS}=off").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    if let Err(error) = logs.try_init() {
        say(
            &mut io::stderr(),
            &format!("logs cannot be written: {error}\n"),
        );
    }
}

/// Writes what a person may read; a reader that is gone is no reason to end.
fn say(out: &mut impl Write, text: &str) {
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "nobody reads the output");
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
