//! The places of a cell: the number of live holds, their users, and their ends.

use crate::domain::amount::Amounts;
use crate::domain::ledger::cell::{Cell, MAX_HOLDS};
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use crate::domain::ledger::settlement::finish;
use crate::domain::org::placement::HOME;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The places that every user may have.
const MIN_USER_HOLDS: usize = 50;

/// Returns how many live holds one user may have at `percent` of the places.
///
/// Everybody shares the places, and a hold costs only a request. Without a share, one user could
/// take all.
pub fn user_places(percent: u32) -> usize {
    let percent = usize::try_from(percent).unwrap_or(100).min(100);
    (MAX_HOLDS * percent / 100).max(MIN_USER_HOLDS)
}

impl Cell {
    /// Returns the seconds from `now` until the first relevant live hold lapses, at least one. None
    /// if no relevant hold is live.
    pub fn seconds_to_first_end(
        &self,
        now: Timestamp,
        matters: impl Fn(&HoldKey, &Hold) -> bool,
    ) -> Option<u32> {
        let live = self.holds.iter().filter(|(_, hold)| !hold.has_lapsed(now));
        let ends = live
            .filter(|(rid, hold)| matters(rid, hold))
            .map(|(_, hold)| i64::from(hold.expires_at))
            .min()?;
        let seconds = ends.saturating_sub(now.as_second()).max(1);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Returns the cell as if all its holds were voided. None if it lacks one of their counters.
    fn without_holds(&self) -> Option<Self> {
        let holds = self.holds.iter();
        let holds = holds.map(|(rid, hold)| (rid.clone().in_cell(HOME), hold.clone()));
        let holds: BTreeMap<HoldKey, Hold> = holds.collect();
        let cell = Self {
            holds: holds.clone(),
            ..self.clone()
        };
        let each = holds.iter();
        let updates = finish(each.map(|(rid, hold)| (rid, hold, Amounts::ZERO)));
        let mut cell = Some(cell);
        updates.apply(&mut cell).ok()?;
        cell
    }
}

impl HoldRequest {
    /// Returns true if a denied request would be admitted without the live holds of `cell`.
    pub fn is_refused_by_holds_alone(&self, cell: &Cell, now: Timestamp) -> bool {
        let obstacle = cell.without_holds().map(|cell| self.rejection(&cell, now));
        !matches!(obstacle, None | Some(HoldRejection::InsufficientBudget(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Unit;
    use crate::domain::ledger::node::Node;
    use std::collections::BTreeMap;

    const NODE: Node = Node {
        unit: Unit::Tokens,
        index: 0,
    };

    fn hold(tokens: i64, expires_at: u32) -> Hold {
        Hold {
            expires_at,
            amounts: Amounts::new(tokens, 0),
            nodes: vec![NODE],
            ..Hold::default()
        }
    }

    fn rid(user: &str, request: u32) -> HoldKey {
        HoldKey::derive("acme", user, &request.to_string())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// 1,000 tokens of which ada holds 300 until 20 and 200 until 40, and bob 100 until 30. `spent`
    /// are used up.
    fn cell(spent: i128) -> Cell {
        Cell {
            nodes: BTreeMap::from([(NODE, 400 - spent)]),
            holds: BTreeMap::from([
                (rid("ada", 1), hold(300, 20)),
                (rid("ada", 2), hold(200, 40)),
                (rid("bob", 1), hold(100, 30)),
            ]),
            ..Cell::default()
        }
    }

    fn asks(tokens: i64) -> HoldRequest {
        HoldRequest {
            rid: rid("ada", 9),
            hold: hold(tokens, 100),
            requests: 1,
            hard: vec![NODE],
            epoch: 0,
            earlier: Default::default(),
            exemptions: Vec::new(),
        }
    }

    #[test]
    fn a_user_has_a_tenth_of_the_places_and_at_least_fifty() {
        let of = [0, 1, 10, 50, 100, 1_000].map(user_places);
        assert_eq!(of, [50, 50, 200, 1_000, 2_000, 2_000]);
    }

    #[test]
    fn the_first_end_is_that_of_a_live_hold_and_never_now() {
        let cell = cell(0);
        let first = |second| cell.seconds_to_first_end(at(second), |_, _| true);
        assert_eq!(
            [first(0), first(19), first(20)],
            [Some(20), Some(1), Some(10)]
        );
        assert_eq!(first(40), None);
        let own = rid("bob", 7);
        let of_bob = cell.seconds_to_first_end(at(0), |rid, _| rid.is_of_same_user(&own));
        assert_eq!(of_bob, Some(30));
    }

    #[test]
    fn a_request_that_only_holds_keep_out_is_told_from_one_that_can_never_fit() {
        let is_by_holds = |spent, asked| asks(asked).is_refused_by_holds_alone(&cell(spent), at(0));
        assert!(
            is_by_holds(0, 1_000),
            "all of it is held and nothing is spent"
        );
        assert!(!is_by_holds(0, 1_001), "the limit itself is less");
        assert!(is_by_holds(300, 700));
        assert!(!is_by_holds(300, 701), "what is spent does not come back");
    }
}
