//! Sends mails through SES.

use aws_sdk_ses::types::{Body, Content, Destination, Message, MessageTag};
use shared::domain::notice::feedback::ORGANISATION_TAG;
use shared::domain::notice::mail::Mail;
use shared::domain::notice::mail_layout::Layout;
use std::error::Error;

/// Sends mails through SES.
#[derive(Clone, Debug)]
pub struct Mailer {
    ses: aws_sdk_ses::Client,
    sender: Option<String>,
    pub(super) console: Option<String>,
    pub(super) layout: Layout,
    configuration_set: Option<String>,
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error("no sender is configured")]
    NoSender,
    #[error("the mail service did not take it")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl Mailer {
    /// Creates a mailer that sends as `sender`. Links in its mails lead to `console`. If there is
    /// no sender, every mail fails.
    pub fn new(ses: aws_sdk_ses::Client, sender: Option<String>, console: Option<String>) -> Self {
        Self {
            ses,
            sender,
            console,
            layout: Layout::default(),
            configuration_set: None,
        }
    }

    /// Sets the configuration set of SES, through which SES reports bounces and complaints.
    #[must_use]
    pub fn with_configuration_set(self, configuration_set: Option<String>) -> Self {
        Self {
            configuration_set,
            ..self
        }
    }

    /// Sets the layout of the mails.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Sends a mail of an organisation. The tag lets a report about the mail name the organisation.
    pub(super) async fn send(&self, organisation_id: &str, mail: Mail) -> Result<(), NotSent> {
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
