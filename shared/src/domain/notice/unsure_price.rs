//! The alert about a model whose price is unsure.

use crate::domain::amount::Unit;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::{Event, Usage};
use crate::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::domain::pricing::book::PriceBooks;
use crate::domain::pricing::matched::{MatchKind, PriceMatch, Unsure};
use jiff::Timestamp;
use serde_json::json;

/// Usage whose price is unsure. It is told once for each month, model and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsurePrice<'a> {
    pub unsure: Unsure,
    pub price: PriceMatch,
    /// The month in which it counts: that of its hold, or that in which it occurred.
    pub month: Month,
    pub usage: &'a Usage,
}

impl<'a> UnsurePrice<'a> {
    /// Returns what is unsure about the price of `usage`, if anything is.
    pub fn of(configuration: &Configuration, books: &PriceBooks, usage: &'a Usage) -> Option<Self> {
        let pricing = configuration.pricing(books, usage.occurred_at);
        let source = configuration.organisation.price_source;
        let price = usage.charge(&usage.quote(&pricing), source, None).matched;
        Some(Self {
            unsure: price.kind.unsure()?,
            price,
            month: usage.hold().map_or_else(
                || configuration.period_of(usage.occurred_at),
                |of| of.period,
            ),
            usage,
        })
    }

    fn severity(&self) -> Severity {
        match (self.unsure, self.price.kind) {
            (Unsure::Unpriced, MatchKind::Estimate) => Severity::Medium,
            (Unsure::Unpriced, _) => Severity::High,
            (Unsure::Inexact, MatchKind::ReportedDoubtful) => Severity::Medium,
            (Unsure::Inexact, _) => Severity::Low,
        }
    }

    fn title(&self) -> String {
        let model = &self.usage.model;
        match (self.unsure, self.price.kind) {
            (Unsure::Unpriced, _) => format!("the model {model:?} has no known price"),
            (Unsure::Inexact, MatchKind::ReportedDoubtful) => {
                let far = match &self.price.model {
                    Some(_) => "from its price",
                    None => "below any price",
                };
                format!("the reported cost of the model {model:?} is far {far}")
            }
            (Unsure::Inexact, _) => format!("the price of the model {model:?} is inexact"),
        }
    }

    fn message(&self) -> String {
        let Self {
            unsure,
            price,
            month,
            usage,
        } = self;
        let charged = match (&price.model, price.kind) {
            (_, MatchKind::Estimate) => {
                "It is held and charged at the dearest price of its provider".to_owned()
            }
            (Some(name), MatchKind::DearestProvider) => {
                format!("It may be one of several, and is charged as the dearest of them, {name:?}")
            }
            (Some(name), MatchKind::Alias) => format!("It is taken for {name:?}, and charged so"),
            (name, MatchKind::ReportedDoubtful) => {
                let cost = usage.reported_pico_usd.unwrap_or(0);
                let cost = Unit::Usd.shown(Unit::Usd.rounded_up(cost.into()));
                let far = match name {
                    Some(name) => format!("or more than ten times of what it costs as {name:?}"),
                    None => "of what the dearest model of its provider would cost".to_owned(),
                };
                format!(
                    "The gateway says that this costs {cost}: less than a tenth {far}. It is \
                     charged as the gateway says"
                )
            }
            _ => "It counts in tokens only, and no budget in US dollars sees it".to_owned(),
        };
        let kind = price.kind;
        let price = "a price for it (PUT /v1/prices/{provider}/{model})";
        let what_now = match (unsure, kind) {
            (Unsure::Unpriced, _) => {
                format!("Set {price}, or say which model it is (PUT /v1/models/aliases)")
            }
            (Unsure::Inexact, MatchKind::ReportedDoubtful) => format!(
                "If the gateway is wrong, let the price list count (price_source of PATCH \
                 /v1/organisation); if the price is wrong, set {price}"
            ),
            (Unsure::Inexact, _) => format!("If that is wrong, set {price}"),
        };
        format!(
            "{} used {} tokens of the model {:?} of {:?}. {charged}. {what_now}. Further usage of \
             it in {month} raises no other alert: GET /v1/models?status={}&month={month} lists it.",
            usage.user_id,
            usage.tokens.counts.total(),
            usage.model,
            usage.provider,
            unsure.as_str(),
        )
    }

