//! An organisation's compiled configuration: settings, department tree and budgets of one epoch.

use super::amount::{MAX_AMOUNT, Unit};
use super::calendar::Begun;
use super::exemption::Grant;
use super::hold::Node;
use super::people::User;
use super::period::{Month, stored_time_zone};
use super::places::DEFAULT_USER_HOLDS_PERCENT;
use super::plausible::DEFAULT_MAX_TOKENS;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The deepest department level; the organisation stands above the first.
pub const MAX_DEPTH: usize = 8;
/// How far two clocks of a deployment may be apart.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The most budgets of an organisation.
pub const MAX_BUDGETS: usize = 500;
/// How many earlier values of a setting a budget remembers: as many months as late usage may come for.
const MAX_EARLIER: usize = 14;
/// The most departments of an organisation.
pub const MAX_DEPARTMENTS: usize = 2_000;

/// What a hold reserves for the answer of a request that names no output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Reserve {
    /// The organisation's output reserve: held + spent may pass a cap by what answers exceed it.
    Estimate,
    /// The model's maximum: neither held nor spent can pass a hard cap.
    Strict,
}

/// What becomes of a hold that nobody settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AbandonedHolds {
    /// All of it comes back.
    Release,
    /// All of it is charged.
    Charge,
}

/// What a model without a price may do under a hard cap in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnknownModel {
    /// Nothing.
    Refuse,
    /// Pass, counted in tokens only.
    Count,
}

/// The answer where no decision can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// Let requests pass without a hold.
    Allow,
    /// Refuse them.
    Deny,
}

/// The settings of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// The slug.
    pub id: String,
    /// For people.
    pub name: String,
    /// An IANA name; its midnight begins a month.
    pub timezone: String,
    /// Since when, and in which month: one that had begun or ended by then stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_begun: Option<Begun>,
    /// How much a hold reserves.
    pub reserve: Reserve,
    /// Tokens reserved for an answer without a limit.
    pub output_reserve_tokens: i64,
    /// How long a hold lives, in seconds.
    pub hold_seconds: u32,
    /// The share of the live holds that one user may have, in percent.
    #[serde(default = "default_user_holds")]
    pub user_holds_percent: u32,
    /// What becomes of abandoned holds.
    pub abandoned_holds: AbandonedHolds,
    /// Models without a price.
    pub unknown_model: UnknownModel,
    /// The answer without a decision.
    pub on_unavailable: OnUnavailable,
    /// How long after a month's end its rollover is corrected once by usage that came late, in hours.
    #[serde(default = "default_grace")]
    pub rollover_grace_hours: u32,
    /// The tokens of one request that are taken for possible if its model's limits are not known.
    #[serde(default = "default_max_tokens")]
    pub max_tokens_per_request: i64,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Long enough for most answers, and no longer: what is held and never settled is kept from others meanwhile.
pub const DEFAULT_HOLD_SECONDS: u32 = 120;

fn default_user_holds() -> u32 {
    DEFAULT_USER_HOLDS_PERCENT
}

/// A day.
const DEFAULT_GRACE_HOURS: u32 = 24;

fn default_max_tokens() -> i64 {
    DEFAULT_MAX_TOKENS
}

fn default_grace() -> u32 {
    DEFAULT_GRACE_HOURS
}

impl Organisation {
    /// A new organisation with the default settings.
    pub fn new(id: String, name: String, timezone: String, created_at: Timestamp) -> Self {
        Self {
            id,
            name,
            timezone,
            zone_begun: None,
            reserve: Reserve::Estimate,
            output_reserve_tokens: 4096,
            hold_seconds: DEFAULT_HOLD_SECONDS,
            user_holds_percent: DEFAULT_USER_HOLDS_PERCENT,
            abandoned_holds: AbandonedHolds::Release,
            unknown_model: UnknownModel::Refuse,
            on_unavailable: OnUnavailable::Allow,
            rollover_grace_hours: DEFAULT_GRACE_HOURS,
            max_tokens_per_request: DEFAULT_MAX_TOKENS,
            version: 1,
            created_at,
        }
    }

