//! The whole system in one process, through its HTTP routes: one target, so that its suites share
//! the processors.

mod cells;
mod contention;
mod counts;
mod exemptions;
mod faults;
mod flows;
mod governance;
mod ledger_laws;
mod limits;
mod lists;
mod months;
mod notifications;
mod policies;
mod prices;
mod races;
mod schedules;
mod server;
mod tenants;
mod upgrades;
mod validation;
mod webhooks;
