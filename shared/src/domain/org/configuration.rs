//! An organisation's compiled configuration: settings, department tree and budgets of one epoch.

mod places;
mod tree;

pub use places::Caps;

use crate::domain::amount::Unit;
use crate::domain::node::Node;
use crate::domain::org::budget::{Budget, EndedBudget, MAX_EARLIER};
use crate::domain::org::department::{DeletedDepartment, Department, DepartmentMove, Path};
use crate::domain::org::grant::Grant;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::people::User;
use crate::domain::org::placement::Placement;
use crate::domain::period::Month;
use crate::domain::pricing::own::OwnPrices;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// The largest difference between two clocks of a deployment.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Everything about an organisation that a decision needs, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Counts the changes that may affect a decision.
    pub epoch: u64,
    /// Counts the moves of departments.
    pub tree: u32,
    /// Counts the changes of published policies.
    pub policies: u64,
    pub organisation: Organisation,
    pub departments: BTreeMap<String, Department>,
    pub budgets: BTreeMap<String, Budget>,
    /// Deleted budgets that earlier months still need.
    pub ended: Vec<EndedBudget>,
    /// Approved exemptions, including those that have not begun or have just ended.
    pub grants: Vec<Grant>,
    /// Moves of the last months, ascending.
    pub moves: Vec<DepartmentMove>,
    /// Departments deleted in the last months.
    pub gone: Vec<DeletedDepartment>,
    /// The organisation's own prices, including removed ones that late usage may need.
    pub prices: OwnPrices,
    /// The number of the next department. All lower numbers are known here.
    pub next_department: u32,
    pub placement: Placement,
}

impl Configuration {
    pub fn period_of(&self, at: Timestamp) -> Month {
        self.organisation.month_of(at)
    }

    /// Returns the periods that a change has to reach: those in which something can be held by a
    /// clock that is at most five minutes off, and the next, which may be open already.
    pub fn periods_in_force(&self, now: Timestamp) -> Vec<Month> {
        let earlier = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
        let later = now.saturating_add(CLOCK_SKEW).unwrap_or(now);
        let mut periods = vec![
            self.period_of(earlier),
            self.period_of(later),
            self.period_of(now).next(),
        ];
        periods.dedup();
        periods
    }

    /// Returns the months that may still receive usage: this one and the thirteen before it,
    /// earliest first.
    pub fn months_with_usage(&self, now: Timestamp) -> Vec<Month> {
        let current = self.period_of(now);
        let mut months: Vec<Month> =
            std::iter::successors(Some(current), |month| Some(month.prev()))
                .take(MAX_EARLIER)
                .collect();
        months.reverse();
        months
    }

    /// Returns true if `period` is over by every clock of the deployment.
    pub fn is_over(&self, period: Month, now: Timestamp) -> bool {
        let earlier = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
        period < self.period_of(earlier)
    }

    /// Returns every budget that counts in `period`, including those deleted after it.
    pub fn budgets_in(&self, period: Month) -> impl Iterator<Item = &Budget> {
        let known = self.budgets.values();
        let known = known.filter(move |budget| budget.counts_in(period));
        let ended = self.ended.iter().filter(move |of| of.counts_in(period));
        known.chain(ended.map(|of| &of.budget))
    }

    /// Returns the first month of a budget that is created in `current` at the level with the
    /// number `node`. With a slow clock, an earlier budget of the level may already have ended
    /// `current`.
    pub fn first_month_of(&self, node: u32, unit: Unit, current: Month) -> Month {
        let counter = Node { unit, index: node };
        let earlier = self.ended.iter();
        let earlier = earlier.filter(|ended| ended.budget.counter() == counter);
        let free = earlier.map(|ended| ended.until.next());
        free.fold(current, Month::max)
    }

    /// Returns the budgets that count usage of `period` on `path`, the nearest first, tokens before
    /// US dollars.
    pub fn budgets_on(&self, path: &Path, period: Month) -> Vec<&Budget> {
        let mut found: Vec<(usize, &Budget)> = self
            .budgets
            .values()
            .filter(|budget| budget.counts_in(period))
            .filter_map(|budget| match &budget.department_id {
                None => Some((0, budget)),
                Some(id) => path
                    .0
                    .iter()
                    .position(|step| step == id)
                    .map(|depth| (depth + 1, budget)),
            })
            .collect();
        found.sort_by_key(|(depth, budget)| (std::cmp::Reverse(*depth), budget.unit));
        found.into_iter().map(|(_, budget)| budget).collect()
    }

