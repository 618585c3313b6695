//! Reads the fields of a policy. Every wrong field is named by its path: `conditions[2].op`.

pub(crate) mod action;
pub(crate) mod condition;
mod trigger;

use self::action::{AskedAction, read_action};
use self::condition::read_condition;
use self::trigger::read_trigger;
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::policy::{Condition, MAX_ACTIONS, MAX_CONDITIONS, Match, Trigger};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

/// The most bytes of a policy's conditions, as they are shown. Each firing contains them.
const MAX_CONDITIONS_BYTES: usize = 8_000;

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
pub(crate) fn read_rule(fields: &mut Fields, egress: EgressPolicy) -> RuleFields {
    let rule = RuleFields {
        name: fields.changed_value("name", parse::display_name),
        description: fields.changed_value("description", read_description),
        trigger: fields.object("trigger", read_trigger).flatten(),
        combine: fields.changed_value("match", parse::name),
        conditions: fields
            .objects("conditions", (0, MAX_CONDITIONS), read_condition)
            .map(|all| all.into_iter().flatten().collect()),
        actions: fields
            .objects("actions", (0, MAX_ACTIONS), |fields| {
                read_action(fields, egress)
            })
            .map(|all| all.into_iter().flatten().collect()),
    };
    let conditions = rule.conditions.iter().flatten();
    let length: usize = conditions.map(|c| c.to_string().len()).sum();
    if length > MAX_CONDITIONS_BYTES {
        let rule = format!("must have at most {MAX_CONDITIONS_BYTES} bytes together");
        fields.also_invalid("conditions", rule);
    }
    let actions = rule.actions.as_deref().unwrap_or_default();
    for (at, action) in actions.iter().enumerate() {
        if actions[..at].iter().any(|earlier| earlier.is_same(action)) {
            let message = "is listed already; list each action once";
            fields.also_invalid(&format!("actions[{at}]"), message);
        }
    }
    rule
}

fn read_description(raw: &str) -> Result<String, String> {
    if parse::text(raw).is_ok_and(|text| text.is_empty()) {
        return Ok(String::new());
    }
    parse::sentence(1_000)(raw)
}
