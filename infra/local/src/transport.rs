//! HTTP for the official SDKs without a socket: requests are answered in this process.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use tokio::sync::oneshot;

use crate::fault::{Fault, FaultKind, FaultPlan, When};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// A service that speaks AWS JSON 1.0.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// The prefix of the operation in `x-amz-target`.
    const TARGET_PREFIX: &'static str;

    /// Returns when a request may be answered: at once, unless it is stopped.
    fn pass(&self, _operation: &str, _body: &str) -> impl Future<Output = Pass> + Send {
        std::future::ready(Pass::Answered)
    }

    /// Answers one request. `operation` is empty if the target names another service.
    fn serve(&self, operation: &str, body: &str) -> impl Future<Output = Reply> + Send;

    /// Whether an operation may change anything.
    fn writes(_operation: &str) -> bool {
        true
    }

    /// The answer of a fault. None if this operation cannot fail that way.
    fn failure(kind: FaultKind, operation: &str, body: &str) -> Option<Reply>;

    /// The faults planned for this service's clients.
    fn faults(&self) -> &FaultPlan;
}

/// How a request continues.
#[derive(Debug)]
pub(crate) enum Pass {
    Answered,
    /// It takes effect, and its answer is lost. The channel closes when it has taken effect.
    Unanswered(oneshot::Sender<()>),
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The header `x-amzn-query-error`, in which SQS names its errors.
    pub(crate) query_error: Option<String>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            query_error: None,
        }
    }

    fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        let mut response = http::Response::builder()
            .status(self.status)
            .header("content-type", CONTENT_TYPE)
            .header("x-amzn-requestid", request_id());
        if let Some(error) = self.query_error {
            response = response.header("x-amzn-query-error", error);
        }
        let response = response
            .body(SdkBody::from(self.body))
            .map_err(|error| ConnectorError::other(error.into(), None))?;
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// The HTTP client through which an SDK reaches `service`.
pub(crate) fn http_client(service: impl Service) -> SharedHttpClient {
    SharedHttpClient::new(InProcess(service))
}

/// Returns 64 bits that differ between calls and between processes.
pub(crate) fn random_bits() -> u64 {
    RandomState::new().hash_one(std::time::SystemTime::now())
}

#[derive(Clone)]
struct InProcess<S>(S);

impl<S> fmt::Debug for InProcess<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl<S: Service> HttpClient for InProcess<S> {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<S: Service> HttpConnector for InProcess<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.0.clone();
        HttpConnectorFuture::new(async move { answer(&service, &request).await })
    }
}

async fn answer<S: Service>(
    service: &S,
    request: &HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let operation = request
        .headers()
        .get("x-amz-target")
        .and_then(|target| target.strip_prefix(S::TARGET_PREFIX))
        .unwrap_or_default();
    let body = request.body().bytes().unwrap_or_default();
    let body = std::str::from_utf8(body).map_err(|error| ConnectorError::user(error.into()))?;

    tokio::task::yield_now().await;
    if let Pass::Unanswered(applied) = service.pass(operation, body).await {
        service.serve(operation, body).await;
        drop(applied);
        return std::future::pending().await;
    }

    let fault = service.faults().next_call(S::writes(operation));
    if let Some(Fault {
        kind: FaultKind::Silence,
        when,
        ..
    }) = fault
    {
        service.faults().record_fired();
        if when == When::After {
            service.serve(operation, body).await;
        }
        return std::future::pending().await;
    }
    if let Some(Fault {
        kind: FaultKind::Late(by),
        when,
        ..
    }) = fault
    {
        service.faults().record_fired();
        return late(service, operation, body, (by, when))
            .await
            .into_response();
    }
    let failure = fault.and_then(|fault| {
        let answer = fault_answer::<S>(fault, operation, body)?;
        service.faults().record_fired();
        Some((fault.when, answer))
    });
    match failure {
        None => service.serve(operation, body).await.into_response(),
        Some((When::Before, answer)) => answer.and_then(Reply::into_response),
        Some((When::After, answer)) => {
            service.serve(operation, body).await;
            answer.and_then(Reply::into_response)
        }
    }
}

/// Answers after a time, before which or after which the operation is applied.
async fn late<S: Service>(
    service: &S,
    operation: &str,
    body: &str,
    (by, when): (Duration, When),
) -> Reply {
    if when == When::Before {
        tokio::time::sleep(by).await;
        return service.serve(operation, body).await;
    }
    let reply = service.serve(operation, body).await;
    tokio::time::sleep(by).await;
    reply
}

fn fault_answer<S: Service>(
    fault: Fault,
    operation: &str,
    body: &str,
) -> Option<Result<Reply, ConnectorError>> {
    if fault.kind == FaultKind::ConnectionReset {
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer");
        return Some(Err(ConnectorError::io(reset.into())));
    }
    S::failure(fault.kind, operation, body).map(Ok)
}

fn request_id() -> String {
    format!(
        "{:016X}{:016X}{:016X}{:04X}",
        random_bits(),
        random_bits(),
        random_bits(),
        random_bits() & 0xFFFF
    )
}
