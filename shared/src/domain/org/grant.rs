//! The terms of exemptions, and approved ones as decisions see them.

use crate::domain::amount::Unit;
use crate::domain::node::Node;
use crate::domain::org::budget::Budget;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::people::User;
use crate::domain::period::Month;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Users are notified this long before the end, or a quarter of the duration if that is less.
const TOLD_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// How far an exemption goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExemptionKind))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Allows this much more than the caps, in each month that it reaches.
    Raise,
    Lift,
}

/// The caps that an exemption covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExemptionCovers))]
#[serde(rename_all = "lowercase")]
pub enum Covers {
    /// The caps of the user's own department.
    Department,
    /// The caps of every level from there to the organisation.
    Path,
}

/// The content of an exemption: who gets how much, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub user_id: String,
    pub kind: Kind,
    /// The tokens that a raise gives, if it gives any.
    pub tokens: Option<i64>,
    /// The micro-USD that a raise gives, if it gives any.
    pub micro_usd: Option<i64>,
    pub covers: Covers,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

/// An approved exemption, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub id: String,
    /// The number of its counters, never reused: see [`Node::exemption`].
    pub index: u32,
    pub terms: Terms,
}

impl Grant {
    /// Returns true if it covers caps in `unit`.
    pub fn gives(&self, unit: Unit) -> bool {
        match (self.terms.kind, unit) {
            (Kind::Lift, _) => true,
            (Kind::Raise, Unit::Tokens) => self.terms.tokens.is_some(),
            (Kind::Raise, Unit::Usd) => self.terms.micro_usd.is_some(),
        }
    }

    /// Returns true if its amount is limited.
    pub fn is_limited(&self) -> bool {
        self.terms.kind == Kind::Raise
    }

    pub fn counter(&self, unit: Unit) -> Node {
        Node {
            unit,
            index: self.index,
        }
    }

    /// Returns true if it is in force at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.terms.starts_at <= now && now < self.terms.ends_at
    }

    /// Returns true if it is in force at any moment of `period`.
    pub fn reaches(&self, period: Month, organisation: &Organisation) -> bool {
        self.terms.starts_at < organisation.month_end(period)
            && organisation.month_start(period) < self.terms.ends_at
    }

    /// Returns the initial values of its counters at the first hold of a month: a raise starts with
    /// its amount, a lift counts down from zero.
    pub fn opens(&self) -> Vec<(Node, i128)> {
        let units = [Unit::Tokens, Unit::Usd].into_iter();
        units.filter_map(|unit| self.opens_in(unit)).collect()
    }

    /// Returns its counter in `unit` with the initial value. None if it gives nothing in `unit`.
    pub fn opens_in(&self, unit: Unit) -> Option<(Node, i128)> {
        let given = match unit {
            Unit::Tokens => self.terms.tokens,
            Unit::Usd => self.terms.micro_usd,
        };
        let opens = (self.counter(unit), unit.counted(given.unwrap_or(0)));
        self.gives(unit).then_some(opens)
    }

    /// Returns the counters of those `budgets`, the ones on the user's path, that it covers.
    pub fn covered(&self, user: &User, budgets: &[&Budget]) -> Vec<Node> {
        let is_covered = |budget: &&&Budget| match self.terms.covers {
            Covers::Path => true,
            Covers::Department => budget.department_id.as_deref() == Some(&user.department_id),
        };
        let covered = budgets.iter().filter(is_covered);
        covered.map(|budget| budget.counter()).collect()
    }
}

impl Terms {
    /// Returns true if `now` is in its last day, or in its last quarter if that is shorter, or
    /// later.
    pub fn is_ending(&self, now: Timestamp) -> bool {
        let quarter = self.ends_at.duration_since(self.starts_at) / 4;
        self.ends_at.duration_since(now) <= quarter.min(TOLD_BEFORE)
    }
}
