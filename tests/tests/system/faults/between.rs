//! Between the two halves of a failed step another step happens: a call fails once, somebody else
//! does something, and then the client tries again.
//!
//! The end must be that of the model in one of these orders, and in no other:
//! - the step, the other, the step again: if the first try was answered, or may have taken effect;
//! - the other, the step: if the first try was not answered, also if it wrote nothing. Then it is
//!   this order only.
//!
//! A report of two events is two steps: each of them may have taken effect by itself. After all
//! that, the client asks once more, as it does after a lost answer.

use super::Facts;
use super::model::{Model, time};
use super::steps::{NOW, Prepared, STEPS, Step, prepare};
use local::dynamodb::{Engine, Fault, FaultKind, When};

/// When the other step is done, and when the step is tried again, or so many seconds after the
/// other.
const THEN: &str = "2026-11-30T23:59:10Z";
const MONTH_ENDED: &str = "2026-12-01T00:00:30Z";
const SECONDS: i64 = 10;

/// An action of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    /// The hold of a request is given back.
    Void(&'static str),
    /// The department gets another budget.
    NewBudget,
    /// A request is made again, with the same body.
    Again(&'static str),
    UserMoved,
    /// The clock passes the end of the month.
    MonthEnded,
    /// The hard cap has less than is held by now.
    AmountChanged,
    ExemptionRevoked,
}

/// The actions that may come between the halves of a step: all that touch the same hold, counters
/// or people.
fn others(step: Step) -> &'static [Other] {
    use Other::{Again, AmountChanged, ExemptionRevoked, MonthEnded, NewBudget, UserMoved, Void};
    match step {
        Step::FirstHoldOfTheMonth => &[NewBudget, UserMoved, AmountChanged, MonthEnded],
        Step::Hold => &[NewBudget, UserMoved, AmountChanged, MonthEnded, Void("r-1")],
        Step::HoldAfterLapsed => &[
            Void("r-1"),
            Again("r-1"),
            NewBudget,
            AmountChanged,
            MonthEnded,
        ],
        Step::HoldUnderExemption => &[
            ExemptionRevoked,
            NewBudget,
            UserMoved,
            AmountChanged,
            MonthEnded,
        ],
        Step::Renew => &[Void("r-1"), NewBudget, AmountChanged, UserMoved, MonthEnded],
        Step::Settle => &[
            Void("r-1"),
            Again("r-1"),
            NewBudget,
            UserMoved,
            AmountChanged,
            MonthEnded,
        ],
        Step::SettleUnderExemption => &[
            ExemptionRevoked,
            Void("r-9"),
            Again("r-9"),
            NewBudget,
            MonthEnded,
        ],
        Step::Void => &[
            Again("r-1"),
            NewBudget,
            UserMoved,
            AmountChanged,
            MonthEnded,
        ],
        Step::LateUsage | Step::LateUsageOfCharged => {
            &[Again("r-1"), NewBudget, UserMoved, MonthEnded]
        }
        Step::UsageWithoutHold => &[NewBudget, UserMoved, AmountChanged, MonthEnded],
        Step::SettleTwoTogether => &[Void("r-1"), Again("r-2"), NewBudget, MonthEnded],
        Step::CreateBudget => &[Void("r-1"), UserMoved, AmountChanged, MonthEnded],
        Step::ChangeAmount => &[Void("r-1"), NewBudget, UserMoved, MonthEnded],
        Step::TopUp => &[Void("r-1"), NewBudget, AmountChanged, MonthEnded],
        Step::Correct => &[NewBudget, UserMoved, AmountChanged, MonthEnded],
        Step::MoveUser => &[Void("r-1"), Again("r-1"), NewBudget, MonthEnded],
        Step::MoveDepartment => &[Void("r-1"), Again("r-1"), NewBudget, UserMoved, MonthEnded],
        Step::Block => &[Again("r-1"), UserMoved, MonthEnded],
        Step::DeleteBudget => &[Void("r-1"), Again("r-1"), UserMoved, MonthEnded],
        Step::Approve => &[ExemptionRevoked, NewBudget, UserMoved, MonthEnded],
        Step::Revoke => &[Void("r-9"), Again("r-9"), NewBudget, MonthEnded],
    }
}

