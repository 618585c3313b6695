//! Serves the system until it is told to stop.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use local::system::{StartError, System, SystemSettings};
use shared::store::StoreError;
use tokio::net::TcpListener;

use crate::demo;
use crate::error::CommandError;
use crate::output::print;
use crate::welcome::{self, Welcome};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The port on 127.0.0.1 of the API.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The directory that keeps the data. Without it the data is in memory and is lost when the
    /// program stops.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Starts with the organisation `demo` and its keys, without the demo company.
    #[arg(long)]
    empty: bool,
    /// Turns off the limit of requests per key, which is 1,000 a minute in a deployment.
    #[arg(long)]
    unlimited: bool,
    /// Posts webhooks to this machine only: no other name is resolved.
    #[arg(long)]
    offline: bool,
}

/// Why the system stopped, or did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(
        "port {0} is in use; choose another one with --port, for example --port {next}",
        next = next_port(*.0)
    )]
    PortInUse(u16),
    #[error("cannot listen on port {0}")]
    Listen(u16, #[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("the demo data conflicts with the data that exists; --empty starts without it")]
    Demo(#[source] CommandError),
    #[error("cannot start")]
    Start(#[from] StartError),
    #[error("cannot read the data")]
    Read(#[from] StoreError),
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

fn next_port(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(3001)
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), ServeError> {
    let listener = listen(arguments.port).await?;
    let address = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(arguments.port, error))?;
    let mut signal = std::pin::pin!(stop_signal().map_err(ServeError::Signals)?);
    let system = tokio::select! {
        started = start(&arguments) => started?,
        () = &mut signal => return Ok(()),
    };
    let welcome = Welcome {
        address,
        data: arguments.data.as_deref(),
        summary: system.summary().await?,
        has_demo_data: demo::is_complete(system.store()).await?,
        now: system.clock().now(),
    };
    print(&welcome::text(&welcome));

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = system.serve(listener, async move {
        // Ends when the signal drops the sender.
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
    served.map_err(ServeError::Serve)
}

async fn start(arguments: &Arguments) -> Result<System, ServeError> {
    let system = System::start(SystemSettings {
        data: arguments.data.clone(),
        is_limited: !arguments.unlimited,
        repeats_refusals: true,
        resolves_names: !arguments.offline,
        ..SystemSettings::default()
    })
    .await?;
    if !arguments.empty {
        demo::ensure(&system).await.map_err(ServeError::Demo)?;
    }
    Ok(system)
}

async fn listen(port: u16) -> Result<TcpListener, ServeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => ServeError::PortInUse(port),
            _ => ServeError::Listen(port, error),
        })
}

/// Ready on Ctrl-C, and on SIGTERM, which service managers send.
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

/// Completes on Ctrl-C, as only Unix has SIGTERM.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
