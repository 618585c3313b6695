//! Sends a notice to all its recipients.

use super::bus::BusEvent;
use super::{App, Failure, deliver, mails};
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::mail::{EmailStatus, PendingEmail};
use shared::domain::notice::webhook::MAX_WEBHOOKS;
use shared::domain::notice::{Address, Notice, Recipient, RecipientStatus};

/// A notice that was sent to everybody, before this is stored.
pub(super) struct SentNotice {
    organisation_id: String,
    notice: Notice,
}

impl SentNotice {
    /// Returns the event for the bus. Its detail is the body that webhooks get.
    pub(super) fn bus_event(&self) -> BusEvent {
        BusEvent {
            kind: self.notice.kind.as_str().to_owned(),
            detail: deliver::body(&self.organisation_id, &self.notice),
        }
    }

    /// Stores that the notice was sent.
    pub(super) async fn store(self, app: &App) -> Result<(), Failure> {
        let kept = app.store.set_notice(&self.organisation_id, &self.notice);
        Ok(kept.await?)
    }
}

/// Creates a delivery for each webhook that subscribes to the notice, and a letter for each person.
/// If it runs again, it finds them. None if the notice was sent before.
pub(super) async fn notify(
    app: &App,
    organisation_id: String,
    notice_id: &str,
) -> Result<Option<SentNotice>, Failure> {
    let known = app.store.notice(&organisation_id, notice_id).await?;
    let Some(mut notice) = known.filter(|known| !known.is_told) else {
        return Ok(None);
    };
    let mut recipients = std::mem::take(&mut notice.recipients);
    let webhooks = app
        .store
        .webhooks(
            &organisation_id,
            None,
            usize::try_from(MAX_WEBHOOKS).unwrap_or(100),
        )
        .await?;
    for webhook in webhooks.items {
        let own = Recipient::webhook(&webhook.id);
        let is_there = recipients.iter().any(|known| known.address == own.address);
        // A notice about a webhook that failed would only fail there again.
        let is_its_own = notice.kind == EventType::IncidentCreated
            && notice.payload["facts"]["webhook_id"] == webhook.id.as_str();
        if webhook.subscribes(notice.kind) && !is_there && !is_its_own {
            recipients.push(own);
        }
    }
    for recipient in &mut recipients {
        if recipient.status == RecipientStatus::Queued {
            recipient.status = match &recipient.address {
                Address::Webhook { webhook_id } => {
                    deliver::begin(app, &organisation_id, &notice, webhook_id).await?
                }
                Address::Mail {
                    email,
                    name,
                    because,
                    ..
                } => {
                    let letter = PendingEmail {
                        notice_id: notice.id.clone(),
                        kind: notice.kind,
                        email: email.clone(),
                        name: name.clone(),
                        because: because.clone(),
                        payload: notice.payload.clone(),
                        created_at: notice.created_at,
                        status: EmailStatus::Waiting,
                    };
                    mails::add(app, &organisation_id, letter).await?
                }
            };
        }
    }
    notice.recipients = recipients;
    notice.is_told = true;
    Ok(Some(SentNotice {
        organisation_id,
        notice,
    }))
}
