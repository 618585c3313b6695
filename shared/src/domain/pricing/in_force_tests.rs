//! Tests of the organisation's prices over those of the table.

use super::*;
use crate::domain::pricing::matched::PriceMatch;
use crate::domain::pricing::own::{Alias, PriceOf, Rates, WHOLE};
use crate::domain::pricing::rates::Part;
use crate::domain::pricing::timeline::{Dated, Times};
use crate::domain::pricing::tokens::ServiceTier;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn times() -> Times {
    Times {
        now: at(1_000),
        oldest: at(0),
    }
}

/// OpenAI's `m` costs 2 and 10 micro-USD a token, that of May 2024 more, and Azure's too.
fn books() -> PriceBooks {
    let book = PriceBook::from_json(
        r#"{"version": "t", "effective_from": "1970-01-01", "models": [
            {"model": "m", "provider": "openai", "prices": {
                "input_cost_per_token": 2000000, "output_cost_per_token": 10000000}},
            {"model": "m", "provider": "azure", "prices": {
                "input_cost_per_token": 3000000, "output_cost_per_token": 12000000}},
            {"model": "m-2024-05-13", "provider": "openai", "prices": {
                "input_cost_per_token": 5000000, "output_cost_per_token": 15000000}}
        ]}"#,
    );
    PriceBooks::new(vec![book.unwrap()])
}

fn rates(input: i64, output: i64) -> Rates {
    Rates {
        input: Some(input),
        output: Some(output),
        ..Rates::default()
    }
}

fn with_price(mut own: OwnPrices, provider: &str, model: &str, rates: Rates) -> OwnPrices {
    let of = PriceOf {
        provider: provider.to_owned(),
        model: model.to_owned(),
    };
    own.add_price(Dated::with(None, of, (at(1_000), rates), times()).unwrap());
    own
}

fn with_discount(mut own: OwnPrices, provider: &str, hundredths: i64) -> OwnPrices {
    let discount = Dated::with(None, provider.to_owned(), (at(1_000), hundredths), times());
    own.add_discount(discount.unwrap());
    own
}

fn with_alias(mut own: OwnPrices, name: &str, provider: Option<&str>, model: &str) -> OwnPrices {
    let target = Target {
        provider: provider.map(str::to_owned),
        model: model.to_owned(),
    };
    let alias: Alias = Dated::with(None, name.to_owned(), (at(1_000), target), times()).unwrap();
    own.add_alias(alias);
    own
}

fn ours(provider: &str, model: &str, rates: Rates) -> OwnPrices {
    with_price(OwnPrices::default(), provider, model, rates)
}

/// Input, output, kind, model and version at a moment.
type Found = (i64, i64, MatchKind, Option<String>, String);

fn found(own: &OwnPrices, second: i64, provider: Option<&str>, model: &str) -> Option<Found> {
    let books = books();
    let quote = Pricing::new(&books, own, at(second)).find(provider, model);
    let price = quote.price?;
    let rate = |part| price.rate(part, ServiceTier::Default, 0);
    let PriceMatch {
        kind,
        model,
        version,
    } = quote.matched;
    Some((rate(Part::Input), rate(Part::Output), kind, model, version))
}

fn priced(own: &OwnPrices, provider: &str, model: &str) -> (i64, MatchKind) {
    let (input, _, kind, ..) = found(own, 1_000, Some(provider), model).unwrap();
    (input, kind)
}

use MatchKind::{DearestProvider, Exact, Organisation};

#[test]
fn an_own_price_comes_before_the_table_from_its_moment_on() {
    let own = ours("openai", "m", rates(7, 8));
    let before = found(&own, 999, Some("openai"), "m").unwrap();
    assert_eq!(
        (before.0, before.2, before.4.as_str()),
        (2_000_000, Exact, "t")
    );
    let after = found(&own, 1_000, Some("openai"), "m").unwrap();
    let expected = (
        7,
        8,
        Organisation,
        Some("m".to_owned()),
        "organisation/1".to_owned(),
    );
    assert_eq!(after, expected);
    assert_eq!(
        priced(&own, "azure", "m"),
        (3_000_000, Exact),
        "of another provider"
    );
}

