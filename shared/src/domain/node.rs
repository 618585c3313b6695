//! Nodes: the counters of a cell.

use crate::domain::amount::Unit;

/// One counter of a cell: `t4` counts tokens, `u4` pico-USD.
///
/// Each level has two, one for each unit, with or without a budget: the organisation has the number
/// 0, the department with index `i` has `2i + 2`. The counters of an exemption have odd numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub unit: Unit,
    /// The level or exemption: see [`Node::level`] and [`Node::exemption`].
    pub index: u32,
}

impl Node {
    /// Returns the number of a level: of the department with this index, or of the organisation if
    /// None.
    pub fn level(department_index: Option<u32>) -> u32 {
        department_index.map_or(0, |index| index.saturating_mul(2).saturating_add(2))
    }

    /// Returns the number of the counters of the `n`th exemption to be approved.
    pub fn exemption(n: u32) -> u32 {
        n.saturating_mul(2).saturating_add(1)
    }

    /// Returns true for the counters of exemptions.
    pub fn is_of_exemption(self) -> bool {
        self.index % 2 == 1
    }
}
