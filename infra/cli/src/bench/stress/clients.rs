//! The clients of a stress run.

use crate::api_client::{ApiClient, usage_event};
use crate::error::CommandError;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The time a client waits after a refusal: a tenth of the shortest wait that a refusal asks for.
/// Impatient clients are the harder load, and they spend the rest of a cap sooner.
const PATIENCE: Duration = Duration::from_millis(200);
/// The number of attempts to send a report.
const ATTEMPTS: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// The cap is spent.
    CapReached,
    /// The rest of the cap is held by requests in flight.
    Held,
    /// The cap has room, but there is no place for another hold.
    NoPlace,
    /// The cap has room, but the database is overloaded.
    Overloaded,
    Other,
}

impl Refusal {
    fn of(decision: &Value) -> Self {
        let is_retryable = decision["retryable"] == true;
        match decision["reasons"][0]["code"].as_str() {
            Some("budget_exhausted") if is_retryable => Self::Held,
            Some("budget_exhausted") => Self::CapReached,
            Some("too_many_holds") => Self::NoPlace,
            Some("overloaded") => Self::Overloaded,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) admitted: u64,
    /// Requests admitted without a hold, which no cap counts.
    pub(super) unheld: u64,
    pub(super) refused: BTreeMap<Refusal, u64>,
}

impl Counts {
    pub(super) fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(&why).copied().unwrap_or(0)
    }

    pub(super) fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// The answers that all clients received.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        let known = self.0.lock().map(|counts| counts.clone());
        known.unwrap_or_default()
    }

    fn count(&self, decision: &Value) {
        let Ok(mut counts) = self.0.lock() else {
            return;
        };
        if decision["decision"] != "allow" {
            *counts.refused.entry(Refusal::of(decision)).or_default() += 1;
        } else if decision["hold"].is_null() {
            counts.unheld += 1;
        } else {
            counts.admitted += 1;
        }
    }
}

pub(super) struct Client {
    pub(super) agent: ApiClient,
    pub(super) user: String,
    pub(super) run: String,
    pub(super) tokens: i64,
    pub(super) tally: std::sync::Arc<Tally>,
}

impl Client {
    /// Asks until `until`, and reports each admitted request, also after that time.
    pub(super) async fn ask_until(self, until: Instant) -> Result<(), CommandError> {
        for n in 0_u64.. {
            if Instant::now() >= until {
                break;
            }
            let id = format!("{}-{}-{n}", self.run, self.user);
            let decision = self.agent.preflight(&self.user, &id, self.tokens).await?;
            self.tally.count(&decision);
            if decision["decision"] == "allow" {
                self.report(&id, &decision["hold"]["id"]).await?;
            } else {
                tokio::time::sleep(PATIENCE).await;
            }
        }
        Ok(())
    }

    async fn report(&self, id: &str, hold_id: &Value) -> Result<(), CommandError> {
        let event = usage_event(id, &self.user, self.tokens, hold_id);
        let body = json!({ "events": [event] });
        for _ in 0..ATTEMPTS {
            let call = self.agent.send(Method::POST, "/v1/events", &body);
            let (status, answer) = call.await?;
            if status == 202 && answer["accepted"] == 1 {
                return Ok(());
            }
            if status != 503 {
                let said = format!("POST /v1/events: {status} {answer}");
                return Err(CommandError::Answer(said));
            }
            tokio::time::sleep(PATIENCE).await;
        }
        Err(CommandError::Answer("the events were not taken".to_owned()))
    }
}
