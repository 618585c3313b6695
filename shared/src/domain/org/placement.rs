//! Which cells serve which departments, and when to have more of them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The number of the first cell. It says how many others there are, and alone has the counters of
/// exemptions and the carries.
pub const HOME: u32 = 0;
/// The most cells of a period. A change writes all of them in one transaction, which takes a
/// hundred items.
pub const MAX_CELLS: u32 = 64;
/// The longest time that a request is retried after its hold has ended, beyond the hold's own.
const RETRIED_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// A cell should have at most this many live holds: then its item has about one KB, which a write
/// pays for.
const HOLDS_A_CELL: u32 = 15;
/// A cell with more live holds than this costs two units in most writes. Then a split is planned.
const TOO_MANY_HOLDS: u32 = 25;
/// Two splits are at least so far apart, so that the second sees what the first did.
const SPLIT_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// The cells of the departments, by the departments' numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// How many cells a period has beside home.
    #[serde(default)]
    pub others: u32,
    /// The cells that serve a department. A department that is not listed is served by home.
    #[serde(default, with = "pairs")]
    pub cells: BTreeMap<u32, BTreeSet<u32>>,
    /// Where departments were served before, as long as their holds of then may live.
    #[serde(default)]
    pub earlier: Vec<Earlier>,
    /// When it changed last.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
}

/// Cells that served a department before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    pub department: u32,
    /// Empty for home.
    pub cells: BTreeSet<u32>,
    /// Until when a request that was held there may be retried.
    pub until: Timestamp,
}

/// The live holds of a period, by cell and by the number of their department.
pub type Load = BTreeMap<u32, BTreeMap<u32, u32>>;

impl Placement {
    /// Returns the cell of a user of a department. Of several, a hash picks one so that one cell
    /// more takes users from all others and moves nobody else.
    pub fn cell_of(&self, department: u32, user_id: &str) -> u32 {
        match self.cells.get(&department) {
            Some(cells) => pick(cells, user_id),
            None => HOME,
        }
    }

    /// Returns the cells in which a user of a department may still hold since before a split.
    pub fn earlier_cells_of(&self, department: u32, user_id: &str, now: Timestamp) -> Vec<u32> {
        let of_department = |earlier: &&Earlier| earlier.department == department;
        let earlier = self.earlier.iter().filter(of_department);
        let earlier = earlier.filter(|earlier| now < earlier.until);
        earlier.map(|of| pick(&of.cells, user_id)).collect()
    }

    /// Returns the cells that serve any of `departments`.
    pub fn serving(&self, departments: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let cells = departments.into_iter().flat_map(|department| {
            let cells = self.cells.get(&department).cloned();
            cells.unwrap_or_else(|| BTreeSet::from([HOME]))
        });
        cells.collect()
    }

    /// Describes it for the audit log, as JSON.
    pub fn described(&self) -> String {
        let departments: Vec<_> = self
            .cells
            .iter()
            .map(|(department, cells)| serde_json::json!({"number": department, "cells": cells}))
            .collect();
        serde_json::json!({"cells": self.others + 1, "departments": departments}).to_string()
    }

    /// Returns whether a cell of `load` has too many holds, and something can be done about it.
    pub fn is_crowded(&self, load: &Load, now: Timestamp) -> bool {
        let is_early = |at: Timestamp| now.duration_since(at) < SPLIT_EVERY;
        let can_grow = self.others + 1 < MAX_CELLS && !self.changed_at.is_some_and(is_early);
        can_grow && load.values().any(|of| count(of) > TOO_MANY_HOLDS)
    }

    /// Returns a placement with more cells if [`is_crowded`](Self::is_crowded). Each step gives the
    /// fullest cell's largest department a cell of its own, or one more.
    pub fn split(&self, load: &Load, hold_seconds: u32, now: Timestamp) -> Option<Self> {
        if !self.is_crowded(load, now) {
            return None;
        }
        let after = self.divided(load, MAX_CELLS, HOLDS_A_CELL);
        let changed = after.cells != self.cells;
        changed.then(|| after.remembering(self, hold_seconds, now))
    }

