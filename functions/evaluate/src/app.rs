//! The clients and caches that all batches of the function share.

use super::crowded::Crowded;
use super::policy_cache::PolicyCache;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::store::Store;

/// The parts that all batches share.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) notices: Notices,
    pub(crate) clock: Clock,
    pub(crate) policies: PolicyCache,
    pub(crate) crowded: Crowded,
}

impl App {
    /// Creates the function on `store`. It queues its notices on `notices`.
    pub fn new(store: Store, notices: Notices, clock: Clock) -> Self {
        Self {
            store,
            notices,
            clock,
            policies: PolicyCache::default(),
            crowded: Crowded::default(),
        }
    }
}
