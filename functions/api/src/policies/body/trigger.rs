//! Reads the trigger of a policy.

use shared::domain::amount::MAX_AMOUNT;
use shared::domain::policy::{Limit, TotalScope, Trigger, Unusual};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

#[derive(Clone, Copy)]
enum TriggerKind {
    TokenBudgetExceeded,
    IpRiskEvent,
    UnusualUsagePattern,
    DepartmentThreshold,
}

const TRIGGERS: &[(&str, Option<TriggerKind>)] = &[
    (
        "token_budget_exceeded",
        Some(TriggerKind::TokenBudgetExceeded),
    ),
    ("ip_risk_event", Some(TriggerKind::IpRiskEvent)),
    (
        "unusual_usage_pattern",
        Some(TriggerKind::UnusualUsagePattern),
    ),
    (
        "department_threshold",
        Some(TriggerKind::DepartmentThreshold),
    ),
];

pub(super) fn read_trigger(fields: &mut Fields) -> Option<Trigger> {
    match fields.required("type", parse::one_of(TRIGGERS)) {
        None => {
            // The type decides which other fields there should be.
            fields.ignore_rest();
            None
        }
        Some(TriggerKind::IpRiskEvent) => Some(Trigger::IpRiskEvent),
        Some(TriggerKind::TokenBudgetExceeded) => {
            let subject = fields.required("subject", parse::required_name::<TotalScope>);
            let limit = limit(fields);
            Some(Trigger::TokenBudgetExceeded {
                subject: subject?,
                limit: limit?,
            })
        }
        Some(TriggerKind::DepartmentThreshold) => {
            let department_id = fields.required("department_id", parse::slug);
            let limit = limit(fields);
            Some(Trigger::DepartmentThreshold {
                department_id,
                limit: limit?,
            })
        }
        Some(TriggerKind::UnusualUsagePattern) => {
            let deviations = fields.optional("deviations", parse::hundredths(100, 10_000));
            let days = i64::from(shared::domain::policy::BASELINE_DAYS);
            let min_days = fields.optional("min_days", parse::whole(1, days));
            let min_tokens = fields.optional("min_tokens", parse::whole(0, MAX_AMOUNT));
            Some(Trigger::UnusualUsagePattern(Unusual {
                deviation_hundredths: deviations.unwrap_or(300),
                min_days: usize::try_from(min_days.unwrap_or(7)).unwrap_or(7),
                min_tokens: min_tokens.unwrap_or(0),
            }))
        }
    }
}

/// Reads exactly one of `tokens`, `usd` and `budget_percent`.
fn limit(fields: &mut Fields) -> Option<Limit> {
    let given = ["tokens", "usd", "budget_percent"].map(|name| (name, fields.has(name)));
    let count = given.iter().filter(|(_, is_given)| *is_given).count();
    if count == 0 {
        fields.also_invalid("tokens", "is required, or usd, or budget_percent");
    }
    if count > 1 {
        for (name, _) in given.iter().filter(|(_, is_given)| *is_given).skip(1) {
            fields.also_invalid(name, "must not be given together with another limit");
        }
    }
    let tokens = fields.changed_value("tokens", parse::whole(1, MAX_AMOUNT));
    let usd = fields.changed_value("usd", parse::some_micro_usd);
    let percent = fields.changed_value("budget_percent", parse::whole(1, 1_000));
    let percent = percent.and_then(|percent| u32::try_from(percent).ok());
    let tokens = tokens.map(Limit::Tokens);
    tokens
        .or(usd.map(Limit::Usd))
        .or(percent.map(Limit::BudgetPercent))
}
