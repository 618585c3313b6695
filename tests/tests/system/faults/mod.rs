//! Each store call fails once, before and after it was applied, and each step runs twice: the state is that of once, which
//! a naive model knows.

mod between;
mod halfway;
mod model;
mod outages;
mod seen;
mod steps;

use local::dynamodb::{Fault, FaultKind, When};
use std::collections::{BTreeMap, BTreeSet};
use steps::{STEPS, Step, prepare};

/// What is so, by what it is of.
type Facts = BTreeMap<String, String>;

/// Where what is seen is not what is wanted.
fn differences(seen: &Facts, wanted: &Facts) -> Vec<String> {
    let names: BTreeSet<&String> = seen.keys().chain(wanted.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| seen.get(*name) != wanted.get(*name));
    let said = differ.map(|name| {
        let (is, should) = (seen.get(name), wanted.get(name));
        format!("{name} is {is:?}, and should be {should:?}")
    });
    said.collect()
}

/// How many calls a step makes in peace, after which everything must be as the model has it.
async fn in_peace(step: Step, when: When) -> u64 {
    let prepared = prepare(step).await;
    prepared.world.system.engine().reset_meter();
    assert!(prepared.act().await, "{step:?}");
    let calls = prepared.world.system.engine().meter().calls_that_fail(when);
    let wrong = differences(&prepared.seen().await, &prepared.wanted());
    assert!(wrong.is_empty(), "{step:?}: {wrong:#?}");
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_prepared_is_as_the_model_has_it() {
    for step in STEPS {
        let prepared = prepare(step).await;
        let seen = prepared.seen().await;
        let wrong = differences(&seen, &prepared.model.clone().facts());
        assert!(wrong.is_empty(), "{step:?}: {wrong:#?}");
        assert_ne!(seen, prepared.wanted(), "{step:?} must change something");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_done_twice_leaves_the_state_of_once() {
    for step in STEPS {
        let prepared = prepare(step).await;
        assert!(prepared.act().await);
        assert!(prepared.act().await);
        let wrong = differences(&prepared.seen().await, &prepared.wanted());
        assert!(wrong.is_empty(), "{step:?}: {wrong:#?}");
    }
}

/// Each call, or each other one, so that two kinds of fault that are told apart by the client alone share them.
async fn every_call_fails_once(kind: FaultKind, when: When, calls_tried: impl Fn(u64) -> bool) {
    let mut fired = 0;
    for step in STEPS {
        let calls = in_peace(step, when).await;
        assert!(calls > 0);
        for call in (0..calls).filter(|call| calls_tried(*call)) {
            let prepared = prepare(step).await;
            let engine = prepared.world.system.engine();
            engine.inject(Fault { call, when, kind });
            let case = format!("{step:?}, call {call} of {calls}, {kind:?} {when:?}");
            let mut tries = 0;
            while !prepared.act().await {
                tries += 1;
                assert!(tries < 10, "{case}");
            }
            // Answered as it was, a client may not know: it asks once more.
            engine.clear_faults();
            assert!(prepared.act().await, "{case}");
            fired += engine.faults_fired();
            let wrong = differences(&prepared.seen().await, &prepared.wanted());
            assert!(wrong.is_empty(), "{case}: {wrong:#?}");
        }
    }
    assert!(fired > 10, "{fired}");
}

macro_rules! faults {
    ($($name:ident: $kind:ident, $when:ident, $calls_tried:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            every_call_fails_once(FaultKind::$kind, When::$when, $calls_tried).await;
        }
    )*};
}

faults! {
    a_call_that_fails_before_it_is_applied_loses_nothing: InternalServerError, Before, |_| true;
    a_call_whose_answer_is_lost_doubles_nothing: ConnectionReset, After, |_| true;
    a_throttled_call_loses_nothing: Throttled, Before, |call| call % 2 == 0;
    a_call_that_meets_a_transaction_is_tried_again: TransactionConflict, Before, |call| call % 2 == 1;
}