#[test]
fn an_own_price_is_that_of_all_spellings_and_versions_without_one_of_their_own() {
    let own = ours("OpenAI", "M", rates(7, 8));
    for model in [
        "m",
        "M",
        "openai/m",
        "m-latest",
        "m-2024-08-06",
        "m-2024-05-13",
    ] {
        assert_eq!(priced(&own, "openai", model), (7, Organisation), "{model}");
    }
    let own = with_price(own, "openai", "m-2024-05-13", rates(9, 9));
    assert_eq!(priced(&own, "openai", "m-2024-05-13").0, 9);
    assert_eq!(priced(&own, "openai", "m-2024-08-06").0, 7);
    assert_eq!(
        found(&own, 1_000, Some("openai"), "m-mini"),
        None,
        "another model"
    );
    assert_eq!(
        found(&own, 1_000, Some("openai"), "ft:m:acme::1").map(|of| of.0),
        Some(2_000_000)
    );
}

#[test]
fn without_a_provider_it_is_the_dearest_of_all_who_may_be_meant() {
    let own = ours("our-cluster", "m", rates(0, 0));
    assert_eq!(priced(&own, "our-cluster", "m"), (0, Organisation));
    let (input, output, kind, ..) = found(&own, 1_000, None, "m").unwrap();
    assert_eq!(
        (input, output, kind),
        (3_000_000, 12_000_000, DearestProvider)
    );
    let (input, _, kind, ..) = found(&own, 1_000, None, "openai/m").unwrap();
    assert_eq!(
        (input, kind),
        (2_000_000, Exact),
        "the name says whose it is"
    );
    let own = ours("our-cluster", "only-ours", rates(0, 0));
    let (input, _, kind, ..) = found(&own, 1_000, None, "only-ours").unwrap();
    assert_eq!((input, kind), (0, Organisation));
}

#[test]
fn an_own_price_that_lacks_a_rate_leaves_it_to_the_table() {
    let only_input = Rates {
        input: Some(1),
        ..Rates::default()
    };
    let own = ours("our-cluster", "m", only_input);
    let found = priced(&own, "our-cluster", "m");
    assert_eq!(found, (3_000_000, DearestProvider));
}

#[test]
fn a_discount_is_on_the_table_only_and_rounded_up() {
    let own = with_discount(OwnPrices::default(), "openai", 3_333);
    let (input, output, kind, _, version) = found(&own, 1_000, Some("openai"), "m").unwrap();
    assert_eq!((input, output, kind), (1_333_400, 6_667_000, Exact));
    assert_eq!(version, "t/discount-1");
    assert_eq!(priced(&own, "azure", "m").0, 3_000_000);
    assert_eq!(
        found(&own, 999, Some("openai"), "m").map(|of| of.0),
        Some(2_000_000)
    );
    let own = with_price(own, "openai", "m", rates(7, 7));
    assert_eq!(priced(&own, "openai", "m"), (7, Organisation));
    assert_eq!(discounted(1, 1), 1);
    assert_eq!(discounted(1, WHOLE), 0);
    assert_eq!(discounted(3, 5_000), 2);
}

#[test]
fn a_discount_counts_under_every_name_of_its_provider() {
    let own = with_discount(OwnPrices::default(), "azure.ai.openai", 5_000);
    assert_eq!(priced(&own, "azure", "m").0, 1_500_000);
    let own = with_discount(own, "azure", 1_000);
    assert_eq!(
        priced(&own, "azure", "m").0,
        2_700_000,
        "its own name comes first"
    );
}

#[test]
fn a_discount_that_was_removed_leaves_that_under_another_name() {
    let mut own = with_discount(OwnPrices::default(), "azure.ai.openai", 5_000);
    let discount = Dated::with(None, "azure".to_owned(), (at(500), 1_000), times()).unwrap();
    own.add_discount(discount.removed(times()).unwrap());
    assert_eq!(priced(&own, "azure", "m").0, 1_500_000);
}

