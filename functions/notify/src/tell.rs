//! Telling everybody of a notice.

use super::bus::BusEvent;
use super::{App, Failure, deliver, mails};
use shared::domain::mail::{EmailStatus, PendingEmail};
use shared::domain::notice::{Address, Notice, Recipient, RecipientStatus};
use shared::domain::webhook::{EventType, MAX_WEBHOOKS};

/// A notice that everybody was told of, before that is kept.
pub(super) struct Told {
    organisation_id: String,
    notice: Notice,
}

impl Told {
    /// The same for the bus: as webhooks are sent it.
    pub(super) fn bus_event(&self) -> BusEvent {
        BusEvent {
            kind: self.notice.kind.as_str().to_owned(),
            detail: deliver::body(&self.organisation_id, &self.notice),
        }
    }

    /// Keeps that everybody was told.
    pub(super) async fn keep(self, app: &App) -> Result<(), Failure> {
        let kept = app.store.set_notice(&self.organisation_id, &self.notice);
        Ok(kept.await?)
    }
}

/// Makes a delivery of a notice for each webhook that it is for, and a letter for each person. Done again, it finds them made.
/// None where that was done before.
pub(super) async fn tell(
    app: &App,
    organisation_id: String,
    notice_id: &str,
) -> Result<Option<Told>, Failure> {
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
        // One that gave up would only give up once more.
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
                    mails::post(app, &organisation_id, letter).await?
                }
            };
        }
    }
    notice.recipients = recipients;
    notice.is_told = true;
    Ok(Some(Told {
        organisation_id,
        notice,
    }))
}
