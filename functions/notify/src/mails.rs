//! Letters become mails: those that wait for one address are sent together.
//!
//! The mail service cannot be asked whether it took a mail. Where the function is stopped between its answer and keeping it, the
//! mail comes a second time; it is never lost.

use super::{App, Failure};
use aws_sdk_ses::types::{Body, Content, Destination, Message};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::alert::{AlertStatus, Severity};
use shared::domain::incident::Incident;
use shared::domain::mail::{
    JOIN_SECONDS, Letter, LetterStatus, MAX_LETTERS, Mail, compose, retry_delay,
};
use shared::domain::notice::{NoticeMessage, RecipientStatus};
use shared::runtime::error::log_chain;
use shared::store::mailbox_of;
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
        }
    }

    async fn send(&self, mail: Mail) -> Result<(), NotSent> {
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
        let call = self
            .ses
            .send_email()
            .source(sender)
            .destination(Destination::builder().to_addresses(mail.to).build())
            .message(message.build());
        let sent = call.send().await;
        sent.map_err(|error| NotSent::Refused(error.into()))?;
        Ok(())
    }
}

/// Puts a letter into its box and looks into it in a minute, when others may have come.
pub(super) async fn post(
    app: &App,
    organisation_id: &str,
    letter: &Letter,
) -> Result<RecipientStatus, Failure> {
    app.store.add_letter(organisation_id, letter).await?;
    let mailbox = mailbox_of(&letter.email);
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
        .lease_mailbox(organisation_id, mailbox, now, until)
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
        .waiting_letters(organisation_id, mailbox, MAX_LETTERS)
        .await?;
    let Some(mail) = compose(&letters, app.mailer.console.as_deref()) else {
        return Ok(app.store.release_mailbox(organisation_id, mailbox).await?);
    };
    let Err(error) = app.mailer.send(mail).await else {
        tracing::info!(letters = letters.len(), "sent a mail");
        let status = LetterStatus::Sent;
        app.store
            .end_letters(organisation_id, mailbox, &letters, status, None)
            .await?;
        if letters.len() == MAX_LETTERS {
            // There may be more.
            look_later(app, organisation_id, mailbox.to_owned(), 0, 0).await?;
        }
        return Ok(());
    };
    log_chain("a mail was not sent", &error);
    if let Some(seconds) = retry_delay(attempt) {
        app.store.release_mailbox(organisation_id, mailbox).await?;
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
    let is_old = |letter: &Letter| now.duration_since(letter.created_at) >= day;
    let letters: Vec<Letter> = letters.into_iter().filter(is_old).collect();
    let Some(incident) = given_up(&letters, now) else {
        return Ok(app.store.release_mailbox(organisation_id, mailbox).await?);
    };
    let message = NoticeMessage::Mailbox {
        organisation_id: organisation_id.to_owned(),
        mailbox: mailbox.to_owned(),
        attempt: 0,
        due_at: now,
    };
    app.given_up.queue(&message).await?;
    let status = LetterStatus::Failed;
    Ok(app
        .store
        .end_letters(organisation_id, mailbox, &letters, status, Some(&incident))
        .await?)
}

/// The incident of letters that were given up; its id is the first one's, so that it is opened once.
fn given_up(letters: &[Letter], now: Timestamp) -> Option<Incident> {
    let first = letters.first()?;
    let suffix = first
        .notice_id
        .strip_prefix("ntc_")
        .unwrap_or(&first.notice_id);
    let notices: Vec<&str> = letters.iter().map(|l| l.notice_id.as_str()).collect();
    Some(Incident {
        id: format!("inc_{suffix}-mail"),
        severity: Severity::Medium,
        status: AlertStatus::Open,
        title: "A mail could not be sent".to_owned(),
        message: format!(
            "A mail to {} was given up after a day. Look whether the address is right and the sender is verified.",
            first.name
        ),
        user_id: None,
        department_id: None,
        policy_id: None,
        event_id: None,
        alert_id: None,
        metadata: json!({ "notice_ids": notices }),
        notes: Vec::new(),
        created_at: now,
        updated_at: now,
        resolved_at: None,
    })
}
