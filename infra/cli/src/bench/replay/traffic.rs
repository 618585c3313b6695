//! Sends preflights from many clients at once, and reports their usage.

use super::company::Company;
use super::trace::Row;
use crate::api_client::ApiClient;
use crate::error::CommandError;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The most events of one report, and the most that may wait for the next report.
const BATCH: usize = 100;
/// The longest time to record one batch.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval at which a system that cannot be drained is asked whether it still has holds.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const PROVIDER: &str = "openai";
const MODEL: &str = "gpt-4o";

/// The requests to send, their senders and their speed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) client: ApiClient,
    pub(super) company: Company,
    pub(super) rows: Vec<Row>,
    /// The index of the sender of each row.
    pub(super) senders: Vec<usize>,
    /// The speed relative to the trace. None sends as fast as possible.
    pub(super) speed: Option<u32>,
    pub(super) concurrency: u16,
    pub(super) progress: ProgressBar,
    /// Whether the system can say when each event is recorded.
    pub(super) can_drain: bool,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    /// Answers without a hold or without the database.
    pub(super) degraded: u64,
    /// Refusals although each level had room for the request.
    pub(super) needless: u64,
    pub(super) tokens_sent: u64,
    pub(super) tokens_admitted: u64,
    /// The number of refusals that name each budget as a reason.
    pub(super) refused_by: BTreeMap<String, u64>,
    /// The latency of each preflight.
    pub(super) latencies_us: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Reported {
    pub(super) events: u64,
    pub(super) tokens: u64,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) reported: Reported,
    /// The highest number of unsettled holds at one time.
    pub(super) most_open: u64,
}

struct Event {
    body: Value,
    tokens: u64,
}

/// Counts the requests between their admission and their record.
#[derive(Default)]
struct OpenHolds {
    now: AtomicU64,
    most: AtomicU64,
}

/// Sends all rows. Returns when their usage is recorded.
pub(super) async fn send(plan: &Arc<Plan>) -> Result<Outcome, CommandError> {
    let (events, reports) = mpsc::channel(BATCH);
    let next = Arc::new(AtomicUsize::new(0));
    let open = Arc::new(OpenHolds::default());
    let started = tokio::time::Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..plan.concurrency {
        let client = Client {
            plan: plan.clone(),
            next: next.clone(),
            open: open.clone(),
            events: events.clone(),
            started,
        };
        clients.spawn(client.run());
    }
    drop(events);
    let sending = async {
        let mut tally = Tally::default();
        while let Some(done) = clients.join_next().await {
            let failed = |error| CommandError::Answer(format!("a client failed: {error}"));
            tally.add(done.map_err(failed)??);
        }
        Ok(tally)
    };
    let (tally, reported) = tokio::try_join!(sending, report(plan, reports, &open))?;
    until_recorded(plan).await?;
    let most_open = open.most.load(Ordering::Relaxed);
    Ok(Outcome {
        tally,
        reported,
        most_open,
    })
}

/// A client that sends the next row until there is none.
struct Client {
    plan: Arc<Plan>,
    next: Arc<AtomicUsize>,
    open: Arc<OpenHolds>,
    events: mpsc::Sender<Event>,
    started: tokio::time::Instant,
}

impl Client {
    async fn run(self) -> Result<Tally, CommandError> {
        let mut tally = Tally::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = self.plan.rows.get(index) else {
                return Ok(tally);
            };
            if let Some(speed) = self.plan.speed {
                let due = self.started + row.after / speed.max(1);
                tokio::time::sleep_until(due).await;
            }
            let event = self.preflight(index, row, &mut tally).await?;
            self.plan.progress.inc(1);
            // The receiver is gone only if reporting has failed. That error is returned instead.
            if let Some(event) = event
                && self.events.send(event).await.is_err()
            {
                return Ok(tally);
            }
        }
    }

    /// Sends the preflight of a row. Returns the event to report if the request was admitted.
    async fn preflight(
        &self,
        index: usize,
        row: &Row,
        tally: &mut Tally,
    ) -> Result<Option<Event>, CommandError> {
        let Plan {
            client, company, ..
        } = &*self.plan;
        let user_id = &company.users[self.plan.senders[index]];
        let id = format!("{}-{index}", company.name());
        let body = json!({
            "request_id": id, "user_id": user_id, "provider": PROVIDER, "model": MODEL,
            "input_tokens": row.input, "max_output_tokens": row.output,
        });
        let asked = Instant::now();
        let answer = client.post("/v1/preflight", &body).await?;
        let waited = asked.elapsed().as_micros();
        tally
            .latencies_us
            .push(u64::try_from(waited).unwrap_or(u64::MAX));
        tally.count(row, &answer);
        if answer["decision"] != "allow" {
            return Ok(None);
        }
        let mut body = json!({
            "event_id": id, "type": "llm_request",
            "occurred_at": jiff::Timestamp::now().to_string(), "user_id": user_id,
            "provider": PROVIDER, "model": MODEL, "input_tokens": row.input,
            "output_tokens": row.output,
        });
        if let Some(hold_id) = answer["hold"]["id"].as_str() {
            body["hold_id"] = json!(hold_id);
        }
        let open = self.open.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.most.fetch_max(open, Ordering::Relaxed);
        let tokens = row.tokens();
        Ok(Some(Event { body, tokens }))
    }
}

