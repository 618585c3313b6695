//! Sends letters as mails. The letters that wait for one address are sent together.
//!
//! The mail service cannot tell later whether it took a mail. If the function stops between the
//! service's answer and storing it, the mail is sent a second time; it is never lost.

use super::{App, Failure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::notice::alert::Severity;
use shared::domain::notice::incident::{Cause, Incident, Opened};
use shared::domain::notice::mail::{
    EmailStatus, JOIN_SECONDS, MAX_EMAILS, PendingEmail, compose, retry_delay,
};
use shared::domain::notice::{NoticeMessage, RecipientStatus};
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::address_digest;
use std::time::Duration;

/// The least age of a letter that is given up, in hours. Its own looks take a little longer.
const GIVEN_UP_HOURS: i64 = 20;
/// How long a sender leases a mailbox, in seconds. Sending takes less.
const LEASE_SECONDS: i64 = 60;

/// Stores a letter and looks into its mailbox in a minute, when others may have come. If the
/// address is suppressed, the letter is stored as suppressed.
pub(super) async fn add(
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
    look_later(app, organisation_id, &mailbox, 0, JOIN_SECONDS).await?;
    Ok(RecipientStatus::Delivering)
}

async fn look_later(
    app: &App,
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    seconds: i64,
) -> Result<(), Failure> {
    let now = app.clock.now();
    let delay = SignedDuration::from_secs(seconds);
    let due_at = now.saturating_add(delay).unwrap_or(now);
    look_at(app, organisation_id, mailbox, attempt, due_at).await
}

/// Queues a look into a mailbox for `due_at`.
async fn look_at(
    app: &App,
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    due_at: Timestamp,
) -> Result<(), Failure> {
    let delay = Duration::try_from(due_at.duration_since(app.clock.now())).unwrap_or_default();
    let message = message(organisation_id, mailbox, attempt, due_at);
    Ok(app.notices.queue_later(&message, delay).await?)
}

fn message(
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    due_at: Timestamp,
) -> NoticeMessage {
    NoticeMessage::Mailbox {
        organisation_id: organisation_id.to_owned(),
        mailbox: mailbox.to_owned(),
        attempt,
        due_at,
    }
}

/// Sends the waiting letters of a mailbox as one mail. If that fails, it is tried again, less and
/// less often, and given up after a day.
pub(super) async fn send(
    app: &App,
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    due_at: Timestamp,
) -> Result<(), Failure> {
    let now = app.clock.now();
    if due_at > now {
        return look_at(app, organisation_id, mailbox, attempt, due_at).await;
    }
    let until = SignedDuration::from_secs(LEASE_SECONDS);
    let until = now.saturating_add(until).unwrap_or(now);
    let has_lease = app
        .store
        .lease_recipient_queue(organisation_id, mailbox, now, until)
        .await?;
    if !has_lease {
        // Another function is sending these letters, or was stopped while it did.
        let attempt = attempt.max(1);
        return look_later(app, organisation_id, mailbox, attempt, LEASE_SECONDS).await;
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
    // The address may have bounced while these letters waited.
    let suppression = app.store.suppression(organisation_id, mailbox).await?;
    let status = match suppression {
        Some(_) => EmailStatus::Suppressed,
        None => match app.mailer.send(organisation_id, mail).await {
            Ok(()) => EmailStatus::Sent,
            Err(error) => {
                report(ErrorType::MailNotSent, "a mail was not sent", &error);
                return fail(app, organisation_id, mailbox, attempt, letters).await;
            }
        },
    };
    tracing::info!(letters = letters.len(), ?status, "a mail is done");
    if status == EmailStatus::Sent {
        logs::count(&[(Metric::MailsSent, 1)]);
    }
    app.store
        .finish_emails(organisation_id, mailbox, &letters, status, None)
        .await?;
    if letters.len() == MAX_EMAILS {
        // There may be more.
        look_later(app, organisation_id, mailbox, 0, 0).await?;
    }
    Ok(())
}

/// Queues the next look after a mail that was not sent. If it was the last, the old letters are
/// given up.
async fn fail(
    app: &App,
    organisation_id: &str,
    mailbox: &str,
    attempt: usize,
    letters: Vec<PendingEmail>,
) -> Result<(), Failure> {
    let now = app.clock.now();
    if let Some(seconds) = retry_delay(attempt) {
        app.store
            .release_recipient_queue(organisation_id, mailbox)
            .await?;
        return look_later(app, organisation_id, mailbox, attempt + 1, seconds).await;
    }
    // Younger letters have looks of their own.
    let day = SignedDuration::from_hours(GIVEN_UP_HOURS);
    let is_old = |letter: &PendingEmail| now.duration_since(letter.created_at) >= day;
    let letters: Vec<PendingEmail> = letters.into_iter().filter(is_old).collect();
    let Some(opened) = given_up(&letters, mailbox, now) else {
        return Ok(app
            .store
            .release_recipient_queue(organisation_id, mailbox)
            .await?);
    };
    let message = message(organisation_id, mailbox, 0, now);
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

/// Returns the incident about letters that were given up, and its notice. The ids are made of the
/// first letter's id and the mailbox, so that the incident is opened once. Nobody gets a mail about
/// it, because mails are what fails.
fn given_up(letters: &[PendingEmail], mailbox: &str, now: Timestamp) -> Option<Opened> {
    let first = letters.first()?;
    let suffix = first
        .notice_id
        .strip_prefix("ntc_")
        .unwrap_or(&first.notice_id);
    // Several mailboxes may give up the same notice.
    let of: String = mailbox.chars().take(8).collect();
    let notices: Vec<&str> = letters.iter().map(|l| l.notice_id.as_str()).collect();
    let title = "A mail could not be sent".to_owned();
    let message = format!(
        "A mail to {} was given up after a day. Check that the address is right and the sender is \
         verified.",
        first.name
    );
    let metadata = json!({ "notice_ids": notices });
    let id = format!("inc_{suffix}-mail-{of}");
    let incident = Incident::opened(id, Severity::Medium, [title, message], metadata, now);
    let notice = incident.notice(format!("ntc_{suffix}-mail-{of}"), Cause::Mail, Vec::new());
    Some(Opened { incident, notice })
}
