//! Failures on demand: the n-th call from now fails, before or after it took effect; or one entry of a batch is refused, and
//! its neighbours are taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A failure for one call that an SDK client will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which call fails: 0 is the next one, 1 the one after it. For [`When::After`] only calls that write count: a read
    /// whose answer is lost is a read that failed before.
    pub call: u64,
    /// Whether the operation takes effect.
    pub when: When,
    /// What the client sees.
    pub kind: FaultKind,
}

/// The moment of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing was applied.
    Before,
    /// The operation was applied and its answer is lost.
    After,
}

/// What the client sees in place of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// HTTP 500.
    InternalServerError,
    /// The service refuses because of its load. A DynamoDB transaction is cancelled with the
    /// reason `ThrottlingError`, as on an on-demand table.
    Throttled,
    /// A DynamoDB write meets another transaction: `TransactionConflictException`, or a
    /// cancelled transaction with the reason `TransactionConflict` for its first item. A call
    /// that cannot conflict (a read of one item, a queue operation) passes and the fault is spent.
    TransactionConflict,
    /// The connection breaks before an answer arrives.
    ConnectionReset,
    /// No answer arrives, ever: a client waits until its own time is over.
    Silence,
}

/// The faults still to come. Clones share the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: u64,
    writes: u64,
    fired: u64,
    planned: Vec<Fault>,
    /// What is in the entries that are to be refused.
    refused: Vec<String>,
}

impl FaultPlan {
    pub(crate) fn inject(&self, fault: Fault) {
        let mut state = self.state();
        let so_far = match fault.when {
            When::Before => state.calls,
            When::After => state.writes,
        };
        let call = so_far.saturating_add(fault.call);
        state.planned.push(Fault { call, ..fault });
    }

    /// Lets one entry of a later batch be refused: the next one that has `part` in its content.
    pub(crate) fn refuse_entry(&self, part: &str) {
        self.state().refused.push(part.to_owned());
    }

    /// Whether an entry of a batch with this content is refused, which each that was planned is once.
    pub(crate) fn refuses_entry(&self, content: &str) -> bool {
        let mut state = self.state();
        let mut planned = state.refused.iter();
        let Some(at) = planned.position(|part| content.contains(part.as_str())) else {
            return false;
        };
        state.refused.remove(at);
        state.fired += 1;
        true
    }

    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.planned.clear();
        state.refused.clear();
    }

    pub(crate) fn fired(&self) -> u64 {
        self.state().fired
    }

    /// Counts a call and returns the first fault planned for it; others for the same call wait
    /// for the next one.
    pub(crate) fn next_call(&self, writes: bool) -> Option<Fault> {
        let mut state = self.state();
        let (call, write) = (state.calls, state.writes);
        state.calls += 1;
        state.writes += u64::from(writes);
        let is_due = |fault: &Fault| match fault.when {
            When::Before => fault.call <= call,
            When::After => writes && fault.call <= write,
        };
        let due = state.planned.iter().position(is_due)?;
        Some(state.planned.remove(due))
    }

    pub(crate) fn record_fired(&self) {
        self.state().fired += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