    /// The time zone; UTC if no table knows its name any more.
    pub fn zone(&self) -> TimeZone {
        stored_time_zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }
}

/// One department.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Department {
    /// The caller's slug.
    pub id: String,
    /// Its number, never used twice.
    pub index: u32,
    /// For people.
    pub name: String,
    /// The department above, or none at the top.
    pub parent_id: Option<String>,
    /// Who runs it.
    pub manager_id: Option<String>,
    /// How many users are in it itself.
    pub users: u64,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a budget's amount was before it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierAmount {
    /// The last month that had it.
    pub until: Month,
    /// Tokens or micro-USD a month.
    pub amount: i64,
}

/// What a budget's rollover was before it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierRollover {
    /// The last month that had it.
    pub until: Month,
    /// The share of the unused amount that carried over, in percent; none if nothing did.
    pub cap_percent: Option<u32>,
}

/// What was added to a budget for one month only. It does not carry over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    /// The month.
    pub period: Month,
    /// Tokens or micro-USD, the sum of all top-ups of the month.
    pub amount: i64,
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Made here: `bud_...`.
    pub id: String,
    /// The number of its level's counters: see [`Node`]. A budget that is made again goes on with what they say.
    pub node: u32,
    /// For people.
    pub name: String,
    /// Whose usage it limits; none is the whole organisation's.
    pub department_id: Option<String>,
    /// What it counts.
    pub unit: Unit,
    /// Tokens or micro-USD a month.
    pub amount: i64,
    /// The first month that it counts in.
    pub since: Month,
    /// Its amounts in months gone by, ascending, if they were others.
    #[serde(default)]
    pub earlier_amounts: Vec<EarlierAmount>,
    /// What was added to the amount of single months, ascending.
    #[serde(default)]
    pub top_ups: Vec<TopUp>,
    /// Whether requests are refused at the limit.
    pub hard_cap: bool,
    /// Percentages at which to tell, ascending.
    pub thresholds: Vec<u32>,
    /// The share of the unused amount that carries over, in percent.
    pub rollover_cap_percent: Option<u32>,
    /// The same in months gone by, ascending, if it was another.
    #[serde(default)]
    pub earlier_rollovers: Vec<EarlierRollover>,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Budget {
    /// Its counter in a cell.
    pub fn counter(&self) -> Node {
        Node {
            unit: self.unit,
            index: self.node,
        }
    }

    /// Returns true if it counts in `period`: from the month on in which it was made.
    pub fn counts_in(&self, period: Month) -> bool {
        self.since <= period
    }

    /// What it gives to the counter of its level in `period`: its amount and what was topped up.
    pub fn gives_in(&self, period: Month) -> i64 {
        if !self.counts_in(period) {
            return 0;
        }
        let amount = self.amount_in(period);
        amount.saturating_add(self.topped_up_in(period))
    }

    /// What was added to its amount for `period` only.
    pub fn topped_up_in(&self, period: Month) -> i64 {
        let known = self.top_ups.iter().find(|known| known.period == period);
        known.map_or(0, |known| known.amount)
    }

    /// Adds `amount` for `period` only. None if there would be more than [`MAX_AMOUNT`] in all.
    pub fn top_up(&mut self, amount: i64, period: Month) -> Option<()> {
        let sum = self.topped_up_in(period).checked_add(amount)?;
        let all = sum.checked_add(self.amount)?;
        if sum < 0 || all > MAX_AMOUNT {
            return None;
        }
        self.top_ups.retain(|known| known.period != period);
        self.top_ups.push(TopUp {
            period,
            amount: sum,
        });
        self.top_ups.sort_by_key(|known| known.period);
        forget_oldest(&mut self.top_ups);
        Some(())
    }

    /// Its amount in `period`: for a month gone by the one at that month's end.
    pub fn amount_in(&self, period: Month) -> i64 {
        let known = self.earlier_amounts.iter();
        let earlier = known.filter(|e| e.until >= period).min_by_key(|e| e.until);
        earlier.map_or(self.amount, |earlier| earlier.amount)
    }

    /// Changes the amount from `period` on, the current month; months before keep theirs.
    pub fn change_amount(&mut self, amount: i64, period: Month) {
        let until = period.prev();
        let old = self.amount_in(until);
        self.earlier_amounts.retain(|e| e.until <= until);
        self.amount = amount;
        if self.amount_in(until) != old {
            self.earlier_amounts
                .push(EarlierAmount { until, amount: old });
            forget_oldest(&mut self.earlier_amounts);
        }
    }

    /// The share of what is unused of `period` that carries over, in percent: for a month gone by the one at that month's end.
    pub fn rollover_in(&self, period: Month) -> Option<u32> {
        let known = self.earlier_rollovers.iter();
        let earlier = known.filter(|e| e.until >= period).min_by_key(|e| e.until);
        earlier.map_or(self.rollover_cap_percent, |earlier| earlier.cap_percent)
    }

    /// Changes the rollover from `period` on, the current month; months before keep theirs.
    pub fn change_rollover(&mut self, cap_percent: Option<u32>, period: Month) {
        let until = period.prev();
        let old = self.rollover_in(until);
        self.earlier_rollovers.retain(|e| e.until <= until);
        self.rollover_cap_percent = cap_percent;
        if self.rollover_in(until) != old {
            self.earlier_rollovers.push(EarlierRollover {
                until,
                cap_percent: old,
            });
            forget_oldest(&mut self.earlier_rollovers);
        }
    }
}

