//! Lets the commits of several calls reach the disk together.
//!
//! SQLite could wait for the disk within each commit, but commits happen one after another, and so
//! would these waits. Here a commit only writes to SQLite's log (the WAL), and an answer waits
//! until that log is on the disk. One wait serves every call that was applied before it began. So
//! an answer promises as much as before: what it says survives a loss of power.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::sync::Mutex;

/// Writes everything to the disk that was written to the log before.
type Sync = Arc<dyn Fn() -> io::Result<()> + Send + std::marker::Sync>;

/// The log of one database, and how much of it is on the disk.
pub(super) struct GroupCommit {
    sync: Sync,
    /// The number of calls that began to write.
    begun: AtomicU64,
    /// The number of these that have ended.
    ended: AtomicU64,
    /// `ended` when the last finished sync began. Those calls are on the disk.
    synced: AtomicU64,
    /// Held by the one who syncs. The others wait here and mostly find their work done.
    syncing: Mutex<()>,
    /// Whether a sync failed. Nobody knows then what is on the disk, even if a later one succeeds.
    has_failed: AtomicBool,
}

impl GroupCommit {
    /// Opens the log of the database at `path`, which must be open.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        let log = File::open(Path::new(&format!("{path}-wal")))?;
        Ok(Self::new(Arc::new(move || log.sync_data())))
    }

    fn new(sync: Sync) -> Self {
        Self {
            sync,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            syncing: Mutex::new(()),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Must be called before a call that may write, and be followed by [`GroupCommit::ended`].
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    /// Must be called after a call that may write. Returns the number until which the log must be
    /// on the disk before the call is answered. None if it changed nothing and saw nothing that
    /// could still be lost.
    pub(super) fn ended(&self, has_changed: bool) -> Option<u64> {
        if has_changed {
            return Some(self.ended.fetch_add(1, SeqCst) + 1);
        }
        self.begun.fetch_sub(1, SeqCst);
        self.read()
    }

    /// The same after a call that only read.
    pub(super) fn read(&self) -> Option<u64> {
        // If a write that it may have seen is not on the disk, it waits like one.
        if self.synced.load(SeqCst) >= self.begun.load(SeqCst) {
            return None;
        }
        self.begin();
        Some(self.ended.fetch_add(1, SeqCst) + 1)
    }

    /// Returns when the log is on the disk up to `number`.
    pub(super) async fn on_disk(&self, number: u64) -> io::Result<()> {
        let _syncing = self.syncing.lock().await;
        if self.has_failed.load(SeqCst) {
            return Err(io::Error::other("an earlier write did not reach the disk"));
        }
        if self.synced.load(SeqCst) >= number {
            return Ok(());
        }
        let ended = self.ended.load(SeqCst);
        let sync = self.sync.clone();
        let done = tokio::task::spawn_blocking(move || sync()).await;
        match done.map_err(io::Error::other).flatten() {
            Ok(()) => {
                self.synced.store(ended, SeqCst);
                Ok(())
            }
            Err(error) => {
                self.has_failed.store(true, SeqCst);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as StdMutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// A disk whose syncs wait until the test lets them end.
    struct Disk {
        commits: Arc<GroupCommit>,
        began: Receiver<()>,
        end: Sender<io::Result<()>>,
    }

    impl Disk {
        fn new() -> Self {
            let (begin, began) = channel();
            let (end, ends) = channel();
            let ends = StdMutex::new(ends);
            let begin = StdMutex::new(begin);
            let sync = move || {
                begin.lock().unwrap().send(()).unwrap();
                ends.lock().unwrap().recv().unwrap()
            };
            Self {
                commits: Arc::new(GroupCommit::new(Arc::new(sync))),
                began,
                end,
            }
        }

        /// Applies a write, and waits for the disk in a task.
        fn write(&self) -> tokio::task::JoinHandle<io::Result<()>> {
            self.commits.begin();
            self.wait(self.commits.ended(true).unwrap())
        }

        fn wait(&self, number: u64) -> tokio::task::JoinHandle<io::Result<()>> {
            let commits = self.commits.clone();
            tokio::spawn(async move { commits.on_disk(number).await })
        }

        async fn until_it_syncs(&self) {
            while self.began.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }

        fn syncs(&self) -> usize {
            self.began.try_iter().count()
        }
    }

    #[tokio::test]
    async fn an_answer_waits_for_the_disk_and_one_wait_serves_all_that_came_before_it() {
        let disk = Disk::new();
        let first = disk.write();
        disk.until_it_syncs().await;
        let later: Vec<_> = (0..20).map(|_| disk.write()).collect();
        tokio::task::yield_now().await;
        assert!(!first.is_finished(), "the disk has not answered");
        disk.end.send(Ok(())).unwrap();
        first.await.unwrap().unwrap();
        // They came while it synced: that sync may have missed them.
        disk.until_it_syncs().await;
        assert!(later.iter().all(|one| !one.is_finished()));
        disk.end.send(Ok(())).unwrap();
        for one in later {
            one.await.unwrap().unwrap();
        }
        assert_eq!(disk.syncs(), 0, "one sync served all twenty");
    }

    #[tokio::test]
    async fn what_reads_waits_only_while_something_could_be_lost() {
        let disk = Disk::new();
        assert_eq!(disk.commits.read(), None);
        disk.commits.begin();
        assert!(disk.commits.read().is_some(), "a write may be applied");
        let disk = Disk::new();
        let write = disk.write();
        assert!(disk.commits.read().is_some(), "it is applied");
        disk.until_it_syncs().await;
        let reader = disk.wait(disk.commits.read().unwrap());
        disk.end.send(Ok(())).unwrap();
        disk.end.send(Ok(())).unwrap();
        write.await.unwrap().unwrap();
        reader.await.unwrap().unwrap();
        assert_eq!(disk.commits.read(), None, "all of it is on the disk");
    }

    #[tokio::test]
    async fn a_write_that_was_refused_costs_no_sync() {
        let disk = Disk::new();
        disk.commits.begin();
        assert_eq!(disk.commits.ended(false), None);
        assert_eq!(disk.commits.read(), None);
        disk.commits.begin();
        let applied = disk.commits.ended(true);
        disk.commits.begin();
        assert!(disk.commits.ended(false) > applied, "it saw the other one");
    }

    #[tokio::test]
    async fn after_a_failure_of_the_disk_nothing_is_promised() {
        let disk = Disk::new();
        let write = disk.write();
        disk.end.send(Err(io::Error::other("full"))).unwrap();
        assert_eq!(write.await.unwrap().unwrap_err().to_string(), "full");
        assert!(disk.write().await.unwrap().is_err());
        assert_eq!(disk.syncs(), 1, "it is not asked again");
    }
}
