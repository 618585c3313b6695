//! Exemptions: a way past a hard cap for one user and a while, asked for by them or their manager and decided by an
//! administrator.

use super::amount::{Amounts, Unit};
use super::cell::Cell;
use super::configuration::{Budget, Configuration, Organisation};
use super::hold::Node;
use super::people::User;
use super::period::Month;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest that an exemption lasts: a year.
pub const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most requests of an organisation that wait for a decision.
pub const MAX_PENDING: usize = 500;
/// The most requests of one user that wait for a decision.
pub const MAX_PENDING_OF_USER: usize = 10;
/// The most exemptions of an organisation that are approved and have not ended.
pub const MAX_GRANTS: usize = 200;
/// The most exemptions of one user that are approved and have not ended.
pub const MAX_GRANTS_OF_USER: usize = 5;
/// How long before its end a user is told of it, at most; a quarter of its length where that is less.
const TOLD_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// How far an exemption goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExemptionKind))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// So much more than the caps allow, in each month that it reaches.
    Raise,
    /// No cap.
    Lift,
}

/// Which caps give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExemptionCovers))]
#[serde(rename_all = "lowercase")]
pub enum Covers {
    /// Those of the user's own department.
    Department,
    /// Those of every level from there to the organisation.
    Path,
}

/// What an exemption gives to whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// For whom.
    pub user_id: String,
    /// How far.
    pub kind: Kind,
    /// How many tokens a raise gives, where it gives tokens.
    pub tokens: Option<i64>,
    /// How many micro-USD a raise gives, where it gives money.
    pub micro_usd: Option<i64>,
    /// Which caps give way.
    pub covers: Covers,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

/// An approved exemption as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The exemption: `exm_...`.
    pub id: String,
    /// The number of its counters, never used twice: see [`Node::exemption`].
    pub index: u32,
    /// What it gives.
    pub terms: Terms,
}

impl Grant {
    /// Whether it stands in for caps in `unit`.
    pub fn gives(&self, unit: Unit) -> bool {
        match (self.terms.kind, unit) {
            (Kind::Lift, _) => true,
            (Kind::Raise, Unit::Tokens) => self.terms.tokens.is_some(),
            (Kind::Raise, Unit::Usd) => self.terms.micro_usd.is_some(),
        }
    }

    /// Whether there is an end to what it gives.
    pub fn is_limited(&self) -> bool {
        self.terms.kind == Kind::Raise
    }

    /// Its counter in `unit`.
    pub fn counter(&self, unit: Unit) -> Node {
        Node {
            unit,
            index: self.index,
        }
    }

    /// Whether it is in force at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.terms.starts_at <= now && now < self.terms.ends_at
    }

    /// Whether it is in force at any moment of `period`.
    pub fn reaches(&self, period: Month, organisation: &Organisation) -> bool {
        self.terms.starts_at < organisation.month_end(period)
            && organisation.month_start(period) < self.terms.ends_at
    }

    /// What its counters open with at the first hold in a month: what a raise gives; a lift's go below zero with what is
    /// used.
    pub fn opens(&self) -> Vec<(Node, i64)> {
        let units = [Unit::Tokens, Unit::Usd].into_iter();
        units.filter_map(|unit| self.opens_in(unit)).collect()
    }

    /// Its counter in `unit` and what that opens with. None if it gives nothing in `unit`.
    pub fn opens_in(&self, unit: Unit) -> Option<(Node, i64)> {
        let given = match unit {
            Unit::Tokens => self.terms.tokens,
            Unit::Usd => self.terms.micro_usd,
        };
        let opens = (self.counter(unit), given.unwrap_or(0));
        self.gives(unit).then_some(opens)
    }

    /// What of `cell` it has given: held or spent.
    pub fn used(&self, cell: &Cell) -> Amounts {
        let mut used = Amounts::ZERO;
        for (node, given) in self.opens() {
            let rest = cell.nodes.get(&node).copied().unwrap_or(given);
            let of_unit = given.saturating_sub(rest);
            match node.unit {
                Unit::Tokens => used.tokens = of_unit,
                Unit::Usd => used.micro_usd = of_unit,
            }
        }
        used
    }

    /// Those of `budgets`, the ones on the user's path, whose caps give way.
    pub fn covered(&self, user: &User, budgets: &[&Budget]) -> Vec<Node> {
        let is_covered = |budget: &&&Budget| match self.terms.covers {
            Covers::Path => true,
            Covers::Department => budget.department_id.as_deref() == Some(&user.department_id),
        };
        let covered = budgets.iter().filter(is_covered);
        covered.map(|budget| budget.counter()).collect()
    }
}

