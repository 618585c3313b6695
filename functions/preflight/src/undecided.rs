//! What is answered if no decision could be made.

use super::decide::{Decision, Verdict};
use shared::domain::configuration::OnUnavailable;
use shared::domain::refusal::{Reason, Warning};

/// In how many seconds to ask again if that may be different in a moment.
pub(crate) const SOON: u32 = 2;

/// What is known of a request so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    on_unavailable: OnUnavailable,
    /// Whether nothing has to hold that an answer without the counters could open: no hard cap, no block.
    pub(crate) may_pass_unheld: bool,
}

impl Known {
    /// Nothing is known but who decides in an outage. A hard cap may be there, so it is taken to be there.
    pub(crate) fn nothing(on_unavailable: OnUnavailable) -> Self {
        Self {
            on_unavailable,
            may_pass_unheld: false,
        }
    }

    /// The answer without a decision. `on_unavailable` is for a database that is silent. One that answers and is
    /// overloaded, by whoever it may be, opens nothing that has to hold.
    pub(crate) fn undecided(self, has_answered: bool) -> Decision {
        if !has_answered {
            return degraded(self.on_unavailable);
        }
        let reason = Reason::overloaded(SOON);
        let (verdict, warnings) = if self.may_pass_unheld {
            let warning = Warning::NotHeld {
                code: reason.code.as_str(),
                message: reason.message,
            };
            (Verdict::Allow(None), vec![warning])
        } else {
            (Verdict::wait(reason, SOON), Vec::new())
        };
        Decision {
            verdict,
            warnings,
            on_unavailable: self.on_unavailable,
            exemption_id: None,
            is_degraded: false,
        }
    }
}

/// The answer in an outage.
fn degraded(on_unavailable: OnUnavailable) -> Decision {
    let message = "the budget service cannot decide at the moment";
    let verdict = match on_unavailable {
        OnUnavailable::Allow => Verdict::Allow(None),
        OnUnavailable::Deny => Verdict::Block {
            reasons: Vec::new(),
            offer: None,
            retry_after_seconds: Some(SOON),
        },
    };
    Decision {
        verdict,
        warnings: vec![Warning::NotHeld {
            code: "unavailable",
            message: message.to_owned(),
        }],
        on_unavailable,
        exemption_id: None,
        is_degraded: true,
    }
}