impl Tally {
    fn count(&mut self, row: &Row, answer: &Value) {
        self.sent += 1;
        self.tokens_sent += row.tokens();
        let is_allowed = answer["decision"] == "allow";
        if answer["degraded"] == true || (is_allowed && answer["hold"].is_null()) {
            self.degraded += 1;
        }
        if is_allowed {
            self.admitted += 1;
            self.tokens_admitted += row.tokens();
        } else if answer["decision"] == "block" {
            self.refused += 1;
            let reasons = answer["reasons"].as_array().map_or(&[][..], Vec::as_slice);
            self.needless += u64::from(!reasons.iter().any(is_short));
            for budget_id in reasons.iter().filter_map(|one| one["budget_id"].as_str()) {
                *self.refused_by.entry(budget_id.to_owned()).or_default() += 1;
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.degraded += other.degraded;
        self.needless += other.needless;
        self.tokens_sent += other.tokens_sent;
        self.tokens_admitted += other.tokens_admitted;
        for (budget_id, times) in other.refused_by {
            *self.refused_by.entry(budget_id).or_default() += times;
        }
        self.latencies_us.extend(other.latencies_us);
    }
}

/// Whether a level had less than was requested. Dollars have a fraction.
fn is_short(reason: &Value) -> bool {
    match (reason["requested"].as_f64(), reason["available"].as_f64()) {
        (Some(requested), Some(available)) => requested > available,
        _ => false,
    }
}

/// Reports events in batches of what has arrived. If the system can drain, each batch waits until
/// it is recorded and the clients wait with it. So there are never many more holds than requests in
/// flight.
async fn report(
    plan: &Plan,
    mut events: mpsc::Receiver<Event>,
    open: &OpenHolds,
) -> Result<Reported, CommandError> {
    let mut reported = Reported::default();
    let mut batch = Vec::with_capacity(BATCH);
    while events.recv_many(&mut batch, BATCH).await > 0 {
        let tokens: u64 = batch.iter().map(|event| event.tokens).sum();
        let bodies: Vec<Value> = batch.drain(..).map(|event| event.body).collect();
        let count = u64::try_from(bodies.len()).unwrap_or(u64::MAX);
        plan.client.report(&bodies).await?;
        reported.events += count;
        reported.tokens += tokens;
        if plan.can_drain {
            drain(&plan.client).await?;
        }
        open.now.fetch_sub(count, Ordering::Relaxed);
    }
    Ok(reported)
}

/// Whether the system can say when each event is recorded. A deployment cannot.
pub(super) async fn can_drain(client: &ApiClient) -> Result<bool, CommandError> {
    let (status, _) = client
        .send(Method::POST, "/local/drain", &Value::Null)
        .await?;
    Ok(status == 200)
}

async fn drain(client: &ApiClient) -> Result<(), CommandError> {
    match tokio::time::timeout(PATIENCE, client.drain()).await {
        Ok(drained) => drained,
        Err(_) => Err(CommandError::Answer(format!(
            "the events were not recorded in {} seconds",
            PATIENCE.as_secs()
        ))),
    }
}

/// Returns when everything is recorded, or after the patience ends. The checks then show what is
/// missing.
async fn until_recorded(plan: &Plan) -> Result<(), CommandError> {
    if plan.can_drain {
        return drain(&plan.client).await;
    }
    let budget_id = &plan.company.levels[plan.company.root].budget_id;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if plan.client.budget(budget_id).await?["held"] == 0 {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
