//! The answer if no decision could be made.

use super::decision::{Decision, Verdict};
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::warning::Warning;
use shared::domain::org::organisation::OnUnavailable;
use shared::domain::pricing::matched::PriceMatch;

/// In how many seconds to ask again if the answer may be different by then.
pub(crate) const SOON: u32 = 2;

/// The facts about a request that are known so far.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    on_unavailable: OnUnavailable,
    /// Whether an answer without the counters breaks no rule: there is no hard cap and no block.
    pub(crate) may_pass_unheld: bool,
    pub(crate) price: Option<PriceMatch>,
}

impl Known {
    /// Only the rule for an outage is known. There may be a hard cap, so one is assumed.
    pub(crate) fn nothing(on_unavailable: OnUnavailable) -> Self {
        Self {
            on_unavailable,
            may_pass_unheld: false,
            price: None,
        }
    }

    /// Returns the answer without a decision. If the database is silent, `on_unavailable` decides.
    /// If it answers but is overloaded, no hard cap is opened: anybody could have caused the load.
    pub(crate) fn undecided(self, has_answered: bool) -> Decision {
        if !has_answered {
            return degraded(self);
        }
        let reason = Reason::overloaded(SOON);
        let (verdict, warnings) = if self.may_pass_unheld {
            let warning = Warning::NotHeld {
                code: reason.code.as_str(),
                message: reason.message,
            };
            (Verdict::Allow(Vec::new()), vec![warning])
        } else {
            (Verdict::wait(reason, SOON), Vec::new())
        };
        Decision {
            verdict,
            warnings,
            price: self.price,
            on_unavailable: self.on_unavailable,
            exemption_id: None,
            is_degraded: false,
        }
    }
}

fn degraded(known: Known) -> Decision {
    let message = "the budget service cannot decide at the moment";
    let verdict = match known.on_unavailable {
        OnUnavailable::Allow => Verdict::Allow(Vec::new()),
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
        price: known.price,
        on_unavailable: known.on_unavailable,
        exemption_id: None,
        is_degraded: true,
    }
}
