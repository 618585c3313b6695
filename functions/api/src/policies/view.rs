//! Shows policies as JSON.

use super::schema::{
    Action as ActionSchema, Condition as ConditionSchema, Trigger as TriggerSchema,
};
use crate::json::to_json;
use crate::replay::Answer;
use crate::webhooks::new::NewWebhook;
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::domain::policy::{
    Action, BlockUntil, Condition, Limit, Match, Operand, Policy, PolicyStatus, Rule, Scalar,
    TotalScope, Trigger,
};
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;
use utoipa::ToSchema;

/// Writes a number of hundredths as a decimal.
struct Hundredths(i64);

impl Serialize for Hundredths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        RawValue::from_string(text.to_owned())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

#[derive(Serialize)]
struct LimitView {
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_percent: Option<u32>,
}

impl LimitView {
    fn of(limit: Limit) -> Self {
        let mut view = Self {
            tokens: None,
            usd: None,
            budget_percent: None,
        };
        match limit {
            Limit::Tokens(tokens) => view.tokens = Some(tokens),
            Limit::Usd(micro_usd) => view.usd = Some(Usd(micro_usd)),
            Limit::BudgetPercent(percent) => view.budget_percent = Some(percent),
        }
        view
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TriggerView<'a> {
    TokenBudgetExceeded {
        subject: TotalScope,
        #[serde(flatten)]
        limit: LimitView,
    },
    IpRiskEvent,
    UnusualUsagePattern {
        deviations: Hundredths,
        min_days: usize,
        min_tokens: i64,
    },
    DepartmentThreshold {
        department_id: &'a str,
        #[serde(flatten)]
        limit: LimitView,
    },
}

impl<'a> TriggerView<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        match trigger {
            Trigger::TokenBudgetExceeded { subject, limit } => Self::TokenBudgetExceeded {
                subject: *subject,
                limit: LimitView::of(*limit),
            },
            Trigger::IpRiskEvent => Self::IpRiskEvent,
            Trigger::UnusualUsagePattern(unusual) => Self::UnusualUsagePattern {
                deviations: Hundredths(unusual.deviation_hundredths),
                min_days: unusual.min_days,
                min_tokens: unusual.min_tokens,
            },
            Trigger::DepartmentThreshold {
                department_id,
                limit,
            } => Self::DepartmentThreshold {
                department_id,
                limit: LimitView::of(*limit),
            },
        }
    }
}

fn scalar_view(value: &Scalar) -> Value {
    match value {
        Scalar::Number(number) => json!(number),
        Scalar::Flag(flag) => json!(flag),
        Scalar::Level(_) | Scalar::Text(_) | Scalar::Minute(_) => json!(value.to_string()),
    }
}

fn condition_view(condition: &Condition) -> Value {
    let value = match &condition.value {
        Operand::One(value) => scalar_view(value),
        Operand::Several(values) => values.iter().map(scalar_view).collect(),
        Operand::Range(from, to) => json!([scalar_view(from), scalar_view(to)]),
    };
    json!({"field": condition.field.as_str(), "op": condition.op.as_str(), "value": value})
}

fn action_view(action: &Action) -> Value {
    match action {
        Action::EmailUser => json!({"type": "email_user"}),
        Action::EmailManager => json!({"type": "email_manager"}),
        Action::BlockAccess { until } => {
            let until = match until {
                BlockUntil::Released => json!("released"),
                BlockUntil::PeriodEnd => json!("period_end"),
                BlockUntil::Hours(hours) => json!({"hours": hours}),
            };
            json!({"type": "block_access", "until": until})
        }
        Action::CreateIncident { severity: None } => json!({"type": "create_incident"}),
        Action::CreateIncident { severity } => {
            json!({"type": "create_incident", "severity": severity})
        }
        Action::Webhook { webhook_id } => json!({"type": "webhook", "webhook_id": webhook_id}),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Rule)]
struct RuleView<'a> {
    name: &'a str,
    description: &'a str,
    #[schema(value_type = TriggerSchema)]
    trigger: TriggerView<'a>,
    #[serde(rename = "match")]
    combine: Match,
    #[schema(value_type = Vec<ConditionSchema>)]
    conditions: Vec<Value>,
    #[schema(value_type = Vec<ActionSchema>)]
    actions: Vec<Value>,
}

impl<'a> RuleView<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self {
            name: &rule.name,
            description: &rule.description,
            trigger: TriggerView::of(&rule.trigger),
            combine: rule.combine,
            conditions: rule.conditions.iter().map(condition_view).collect(),
            actions: rule.actions.iter().map(action_view).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = NewWebhook)]
struct NewWebhookView<'a> {
    id: &'a str,
    url: &'a str,
    signing_secret: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub(crate) struct PolicyView<'a> {
    id: &'a str,
    #[serde(flatten)]
    rule: RuleView<'a>,
    status: PolicyStatus,
    /// A version that differs from the published one, until it is published.
    #[schema(required = true)]
    draft: Option<RuleView<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
    #[schema(value_type = Option<Moment>, required = true)]
    published_at: Option<String>,
    /// When the evaluation of the shown version begins; null if it is not evaluated.
    #[schema(value_type = Option<Moment>, required = true)]
    effective_from: Option<String>,
    /// The webhooks that were created for its urls, with their secrets. They are shown only this
    /// once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhooks: Vec<NewWebhookView<'a>>,
}

/// Shows a policy, with the secrets of its new webhooks if there are any.
pub(crate) fn policy_view<'a>(policy: &'a Policy, webhooks: &'a [NewWebhook]) -> PolicyView<'a> {
    let published_at = policy.published_at.map(|at| at.to_string());
    let show = |new: &'a NewWebhook| NewWebhookView {
        id: &new.webhook.id,
        url: &new.webhook.url,
        signing_secret: &new.secret,
    };
    PolicyView {
        id: &policy.id,
        rule: RuleView::of(&policy.rule),
        status: policy.status,
        draft: policy.draft.as_ref().map(RuleView::of),
        version: policy.version,
        created_at: policy.created_at.to_string(),
        updated_at: policy.updated_at.to_string(),
        effective_from: published_at
            .clone()
            .filter(|_| policy.status == PolicyStatus::Active),
        published_at,
        webhooks: webhooks.iter().map(show).collect(),
    }
}

/// Answers with a policy and the secrets of its new webhooks.
pub(super) fn policy_answer(status: u16, policy: &Policy, webhooks: &[NewWebhook]) -> Answer {
    Answer {
        status,
        body: to_json(&policy_view(policy, webhooks)),
        secrets: webhooks.iter().map(|new| new.secret.clone()).collect(),
    }
}

pub(super) fn policy_json(policy: &Policy) -> String {
    to_json(&policy_view(policy, &[]))
}
