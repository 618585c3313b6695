//! Letters become mails: those that wait for one address are sent together.
//!
//! The mail service cannot be asked whether it took a mail. Where the function is stopped between its answer and keeping it, the
//! mail comes a second time; it is never lost.

use super::{App, Failure};
use aws_sdk_ses::types::{Body, Content, Destination, Message, MessageTag};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::alert::Severity;
use shared::domain::feedback::ORGANISATION_TAG;
use shared::domain::incident::{Cause, Incident, Opened};
use shared::domain::mail::{
    EmailStatus, JOIN_SECONDS, MAX_EMAILS, Mail, PendingEmail, compose, retry_delay,
};
use shared::domain::mail_layout::Layout;
use shared::domain::notice::{NoticeMessage, RecipientStatus};
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::address_digest;
use std::error::Error;
use std::time::Duration;

/// How old a letter is at least that is given up, in hours: its own looks take a little longer.
const GIVEN_UP_HOURS: i64 = 20;
/// How long a box is one sender's alone, in seconds; sending takes less.
const LEASE_SECONDS: i64 = 60;

/// Sends mails through SES.
#[derive(Clone, Debug)]
pub struct Mailer {
    ses: aws_sdk_ses::Client,
    sender: Option<String>,
    console: Option<String>,
    layout: Layout,
    configuration_set: Option<String>,
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("no sender is configured")]
    NoSender,
    #[error("the mail service did not take it")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl Mailer {
    /// A mailer that sends as `sender`; links in its mails lead to `console`. Without a sender every mail fails.
    pub fn new(ses: aws_sdk_ses::Client, sender: Option<String>, console: Option<String>) -> Self {
        Self {
            ses,
            sender,
            console,
            layout: Layout::default(),
            configuration_set: None,
        }
    }

    /// The same with a configuration set of SES, through which it reports bounces and complaints.
    #[must_use]
    pub fn with_configuration_set(self, configuration_set: Option<String>) -> Self {
        Self {
            configuration_set,
            ..self
        }
    }

    /// The same with mails that look otherwise.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Sends a mail of an organisation, which what is reported of it names again.
    async fn send(&self, organisation_id: &str, mail: Mail) -> Result<(), NotSent> {
        let sender = self.sender.as_ref().ok_or(NotSent::NoSender)?;
        let content = |text: String| {
            let content = Content::builder().data(text).charset("UTF-8").build();
            content.map_err(|error| NotSent::Refused(error.into()))
        };
        let body = Body::builder()
            .text(content(mail.text)?)
            .html(content(mail.html)?);
        let message = Message::builder()
            .subject(content(mail.subject)?)
            .body(body.build());
        let organisation = MessageTag::builder()
            .name(ORGANISATION_TAG)
            .value(organisation_id)
            .build();
        let call = self
            .ses
            .send_email()
            .source(sender)
            .set_configuration_set_name(self.configuration_set.clone())
            .tags(organisation.map_err(|error| NotSent::Refused(error.into()))?)
            .destination(Destination::builder().to_addresses(mail.to).build())
            .message(message.build());
        let sent = call.send().await;
        sent.map_err(|error| NotSent::Refused(error.into()))?;
        Ok(())
    }
}

/// Puts a letter into its box and looks into it in a minute, when others may have come. Where nothing is sent to its address, it is
/// kept as such.
pub(super) async fn post(
    app: &App,
    organisation_id: &str,
    letter: PendingEmail,
) -> Result<RecipientStatus, Failure> {
    let mailbox = address_digest(&letter.email);
    let suppression = app.store.suppression(organisation_id, &mailbox).await?;
    if suppression.is_some() {
        let status = EmailStatus::Suppressed;
        let letter = PendingEmail { status, ..letter };
        app.store.add_email(organisation_id, &letter).await?;
        return Ok(RecipientStatus::Suppressed);
    }
    app.store.add_email(organisation_id, &letter).await?;
    look_later(app, organisation_id, mailbox, 0, JOIN_SECONDS).await?;
    Ok(RecipientStatus::Delivering)
}

async fn look_later(
    app: &App,
    organisation_id: &str,
    mailbox: String,
    attempt: usize,
    seconds: i64,
) -> Result<(), Failure> {
    let now = app.clock.now();
    let delay = SignedDuration::from_secs(seconds);
    let message = NoticeMessage::Mailbox {
        organisation_id: organisation_id.to_owned(),
        mailbox,
        attempt,
        due_at: now.saturating_add(delay).unwrap_or(now),
    };
    let delay = Duration::try_from(delay).unwrap_or_default();
    Ok(app.notices.queue_later(&message, delay).await?)
}

