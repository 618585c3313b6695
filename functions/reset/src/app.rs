//! The clients and caches that all passes of the function share.

use super::archive::Archive;
use super::signing::{NotSigned, Signer};
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::secrets::Secret;
use shared::store::Store;

/// The key that heads are signed with, and the bucket for them.
#[derive(Clone, Debug)]
pub struct Heads {
    key: Secret,
    pub(crate) archive: Option<Archive>,
}

impl Heads {
    /// Creates heads that are signed with `key`. If there is no bucket, they are only stored and
    /// sent out.
    pub fn new(key: Secret, archive: Option<Archive>) -> Self {
        Self { key, archive }
    }

    /// Returns what signs heads now.
    pub(crate) async fn signer(&self) -> Result<Signer, NotSigned> {
        let versions = self.key.versions().await?;
        Signer::new(versions.current())
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
