//! What functions did with AWS, as the permissions that they need where they are deployed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a function did in one call: an action of IAM on a resource, and the kinds of partitions if that is a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The function whose client it was.
    pub caller: &'static str,
    /// `dynamodb:PutItem`, `dynamodb:ConditionCheckItem`, `sqs:SendMessage`, ...
    pub action: String,
    /// What it was done to, as it is called here: the table, `<table>/index/<name>`, the queue, the bus, the bucket, or for a mail
    /// `identity/<sender>` and `configuration-set/<name>`.
    pub resource: String,
    /// The partition keys of all items that the call does this to, with `org` for the organisation and `id` for an id:
    /// `org#record#id`, `@key#id`. Empty for what is no table.
    pub partitions: BTreeSet<String>,
}

impl Permission {
    /// An action on what is no table.
    pub(crate) fn new(caller: &'static str, action: String, resource: String) -> Self {
        Self {
            caller,
            action,
            resource,
            partitions: BTreeSet::new(),
        }
    }
}

/// What functions did with one service. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used(Arc<Mutex<BTreeSet<Permission>>>);

impl Used {
    pub(crate) fn record(&self, permission: Permission) {
        self.lock().insert(permission);
    }

    pub(crate) fn all(&self) -> BTreeSet<Permission> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Permission>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
