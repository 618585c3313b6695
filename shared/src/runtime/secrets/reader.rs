//! The one call of Secrets Manager, on the runtime that every client of the SDK has. A generated
//! client beside it would not fit into the package of preflight.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use serde_json::{Value, json};

/// Which of a secret's values is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Current,
    Previous,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

#[derive(Debug)]
struct Asked {
    id: String,
    stage: Stage,
}

/// Secrets Manager refused the call.
#[derive(Debug, thiserror::Error)]
#[error("Secrets Manager answered {status} {kind}")]
pub(super) struct Refused {
    status: u16,
    kind: String,
}

/// Reads values of secrets. Clones share the connections.
#[derive(Clone, Debug)]
pub struct SecretReader(Operation<Asked, Option<String>, Refused>);

impl SecretReader {
    /// Creates a reader with the credentials, connections and patience of `aws`.
    pub fn new(aws: &SdkConfig) -> Self {
        let timeouts = aws.timeout_config().cloned();
        let retries = aws.retry_config().cloned();
        let mut builder = Operation::builder()
            .service_name("Secrets Manager")
            .operation_name("GetSecretValue")
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&endpoint(aws))
            .with_connection_poisoning()
            .timeout_config(timeouts.unwrap_or_else(TimeoutConfig::disabled))
            .standard_retry(&retries.unwrap_or_else(RetryConfig::standard))
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .runtime_plugin(signed(aws));
        if let Some(http) = aws.http_client() {
            builder = builder.http_client(http);
        }
        Self(builder.serializer(request).deserializer(answer).build())
    }

    /// Returns a value of a secret. None if it has none at this stage.
    pub(super) async fn value(&self, id: &str, stage: Stage) -> Result<Option<String>, BoxError> {
        let id = id.to_owned();
        Ok(self.0.invoke(Asked { id, stage }).await?)
    }
}

fn endpoint(aws: &SdkConfig) -> String {
    if let Some(url) = aws.endpoint_url() {
        return url.to_owned();
    }
    let region = aws.region().map_or("us-east-1", |region| region.as_ref());
    // The regions of China are under a domain of their own.
    let country = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://secretsmanager.{region}.amazonaws.com{country}")
}

/// Signs requests with the credentials of `aws`, and keeps answers out of every log.
fn signed(aws: &SdkConfig) -> StaticRuntimePlugin {
    let mut layer = Layer::new("secrets");
    layer.store_put(SensitiveOutput);
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: aws.region().cloned().map(Into::into),
        name: Some("secretsmanager".into()),
        ..Default::default()
    });
    let schemes = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("secrets")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(schemes));
    if let Some(credentials) = aws.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new()
        .with_config(layer.freeze())
        .with_runtime_components(components)
}

fn request(Asked { id, stage }: Asked) -> Result<HttpRequest, BoxError> {
    let body = json!({"SecretId": id, "VersionStage": stage.as_str()});
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.set_method("POST")?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/x-amz-json-1.1");
    headers.insert("x-amz-target", "secretsmanager.GetSecretValue");
    Ok(request)
}

fn answer(response: &HttpResponse) -> Result<Option<String>, OrchestratorError<Refused>> {
    let body = response.body().bytes().unwrap_or_default();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(value) = body["SecretString"].as_str() {
        return Ok(Some(value.to_owned()));
    }
    let kind = body["__type"].as_str().unwrap_or_default().to_owned();
    if kind.ends_with("ResourceNotFoundException") {
        return Ok(None);
    }
    let status = response.status().as_u16();
    Err(OrchestratorError::operation(Refused { status, kind }))
}
