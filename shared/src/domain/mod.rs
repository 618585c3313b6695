//! The rules of budgets and usage, as values in and values out.

pub mod amount;
pub mod change;
pub mod counted;
pub mod exemption;
pub mod github;
pub mod integration;
pub mod ledger;
pub mod name;
pub mod node;
pub mod notice;
pub mod org;
pub mod pattern;
pub mod period;
pub mod policy;
pub mod pricing;
#[cfg(test)]
mod samples;
pub mod wide_number;
