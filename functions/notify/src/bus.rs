//! Notices as events on a bus of EventBridge, so that others can attach anything.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use shared::runtime::error::log_chain;

/// What the events' `source` is.
const SOURCE: &str = "toktra";
/// The most events of one call.
const BATCH: usize = 10;

/// The bus, where there is one.
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
    /// The bus called `name`. Without a name nothing is put on it.
    pub fn new(client: Client, name: Option<String>) -> Self {
        Self { client, name }
    }

    /// Puts events on the bus; for each, whether it is there.
    pub(crate) async fn put(&self, events: &[BusEvent]) -> Vec<bool> {
        let Some(name) = &self.name else {
            return vec![true; events.len()];
        };
        let mut done = Vec::with_capacity(events.len());
        for batch in events.chunks(BATCH) {
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
                    log_chain("the bus did not take a batch", &error);
                    done.extend(batch.iter().map(|_| false));
                }
            }
        }
        done
    }
}
