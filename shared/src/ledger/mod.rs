//! The use cases, over [`crate::domain`] and [`crate::store`].
//!
//! A use case reads, decides by the domain, and passes writes to the store. It is a method of
//! [`crate::store::Store`] and knows no type of the database.

mod alerts;
mod batch;
mod cells;
mod change;
mod charge;
mod corrections;
mod count_records;
mod creation;
mod entries;
mod finish;
mod gather;
mod hold;
mod lease;
mod months;
mod placement;
mod recipients;
mod reconcile;
mod reconcile_records;
mod record;
mod renew;
mod resolve;
mod risk;
mod thresholds;
mod uncounted;
mod void;
mod within;

pub use alerts::RaisedAlert;
pub use change::{ChangeRequest, Changed, Committed, Snapshot, Step};
pub use creation::Created;
pub use hold::HoldOutcome;
pub use months::ClosedMonth;
pub use reconcile::Books;
pub use reconcile_records::{Allowance, Compared, Over};
pub use record::Recorded;
pub use renew::{RenewOutcome, RenewedHold};
pub use void::VoidOutcome;
