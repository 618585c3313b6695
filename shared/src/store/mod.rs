//! The only code that knows DynamoDB: keys, items and expressions, one module for each aggregate.
//!
//! There are four tables. `Counters` holds the cells, `Ledger` the records, resolutions and totals,
//! `Governance` everything configured or decided, `Audit` the audit logs. Every key begins with the
//! organisation. Rows that lead to an organisation begin with `@`.

mod abandoned;
mod addresses;
mod alerts;
mod answered;
mod audit;
mod backtests;
mod before;
mod call;
mod cell_item;
mod cells;
mod change_head;
mod change_rows;
mod charges_without_cell;
mod claims;
mod clients;
mod comparisons;
mod configuration;
mod deliveries;
mod entry;
mod error;
mod exemptions;
mod expression;
mod facts;
mod firings;
mod flagged;
mod governance;
mod idempotency;
mod incidents;
mod indexed_records;
mod instance;
mod integrations;
mod item;
mod key_owner;
mod keys;
mod ledger_writes;
mod notices;
mod own_prices;
mod owners;
mod pages;
mod pending_emails;
mod policies;
mod records;
mod refusals;
mod renewals;
mod reports;
mod repricing;
mod resolutions;
mod risks;
mod rollovers;
mod rows;
mod schedule;
mod settled;
mod settlements;
mod suppressions;
mod tables;
mod totals;
mod unknown;
mod unsure_models;
mod unsure_writes;
mod usage_query;
mod usage_row;
mod usage_rows;
mod usage_totals;
mod user_totals;
mod webhooks;
mod write;

pub use alerts::new_id;
pub use answered::watch;
pub use audit::Verified;
pub use backtests::Paused;
pub use claims::{Claim, Claimant};
pub use comparisons::KeptComparison;
pub use configuration::{Head, PolicyCounts, READER};
pub use deliveries::Place;
pub use entry::{Mark, own_hold};
pub use error::StoreError;
pub use exemptions::PendingExemption;
pub use facts::Arrivals;
pub use governance::digest_of;
pub use idempotency::{Idempotency, StoredAnswer};
pub use key_owner::{KeyOwner, OrganisationUser};
pub use owners::{Credential, CredentialOwner};
pub use pages::Page;
pub use pending_emails::address_digest;
pub use renewals::Awaited;
pub use reports::UsageFilter;
pub use rows::Row;
pub use tables::Tables;
pub use totals::{DepartmentTotals, Sums};
pub use unsure_models::UnsureModel;
pub use usage_row::UsageRow;
pub use webhooks::{AttemptOutcome, HealthChange};

pub(crate) use alerts::AlertMarker;
pub(crate) use call::{ATTEMPTS, MAX_PARTS, Transacted};
pub(crate) use cells::Updated;
pub(crate) use change_head::ledger_write_of;
pub(crate) use change_rows::rows_of;
pub(crate) use claims::{AnotherBody, Known};
pub(crate) use configuration::WRITTEN;
pub(crate) use entry::{Entry, Settlement, UsageReport, day_of, living};
pub(crate) use indexed_records::IndexedRecord;
pub(crate) use item::expires_at;
pub(crate) use ledger_writes::LedgerWrite;
pub(crate) use resolutions::{Ending, EndsBy, Resolved};
pub(crate) use settlements::Bound;
pub(crate) use unsure_writes::ModelRow;
pub(crate) use usage_rows::{Added, is_elsewhere};
pub(crate) use write::Write;

use aws_sdk_dynamodb::Client;
use std::sync::Arc;

/// The tables of one deployment.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Tables,
    /// Clones share it.
    instance: Arc<instance::Instance>,
}

impl Store {
    pub fn new(client: Client, tables: Tables) -> Self {
        let config = client.config().to_builder();
        let client = Client::from_conf(config.interceptor(answered::SeeAnswers).build());
        Self {
            client,
            tables,
            instance: Arc::default(),
        }
    }
}
