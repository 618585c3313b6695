//! Mails that never leave this machine: SES as the official SDK calls it, and what it was asked to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use serde::Serialize;
use shared::runtime::clock::Clock;
use shared::runtime::list::form_pairs;

use crate::permissions::{Permission, Used};

/// The most tags of a mail.
const MAX_TAGS: usize = 10;

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentMail {
    /// To whom.
    pub to: String,
    /// One line.
    pub subject: String,
    /// In plain text.
    pub text: String,
    /// The same words with markup.
    pub html: String,
    /// When, by the clock of every function.
    pub sent_at: Timestamp,
    /// What the mail service names again where it reports of the mail.
    pub tags: BTreeMap<String, String>,
    /// Through which the mail service reports of it.
    pub configuration_set: String,
}

#[derive(Debug, Default)]
struct State {
    sent: Vec<SentMail>,
    refusals: u32,
}

/// The mail service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Mails {
    state: Arc<Mutex<State>>,
    clock: Clock,
    used: Used,
    /// The function that calls with a client of this clone.
    caller: &'static str,
}

impl Mails {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            state: Arc::default(),
            clock,
            used: Used::default(),
            caller: "other",
        }
    }

    /// What was sent, the oldest first.
    pub fn sent(&self) -> Vec<SentMail> {
        self.state().sent.clone()
    }

    /// Lets so many of the next mails be refused.
    pub fn refuse(&self, count: u32) {
        self.state().refusals = count;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each function did, as the permissions that it needed.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
    }

    pub(crate) fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        SharedHttpClient::new(Self {
            caller,
            ..self.clone()
        })
    }

    /// Answers one request: `SendEmail` in the form of AWS Query.
    fn answer(&self, form: &str) -> (u16, String) {
        let refused = |code: &str| {
            let body = format!(
                "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>refused</Message></Error><RequestId>local</RequestId></ErrorResponse>"
            );
            (400, body)
        };
        let pairs = form_pairs(form);
        let field = |name: &str| {
            let found = pairs.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let action = field("Action");
        // SES looks at both: whose mail it is, and through which set it is sent.
        for (kind, name) in [
            ("identity", field("Source")),
            ("configuration-set", field("ConfigurationSetName")),
        ] {
            if !name.is_empty() {
                let (action, resource) = (format!("ses:{action}"), format!("{kind}/{name}"));
                self.used
                    .record(Permission::new(self.caller, action, resource));
            }
        }
        if action != "SendEmail" {
            return refused("InvalidAction");
        }
        let mut state = self.state();
        if state.refusals > 0 {
            state.refusals -= 1;
            return refused("MessageRejected");
        }
        state.sent.push(SentMail {
            to: field("Destination.ToAddresses.member.1"),
            subject: field("Message.Subject.Data"),
            text: field("Message.Body.Text.Data"),
            html: field("Message.Body.Html.Data"),
            sent_at: self.clock.now(),
            tags: (1..=MAX_TAGS)
                .map(|n| {
                    let part = |name: &str| field(&format!("Tags.member.{n}.{name}"));
                    (part("Name"), part("Value"))
                })
                .filter(|(name, _)| !name.is_empty())
                .collect(),
            configuration_set: field("ConfigurationSetName"),
        });
        let id = state.sent.len();
        let body = format!(
            "<SendEmailResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><SendEmailResult><MessageId>local-{id}</MessageId>\
             </SendEmailResult><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></SendEmailResponse>"
        );
        (200, body)
    }
}

impl HttpClient for Mails {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Mails {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let (status, body) = self.answer(&String::from_utf8_lossy(body));
        HttpConnectorFuture::ready(response(status, body))
    }
}

fn response(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let response = http::Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .body(SdkBody::from(body))
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}
