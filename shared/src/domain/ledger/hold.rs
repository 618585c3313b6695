//! Holds: amounts reserved for a request until it is settled, voided or lapses.

use crate::domain::amount::{Amounts, Unit};
use jiff::Timestamp;

#[cfg(test)]
use crate::domain::ledger::hold_id::{HoldId, HoldKey};

use crate::domain::ledger::node::Node;
use crate::domain::pricing::tokens::ServiceTier;

/// Eight bytes of a digest of a request's body. Fewer can be searched: with three bytes, a client
/// who chooses the body found in seconds a request for millions of tokens that passed as a retry of
/// a small one.
pub type Fingerprint = [u8; 8];

/// A hold as the cell stores it, in about 35 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The number of the user's department.
    pub department: u32,
    /// The version of the tree at its creation.
    pub tree: u32,
    /// Distinguishes bodies under the same request id.
    pub fingerprint: Fingerprint,
    /// Distinguishes it from earlier holds under the same request id.
    pub nonce: [u8; 3],
    /// When it lapses, as Unix time.
    pub expires_at: u32,
    /// By how many seconds it was extended.
    pub extended_by: u32,
    /// The tier at which its request is served: what it gains is priced so.
    pub tier: ServiceTier,
    pub amounts: Amounts,
    /// The counters it was taken from, ascending.
    pub nodes: Vec<Node>,
    /// The exemption that gave in place of counters of the path, if any.
    pub exempt: Option<Exempt>,
}

/// An exemption that a part of a hold was taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exempt {
    /// The number of its counters, which are among the hold's nodes.
    pub index: u32,
    /// True if its amount is limited, as for a raise.
    pub is_limited: bool,
    /// The counters of the path that it covers, ascending. They gave only the rest.
    pub covered: Vec<Node>,
    /// Its part of the amounts, in the units of the counters that it covers.
    pub given: Amounts,
}

/// A charge of a hold: the part of the caps, and the part that its exemption gives beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    pub own: Amounts,
    pub given: Amounts,
}

impl Charged {
    /// Returns a charge of which the exemption gives `given`. The caps pay the rest.
    fn with_given(charged: Amounts, given: impl Fn(Unit) -> i128) -> Self {
        let given = Amounts::by_unit(given);
        Self {
            own: charged.saturating_sub(given),
            given,
        }
    }
}

