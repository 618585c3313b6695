//! The sums of the cells of months, which an instance remembers for a moment.
//!
//! A decision reads its own cell. Whether a soft cap is passed only the sum of all cells says, and
//! a warning may be a few seconds late.

use jiff::{SignedDuration, Timestamp};
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::period::Month;
use shared::store::Store;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How old a sum may be.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// The most sums that an instance remembers.
const MAX_SUMS: usize = 1_000;

/// An organisation and a month.
type Key = (String, Month);

/// The last sums that an instance read, each with the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums(Arc<Mutex<HashMap<Key, (Timestamp, Cell)>>>);

impl Sums {
    /// Returns the cell that says which soft caps on `path` are passed: `own`, the cell that
    /// decided, if it is the only one or there is no soft cap, and otherwise the sum of all. If
    /// that cannot be read, nobody is warned.
    pub(crate) async fn to_warn_by<'a>(
        &self,
        store: &Store,
        configuration: &Configuration,
        (path, period): (&Path, Month),
        own: &'a Cell,
        now: Timestamp,
    ) -> Cow<'a, Cell> {
        let budgets = configuration.budgets_on(path, period);
        let has_soft = budgets.iter().any(|budget| !budget.hard_cap);
        if configuration.placement.others == 0 || !has_soft {
            return Cow::Borrowed(own);
        }
        let organisation_id = &configuration.organisation.id;
        let key = (organisation_id.clone(), period);
        let is_fresh = |at: Timestamp| now.duration_since(at) < FRESH;
        if let Ok(known) = self.0.lock()
            && let Some((_, sum)) = known.get(&key).filter(|(at, _)| is_fresh(*at))
        {
            return Cow::Owned(sum.clone());
        }
        let Ok(Some(sum)) = store.cell(organisation_id, period).await else {
            return Cow::Owned(Cell::default());
        };
        // Whether a cap is passed does not depend on the holds.
        let counters = Cell {
            holds: Default::default(),
            ..sum
        };
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= MAX_SUMS {
                known.clear();
            }
            known.insert(key, (now, counters.clone()));
        }
        Cow::Owned(counters)
    }
}
