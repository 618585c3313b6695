//! Configurations and users kept in an instance. They are right exactly while the cell has their epoch, and every
//! decision checks it: a hold by its condition, any other by a consistent read.

use super::error::ApiError;
use crate::domain::configuration::Configuration;
use crate::domain::people::User;
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The most organisations, and the most users of each, that an instance keeps.
const MAX_ORGANISATIONS: usize = 1_000;
const MAX_USERS: usize = 20_000;
/// How many organisations a deployment has whose configurations an instance reads before its first request.
const FEW: usize = 3;

#[derive(Debug)]
struct Kept {
    configuration: Arc<Configuration>,
    users: HashMap<String, Arc<User>>,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct ConfigurationCache {
    store: Store,
    kept: Arc<Mutex<HashMap<String, Kept>>>,
}

impl ConfigurationCache {
    /// An empty cache in front of `store`.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            kept: Arc::default(),
        }
    }

    /// The configuration last read.
    pub async fn configuration(
        &self,
        organisation_id: &str,
    ) -> Result<Arc<Configuration>, ApiError> {
        if let Ok(kept) = self.kept.lock()
            && let Some(known) = kept.get(organisation_id)
        {
            return Ok(known.configuration.clone());
        }
        let read = self.store.configuration(organisation_id).await?;
        let configuration = Arc::new(read.ok_or_else(|| ApiError::not_found("organisation"))?);
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= MAX_ORGANISATIONS {
                kept.clear();
            }
            let users = HashMap::new();
            let known = Kept {
                configuration: configuration.clone(),
                users,
            };
            kept.insert(organisation_id.to_owned(), known);
        }
        Ok(configuration)
    }

    /// Reads the configurations of all organisations where those are few, as where a company runs its own deployment.
    pub async fn fill(&self) -> Result<(), ApiError> {
        let known = self.store.organisations(None, FEW + 1).await?;
        if known.items.len() > FEW {
            return Ok(());
        }
        for organisation in known.items {
            self.configuration(&organisation.id).await?;
        }
        Ok(())
    }

    /// The configurations that are known, where they are few and none knows this user.
    pub fn few_without(&self, user_id: &str) -> Vec<Arc<Configuration>> {
        let Ok(kept) = self.kept.lock() else {
            return Vec::new();
        };
        if kept.len() > FEW || kept.values().any(|known| known.users.contains_key(user_id)) {
            return Vec::new();
        }
        kept.values()
            .map(|known| known.configuration.clone())
            .collect()
    }

    /// Keeps a user who was read after `configuration`.
    pub fn keep(&self, configuration: &Arc<Configuration>, user: Arc<User>) {
        if let Ok(mut kept) = self.kept.lock()
            && let Some(known) = kept.get_mut(&configuration.organisation.id)
            && Arc::ptr_eq(&known.configuration, configuration)
        {
            if known.users.len() >= MAX_USERS {
                known.users.clear();
            }
            known.users.insert(user.id.clone(), user);
        }
    }

    /// A user as they were read after `configuration`; one that is not there is asked for each time.
    pub async fn user(
        &self,
        configuration: &Arc<Configuration>,
        user_id: &str,
    ) -> Result<Option<Arc<User>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        if let Ok(kept) = self.kept.lock()
            && let Some(known) = kept.get(organisation_id)
            && Arc::ptr_eq(&known.configuration, configuration)
            && let Some(user) = known.users.get(user_id)
        {
            return Ok(Some(user.clone()));
        }
        let user = self
            .store
            .user(organisation_id, user_id)
            .await?
            .map(Arc::new);
        if let Some(user) = &user {
            self.keep(configuration, user.clone());
        }
        Ok(user)
    }

    /// Forgets `configuration`, which is in force no more, and the users read with it.
    pub fn forget(&self, configuration: &Arc<Configuration>) {
        if let Ok(mut kept) = self.kept.lock()
            && let Some(known) = kept.get(&configuration.organisation.id)
            && Arc::ptr_eq(&known.configuration, configuration)
        {
            kept.remove(&configuration.organisation.id);
        }
    }
}
