//! Judges models by the rule in force on a path: that of the nearest level that has one, whole.

use crate::domain::amount::Unit;
use crate::domain::ledger::refusal::{Reason, ReasonCode};
use crate::domain::ledger::usage::Usage;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::{Department, Path};
use crate::domain::org::models::{Forbidden, LevelRule, ModelRule, NamedModel};
use crate::domain::pricing::identity::{
    are_same, called, has_maker, in_front, is_known_provider, names, names_of, without_seller,
};
use crate::domain::pricing::matched::MatchKind;
use crate::domain::pricing::quote::Quote;
use crate::domain::pricing::rates::Part;
use crate::domain::pricing::tokens::ServiceTier;

/// How many patterns of a list a message names.
const MAX_SAID: usize = 10;

/// The rule that decides on a path.
struct RuleInForce<'a> {
    /// The department that has it. None for the organisation.
    department: Option<&'a Department>,
    rule: &'a ModelRule,
}

/// Returns the rule of the nearest level of `path` that has one.
fn rule_on<'a>(configuration: &'a Configuration, path: &Path) -> Option<RuleInForce<'a>> {
    let departments = path.0.iter().rev();
    let mut departments = departments.filter_map(|id| configuration.departments.get(id));
    let of_department = departments.find_map(|department| {
        Some(RuleInForce {
            department: Some(department),
            rule: department.models.as_ref()?,
        })
    });
    of_department.or_else(|| {
        Some(RuleInForce {
            department: None,
            rule: configuration.organisation.models.as_ref()?,
        })
    })
}

/// Returns what each of those is called who may sell a model. All of them must be allowed.
///
/// - By an alias it is who the alias names, whoever the request names.
/// - If the price list does not say that who is named sells it, it may be anybody who does, or only
///   who is in front of the model, if that one does; and a known provider who is named as well.
/// - Otherwise it is who is named, and a platform in front of the model. Its maker there is a part
///   of its name: `anthropic/claude-sonnet-4.5` of Vercel.
///
/// Empty if any of its names tells who sells it.
fn who_may_sell(quote: &Quote, provider: Option<&str>, model: &str) -> Vec<Vec<String>> {
    if let Some(own) = &quote.alias_of {
        return vec![called(own)];
    }
    let front = in_front(model);
    let is_surely_sold = quote.sellers.is_empty() && quote.matched.model.is_some();
    let mut all: Vec<Vec<String>> = quote.sellers.iter().map(|name| called(name)).collect();
    if provider.is_some() && all.iter().any(|name| are_same(name, &front)) {
        all.clear();
    }
    if all.is_empty() && !provider.is_some_and(is_known_provider) {
        return Vec::new();
    }
    let named = provider.map_or_else(|| front.clone(), called);
    let is_part_of_name = is_surely_sold && has_maker(&front);
    if !is_part_of_name && !are_same(&front, &named) {
        all.push(front);
    }
    all.push(named);
    all.retain(|name| !name.is_empty());
    all
}

/// Returns a model with what its quote says of it. Of the dearest of several rows, the name of the
/// model counts, and who sells it does not: that may be another one.
fn named(quote: &Quote, provider: Option<&str>, model: &str, tier: ServiceTier) -> NamedModel {
    let provider = provider.filter(|name| !name.trim().is_empty());
    let found = quote.matched.model.as_deref();
    let may_be_any = quote.sellers.len() > 1;
    let matched = match quote.matched.kind {
        MatchKind::Estimate | MatchKind::None => None,
        _ if may_be_any => found.and_then(without_seller),
        MatchKind::DearestProvider => found.and_then(without_seller),
        MatchKind::Exact
        | MatchKind::Dated
        | MatchKind::Alias
        | MatchKind::Organisation
        | MatchKind::Reported
        | MatchKind::ReportedDoubtful => found.map(str::to_owned),
    };
    let matched = matched.as_deref();
    let is_known = quote.matched.kind != MatchKind::Estimate;
    let price = quote.price.as_ref().filter(|_| is_known);
    let sellers = who_may_sell(quote, provider, model);
    let sellers = sellers.iter().map(|name| names_of(name, model, matched));
    NamedModel {
        names: names(provider, model, matched),
        sellers: sellers.collect(),
        output_price: price.map(|price| price.rate(Part::Output, tier, 0)),
    }
}