impl Configuration {
    /// The exemptions of a user that are in force at `now`, the one that ends first before the others.
    pub fn grants_of(&self, user_id: &str, now: Timestamp) -> Vec<&Grant> {
        let of_user = |grant: &&Grant| grant.terms.user_id == user_id && grant.is_active(now);
        let mut found: Vec<&Grant> = self.grants.iter().filter(of_user).collect();
        found.sort_by_key(|grant| (grant.terms.ends_at, grant.index));
        found
    }
}

/// Who asked or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Their key.
    pub key_id: String,
    /// Whom the key is bound to.
    pub user_id: Option<String>,
    /// The nearest user in the chain of makers of a key that is bound to nobody; none is the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible_user_id: Option<String>,
    /// Everybody in the chain of makers of the key. Empty of those who asked or decided before it was kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub makers: BTreeSet<String>,
}

impl Party {
    /// Returns whom the key stands for: its user, or else the nearest in the chain of its makers. None is the operator; a key of
    /// which nobody knows who made it counts as the operator's, as every chain begins there or at a user.
    pub fn person(&self) -> Option<&str> {
        self.user_id
            .as_deref()
            .or(self.responsible_user_id.as_deref())
    }

    /// Whether both are the same person, as far as that can be known: the same key, or keys that stand for the same person.
    pub fn is(&self, other: &Self) -> bool {
        self.key_id == other.key_id || self.person() == other.person()
    }

    /// Everybody whose doing it may be: of a bound key its user, of another one all of its makers, as nothing tells them apart.
    pub fn people(&self) -> BTreeSet<&str> {
        match &self.user_id {
            Some(user_id) => BTreeSet::from([user_id.as_str()]),
            None => self.holders(),
        }
    }

    /// Everybody who has the key's secret or has seen it: its user and all of its makers.
    pub fn holders(&self) -> BTreeSet<&str> {
        let bound_to = self.user_id.iter().chain(&self.responsible_user_id);
        bound_to.chain(&self.makers).map(String::as_str).collect()
    }

