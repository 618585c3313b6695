//! Mails, and who gets which.

mod mails;
mod recipients;
