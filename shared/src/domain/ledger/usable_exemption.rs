//! Exemptions as a request for a hold meets them.

use crate::domain::amount::Unit;
use crate::domain::exemption::grant::Grant;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::node::Node;

/// An exemption that may cover caps of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableExemption {
    pub grant: Grant,
    /// The counters of the budgets on the path that it covers.
    pub covered: Vec<Node>,
}

impl UsableExemption {
    pub(super) fn covers(&self, node: Node) -> bool {
        self.grant.gives(node.unit) && self.covered.contains(&node)
    }

    /// Returns the exemption's remainder in `unit`. None if it gives nothing in that unit.
    pub fn rest(&self, cell: &Cell, unit: Unit) -> Option<i128> {
        let (counter, given) = self.grant.opens_in(unit)?;
        let rest = cell.nodes.get(&counter).copied();
        Some(match self.grant.is_limited() {
            true => rest.unwrap_or(given),
            false => i128::MAX,
        })
    }

    /// Returns how much `node`, a counter of the path, admits together with the exemption.
    pub fn available(&self, cell: &Cell, node: Node) -> Option<i128> {
        let available = cell.nodes.get(&node).copied()?;
        if !self.covers(node) {
            return Some(available);
        }
        match self.rest(cell, node.unit) {
            Some(rest) => Some(available.max(0).saturating_add(rest.max(0))),
            None => Some(available),
        }
    }
}
