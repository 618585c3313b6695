//! Checks the departments and webhooks that a policy names, and turns its urls into webhooks.

use super::body::RuleFields;
use super::body::action::AskedAction;
use crate::App;
use crate::change::{check_all, check_department};
use crate::webhooks::new::{NewWebhook, new_webhook};
use shared::domain::org::configuration::Configuration;
use shared::domain::policy::{Action, Field, Operand, Scalar, Trigger};
use shared::runtime::error::ApiError;
use std::collections::BTreeSet;

/// The actions, with a new webhook for each url.
pub(super) struct ReadActions {
    pub(super) actions: Option<Vec<Action>>,
    pub(super) webhooks: Vec<NewWebhook>,
}

/// Creates a webhook for each url of `asked`.
pub(super) async fn read_actions(
    app: &App,
    organisation_id: &str,
    asked: Option<&Vec<AskedAction>>,
) -> Result<ReadActions, ApiError> {
    let Some(asked) = asked else {
        return Ok(ReadActions {
            actions: None,
            webhooks: Vec::new(),
        });
    };
    let mut new_webhooks: Vec<NewWebhook> = Vec::new();
    let mut actions = Vec::with_capacity(asked.len());
    for action in asked {
        let url = match action {
            AskedAction::Known(action) => {
                actions.push(action.clone());
                continue;
            }
            AskedAction::Url(url) => url,
        };
        let new = new_webhook(app, organisation_id, url.clone()).await?;
        let webhook_id = new.webhook.id.clone();
        new_webhooks.push(new);
        actions.push(Action::Webhook { webhook_id });
    }
    Ok(ReadActions {
        actions: Some(actions),
        webhooks: new_webhooks,
    })
}

/// Reads the webhooks that `asked` names, if they exist.
pub(super) async fn existing_webhooks(
    app: &App,
    organisation_id: &str,
    asked: Option<&Vec<AskedAction>>,
) -> Result<BTreeSet<String>, ApiError> {
    let mut existing = BTreeSet::new();
    for action in asked.into_iter().flatten() {
        if let AskedAction::Known(Action::Webhook { webhook_id }) = action {
            let webhook = app.store.webhook(organisation_id, webhook_id).await?;
            existing.extend(webhook.map(|webhook| webhook.id));
        }
    }
    Ok(existing)
}

/// Reports names that do not exist: departments of the trigger and the conditions, webhooks.
pub(super) fn check_names(
    configuration: &Configuration,
    webhooks: &BTreeSet<String>,
    fields: &RuleFields,
) -> Result<(), ApiError> {
    let mut checks = Vec::new();
    if let Some(Trigger::DepartmentThreshold { department_id, .. }) = &fields.trigger {
        let field = "trigger.department_id";
        checks.push(check_department(configuration, field, Some(department_id)));
    }
    let conditions = fields.conditions.iter().flatten().enumerate();
    for (at, condition) in conditions.filter(|(_, c)| c.field == Field::DepartmentId) {
        let values = match &condition.value {
            Operand::One(value) => std::slice::from_ref(value),
            Operand::Several(values) => values.as_slice(),
            Operand::Range(..) => &[],
        };
        let is_unknown = |value: &&Scalar| match value {
            Scalar::Text(id) => !configuration.departments.contains_key(id),
            _ => true,
        };
        if let Some(unknown) = values.iter().find(is_unknown) {
            let message = format!("there is no such department: {unknown}");
            checks.push(Err(ApiError::field(
                format!("conditions[{at}].value"),
                message,
            )));
        }
    }
    for (at, action) in fields.actions.iter().flatten().enumerate() {
        if let AskedAction::Known(Action::Webhook { webhook_id }) = action
            && !webhooks.contains(webhook_id)
        {
            let field = format!("actions[{at}].webhook_id");
            checks.push(Err(ApiError::field(field, "there is no such webhook")));
        }
    }
    check_all(checks)
}
