//! Tells people and systems what happened: one message of the queue is one notice, or one delivery to a webhook that is due.
//!
//! At least once in, once in effect: a notice becomes deliveries under ids of its own, which are made once; a delivery that ended
//! is not attempted again. A receiver may see the same `webhook-id` twice where the function was stopped between the answer and
//! keeping it, and knows by it that it is the same. Nothing sleeps here: what is due later waits in the queue.

mod deliver;
mod post;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
pub use post::{Lookup, Poster};
use shared::domain::notice::{Address, Notice, NoticeMessage, RecipientStatus};
use shared::domain::webhook::Delivery;
use shared::runtime::clock::Clock;
use shared::runtime::error::log_chain;
use shared::runtime::queue::{NotQueued, Notices};
use shared::runtime::sealing::Sealer;
use shared::store::{Store, StoreError};

/// What the function has for all its batches.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    notices: Notices,
    /// Where deliveries go that were given up.
    given_up: Notices,
    sealer: Sealer,
    poster: Poster,
    clock: Clock,
}

impl App {
    /// The function on `store`.
    pub fn new(
        store: Store,
        notices: Notices,
        given_up: Notices,
        sealer: Sealer,
        poster: Poster,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            notices,
            given_up,
            sealer,
            poster,
            clock,
        }
    }
}

/// Why a message has to come again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message is not one of this queue")]
    Unreadable(#[source] serde_json::Error),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the queue failed")]
    Queue(#[from] NotQueued),
}

/// Handles a batch. The answer names the messages that have to come again.
pub async fn handle(app: &App, batch: SqsEvent) -> SqsBatchResponse {
    let each = batch.records.iter().map(|message| async {
        match one(app, message).await {
            Ok(()) => None,
            Err(failure) => {
                log_chain("a notice has to come again", &failure);
                let mut failed = BatchItemFailure::default();
                failed.item_identifier = message.message_id.clone().unwrap_or_default();
                Some(failed)
            }
        }
    });
    let failed = futures::future::join_all(each).await;
    let mut answer = SqsBatchResponse::default();
    answer.batch_item_failures = failed.into_iter().flatten().collect();
    answer
}

async fn one(app: &App, message: &SqsMessage) -> Result<(), Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body).map_err(Failure::Unreadable)? {
        NoticeMessage::Notice {
            organisation_id,
            notice_id,
        } => match app.store.notice(&organisation_id, &notice_id).await? {
            Some(notice) => tell(app, &organisation_id, notice).await,
            None => Ok(()),
        },
        NoticeMessage::Delivery {
            organisation_id,
            webhook_id,
            delivery_id,
        } => deliver::attempt(app, &organisation_id, &webhook_id, &delivery_id).await,
    }
}

/// Makes a delivery of a notice for each webhook that it is for. Done again, it finds them made.
async fn tell(app: &App, organisation_id: &str, mut notice: Notice) -> Result<(), Failure> {
    let body = deliver::body(organisation_id, &notice);
    let id = notice.event_id();
    let mut has_changed = false;
    for recipient in &mut notice.recipients {
        let Address::Webhook { webhook_id } = &recipient.address else {
            continue;
        };
        if recipient.status != RecipientStatus::Queued {
            continue;
        }
        has_changed = true;
        if app
            .store
            .webhook(organisation_id, webhook_id)
            .await?
            .is_none()
        {
            recipient.status = RecipientStatus::Gone;
            continue;
        }
        let delivery = Delivery::new(
            id.clone(),
            webhook_id.clone(),
            notice.kind,
            body.clone(),
            app.clock.now(),
        );
        app.store.add_delivery(organisation_id, &delivery).await?;
        let message = NoticeMessage::Delivery {
            organisation_id: organisation_id.to_owned(),
            webhook_id: webhook_id.clone(),
            delivery_id: id.clone(),
        };
        app.notices.queue(&message).await?;
        recipient.status = RecipientStatus::Delivering;
    }
    if has_changed {
        app.store.set_notice(organisation_id, &notice).await?;
    }
    Ok(())
}
