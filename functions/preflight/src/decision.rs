//! The decision on a request: it may pass, or the reasons why it may not.

use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::warning::Warning;
use shared::domain::org::organisation::OnUnavailable;
use shared::domain::pricing::matched::PriceMatch;

#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) warnings: Vec<Warning>,
    /// How the price of what it may use was found. None if nothing was estimated.
    pub(crate) price: Option<PriceMatch>,
    pub(crate) on_unavailable: OnUnavailable,
    /// The exemption that let it pass, if a cap alone would have refused it.
    pub(crate) exemption_id: Option<String>,
    /// Whether the decision was made without the database.
    pub(crate) is_degraded: bool,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    /// The request may pass, with a hold if a budget counts it. A lease has one for each of its
    /// requests that lives.
    Allow(Vec<(HoldId, Hold)>),
    Block {
        reasons: Vec<Reason>,
        /// The largest answer, in tokens, that would be admitted.
        offer: Option<i64>,
        /// In how many seconds to ask again, if the same request may pass then.
        retry_after_seconds: Option<u32>,
    },
}

impl Verdict {
    pub(crate) fn block(reason: Reason) -> Self {
        Self::Block {
            reasons: vec![reason],
            offer: None,
            retry_after_seconds: None,
        }
    }

    /// Refuses for now: the same request may pass in `seconds`.
    pub(crate) fn wait(reason: Reason, seconds: u32) -> Self {
        Self::Block {
            reasons: vec![reason],
            offer: None,
            retry_after_seconds: Some(seconds),
        }
    }
}
