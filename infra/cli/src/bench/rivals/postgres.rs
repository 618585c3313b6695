//! The same holds on PostgreSQL, durable and with a connection for each client.

use super::cluster::Cluster;
use super::{Outcome, failed};
use crate::error::CommandError;
use std::path::{Path, PathBuf};
use tokio_postgres::{Client, NoTls, Statement};

/// How a hold is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Way {
    /// `SELECT .. FOR UPDATE` over the chain, then updates.
    Locked,
    /// A conditional update of each counter, one after another.
    Atomic,
}

/// A server of its own, which stops when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Postgres {
    cluster: Cluster,
    admin: Client,
}

/// A connection of one client.
#[derive(Debug)]
pub(in super::super) struct Connection {
    client: Client,
    hold: Statement,
    /// The counters from the leaf to the root.
    chain: Vec<i32>,
}

/// Finds the programs of PostgreSQL: in `asked`, in the path, or where Debian puts them.
pub(in super::super) fn programs(asked: Option<&Path>) -> Option<PathBuf> {
    super::cluster::programs(asked)
}

impl Postgres {
    /// Makes and starts a server whose data is in `dir`.
    pub(in super::super) async fn start(programs: &Path, dir: &Path) -> Result<Self, CommandError> {
        let cluster = Cluster::start(programs, dir).await?;
        let admin = connect(&cluster).await?;
        let schema = include_str!("postgres.sql");
        admin.batch_execute(schema).await.map_err(failed)?;
        Ok(Self { cluster, admin })
    }

    /// Removes what earlier runs left, and makes a chain of counters with these amounts.
    pub(in super::super) async fn set_up(&self, amounts: &[i64]) -> Result<(), CommandError> {
        let clear = "TRUNCATE counters, holds";
        self.admin.batch_execute(clear).await.map_err(failed)?;
        for (level, amount) in (0_i32..).zip(amounts) {
            let insert = "INSERT INTO counters VALUES ($1, $2)";
            let inserted = self.admin.execute(insert, &[&level, amount]).await;
            inserted.map_err(failed)?;
        }
        Ok(())
    }

    /// Connects one client to a chain of `levels` counters.
    pub(in super::super) async fn connect(
        &self,
        way: Way,
        levels: usize,
    ) -> Result<Connection, CommandError> {
        let client = connect(&self.cluster).await?;
        let call = match way {
            Way::Locked => "SELECT hold_locked($1, $2, $3)",
            Way::Atomic => "SELECT hold_atomic($1, $2, $3)",
        };
        let hold = client.prepare(call).await.map_err(failed)?;
        let chain = (0_i32..).take(levels).collect::<Vec<_>>();
        let chain = chain.into_iter().rev().collect();
        Ok(Connection {
            client,
            hold,
            chain,
        })
    }

    /// The processes of the server.
    pub(in super::super) fn processes(&self) -> Vec<u32> {
        self.cluster.processes()
    }

    /// Stops the server.
    pub(in super::super) async fn stop(self) -> Result<(), CommandError> {
        drop(self.admin);
        self.cluster.stop().await
    }
}

impl Connection {
    pub(in super::super) async fn hold(
        &self,
        request: &str,
        amount: i64,
    ) -> Result<Outcome, CommandError> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&self.chain, &request, &amount];
        let is_admitted = match self.client.query_one(&self.hold, &parameters).await {
            Ok(row) => row.try_get(0).map_err(failed)?,
            Err(error) if error.code().is_some_and(|code| code.code() == "TK001") => false,
            Err(error) => return Err(failed(error)),
        };
        Ok(Outcome {
            is_admitted,
            round_trips: 1,
        })
    }
}

async fn connect(cluster: &Cluster) -> Result<Client, CommandError> {
    let (client, connection) = cluster.address().connect(NoTls).await.map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}
