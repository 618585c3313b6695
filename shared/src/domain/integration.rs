//! What an organisation has set up for webhooks that others send.

use super::github::RiskRow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How GitHub's webhooks of an organisation are checked and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubIntegration {
    /// The webhooks' secret, sealed.
    pub sealed_secret: String,
    /// User ids by GitHub login.
    pub users: BTreeMap<String, String>,
    /// When it was last put.
    pub updated_at: Timestamp,
}

/// An organisation's own table of risks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubRisks {
    /// The rows, all of them.
    pub rows: Vec<RiskRow>,
    /// When they were last put.
    pub updated_at: Timestamp,
}
