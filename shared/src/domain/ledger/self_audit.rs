//! Differences between books that should agree: records, totals and cells describe the same month.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::node::Node;
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::domain::wide_number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The figure on which two books disagree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Subject {
    /// A budget's counter, against the totals of its subtree.
    Budget { id: String },
    /// The counter of a level without a budget, against the totals of its subtree.
    Level {
        /// The department. None for the organisation.
        department_id: Option<String>,
    },
    /// A budget's carry, against the rollover's history.
    Carry { id: String },
    /// The total of a department's path, against the records of that path.
    Department { path: String },
    /// The total of a user, against the user's records.
    User {
        /// The user. Empty for abandoned holds and corrections of departments.
        id: String,
    },
    /// The charge of a settled hold, against the record of the event that settled it.
    Settlement {
        /// The event's id, shown to people.
        event_id: String,
        user_id: String,
        /// Unique in the organisation.
        identity: String,
    },
}

/// Two books that disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub period: Month,
    pub subject: Subject,
    /// The unit. Money is in pico-USD.
    pub unit: Unit,
    /// The figure of the source: records, or the history.
    #[serde(with = "wide_number")]
    pub expected: i128,
    /// The figure of the derived book.
    #[serde(with = "wide_number")]
    pub found: i128,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = self.unit.exactly(self.expected);
        let found = self.unit.exactly(self.found);
        let period = self.period;
        match &self.subject {
            Subject::Budget { id } => write!(
                f,
                "{period} budget {id}: the counter says {found} are spent, the totals say \
                 {expected}"
            ),
            Subject::Level { department_id } => write!(
                f,
                "{period} {}: the counter says {found} are spent, the totals say {expected}",
                department_id.as_deref().unwrap_or("the organisation")
            ),
            Subject::Carry { id } => write!(
                f,
                "{period} budget {id}: {found} are carried in, the history says {expected}"
            ),
            Subject::Department { path } => write!(
                f,
                "{period} department {path}: the total says {found}, its records say {expected}"
            ),
            Subject::User { id } if id.is_empty() => write!(
                f,
                "{period} usage without a user: the reports say {found}, its records say {expected}"
            ),
            Subject::User { id } => write!(
                f,
                "{period} user {id}: the total says {found}, their records say {expected}"
            ),
            Subject::Settlement {
                event_id, user_id, ..
            } => write!(
                f,
                "{period} event {event_id} of {user_id}: its hold was charged {found}, its record \
                 says {expected}"
            ),
        }
    }
}

impl Difference {
    /// Returns whether it is about the same figure as `other`.
    pub fn is_about(&self, other: &Self) -> bool {
        self.period == other.period && self.subject == other.subject && self.unit == other.unit
    }

    /// Returns whether the books disagree on it as `other` says, whatever was added to both.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let by = |of: &Self| of.expected.saturating_sub(of.found);
        self.is_about(other) && by(self) == by(other)
    }

    /// Returns the differences in either unit between a source and a derived book about `subject`.
    pub fn between(
        period: Month,
        subject: &Subject,
        expected: Amounts,
        found: Amounts,
    ) -> Vec<Self> {
        let units = [Unit::Tokens, Unit::Usd].into_iter();
        units
            .filter(|unit| expected.of(*unit) != found.of(*unit))
            .map(|unit| Self {
                period,
                subject: subject.clone(),
                unit,
                expected: expected.of(unit),
                found: found.of(unit),
            })
            .collect()
    }
}

/// A cell before and after the totals were read, and the resolutions in between: holds that are in
/// the totals and still in the cell.
pub struct Look<'a> {
    /// The cell, read before the totals.
    pub before: &'a Cell,
    /// The cell, read after them.
    pub after: &'a Cell,
    /// Charges of resolved holds that are still in `after`.
    pub underway: &'a BTreeMap<Node, i128>,
}

impl Look<'_> {
    /// Returns the counters of `period` that contradict `spent`, the totals of each department. A
    /// charge between the reads explains a difference of its own size. Levels without a budget are
    /// compared only if `all_levels` is true.
    pub fn differences(
        &self,
        configuration: &Configuration,
        period: Month,
        all_levels: bool,
        spent: impl Fn(Option<&str>) -> Amounts,
    ) -> Vec<Difference> {
        let budgets = configuration.budgets_in(period);
        let budgets: BTreeMap<Node, &Budget> =
            budgets.map(|budget| (budget.counter(), budget)).collect();
        let departments = configuration.departments.keys().map(Some).chain([None]);
        let mut found = Vec::new();
        for department_id in departments {
            let department_id = department_id.map(String::as_str);
            let spent = spent(department_id);
            for unit in [Unit::Tokens, Unit::Usd] {
                let Some(index) = configuration.level(department_id) else {
                    continue;
                };
                let node = Node { unit, index };
                let budget = budgets.get(&node).copied();
                if budget.is_none() && !all_levels {
                    continue;
                }
                let gives = budget.map_or(0, |budget| unit.counted(budget.gives_in(period)));
                let before = spent_of(self.before, node, gives);
                let after = spent_of(self.after, node, gives);
                let underway = self.underway.get(&node).copied().unwrap_or(0);
                let expected = spent.of(unit);
                let possible = before.min(after)..=before.max(after).saturating_add(underway);
                if !possible.contains(&expected) {
                    found.push(Difference {
                        period,
                        subject: match budget {
                            Some(budget) => Subject::Budget {
                                id: budget.id.clone(),
                            },
                            None => Subject::Level {
                                department_id: department_id.map(str::to_owned),
                            },
                        },
                        unit,
                        expected,
                        found: after,
                    });
                }
            }
        }
        found
    }
}