/// Forgets what is older than any usage that may come.
fn forget_oldest<T>(known: &mut Vec<T>) {
    let surplus = known.len().saturating_sub(MAX_EARLIER);
    known.drain(..surplus);
}

/// A budget that was deleted. It counts in the months that it has seen the end of, until they are closed and corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBudget {
    /// As it was at last.
    pub budget: Budget,
    /// The last month that it counts in.
    pub until: Month,
}

impl EndedBudget {
    /// Returns true if it counts in `period`.
    pub fn counts_in(&self, period: Month) -> bool {
        self.budget.counts_in(period) && period <= self.until
    }
}

/// A department that was put under another parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The number of the move: the tree's version after it.
    pub tree: u32,
    /// Who moved.
    pub department_id: String,
    /// The departments above it before, topmost first.
    pub old_ancestors: Vec<String>,
    /// When it moved. A row from before moves had a time counts as older than all usage.
    #[serde(default)]
    pub at: Timestamp,
}

/// A department that is no more, for the holds and late usage that still name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its number.
    pub index: u32,
    /// The moves of departments before it went.
    pub tree: u32,
    /// Its last path, topmost first.
    pub path: Vec<String>,
}

impl Gone {
    /// The departments above it at its end, topmost first.
    pub fn ancestors(&self) -> &[String] {
        self.path.split_last().map_or(&[], |(_, above)| above)
    }
}

/// Everything about an organisation that a decision needs, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Counts the changes that a decision could see.
    pub epoch: u64,
    /// Counts the moves of departments.
    pub tree: u32,
    /// Counts the changes of what is published of the policies.
    pub policies: u64,
    /// The settings.
    pub organisation: Organisation,
    /// By id.
    pub departments: BTreeMap<String, Department>,
    /// By id.
    pub budgets: BTreeMap<String, Budget>,
    /// Budgets that are no more, and that months before still need.
    pub ended: Vec<EndedBudget>,
    /// Exemptions that were approved, also ones that have not begun or have just ended.
    pub grants: Vec<Grant>,
    /// Moves of the last months, ascending.
    pub moves: Vec<Move>,
    /// Departments of the last months that are no more.
    pub gone: Vec<Gone>,
    /// The number of the next department: those below it are known here.
    pub next_department: u32,
}

