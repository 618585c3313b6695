//! Mistakes that could be made with several cells.

use super::world::node;
use shared::domain::ledger::cell_update::{CellUpdate, Condition};
use shared::domain::ledger::cell_updates::CellUpdates;
use shared::domain::org::placement::HOME;

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hold,
    Transfer,
    Gather,
    End,
    /// The end of a hold, or a charge, of which its cell lacks a part.
    Pay,
    Charge,
    Change,
    Open,
}

macro_rules! mistakes {
    ($($name:ident in $scenario:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mistake { $($name,)* }

        /// Each mistake, and the scenario that finds it.
        pub const MISTAKES: &[(Mistake, &str)] = &[$((Mistake::$name, $scenario),)*];
    };
}

mistakes! {
    HoldsWithoutItsEpoch in "an amount that is lowered and raised again",
    HoldsAgainOnARetry in "a retry beside another request",
    AMissingCounterPasses in "gifts to a shut counter",
    RefusesFromItsCellAlone in "three requests, of which two fit",
    RefusesWithoutCountingMoves in "a refusal beside a move",
    TransfersWhatHomeLacks in "a long answer beside a short one",
    TransfersWithoutLookingAtItsCell in "three requests, of which two fit",
    GathersWithoutLooking in "three requests, of which two fit",
    MovesInTwoWrites in "three requests, of which two fit",
    ReopensWhatIsOpen in "gifts to a shut counter",
    ReopensPastAMissingCounter in "two reopen, and a debt between",
    ReopensWithoutTheCount in "two reopen, and a new cell and a debt between",
    ReopensForFree in "a long answer beside a short one",
    EndsBelowZeroInItsCell in "a long answer",
    EndsWithoutItsEpoch in "a cap that is hard, soft and hard",
    EndsAtSoftCountersWithoutItsEpoch in "a soft cap that becomes hard while an answer is long",
    EndsWithoutLooking in "an end that comes twice",
    EndsTwice in "two ends of one hold",
    DebtsWithoutShutting in "a long answer",
    ShutsHomeAlone in "a long answer",
    ShutsOnlyWhereItEnds in "a long answer",
    ShutsWithoutTheCount in "a split while a debt shuts",
    OneCellWithoutTheCount in "a split, and then a long answer at home",
    PaysWithoutLooking in "usage without holds",
    PaysIntoAShutHomeUnseen in "an amount that is lowered and raised again",
    PaysWithoutCountingIt in "an audit beside a debt",
    AuditsWithoutCountingMoves in "an audit beside moves",
    LowersWithoutShutting in "an amount that is lowered",
    HardensWithoutShutting in "a soft cap that becomes hard",
    HardensOnlyWhatItReads in "a soft cap that becomes hard",
    SoftensPastAMissingCounter in "a shut cap that becomes soft",
    DeletesWithoutOpening in "a shut cap that is deleted",
    ChangesHomeAlone in "an amount that is lowered",
    ChangesWithoutTheCount in "a split of a shut counter",
    OpensWithoutTheEpoch in "a split of a shut counter",
    OpensOverACell in "a split under load",
    LooksBackNowhere in "a split under load",
    LooksBackIntoOneCell in "a user who moves and is split off",
    GivesBackInTheUsersCell in "gifts to a shut counter",
    ChargesWithoutItsEpoch in "a shut cap that becomes soft",
    ChargesForFree in "usage without holds",
    ExemptsWithoutLooking in "an exemption for two",
}

/// Returns the updates of a step with the planted mistake.
pub fn plant(mistake: Option<Mistake>, step: Step, updates: CellUpdates) -> CellUpdates {
    let Some(mistake) = mistake else {
        return updates;
    };
    let mut out = CellUpdates::default();
    for (number, mut update) in updates.into_each() {
        if mistake == Mistake::ChangesHomeAlone && step == Step::Change && number != HOME {
            continue;
        }
        spoil(mistake, step, number, &mut update);
        *out.at(number) = update;
    }
    out
}

fn spoil(mistake: Mistake, step: Step, number: u32, update: &mut CellUpdate) {
    use Mistake as M;
    use Step as S;
    let is_home = number == HOME;
    let forget = |update: &mut CellUpdate, is: &dyn Fn(&Condition) -> bool| {
        update.conditions.retain(|condition| !is(condition));
    };
    let is_epoch = |c: &Condition| matches!(c, Condition::EpochIs(_));
    let is_least = |c: &Condition| matches!(c, Condition::AtLeast(..));
    let is_count = |c: &Condition| matches!(c, Condition::OthersAre(_));
    let is_rest = |c: &Condition| matches!(c, Condition::AtLeast(..) | Condition::AtLeastOrNew(..));
    let takes = !update.put.is_empty();
    let reopens = step == S::Gather;
    match (mistake, step) {
        (M::HoldsWithoutItsEpoch, S::Hold | S::Transfer | S::Gather)
        | (M::EndsWithoutItsEpoch, S::End | S::Pay)
        | (M::ChargesWithoutItsEpoch, S::Charge)
        | (M::OpensWithoutTheEpoch, S::Open) => forget(update, &is_epoch),
        (M::EndsAtSoftCountersWithoutItsEpoch, S::End)
            if !update.conditions.iter().any(is_least) =>
        {
            forget(update, &is_epoch);
        }
        (M::HoldsAgainOnARetry, _) => {
            forget(update, &|c| matches!(c, Condition::HoldAbsent(_)));
        }
        (M::AMissingCounterPasses, S::Hold) => {
            for condition in &mut update.conditions {
                if let Condition::AtLeast(node, least) = *condition {
                    *condition = Condition::AtLeastOrNew(node, least);
                }
            }
        }
        (M::TransfersWhatHomeLacks, S::Transfer) if is_home => forget(update, &is_least),
        (M::TransfersWithoutLookingAtItsCell, S::Transfer) if takes => forget(update, &is_rest),
        (M::GathersWithoutLooking, S::Gather) if !takes => forget(update, &is_least),
        (M::ReopensWhatIsOpen, S::Gather) => {
            forget(update, &|c| matches!(c, Condition::IsShutWith(..)));
        }
        (M::ReopensPastAMissingCounter, S::Gather) => {
            forget(update, &|c| matches!(c, Condition::IsAbsent(_)));
        }
        (M::ReopensWithoutTheCount, S::Gather)
        | (M::ShutsWithoutTheCount | M::OneCellWithoutTheCount, S::Pay | S::Charge)
        | (M::ChangesWithoutTheCount, S::Change) => forget(update, &is_count),
        (M::ReopensForFree, _) if reopens && is_home && !update.reopen.is_empty() => {
            *update.add_or_begin.entry(node(0)).or_default() += 1;
        }
        (M::EndsBelowZeroInItsCell, S::End) => forget(update, &is_least),
        (M::EndsWithoutLooking, S::End | S::Pay) => {
            forget(update, &|c| matches!(c, Condition::HoldIs(..)));
        }
        (M::DebtsWithoutShutting, S::Pay | S::Charge)
        | (M::LowersWithoutShutting | M::HardensWithoutShutting, S::Change) => update.shut.clear(),
        (M::ShutsHomeAlone, S::Pay | S::Charge) if !is_home => update.shut.clear(),
        (M::ShutsOnlyWhereItEnds, S::Pay) if !is_home && update.remove.is_empty() => {
            update.shut.clear();
        }
        (M::PaysWithoutLooking, S::Pay | S::Charge) if is_home => forget(update, &is_least),
        (M::PaysIntoAShutHomeUnseen, _) => {
            forget(update, &|c| matches!(c, Condition::IsShut(_)));
        }
        (M::PaysWithoutCountingIt, S::Pay) => update.is_move = false,
        (M::SoftensPastAMissingCounter, S::Change) => {
            forget(update, &|c| matches!(c, Condition::IsOpen(_)));
        }
        (M::DeletesWithoutOpening, S::Change) => update.reopen.clear(),
        (M::ChargesForFree, S::Charge) => update.add_or_begin.clear(),
        (M::ExemptsWithoutLooking, S::Gather) if is_home => {
            let is_of_exemption = |c: &Condition| match c {
                Condition::AtLeast(node, _) | Condition::AtLeastOrNew(node, _) => {
                    node.is_of_exemption()
                }
                _ => false,
            };
            forget(update, &is_of_exemption);
        }
        _ => {}
    }
}