impl Reason {
    /// Returns why `model` may not be used on `path` at `tier`, if so.
    pub fn of_model(
        configuration: &Configuration,
        path: &Path,
        quote: &Quote,
        provider: Option<&str>,
        model: &str,
        tier: ServiceTier,
    ) -> Option<Self> {
        let RuleInForce { department, rule } = rule_on(configuration, path)?;
        let named = named(quote, provider, model, tier);
        let why = said(rule, rule.forbids(&named)?);
        let whose = department.map_or("the organisation", |department| &department.name);
        let hint = match provider {
            None if rule.names_providers() => "; the request names no provider",
            _ => "",
        };
        let permitted = permitted(rule);
        let message = format!(
            "the model {model:?} may not be used in {whose}: {why}{hint}; permitted are \
             {permitted}; use one of those, or ask an administrator"
        );
        Some(Self {
            models: Some(LevelRule {
                department_id: department.map(|department| department.id.clone()),
                rule: rule.clone(),
            }),
            ..Self::plain(ReasonCode::ModelNotAllowed, message, None)
        })
    }
}

fn said(rule: &ModelRule, why: Forbidden<'_>) -> String {
    let limit = Unit::Usd.shown(rule.max_output_price.unwrap_or_default());
    match why {
        Forbidden::Denied(pattern) => format!("{pattern:?} is denied there"),
        Forbidden::NotListed => "it is not among those that are permitted there".to_owned(),
        Forbidden::TooDear(price) => {
            let price = Unit::Usd.shown(price);
            format!("it costs {price} per million output tokens, and {limit} is the most there")
        }
        Forbidden::Unpriced => {
            format!("its price is not known, and {limit} per million output tokens is the most")
        }
    }
}

/// Describes what a rule permits: `gpt-4o-mini, claude-* except *-pro, up to $10 per million output
/// tokens`.
fn permitted(rule: &ModelRule) -> String {
    let mut text = match rule.allow.is_empty() {
        true => "all models".to_owned(),
        false => listed(&rule.allow),
    };
    if !rule.deny.is_empty() {
        text.push_str(" except ");
        text.push_str(&listed(&rule.deny));
    }
    if let Some(most) = rule.max_output_price {
        let most = Unit::Usd.shown(most);
        text.push_str(&format!(", up to {most} per million output tokens"));
    }
    text
}

