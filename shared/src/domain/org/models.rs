//! Which models may be used: a rule of the organisation or of a department.

use crate::domain::pattern::fits;
use serde::{Deserialize, Serialize};

/// The most patterns of one list.
pub const MAX_PATTERNS: usize = 100;
/// The most characters of a pattern.
pub const MAX_PATTERN: usize = 200;
/// The most bytes of all patterns of a rule. Each decision has the rules of all departments in its
/// memory, and each refusal contains the rule that decided.
pub const MAX_PATTERN_BYTES: usize = 8_000;

/// Which models may be used. A rule without any field permits all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRule {
    /// Patterns of the models that are permitted. Empty permits all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Patterns of the models that are not, whatever `allow` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// The highest permitted price of output at the tier of a request, in micro-USD per million
    /// tokens. A model without a price is not permitted under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_price: Option<i64>,
}

/// A model as it is known by its names and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModel {
    /// In lower case, alone and behind its provider: `gpt-4o`, `openai/gpt-4o`.
    pub names: Vec<String>,
    /// Its names by each of those who may sell it, alone and behind it. Empty if `names` say all.
    pub sellers: Vec<Vec<String>>,
    /// What its output costs at the tier of the request, in micro-USD per million tokens.
    pub output_price: Option<i64>,
}

/// Why a rule forbids a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden<'a> {
    /// It fits this pattern of `deny`.
    Denied(&'a str),
    /// It fits no pattern of `allow`.
    NotListed,
    /// Its output has this price, in micro-USD per million tokens.
    TooDear(i64),
    /// It has no price.
    Unpriced,
}

impl ModelRule {
    /// Returns why the rule forbids `model`. None if it permits it. If several may sell it, it is
    /// denied if any of them is, and allowed if all of them are.
    pub fn forbids(&self, model: &NamedModel) -> Option<Forbidden<'_>> {
        let fitting = |patterns: &'_ [String], names: &[String]| {
            patterns.iter().position(|pattern| {
                let pattern = spelled(&pattern.to_lowercase());
                names.iter().any(|name| fits(&spelled(name), &pattern))
            })
        };
        let mut all = std::iter::once(&model.names).chain(&model.sellers);
        let denied = all.find_map(|names| fitting(&self.deny, names));
        if let Some(pattern) = denied.and_then(|at| self.deny.get(at)) {
            return Some(Forbidden::Denied(pattern));
        }
        let is_listed = |names: &Vec<String>| fitting(&self.allow, names).is_some();
        let is_allowed = match model.sellers.is_empty() {
            true => is_listed(&model.names),
            false => model.sellers.iter().all(is_listed),
        };
        if !self.allow.is_empty() && !is_allowed {
            return Some(Forbidden::NotListed);
        }
        let most = self.max_output_price?;
        match model.output_price {
            None => Some(Forbidden::Unpriced),
            Some(price) => (price > most).then_some(Forbidden::TooDear(price)),
        }
    }

    /// Whether any of its patterns has a provider in front.
    pub fn names_providers(&self) -> bool {
        let mut patterns = self.allow.iter().chain(&self.deny);
        patterns.any(|pattern| pattern.contains('/'))
    }
}

/// Writes dots and underscores as dashes: versions are written in either way.
fn spelled(name: &str) -> String {
    name.replace(['.', '_'], "-")
}