    /// Returns the alert for this usage, the first of its model.
    pub fn alert(&self, id: String, now: Timestamp) -> Alert {
        let usage = self.usage;
        let identity = EventIdentity::of(&Event::LlmRequest(usage.clone()));
        Alert {
            id,
            kind: AlertKind::UnpricedModel,
            severity: self.severity(),
            status: AlertStatus::Open,
            title: self.title(),
            message: self.message(),
            user_id: Some(usage.user_id.clone()),
            department_id: None,
            budget_id: None,
            policy_id: None,
            metadata: json!({
                "status": self.unsure,
                "provider": usage.provider,
                "model": usage.model,
                "price": self.price,
                "month": self.month,
                "tokens": usage.tokens.counts.total(),
                "event": {
                    "event_id": usage.event_id,
                    "type": "llm_request",
                    "identity": identity.as_str(),
                    "occurred_at": usage.occurred_at.to_string(),
                },
            }),
            created_at: now,
            resolved_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::org::organisation::UnknownModel;
    use crate::domain::pricing::matched::PriceSource;
    use crate::domain::samples::{NOW, at, configuration, usage};

    fn alert(unknown_model: UnknownModel, (provider, model): (&str, &str)) -> Option<Alert> {
        let mut configuration = configuration([]);
        configuration.organisation.unknown_model = unknown_model;
        let usage = Usage {
            provider: provider.to_owned(),
            model: model.to_owned(),
            ..usage("e-1", 1_000, 33)
        };
        let unsure = UnsurePrice::of(&configuration, PriceBooks::built_in(), &usage)?;
        Some(unsure.alert("alr_1".to_owned(), at(NOW)))
    }

    #[test]
    fn a_reported_cost_that_is_far_from_the_price_is_told() {
        let mut configuration = configuration([]);
        configuration.organisation.price_source = PriceSource::Reported;
        // It costs 2,830 micro-USD.
        let told = |cost| {
            let usage = Usage {
                reported_pico_usd: Some(cost),
                ..usage("e-1", 1_000, 33)
            };
            let unsure = UnsurePrice::of(&configuration, PriceBooks::built_in(), &usage)?;
            Some(unsure.alert("alr_1".to_owned(), at(NOW)))
        };
        assert_eq!(told(2_000_000_000), None);
        let alert = told(150_000_000).unwrap();
        assert_eq!(alert.severity, Severity::Medium);
        assert_eq!(
            alert.title,
            "the reported cost of the model \"gpt-4o\" is far from its price"
        );
        let said = &alert.message;
        assert!(said.contains("this costs $0.00015: less than"), "{said}");
        assert!(said.contains("status=inexact&month=2026-11"), "{said}");
        assert_eq!(alert.metadata["price"]["match"], "reported_doubtful");
    }

    #[test]
    fn a_reported_cost_of_an_unknown_model_that_is_far_below_the_dearest_is_told() {
        let mut configuration = configuration([]);
        configuration.organisation.price_source = PriceSource::Reported;
        for setting in [
            UnknownModel::Refuse,
            UnknownModel::Count,
            UnknownModel::Estimate,
        ] {
            configuration.organisation.unknown_model = setting;
            let unknown = Usage {
                model: "nobody-knows".to_owned(),
                reported_pico_usd: Some(0),
                ..usage("e-1", 1_000, 33)
            };
            let unsure = UnsurePrice::of(&configuration, PriceBooks::built_in(), &unknown);
            let unsure = unsure.unwrap();
            assert_eq!(unsure.unsure, Unsure::Inexact);
            let alert = unsure.alert("alr_1".to_owned(), at(NOW));
            let title = "the reported cost of the model \"nobody-knows\" is far below any price";
            assert_eq!(alert.title, title);
            let said = &alert.message;
            let cost = "this costs $0: less than a tenth of what the dearest model";
            assert!(said.contains(cost), "{said}");
            assert!(said.contains("charged as the gateway says."), "{said}");
        }
    }

    #[test]
    fn an_alert_says_which_of_the_two_it_is_how_it_is_charged_and_where_to_look() {
        use UnknownModel::{Count, Estimate, Refuse};
        assert_eq!(alert(Estimate, ("openai", "gpt-4o")), None);
        for (setting, named, severity, title, charged, list) in [
            (
                Refuse,
                ("openai", "nobody-knows"),
                Severity::High,
                "the model \"nobody-knows\" has no known price",
                "It counts in tokens only, and no budget in US dollars sees it.",
                "status=unpriced&month=2026-11",
            ),
            (
                Estimate,
                ("openai", "nobody-knows"),
                Severity::Medium,
                "the model \"nobody-knows\" has no known price",
                "It is held and charged at the dearest price of its provider.",
                "status=unpriced&month=2026-11",
            ),
            (
                Count,
                ("azure", "gpt-41-mini"),
                Severity::Low,
                "the price of the model \"gpt-41-mini\" is inexact",
                "It is taken for \"azure/gpt-4.1-mini\", and charged so.",
                "status=inexact&month=2026-11",
            ),
        ] {
            let alert = alert(setting, named).unwrap();
            assert_eq!((alert.severity, alert.title.as_str()), (severity, title));
            let said = &alert.message;
            assert!(said.contains(charged) && said.contains(list), "{said}");
            let (provider, model) = named;
            let first = format!("ada used 1033 tokens of the model {model:?} of {provider:?}.");
            assert!(said.starts_with(&first), "{said}");
            assert_eq!(alert.metadata["tokens"], 1_033);
        }
    }
}
