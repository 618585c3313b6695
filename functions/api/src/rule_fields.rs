//! Reads the fields of a policy. Every wrong field is named by its path: `conditions[2].op`.

use shared::domain::amount::MAX_AMOUNT;
use shared::domain::ledger::usage::RiskLevel;
use shared::domain::notice::alert::Severity;
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::policy::{
    Action, BlockUntil, Condition, Field, Limit, MAX_ACTIONS, MAX_CONDITIONS, Match, Op, Operand,
    Scalar, TotalScope, Trigger, Unusual, minute_of_day,
};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

/// The most values that one condition compares with.
pub(crate) const MAX_VALUES: usize = 50;
/// The most bytes of a policy's conditions, as they are shown. Each firing contains them.
const MAX_CONDITIONS_BYTES: usize = 8_000;
/// The longest name of a model or pattern.
const MAX_TEXT: usize = 200;
/// The longest block in hours: a year.
pub(crate) const MAX_HOURS: i64 = 24 * 366;

pub(crate) const FIELDS: &[(&str, Option<Field>)] = &[
    ("risk_level", Some(Field::RiskLevel)),
    ("user_id", Some(Field::UserId)),
    ("department_id", Some(Field::DepartmentId)),
    ("token_count", Some(Field::TokenCount)),
    ("time_of_day", Some(Field::TimeOfDay)),
    ("model_id", Some(Field::ModelId)),
];
const OPS: &[(&str, Option<Op>)] = &[
    ("eq", Some(Op::Eq)),
    ("eq_exact", Some(Op::EqExact)),
    ("ne", Some(Op::Ne)),
    ("in", Some(Op::In)),
    ("not_in", Some(Op::NotIn)),
    ("gt", Some(Op::Gt)),
    ("gte", Some(Op::Gte)),
    ("lt", Some(Op::Lt)),
    ("lte", Some(Op::Lte)),
    ("between", Some(Op::Between)),
    ("matches", Some(Op::Matches)),
];
const LEVELS: &[(&str, RiskLevel)] = &[
    ("low", RiskLevel::Low),
    ("medium", RiskLevel::Medium),
    ("high", RiskLevel::High),
    ("critical", RiskLevel::Critical),
];
const SEVERITIES: &[(&str, Severity)] = &[
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];
const MATCHES: &[(&str, Match)] = &[("all", Match::All), ("any", Match::Any)];
const WHOSE: &[(&str, Option<TotalScope>)] = &[
    ("user", Some(TotalScope::User)),
    ("department", Some(TotalScope::Department)),
];

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

#[derive(Clone, Copy)]
enum ActionKind {
    EmailUser,
    EmailManager,
    BlockAccess,
    CreateIncident,
    Webhook,
}

const ACTIONS: &[(&str, Option<ActionKind>)] = &[
    ("email_user", Some(ActionKind::EmailUser)),
    ("email_manager", Some(ActionKind::EmailManager)),
    ("block_access", Some(ActionKind::BlockAccess)),
    ("create_incident", Some(ActionKind::CreateIncident)),
    ("webhook", Some(ActionKind::Webhook)),
];

/// A requested action. A url becomes a webhook first.
#[derive(Clone, Debug)]
pub(crate) enum AskedAction {
    Known(Action),
    Url(String),
}

impl AskedAction {
    /// Returns whether both do the same: of one type, and to the same webhook.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Url(one), Self::Url(other)) => one == other,
            (Self::Known(one), Self::Known(other)) => match (one, other) {
                (Action::Webhook { webhook_id: one }, Action::Webhook { webhook_id: other }) => {
                    one == other
                }
                _ => std::mem::discriminant(one) == std::mem::discriminant(other),
            },
            _ => false,
        }
    }
}

/// The fields of a policy that a request gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleFields {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) combine: Option<Match>,
    pub(crate) conditions: Option<Vec<Condition>>,
    pub(crate) actions: Option<Vec<AskedAction>>,
}

/// Reads a policy from `fields`, which collects the faults.
pub(crate) fn read(fields: &mut Fields, egress: EgressPolicy) -> RuleFields {
    let read = RuleFields {
        name: fields.changed_value("name", parse::display_name),
        description: fields.changed_value("description", description),
        trigger: fields.object("trigger", trigger).flatten(),
        combine: fields.changed_value("match", parse::one_of(MATCHES)),
        conditions: fields
            .objects("conditions", (0, MAX_CONDITIONS), condition)
            .map(|all| all.into_iter().flatten().collect()),
        actions: fields
            .objects("actions", (0, MAX_ACTIONS), |fields| action(fields, egress))
            .map(|all| all.into_iter().flatten().collect()),
    };
    let conditions = read.conditions.iter().flatten();
    let length: usize = conditions.map(|c| c.to_string().len()).sum();
    if length > MAX_CONDITIONS_BYTES {
        let rule = format!("must have at most {MAX_CONDITIONS_BYTES} bytes together");
        fields.also_invalid("conditions", rule);
    }
    let actions = read.actions.as_deref().unwrap_or_default();
    for (at, action) in actions.iter().enumerate() {
        if actions[..at].iter().any(|earlier| earlier.is_same(action)) {
            let message = "is there already; each happens once";
            fields.also_invalid(&format!("actions[{at}]"), message);
        }
    }
    read
}

fn description(raw: &str) -> Result<String, String> {
    if parse::text(raw).is_ok_and(|text| text.is_empty()) {
        return Ok(String::new());
    }
    parse::sentence(1_000)(raw)
}

