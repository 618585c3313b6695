//! Tells an outage of the database from an overload.
//!
//! A caller can make the database refuse calls, by asking often or by racing others for one item,
//! but cannot make it silent. So an organisation's `on_unavailable` applies only if the database
//! answered nothing at all.

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static ANSWERED: Arc<AtomicBool>;
}

/// Runs `work` and returns whether the database answered any of its calls. A refusal is an answer.
/// HTTP 500 and above is none: a database that returns it is out of order.
pub async fn watch<T>(work: impl Future<Output = T>) -> (T, bool) {
    let answered = Arc::<AtomicBool>::default();
    let done = ANSWERED.scope(answered.clone(), work).await;
    (done, answered.load(Ordering::Relaxed))
}

/// Notes every answer that a client gets.
#[derive(Debug)]
pub(super) struct SeeAnswers;

impl Intercept for SeeAnswers {
    fn name(&self) -> &'static str {
        "SeeAnswers"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().status().as_u16() < 500 {
            // Work outside of `watch` has no flag to set.
            let _ = ANSWERED.try_with(|answered| answered.store(true, Ordering::Relaxed));
        }
        Ok(())
    }
}
