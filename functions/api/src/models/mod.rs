//! Reads which models may be used, for the organisation and its departments, and lists those whose
//! price is unsure.

pub(crate) mod schema;
pub(crate) mod unsure;

use shared::domain::org::models::{MAX_PATTERN, MAX_PATTERN_BYTES, MAX_PATTERNS, ModelRule};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

/// Reads the field `models`: missing, null, or a whole rule. Patterns are named by their place:
/// `models.allow[3]`.
pub(crate) fn changed(fields: &mut Fields) -> Option<Option<ModelRule>> {
    fields.changed_object("models", rule)
}

fn rule(fields: &mut Fields) -> ModelRule {
    let rule = ModelRule {
        allow: patterns(fields, "allow"),
        deny: patterns(fields, "deny"),
        max_output_price: fields.optional("max_usd_per_million_output", parse::micro_usd),
    };
    let patterns = rule.allow.iter().chain(&rule.deny);
    if patterns.map(String::len).sum::<usize>() > MAX_PATTERN_BYTES {
        let message = format!("must have at most {MAX_PATTERN_BYTES} bytes together with deny");
        fields.also_invalid("allow", message);
    }
    rule
}

fn patterns(fields: &mut Fields, name: &str) -> Vec<String> {
    let given = fields.optional(name, parse::list(0, MAX_PATTERNS));
    let mut patterns = Vec::new();
    for (at, raw) in given.unwrap_or_default().iter().enumerate() {
        match parse::sentence(MAX_PATTERN)(raw) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => fields.also_invalid(&format!("{name}[{at}]"), message),
        }
    }
    patterns
}
