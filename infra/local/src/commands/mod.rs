//! Commands beside serving: what the claims rest on, measured and printed.

pub(crate) mod audit;
pub(crate) mod backtest;
pub(crate) mod counts;
pub(crate) mod crash;
pub(crate) mod mails;
pub(crate) mod openapi;
pub(crate) mod race;
pub(crate) mod redrive;
pub(crate) mod replay;
pub(crate) mod roles;
pub(crate) mod stress;
pub(crate) mod tenant;

/// Writes a line of a report; a reader that is gone is no reason to end.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        tracing::debug!(%error, "nobody reads the report");
    }
}

/// Why a command ended without its figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The system did not start.
    #[error("cannot start the system")]
    Start(#[from] local::system::StartError),
    /// Something could not be read or written.
    #[error("{0}")]
    Io(String, #[source] std::io::Error),
    /// The system answered what it must not.
    #[error("{0}")]
    Answer(String),
    /// The figures are there, and they are not what is claimed.
    #[error("the claim does not hold: {0}")]
    Claim(String),
}
