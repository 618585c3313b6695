//! The largest answer that a denied request could still get.

use crate::domain::amount::Unit;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::estimate::Estimate;
use crate::domain::ledger::hold_request::{HoldRequest, UsableExemption};
use crate::domain::ledger::node::Node;

/// Returns the largest answer in tokens that would be admitted with this input, if it is at least
/// one: by the hard counters of `asked`, or under one of its exemptions.
pub fn offer(asked: &HoldRequest, cell: &Cell, estimate: &Estimate) -> Option<i64> {
    let fits = |node: &Node, available: i128| match (node.unit, &estimate.price) {
        (Unit::Tokens, _) => {
            let left = available.saturating_sub(estimate.counts.input.into());
            Some(node.unit.rounded_down(left))
        }
        // Nobody knows what a shorter answer would be said to cost.
        (Unit::Usd, _) if estimate.matched.kind.is_reported() => {
            (estimate.amounts.pico_usd <= available).then_some(i64::MAX)
        }
        (Unit::Usd, Some(price)) => {
            price.output_tokens_within(estimate.counts, available, estimate.tier)
        }
        (Unit::Usd, None) => (available >= 0).then_some(i64::MAX),
    };
    let within = |exemption: Option<&UsableExemption>| {
        let mut most = i64::MAX;
        for node in &asked.hard {
            let available = match exemption {
                Some(exemption) => exemption.available(cell, *node),
                None => cell.nodes.get(node).copied(),
            };
            // Each request of a lease gets its part.
            let available = available?.div_euclid(asked.requests.max(1).into());
            most = most.min(fits(node, available)?);
        }
        (1..i64::MAX).contains(&most).then_some(most)
    };
    let ways = std::iter::once(None).chain(asked.exemptions.iter().map(Some));
    ways.filter_map(within).max()
}
