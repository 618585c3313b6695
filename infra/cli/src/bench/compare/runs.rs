//! What is measured: each run is one load on one design.

/// The holds that a cap near its end fits.
pub(super) const NEAR: u32 = 50;
/// The users of a run that does not vary them.
const USERS: u32 = 100;
/// The requests of a run that has fewer clients than that.
const REQUESTS: u32 = 200;

/// A load: how many ask at once for how many holds, and how many fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// The levels with a hard cap on the path, from a root department to the users' department.
    pub(super) depth: usize,
    pub(super) at_once: u32,
    pub(super) users: u32,
    pub(super) requests: u32,
    /// The holds that the cap of the root fits. None if it fits many more than are asked for.
    pub(super) fits: Option<u32>,
}

impl Load {
    const USUAL: Self = Self {
        depth: 4,
        at_once: 64,
        users: USERS,
        requests: REQUESTS,
        fits: None,
    };

    /// The holds that must be admitted.
    pub(super) fn expected(&self) -> u32 {
        self.fits.unwrap_or(self.requests).min(self.requests)
    }

    /// What each cap admits, in holds, from the root to the leaf.
    pub(super) fn caps(&self) -> Vec<u32> {
        let many = self.requests * 20;
        let mut caps = vec![many; self.depth];
        if let Some(root) = caps.first_mut() {
            *root = self.fits.unwrap_or(many);
        }
        caps
    }
}

/// A load on disk. It is repeated with new data, so that live holds stay few.
#[derive(Clone, Copy, Debug)]
pub(super) struct DurableLoad {
    pub(super) load: Load,
    pub(super) rounds: u32,
}

/// All that one command measures.
#[derive(Debug)]
pub(super) struct Plan {
    /// In memory.
    pub(super) loads: Vec<Load>,
    /// On disk, beside PostgreSQL.
    pub(super) durable: Vec<DurableLoad>,
    /// The load in whose middle the clients are killed.
    pub(super) killed: Load,
    pub(super) is_quick: bool,
}

impl Plan {
    /// Varies one thing at a time.
    pub(super) fn full() -> Self {
        let usual = Load::USUAL;
        let at_once = |at_once: u32| Load {
            at_once,
            requests: usual.requests.max(at_once),
            ..usual
        };
        let mut loads: Vec<Load> = [1, 64, 1_024].map(at_once).into();
        loads.extend([1, 8].map(|depth| Load { depth, ..usual }));
        loads.extend([1, 100_000].map(|users| Load { users, ..usual }));
        loads.extend([1, 64, 1_024].map(|clients| Load {
            fits: Some(NEAR),
            ..at_once(clients)
        }));
        let durable = [1, 16, 64].map(|clients| DurableLoad {
            load: Load {
                requests: 256,
                ..at_once(clients)
            },
            rounds: 5,
        });
        Self {
            loads,
            durable: durable.into(),
            killed: usual,
            is_quick: false,
        }
    }

    /// The smallest plan that has each kind of run.
    pub(super) fn quick() -> Self {
        let small = Load {
            at_once: 16,
            users: 10,
            requests: 60,
            ..Load::USUAL
        };
        Self {
            loads: vec![
                small,
                Load {
                    // Three cells.
                    fits: Some(32),
                    ..small
                },
            ],
            durable: vec![DurableLoad {
                load: small,
                rounds: 1,
            }],
            killed: small,
            is_quick: true,
        }
    }

    /// The number of runs.
    pub(super) fn steps(&self, has_postgres: bool) -> u64 {
        let durable: u32 = self.durable.iter().map(|durable| durable.rounds).sum();
        let on_postgres = if has_postgres { 2 * durable } else { 0 };
        let on_engine = u32::try_from(self.loads.len() + 1).unwrap_or(0) + durable;
        u64::from(on_engine * 6 + on_postgres)
    }
}
