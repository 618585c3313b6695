//! The clients and caches that all batches of the function share.

use super::{Bus, Mailer, Poster};
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::sealing::Vault;
use shared::store::Store;

/// The parts that all batches share.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) notices: Notices,
    /// The queue of deliveries and mails that were given up.
    pub(crate) given_up: Notices,
    pub(crate) vault: Vault,
    pub(crate) poster: Poster,
    pub(crate) mailer: Mailer,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
}

impl App {
    /// Creates the function on `store`. It queues messages for later on `notices`, and messages
    /// that it gives up on `given_up`.
    pub fn new(
        store: Store,
        [notices, given_up]: [Notices; 2],
        vault: Vault,
        (poster, mailer, bus): (Poster, Mailer, Bus),
        clock: Clock,
    ) -> Self {
        Self {
            store,
            notices,
            given_up,
            vault,
            poster,
            mailer,
            bus,
            clock,
        }
    }
}
