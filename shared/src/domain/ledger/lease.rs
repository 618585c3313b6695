//! Leases: equal holds for several requests, placed together or not at all.
//!
//! A lease is nothing of its own. It is several ordinary holds that one conditional write places:
//! each is settled, voided, renewed and released by itself. Their keys follow from the first one,
//! and they share its random bytes and its end.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::{HoldId, HoldKey};
use crate::domain::ledger::hold_request::HoldRequest;
use crate::domain::ledger::node::Node;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The most requests of a lease: the condition that none of their holds is there yet takes most of
/// the 4,096 bytes that DynamoDB allows.
pub const MAX_LEASE: u8 = 100;
/// How long a lease lives at most. A block or a lowered cap that its client does not hear of is in
/// force after this time.
pub const LEASE_SECONDS: u32 = 60;

impl HoldRequest {
    /// Returns the request for `requests` holds like this one. They live for [`LEASE_SECONDS`] at
    /// most. No exemption admits them: several holds could not share what one has left.
    #[must_use]
    pub fn leased(self, requests: u8, now: Timestamp) -> Self {
        let requests = requests.clamp(1, MAX_LEASE);
        let last = now.as_second().saturating_add(LEASE_SECONDS.into());
        let last = u32::try_from(last).unwrap_or(u32::MAX);
        Self {
            hold: Hold {
                amounts: self.hold.amounts.saturating_mul(requests),
                expires_at: self.hold.expires_at.min(last),
                ..self.hold
            },
            requests,
            exemptions: Vec::new(),
            ..self
        }
    }

    /// Returns the keys of its holds, the first one first.
    pub fn keys(&self) -> impl Iterator<Item = HoldKey> {
        (0..self.requests).map(|number| self.rid.numbered(number))
    }

    /// Returns the holds to create.
    pub(super) fn holds(&self) -> impl Iterator<Item = (HoldKey, Hold)> {
        let each = Hold {
            amounts: self.hold.amounts.part_of(self.requests),
            ..self.hold.clone()
        };
        self.keys().map(move |rid| (rid, each.clone()))
    }

    /// Returns those of its holds that `cell` has, the first one first.
    pub fn known_in(&self, cell: &Cell) -> impl Iterator<Item = (HoldKey, Hold)> {
        self.keys().filter_map(|rid| {
            let hold = cell.holds.get(&rid)?.clone();
            Some((rid, hold))
        })
    }

    /// Returns those of its holds that live in `cell` at `now`, the first one first.
    pub fn living_in(&self, cell: &Cell, now: Timestamp) -> Vec<(HoldKey, Hold)> {
        let known = self.known_in(cell);
        known.filter(|(_, hold)| !hold.has_lapsed(now)).collect()
    }

    /// Returns the hard counters of its path that are below zero: what is held and spent exceeds
    /// their caps. No request may begin on a lease then, although its amounts are held.
    pub fn exceeded(&self, cell: &Cell) -> Vec<Node> {
        let is_exceeded = |node: &Node| {
            let is_short = cell.nodes.get(node).is_some_and(|rest| *rest < 0);
            is_short || cell.shut.contains(node)
        };
        self.hard.iter().copied().filter(is_exceeded).collect()
    }
}

