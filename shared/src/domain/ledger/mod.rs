//! The ledger: holds, usage and the counters of a month.

pub mod buckets;
pub mod cell;
pub mod cell_update;
pub mod cell_updates;
pub mod comparison;
pub mod comparison_sums;
pub mod correction;
pub mod estimate;
pub mod figures;
pub mod flagged;
pub mod gathering;
pub mod hold;
pub mod hold_id;
pub mod hold_packing;
pub mod hold_request;
pub mod identity;
pub mod labels;
pub mod models;
pub mod offer;
pub mod places;
pub mod plausible;
pub mod refusal;
pub mod refused;
pub mod renewal;
pub mod reported;
pub mod repricing;
pub mod resolution;
pub mod rollover;
pub mod self_audit;
pub mod settlement;
pub mod usage;
pub mod valuation;
pub mod warning;

pub use super::node;
pub mod way_out;
