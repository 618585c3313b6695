//! Writes as values: the parts of a transaction.

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};

/// One write or check of a transaction. Use cases collect writes of many aggregates and pass them
/// to [`super::Store::transact`], without knowing the database's types.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Put),
    Update(Update),
    Delete(Delete),
    Check(ConditionCheck),
}

impl From<Write> for TransactWriteItem {
    fn from(write: Write) -> Self {
        let item = Self::builder();
        match write {
            Write::Put(put) => item.put(put),
            Write::Update(update) => item.update(update),
            Write::Delete(delete) => item.delete(delete),
            Write::Check(check) => item.condition_check(check),
        }
        .build()
    }
}
