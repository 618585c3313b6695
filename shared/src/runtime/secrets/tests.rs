//! Secrets as they are read, kept and rotated, on a Secrets Manager in this process.

use super::*;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tokio::time::advance;

/// The values of the secret `key`, the newest first, and what was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manager(Arc<Mutex<(Vec<String>, Vec<String>)>>);

impl Manager {
    pub(crate) fn with(values: &[&str]) -> Self {
        let manager = Self::default();
        for value in values {
            manager.rotate(value);
        }
        manager
    }

    pub(crate) fn rotate(&self, value: &str) {
        self.0.lock().unwrap().0.insert(0, value.to_owned());
    }

    fn forget(&self) {
        self.0.lock().unwrap().0.clear();
    }

    /// The stages that were asked for since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    pub(crate) fn secret(&self) -> Secret {
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(credentials())
            .http_client(self.clone())
            .build();
        Secret::new(&SecretReader::new(&aws), "key")
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
        assert_eq!(header("x-amz-target"), "secretsmanager.GetSecretValue");
        assert!(header("authorization").contains("/eu-central-1/secretsmanager/aws4_request"));
        assert!(
            request
                .uri()
                .starts_with("https://secretsmanager.eu-central-1.amazonaws.com")
        );
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        assert_eq!(body["SecretId"], "key");
        let stage = body["VersionStage"].as_str().unwrap().to_owned();
        let mut of = self.0.lock().unwrap();
        let value = of.0.get(usize::from(stage == "AWSPREVIOUS")).cloned();
        of.1.push(stage);
        let (status, answer) = match (value, of.0.is_empty()) {
            (Some(value), _) => (200, json!({ "SecretString": value })),
            (None, false) => (400, json!({"__type": "ResourceNotFoundException"})),
            (None, true) => (400, json!({"__type": "AccessDeniedException"})),
        };
        let status = u16::try_from(status).unwrap().try_into().unwrap();
        HttpResponse::new(status, SdkBody::from(answer.to_string()))
    }
}

fn credentials() -> aws_sdk_dynamodb::config::SharedCredentialsProvider {
    let of_test = aws_sdk_dynamodb::config::Credentials::new("a", "b", None, None, "test");
    aws_sdk_dynamodb::config::SharedCredentialsProvider::new(of_test)
}

impl HttpClient for Manager {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Manager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(self.answer(&request)))
    }
}

fn values(versions: &Versions) -> Vec<&str> {
    versions.all().collect()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_read_once_in_five_minutes() {
    let manager = Manager::with(&["one"]);
    let secret = manager.secret();
    for _ in 0..3 {
        assert_eq!(values(&secret.versions().await.unwrap()), ["one"]);
    }
    manager.rotate("two");
    advance(FRESH - Duration::from_secs(1)).await;
    assert_eq!(secret.versions().await.unwrap().current(), "one");
    assert_eq!(manager.asked(), ["AWSCURRENT"]);
    advance(Duration::from_secs(1)).await;
    assert_eq!(values(&secret.versions().await.unwrap()), ["two"]);
    assert_eq!(manager.asked(), ["AWSCURRENT"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_looked_for_once_in_half_a_minute() {
    let manager = Manager::with(&["one"]);
    let secret = manager.secret();
    let known = secret.versions().await.unwrap();
    assert_eq!(secret.others(&known).await, None, "nothing was rotated");
    manager.rotate("two");
    assert_eq!(
        secret.others(&known).await,
        None,
        "it was looked for just now"
    );
    advance(PAUSE).await;
    let newer = secret.others(&known).await.unwrap();
    assert_eq!(values(&newer), ["two", "one"]);
    assert_eq!(
        values(&secret.others(&known).await.unwrap()),
        ["two", "one"],
        "it is known"
    );
    assert_eq!(manager.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn after_two_rotations_only_the_last_two_values_are_known() {
    let manager = Manager::with(&["one", "two"]);
    let secret = manager.secret();
    let known = secret.versions().await.unwrap();
    assert_eq!(
        values(&secret.others(&known).await.unwrap()),
        ["two", "one"]
    );
    manager.rotate("three");
    manager.rotate("four");
    advance(FRESH).await;
    let known = secret.versions().await.unwrap();
    assert_eq!(values(&known), ["four"]);
    assert_eq!(
        values(&secret.others(&known).await.unwrap()),
        ["four", "three"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_in_use_while_nothing_can_be_read() {
    let manager = Manager::with(&["one"]);
    let secret = manager.secret();
    secret.versions().await.unwrap();
    manager.forget();
    advance(FRESH * 10).await;
    for _ in 0..3 {
        assert_eq!(secret.versions().await.unwrap().current(), "one");
    }
    assert_eq!(
        manager.asked().len(),
        2,
        "it is tried once in half a minute"
    );
    manager.rotate("two");
    advance(PAUSE).await;
    assert_eq!(secret.versions().await.unwrap().current(), "two");
    let unread = Manager::default().secret().versions().await;
    assert!(matches!(unread, Err(Unread::Unavailable(_))), "{unread:?}");
}
