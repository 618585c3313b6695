//! Stops calls, so that a test can do something before a call continues, or never let it continue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

/// Decides by operation and body whether to stop a call.
type Fits = Box<dyn Fn(&str, &str) -> bool + Send>;

/// The calls to stop. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<Vec<Stop>>>);

/// A call to stop.
struct Stop {
    fits: Fits,
    has_come: watch::Sender<bool>,
    goes_on: oneshot::Receiver<()>,
}

/// A stopped call, or one that will be stopped. It continues when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    has_come: watch::Receiver<bool>,
    goes_on: oneshot::Sender<()>,
}

impl Stopped {
    /// Returns when the call has arrived and waits.
    pub async fn arrived(&mut self) {
        if self.has_come.wait_for(|has_come| *has_come).await.is_err() {
            // No client is left that could make the call.
            std::future::pending::<()>().await;
        }
    }

    /// Lets the call continue.
    pub fn release(self) {
        // The caller may have given up.
        let _ = self.goes_on.send(());
    }
}

impl Gate {
    /// Stops the next call that satisfies `fits`. Other calls pass.
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

    /// Returns when the call may continue: at once, unless it is to be stopped.
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

    /// Takes the first stop that fits a call. It stops no other call.
    fn take(&self, operation: &str, body: &str) -> Option<Stop> {
        let mut stops = self.stops();
        // Remove stops that nobody waits for.
        stops.retain(|stop| !stop.has_come.is_closed());
        let first = stops.iter().position(|stop| (stop.fits)(operation, body))?;
        Some(stops.remove(first))
    }

    fn stops(&self) -> MutexGuard<'_, Vec<Stop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