    /// The user, or the key where there is none.
    pub fn name(&self) -> &str {
        self.user_id.as_deref().unwrap_or(&self.key_id)
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExemptionStatus {
    /// Nothing yet.
    Pending,
    /// It is granted.
    Approved,
    /// It is refused.
    Denied,
    /// It was withdrawn, by whoever asked before it was decided or by an administrator.
    Revoked,
    /// It has ended by time, and the audit log says so.
    Expired,
}

impl ExemptionStatus {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What was decided, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// By whom.
    pub by: Party,
    /// When.
    pub at: Timestamp,
    /// Why, where that was said.
    pub note: Option<String>,
}

/// A request for an exemption and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Made here: `exm_...`, later ones sort last.
    pub id: String,
    /// What is asked for.
    pub terms: Terms,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requested_by: Party,
    /// What was decided.
    pub decided: ExemptionStatus,
    /// The decision, once it was made.
    pub decision: Option<Decision>,
    /// Its end before its time.
    pub revocation: Option<Decision>,
    /// The number of its counters, once it was approved.
    pub index: Option<u32>,
    /// Whether its user was told that it ends.
    #[serde(default)]
    pub is_end_told: bool,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Exemption {
    /// What it is at `now`: what waits or is in force has expired once its time is over.
    pub fn status(&self, now: Timestamp) -> ExemptionStatus {
        match self.decided {
            ExemptionStatus::Pending | ExemptionStatus::Approved if self.terms.ends_at <= now => {
                ExemptionStatus::Expired
            }
            decided => decided,
        }
    }

    /// As decisions see it, where it was ever approved.
    pub fn grant(&self) -> Option<Grant> {
        Some(Grant {
            id: self.id.clone(),
            index: self.index?,
            terms: self.terms.clone(),
        })
    }

    /// Whether `decider` may decide it: neither whoever asked nor whom it is for, nor anybody with a key that one of them made.
    pub fn may_be_decided_by(&self, decider: &Party) -> bool {
        let holders = decider.holders();
        !decider.is(&self.requested_by)
            && !holders.contains(self.terms.user_id.as_str())
            && holders.is_disjoint(&self.requested_by.people())
    }

    /// Whether it is time to tell its user that it ends.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        self.status(now) == ExemptionStatus::Approved && self.terms.is_ending(now)
    }
}

impl Terms {
    /// Whether `now` is in its last day, or its last quarter where that is shorter, or later.
    pub fn is_ending(&self, now: Timestamp) -> bool {
        let quarter = self.ends_at.duration_since(self.starts_at) / 4;
        self.ends_at.duration_since(now) <= quarter.min(TOLD_BEFORE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn grant(kind: Kind, tokens: Option<i64>, micro_usd: Option<i64>) -> Grant {
        Grant {
            id: "exm_1".to_owned(),
            index: 7,
            terms: Terms {
                user_id: "ada".to_owned(),
                kind,
                tokens,
                micro_usd,
                covers: Covers::Path,
                starts_at: at("2026-11-24T12:00:00Z"),
                ends_at: at("2026-12-01T12:00:00Z"),
            },
        }
    }

    #[test]
    fn a_raise_stands_in_for_what_it_gives_and_a_lift_for_everything() {
        let tokens = grant(Kind::Raise, Some(5), None);
        assert!(tokens.gives(Unit::Tokens) && !tokens.gives(Unit::Usd));
        assert_eq!(tokens.opens(), [(tokens.counter(Unit::Tokens), 5)]);
        let lift = grant(Kind::Lift, None, None);
        assert!(lift.gives(Unit::Tokens) && lift.gives(Unit::Usd));
        assert!(lift.opens().iter().all(|(_, given)| *given == 0));
    }

    #[test]
    fn it_begins_at_its_start_and_is_over_at_its_end() {
        let grant = grant(Kind::Lift, None, None);
        for (now, is_active) in [
            ("2026-11-24T11:59:59Z", false),
            ("2026-11-24T12:00:00Z", true),
            ("2026-12-01T11:59:59Z", true),
            ("2026-12-01T12:00:00Z", false),
        ] {
            assert_eq!(grant.is_active(at(now)), is_active, "{now}");
        }
        let month = |n| Month::new(2026, n).unwrap();
        let zone = "UTC".to_owned();
        let organisation = Organisation::new("a".into(), "A".into(), zone, Timestamp::UNIX_EPOCH);
        let reached = (10..=12).map(|n| grant.reaches(month(n), &organisation));
        assert_eq!(reached.collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn nobody_decides_their_own() {
        let party = |key_id: &str, user_id: Option<&str>, maker: Option<&str>| Party {
            key_id: key_id.to_owned(),
            user_id: user_id.map(str::to_owned),
            responsible_user_id: maker.map(str::to_owned),
            makers: BTreeSet::new(),
        };
        let made_by = |party: Party, makers: &[&str]| Party {
            makers: makers.iter().map(|id| (*id).to_owned()).collect(),
            ..party
        };
        let mut exemption = Exemption {
            id: "exm_1".to_owned(),
            terms: grant(Kind::Lift, None, None).terms,
            reason: "a release".to_owned(),
            requested_by: party("key_1", Some("mo"), None),
            decided: ExemptionStatus::Pending,
            decision: None,
            revocation: None,
            index: None,
            is_end_told: false,
            version: 1,
            created_at: at("2026-11-24T12:00:00Z"),
            updated_at: at("2026-11-24T12:00:00Z"),
        };
        for (key, user, maker, may) in [
            ("key_1", None, None, false),
            ("key_2", Some("mo"), None, false),
            ("key_2", Some("ada"), None, false),
            ("key_2", Some("root"), None, true),
            ("key_2", None, None, true),
            ("key_2", None, Some("mo"), false),
            ("key_2", None, Some("ada"), false),
            ("key_2", None, Some("root"), true),
        ] {
            assert_eq!(
                exemption.may_be_decided_by(&party(key, user, maker)),
                may,
                "asked by mo: {key} {user:?} {maker:?}"
            );
        }
        for (user, makers, may) in [
            (Some("root"), ["root", "zoe"], true),
            (Some("root"), ["mo", "zoe"], false),
            (Some("root"), ["ada", "zoe"], false),
            (None, ["root", "mo"], false),
            (None, ["root", "zoe"], true),
        ] {
            let decider = made_by(party("key_2", user, None), &makers);
            assert_eq!(
                exemption.may_be_decided_by(&decider),
                may,
                "asked by mo: {user:?} by {makers:?}"
            );
        }
        // Whoever made the key that asks may decide, if it is bound: else nobody could who makes keys for others.
        for (user, may) in [(Some("mo"), true), (None, false)] {
            exemption.requested_by = made_by(party("key_1", user, None), &["root", "zoe"]);
            let decider = party("key_2", Some("root"), None);
            assert_eq!(exemption.may_be_decided_by(&decider), may, "{user:?}");
        }
        for (asker, maker, may) in [
            ("key_1", None, false),
            ("key_1", Some("root"), true),
            ("key_2", Some("root"), false),
        ] {
            exemption.requested_by = party(asker, None, maker);
            let by_operators = exemption.may_be_decided_by(&party("key_2", None, None));
            assert_eq!(by_operators, may, "asked by {asker} {maker:?}");
        }
        assert_eq!(
            exemption.status(at("2026-12-01T12:00:00Z")),
            ExemptionStatus::Expired
        );
    }

    #[test]
    fn its_user_is_told_in_its_last_day_or_its_last_quarter() {
        let mut exemption = Exemption {
            id: "exm_1".to_owned(),
            terms: grant(Kind::Lift, None, None).terms,
            reason: "a release".to_owned(),
            requested_by: Party {
                key_id: "key_1".to_owned(),
                user_id: None,
                responsible_user_id: None,
                makers: BTreeSet::new(),
            },
            decided: ExemptionStatus::Approved,
            decision: None,
            revocation: None,
            index: Some(1),
            is_end_told: false,
            version: 1,
            created_at: at("2026-11-24T12:00:00Z"),
            updated_at: at("2026-11-24T12:00:00Z"),
        };
        assert!(!exemption.ends_soon(at("2026-11-30T11:59:00Z")));
        assert!(exemption.ends_soon(at("2026-11-30T12:00:00Z")));
        assert!(!exemption.ends_soon(at("2026-12-01T12:00:00Z")));
        exemption.terms.ends_at = at("2026-11-24T16:00:00Z");
        assert!(!exemption.ends_soon(at("2026-11-24T14:59:00Z")));
        assert!(exemption.ends_soon(at("2026-11-24T15:00:00Z")));
    }

    #[test]
    fn what_is_used_of_it_is_what_its_counters_have_less_than_they_opened_with() {
        let both = grant(Kind::Raise, Some(5_003), Some(2_000_001));
        let tokens = (both.counter(Unit::Tokens), 4_001);
        assert_eq!(both.used(&samples::cell([tokens])), Amounts::new(1_002, 0));
        let micro_usd = (both.counter(Unit::Usd), 500_000);
        let cell = samples::cell([tokens, micro_usd]);
        assert_eq!(both.used(&cell), Amounts::new(1_002, 1_500_001));
        let lift = grant(Kind::Lift, None, None);
        let cell = samples::cell([(lift.counter(Unit::Usd), -77)]);
        assert_eq!(lift.used(&cell), Amounts::new(0, 77));
    }

    #[test]
    fn it_covers_the_caps_of_the_own_department_or_of_the_whole_path() {
        let budgets = [Some("backend"), Some("eng"), None];
        let budgets = budgets.map(|id| samples::budget(id, Unit::Tokens, 1_000));
        let budgets: Vec<&Budget> = budgets.iter().collect();
        let mut grant = grant(Kind::Lift, None, None);
        let counter = |id| samples::counter(id, Unit::Tokens);
        let path = [Some("backend"), Some("eng"), None].map(counter);
        assert_eq!(grant.covered(&samples::user("ada"), &budgets), path);
        grant.terms.covers = Covers::Department;
        assert_eq!(grant.covered(&samples::user("ada"), &budgets), path[..1]);
    }

    #[test]
    fn of_those_in_force_the_one_that_ends_first_is_tried_first() {
        let grant = |id: &str, index, user_id: &str, starts_at, ends_at| Grant {
            id: id.to_owned(),
            index,
            terms: Terms {
                user_id: user_id.to_owned(),
                starts_at: at(starts_at),
                ends_at: at(ends_at),
                ..grant(Kind::Lift, None, None).terms
            },
        };
        let mut configuration = samples::configuration([]);
        configuration.grants = vec![
            grant(
                "long",
                1,
                "ada",
                "2026-11-01T00:00:00Z",
                "2026-12-24T00:00:00Z",
            ),
            grant(
                "short",
                5,
                "ada",
                "2026-11-20T00:00:00Z",
                "2026-11-25T00:00:00Z",
            ),
            grant(
                "over",
                3,
                "ada",
                "2026-11-01T00:00:00Z",
                "2026-11-24T12:00:00Z",
            ),
            grant(
                "another's",
                7,
                "bob",
                "2026-11-01T00:00:00Z",
                "2026-11-25T00:00:00Z",
            ),
        ];
        let found = configuration.grants_of("ada", at(samples::NOW));
        let found: Vec<&str> = found.iter().map(|grant| grant.id.as_str()).collect();
        assert_eq!(found, ["short", "long"]);
    }
}