    /// Returns the budgets of these counters, the lowest in the tree first, tokens before US
    /// dollars.
    pub fn budgets_of(&self, counters: &[Node]) -> Vec<&Budget> {
        let budgets = self.budgets.values();
        let found = budgets.filter(|budget| counters.contains(&budget.counter()));
        let mut found: Vec<&Budget> = found.collect();
        found.sort_by_key(|budget| {
            let path = budget.department_id.as_ref().map(|id| self.path(id));
            let depth = path.map_or(0, |path| path.0.len());
            (std::cmp::Reverse(depth), budget.unit)
        });
        found
    }

    /// Returns the number of a level's counters: of a department, possibly deleted, or of the
    /// organisation. None if there is no such department.
    pub fn level(&self, department_id: Option<&str>) -> Option<u32> {
        let Some(id) = department_id else {
            return Some(Node::level(None));
        };
        let known = self.departments.get(id).map(|known| known.index);
        let deleted = || self.deleted_department(id).map(|gone| gone.index);
        let index = known.or_else(deleted)?;
        Some(Node::level(Some(index)))
    }

    /// Returns the department of the level with this number. None for the organisation and for
    /// deleted departments.
    pub fn department_of(&self, level: u32) -> Option<&Department> {
        let mut departments = self.departments.values();
        departments.find(|department| Node::level(Some(department.index)) == level)
    }

    /// Returns the department with this id if it was deleted in the last months.
    pub fn deleted_department(&self, id: &str) -> Option<&DeletedDepartment> {
        let of_id = |gone: &&DeletedDepartment| gone.path.last().is_some_and(|last| last == id);
        self.gone.iter().rfind(of_id)
    }

    /// Returns the counters of every level of `path` in both units, ascending.
    pub fn counters_on(&self, path: &Path) -> Vec<Node> {
        let departments = path.0.iter().map(|id| self.level(Some(id)));
        let levels = std::iter::once(self.level(None)).chain(departments);
        let both = |index| [Unit::Tokens, Unit::Usd].map(|unit| Node { unit, index });
        let mut counters: Vec<Node> = levels.flatten().flat_map(both).collect();
        counters.sort_unstable();
        counters.dedup();
        counters
    }

    /// Returns true if a budget counts in `period`.
    pub fn has_budgets_in(&self, period: Month) -> bool {
        let mut budgets = self.budgets.values();
        budgets.any(|budget| budget.counts_in(period))
    }

    /// Returns who may be the manager of `user`, the nearest first, each with the department that
    /// they manage; None stands for the user's own manager. The manager is the first who is active,
    /// which is not known here.
    pub fn manager_candidates<'a>(
        &'a self,
        user: &'a User,
    ) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let path = self.path(&user.department_id);
        let departments = path.0.into_iter().rev();
        let departments = departments.filter_map(|id| self.departments.get(&id));
        let managers = departments.filter_map(|department| {
            let manager_id = department.manager_id.as_deref()?;
            Some((manager_id, Some(department.id.as_str())))
        });
        let own = user.manager_id.as_deref().map(|id| (id, None));
        let candidates = own.into_iter().chain(managers);
        candidates.filter(|(manager_id, _)| *manager_id != user.id)
    }

    /// Returns true if `user_id` manages a department on `path`.
    pub fn manages(&self, user_id: &str, path: &Path) -> bool {
        path.0.iter().any(|id| {
            self.departments
                .get(id)
                .is_some_and(|d| d.manager_id.as_deref() == Some(user_id))
        })
    }

    /// Returns the user's exemptions in force at `now`, the one that ends first before the others.
    pub fn grants_of(&self, user_id: &str, now: Timestamp) -> Vec<&Grant> {
        let of_user = |grant: &&Grant| grant.terms.user_id == user_id && grant.is_active(now);
        let mut found: Vec<&Grant> = self.grants.iter().filter(of_user).collect();
        found.sort_by_key(|grant| (grant.terms.ends_at, grant.index));
        found
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
