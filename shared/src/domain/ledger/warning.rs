//! Warnings for admitted requests.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::figures::Figures;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use crate::domain::pricing::matched::{MatchKind, PriceMatch};

/// A warning for an admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A soft cap is exceeded.
    SoftCapExceeded {
        budget_id: String,
        /// Its department. None for the organisation.
        department_id: Option<String>,
        /// Spent and held as a share of the limit, in percent.
        used_percent: i64,
    },
    /// The model has no price.
    Unpriced {
        model: String,
        /// Whether it is held and charged at the dearest price of its provider. If not, it counts
        /// in tokens only.
        is_estimated: bool,
    },
    /// The request passes without a hold.
    NotHeld {
        /// The code of the reason that would have denied it, or `unavailable`.
        code: &'static str,
        message: String,
    },
}

/// Warns of a model without a price.
pub fn unpriced(matched: &PriceMatch, model: &str) -> Option<Warning> {
    let is_estimated = matched.kind == MatchKind::Estimate;
    (is_estimated || matched.is_unpriced()).then(|| Warning::Unpriced {
        model: model.to_owned(),
        is_estimated,
    })
}

/// Returns the exceeded soft caps on `path` in `cell`, the cell of `period`.
pub fn passed_soft_caps(
    configuration: &Configuration,
    path: &Path,
    period: Month,
    cell: &Cell,
) -> Vec<Warning> {
    configuration
        .budgets_on(path, period)
        .into_iter()
        .filter(|budget| !budget.hard_cap)
        .filter(|budget| {
            cell.nodes
                .get(&budget.counter())
                .is_some_and(|rest| *rest < 0)
        })
        .map(|budget| Warning::SoftCapExceeded {
            budget_id: budget.id.clone(),
            department_id: budget.department_id.clone(),
            used_percent: Figures::of(budget, period, cell).used_percent(),
        })
        .collect()
}
