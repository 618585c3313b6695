//! Queues refusals, to be recorded later. If the queue is slow or down, no decision changes: only
//! the record of the refusal is missing.

use super::deadline::Deadline;
use super::decision::{Decision, Verdict};
use aws_sdk_sqs::Client;
use jiff::Timestamp;
use shared::domain::ledger::refusal::{Reason, ReasonCode};
use shared::domain::ledger::refused::{RefusalMessage, Refused};
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::random;
use std::time::Duration;

const NOT_RECORDED: &str = "a refusal is not recorded";
/// How long an answer waits for the queue at most, if its deadline is not nearer.
const PATIENCE: Duration = Duration::from_millis(150);

/// The subject of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedFor<'a> {
    /// The client's id of the request, or the id of the hold to be renewed.
    pub(crate) request_id: &'a str,
    pub(crate) user_id: &'a str,
    /// Empty for a renewal that names none: a hold does not have its model.
    pub(crate) model: &'a str,
}

/// The queue that refusals go to.
#[derive(Clone, Debug)]
pub struct Refusals {
    sqs: Client,
    queue_url: String,
}

impl Refusals {
    pub fn new(sqs: Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Queues a decision if it refused. A request that only found no place or no time is not
    /// queued: no rule refused it, and its message would delay those that free places.
    pub(crate) async fn notify(
        &self,
        organisation_id: &str,
        asked: AskedFor<'_>,
        decision: &Decision,
        now: Timestamp,
        deadline: Deadline,
    ) {
        let Verdict::Block { reasons, .. } = &decision.verdict else {
            return;
        };
        let is_of_capacity = |reason: &Reason| {
            matches!(
                reason.code,
                ReasonCode::TooManyHolds | ReasonCode::Overloaded
            )
        };
        // This is also so if `reasons` is empty: then `on_unavailable` refused in an outage.
        if reasons.iter().all(is_of_capacity) {
            return;
        }
        let Ok(refusal_id) = random::id("rfs_") else {
            return;
        };
        let mut codes: Vec<String> = reasons.iter().map(|r| r.code.as_str().to_owned()).collect();
        codes.dedup();
        let budgets = reasons.iter().filter_map(|reason| reason.budget.as_ref());
        let message = RefusalMessage {
            organisation_id: organisation_id.to_owned(),
            refused: Refused {
                refusal_id,
                refused_at: now,
                request_id: asked.request_id.to_owned(),
                user_id: asked.user_id.to_owned(),
                model: asked.model.to_owned(),
                reasons: codes,
                budget_ids: budgets.map(|budget| budget.budget_id.clone()).collect(),
            },
        };
        let Ok(body) = serde_json::to_string(&message) else {
            return;
        };
        let call = self
            .sqs
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(body);
        match tokio::time::timeout(deadline.within(PATIENCE), call.send()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => report(ErrorType::RefusalNotRecorded, NOT_RECORDED, &error),
            Err(slow) => report(ErrorType::RefusalNotRecorded, NOT_RECORDED, &slow),
        }
    }
}
