//! The only code that knows DynamoDB: keys, items and expressions, one module for each aggregate.
//!
//! Three tables. `Counters` holds the cells, `Ledger` the records, resolutions and totals, `Governance` what is
//! configured, decided or audited. Every key begins with the organisation; rows that lead to one begin with `@`.

mod addresses;
mod alerts;
mod answered;
mod audit;
mod backtests;
mod call;
mod cells;
mod change;
mod change_rows;
mod claims;
mod clients;
mod configuration;
mod exemptions;
mod expression;
mod facts;
mod firings;
mod flagged;
mod governance;
mod holds;
mod incidents;
mod integrations;
mod keys;
mod ledger_writes;
mod letters;
mod months;
mod notices;
mod owners;
mod people;
mod policies;
mod records;
mod refusals;
mod renewals;
mod resolutions;
mod risks;
mod rows;
mod schedule;
mod self_audit;
mod standing;
mod suppressions;
mod tables;
mod totals;
mod troubles;
mod uncounted;
mod usage;
mod usage_rows;
mod webhooks;

pub use alerts::{Told, new_id};
pub use answered::watch;
pub use audit::Verified;
pub use backtests::Paused;
pub use call::StoreError;
pub use change::{
    ChangeRequest, Changed, Committed, Created, Idempotency, Snapshot, Step, StoredAnswer,
};
pub use claims::{Claim, Claimant};
pub use configuration::{Head, PolicyCounts};
pub use exemptions::PendingExemption;
pub use facts::Arrivals;
pub use governance::{Page, digest_of};
pub use holds::{HoldOutcome, VoidOutcome};
pub use letters::mailbox_of;
pub use months::Turned;
pub use owners::{Credential, Found, KeyOwner, OrganisationUser};
pub use renewals::{RenewOutcome, RenewedHold};
pub use rows::Row;
pub use self_audit::Books;
pub use tables::Tables;
pub use totals::{DepartmentTotals, Sums};
pub use usage::{Mark, Recorded, own_hold};
pub use usage_rows::{UsageFilter, UsageRow};
pub use webhooks::{HealthChange, Kept, Place};

use aws_sdk_dynamodb::Client;

/// The tables of one deployment.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Tables,
}

impl Store {
    /// A store on `tables`, reached by `client`.
    pub fn new(client: Client, tables: Tables) -> Self {
        let config = client.config().to_builder();
        let client = Client::from_conf(config.interceptor(answered::SeeAnswers).build());
        Self { client, tables }
    }
}
