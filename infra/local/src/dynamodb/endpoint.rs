//! Another DynamoDB over HTTP, on which the suites run if the environment names one.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::transport::{Reply, random_bits};

/// The variable that names the endpoint, such as `http://127.0.0.1:4566`. The endpoint must
/// separate the tables of access keys, as ministack does, and DynamoDB Local without `-sharedDb`.
const VARIABLE: &str = "TOKTRA_DYNAMODB_ENDPOINT";

/// The endpoint with its own access key: 12 digits, which emulators take for an account.
#[derive(Clone)]
pub(super) struct Endpoint {
    http: reqwest::Client,
    url: String,
    account: String,
}

impl Endpoint {
    /// Reads the endpoint from the environment. The same directory gives the same tables again.
    pub(super) fn from_env(dir: Option<&Path>) -> Option<Self> {
        let url = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty())?;
        let bits = match dir {
            Some(dir) => BuildHasherDefault::<DefaultHasher>::default().hash_one(dir),
            None => random_bits(),
        };
        Some(Self {
            http: reqwest::Client::new(),
            url,
            account: format!("{:012}", bits % 1_000_000_000_000),
        })
    }

    /// Forwards one call. Emulators read the access key and ignore the signature.
    pub(super) async fn call(&self, target: &str, body: &str) -> io::Result<Reply> {
        let account = &self.account;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let request = self
            .http
            .post(&self.url)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", authorization)
            .body(body.to_owned());
        let answered = runtime()?.spawn(async move {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>(Reply::new(status, answer.text().await?))
        });
        answered
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)
    }
}

/// The runtime of the connections. They must outlive the test that opens them, and must not wait
/// for its other calls.
fn runtime() -> Result<&'static Runtime, io::Error> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build()
    });
    made.as_ref()
        .map_err(|error| io::Error::other(error.to_string()))
}