/// Returns the spent amount according to a level's counter, if its budget gives it `gives`.
fn spent_of(cell: &Cell, node: Node, gives: i128) -> i128 {
    let limit = gives.saturating_add(cell.carried(node));
    let limit = limit.saturating_add(cell.exempted(node));
    // A budget without a counter is unused, and without a budget an absent counter is zero.
    let own_limit = limit.saturating_sub(cell.exempted(node));
    let available = cell.nodes.get(&node).copied().unwrap_or(own_limit);
    let held = cell.held(node).saturating_add(cell.held_exempt(node));
    limit.saturating_sub(available).saturating_sub(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::hold::Exempt;
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::samples::{budget, cell, configuration, counter, hold, month};
    use jiff::Timestamp;

    const LIMIT: i64 = 10_007;
    const SPENT: i64 = 2_345;

    fn cap() -> Node {
        counter(Some("eng"), Unit::Tokens)
    }

    /// A cell whose cap has this spent amount, with a hold of 310 of which an exemption gave 120.
    fn busy(spent: i64) -> Cell {
        let mut under_a_raise = hold(310, 0);
        under_a_raise.exempt = Some(Exempt {
            is_limited: true,
            index: Node::exemption(0),
            covered: vec![cap()],
            given: Amounts::new(120, 0),
        });
        let mut cell = cell([(cap(), (LIMIT + 66 + 120 - spent - 310).into())]);
        cell.carried.insert(cap(), 66);
        cell.exempted.insert(cap(), 120);
        cell.holds
            .insert(HoldKey::derive("acme", "ada", "r-1"), under_a_raise);
        cell
    }

    /// The differences if the totals say that `spent` were spent.
    fn found(before: &Cell, after: &Cell, underway: i128, spent: i64) -> Vec<(i64, i64)> {
        let configuration = configuration([budget(Some("eng"), Unit::Tokens, LIMIT)]);
        let underway = BTreeMap::from([(cap(), underway)]);
        let look = Look {
            before,
            after,
            underway: &underway,
        };
        let spent = |_: Option<&str>| Amounts::new(spent, 0);
        let found = look.differences(&configuration, month("2026-11"), false, spent);
        let whole = |tokens: i128| i64::try_from(tokens).unwrap();
        let figures = |of: &Difference| (whole(of.expected), whole(of.found));
        found.iter().map(figures).collect()
    }

    #[test]
    fn a_cell_with_holds_carries_and_exemptions_agrees_with_what_was_spent_and_with_nothing_else() {
        let cell = busy(SPENT);
        assert_eq!(found(&cell, &cell, 0, SPENT), []);
        for wrong in [SPENT - 1, SPENT + 1] {
            assert_eq!(found(&cell, &cell, 0, wrong), [(wrong, SPENT)]);
        }
    }

    #[test]
    fn what_came_between_the_reads_or_is_half_settled_is_no_difference_and_one_token_more_is() {
        let (before, after) = (busy(SPENT), busy(SPENT + 58));
        for (spent, underway, agrees) in [
            (SPENT - 1, 0, false),
            (SPENT, 0, true),
            (SPENT + 58, 0, true),
            (SPENT + 59, 0, false),
            (SPENT + 58 + 310, 310, true),
            (SPENT + 58 + 311, 310, false),
        ] {
            let found = found(&before, &after, underway, spent);
            assert_eq!(found.is_empty(), agrees, "{spent} {underway}");
        }
    }

    #[test]
    fn two_books_are_compared_in_each_unit() {
        let id = "ada".to_owned();
        let subject = Subject::User { id };
        let between = |expected, found| {
            let found = Difference::between(month("2026-11"), &subject, expected, found);
            found.iter().map(Difference::to_string).collect::<Vec<_>>()
        };
        let (one, other) = (Amounts::new(1_033, 21_300), Amounts::new(1_033, 21_301));
        assert!(between(one, one).is_empty());
        let said =
            "2026-11 user ada: the total says $0.000000021301, their records say $0.0000000213";
        assert_eq!(between(one, other), [said]);
        let said = "2026-11 user ada: the total says 1,034 tokens, their records say 1,033 tokens";
        assert_eq!(between(one, Amounts::new(1_034, 21_300)), [said]);
    }

    #[test]
    fn what_reports_have_of_nobody_is_told_of_no_user() {
        let subject = Subject::User { id: String::new() };
        let (records, rows) = (Amounts::new(7, 0), Amounts::new(12, 0));
        let found = Difference::between(month("2026-11"), &subject, records, rows);
        let said =
            "2026-11 usage without a user: the reports say 12 tokens, its records say 7 tokens";
        assert_eq!(found[0].to_string(), said);
        let alert = found[0].alert("alr_1".to_owned(), Timestamp::UNIX_EPOCH);
        assert_eq!(alert.user_id, None);
    }
}
