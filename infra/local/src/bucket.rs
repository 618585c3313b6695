//! S3 in this process: a bucket for the official SDK, whose objects cannot be overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use crate::permissions::{Permission, PermissionLog};

/// The most objects that the bucket keeps.
const MAX_REMEMBERED: usize = 1_000;

/// The bucket. Clones share its objects.
#[derive(Clone, Debug, Default)]
pub struct LocalBucket {
    objects: Arc<Mutex<BTreeMap<String, String>>>,
    is_down: Arc<AtomicBool>,
    used: PermissionLog,
    /// The function that owns the client of this clone.
    caller: &'static str,
}

impl LocalBucket {
    /// The objects by name.
    pub fn objects(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// Lets every call fail, or stops that.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
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

    fn record_permission(&self, request: &HttpRequest) {
        let action = match request.method() {
            "PUT" => "s3:PutObject".to_owned(),
            "GET" | "HEAD" => "s3:GetObject".to_owned(),
            "DELETE" => "s3:DeleteObject".to_owned(),
            other => format!("s3:{other}"),
        };
        let uri = request.uri().parse::<http::Uri>();
        let host = uri.ok().and_then(|uri| uri.host().map(str::to_owned));
        // The first label of the host is the name of the bucket.
        let host = host.unwrap_or_default();
        let name = host.split('.').next().unwrap_or_default().to_owned();
        self.used.record(Permission::new(self.caller, action, name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object if none of its name exists. Returns the HTTP status.
    fn put(&self, request: &HttpRequest) -> u16 {
        if self.is_down.load(Ordering::SeqCst) {
            return 503;
        }
        let only_new = request.headers().get("if-none-match") == Some("*");
        let text = request.body().bytes().map(<[u8]>::to_vec);
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let name = request.uri().parse::<http::Uri>();
        let (Some(text), Ok(name), "PUT", true) = (text, name, request.method(), only_new) else {
            return 501;
        };
        let name = name.path().trim_start_matches('/').to_owned();
        let mut objects = self.lock();
        if objects.contains_key(&name) {
            return 412;
        }
        if objects.len() < MAX_REMEMBERED {
            objects.insert(name, text);
        }
        200
    }
}

impl HttpClient for LocalBucket {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for LocalBucket {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.record_permission(&request);
        let status = self.put(&request);
        let answer = http::Response::builder()
            .status(status)
            .header("x-amz-request-id", "local")
            .body(SdkBody::empty())
            .map_err(|error| ConnectorError::other(error.into(), None))
            .and_then(|answer| {
                HttpResponse::try_from(answer)
                    .map_err(|error| ConnectorError::other(error.into(), None))
            });
        HttpConnectorFuture::ready(answer)
    }
}