    /// Returns a placement with at most `cells` cells, each with at most `holds` of `load` if there
    /// are enough of them.
    #[must_use]
    pub fn divided(&self, load: &Load, cells: u32, holds: u32) -> Self {
        let mut planned = load.clone();
        let mut after = self.clone();
        while after.others + 1 < cells.min(MAX_CELLS) {
            let fullest = planned.iter().max_by_key(|(_, of)| count(of));
            let Some((&cell, of)) = fullest.filter(|(_, of)| count(of) > holds) else {
                break;
            };
            let Some(department) = largest(of) else {
                break;
            };
            after.give_a_cell(cell, department, &mut planned);
        }
        after
    }

    /// Gives a department of a cell a new cell: as its only one if others share the cell and it is
    /// served by no other, otherwise as one more. `load` is divided in the same way.
    fn give_a_cell(&mut self, cell: u32, department: u32, load: &mut Load) {
        self.others += 1;
        let new = self.others;
        let mut cells = self.serving([department]);
        let shares = load.get(&cell).is_some_and(|of| of.len() > 1);
        if cell == HOME || (shares && cells.len() == 1) {
            cells.remove(&cell);
        }
        cells.insert(new);
        let of_department = |of: &mut BTreeMap<u32, u32>| of.remove(&department).unwrap_or(0);
        let holds: u32 = load.values_mut().map(of_department).sum();
        let each = holds.div_ceil(u32::try_from(cells.len()).unwrap_or(1).max(1));
        for cell in &cells {
            load.entry(*cell).or_default().insert(department, each);
        }
        self.cells.insert(department, cells);
    }

    /// Remembers where departments were served in `before`.
    fn remembering(mut self, before: &Self, hold_seconds: u32, now: Timestamp) -> Self {
        let lives = SignedDuration::from_secs(i64::from(hold_seconds)) + RETRIED_AFTER;
        let until = now.saturating_add(lives).unwrap_or(Timestamp::MAX);
        self.earlier.retain(|earlier| now < earlier.until);
        for (department, cells) in &self.cells {
            let earlier = before.cells.get(department);
            if earlier != Some(cells) {
                self.earlier.push(Earlier {
                    department: *department,
                    cells: earlier.cloned().unwrap_or_default(),
                    until,
                });
            }
        }
        self.changed_at = Some(now);
        self
    }
}

