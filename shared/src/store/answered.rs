//! Whether the database answers at all: what tells an outage from a database that has too much to do.
//!
//! A caller can make the database refuse, by asking often or by racing others for one item, but cannot make it
//! silent. So what an organisation wants in an outage is done only if nothing was heard of the database.

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static ANSWERED: Arc<AtomicBool>;
}

/// Does `work`, and tells whether the database answered any call of it, with a refusal too. HTTP 500 and beyond
/// is no answer: a database that says so is out of order.
pub async fn watch<T>(work: impl Future<Output = T>) -> (T, bool) {
    let answered = Arc::<AtomicBool>::default();
    let done = ANSWERED.scope(answered.clone(), work).await;
    (done, answered.load(Ordering::Relaxed))
}

/// Sees every answer that a client gets.
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
            // Work that nobody watches has nowhere to say it.
            let _ = ANSWERED.try_with(|answered| answered.store(true, Ordering::Relaxed));
        }
        Ok(())
    }
}
