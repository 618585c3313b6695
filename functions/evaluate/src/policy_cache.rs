//! The policies and firings that an instance remembers.

use shared::domain::org::configuration::Configuration;
use shared::domain::policy::{ActivePolicy, Fired};
use shared::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The most organisations whose policies an instance keeps, and the most firings it remembers.
const MAX_ORGANISATIONS: usize = 1_000;
const MAX_REMEMBERED: usize = 100_000;

/// The published policies of an organisation, with their revision.
type Published = (u64, Arc<Vec<ActivePolicy>>);

/// Caches of an instance: the published policies, which are valid while the head has their
/// revision, and past firings, which never change.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicyCache {
    active: Arc<Mutex<HashMap<String, Published>>>,
    fired: Arc<Mutex<HashMap<String, Fired>>>,
}

impl PolicyCache {
    /// Returns the policies that are published in `configuration`.
    pub(super) async fn active(
        &self,
        store: &Store,
        configuration: &Configuration,
    ) -> Result<Arc<Vec<ActivePolicy>>, StoreError> {
        let id = &configuration.organisation.id;
        if configuration.policies == 0 {
            return Ok(Arc::default());
        }
        if let Ok(active) = self.active.lock()
            && let Some((revision, policies)) = active.get(id)
            && *revision == configuration.policies
        {
            return Ok(policies.clone());
        }
        let policies = Arc::new(store.active_policies(id).await?);
        if let Ok(mut active) = self.active.lock() {
            if active.len() >= MAX_ORGANISATIONS {
                active.clear();
            }
            active.insert(id.clone(), (configuration.policies, policies.clone()));
        }
        Ok(policies)
    }

    pub(super) fn remembered(&self, name: &str) -> Option<Fired> {
        let fired = self.fired.lock().ok()?;
        fired.get(name).cloned()
    }

    pub(super) fn remember(&self, name: String, firing: Fired) {
        if let Ok(mut fired) = self.fired.lock() {
            if fired.len() >= MAX_REMEMBERED {
                fired.clear();
            }
            fired.insert(name, firing);
        }
    }
}
