//! What the function has for all its passes.

use super::Heads;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::store::Store;

/// The parts that all passes share.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) notices: Notices,
    pub(crate) heads: Heads,
    pub(crate) clock: Clock,
}

impl App {
    /// Creates the function on `store`. It queues its notices on `notices` and signs the audit logs
    /// with `heads`.
    pub fn new(store: Store, notices: Notices, heads: Heads, clock: Clock) -> Self {
        Self {
            store,
            notices,
            heads,
            clock,
        }
    }
}
