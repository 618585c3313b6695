//! Applies the reports of the mail service: an address that bounces for good, or whose reader
//! complains, gets no further mails.

use super::{App, Failure};
use shared::domain::notice::Address;
use shared::domain::notice::feedback::Feedback;
use shared::domain::notice::incident::{Cause, Opened};
use shared::domain::notice::suppression::Suppression;
use shared::runtime::logs::{self, Metric};
use shared::store::{address_digest, new_id};

/// Stops the mails to the addresses of a report, and opens one incident for each.
pub(super) async fn apply_feedback(app: &App, feedback: &Feedback) -> Result<(), Failure> {
    for email in &feedback.emails {
        suppress(app, feedback, email).await?;
    }
    Ok(())
}

async fn suppress(app: &App, feedback: &Feedback, email: &str) -> Result<(), Failure> {
    let organisation_id = &feedback.organisation_id;
    let now = app.clock.now();
    let suppression = Suppression {
        email: email.to_owned(),
        reason: feedback.reason,
        since: now,
        detail: feedback.detail.clone(),
    };
    let because = "you are an administrator";
    let mut recipients = app
        .store
        .administrator_recipients(organisation_id, because)
        .await?;
    // This notice does not go to the address either.
    recipients.retain(|recipient| match &recipient.address {
        Address::Mail { email: known, .. } => address_digest(known) != address_digest(email),
        Address::Webhook { .. } => true,
    });
    let incident = suppression.incident(new_id("inc_", now, 0)?);
    let notice = incident.notice(new_id("ntc_", now, 0)?, Cause::Suppression, recipients);
    let opened = Opened { incident, notice };
    let is_new = app
        .store
        .suppress(organisation_id, &feedback.id, &suppression, &opened)
        .await?;
    if is_new {
        let incident_id = opened.incident.id.as_str();
        tracing::warn!(incident_id, reason = ?feedback.reason, "an address gets no further mails");
        logs::count(&[(Metric::MailsBounced, 1)]);
        app.notices
            .tell_or_leave(organisation_id, &opened.notice.id)
            .await;
    }
    Ok(())
}