/// Sends what waits in a box as one mail. Where that fails it is tried again later and later, and given up after a day.
pub(super) async fn send(
    app: &App,
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    due_at: Timestamp,
) -> Result<(), Failure> {
    let now = app.clock.now();
    if due_at > now {
        let left = Duration::try_from(due_at.duration_since(now)).unwrap_or_default();
        let message = NoticeMessage::Mailbox {
            organisation_id: organisation_id.to_owned(),
            mailbox: mailbox.to_owned(),
            attempt,
            due_at,
        };
        return Ok(app.notices.queue_later(&message, left).await?);
    }
    let until = SignedDuration::from_secs(LEASE_SECONDS);
    let until = now.saturating_add(until).unwrap_or(now);
    let has_lease = app
        .store
        .lease_recipient_queue(organisation_id, mailbox, now, until)
        .await?;
    if !has_lease {
        // Somebody sends these letters at this moment, or was stopped while they did.
        let attempt = attempt.max(1);
        return look_later(
            app,
            organisation_id,
            mailbox.to_owned(),
            attempt,
            LEASE_SECONDS,
        )
        .await;
    }
    let letters = app
        .store
        .pending_emails(organisation_id, mailbox, MAX_EMAILS)
        .await?;
    let Some(mail) = compose(&letters, &app.mailer.layout, app.mailer.console.as_deref()) else {
        return Ok(app
            .store
            .release_recipient_queue(organisation_id, mailbox)
            .await?);
    };
    // It may have bounced while these waited.
    let suppression = app.store.suppression(organisation_id, mailbox).await?;
    let sent = match suppression {
        Some(_) => Ok(EmailStatus::Suppressed),
        None => {
            let sent = app.mailer.send(organisation_id, mail).await;
            sent.map(|()| EmailStatus::Sent)
        }
    };
    let error = match sent {
        Err(error) => error,
        Ok(status) => {
            tracing::info!(letters = letters.len(), ?status, "a mail is done");
            if status == EmailStatus::Sent {
                logs::count(&[(Metric::MailsSent, 1)]);
            }
            app.store
                .finish_emails(organisation_id, mailbox, &letters, status, None)
                .await?;
            if letters.len() == MAX_EMAILS {
                // There may be more.
                look_later(app, organisation_id, mailbox.to_owned(), 0, 0).await?;
            }
            return Ok(());
        }
    };
    report(ErrorType::MailNotSent, "a mail was not sent", &error);
    if let Some(seconds) = retry_delay(attempt) {
        app.store
            .release_recipient_queue(organisation_id, mailbox)
            .await?;
        return look_later(
            app,
            organisation_id,
            mailbox.to_owned(),
            attempt + 1,
            seconds,
        )
        .await;
    }
    // Those that came later have looks of their own.
    let day = SignedDuration::from_hours(GIVEN_UP_HOURS);
    let is_old = |letter: &PendingEmail| now.duration_since(letter.created_at) >= day;
    let letters: Vec<PendingEmail> = letters.into_iter().filter(is_old).collect();
    let Some(opened) = given_up(&letters, mailbox, now) else {
        return Ok(app
            .store
            .release_recipient_queue(organisation_id, mailbox)
            .await?);
    };
    let message = NoticeMessage::Mailbox {
        organisation_id: organisation_id.to_owned(),
        mailbox: mailbox.to_owned(),
        attempt: 0,
        due_at: now,
    };
    app.given_up.queue(&message).await?;
    let status = EmailStatus::Failed;
    app.store
        .finish_emails(organisation_id, mailbox, &letters, status, Some(&opened))
        .await?;
    app.notices
        .tell_or_leave(organisation_id, &opened.notice.id)
        .await;
    Ok(())
}

/// The incident of letters that were given up, and its notice. Their ids are the first letter's and the box's, so that it is opened once. No mail
/// tells of it: mails are what fails.
fn given_up(letters: &[PendingEmail], mailbox: &str, now: Timestamp) -> Option<Opened> {
    let first = letters.first()?;
    let suffix = first
        .notice_id
        .strip_prefix("ntc_")
        .unwrap_or(&first.notice_id);
    // Several boxes may give the same notice up.
    let of: String = mailbox.chars().take(8).collect();
    let notices: Vec<&str> = letters.iter().map(|l| l.notice_id.as_str()).collect();
    let title = "A mail could not be sent".to_owned();
    let message = format!(
        "A mail to {} was given up after a day. Look whether the address is right and the sender is verified.",
        first.name
    );
    let metadata = json!({ "notice_ids": notices });
    let id = format!("inc_{suffix}-mail-{of}");
    let incident = Incident::opened(id, Severity::Medium, [title, message], metadata, now);
    let notice = incident.notice(format!("ntc_{suffix}-mail-{of}"), Cause::Mail, Vec::new());
    Some(Opened { incident, notice })
}
