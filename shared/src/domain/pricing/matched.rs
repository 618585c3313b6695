//! How the price of a model was found.

use serde::{Deserialize, Serialize};

/// How sure a price is, from the surest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// By the very name in the table, up to what stands in front, of the provider that was named or
    /// the only one.
    Exact,
    /// By the table's name for a model with another date or version behind its name, or none.
    Dated,
    /// By the organisation's own price, or that of the model that its alias stands for.
    Organisation,
    /// The cost that a gateway reported.
    Reported,
    /// By another spelling of the name in the table.
    Alias,
    /// The dearest of several rows that the name may mean.
    DearestProvider,
    /// The cost that a gateway reported, which is far from what our price makes it, or far below
    /// the dearest of the provider of an unknown model.
    ReportedDoubtful,
    /// Unknown, and charged at the dearest price of its provider.
    Estimate,
    /// Unknown, and counted in tokens only.
    None,
}

impl MatchKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Dated => "dated",
            Self::Organisation => "organisation",
            Self::Reported => "reported",
            Self::Alias => "alias",
            Self::DearestProvider => "dearest_provider",
            Self::ReportedDoubtful => "reported_doubtful",
            Self::Estimate => "estimate",
            Self::None => "none",
        }
    }

    /// Returns why administrators are told of it, if they are.
    pub fn unsure(self) -> Option<Unsure> {
        match self {
            Self::None | Self::Estimate => Some(Unsure::Unpriced),
            Self::Alias | Self::DearestProvider | Self::ReportedDoubtful => Some(Unsure::Inexact),
            Self::Exact | Self::Dated | Self::Organisation | Self::Reported => None,
        }
    }

    /// Whether the charge is a cost that a gateway reported.
    pub fn is_reported(self) -> bool {
        matches!(self, Self::Reported | Self::ReportedDoubtful)
    }

    pub fn is_unsure(self) -> bool {
        self.unsure().is_some()
    }
}

/// Why the price of a model is unsure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelStatus))]
#[serde(rename_all = "lowercase")]
pub enum Unsure {
    /// The model has no known price.
    Unpriced,
    /// Its name may mean another price, or a reported cost is far from what is known.
    Inexact,
}

impl Unsure {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpriced => "unpriced",
            Self::Inexact => "inexact",
        }
    }
}

/// The price that usage has, as decisions and records say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceMatch {
    #[serde(rename = "match")]
    pub kind: MatchKind,
    /// The name in the table, or the organisation's: that of its price, or the model of its alias.
    /// None if it matched none.
    pub model: Option<String>,
    /// The version of the table, or of the organisation's prices.
    pub version: String,
}

impl PriceMatch {
    /// Returns true if only the tokens of the usage count.
    pub fn is_unpriced(&self) -> bool {
        self.kind == MatchKind::None
    }
}

/// Whose figure a charge is if a gateway reports the cost of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PriceSource {
    /// The price list's. The reported cost is only kept.
    #[default]
    Table,
    /// The reported cost. A request without one is charged by the price list.
    Reported,
}
