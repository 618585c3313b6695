//! The rules of budgets and usage, as values in and values out.

pub mod alert;
pub mod amount;
pub mod blocking;
pub mod buckets;
pub mod cell;
pub mod closing;
pub mod configuration;
pub mod estimate;
pub mod feedback;
pub mod github;
pub mod hold;
pub mod incident;
pub mod mail;
pub mod name;
pub mod notice;
pub mod people;
pub mod period;
pub mod policy;
pub mod price;
pub mod reach;
pub mod refusal;
pub mod rollover;
pub mod self_audit;
pub mod suppression;
pub mod usage;
pub mod webhook;
