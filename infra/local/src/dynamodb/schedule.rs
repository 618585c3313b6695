//! Calls that wait to be chosen: whoever has the schedule says which of them goes next, and whether its caller ever hears of it. So
//! a test goes through the orders in which requests can meet, and through each of them again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::transport::Pass;

tokio::task_local! {
    /// Who makes the calls of a future, as a number. Only calls of somebody wait to be chosen.
    pub static ACTOR: usize;
}

/// The schedule in force, if there is one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Weak<Mutex<State>>>>);

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who makes it.
    pub actor: usize,
    /// Its number among all that have come.
    pub number: u64,
    /// `UpdateItem`.
    pub operation: String,
    /// The request, as JSON.
    pub body: String,
}

#[derive(Debug, Default)]
struct State {
    come: u64,
    waiting: Vec<(Call, oneshot::Sender<Pass>)>,
}

/// The calls that wait to be chosen. When it is dropped all of them pass, and from then on everybody does.
#[derive(Debug)]
pub struct Schedule(Arc<Mutex<State>>);

/// What a call does whose answer is lost.
#[derive(Debug)]
pub struct Effect(oneshot::Receiver<()>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// Puts a new schedule in force.
    pub(super) fn install(&self) -> Schedule {
        let state = Arc::new(Mutex::new(State::default()));
        *lock(&self.0) = Arc::downgrade(&state);
        Schedule(state)
    }

    /// Returns when a call may go on: at once if it is nobody's or nothing is scheduled.
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
    /// The calls that wait: those of the first actor first, and of one actor those that came first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Call> {
        let state = self.state();
        let calls = state.waiting.iter().map(|(call, _)| call.clone());
        let mut calls: Vec<Call> = calls.collect();
        calls.sort_by_key(|call| (call.actor, call.number));
        calls
    }

    /// Who waits at a call.
    #[must_use]
    pub fn actors(&self) -> BTreeSet<usize> {
        let state = self.state();
        state.waiting.iter().map(|(call, _)| call.actor).collect()
    }

    /// How many calls have come so far.
    #[must_use]
    pub fn come(&self) -> u64 {
        self.state().come
    }

    /// Lets the call of this number go on; whether it waited.
    pub fn go(&self, number: u64) -> bool {
        self.choose(number, Pass::Answered)
    }

    /// Lets the call of this number take effect. Its caller waits for the answer for ever.
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

    /// The state, in which nobody waits who has given up.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.0);
        state.waiting.retain(|(_, go)| !go.is_closed());
        state
    }
}

impl Effect {
    /// Whether the call has taken effect, or its caller has gone before that.
    pub fn is_over(&mut self) -> bool {
        self.0.try_recv() != Err(oneshot::error::TryRecvError::Empty)
    }
}