fn trigger(fields: &mut Fields) -> Option<Trigger> {
    match fields.required("type", parse::one_of(TRIGGERS)) {
        None => {
            // The type decides which other fields there should be.
            fields.ignore_rest();
            None
        }
        Some(TriggerKind::IpRiskEvent) => Some(Trigger::IpRiskEvent),
        Some(TriggerKind::TokenBudgetExceeded) => {
            let subject = fields.required("subject", parse::one_of(WHOSE));
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

fn condition(fields: &mut Fields) -> Option<Condition> {
    let field = fields.required("field", parse::one_of(FIELDS));
    let op = fields.required("op", parse::one_of(OPS));
    let (Some(field), Some(op)) = (field, op) else {
        fields.ignore_rest();
        return None;
    };
    if !field.ops().contains(&op) {
        let names: Vec<&str> = field.ops().iter().map(|op| op.as_str()).collect();
        let (field, op) = (field.as_str(), op.as_str());
        let message = format!(
            "{op:?} makes no sense for {field}; use one of {}",
            names.join(", ")
        );
        fields.also_invalid("op", message);
        fields.ignore_rest();
        return None;
    }
    let value = fields.required("value", |raw| operand(field, op, raw).map(Some));
    Some(Condition {
        field,
        op,
        value: value?,
    })
}

fn operand(field: Field, op: Op, raw: &str) -> Result<Operand, String> {
    let several = |least, most| -> Result<Vec<Scalar>, String> {
        let values = parse::list(least, most)(raw)?;
        values.iter().map(|value| scalar(field, value)).collect()
    };
    match op {
        Op::In | Op::NotIn => Ok(Operand::Several(several(1, MAX_VALUES)?)),
        Op::Between => match several(2, 2)?.as_slice() {
            [Scalar::Minute(from), Scalar::Minute(to)] => {
                Ok(Operand::Range(Scalar::Minute(*from), Scalar::Minute(*to)))
            }
            [Scalar::Number(from), Scalar::Number(to)] if from <= to => {
                Ok(Operand::Range(Scalar::Number(*from), Scalar::Number(*to)))
            }
            [Scalar::Level(from), Scalar::Level(to)] if from <= to => {
                Ok(Operand::Range(Scalar::Level(*from), Scalar::Level(*to)))
            }
            _ => Err("must be two values, the lower one first".to_owned()),
        },
        _ => Ok(Operand::One(scalar(field, raw)?)),
    }
}

fn scalar(field: Field, raw: &str) -> Result<Scalar, String> {
    match field {
        Field::RiskLevel => parse::one_of(LEVELS)(raw).map(Scalar::Level),
        Field::UserId => parse::user_id(raw).map(Scalar::Text),
        Field::DepartmentId => parse::slug(raw).map(Scalar::Text),
        Field::ModelId => parse::sentence(MAX_TEXT)(raw).map(Scalar::Text),
        Field::TokenCount => parse::whole(0, MAX_AMOUNT)(raw).map(Scalar::Number),
        Field::TimeOfDay => {
            let text = parse::text(raw)?;
            let minute = minute_of_day(&text).map(Scalar::Minute);
            minute.ok_or_else(|| "must be a time of day like 22:00".to_owned())
        }
    }
}

fn action(fields: &mut Fields, egress: EgressPolicy) -> Option<AskedAction> {
    let known = |action| Some(AskedAction::Known(action));
    match fields.required("type", parse::one_of(ACTIONS)) {
        None => {
            fields.ignore_rest();
            None
        }
        Some(ActionKind::EmailUser) => known(Action::EmailUser),
        Some(ActionKind::EmailManager) => known(Action::EmailManager),
        Some(ActionKind::BlockAccess) => {
            let until = fields.optional("until", until);
            known(Action::BlockAccess {
                until: until.unwrap_or(BlockUntil::Released),
            })
        }
        Some(ActionKind::CreateIncident) => known(Action::CreateIncident {
            severity: fields.optional("severity", parse::one_of(SEVERITIES)),
        }),
        Some(ActionKind::Webhook) => {
            let are_both_there = fields.has("webhook_id") && fields.has("url");
            if are_both_there || !(fields.has("webhook_id") || fields.has("url")) {
                fields.take_only_one("webhook_id", "url", are_both_there);
                return None;
            }
            let webhook_id = fields.changed_value("webhook_id", parse::slug);
            let url = fields.changed_value("url", super::webhooks::url(egress));
            let webhook = webhook_id.map(|webhook_id| Action::Webhook { webhook_id });
            webhook
                .map(AskedAction::Known)
                .or(url.map(AskedAction::Url))
        }
    }
}

/// Reads `"released"`, `"period_end"` or `{"hours": 8}`.
fn until(raw: &str) -> Result<BlockUntil, String> {
    match raw {
        "\"released\"" => return Ok(BlockUntil::Released),
        "\"period_end\"" => return Ok(BlockUntil::PeriodEnd),
        _ => {}
    }
    let rule = |_| format!("must be released, period_end or {{\"hours\": 1 to {MAX_HOURS}}}");
    let mut fields = Fields::of_value(raw, "until").map_err(|_| rule(()))?;
    let hours = fields.required("hours", parse::whole(1, MAX_HOURS));
    if !fields.into_details().is_empty() {
        return Err(rule(()));
    }
    u32::try_from(hours)
        .map(BlockUntil::Hours)
        .map_err(|_| rule(()))
}
