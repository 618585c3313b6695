//! Caches configurations and users in an instance. An entry is valid only while the cell has its
//! epoch, and every decision checks that: a hold by its condition, others by a consistent read.

use super::error::ApiError;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::people::User;
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The most organisations, and the most users of each, that an instance caches.
const MAX_ORGANISATIONS: usize = 1_000;
const MAX_USERS: usize = 20_000;
/// Up to how many organisations an instance reads all configurations before its first request.
const FEW: usize = 3;

#[derive(Debug)]
struct CachedConfiguration {
    configuration: Arc<Configuration>,
    users: HashMap<String, Arc<User>>,
}

#[derive(Clone, Debug)]
pub struct ConfigurationCache {
    store: Store,
    kept: Arc<Mutex<HashMap<String, CachedConfiguration>>>,
}

impl ConfigurationCache {
    /// Creates an empty cache of `store`.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            kept: Arc::default(),
        }
    }

    /// Returns the configuration that was last read.
    pub async fn configuration(
        &self,
        organisation_id: &str,
    ) -> Result<Arc<Configuration>, ApiError> {
        if let Ok(kept) = self.kept.lock()
            && let Some(known) = kept.get(organisation_id)
        {
            return Ok(known.configuration.clone());
        }
        self.read(&self.store, organisation_id).await
    }

    async fn read(
        &self,
        store: &Store,
        organisation_id: &str,
    ) -> Result<Arc<Configuration>, ApiError> {
        let read = store.configuration(organisation_id).await?;
        let configuration = Arc::new(read.ok_or_else(|| ApiError::not_found("organisation"))?);
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= MAX_ORGANISATIONS {
                kept.clear();
            }
            let users = HashMap::new();
            let known = CachedConfiguration {
                configuration: configuration.clone(),
                users,
            };
            kept.insert(organisation_id.to_owned(), known);
        }
        Ok(configuration)
    }

    /// Reads the configurations of all organisations through `store`, if these are few: a company
    /// that runs its own deployment has one.
    pub async fn fill(&self, store: &Store) -> Result<(), ApiError> {
        let known = store.organisations(None, FEW + 1).await?;
        if known.items.len() > FEW {
            return Ok(());
        }
        for organisation in known.items {
            self.read(store, &organisation.id).await?;
        }
        Ok(())
    }

    /// Returns the cached configurations that do not know this user, if they are few.
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

    /// Caches a user who was read after `configuration`.
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

    /// Returns a user who was read after `configuration`. A missing user is looked up each time.
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

    /// Removes `configuration`, which is not in force, and the users that were read with it.
    pub fn forget(&self, configuration: &Arc<Configuration>) {
        if let Ok(mut kept) = self.kept.lock()
            && let Some(known) = kept.get(&configuration.organisation.id)
            && Arc::ptr_eq(&known.configuration, configuration)
        {
            kept.remove(&configuration.organisation.id);
        }
    }
}
