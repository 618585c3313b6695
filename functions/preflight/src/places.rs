//! Limits each user to a share of the live holds of their cell, so that nobody takes the places of
//! all.
//!
//! A decision stays one conditional write. An instance remembers the last cell that it read and its
//! own writes in flight. Only if these say that a user has reached the limit, the cell is read
//! before the user is refused or goes on. So the limit is exact within an instance. An instance
//! sees the writes of others with its next answer from the database. Across instances, a user may
//! exceed the limit by the number of their requests in flight.

use jiff::Timestamp;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::hold_request::HoldRequest;
use shared::domain::org::placement::HOME;
use shared::domain::period::Month;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// The most cells that an instance remembers, and the most holds of all of them. These take a few
/// megabytes.
const MAX_CELLS: usize = 1_000;
const MAX_REMEMBERED: usize = 20_000;

/// The organisation, the month and the number of a cell.
type Key = (String, Month, u32);

/// The last state of a cell that an instance knows.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    holds: BTreeMap<HoldKey, Hold>,
    /// The holds that are being written, with the number of requests that write each.
    under_way: BTreeMap<HoldKey, usize>,
}

/// The places that are taken, as far as this instance knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<Key, Known>>>);

/// The places for a write in flight. They are taken until this is dropped, however the write ends.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    key: Key,
    rids: Vec<HoldKey>,
}

impl Places {
    /// Takes a place for each hold of a request. None if its user had more than `most` then.
    pub(crate) fn enter(
        &self,
        organisation_id: &str,
        period: Month,
        asked: &HoldRequest,
        most: usize,
        now: Timestamp,
    ) -> Option<Place> {
        let key = (organisation_id.to_owned(), period, asked.rid.cell());
        let rids: Vec<HoldKey> = asked.keys().collect();
        // If a thread panicked while it held the lock, nothing is known here: the cell decides
        // alone.
        if let Ok(mut all) = self.0.lock() {
            let known = all.entry(key.clone()).or_default();
            if known.with(&rids, now) > most {
                return None;
            }
            for rid in &rids {
                *known.under_way.entry(rid.clone()).or_default() += 1;
            }
        }
        Some(Place {
            places: self.clone(),
            key,
            rids,
        })
    }

    /// Remembers the cell with this number as it was read, unless a later one is known. A sum of
    /// several cells is of the version of home, so it says something about home alone.
    pub(crate) fn see(&self, organisation_id: &str, period: Month, number: u32, mut cell: Cell) {
        if number != HOME && cell.others > 0 {
            return;
        }
        cell.holds.retain(|rid, _| rid.cell() == number);
        let Ok(mut all) = self.0.lock() else {
            return;
        };
        let key = (organisation_id.to_owned(), period, number);
        let known = all.entry(key).or_default();
        if known.version < cell.version {
            known.version = cell.version;
            known.holds = cell.holds;
        }
        let remembered: usize = all.values().map(|known| known.holds.len()).sum();
        if all.len() > MAX_CELLS || remembered > MAX_REMEMBERED {
            all.retain(|_, known| !known.under_way.is_empty());
            for known in all.values_mut() {
                (known.version, known.holds) = Default::default();
            }
        }
    }
}

