//! The cells of users and counters, and the caps that they keep.

use super::Configuration;
use crate::domain::node::Node;
use crate::domain::org::department::Path;
use crate::domain::org::people::User;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// The hard counters of a period, at an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    pub hard: Vec<Node>,
    pub epoch: u64,
}

impl Configuration {
    /// Returns the number of the cell in which the requests of a user hold.
    pub fn cell_of(&self, user: &User) -> u32 {
        self.cell_on(&user.department_id, &user.id)
    }

    /// Returns the cell in which usage of a user on `path` is charged.
    pub fn cell_on_path(&self, path: &Path, user_id: &str) -> u32 {
        match path.0.last() {
            Some(department_id) => self.cell_on(department_id, user_id),
            None => HOME,
        }
    }

    fn cell_on(&self, department_id: &str, user_id: &str) -> u32 {
        let department = self.departments.get(department_id);
        department.map_or(HOME, |of| self.placement.cell_of(of.index, user_id))
    }

    /// Returns the other cells in which a user may still have a hold: since before a split, or
    /// before the user moved to another department.
    pub fn earlier_cells_of(&self, user: &User, now: Timestamp) -> BTreeSet<u32> {
        if self.placement.others == 0 {
            return BTreeSet::new();
        }
        let department = self.departments.get(&user.department_id);
        let present = department.map(|department| department.index);
        let lives = SignedDuration::from_secs(self.organisation.hold_seconds.into());
        let since = now.saturating_sub(lives + SignedDuration::from_mins(5));
        let since = since.unwrap_or(Timestamp::MIN);
        let left = user.former.iter().filter(|stay| since <= stay.until);
        let left: Vec<u32> = left.map(|stay| stay.department).collect();
        let mut cells: BTreeSet<u32> = left
            .iter()
            .map(|department| self.placement.cell_of(*department, &user.id))
            .collect();
        for department in left.into_iter().chain(present) {
            let earlier = self.placement.earlier_cells_of(department, &user.id, now);
            cells.extend(earlier);
        }
        cells.remove(&self.cell_of(user));
        cells
    }

    /// Returns how many cells serve the subtree of a counter's level.
    pub fn cells_serving(&self, node: Node) -> u32 {
        if self.placement.others == 0 {
            return 1;
        }
        let is_under = |id: &str| {
            let mut levels = self.path(id).0.into_iter();
            levels.any(|level| self.level(Some(&level)) == Some(node.index))
        };
        let is_all = node.index == Node::level(None);
        let departments = self.departments.values();
        let under = departments.filter(|of| is_all || is_under(&of.id));
        let cells = self.placement.serving(under.map(|of| of.index));
        u32::try_from(cells.len()).unwrap_or(u32::MAX)
    }

    /// Returns the hard counters of a period.
    pub fn caps_in(&self, period: Month) -> Caps {
        let budgets = self.budgets.values();
        let hard = budgets.filter(|budget| budget.hard_cap && budget.counts_in(period));
        Caps {
            hard: hard.map(|budget| budget.counter()).collect(),
            epoch: self.epoch,
        }
    }
}
