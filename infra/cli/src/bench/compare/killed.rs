//! Kills all clients in the middle of a run, and looks at what the counters have then.

use super::design::{Counted, Design};
use super::runs::Load;
use crate::error::CommandError;
use local::system::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the middle of a run may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a design has after its clients were killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Killed {
    /// The holds that clients were told of.
    pub(super) answered: u32,
    /// What the level with the least counts, in holds.
    pub(super) least: u32,
    /// What the level with the most counts.
    pub(super) most: u32,
    /// The holds that something can still end: they have a record, or a client that lives.
    pub(super) owned: u32,
}

impl Killed {
    fn new(answered: u32, counted: &Counted) -> Self {
        let levels = || counted.levels.iter().copied();
        Self {
            answered,
            least: levels().min().unwrap_or(0),
            most: levels().max().unwrap_or(0),
            owned: counted.owned.max(answered),
        }
    }

    /// The holds of which some level has nothing: it will admit them once more.
    pub(super) fn forgotten(&self) -> u32 {
        self.answered.saturating_sub(self.least)
    }

    /// The holds that are counted at some level and that nothing will ever end.
    pub(super) fn stuck(&self) -> u32 {
        self.most.saturating_sub(self.owned)
    }
}

/// Kills the clients of a load when a quarter of the requests is answered.
pub(super) async fn run(
    design: Design,
    system: &System,
    load: Load,
) -> Result<Option<Killed>, CommandError> {
    let design = Arc::new(design);
    let (answered, admitted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut clients = JoinSet::new();
    for n in 0..load.requests {
        let (design, answered, admitted) = (design.clone(), answered.clone(), admitted.clone());
        clients.spawn(async move {
            let outcome = design.hold(&load, 0, n).await;
            if outcome.is_ok_and(|outcome| outcome.is_admitted) {
                admitted.fetch_add(1, Ordering::SeqCst);
            }
            answered.fetch_add(1, Ordering::SeqCst);
        });
    }
    let until = Instant::now() + PATIENCE;
    while answered.load(Ordering::SeqCst) < load.requests / 4 && Instant::now() < until {
        tokio::task::yield_now().await;
    }
    // Each stops at its next call to the database, as if its process were gone.
    clients.shutdown().await;
    let admitted = admitted.load(Ordering::SeqCst);
    let counted = design.counted(system).await?;
    Ok(counted.map(|counted| Killed::new(admitted, &counted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_that_a_level_lacks_is_forgotten_and_one_without_owner_is_stuck() {
        let after = |levels: &[u32], owned| {
            let levels = levels.to_vec();
            Killed::new(10, &Counted { levels, owned })
        };
        let exact = after(&[12, 12], 12);
        assert_eq!((exact.forgotten(), exact.stuck()), (0, 0));
        let leaked = after(&[14, 11], 0);
        assert_eq!((leaked.forgotten(), leaked.stuck()), (0, 4));
        let lost = after(&[10, 7], 0);
        assert_eq!((lost.forgotten(), lost.stuck()), (3, 0));
    }
}
