//! Exemptions let one user past a hard cap for a limited time. The user or their manager requests
//! one, and an administrator decides.

pub use crate::domain::org::grant;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[cfg(test)]
use crate::domain::exemption::grant::{Covers, Kind};
use crate::domain::exemption::grant::{Grant, Terms};

/// The longest duration of an exemption: a year.
pub const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most pending requests of an organisation.
pub const MAX_PENDING: usize = 500;
/// The most pending requests of one user.
pub const MAX_PENDING_OF_USER: usize = 10;
/// The most approved exemptions of an organisation that have not ended.
pub const MAX_GRANTS: usize = 200;
/// The most approved exemptions of one user that have not ended.
pub const MAX_GRANTS_OF_USER: usize = 5;

/// Somebody who requested or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub key_id: String,
    /// The user that the key is bound to.
    pub user_id: Option<String>,
    /// The nearest user in the chain of makers of an unbound key. None for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible_user_id: Option<String>,
    /// Everybody in the chain of makers of the key. Empty for requests and decisions from before it
    /// was recorded.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub makers: BTreeSet<String>,
}

impl Party {
    /// Returns the person behind the key: its user, or else the nearest user among its makers. None
    /// is the operator. A key without known makers counts as the operator's, because every chain
    /// begins there or at a user.
    pub fn person(&self) -> Option<&str> {
        self.user_id
            .as_deref()
            .or(self.responsible_user_id.as_deref())
    }

    /// Returns true if both are the same person, as far as known: the same key, or keys of the same
    /// person.
    pub fn is(&self, other: &Self) -> bool {
        self.key_id == other.key_id || self.person() == other.person()
    }

    /// Returns everybody who may have acted: the user of a bound key, or all makers of an unbound
    /// one, because nothing tells them apart.
    pub fn people(&self) -> BTreeSet<&str> {
        match &self.user_id {
            Some(user_id) => BTreeSet::from([user_id.as_str()]),
            None => self.holders(),
        }
    }

    /// Returns everybody who has seen the key's secret: its user and all of its makers.
    pub fn holders(&self) -> BTreeSet<&str> {
        let bound_to = self.user_id.iter().chain(&self.responsible_user_id);
        bound_to.chain(&self.makers).map(String::as_str).collect()
    }

    /// Returns the user, or the key if it is unbound.
    pub fn name(&self) -> &str {
        self.user_id.as_deref().unwrap_or(&self.key_id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExemptionStatus {
    Pending,
    Approved,
    Denied,
    /// It was withdrawn before the decision, or ended early by an administrator.
    Revoked,
    /// It ended at its time, and the audit log says so.
    Expired,
}

impl ExemptionStatus {
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

/// A decision with its actor and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub by: Party,
    pub at: Timestamp,
    /// The reason, if one was given.
    pub note: Option<String>,
}

/// A request for an exemption and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// `exm_...`, made by the server. Later ids sort last.
    pub id: String,
    pub terms: Terms,
    pub reason: String,
    pub requested_by: Party,
    pub decided: ExemptionStatus,
    /// The decision, if there is one.
    pub decision: Option<Decision>,
    /// Its early end, if there was one.
    pub revocation: Option<Decision>,
    /// The number of its counters, if it was approved.
    pub index: Option<u32>,
    /// True if its user was notified that it ends soon.
    #[serde(default)]
    pub is_end_told: bool,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Exemption {
    /// Returns its status at `now`: a pending or approved exemption expires at its end.
    pub fn status(&self, now: Timestamp) -> ExemptionStatus {
        match self.decided {
            ExemptionStatus::Pending | ExemptionStatus::Approved if self.terms.ends_at <= now => {
                ExemptionStatus::Expired
            }
            decided => decided,
        }
    }

    /// Returns the grant for decisions. None if it was never approved.
    pub fn grant(&self) -> Option<Grant> {
        Some(Grant {
            id: self.id.clone(),
            index: self.index?,
            terms: self.terms.clone(),
        })
    }

    /// Returns true if `decider` may decide it. Its requester and its user may not, nor anybody
    /// with a key that one of them made.
    pub fn may_be_decided_by(&self, decider: &Party) -> bool {
        let holders = decider.holders();
        !decider.is(&self.requested_by)
            && !holders.contains(self.terms.user_id.as_str())
            && holders.is_disjoint(&self.requested_by.people())
    }

    /// Returns true if it is time to notify its user of the end.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        self.status(now) == ExemptionStatus::Approved && self.terms.is_ending(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::{Amounts, Unit};
    use crate::domain::org::budget::Budget;
    use crate::domain::org::organisation::Organisation;
    use crate::domain::period::Month;
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
        // The maker of a bound key may decide on its request: otherwise the person who makes
        // everybody's keys could decide nothing.
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
        let pico_usd = (both.counter(Unit::Usd), 500_000_000_003);
        let cell = samples::cell([tokens, pico_usd]);
        assert_eq!(both.used(&cell), Amounts::new(1_002, 1_500_000_999_997));
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
