//! Tells people and systems what happened: one message of the queue is one notice, or one delivery to a webhook that is due.
//!
//! At least once in, once in effect: a notice becomes deliveries under ids of its own, which are made once; a delivery that ended
//! is not attempted again. A receiver may see the same `webhook-id` twice where the function was stopped between the answer and
//! keeping it, and knows by it that it is the same. Nothing sleeps here: what is due later waits in the queue.

mod deliver;
mod mails;
mod post;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
pub use mails::Mailer;
pub use post::{Lookup, Poster};
use shared::domain::mail::{Letter, LetterStatus};
use shared::domain::notice::{Address, Notice, NoticeMessage, Recipient, RecipientStatus};
use shared::domain::webhook::MAX_WEBHOOKS;
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
    mailer: Mailer,
    clock: Clock,
}

impl App {
    /// The function on `store`: it queues for later on `notices`, and what is given up on `given_up`.
    pub fn new(
        store: Store,
        [notices, given_up]: [Notices; 2],
        sealer: Sealer,
        poster: Poster,
        mailer: Mailer,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            notices,
            given_up,
            sealer,
            poster,
            mailer,
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
        NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt,
            due_at,
        } => mails::send(app, &organisation_id, &mailbox, attempt, due_at).await,
    }
}

/// Makes a delivery of a notice for each webhook that it is for, and a letter for each person. Done again, it finds them made.
async fn tell(app: &App, organisation_id: &str, mut notice: Notice) -> Result<(), Failure> {
    if notice.is_told {
        return Ok(());
    }
    let mut recipients = std::mem::take(&mut notice.recipients);
    let webhooks = app
        .store
        .webhooks(
            organisation_id,
            None,
            usize::try_from(MAX_WEBHOOKS).unwrap_or(100),
        )
        .await?;
    for webhook in webhooks.items {
        let own = Recipient::webhook(&webhook.id);
        let is_there = recipients.iter().any(|known| known.address == own.address);
        if webhook.subscribes(notice.kind) && !is_there {
            recipients.push(own);
        }
    }
    for recipient in &mut recipients {
        if recipient.status == RecipientStatus::Queued {
            recipient.status = match &recipient.address {
                Address::Webhook { webhook_id } => {
                    deliver::begin(app, organisation_id, &notice, webhook_id).await?
                }
                Address::Mail {
                    email,
                    name,
                    because,
                    ..
                } => {
                    let letter = Letter {
                        notice_id: notice.id.clone(),
                        kind: notice.kind,
                        email: email.clone(),
                        name: name.clone(),
                        because: because.clone(),
                        payload: notice.payload.clone(),
                        created_at: notice.created_at,
                        status: LetterStatus::Waiting,
                    };
                    mails::post(app, organisation_id, &letter).await?
                }
            };
        }
    }
    notice.recipients = recipients;
    notice.is_told = true;
    Ok(app.store.set_notice(organisation_id, &notice).await?)
}