fn listed(patterns: &[String]) -> String {
    let first: Vec<&str> = patterns.iter().take(MAX_SAID).map(String::as_str).collect();
    let first = first.join(", ");
    match patterns.len().saturating_sub(MAX_SAID) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Whether the rule in force on `path` permits the model of `usage`, which counts there and costs
/// what `quote` says. It is judged once, when the usage is recorded.
pub fn is_allowed(
    configuration: &Configuration,
    path: &Path,
    quote: &Quote,
    usage: &Usage,
) -> bool {
    rule_on(configuration, path).is_none_or(|of| {
        let (provider, tier) = (Some(usage.provider.as_str()), usage.service_tier);
        let named = named(quote, provider, &usage.model, tier);
        of.rule.forbids(&named).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::{PriceBook, PriceBooks};
    use crate::domain::pricing::in_force::Pricing;
    use crate::domain::pricing::own::{OwnPrices, Target};
    use crate::domain::pricing::timeline::{Dated, Times};
    use crate::domain::samples::{NOW, at, configuration, usage};

    fn rule(allow: &[&str]) -> ModelRule {
        ModelRule {
            allow: allow.iter().map(|text| (*text).to_owned()).collect(),
            ..ModelRule::default()
        }
    }

    fn pricing() -> Pricing<'static> {
        Pricing::of_table(PriceBooks::built_in().at(at(NOW)))
    }

    fn backend() -> Path {
        Path::from_text("/eng/backend/")
    }

    fn of_gpt_4o(configuration: &Configuration) -> Option<Reason> {
        denied(configuration, &pricing(), Some("openai"), "gpt-4o")
    }

    fn denied(
        configuration: &Configuration,
        pricing: &Pricing<'_>,
        provider: Option<&str>,
        model: &str,
    ) -> Option<Reason> {
        let quote = pricing.find(provider, model);
        let tier = ServiceTier::Default;
        Reason::of_model(configuration, &backend(), &quote, provider, model, tier)
    }

    #[test]
    fn a_pattern_fits_every_spelling_of_its_model() {
        let is_denied = |pattern: &str, provider, model| {
            let mut configuration = configuration([]);
            configuration.organisation.models = Some(ModelRule {
                deny: vec![pattern.to_owned()],
                ..ModelRule::default()
            });
            denied(&configuration, &pricing(), provider, model).is_some()
        };
        let anthropic = Some("anthropic");
        assert!(is_denied(
            "claude-sonnet-4.5",
            anthropic,
            "claude-sonnet-4-5"
        ));
        assert!(is_denied(
            "claude-sonnet-4-5",
            anthropic,
            "claude-sonnet-4.5"
        ));
        assert!(is_denied("gpt-4o", None, "gpt4o"));
        // Nobody says whose it is, and Azure is one of those who have it.
        assert!(is_denied("azure/*", None, "gpt4o"));
        assert!(is_denied("openai/*", None, "gpt-4o"));
        assert!(!is_denied("azure/*", Some("openai"), "gpt-4o"));
        assert!(!is_denied("azure/*", None, "openai/gpt-4o"));
        assert!(!is_denied("mistral/*", None, "gpt-4o"));
        assert!(!is_denied("gpt-4o", None, "gpt-4o-mini"));
    }

    #[test]
    fn a_provider_that_nobody_names_is_allowed_if_it_is_sure() {
        let book = PriceBook::from_json(
            r#"{"version": "t", "effective_from": "1970-01-01", "models": [
                {"model": "one", "provider": "openai", "prices": {
                    "input_cost_per_token": 1, "output_cost_per_token": 1}},
                {"model": "both", "provider": "openai", "prices": {
                    "input_cost_per_token": 1, "output_cost_per_token": 1}},
                {"model": "both", "provider": "azure", "prices": {
                    "input_cost_per_token": 1, "output_cost_per_token": 1}}
            ]}"#,
        );
        let book = book.unwrap();
        let is_allowed = |allow: &[&str], model| {
            let mut configuration = configuration([]);
            configuration.organisation.models = Some(rule(allow));
            denied(&configuration, &Pricing::of_table(&book), None, model).is_none()
        };
        assert!(is_allowed(&["openai/*"], "one"));
        assert!(!is_allowed(&["azure/*"], "one"));
        assert!(!is_allowed(&["openai/*"], "both"));
        assert!(!is_allowed(&["azure/*"], "both"));
        assert!(is_allowed(&["openai/*", "azure/*"], "both"));
        assert!(is_allowed(&["openai/*"], "openai/both"));
        assert!(!is_allowed(&["openai/*"], "nobody-knows"));
    }

    fn is_permitted(
        (allow, deny): (&[&str], &[&str]),
        pricing: &Pricing<'_>,
        provider: Option<&str>,
        model: &str,
    ) -> bool {
        let mut configuration = configuration([]);
        configuration.organisation.models = Some(ModelRule {
            deny: rule(deny).allow,
            ..rule(allow)
        });
        denied(&configuration, pricing, provider, model).is_none()
    }

    #[test]
    fn naming_somebody_who_does_not_sell_a_model_opens_no_rule() {
        let is_permitted = |allow: &[&str], deny: &[&str], provider, model| {
            is_permitted((allow, deny), &pricing(), Some(provider), model)
        };
        for provider in ["anthropic", "mistral", "myco"] {
            assert!(
                !is_permitted(&[], &["openai/*"], provider, "gpt-4o"),
                "{provider}"
            );
            assert!(
                !is_permitted(&[], &["azure/*"], provider, "gpt-4o"),
                "{provider}"
            );
            assert!(
                is_permitted(&[], &["bedrock/*"], provider, "gpt-4o"),
                "{provider}"
            );
            let named = format!("{provider}/*");
            assert!(
                !is_permitted(&[&named], &[], provider, "gpt-4o"),
                "{provider}"
            );
            assert!(
                !is_permitted(&["openai/*"], &[], provider, "gpt-4o"),
                "{provider}"
            );
            assert!(
                is_permitted(&["*/gpt-4o"], &[], provider, "gpt-4o"),
                "{provider}"
            );
            assert!(
                is_permitted(&["gpt-4o"], &[], provider, "gpt-4o"),
                "{provider}"
            );
        }
        // They sell it: nobody else is meant.
        assert!(is_permitted(
            &["openai/*"],
            &["azure/*"],
            "openai",
            "gpt-4o"
        ));
        assert!(is_permitted(
            &["myco/*"],
            &["openai/*"],
            "myco",
            "nobody-knows"
        ));
    }

    #[test]
    fn what_is_in_front_of_a_model_permits_nothing_of_another_provider() {
        let is_permitted = |allow: &[&str], provider, model| {
            is_permitted((allow, &[]), &pricing(), Some(provider), model)
        };
        let claude = "anthropic/claude-sonnet-4.5";
        for model in [claude, "anthropic/nobody-knows"] {
            assert!(is_permitted(&["anthropic/*"], "anthropic", model));
            for one in ["anthropic/*", "openrouter/*"] {
                assert!(!is_permitted(&[one], "openrouter", model), "{one} {model}");
            }
            assert!(is_permitted(
                &["anthropic/*", "openrouter/*"],
                "openrouter",
                model
            ));
            // Nobody knows whom the client calls so: its model says whose it is.
            assert!(is_permitted(&["anthropic/*"], "our-gateway", model));
        }
        // The price list has it of this one, with its maker as a part of the name.
        let gateway = "vercel_ai_gateway";
        assert!(is_permitted(&["vercel_ai_gateway/*"], gateway, claude));
        assert!(!is_permitted(&["anthropic/*"], gateway, claude));
        // A platform in front may be meant as well as the provider.
        let profile = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert!(!is_permitted(&["anthropic/*"], "anthropic", profile));
        assert!(is_permitted(
            &["anthropic/*", "bedrock/*"],
            "anthropic",
            profile
        ));
        assert!(is_permitted(&["bedrock/*"], "bedrock", profile));
    }

    #[test]
    fn an_alias_says_who_sells_its_model_whoever_is_named() {
        let target = Target {
            provider: Some("openai".to_owned()),
            model: "gpt-4o".to_owned(),
        };
        let times = Times {
            now: at(NOW),
            oldest: at(NOW),
        };
        let alias = Dated::with(None, "house".to_owned(), (at(NOW), target), times);
        let mut own = OwnPrices::default();
        own.add_alias(alias.unwrap());
        let pricing = Pricing::new(PriceBooks::built_in(), &own, at(NOW));
        let is_permitted = |allow: &[&str], deny: &[&str], provider| {
            is_permitted((allow, deny), &pricing, provider, "house")
        };
        for provider in [None, Some("myco"), Some("azure"), Some("openai")] {
            assert!(!is_permitted(&[], &["openai/*"], provider), "{provider:?}");
            assert!(is_permitted(&["openai/*"], &[], provider), "{provider:?}");
            assert!(is_permitted(&["house"], &[], provider), "{provider:?}");
        }
        assert!(!is_permitted(&["myco/*"], &[], Some("myco")));
        assert!(!is_permitted(&[], &["myco/*"], Some("myco")));
    }

    #[test]
    fn the_nearest_level_decides_whole() {
        let mut configuration = configuration([]);
        assert_eq!(of_gpt_4o(&configuration), None);
        configuration.organisation.models = Some(rule(&["claude-*"]));
        let level = |configuration: &Configuration| {
            let models = of_gpt_4o(configuration)?.models;
            models.map(|of| of.department_id)
        };
        assert_eq!(level(&configuration), Some(None));
        let set = |configuration: &mut Configuration, id: &str, rule| {
            configuration.departments.get_mut(id).unwrap().models = rule;
        };
        // A department without patterns permits what the organisation does not.
        set(&mut configuration, "eng", Some(ModelRule::default()));
        assert_eq!(level(&configuration), None);
        set(&mut configuration, "backend", Some(rule(&["o1"])));
        assert_eq!(level(&configuration), Some(Some("backend".to_owned())));
        set(&mut configuration, "backend", None);
        set(&mut configuration, "sales", Some(rule(&["o1"])));
        assert_eq!(level(&configuration), None);
    }

    #[test]
    fn a_refusal_says_who_decides_why_and_what_is_permitted() {
        let mut configuration = configuration([]);
        let allow: Vec<String> = (0..12).map(|n| format!("m-{n}")).collect();
        let eng = configuration.departments.get_mut("eng").unwrap();
        eng.models = Some(ModelRule {
            allow,
            deny: vec!["*-pro".to_owned()],
            max_output_price: Some(2_500_000),
        });
        let refused = of_gpt_4o(&configuration).unwrap();
        assert_eq!(refused.code, ReasonCode::ModelNotAllowed);
        assert_eq!(
            refused.message,
            "the model \"gpt-4o\" may not be used in The eng: it is not among those that are \
             permitted there; permitted are m-0, m-1, m-2, m-3, m-4, m-5, m-6, m-7, m-8, m-9 \
             and 2 more except *-pro, up to $2.50 per million output tokens; use one of those, \
             or ask an administrator"
        );
        configuration.departments.get_mut("eng").unwrap().models = Some(ModelRule {
            max_output_price: Some(2_500_000),
            ..rule(&["*"])
        });
        let dear = of_gpt_4o(&configuration).unwrap().message;
        let why = "it costs $10 per million output tokens, and $2.50 is the most there";
        assert!(dear.contains(why), "{dear}");
        let unknown = denied(&configuration, &pricing(), None, "nobody-knows");
        let unknown = unknown.unwrap().message;
        assert!(unknown.contains("its price is not known"), "{unknown}");
        let pricing_of_all = pricing().estimating(true);
        let estimated = denied(&configuration, &pricing_of_all, None, "nobody-knows");
        assert_eq!(estimated.unwrap().message, unknown);
        configuration.departments.get_mut("eng").unwrap().models = Some(rule(&["openai/*"]));
        let unnamed = denied(&configuration, &pricing(), None, "gpt-4o");
        let unnamed = unnamed.unwrap().message;
        assert!(
            unnamed.contains("the request names no provider"),
            "{unnamed}"
        );
        assert_eq!(of_gpt_4o(&configuration), None);
    }

    #[test]
    fn the_price_of_output_is_that_of_the_tier() {
        let (mut configuration, path) = (configuration([]), backend());
        let quote = pricing().find(Some("openai"), "gpt-4o");
        // $10 a million, and $5 or $17.
        for (tier, price) in [
            (ServiceTier::Default, 10_000_000),
            (ServiceTier::Batch, 5_000_000),
            (ServiceTier::Priority, 17_000_000),
        ] {
            let usage = Usage {
                service_tier: tier,
                ..usage("e-1", 1, 1)
            };
            for (limit, is_permitted) in [(price, true), (price - 1, false)] {
                configuration.organisation.models = Some(ModelRule {
                    max_output_price: Some(limit),
                    ..ModelRule::default()
                });
                let (provider, model) = (Some("openai"), "gpt-4o");
                let why = Reason::of_model(&configuration, &path, &quote, provider, model, tier);
                assert_eq!(why.is_none(), is_permitted, "{tier:?} {limit}");
                let judged = is_allowed(&configuration, &path, &quote, &usage);
                assert_eq!(judged, is_permitted, "{tier:?} {limit}");
            }
        }
    }

    #[test]
    fn usage_is_judged_by_the_path_on_which_it_counts() {
        let mut configuration = configuration([]);
        configuration.organisation.models = Some(rule(&["gpt-4o"]));
        let sales = configuration.departments.get_mut("sales").unwrap();
        sales.models = Some(rule(&["o1"]));
        let judged = |configuration: &Configuration, path: &str, model: &str| {
            let usage = Usage {
                model: model.to_owned(),
                ..usage("e-1", 1, 1)
            };
            let quote = usage.quote(&pricing());
            is_allowed(configuration, &Path::from_text(path), &quote, &usage)
        };
        assert!(judged(&configuration, "/eng/backend/", "gpt-4o"));
        assert!(!judged(&configuration, "/sales/", "gpt-4o"));
        assert!(!judged(&configuration, "/gone/", "nobody-knows"));
        assert!(judged(&configuration, "/", "gpt-4o"));
        let is_spelled_allowed = judged(&configuration, "/", "openai/GPT-4o");
        assert!(
            is_spelled_allowed,
            "by the name that its price was found by"
        );
        // Its price is that of the dearest date, which is not its name.
        let undated = "gpt-4o-2023-01-01";
        assert!(judged(&configuration, "/", undated));
        let dearest = pricing().find(Some("openai"), undated).matched.model;
        configuration.organisation.models = Some(ModelRule {
            deny: dearest.into_iter().collect(),
            ..ModelRule::default()
        });
        assert!(judged(&configuration, "/", undated));
    }
}
