//! What the function has for all its passes.

use super::archive::Archive;
use super::signing::Signer;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::store::Store;

/// The signer of heads, and the bucket for them.
#[derive(Clone, Debug)]
pub struct Heads {
    pub(crate) signer: Signer,
    pub(crate) archive: Option<Archive>,
}

impl Heads {
    /// Creates heads that `signer` signs. If there is no bucket, they are only stored and sent out.
    pub fn new(signer: Signer, archive: Option<Archive>) -> Self {
        Self { signer, archive }
    }
}

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
