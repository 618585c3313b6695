//! Creates organisations.

use crate::domain::change::{Audited, Author, Change};
use crate::domain::org::api_key::ApiKey;
use crate::domain::org::organisation::Organisation;
use crate::store::{Head, Idempotency, Store, StoreError, Transacted, rows_of};
use jiff::Timestamp;

/// The outcome of creating an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Done,
    /// The idempotency key has an answer already.
    AnsweredBefore,
    /// There is an organisation of this id.
    Exists,
}

impl Store {
    /// Creates an organisation with its first keys and its first audit entry, if there is none of
    /// its id.
    pub async fn create_organisation(
        &self,
        organisation: Audited<Organisation>,
        keys: Vec<ApiKey>,
        author: &Author,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        let id = organisation.value.id.clone();
        let mut head = Head::new(organisation.value.clone());
        let change = Change::OrganisationCreated { organisation, keys };
        let mut parts = Vec::new();
        if let Some(idempotency) = idempotency {
            parts.push(self.idempotency_item(idempotency, now)?);
        }
        parts.extend(self.audit_items(&id, &change, author, &mut head, now)?);
        parts.push(self.head_item(&id, &head, None)?);
        for row in rows_of(&id, &change, now)? {
            parts.push(self.row_item(row)?);
        }
        Ok(match self.transact(parts).await? {
            Transacted::Applied => Created::Done,
            refused if idempotency.is_some() && refused.was_refused_at(0) => {
                Created::AnsweredBefore
            }
            Transacted::Refused(_) => Created::Exists,
        })
    }
}
