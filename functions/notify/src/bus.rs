//! Puts notices as events on a bus of EventBridge, so that other systems can subscribe.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use shared::runtime::logs::{ErrorType, report};

/// The `source` of the events.
const SOURCE: &str = "toktra";
/// The most events of one call, and the most bytes of their details. The service takes 256 KB, with
/// everything around them.
const BATCH: usize = 10;
const BATCH_BYTES: usize = 200_000;

/// The bus, if the deployment has one.
#[derive(Clone, Debug)]
pub struct Bus {
    client: Client,
    name: Option<String>,
}

/// An event: its `detail-type`, and its `detail` as JSON.
pub(crate) struct BusEvent {
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl Bus {
    /// Creates the bus called `name`. If there is no name, nothing is put on it.
    pub fn new(client: Client, name: Option<String>) -> Self {
        Self { client, name }
    }

    /// Puts events on the bus. Returns for each whether the bus took it.
    pub(crate) async fn put(&self, events: &[BusEvent]) -> Vec<bool> {
        let Some(name) = &self.name else {
            return vec![true; events.len()];
        };
        let mut done = Vec::with_capacity(events.len());
        for batch in batches(events) {
            let entries = batch.iter().map(|event| {
                PutEventsRequestEntry::builder()
                    .event_bus_name(name)
                    .source(SOURCE)
                    .detail_type(&event.kind)
                    .detail(&event.detail)
                    .build()
            });
            let call = self.client.put_events();
            match call.set_entries(Some(entries.collect())).send().await {
                Ok(answer) => {
                    let taken = answer.entries().iter().map(|e| e.error_code().is_none());
                    let taken: Vec<bool> = taken.collect();
                    done.extend((0..batch.len()).map(|at| taken.get(at).copied().unwrap_or(false)));
                }
                Err(error) => {
                    report(
                        ErrorType::NoticeNotSent,
                        "the bus did not take a batch",
                        &error,
                    );
                    done.extend(batch.iter().map(|_| false));
                }
            }
        }
        done
    }
}

/// Splits the events into as many calls as they need.
fn batches(events: &[BusEvent]) -> Vec<&[BusEvent]> {
    let mut batches = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |event: &&BusEvent| {
            bytes += event.detail.len();
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH).take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count);
        batches.push(batch);
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(sizes: &[usize]) -> Vec<BusEvent> {
        let event = |size: &usize| BusEvent {
            kind: "period.closed".to_owned(),
            detail: "x".repeat(*size),
        };
        sizes.iter().map(event).collect()
    }

    #[test]
    fn a_call_has_at_most_ten_events_and_no_more_bytes_than_the_bus_takes() {
        let sizes = |sizes: &[usize]| {
            let events = events(sizes);
            let batches = batches(&events);
            batches.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[10; 23]), [10, 10, 3]);
        assert_eq!(sizes(&[120_000, 80_000, 1, 250_000, 5]), [2, 1, 1, 1]);
        assert!(sizes(&[]).is_empty());
    }
}
