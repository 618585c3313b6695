//! New webhooks.

use crate::App;
use shared::domain::notice::webhook::{MAX_WEBHOOKS, Webhook};
use shared::ledger::Snapshot;
use shared::runtime::error::ApiError;
use shared::runtime::random;

/// A new webhook with its secret, which is shown once.
pub(crate) struct NewWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) secret: String,
}

/// Returns a new webhook to `url` with its own secret. It receives only events that name it.
pub(crate) async fn new_webhook(
    app: &App,
    organisation_id: &str,
    url: String,
) -> Result<NewWebhook, ApiError> {
    let secret = random::signing_secret()?;
    let webhook = Webhook {
        id: random::id("whk_")?,
        url,
        events: Some(Vec::new()),
        sealed_secret: app.vault.seal(organisation_id, &secret).await?,
        old_secret: None,
        description: None,
        created_at: app.clock.now(),
        receiver: 0,
        version: 1,
    };
    Ok(NewWebhook { webhook, secret })
}

/// Refuses `added` webhooks if they exceed the limit.
pub(crate) fn check_webhook_room(snapshot: &Snapshot, added: usize) -> Result<(), ApiError> {
    let added = u64::try_from(added).unwrap_or(u64::MAX);
    if snapshot.head.webhooks.saturating_add(added) > MAX_WEBHOOKS {
        let message = format!("an organisation has at most {MAX_WEBHOOKS} webhooks");
        return Err(ApiError::conflict(message));
    }
    Ok(())
}
