//! An organisation's settings for the webhooks that others send to it.

use crate::domain::github::RiskRow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the GitHub webhooks of an organisation are verified and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubIntegration {
    /// The webhooks' secret, sealed.
    pub sealed_secret: String,
    /// User ids by GitHub login.
    pub users: BTreeMap<String, String>,
    pub updated_at: Timestamp,
}

/// An organisation's own table of risks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubRisks {
    /// All rows of the table.
    pub rows: Vec<RiskRow>,
    pub updated_at: Timestamp,
}