/// The departments from the topmost to one's own, as ids: the organisation itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<String>);

impl Path {
    /// `/engineering/backend/`, and `/` for the organisation itself.
    pub fn to_text(&self) -> String {
        let mut text = String::from("/");
        for id in &self.0 {
            text.push_str(id);
            text.push('/');
        }
        text
    }

    /// Reads [`Self::to_text`].
    pub fn from_text(text: &str) -> Self {
        Self(
            text.split('/')
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Whether the usage of this path counts for `department_id`, or for the organisation where that is none.
    pub fn is_under(&self, department_id: Option<&str>) -> bool {
        department_id.is_none_or(|id| self.0.iter().any(|step| step == id))
    }

    /// One's own department, or none on the organisation's path.
    pub fn department_id(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }
}

impl Configuration {
    /// The period that `at` falls into.
    pub fn period_of(&self, at: Timestamp) -> Month {
        self.organisation.month_of(at)
    }

    /// The periods in which something can be held by a clock that is at most five minutes off, and the next, which
    /// may be open already: those that a change has to reach.
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

    /// The months that usage may come for: this one and the thirteen before it, the earliest first.
    pub fn months_with_usage(&self, now: Timestamp) -> Vec<Month> {
        let current = self.period_of(now);
        let mut months: Vec<Month> =
            std::iter::successors(Some(current), |month| Some(month.prev()))
                .take(MAX_EARLIER)
                .collect();
        months.reverse();
        months
    }

    /// Whether `period` is over by every clock of the deployment.
    pub fn is_over(&self, period: Month, now: Timestamp) -> bool {
        let earlier = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
        period < self.period_of(earlier)
    }

    /// The path of a department today; the empty path where there is none of that id.
    pub fn path(&self, department_id: &str) -> Path {
        let mut steps = Vec::new();
        let mut next = self.departments.get(department_id);
        while let Some(department) = next {
            steps.push(department.id.clone());
            if steps.len() > MAX_DEPTH {
                break;
            }
            next = department
                .parent_id
                .as_ref()
                .and_then(|parent| self.departments.get(parent));
        }
        steps.reverse();
        Path(steps)
    }

    /// The path that the department with number `index` had when the tree was at version `tree`: today's path with
    /// the later moves undone, the latest first. None where this configuration is older than the tree or the
    /// department.
    pub fn path_at(&self, index: u32, tree: u32) -> Option<Path> {
        if tree > self.tree || index >= self.next_department {
            return None;
        }
        let department = self.departments.values().find(|d| d.index == index);
        let gone = self.gone.iter().find(|gone| gone.index == index);
        let (mut path, known_at) = match (department, gone) {
            (Some(department), _) => (self.path(&department.id), self.tree),
            (None, Some(gone)) => (Path(gone.path.clone()), gone.tree),
            (None, None) => (Path::default(), self.tree),
        };
        let later = self.moves.iter().rev().filter(|m| m.tree <= known_at);
        for moved in later.take_while(|m| m.tree > tree) {
            if let Some(at) = path.0.iter().position(|id| *id == moved.department_id) {
                path.0.splice(..at, moved.old_ancestors.iter().cloned());
            }
        }
        Some(path)
    }

    /// The version of the tree at `at`.
    fn tree_at(&self, at: Timestamp) -> u32 {
        let last = self.moves.iter().rev().find(|moved| moved.at <= at);
        match (last, self.moves.first()) {
            (Some(last), _) => last.tree,
            (None, Some(first)) => first.tree.saturating_sub(1),
            (None, None) => self.tree,
        }
    }

    /// Returns the path of the department that `user` was in at `at`, in the tree of that moment; before they were made, it
    /// is that of their beginning. None if this configuration is older than the user's row.
    pub fn path_of_user_at(&self, user: &User, at: Timestamp) -> Option<Path> {
        let at = at.max(user.created_at);
        let index = match user.former_department(at) {
            Some(index) => index,
            None => self.departments.get(&user.department_id)?.index,
        };
        self.path_at(index, self.tree_at(at))
    }

    /// Returns the path that a department had at `at`, also of one that was deleted in the last months. None if there is
    /// no such department.
    pub fn path_of_department_at(&self, id: &str, at: Timestamp) -> Option<Path> {
        let known = self.departments.get(id).map(|known| known.index);
        let index = known.or_else(|| Some(self.deleted_department(id)?.index))?;
        self.path_at(index, self.tree_at(at))
    }

    /// Every budget that counts in `period`, also one that was deleted after it.
    pub fn budgets_in(&self, period: Month) -> impl Iterator<Item = &Budget> {
        let known = self.budgets.values();
        let known = known.filter(move |budget| budget.counts_in(period));
        let ended = self.ended.iter().filter(move |of| of.counts_in(period));
        known.chain(ended.map(|of| &of.budget))
    }

    /// The first month that a budget of the level with the number `node` counts in if it is made in `current`. By a clock
    /// that is behind, that may be a month that an earlier budget of the level has ended.
    pub fn first_month_of(&self, node: u32, unit: Unit, current: Month) -> Month {
        let counter = Node { unit, index: node };
        let earlier = self.ended.iter();
        let earlier = earlier.filter(|ended| ended.budget.counter() == counter);
        let free = earlier.map(|ended| ended.until.next());
        free.fold(current, Month::max)
    }

    /// The budgets that count usage of `period` on `path`, the nearest first, tokens before US dollars.
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

    /// The budgets of these counters, the lowest in the tree first, tokens before US dollars.
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

    /// The number of a level's counters: of a department, also of one that was deleted, or of the organisation. None if
    /// there is no such department.
    pub fn level(&self, department_id: Option<&str>) -> Option<u32> {
        let Some(id) = department_id else {
            return Some(Node::level(None));
        };
        let known = self.departments.get(id).map(|known| known.index);
        let deleted = || self.deleted_department(id).map(|gone| gone.index);
        let index = known.or_else(deleted)?;
        Some(Node::level(Some(index)))
    }

    /// The department of the level with this number. None for the organisation, and for a department that was deleted.
    pub fn department_of(&self, level: u32) -> Option<&Department> {
        let mut departments = self.departments.values();
        departments.find(|department| Node::level(Some(department.index)) == level)
    }

    /// The department of this id that was deleted in the last months.
    pub fn deleted_department(&self, id: &str) -> Option<&Gone> {
        let of_id = |gone: &&Gone| gone.path.last().is_some_and(|last| last == id);
        self.gone.iter().rfind(of_id)
    }

    /// The counters of every level of `path` in both units, ascending.
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

    /// The departments directly under `parent_id`.
    pub fn children<'a>(&'a self, parent_id: &'a str) -> impl Iterator<Item = &'a Department> {
        self.departments
            .values()
            .filter(move |d| d.parent_id.as_deref() == Some(parent_id))
    }

    /// How many levels the subtree of `department_id` has, itself included.
    pub fn height(&self, department_id: &str) -> usize {
        self.departments
            .keys()
            .map(|id| self.path(id).0)
            .filter_map(|steps| {
                let at = steps.iter().position(|id| id == department_id)?;
                Some(steps.len() - at)
            })
            .max()
            .unwrap_or(0)
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

    /// Whether `user_id` manages a department on `path`.
    pub fn manages(&self, user_id: &str, path: &Path) -> bool {
        path.0.iter().any(|id| {
            self.departments
                .get(id)
                .is_some_and(|d| d.manager_id.as_deref() == Some(user_id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::people::{Role, Status};
    use crate::domain::samples;

    fn department(index: u32, id: &str, parent: Option<&str>) -> (String, Department) {
        let department = Department {
            id: id.to_owned(),
            index,
            name: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            manager_id: None,
            users: 0,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        (id.to_owned(), department)
    }

    fn configuration(departments: &[(u32, &str, Option<&str>)], moves: Vec<Move>) -> Configuration {
        Configuration {
            epoch: 1,
            tree: moves.last().map_or(0, |m| m.tree),
            policies: 0,
            organisation: Organisation::new(
                "acme".into(),
                "Acme".into(),
                "UTC".into(),
                Timestamp::UNIX_EPOCH,
            ),
            departments: departments
                .iter()
                .map(|&(index, id, parent)| department(index, id, parent))
                .collect(),
            budgets: BTreeMap::new(),
            ended: Vec::new(),
            grants: Vec::new(),
            moves,
            gone: Vec::new(),
            next_department: 4,
        }
    }

    fn month(n: i8) -> Month {
        Month::new(2026, n).unwrap()
    }

    /// A budget of the organisation since January.
    fn budget() -> Budget {
        Budget {
            id: "bud_1".into(),
            node: 0,
            since: month(1),
            top_ups: Vec::new(),
            name: "b".into(),
            department_id: None,
            unit: Unit::Tokens,
            amount: 10,
            earlier_amounts: Vec::new(),
            hard_cap: true,
            thresholds: Vec::new(),
            rollover_cap_percent: None,
            earlier_rollovers: Vec::new(),
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn months_gone_by_keep_the_amount_of_their_end() {
        let mut budget = budget();
        budget.change_amount(20, month(3));
        budget.change_amount(30, month(3));
        budget.change_amount(40, month(6));
        let amounts = |b: &Budget| [2, 3, 5, 6, 9].map(|n| b.amount_in(month(n)));
        assert_eq!(amounts(&budget), [10, 30, 30, 40, 40]);
        budget.change_amount(50, month(5));
        assert_eq!(
            amounts(&budget),
            [10, 30, 50, 50, 50],
            "a clock that went back"
        );
        budget.change_amount(30, month(7));
        assert_eq!(amounts(&budget), [10, 30, 50, 50, 30]);
    }

    #[test]
    fn months_gone_by_keep_the_rollover_of_their_end() {
        let mut budget = budget();
        budget.change_rollover(Some(100), month(3));
        budget.change_rollover(Some(50), month(3));
        budget.change_rollover(None, month(6));
        let shares = |b: &Budget| [2, 3, 5, 6, 9].map(|n| b.rollover_in(month(n)));
        assert_eq!(shares(&budget), [None, Some(50), Some(50), None, None]);
        budget.change_rollover(Some(10), month(6));
        let expected = [None, Some(50), Some(50), Some(10), Some(10)];
        assert_eq!(shares(&budget), expected);
        budget.change_rollover(Some(50), month(7));
        let expected = [None, Some(50), Some(50), Some(10), Some(50)];
        assert_eq!(shares(&budget), expected);
    }

    #[test]
    fn a_budget_that_was_stored_before_rollovers_had_dates_has_one_for_all_months() {
        let known = Budget {
            rollover_cap_percent: Some(25),
            ..budget()
        };
        let mut stored = serde_json::to_value(&known).unwrap();
        let fields = stored.as_object_mut().unwrap();
        assert!(fields.remove("earlier_rollovers").is_some());
        let read: Budget = serde_json::from_value(stored).unwrap();
        assert_eq!(read, known);
        assert_eq!(read.rollover_in(month(1)), Some(25));
    }

    #[test]
    fn a_budget_that_was_deleted_counts_in_the_months_that_it_has_seen_the_end_of() {
        let mut config = configuration(&[], Vec::new());
        let made_again = Budget {
            id: "bud_2".into(),
            since: month(9),
            ..budget()
        };
        let ended = EndedBudget {
            budget: budget(),
            until: month(8),
        };
        config.ended.push(ended);
        let begins = |config: &Configuration, current| {
            let first = config.first_month_of(0, Unit::Tokens, month(current));
            let other = config.first_month_of(0, Unit::Usd, month(current));
            assert_eq!(other, month(current), "another unit is free");
            first
        };
        assert_eq!(begins(&config, 8), month(9), "by a clock that is behind");
        assert_eq!(begins(&config, 10), month(10));
        config.budgets.insert("bud_2".into(), made_again);
        let counted = |n| -> Vec<&str> {
            let budgets = config.budgets_in(month(n));
            budgets.map(|budget| budget.id.as_str()).collect()
        };
        assert_eq!(counted(1), ["bud_1"]);
        assert_eq!(counted(8), ["bud_1"]);
        assert_eq!(counted(9), ["bud_2"]);
        let on_path = |n| config.budgets_on(&Path::default(), month(n)).len();
        assert_eq!([8, 9].map(on_path), [0, 1], "only what is there decides");
    }

    fn moved(tree: u32, id: &str, old: &[&str]) -> Move {
        Move {
            tree,
            department_id: id.to_owned(),
            old_ancestors: old.iter().map(|s| (*s).to_owned()).collect(),
            at: second(i64::from(tree) * 10),
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_path_at_an_earlier_tree_undoes_the_later_moves() {
        // a > b > c at first; then c went to the top, then b went under c.
        let config = configuration(
            &[(0, "a", None), (1, "b", Some("c")), (2, "c", None)],
            vec![moved(1, "c", &["a", "b"]), moved(2, "b", &["a"])],
        );
        let at = |index, tree| config.path_at(index, tree).map(|path| path.to_text());
        assert_eq!(at(1, 2).as_deref(), Some("/c/b/"));
        assert_eq!(at(1, 1).as_deref(), Some("/a/b/"));
        assert_eq!(at(2, 1).as_deref(), Some("/c/"));
        assert_eq!(at(2, 0).as_deref(), Some("/a/b/c/"));
        assert_eq!(at(9, 0), None, "an unknown department");
        assert_eq!(at(1, 3), None, "a move that is not known yet");
        let mut without = config.clone();
        without.departments.remove("b");
        without.gone.push(Gone {
            index: 1,
            tree: 1,
            path: vec!["a".into(), "b".into()],
        });
        let at = |tree| without.path_at(1, tree).map(|path| path.to_text());
        assert_eq!(
            at(1).as_deref(),
            Some("/a/b/"),
            "a department that is no more"
        );
        assert_eq!(at(0).as_deref(), Some("/a/b/"));
    }

    #[test]
    fn a_users_path_is_that_of_the_moment() {
        // a > b and c at first; at second 10 b went under c, and at second 20 c under a.
        let config = configuration(
            &[(0, "a", None), (1, "b", Some("c")), (2, "c", Some("a"))],
            vec![moved(1, "b", &["a"]), moved(2, "c", &[])],
        );
        let mut user = User {
            id: "ada".into(),
            email: "ada@example.com".into(),
            name: "Ada".into(),
            department_id: "b".into(),
            former: Vec::new(),
            manager_id: None,
            role: Role::Member,
            status: Status::Active,
            block: None,
            version: 1,
            created_at: second(5),
            updated_at: second(5),
        };
        let path = |user: &User, n| {
            let path = config.path_of_user_at(user, second(n));
            path.map(|path| path.to_text())
        };
        for (n, expected) in [(0, "/a/b/"), (9, "/a/b/"), (10, "/c/b/"), (20, "/a/c/b/")] {
            assert_eq!(path(&user, n).as_deref(), Some(expected), "{n}");
        }
        user.move_to("a".into(), 1, second(15));
        assert_eq!(path(&user, 14).as_deref(), Some("/c/b/"));
        assert_eq!(path(&user, 15).as_deref(), Some("/a/"));
        user.created_at = second(12);
        assert_eq!(path(&user, 3).as_deref(), Some("/c/b/"), "before the user");
        user.move_to("new".into(), 0, second(30));
        assert_eq!(path(&user, 30), None, "a department that is not known yet");
        assert_eq!(path(&user, 29).as_deref(), Some("/a/"));
    }

    #[test]
    fn a_path_is_under_each_of_its_steps_and_the_organisation() {
        let path = Path::from_text("/a/b/");
        assert!(path.is_under(None) && path.is_under(Some("a")) && path.is_under(Some("b")));
        assert!(!path.is_under(Some("c")) && Path::default().is_under(None));
        assert_eq!(Path::default().to_text(), "/");
    }

    #[test]
    fn a_height_counts_levels() {
        let config = configuration(
            &[
                (0, "a", None),
                (1, "b", Some("a")),
                (2, "c", Some("b")),
                (3, "d", Some("a")),
            ],
            Vec::new(),
        );
        assert_eq!(
            (config.height("a"), config.height("b"), config.height("d")),
            (3, 2, 1)
        );
    }

    #[test]
    fn a_budget_gives_its_amount_and_what_was_topped_up_from_its_first_month_on() {
        let mut budget = samples::budget(Some("eng"), Unit::Tokens, 1_001);
        let month = samples::month;
        budget.top_up(250, month("2026-11")).unwrap();
        budget.top_up(7, month("2026-11")).unwrap();
        let given = ["2026-09", "2026-10", "2026-11", "2026-12"];
        let given = given.map(|text| budget.gives_in(month(text)));
        assert_eq!(given, [0, 1_001, 1_258, 1_001]);
    }

    #[test]
    fn a_month_is_over_once_it_is_by_every_clock() {
        let config = samples::configuration([]);
        let is_over = |now| config.is_over(samples::month("2026-11"), samples::at(now));
        assert!(
            !is_over("2026-12-01T00:04:59Z"),
            "another clock may be behind"
        );
        assert!(is_over("2026-12-01T00:05:00Z"));
    }

    #[test]
    fn the_nearest_budgets_come_first_and_the_organisations_last() {
        let config = samples::configuration([
            samples::budget(None, Unit::Tokens, 1),
            samples::budget(Some("eng"), Unit::Usd, 2),
            samples::budget(Some("backend"), Unit::Usd, 3),
            samples::budget(Some("backend"), Unit::Tokens, 4),
            samples::budget(Some("sales"), Unit::Tokens, 5),
        ]);
        let amounts = |budgets: Vec<&Budget>| -> Vec<i64> {
            budgets.iter().map(|budget| budget.amount).collect()
        };
        let path = config.path("backend");
        assert_eq!(amounts(config.budgets_on(&path, month(11))), [4, 3, 2, 1]);
        let counters = config.counters_on(&path);
        assert_eq!(amounts(config.budgets_of(&counters)), [4, 3, 2, 1]);
    }

    #[test]
    fn nobody_is_their_own_manager() {
        let mut config = samples::configuration([]);
        for (department, manager) in [("backend", "mo"), ("eng", "eve")] {
            let department = config.departments.get_mut(department).unwrap();
            department.manager_id = Some(manager.to_owned());
        }
        let managers = |user: &User| {
            let candidates = config.manager_candidates(user);
            candidates.map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(managers(&samples::user("ada")), ["mo", "eve"]);
        assert_eq!(managers(&samples::user("mo")), ["eve"]);
        let own = User {
            manager_id: Some("max".to_owned()),
            ..samples::user("ada")
        };
        assert_eq!(managers(&own), ["max", "mo", "eve"]);
        let elsewhere = User {
            department_id: "sales".to_owned(),
            ..samples::user("sam")
        };
        assert!(managers(&elsewhere).is_empty());
    }
}