/// A map as a list of pairs: DynamoDB's maps have texts as keys.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::{BTreeMap, BTreeSet};

    type Map = BTreeMap<u32, BTreeSet<u32>>;

    pub(super) fn serialize<S: Serializer>(map: &Map, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(&u32, &BTreeSet<u32>)> = map.iter().collect();
        pairs.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map, D::Error> {
        let pairs: Vec<(u32, BTreeSet<u32>)> = Vec::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

fn count(departments: &BTreeMap<u32, u32>) -> u32 {
    departments.values().sum()
}

fn largest(departments: &BTreeMap<u32, u32>) -> Option<u32> {
    let largest = departments.iter().max_by_key(|(_, holds)| **holds)?;
    Some(*largest.0)
}

/// Returns the cell with the highest hash of the user and the cell. Home if there is none.
fn pick(cells: &BTreeSet<u32>, user_id: &str) -> u32 {
    let weight = |cell: &&u32| {
        let hash = Sha256::new()
            .chain_update(cell.to_be_bytes())
            .chain_update(user_id);
        <[u8; 32]>::from(hash.finalize())
    };
    let chosen = match cells.len() {
        0 | 1 => cells.first(),
        _ => cells.iter().max_by_key(weight),
    };
    chosen.copied().unwrap_or(HOME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn load(cells: &[&[(u32, u32)]]) -> Load {
        let of = |departments: &&[(u32, u32)]| departments.iter().copied().collect();
        (HOME..).zip(cells.iter().map(of)).collect()
    }

    fn served(placement: &Placement, department: u32) -> Vec<u32> {
        placement.serving([department]).into_iter().collect()
    }

    #[test]
    fn an_organisation_that_fits_into_one_cell_keeps_it() {
        let one = Placement::default();
        assert_eq!(one.split(&load(&[&[(0, 15), (1, 10)]]), 120, now()), None);
        assert_eq!(one.cell_of(7, "ada"), HOME);
        assert_eq!(served(&one, 7), [HOME]);
    }

    #[test]
    fn crowded_departments_get_cells_until_each_has_few_holds() {
        let crowded = load(&[&[(0, 60), (1, 12), (2, 3)]]);
        let after = Placement::default().split(&crowded, 120, now()).unwrap();
        assert_eq!(served(&after, 0).len(), 4, "60 holds, 15 in each");
        assert!(!served(&after, 0).contains(&HOME));
        assert_eq!(served(&after, 1), [HOME], "what is left fits into home");
        assert_eq!(after.others, 4);
        assert_eq!(after.changed_at, Some(now()));
    }

    #[test]
    fn two_splits_are_some_minutes_apart() {
        let crowded = load(&[&[(0, 60)]]);
        let after = Placement::default().split(&crowded, 120, now()).unwrap();
        let again = load(&[&[], &[(0, 90)]]);
        assert_eq!(after.split(&again, 120, now()), None);
        let later = now() + SPLIT_EVERY;
        assert!(after.split(&again, 120, later).is_some());
    }

    #[test]
    fn a_request_is_looked_for_where_it_was_held_before_a_split_while_it_may_be_retried() {
        let crowded = load(&[&[(0, 60)]]);
        let after = Placement::default().split(&crowded, 120, now()).unwrap();
        let earlier = |seconds| {
            let at = now() + SignedDuration::from_secs(seconds);
            after.earlier_cells_of(0, "ada", at)
        };
        assert_eq!(earlier(0), [HOME]);
        assert_eq!(earlier(120 + 299), [HOME]);
        assert!(earlier(120 + 300).is_empty());
        assert!(after.earlier_cells_of(1, "ada", now()).is_empty());
    }

    #[test]
    fn a_placement_is_read_as_it_was_written() {
        let crowded = load(&[&[(0, 60), (1, 40)]]);
        let after = Placement::default().split(&crowded, 120, now()).unwrap();
        let written = serde_json::to_value(&after).unwrap();
        assert!(written["cells"].is_array(), "keys of a map are texts");
        let read: Placement = serde_json::from_value(written).unwrap();
        assert_eq!(read, after);
    }

    proptest! {
        #[test]
        fn one_cell_more_takes_users_from_all_and_moves_nobody_else(
            cells in 1_u32..20, user in "[a-z]{1,8}",
        ) {
            let before: BTreeSet<u32> = (1..=cells).collect();
            let after: BTreeSet<u32> = (1..=cells + 1).collect();
            let (was, is) = (pick(&before, &user), pick(&after, &user));
            prop_assert!(is == was || is == cells + 1);
        }

        #[test]
        fn a_split_never_passes_the_most_cells_and_serves_every_department(
            holds in proptest::collection::vec(0_u32..2_000, 1..40),
        ) {
            let departments: Vec<(u32, u32)> = (0..).zip(holds).collect();
            let crowded = load(&[&departments]);
            if let Some(after) = Placement::default().split(&crowded, 120, now()) {
                prop_assert!(after.others < MAX_CELLS);
                for (department, _) in departments {
                    let cells = after.serving([department]);
                    prop_assert!(!cells.is_empty());
                    prop_assert!(cells.iter().all(|cell| *cell <= after.others));
                }
            }
        }
    }
}
