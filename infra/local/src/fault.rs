//! Injected faults: the n-th call from now fails before or after it takes effect, or one entry of a
//! batch fails alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A fault in one call of an SDK client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The call that fails: 0 is the next one. For [`When::After`] only writes count, because a
    /// read whose answer is lost is like a read that failed.
    pub call: u64,
    pub when: When,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The operation is not applied.
    Before,
    /// The operation is applied, and its answer is lost.
    After,
}

/// The failure that the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    InternalServerError,
    /// The service is overloaded. A DynamoDB transaction is cancelled with the reason
    /// `ThrottlingError`, as on an on-demand table.
    Throttled,
    /// A DynamoDB write conflicts with a transaction: `TransactionConflictException`, or a
    /// cancelled transaction with the reason `TransactionConflict` at its first item. A call that
    /// cannot conflict (a read of one item, a queue operation) passes and the fault is used up.
    TransactionConflict,
    /// The connection breaks before the answer arrives.
    ConnectionReset,
    /// No answer ever arrives. The client waits until its timeout.
    Silence,
    /// The operation is applied, and its answer arrives after this time. If the client gives up
    /// before, [`When::Before`] applies nothing.
    Late(Duration),
}

/// The faults that have not happened. Clones share the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: u64,
    writes: u64,
    fired: u64,
    planned: Vec<Fault>,
    /// The texts of the entries to refuse.
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

    /// Refuses one entry of a later batch: the next one whose content contains `part`.
    pub(crate) fn refuse_entry(&self, part: &str) {
        self.state().refused.push(part.to_owned());
    }

    /// Whether to refuse an entry with this content. Each planned refusal happens once.
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

    /// Counts a call and returns the first fault planned for it. Other faults of the same call wait
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
