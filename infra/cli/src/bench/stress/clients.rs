//! The clients: each asks, uses what it got, and reports it at once.

use crate::api_client::{ApiClient, usage_event};
use crate::error::CommandError;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a client waits after a refusal: a tenth of the time it is asked to wait at least. Impatient clients are the
/// worse load, and the sooner the rest of a cap is spent.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often a report is sent that was not taken.
const ATTEMPTS: u32 = 50;

/// Why a request was not admitted with a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// The cap has less left, whatever is held.
    CapReached,
    /// The cap has less left, because of what requests hold that are under way.
    Held,
    /// It would have fitted, and there was no place for its hold.
    NoPlace,
    /// It would have fitted, and the database had too much to do.
    Overloaded,
    /// Something else.
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
    /// Admitted without a hold: what no cap has seen.
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

/// What all clients have seen.
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

/// One of them.
pub(super) struct Client {
    pub(super) agent: ApiClient,
    pub(super) user: String,
    pub(super) run: String,
    pub(super) tokens: i64,
    pub(super) tally: std::sync::Arc<Tally>,
}

impl Client {
    /// Asks again and again. What was admitted is reported, after `until` too.
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
