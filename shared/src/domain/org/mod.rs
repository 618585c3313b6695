//! Organisations: settings, departments, budgets, people, keys and the audit log.

pub mod api_key;
pub mod audit;
pub mod audit_head;
pub mod authority;
pub mod budget;
pub mod calendar;
pub mod configuration;
pub mod department;
pub mod grant;
pub mod models;
pub mod organisation;
pub mod people;
pub mod placement;
mod prices;