impl Cell {
    /// Returns the hold with this id and the others of its lease that are in the cell.
    pub fn lease_of(&self, hold_id: &HoldId) -> BTreeMap<HoldKey, Hold> {
        let holds = self.holds.iter().filter(|(rid, hold)| {
            let is_of_it = hold_id.names(hold);
            is_of_it && hold_id.rid.shares_lease(rid)
        });
        holds
            .map(|(rid, hold)| (rid.clone(), hold.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::{Amounts, Unit};
    use crate::domain::ledger::cell::MAX_HOLDS;
    use crate::domain::ledger::hold_request::HoldRejection;
    use crate::domain::ledger::settlement::{MAX_RELEASED_AT_ONCE, finish};
    use crate::domain::period::Month;
    use std::collections::BTreeSet;

    const NODE: Node = Node {
        unit: Unit::Tokens,
        index: 0,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Asks for 10 tokens for each of `requests`, at second 0.
    fn asks(request: &str, requests: u8) -> HoldRequest {
        let one = HoldRequest {
            rid: HoldKey::derive("acme", "ada", request),
            hold: Hold {
                fingerprint: [requests; 8],
                nonce: [7; 3],
                expires_at: 120,
                amounts: Amounts::new(10, 30),
                nodes: vec![NODE],
                ..Hold::default()
            },
            requests: 1,
            hard: vec![NODE],
            epoch: 0,
            earlier: BTreeSet::new(),
            exemptions: Vec::new(),
        };
        one.leased(requests, at(0))
    }

    fn cell(rest: i128) -> Option<Cell> {
        Some(Cell {
            nodes: BTreeMap::from([(NODE, rest)]),
            ..Cell::default()
        })
    }

    #[test]
    fn the_keys_of_a_lease_are_distinct_and_tell_it_from_every_other_request() {
        let lease = asks("r-1", MAX_LEASE);
        let keys: BTreeSet<HoldKey> = lease.keys().collect();
        assert_eq!(keys.len(), usize::from(MAX_LEASE));
        assert!(keys.contains(&lease.rid));
        for key in &keys {
            assert_eq!(HoldKey::parse(key.as_str()).as_ref(), Some(key));
            assert!(key.belongs_to("acme", "ada"), "it is of the same user");
            assert!(key.shares_lease(&lease.rid) && lease.rid.shares_lease(key));
        }
        for n in 2..2_000 {
            let other = HoldKey::derive("acme", "ada", &format!("r-{n}"));
            assert!(!keys.contains(&other) && !other.shares_lease(&lease.rid));
        }
        let bobs = HoldKey::derive("acme", "bob", "r-1");
        assert!(!bobs.shares_lease(&lease.rid));
    }

    #[test]
    fn a_lease_is_not_placed_over_those_of_its_holds_that_live() {
        let lease = asks("r-1", 3);
        let mut held = cell(60);
        lease.update().apply(&mut held).unwrap();
        let first = &lease.rid;
        assert!(held.as_mut().unwrap().holds.remove(first).is_some());
        assert!(lease.update().apply(&mut held).is_err());
    }

    #[test]
    fn a_lease_is_held_whole_or_not_at_all_and_ends_after_a_minute_at_most() {
        let lease = asks("r-1", 7);
        let mut held = cell(70);
        lease.update().apply(&mut held).unwrap();
        let held = held.unwrap();
        assert_eq!((held.nodes[&NODE], held.holds.len()), (0, 7));
        for hold in held.holds.values() {
            assert_eq!((hold.amounts, hold.expires_at), (Amounts::new(10, 30), 60));
        }
        let mut short = cell(69);
        assert!(lease.update().apply(&mut short).is_err());
        assert_eq!(short, cell(69));
        let short = short.unwrap();
        let rejection = lease.rejection(&short, at(0));
        assert_eq!(rejection, HoldRejection::InsufficientBudget(vec![NODE]));
        let mut brief = asks("r-1", 1);
        brief.hold.expires_at = 30;
        assert_eq!(brief.leased(2, at(0)).hold.expires_at, 30);
    }

    #[test]
    fn while_one_of_its_holds_lives_the_lease_is_not_held_anew() {
        let lease = asks("r-1", 60);
        let mut known = cell(600);
        lease.update().apply(&mut known).unwrap();
        // All but one are settled, whichever that is.
        for last in [0_u8, 1, 59] {
            let holds = known.as_ref().unwrap().holds.clone();
            let last = lease.rid.numbered(last);
            let mut rest = known.clone();
            let ended: Vec<(&HoldKey, &Hold, Amounts)> = holds
                .iter()
                .filter(|(rid, _)| **rid != last)
                .map(|(rid, hold)| (rid, hold, Amounts::ZERO))
                .collect();
            finish(ended).apply(&mut rest).unwrap();
            assert!(lease.update().apply(&mut rest.clone()).is_err());
            let rest = rest.unwrap();
            let same = HoldRejection::SameHold(holds[&last].clone());
            assert_eq!(lease.rejection(&rest, at(0)), same);
            assert_eq!(lease.living_in(&rest, at(0)).len(), 1);
            assert!(lease.living_in(&rest, at(60)).is_empty());
        }
        let known = known.unwrap();
        // Another number of requests is another body; so is a plain request.
        for other in [1, 59, 61] {
            let rejection = asks("r-1", other).rejection(&known, at(0));
            assert_eq!(rejection, HoldRejection::BodyMismatch);
        }
        // When all have lapsed they are released first, so many at once.
        let HoldRejection::Lapsed(lapsed) = lease.rejection(&known, at(60)) else {
            panic!("{:?}", lease.rejection(&known, at(60)));
        };
        assert_eq!(lapsed.len(), MAX_RELEASED_AT_ONCE);
    }

    #[test]
    fn a_lease_needs_a_place_for_each_of_its_requests() {
        let mut crowded = cell(1_000_000).unwrap();
        let others = (0..MAX_HOLDS - 5).map(|n| {
            let rid = HoldKey::derive("acme", "bob", &n.to_string());
            (rid, asks("r", 1).hold)
        });
        crowded.holds = others.collect();
        let fits = |requests: u8| {
            let lease = asks("r-1", requests);
            let is_applied = lease.update().apply(&mut Some(crowded.clone())).is_ok();
            let is_full = lease.rejection(&crowded, at(0)) == HoldRejection::Full;
            assert_ne!(is_applied, is_full, "{requests}");
            is_applied
        };
        assert_eq!([1, 5, 6, 100].map(fits), [true, true, false, false]);
    }

    #[test]
    fn the_other_holds_of_a_lease_are_found_by_any_of_their_ids() {
        let period = Month::new(2026, 11).unwrap();
        let (lease, mut held) = (asks("r-1", 5), cell(1_000));
        lease.update().apply(&mut held).unwrap();
        // Another request, and the same one an hour before, whose ids differ in the random bytes.
        asks("r-2", 3).update().apply(&mut held).unwrap();
        let held = held.unwrap();
        for (rid, hold) in lease.known_in(&held) {
            let id = HoldId::new(period, rid, &hold);
            let found: BTreeSet<HoldKey> = held.lease_of(&id).into_keys().collect();
            assert_eq!(found, lease.keys().collect());
            let earlier = Hold {
                nonce: [8; 3],
                ..hold
            };
            let earlier = HoldId::new(period, lease.rid.clone(), &earlier);
            assert!(held.lease_of(&earlier).is_empty());
        }
    }

    #[test]
    fn a_cap_that_is_exceeded_is_named_and_one_that_is_used_up_is_not() {
        let exceeded = |rest| asks("r-1", 2).exceeded(&cell(rest).unwrap());
        assert_eq!([exceeded(0), exceeded(-1)], [vec![], vec![NODE]]);
    }
}
