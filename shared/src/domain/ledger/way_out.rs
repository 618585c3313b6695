//! What a user can do after a denial by a budget.

use crate::domain::amount::Unit;
use crate::domain::ledger::figures::ShownFigures;
use crate::domain::org::people::{Role, User};

/// A remedy for a denial by a budget.
#[derive(Clone, Copy, Debug)]
pub enum WayOut<'a> {
    /// Retry after this many seconds: only live holds are in the way.
    Wait(u32),
    /// Request an exemption. The manager, if there is one, can do so too.
    Exemption {
        /// The user's manager, or that of the nearest department that has an active one.
        manager: Option<&'a User>,
    },
}

impl WayOut<'_> {
    pub(super) fn manager(&self) -> Option<&User> {
        match self {
            Self::Wait(_) => None,
            Self::Exemption { manager } => *manager,
        }
    }

    pub(super) fn said(self, unit: Unit, figures: &ShownFigures, local_reset: &str) -> String {
        match self {
            Self::Wait(seconds) => {
                let held = unit.shown(figures.held);
                format!("{held} are held by requests in flight; try again in {seconds} s")
            }
            Self::Exemption { manager } => {
                let whom = match manager {
                    Some(user) if user.role == Role::Admin => {
                        format!("{} or another administrator", user.name)
                    }
                    Some(user) => format!("{} or an administrator", user.name),
                    None => "an administrator".to_owned(),
                };
                format!(
                    "it resets on {local_reset}; until then request an exemption, or ask {whom}"
                )
            }
        }
    }
}
