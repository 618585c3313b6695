//! The data that the firings of one batch share, and the people whom they notify.

use super::App;
use shared::domain::notice::Recipient;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::domain::policy::{Action, ActivePolicy, Facts, Firing};
use shared::store::StoreError;
use tokio::sync::OnceCell;

/// A policy that fires on an event of the batch.
pub(super) struct PolicyMatch<'a> {
    pub(super) policy: &'a ActivePolicy,
    pub(super) facts: &'a Facts,
    pub(super) firing: Firing,
}

pub(super) struct BatchContext<'a> {
    pub(super) app: &'a App,
    pub(super) configuration: &'a Configuration,
    /// The administrators. They are read once, if they are needed.
    administrators: OnceCell<Vec<User>>,
}

impl<'a> BatchContext<'a> {
    pub(super) fn new(app: &'a App, configuration: &'a Configuration) -> Self {
        Self {
            app,
            configuration,
            administrators: OnceCell::new(),
        }
    }

    async fn administrators(&self) -> Result<&[User], StoreError> {
        let id = &self.configuration.organisation.id;
        let read = || self.app.store.some_administrators(id);
        let known = self.administrators.get_or_try_init(read).await?;
        Ok(known.as_slice())
    }
}

/// Returns whom the policy notifies, and which of its mails cannot be sent, in words.
pub(super) async fn recipients(
    acting: &BatchContext<'_>,
    found: &PolicyMatch<'_>,
    user: Option<&User>,
) -> Result<(Vec<Recipient>, Vec<&'static str>), StoreError> {
    let BatchContext {
        app, configuration, ..
    } = acting;
    let mut recipients = Vec::new();
    let mut not_done = Vec::new();
    for action in &found.policy.rule.actions {
        match (action, user) {
            (Action::EmailUser, Some(user)) => {
                recipients.push(Recipient::mail(user, "it was your activity".to_owned()));
            }
            (Action::EmailUser, None) => {
                not_done.push("no mail to the user: the event names no known user");
            }
            (Action::EmailManager, user) => {
                let manager = match user {
                    Some(user) => app.store.manager_of(configuration, user).await?,
                    None => None,
                };
                if let Some((manager, because)) = manager {
                    recipients.push(Recipient::mail(&manager, because));
                    continue;
                }
                let because = match user {
                    Some(user) => format!("nobody manages {} or their department", user.id),
                    None => "the event names no known user".to_owned(),
                };
                let because = format!("{because}, and you are an administrator");
                let all = acting.administrators().await?;
                if all.is_empty() {
                    not_done.push(
                        "no mail to the manager: there is neither a manager nor an administrator",
                    );
                }
                recipients.extend(
                    all.iter()
                        .map(|user| Recipient::mail(user, because.clone())),
                );
            }
            (Action::Webhook { webhook_id }, _) => recipients.push(Recipient::webhook(webhook_id)),
            (Action::BlockAccess { .. } | Action::CreateIncident { .. }, _) => {}
        }
    }
    Ok((recipients, not_done))
}
