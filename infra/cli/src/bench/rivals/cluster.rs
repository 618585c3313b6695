//! A server of PostgreSQL for one run: its own data, its own socket, and the defaults that make it
//! durable.

use crate::error::CommandError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// How long the server may take to start, and again to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// Users whom PostgreSQL may run as if this program runs as root, which it refuses.
const OTHER_USERS: [&str; 2] = ["postgres", "nobody"];

#[derive(Debug)]
pub(super) struct Cluster {
    server: Child,
    socket: PathBuf,
}

/// Finds the directory with `initdb` and `postgres`.
pub(super) fn programs(asked: Option<&Path>) -> Option<PathBuf> {
    let has_both = |dir: &PathBuf| ["initdb", "postgres"].iter().all(|p| dir.join(p).is_file());
    if let Some(asked) = asked {
        return Some(asked.to_owned()).filter(has_both);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(has_both);
    in_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let dirs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        dirs.filter(has_both).max()
    })
}

impl Cluster {
    pub(super) async fn start(programs: &Path, dir: &Path) -> Result<Self, CommandError> {
        let io = |what: &str, error| CommandError::Io(format!("cannot {what}"), error);
        fs::create_dir_all(dir).map_err(|error| io("make the directory of PostgreSQL", error))?;
        let owner = other_user().map_err(|error| io("choose a user for PostgreSQL", error))?;
        if let Some((user, group)) = owner {
            let given = chown(dir, Some(user), Some(group));
            given.map_err(|error| io("give PostgreSQL its directory", error))?;
        }
        let run = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(dir).stdin(Stdio::null());
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        let made = run("initdb")
            .args(["--auth=trust", "--username=toktra", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata=data"])
            .output()
            .map_err(|error| io("run initdb", error))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(CommandError::Answer(format!("initdb failed: {said}")));
        }
        let log = dir.join("log");
        let out = File::create(&log).map_err(|error| io("write PostgreSQL's log", error))?;
        let server = run("postgres")
            .args(["-D", "data", "-c", "listen_addresses="])
            .args(["-c", "max_connections=200", "-k"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .map_err(|error| io("start PostgreSQL", error))?;
        let mut cluster = Self {
            server,
            socket: dir.to_owned(),
        };
        cluster.until_ready(&log).await?;
        Ok(cluster)
    }

    async fn until_ready(&mut self, log: &Path) -> Result<(), CommandError> {
        let until = Instant::now() + PATIENCE;
        while self.address().connect(NoTls).await.is_err() {
            let has_ended = !matches!(self.server.try_wait(), Ok(None));
            if has_ended || Instant::now() > until {
                let said = fs::read_to_string(log).unwrap_or_default();
                let message = format!("PostgreSQL does not start: {}", said.trim());
                return Err(CommandError::Answer(message));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    pub(super) fn address(&self) -> tokio_postgres::Config {
        let mut address = tokio_postgres::Config::new();
        address
            .host_path(&self.socket)
            .user("toktra")
            .dbname("postgres");
        address
    }

    /// The server's process and those that it started.
    pub(super) fn processes(&self) -> Vec<u32> {
        let server = self.server.id();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|id| *id == server || parent_of(*id) == Some(server))
            .collect()
    }

    /// Ends the server's connections and stops it.
    pub(super) async fn stop(mut self) -> Result<(), CommandError> {
        let id = self.server.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status();
        asked.map_err(|error| CommandError::Io("cannot stop PostgreSQL".to_owned(), error))?;
        let until = Instant::now() + PATIENCE;
        while matches!(self.server.try_wait(), Ok(None)) && Instant::now() < until {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.server.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.server.kill().and_then(|()| self.server.wait()) {
            tracing::debug!(%error, "PostgreSQL had ended");
        }
    }
}

/// The ids of another user and their group, if this program runs as root.
fn other_user() -> io::Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = OTHER_USERS.iter().find_map(|name| ids_of(&users, name));
    let missing = || io::Error::other("it does not run as root, and there is no user postgres");
    ids.map(Some).ok_or_else(missing)
}

/// The ids of a user and their group in `/etc/passwd`.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let user = fields.find(|fields| fields.first() == Some(&name))?;
    Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_ids_of_their_line() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:114:121:,,,:/var:/bin/bash\n";
        assert_eq!(ids_of(users, "postgres"), Some((114, 121)));
        assert_eq!(ids_of(users, "post"), None);
        assert_eq!(ids_of("postgres:x", "postgres"), None);
    }

    #[test]
    fn programs_that_are_not_there_are_not_found() {
        let nowhere = Path::new("/nowhere");
        assert_eq!(programs(Some(nowhere)), None);
    }

    #[test]
    fn the_parent_of_this_process_is_known() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(parent_of(std::process::id()), Some(parent));
    }
}
