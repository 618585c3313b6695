//! Orders calls: a test chooses which waiting call continues next, and whether its caller receives
//! the answer. So a test can try each order in which requests can meet, and repeat it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use crate::transport::Pass;

tokio::task_local! {
    /// The number of the actor that makes the calls of a future. Only calls of an actor wait to be
    /// chosen.
    pub static ACTOR: usize;
}

/// The current schedule, if there is one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct CurrentSchedule(Arc<Mutex<Weak<Mutex<State>>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub actor: usize,
    /// Its number in the order of arrival.
    pub number: u64,
    /// The operation, such as `UpdateItem`.
    pub operation: String,
    /// The JSON body of the request.
    pub body: String,
}

#[derive(Debug, Default)]
struct State {
    come: u64,
    waiting: Vec<(Call, oneshot::Sender<Pass>)>,
}

/// The waiting calls. When this is dropped, they and all later calls pass.
#[derive(Debug)]
pub struct Schedule(Arc<Mutex<State>>);

/// The effect of a call whose answer is lost.
#[derive(Debug)]
pub struct Effect(oneshot::Receiver<()>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CurrentSchedule {
    /// Starts a new schedule.
    pub(super) fn install(&self) -> Schedule {
        let state = Arc::new(Mutex::new(State::default()));
        *lock(&self.0) = Arc::downgrade(&state);
        Schedule(state)
    }

    /// Returns when a call may continue: at once if it has no actor or there is no schedule.
    pub(super) async fn pass(&self, operation: &str, body: &str) -> Pass {
        match self.wait(operation, body) {
            Some(chosen) => chosen.await.unwrap_or(Pass::Answered),
            None => Pass::Answered,
        }
    }

    fn wait(&self, operation: &str, body: &str) -> Option<oneshot::Receiver<Pass>> {
        let actor = ACTOR.try_with(|actor| *actor).ok()?;
        let schedule = lock(&self.0).upgrade()?;
        let (go, chosen) = oneshot::channel();
        let mut state = lock(&schedule);
        let call = Call {
            actor,
            number: state.come,
            operation: operation.to_owned(),
            body: body.to_owned(),
        };
        state.come += 1;
        state.waiting.push((call, go));
        Some(chosen)
    }
}

impl Schedule {
    /// The waiting calls, ordered by actor, then by arrival.
    #[must_use]
    pub fn waiting(&self) -> Vec<Call> {
        let state = self.state();
        let calls = state.waiting.iter().map(|(call, _)| call.clone());
        let mut calls: Vec<Call> = calls.collect();
        calls.sort_by_key(|call| (call.actor, call.number));
        calls
    }

    /// The actors with a waiting call.
    #[must_use]
    pub fn actors(&self) -> BTreeSet<usize> {
        let state = self.state();
        state.waiting.iter().map(|(call, _)| call.actor).collect()
    }

    /// The number of calls so far.
    #[must_use]
    pub fn come(&self) -> u64 {
        self.state().come
    }

    /// Lets a call continue. Returns whether it was waiting.
    pub fn go(&self, number: u64) -> bool {
        self.choose(number, Pass::Answered)
    }

    /// Lets a call take effect. Its caller waits for the answer for ever.
    #[must_use]
    pub fn lose(&self, number: u64) -> Effect {
        let (applied, effect) = oneshot::channel();
        self.choose(number, Pass::Unanswered(applied));
        Effect(effect)
    }

    fn choose(&self, number: u64, pass: Pass) -> bool {
        let mut state = self.state();
        let mut waiting = state.waiting.iter();
        let Some(at) = waiting.position(|(call, _)| call.number == number) else {
            return false;
        };
        let (_, go) = state.waiting.remove(at);
        go.send(pass).is_ok()
    }

    /// Locks the state, without the calls whose callers have given up.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.0);
        state.waiting.retain(|(_, go)| !go.is_closed());
        state
    }
}

impl Effect {
    /// Whether the call has taken effect, or its caller has given up before that.
    pub fn is_over(&mut self) -> bool {
        self.0.try_recv() != Err(oneshot::error::TryRecvError::Empty)
    }
}