impl Hold {
    /// Returns true if the hold has lapsed at `now`.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        i64::from(self.expires_at) <= now.as_second()
    }

    pub fn expires(&self) -> Timestamp {
        Timestamp::from_second(i64::from(self.expires_at)).unwrap_or(Timestamp::MAX)
    }

    /// Returns its original expiry: the part of its id that never changes.
    pub fn first_expiry(&self) -> u32 {
        self.expires_at.saturating_sub(self.extended_by)
    }

    /// Extends it to `expires_at`, unless it already lives longer.
    pub fn live_until(&mut self, expires_at: u32) {
        let more = expires_at.saturating_sub(self.expires_at);
        self.expires_at = self.expires_at.saturating_add(more);
        self.extended_by = self.extended_by.saturating_add(more);
    }

    /// Moves it to `path`, the counters of its current path. An exemption keeps covering the
    /// counters that it covered.
    pub fn move_to(&mut self, path: &[Node]) {
        let (mut own, mut covered) = (Vec::new(), Vec::new());
        if let Some(exempt) = &mut self.exempt {
            let index = exempt.index;
            own.extend(
                self.nodes
                    .iter()
                    .copied()
                    .filter(|node| node.index == index),
            );
            exempt.covered.retain(|node| path.contains(node));
            covered.clone_from(&exempt.covered);
        }
        let taken = path.iter().copied().filter(|node| !covered.contains(node));
        self.nodes = taken.chain(own).collect();
        self.nodes.sort_unstable();
    }

    /// Returns the counters of its levels, without those of an exemption.
    pub fn levels(&self) -> Vec<Node> {
        let levels = self.about().filter(|node| !node.is_of_exemption());
        let mut levels: Vec<Node> = levels.collect();
        levels.sort_unstable();
        levels
    }

    /// Joins the hold with its gain, which was taken from the same levels. None if their exemptions
    /// differ, or cover different levels: then nobody could say which part was taken from which
    /// counter.
    pub fn joined(&self, gain: &Self) -> Option<Self> {
        let mut joined = self.clone();
        joined.amounts = self.amounts.saturating_add(gain.amounts);
        let Some(more) = &gain.exempt else {
            return Some(joined);
        };
        let mut exempt = self.exempt.clone().unwrap_or_else(|| Exempt {
            index: more.index,
            is_limited: more.is_limited,
            ..Exempt::default()
        });
        if exempt.index != more.index {
            return None;
        }
        for unit in [Unit::Tokens, Unit::Usd] {
            let of = |nodes: &[Node]| -> Vec<Node> {
                let of_unit = nodes.iter().copied().filter(|node| node.unit == unit);
                of_unit.collect()
            };
            let (known, new) = (of(&exempt.covered), of(&more.covered));
            match (known.is_empty(), new.is_empty()) {
                (_, true) => {}
                (true, false) => exempt.covered.extend(new),
                (false, false) if known == new => {}
                (false, false) => return None,
            }
        }
        exempt.covered.sort_unstable();
        exempt.given = exempt.given.saturating_add(more.given);
        let own = self.nodes.iter().chain(&gain.nodes).copied();
        let own = own.filter(|node| !exempt.covered.contains(node));
        joined.nodes = own.collect();
        joined.nodes.sort_unstable();
        joined.nodes.dedup();
        joined.exempt = Some(exempt);
        Some(joined)
    }

    /// Returns the exemption's part of the hold. The rest was taken from the caps.
    pub fn given(&self) -> Amounts {
        self.exempt
            .as_ref()
            .map_or(Amounts::ZERO, |exempt| exempt.given)
    }

    /// Splits a charge of the hold between the caps and the exemption. The caps pay first, up to
    /// their part of the hold. Beyond that, a raise gives at most its part of the hold, and the
    /// caps go into debt for the rest. A lift gives everything.
    pub fn split(&self, charged: Amounts) -> Charged {
        match &self.exempt {
            Some(exempt) if !exempt.is_limited => self.split_up_to(Amounts::MAX, charged),
            _ => self.split_late(charged),
        }
    }

    /// Splits a charge that arrives after the hold lapsed. Even a lift gives at most its part of
    /// the hold, because it may have been revoked since.
    pub fn split_late(&self, charged: Amounts) -> Charged {
        self.split_up_to(self.given(), charged)
    }

    /// Splits a charge as `ended`, this hold at its end, does. Later gains give nothing, and if its
    /// exemption covers nothing now, the caps pay.
    pub fn split_as(&self, ended: &Self, charged: Amounts) -> Charged {
        let split = ended.split(charged);
        let given = |unit: Unit| match self.is_exempt_in(unit) {
            true => split.given.of(unit),
            false => 0,
        };
        Charged::with_given(charged, given)
    }

    /// Splits a charge. The exemption gives at most `most`.
    fn split_up_to(&self, most: Amounts, charged: Amounts) -> Charged {
        let taken = self.amounts.saturating_sub(self.given());
        let given = |unit: Unit| match self.is_exempt_in(unit) {
            true => {
                let beyond = charged.of(unit).saturating_sub(taken.of(unit).max(0));
                beyond.min(most.of(unit)).max(0)
            }
            false => 0,
        };
        Charged::with_given(charged, given)
    }

    /// Returns true if an exemption covers a counter of the path in `unit`.
    fn is_exempt_in(&self, unit: Unit) -> bool {
        let mut covered = self.exempt.iter().flat_map(|exempt| &exempt.covered);
        covered.any(|node| node.unit == unit)
    }

    /// Returns how much of the hold `node` gave.
    pub fn taken_from(&self, node: Node) -> i128 {
        let (amount, given) = (self.amounts.of(node.unit), self.given().of(node.unit));
        if self.covers(node) {
            amount.saturating_sub(given)
        } else if !self.nodes.contains(&node) {
            0
        } else if node.is_of_exemption() {
            given
        } else {
            amount
        }
    }

    /// Returns how much an exemption gave in place of `node`.
    pub fn given_for(&self, node: Node) -> i128 {
        if self.covers(node) {
            self.given().of(node.unit)
        } else {
            0
        }
    }

    /// Returns true if an exemption covers `node`.
    pub fn covers(&self, node: Node) -> bool {
        self.exempt
            .as_ref()
            .is_some_and(|exempt| exempt.covered.contains(&node))
    }

    /// Returns the counters that gave to the hold or were covered by an exemption.
    pub fn about(&self) -> impl Iterator<Item = Node> {
        let covered = self.exempt.iter().flat_map(|exempt| &exempt.covered);
        self.nodes.iter().chain(covered).copied()
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