/// Which calls of a step fail: each n-th, another one for each pair. Steps of few calls, some of
/// which are done by halves, fail at more of them.
fn stride(step: Step) -> u64 {
    match step {
        Step::Void | Step::Renew | Step::HoldAfterLapsed => 1,
        Step::Settle | Step::SettleUnderExemption | Step::LateUsageOfCharged => 2,
        _ => 6,
    }
}

impl Other {
    fn at(self) -> &'static str {
        match self {
            Self::MonthEnded => MONTH_ENDED,
            _ => THEN,
        }
    }

    async fn act(self, prepared: &Prepared) -> bool {
        match self {
            Self::Void(request) => prepared.void(request).await,
            Self::NewBudget => prepared.create_budget().await,
            Self::Again(request) => prepared.preflight(request).await,
            Self::UserMoved => prepared.move_user().await,
            Self::MonthEnded => true,
            Self::AmountChanged => prepared.change_amount(723).await,
            Self::ExemptionRevoked => prepared.decide("revoke").await,
        }
    }

    fn happen(self, step: Step, model: &mut Model) {
        match self {
            Self::Void(request) => model.void(request),
            Self::NewBudget => model.create_budget("backend", "tokens", 5_003, true),
            Self::Again(request) => {
                let [input, output] = step.asks(request);
                model.preflight(request, input, output);
            }
            Self::UserMoved => model.move_user("sales"),
            Self::MonthEnded => {}
            Self::AmountChanged => model.change_amount("eng", "tokens", 723),
            Self::ExemptionRevoked => model.revoke(),
        }
    }
}

/// The result of a first try.
#[derive(Clone, Copy, Debug)]
enum First {
    Done,
    Nothing,
    /// It may have taken effect.
    Unknown,
}

/// The parts of a step that may have taken effect before the other, in each order that is allowed.
fn orders(step: Step, first: First) -> Vec<Vec<bool>> {
    let none = vec![false; step.parts()];
    let all = vec![true; step.parts()];
    match first {
        First::Done => vec![all],
        First::Nothing => vec![none],
        First::Unknown => {
            let mut orders = vec![Vec::new()];
            for _ in 0..step.parts() {
                let longer = |order: &Vec<bool>| {
                    [false, true].map(|is_done| [order.as_slice(), &[is_done]].concat())
                };
                orders = orders.iter().flat_map(longer).collect();
            }
            orders
        }
    }
}

/// The end of an order in the model.
fn end(start: &Model, step: Step, other: Other, order: &[bool]) -> Facts {
    let mut model = start.clone();
    for part in (0..order.len()).filter(|part| order[*part]) {
        step.happen(&mut model, part);
    }
    model.now = time(other.at());
    other.happen(step, &mut model);
    model.wait(SECONDS);
    for _ in 0..2 {
        for part in 0..order.len() {
            step.happen(&mut model, part);
        }
    }
    model.facts()
}

/// How many writes the engine ran. Of what is reported: how many calls recorded it, or kept a hold
/// until it is recorded.
fn writes(engine: &Engine, step: Step) -> u64 {
    let meter = engine.meter();
    if step.is_reported() {
        let of_evaluate = meter.callers.get("evaluate").map_or(0, |of| of.calls);
        return of_evaluate + meter.calls.get("UpdateItem").copied().unwrap_or(0);
    }
    let is_read = |name: &str| ["GetItem", "BatchGetItem", "Query", "Scan"].contains(&name);
    let writes = meter
        .calls
        .iter()
        .filter(|(name, _)| !is_read(name.as_str()));
    writes.map(|(_, calls)| calls).sum()
}

/// How many calls the first half of a step makes.
async fn calls_of(step: Step, when: When) -> u64 {
    let prepared = prepare(step).await;
    let engine = prepared.world.system.engine();
    engine.reset_meter();
    assert!(prepared.act_halfway().await, "{step:?}");
    engine.meter().calls_that_fail(when)
}