#[test]
fn an_alias_stands_for_a_model_and_never_for_another_alias() {
    let own = with_alias(OwnPrices::default(), "Our-Chat", Some("openai"), "m");
    let (input, _, kind, model, _) = found(&own, 1_000, Some("azure"), "our-chat").unwrap();
    assert_eq!(
        (input, kind, model.as_deref()),
        (2_000_000, Organisation, Some("m")),
        "what the organisation says is sure"
    );
    assert_eq!(found(&own, 999, Some("azure"), "our-chat"), None, "not yet");
    let own = with_alias(own, "chain", None, "our-chat");
    assert_eq!(found(&own, 1_000, Some("openai"), "chain"), None);
    let own = with_alias(own, "theirs", None, "m");
    assert_eq!(
        priced(&own, "azure", "theirs").0,
        3_000_000,
        "of whom it is reported"
    );
    let own = with_price(own, "openai", "m", rates(7, 7));
    assert_eq!(priced(&own, "azure", "our-chat"), (7, Organisation));
    assert_eq!(
        own.alias_for("M", at(1_000)).map(|alias| alias.of.as_str()),
        Some("Our-Chat")
    );
}

#[test]
fn an_alias_of_a_name_that_is_unsure_is_as_unsure() {
    let own = with_alias(OwnPrices::default(), "a", Some("nobody"), "m");
    let own = with_alias(own, "b", Some("openai"), "m-latest");
    assert_eq!(priced(&own, "openai", "a"), (3_000_000, DearestProvider));
    let (_, _, kind, model, version) = found(&own, 1_000, Some("azure"), "b").unwrap();
    assert_eq!(
        (kind, model.as_deref(), version.as_str()),
        (Organisation, Some("m-latest"), "t")
    );
}

#[test]
fn an_own_price_has_the_longest_answer_that_the_table_knows_of_its_model() {
    let book = PriceBook::from_json(
        r#"{"version": "t", "effective_from": "1970-01-01", "models": [
            {"model": "llama-9", "provider": "ollama", "max_output_tokens": 8192, "prices": {
                "input_cost_per_token": 0, "output_cost_per_token": 0}},
            {"model": "preview-1", "provider": "openai", "max_output_tokens": 4096, "prices": {}},
            {"model": "preview-1", "provider": "azure", "max_output_tokens": 9999, "prices": {}}
        ]}"#,
    );
    let books = PriceBooks::new(vec![book.unwrap()]);
    for (provider, model, longest) in [
        ("our-cluster", "llama-9", Some(8_192)),
        ("openai", "preview-1", Some(4_096)),
        ("our-cluster", "preview-1", Some(9_999)),
        ("our-cluster", "our-model", None),
    ] {
        let own = ours(provider, model, rates(1, 1));
        let quote = Pricing::new(&books, &own, at(1_000)).find(Some(provider), model);
        assert_eq!(quote.max_output_tokens, longest, "{provider} {model}");
    }
}

#[test]
fn the_dearest_of_a_provider_has_its_discount() {
    let own = with_discount(OwnPrices::default(), "openai", 5_000);
    let books = books();
    let of = |own: &OwnPrices, provider| {
        let pricing = Pricing::new(&books, own, at(1_000)).estimating(true);
        let quote = pricing.find(Some(provider), "nobody-knows");
        assert_eq!(quote.matched.kind, MatchKind::Estimate);
        let input = quote.price.unwrap();
        let input = input.rate(Part::Input, ServiceTier::Default, 0);
        (input, quote.matched.version)
    };
    let whole = of(&OwnPrices::default(), "openai");
    assert_eq!(whole.1, "t");
    assert_eq!(of(&own, "openai"), (whole.0 / 2, "t/discount-1".to_owned()));
    assert_eq!(of(&own, "azure").1, "t", "of another provider");
}

proptest! {
    #[test]
    fn a_discount_never_raises_a_rate_and_loses_less_than_one(
        rate in 0_i64..1_000_000_000_000, hundredths in 0_i64..=WHOLE,
    ) {
        let after = discounted(rate, hundredths);
        prop_assert!(after <= rate);
        let exact = i128::from(rate) * i128::from(WHOLE - hundredths);
        let over = i128::from(after) * i128::from(WHOLE) - exact;
        prop_assert!((0..i128::from(WHOLE)).contains(&over));
    }
}
