//! Telling of refusals, which are recorded behind the queue. A queue that is slow or down changes no decision: what it does not
//! take in a moment is missing in the record, and nothing else.

use super::decide::{Decision, Verdict};
use aws_sdk_sqs::Client;
use jiff::Timestamp;
use shared::domain::refusal::{Reason, ReasonCode};
use shared::domain::refused::{RefusalMessage, Refused};
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::random;
use std::time::Duration;

/// How long an answer waits for the queue at the most.
const PATIENCE: Duration = Duration::from_millis(150);

/// What a decision was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedFor<'a> {
    /// The client's id of the request, or that of a hold that was to be renewed.
    pub(crate) request_id: &'a str,
    pub(crate) user_id: &'a str,
    /// Empty for a hold, which does not say it.
    pub(crate) model: &'a str,
}

/// The queue that refusals go to.
#[derive(Clone, Debug)]
pub struct Refusals {
    sqs: Client,
    queue_url: String,
}

impl Refusals {
    /// The queue at `queue_url`.
    pub fn new(sqs: Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Queues a decision that refused; an admitted request costs nothing here. A request that only finds no place or no
    /// time is not queued: nobody refused it, and it would keep evaluation from giving places back.
    pub(crate) async fn tell(
        &self,
        organisation_id: &str,
        asked: AskedFor<'_>,
        decision: &Decision,
        now: Timestamp,
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
        // Also nobody refused what the deployment or the organisation wants refused in an outage.
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
        match tokio::time::timeout(PATIENCE, call.send()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => report(
                ErrorType::RefusalNotRecorded,
                "a refusal is not recorded",
                &error,
            ),
            Err(slow) => report(
                ErrorType::RefusalNotRecorded,
                "a refusal is not recorded",
                &slow,
            ),
        }
    }
}
