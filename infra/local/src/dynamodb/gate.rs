//! Calls that wait on demand: whoever stops one chooses what happens before it goes on, or that it never does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

/// Whether a call, by its operation and body, is the one to stop.
type Fits = Box<dyn Fn(&str, &str) -> bool + Send>;

/// The calls still to be stopped. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<Vec<Stop>>>);

/// A call that is to be stopped.
struct Stop {
    fits: Fits,
    has_come: watch::Sender<bool>,
    goes_on: oneshot::Receiver<()>,
}

/// A call that waits, or will when it comes. It goes on when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    has_come: watch::Receiver<bool>,
    goes_on: oneshot::Sender<()>,
}

impl Stopped {
    /// Returns when the call has come and waits.
    pub async fn arrived(&mut self) {
        if self.has_come.wait_for(|has_come| *has_come).await.is_err() {
            // Nobody is left who could make it.
            std::future::pending::<()>().await;
        }
    }

    /// Lets the call go on.
    pub fn release(self) {
        // Whoever made it may have given up.
        let _ = self.goes_on.send(());
    }
}

impl Gate {
    /// Stops the next call that `fits`; others pass.
    pub(super) fn stop_next(&self, fits: Fits) -> Stopped {
        let (come, has_come) = watch::channel(false);
        let (go_on, goes_on) = oneshot::channel();
        self.stops().push(Stop {
            fits,
            has_come: come,
            goes_on,
        });
        Stopped {
            has_come,
            goes_on: go_on,
        }
    }

    /// Returns at once, unless the call is to be stopped: then when it may go on.
    pub(super) async fn pass(&self, operation: &str, body: &str) {
        let Some(stop) = self.take(operation, body) else {
            return;
        };
        let Stop {
            has_come, goes_on, ..
        } = stop;
        let _ = has_come.send(true);
        let _ = goes_on.await;
    }

    /// The first stop that fits a call, which stops no other one.
    fn take(&self, operation: &str, body: &str) -> Option<Stop> {
        let mut stops = self.stops();
        // Those that nobody waits for any more stop nothing.
        stops.retain(|stop| !stop.has_come.is_closed());
        let first = stops.iter().position(|stop| (stop.fits)(operation, body))?;
        Some(stops.remove(first))
    }

    fn stops(&self) -> MutexGuard<'_, Vec<Stop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
