//! An organisation and its settings.

use crate::domain::org::models::ModelRule;
use crate::domain::period::{Month, stored_time_zone};
use crate::domain::pricing::matched::PriceSource;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Long enough for most answers and not longer: other users cannot use a held amount until it is
/// settled or lapses.
pub const DEFAULT_HOLD_SECONDS: u32 = 120;
const DEFAULT_GRACE_HOURS: u32 = 24;
/// The default share of the places that one user may have, in percent.
const DEFAULT_USER_HOLDS_PERCENT: u32 = 10;
/// The default limit for the tokens of one request if its model is unknown.
pub const DEFAULT_MAX_TOKENS: i64 = 10_000_000;

/// The month in which a time zone came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub since: Timestamp,
    /// The month that had begun by then, in the earlier zones.
    pub month: Month,
}

/// How much a hold reserves for the answer if the request has no output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Reserve {
    /// Reserves the organisation's output reserve. Longer answers may push held + spent past a cap.
    Estimate,
    /// Reserves the model's maximum. Neither held nor spent can pass a hard cap.
    Strict,
}

/// How a hold ends if nobody settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AbandonedHolds {
    /// Its whole amount is returned.
    Release,
    /// Its whole amount is charged.
    Charge,
}

/// How a model without a price is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnknownModel {
    /// Hold and charge it at the dearest price of its provider.
    Estimate,
    /// Refuse it under a hard cap in US dollars. Elsewhere, count tokens only.
    Refuse,
    /// Admit it and count tokens only.
    Count,
}

/// The answer if no decision can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// Let requests pass without a hold.
    Allow,
    Deny,
}

/// The settings of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    pub id: String,
    pub name: String,
    /// An IANA name. Months begin at its midnight.
    pub timezone: String,
    /// When the time zone came into force, and in which month. Months that had begun or ended by
    /// then keep their bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_begun: Option<Begun>,
    pub reserve: Reserve,
    /// Tokens reserved for an answer without a limit.
    pub output_reserve_tokens: i64,
    /// The lifetime of a hold, in seconds.
    pub hold_seconds: u32,
    /// The share of the live holds that one user may have, in percent.
    #[serde(default = "default_user_holds")]
    pub user_holds_percent: u32,
    pub abandoned_holds: AbandonedHolds,
    pub unknown_model: UnknownModel,
    #[serde(default)]
    pub price_source: PriceSource,
    pub on_unavailable: OnUnavailable,
    /// How many hours after a month's end its rollover is corrected once for late usage.
    #[serde(default = "default_grace")]
    pub rollover_grace_hours: u32,
    /// The most plausible tokens of one request if its model's limits are unknown.
    #[serde(default = "default_max_tokens")]
    pub max_tokens_per_request: i64,
    /// Which models may be used where no department says it. None permits all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRule>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
}

fn default_user_holds() -> u32 {
    DEFAULT_USER_HOLDS_PERCENT
}

fn default_max_tokens() -> i64 {
    DEFAULT_MAX_TOKENS
}

fn default_grace() -> u32 {
    DEFAULT_GRACE_HOURS
}

impl Organisation {
    /// Creates an organisation with the default settings.
    pub fn new(id: String, name: String, timezone: String, created_at: Timestamp) -> Self {
        Self {
            id,
            name,
            timezone,
            zone_begun: None,
            reserve: Reserve::Estimate,
            output_reserve_tokens: 4096,
            hold_seconds: DEFAULT_HOLD_SECONDS,
            user_holds_percent: DEFAULT_USER_HOLDS_PERCENT,
            abandoned_holds: AbandonedHolds::Release,
            unknown_model: UnknownModel::Estimate,
            price_source: PriceSource::Table,
            on_unavailable: OnUnavailable::Allow,
            rollover_grace_hours: DEFAULT_GRACE_HOURS,
            max_tokens_per_request: DEFAULT_MAX_TOKENS,
            models: None,
            version: 1,
            created_at,
        }
    }

    /// Returns the time zone, or UTC if its name is unknown to this build.
    pub fn zone(&self) -> TimeZone {
        stored_time_zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }
}