impl Known {
    /// Returns how many holds the user of `rids` has with these, written or being written. Returns
    /// 0 if one of them lives already: a retry takes no further place.
    fn with(&self, rids: &[HoldKey], now: Timestamp) -> usize {
        let lives = |rid: &HoldKey| {
            self.holds
                .get(rid)
                .is_some_and(|hold| !hold.has_lapsed(now))
        };
        let Some(first) = rids.first().filter(|_| !rids.iter().any(lives)) else {
            return 0;
        };
        let written = self.holds.keys().filter(|other| lives(other));
        let writing = self.under_way.keys().filter(|other| !lives(other));
        let others = written
            .chain(writing)
            .filter(|other| other.is_of_same_user(first) && !rids.contains(other));
        others.count() + rids.len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut all) = self.places.0.lock() else {
            return;
        };
        let Some(known) = all.get_mut(&self.key) else {
            return;
        };
        for rid in &self.rids {
            if let Some(requests) = known.under_way.get_mut(rid) {
                *requests = requests.saturating_sub(1);
                if *requests == 0 {
                    known.under_way.remove(rid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn period() -> Month {
        Month::new(2026, 11).unwrap()
    }

    fn rid(user: &str, request: u32) -> HoldKey {
        HoldKey::derive("acme", user, &request.to_string())
    }

    fn enter(places: &Places, user: &str, request: u32, most: usize) -> Option<Place> {
        let asked = HoldRequest {
            rid: rid(user, request),
            hold: Hold::default(),
            requests: 1,
            hard: Vec::new(),
            epoch: 0,
            earlier: Default::default(),
            exemptions: Vec::new(),
        };
        places.enter("acme", period(), &asked, most, NOW)
    }

    fn cell(version: u64, holds: &[(&str, u32)]) -> Cell {
        let hold = Hold {
            expires_at: 60,
            ..Hold::default()
        };
        let holds = holds.iter();
        Cell {
            version,
            holds: holds
                .map(|(user, n)| (rid(user, *n), hold.clone()))
                .collect(),
            ..Cell::default()
        }
    }

    #[test]
    fn writes_that_are_under_way_count_until_they_end_and_for_their_user_only() {
        let places = Places::default();
        let first = enter(&places, "ada", 1, 2).unwrap();
        let _second = enter(&places, "ada", 2, 2).unwrap();
        assert!(enter(&places, "ada", 3, 2).is_none());
        assert!(enter(&places, "bob", 1, 2).is_some());
        assert!(
            enter(&places, "ada", 2, 2).is_some(),
            "a retry takes no further place"
        );
        drop(first);
        assert!(enter(&places, "ada", 3, 2).is_some());
    }

    #[test]
    fn a_write_that_is_seen_in_the_cell_counts_once() {
        let places = Places::default();
        let _under_way = enter(&places, "ada", 1, 2).unwrap();
        places.see("acme", period(), HOME, cell(5, &[("ada", 1)]));
        let second = enter(&places, "ada", 2, 2);
        assert!(second.is_some());
        assert!(enter(&places, "ada", 3, 2).is_none());
        drop(second);
        places.see("acme", period(), HOME, cell(6, &[("ada", 1), ("ada", 2)]));
        assert!(enter(&places, "ada", 3, 2).is_none());
        assert!(
            enter(&places, "ada", 2, 2).is_some(),
            "it lives and is answered"
        );
    }

    #[test]
    fn an_older_cell_changes_nothing_and_lapsed_holds_do_not_count() {
        let places = Places::default();
        places.see("acme", period(), HOME, cell(7, &[]));
        places.see("acme", period(), HOME, cell(6, &[("ada", 1)]));
        assert!(enter(&places, "ada", 2, 1).is_some());
        places.see("acme", period(), HOME, cell(8, &[("ada", 1)]));
        assert!(enter(&places, "ada", 2, 1).is_none());
        let asked = HoldRequest {
            rid: rid("ada", 2),
            hold: Hold::default(),
            requests: 1,
            hard: Vec::new(),
            epoch: 0,
            earlier: Default::default(),
            exemptions: Vec::new(),
        };
        let later = Timestamp::from_second(60).unwrap();
        assert!(places.enter("acme", period(), &asked, 1, later).is_some());
    }

    #[test]
    fn a_lease_takes_a_place_for_each_of_its_requests_and_asked_again_none() {
        let places = Places::default();
        let lease = |request: u32, requests: u8| {
            let one = HoldRequest {
                rid: rid("ada", request),
                hold: Hold::default(),
                requests: 1,
                hard: Vec::new(),
                epoch: 0,
                earlier: Default::default(),
                exemptions: Vec::new(),
            };
            one.leased(requests, NOW)
        };
        let enter = |asked: &HoldRequest| places.enter("acme", period(), asked, 10, NOW);
        let first = enter(&lease(1, 6)).unwrap();
        assert!(enter(&lease(2, 5)).is_none());
        let second = enter(&lease(2, 4)).unwrap();
        assert!(enter(&lease(3, 1)).is_none());
        drop(second);
        let one_that_lives = lease(1, 6).rid.numbered(5);
        let mut cell = cell(1, &[]);
        let hold = Hold {
            expires_at: 60,
            ..Hold::default()
        };
        cell.holds.insert(one_that_lives, hold);
        drop(first);
        places.see("acme", period(), HOME, cell);
        assert!(enter(&lease(2, 10)).is_none(), "one of them lives");
        let again = enter(&lease(1, 6));
        assert!(again.is_some() && enter(&lease(2, 9)).is_none());
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let places = Places::default();
        for organisation in 0..=MAX_CELLS {
            places.see(
                &organisation.to_string(),
                period(),
                HOME,
                cell(1, &[("ada", 1)]),
            );
        }
        assert!(places.0.lock().unwrap().len() <= MAX_CELLS);
        let many: Vec<(&str, u32)> = (0..2_000).map(|n| ("ada", n)).collect();
        for organisation in 0..20 {
            places.see(&organisation.to_string(), period(), HOME, cell(1, &many));
            let all = places.0.lock().unwrap();
            assert!(all.values().map(|known| known.holds.len()).sum::<usize>() <= MAX_REMEMBERED);
        }
    }
}
