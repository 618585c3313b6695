//! The designs that are measured, behind one face.

use super::super::client_of;
use super::super::race::TOKENS;
use super::super::rivals::counters::Counters;
use super::super::rivals::postgres::{Connection, Postgres, Way};
use super::super::rivals::{Outcome, parallel, read_then_add, transaction};
use super::ours::{Ours, Part};
use super::runs::Load;
use crate::error::CommandError;
use local::system::{System, SystemSettings};
use std::path::Path;

/// The name under which the meter counts the calls of the rivals.
const RIVAL: &str = "rival";

/// A design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ours(Part),
    ReadThenAdd,
    Transaction,
    Parallel,
    Postgres(Way),
}

impl Kind {
    /// Those on the embedded engine.
    pub(super) const ON_ENGINE: [Self; 6] = [
        Self::Ours(Part::Preflight),
        Self::Ours(Part::Split),
        Self::Ours(Part::Hold),
        Self::ReadThenAdd,
        Self::Transaction,
        Self::Parallel,
    ];
    pub(super) const ON_POSTGRES: [Self; 2] =
        [Self::Postgres(Way::Locked), Self::Postgres(Way::Atomic)];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours(Part::Preflight) => "Toktra, one cell",
            Self::Ours(Part::Split) => "Toktra, split cells",
            Self::Ours(Part::Hold) => "Toktra, split cells, the hold alone",
            Self::ReadThenAdd => "read, then add",
            Self::Transaction => "transaction",
            Self::Parallel => "parallel with undo",
            Self::Postgres(Way::Locked) => "PostgreSQL, FOR UPDATE",
            Self::Postgres(Way::Atomic) => "PostgreSQL, atomic updates",
        }
    }
}

/// A design that is set up for a load.
pub(super) enum Design {
    Ours(Box<Ours>),
    Rival { kind: Kind, counters: Counters },
    Postgres(Vec<Connection>),
}

/// What is counted at each level, in holds, and how many holds have an owner: a record that can
/// end them.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) levels: Vec<u32>,
    pub(super) owned: u32,
}

/// Starts a new system, in memory or with data in `dir`.
pub(super) async fn new_system(dir: Option<&Path>) -> Result<System, CommandError> {
    let settings = SystemSettings {
        data: dir.map(Path::to_owned),
        resolves_names: false,
        ..SystemSettings::default()
    };
    Ok(System::start(settings).await?)
}

impl Design {
    /// Sets a design up on the engine of a new system.
    pub(super) async fn on_engine(
        kind: Kind,
        system: &System,
        load: &Load,
    ) -> Result<Self, CommandError> {
        if let Kind::Ours(part) = kind {
            let ours = Ours::create(part, system, load).await?;
            return Ok(Self::Ours(Box::new(ours)));
        }
        let amounts = load.caps().into_iter().map(amount_of).collect();
        let counters = Counters::create(client_of(system, RIVAL), amounts).await?;
        Ok(Self::Rival { kind, counters })
    }

    /// Connects all clients of a load to PostgreSQL.
    pub(super) async fn on_postgres(
        way: Way,
        postgres: &Postgres,
        load: &Load,
    ) -> Result<Self, CommandError> {
        let amounts: Vec<i64> = load.caps().into_iter().map(amount_of).collect();
        postgres.set_up(&amounts).await?;
        let mut connections = Vec::new();
        for _ in 0..load.at_once {
            connections.push(postgres.connect(way, load.depth).await?);
        }
        Ok(Self::Postgres(connections))
    }

    /// The caller by whose name the meter counts this design.
    pub(super) fn caller(&self) -> &'static str {
        match self {
            Self::Ours(ours) => ours.caller(),
            Self::Rival { .. } | Self::Postgres(_) => RIVAL,
        }
    }

    /// Asks for the `n`-th hold, as client `client`.
    pub(super) async fn hold(
        &self,
        load: &Load,
        client: usize,
        n: u32,
    ) -> Result<Outcome, CommandError> {
        let request = format!("request-{n}");
        match self {
            Self::Ours(ours) => ours.hold(load, n).await,
            Self::Rival { kind, counters } => match kind {
                Kind::ReadThenAdd => read_then_add::hold(counters, TOKENS).await,
                Kind::Parallel => parallel::hold(counters, TOKENS).await,
                _ => transaction::hold(counters, &request, TOKENS).await,
            },
            Self::Postgres(connections) => match connections.get(client) {
                Some(connection) => connection.hold(&request, TOKENS).await,
                None => Err(CommandError::Answer(
                    "a client has no connection".to_owned(),
                )),
            },
        }
    }

    /// Reads what is counted now. None for PostgreSQL.
    pub(super) async fn counted(&self, system: &System) -> Result<Option<Counted>, CommandError> {
        match self {
            Self::Ours(ours) => {
                let (levels, agrees) = ours.held(system).await?;
                // The holds are in the items of the counters, and the audit compares them.
                let most = levels.iter().copied().max().unwrap_or(0);
                let owned = if agrees { most } else { 0 };
                Ok(Some(Counted { levels, owned }))
            }
            Self::Rival { kind, counters } => {
                let taken = counters.taken().await?;
                let levels: Vec<u32> = taken
                    .into_iter()
                    .map(|amount| holds(Some(amount)))
                    .collect();
                let owned = match kind {
                    Kind::Transaction => u32::try_from(counters.records().await?).unwrap_or(0),
                    // Without records, only the clients know what they own.
                    _ => 0,
                };
                Ok(Some(Counted { levels, owned }))
            }
            Self::Postgres(_) => Ok(None),
        }
    }
}

fn amount_of(holds: u32) -> i64 {
    i64::from(holds) * TOKENS
}

fn holds(amount: Option<i64>) -> u32 {
    u32::try_from(amount.unwrap_or(0) / TOKENS).unwrap_or(0)
}
