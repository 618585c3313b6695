//! The AWS permissions that the functions use, recorded from their calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A permission that a call needs: an IAM action on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The function that made the call.
    pub caller: &'static str,
    /// `dynamodb:PutItem`, `dynamodb:ConditionCheckItem`, `sqs:SendMessage`, ...
    pub action: String,
    /// The local name of the resource: a table, `<table>/index/<name>`, a queue, a bus, a bucket,
    /// or for a mail `identity/<sender>` and `configuration-set/<name>`.
    pub resource: String,
    /// The kinds of partition keys of the items, with `org` for the organisation and `id` for an
    /// id: `org#record#id`, `@key#id`. Those of a transaction are of all its items in the table.
    /// Empty if the resource is not a table.
    pub partitions: BTreeSet<String>,
}

impl Permission {
    /// A permission on a resource that is not a table.
    pub(crate) fn new(caller: &'static str, action: String, resource: String) -> Self {
        Self {
            caller,
            action,
            resource,
            partitions: BTreeSet::new(),
        }
    }
}

/// The permissions used with one service. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct PermissionLog(Arc<Mutex<BTreeSet<Permission>>>);

impl PermissionLog {
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
