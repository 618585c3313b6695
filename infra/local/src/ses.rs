//! SES in this process: the mails that the official SDK was asked to send.

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

use crate::permissions::{Permission, PermissionLog};

const MAX_TAGS: usize = 10;
const NAMESPACE: &str = "http://ses.amazonaws.com/doc/2010-12-01/";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentMail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The time by the clock of the functions.
    pub sent_at: Timestamp,
    /// The tags, which SES repeats in its reports about the mail.
    pub tags: BTreeMap<String, String>,
    pub configuration_set: String,
}

#[derive(Debug, Default)]
struct State {
    sent: Vec<SentMail>,
    refusals: u32,
}

/// The mail service. Clones share the mails.
#[derive(Clone, Debug)]
pub struct Mails {
    state: Arc<Mutex<State>>,
    clock: Clock,
    used: PermissionLog,
    /// The function that owns the client of this clone.
    caller: &'static str,
}

impl Mails {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            state: Arc::default(),
            clock,
            used: PermissionLog::default(),
            caller: "other",
        }
    }

    /// The sent mails, oldest first.
    pub fn sent(&self) -> Vec<SentMail> {
        self.state().sent.clone()
    }

    /// Refuses the next `count` mails.
    pub fn refuse(&self, count: u32) {
        self.state().refusals = count;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the permissions that each function used.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        self.used.all()
    }

    pub(crate) fn http_client_of(&self, caller: &'static str) -> SharedHttpClient {
        SharedHttpClient::new(Self {
            caller,
            ..self.clone()
        })
    }

    /// Answers one request, `SendEmail` of the AWS Query protocol.
    fn answer(&self, form: &str) -> (u16, String) {
        let refused = |code: &str| {
            let body = format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>refused</Message></Error>\
                 <RequestId>local</RequestId></ErrorResponse>"
            );
            (400, body)
        };
        let pairs = form_pairs(form);
        let field = |name: &str| {
            let found = pairs.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let action = field("Action");
        // SES checks the sender and the configuration set. The sender is an identity of its own,
        // or its domain is one, or both are: then the address is checked.
        let source = field("Source");
        let domain = source.split('@').next_back().unwrap_or_default().to_owned();
        for (kind, name) in [
            ("identity", source),
            ("identity", domain),
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
            "<SendEmailResponse xmlns=\"{NAMESPACE}\"><SendEmailResult>\
             <MessageId>local-{id}</MessageId></SendEmailResult><ResponseMetadata>\
             <RequestId>local</RequestId></ResponseMetadata></SendEmailResponse>"
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