/// The rule that decided, and its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRule {
    /// None for the organisation.
    pub department_id: Option<String>,
    pub rule: ModelRule,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    fn rule(allow: &[&str], deny: &[&str], max_output_price: Option<i64>) -> ModelRule {
        ModelRule {
            allow: texts(allow),
            deny: texts(deny),
            max_output_price,
        }
    }

    /// `gpt-4o-2024-11-20` of OpenAI, at $10.
    fn dated() -> NamedModel {
        NamedModel {
            names: texts(&[
                "gpt-4o",
                "gpt-4o-2024-11-20",
                "openai/gpt-4o",
                "openai/gpt-4o-2024-11-20",
            ]),
            sellers: Vec::new(),
            output_price: Some(10_000_000),
        }
    }

    #[test]
    fn a_pattern_is_compared_with_each_name_without_case() {
        for pattern in [
            "gpt-4o",
            "gpt-4o-2024-11-20",
            "gpt-4o-*",
            "GPT-4O",
            "openai/*",
            "openai/gpt-4o",
            "OPENAI/GPT-4o-2024*",
            "*",
        ] {
            assert_eq!(
                rule(&[pattern], &[], None).forbids(&dated()),
                None,
                "{pattern}"
            );
            let denied = Some(Forbidden::Denied(pattern));
            assert_eq!(rule(&[], &[pattern], None).forbids(&dated()), denied);
        }
        for pattern in ["gpt-4", "openai", "azure/*", "gpt-4o-mini", "4o", "openai/"] {
            let listed = rule(&[pattern], &[], None);
            assert_eq!(
                listed.forbids(&dated()),
                Some(Forbidden::NotListed),
                "{pattern}"
            );
            assert_eq!(
                rule(&[], &[pattern], None).forbids(&dated()),
                None,
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_model_of_several_is_denied_if_one_is_and_allowed_if_all_are() {
        let several = NamedModel {
            names: texts(&["gpt-4o"]),
            sellers: vec![
                texts(&["azure/gpt-4o", "gpt-4o"]),
                texts(&["gpt-4o", "openai/gpt-4o"]),
            ],
            output_price: None,
        };
        let why = |allow: &[&str], deny: &[&str]| {
            let rule = rule(allow, deny, None);
            rule.forbids(&several).map(|why| format!("{why:?}"))
        };
        assert_eq!(
            why(&[], &["azure/*"]),
            Some("Denied(\"azure/*\")".to_owned())
        );
        assert_eq!(why(&[], &["mistral/*"]), None);
        let not_listed = Some("NotListed".to_owned());
        assert_eq!(why(&["openai/*"], &[]), not_listed);
        assert_eq!(why(&["openai/*", "mistral/*"], &[]), not_listed);
        assert_eq!(why(&["openai/*", "azure/*"], &[]), None);
        assert_eq!(why(&["*/gpt-4o"], &[]), None);
        assert_eq!(why(&["gpt-4o"], &[]), None);
    }

    #[test]
    fn deny_wins_over_allow_and_a_rule_without_a_list_permits_all() {
        let most = rule(&["gpt-*"], &["*-2024-11-20", "o1*"], None);
        assert_eq!(
            most.forbids(&dated()),
            Some(Forbidden::Denied("*-2024-11-20"))
        );
        assert_eq!(ModelRule::default().forbids(&dated()), None);
        assert_eq!(rule(&[], &["o1*"], None).forbids(&dated()), None);
    }

    #[test]
    fn a_price_at_the_limit_is_permitted_and_an_unknown_one_is_not() {
        let at_most = |limit| rule(&[], &[], Some(limit));
        assert_eq!(at_most(10_000_000).forbids(&dated()), None);
        let too_dear = Some(Forbidden::TooDear(10_000_000));
        assert_eq!(at_most(9_999_999).forbids(&dated()), too_dear);
        let unpriced = NamedModel {
            output_price: None,
            ..dated()
        };
        assert_eq!(
            at_most(i64::MAX).forbids(&unpriced),
            Some(Forbidden::Unpriced)
        );
        assert_eq!(rule(&["gpt*"], &[], None).forbids(&unpriced), None);
        let free = NamedModel {
            output_price: Some(0),
            ..dated()
        };
        assert_eq!(at_most(0).forbids(&free), None);
    }

    #[test]
    fn a_rule_is_stored_without_what_it_does_not_say() {
        let json = |rule: &ModelRule| serde_json::to_string(rule).unwrap();
        assert_eq!(json(&ModelRule::default()), "{}");
        let whole = rule(&["a*"], &["b"], Some(0));
        assert_eq!(
            serde_json::from_str::<ModelRule>(&json(&whole)).unwrap(),
            whole
        );
    }

    fn patterns() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[ab*/]{1,4}", 0..4)
    }

    proptest! {
        #[test]
        fn one_more_denied_pattern_or_a_lower_limit_never_permits_more(
            allow in patterns(), deny in patterns(), more in "[ab*/]{1,4}",
            limit in 0_i64..10, price in prop::option::of(0_i64..10),
            names in prop::collection::vec("[ab/]{1,4}", 1..4),
            sellers in prop::collection::vec(prop::collection::vec("[ab/]{1,4}", 1..3), 0..3),
        ) {
            let model = NamedModel { names, sellers, output_price: price };
            let before = ModelRule { allow, deny, max_output_price: Some(limit) };
            let mut after = before.clone();
            after.deny.push(more);
            after.max_output_price = Some(limit - 1);
            if after.forbids(&model).is_none() {
                prop_assert_eq!(before.forbids(&model), None);
            }
        }
    }
}