/// One run; whether the call failed.
async fn run(step: Step, other: Other, fault: Fault) -> bool {
    let mut prepared = prepare(step).await;
    let start = prepared.model.clone();
    assert_eq!(start.now, time(NOW));
    let engine = prepared.world.system.engine().clone();
    let before = engine.faults_fired();
    engine.reset_meter();
    engine.inject(fault);
    let first = match prepared.act_halfway().await {
        true => First::Done,
        false if writes(&engine, step) == 0 => First::Nothing,
        false => First::Unknown,
    };
    engine.clear_faults();
    let has_failed = engine.faults_fired() > before;
    let case = format!("{step:?}, {other:?}, {fault:?}, {first:?}");

    prepared.set_clock(other.at()).await;
    assert!(other.act(&prepared).await, "{case}");
    let again = time(other.at()) + jiff::SignedDuration::from_secs(SECONDS);
    prepared.set_clock(&again.to_string()).await;
    for _ in 0..2 {
        assert!(prepared.act().await, "{case}");
    }

    let seen = prepared.seen().await;
    let allowed = orders(step, first);
    let ends = allowed.iter().map(|order| end(&start, step, other, order));
    let ends: Vec<Facts> = ends.collect();
    if !ends.contains(&seen) {
        let differences = ends.iter().map(|wanted| super::differences(&seen, wanted));
        let each: Vec<_> = allowed.iter().zip(differences).collect();
        panic!("{case}: it is none of the ends that are allowed: {each:#?}");
    }
    has_failed
}

async fn another_step_comes_between(when: When) {
    let (mut pair, mut runs, mut failed) = (0_u64, 0_u32, 0_u32);
    for step in STEPS {
        let calls = calls_of(step, when).await;
        // Each answer of the few calls that write is lost.
        let stride = match when {
            When::Before => stride(step),
            When::After => 1,
        };
        for other in others(step) {
            pair += 1;
            for call in (0..calls).filter(|call| (call + pair).is_multiple_of(stride)) {
                let kind = FaultKind::ConnectionReset;
                runs += 1;
                failed += u32::from(run(step, *other, Fault { call, when, kind }).await);
            }
        }
    }
    assert!(runs > 120, "{runs} runs");
    assert!(failed > runs / 4 * 3, "{failed} of {runs} calls failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_between_a_failed_call_and_the_retry_leaves_the_state_of_some_order() {
    another_step_comes_between(When::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_between_a_lost_answer_and_the_retry_leaves_the_state_of_some_order() {
    another_step_comes_between(When::After).await;
}

/// With the first half not done at all, only one order is left; so a wrong one is seen.
#[tokio::test]
async fn an_answered_step_comes_first_and_one_that_wrote_nothing_last() {
    for call in [0, 99] {
        let (kind, when) = (FaultKind::ConnectionReset, When::Before);
        let fault = Fault { call, when, kind };
        let has_failed = run(Step::Renew, Other::AmountChanged, fault).await;
        assert_eq!(has_failed, call == 0);
    }
    let start = prepare(Step::Renew).await.model.clone();
    let ends = orders(Step::Renew, First::Unknown);
    let ends = ends
        .iter()
        .map(|order| end(&start, Step::Renew, Other::AmountChanged, order));
    let ends: Vec<Facts> = ends.collect();
    assert_ne!(ends[0], ends[1], "the order matters");
}

#[tokio::test]
async fn a_hold_that_is_given_back_only_halfway_is_not_answered_again() {
    let prepared = prepare(Step::Void).await;
    let world = &prepared.world;
    let kind = FaultKind::ConnectionReset;
    // The void reads the cell, writes the resolution, and fails before the cell follows.
    world.system.engine().inject(Fault {
        call: 2,
        when: When::Before,
        kind,
    });
    assert!(!prepared.void("r-1").await);
    let again = world.preflight("ada", "r-1", 307, 97).await;
    assert_eq!(again["decision"], "allow");
    assert_ne!(
        again["hold"]["id"],
        prepared.hold_of("r-1"),
        "another hold, of which nothing was given back"
    );
    let held = prepared.seen().await["budget of eng in tokens"].clone();
    assert_eq!(held, format!("{:?}", [1_001, 0, 0, 0, 704, 1_001, 297]));
}
