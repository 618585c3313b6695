//! Tests of price books: the built-in one, and what a name means.

use super::book::{PriceBook, PriceBooks};
use super::matched::MatchKind;
use super::price::value;
use super::quote::Quote;
use super::rates::Part;
use super::source::Source;
use super::spellings::{self, check_list, check_table};
use super::tokens::{ServiceTier, TokenCounts};
use super::{name, table};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

const FILE: &str = include_str!("../../../data/prices-2026-11.tsv");

/// Words that make another model of the one that they follow.
const OTHERS: [&str; 24] = [
    "-pro",
    "-mini",
    "-nano",
    "-codex",
    "-research",
    "-realtime",
    "-audio",
    "-tts",
    "-transcribe",
    "-image",
    "-fast",
    "-high",
    "-max",
    "-ultra",
    "-preview",
    "-thinking",
    ":thinking",
    ":free",
    "-2",
    "-16k",
    ".5",
    "1",
    "0",
    "-12345",
];

fn built_in() -> &'static PriceBook {
    PriceBooks::built_in().at("2026-11-24T00:00:00Z".parse().unwrap())
}

/// Makes a book of models, each with one rate for all of its tokens.
fn book(models: &[(&str, &str, i64)]) -> PriceBook {
    let models: Vec<_> = models
        .iter()
        .map(|(provider, model, rate)| {
            let prices = json!({"input_cost_per_token": rate, "output_cost_per_token": rate});
            json!({"provider": provider, "model": model, "prices": prices})
        })
        .collect();
    let file = json!({"version": "t", "effective_from": "2026-01-01", "models": models});
    PriceBook::from_json(&file.to_string()).unwrap()
}

fn rate(quote: &Quote) -> Option<i64> {
    let price = quote.price.as_ref()?;
    Some(price.rate(Part::Input, ServiceTier::Default, 1))
}

fn found(book: &PriceBook, provider: Option<&str>, model: &str) -> (MatchKind, Option<i64>) {
    let quote = book.find(provider, model);
    (quote.matched.kind, rate(&quote))
}

#[test]
fn what_people_send_costs_what_the_source_says() {
    let list = spellings::read(spellings::LIST).unwrap();
    assert!(list.len() >= 150);
    let checked = check_list(built_in(), &list);
    assert_eq!(checked.wrong, Vec::<String>::new());
    assert!(checked.right > 100 && checked.inexact > 20 && checked.unknown > 40);
}

#[test]
fn every_row_of_the_table_is_found_by_its_own_name() {
    let checked = check_table(built_in());
    assert_eq!(checked.wrong, Vec::<String>::new());
    assert!(checked.right > 3_500, "{}", checked.right);
    assert_eq!(checked.reasons.values().sum::<usize>(), checked.unknown);
    assert_eq!(checked.inexact, 0);
}

#[test]
fn the_table_is_as_the_import_writes_it() {
    let source = Source::of_table(FILE).unwrap();
    assert_eq!(source.table(), FILE);
    assert_eq!(source.unlisted_providers(), Vec::<&str>::new());
    let book = built_in();
    assert_eq!(
        (book.version(), book.largest_output()),
        ("2026-11", 1_048_576)
    );
}

#[test]
fn bisection_finds_every_row_that_reading_all_of_them_does() {
    let rows = table::rows(FILE);
    let all: Vec<_> = rows.lines().filter_map(table::Row::read).collect();
    assert_eq!(all.len(), 4_448);
    let mut start = 0;
    while start < all.len() {
        let key = name::key(all[start].model);
        let same = all[start..]
            .iter()
            .take_while(|row| name::key(row.model) == key)
            .count();
        let found = table::find(rows, &key).into_iter().map(|(row, _)| row);
        assert_eq!(found.collect::<Vec<_>>(), all[start..start + same], "{key}");
        start += same;
    }
    for missing in ["", "!", "gpt", "zzzzzz", "ünknown"] {
        assert_eq!(table::find(rows, missing), []);
        assert_eq!(table::find("", missing), []);
    }
}

#[test]
fn each_moment_has_the_prices_of_its_date() {
    let book = |version: &str, from: &str, rate: i64| {
        let prices = json!({"input_cost_per_token": rate, "output_cost_per_token": 0});
        let model = json!({"provider": "a", "model": "m-1", "prices": prices});
        let file = json!({"version": version, "effective_from": from, "models": [model]});
        PriceBook::from_json(&file.to_string()).unwrap()
    };
    let books = PriceBooks::new(vec![
        book("2027-02", "2027-02-01", 9_000_000),
        book("2026-11", "2026-11-01", 3_000_000),
    ]);
    for (at, version, cost) in [
        ("2020-01-01T00:00:00Z", "2026-11", 3),
        ("2027-01-31T23:59:59Z", "2026-11", 3),
        ("2027-02-01T00:00:00Z", "2027-02", 9),
    ] {
        let quote = books.at(at.parse().unwrap()).find(Some("a"), "m-1");
        let one = TokenCounts {
            input: 1,
            ..TokenCounts::default()
        };
        assert_eq!(quote.matched.version, version, "{at}");
        let amounts = value(quote.price.as_ref(), one, ServiceTier::Default);
        assert_eq!(amounts.micro_usd(), cost, "{at}");
    }
    let empty = PriceBooks::new(Vec::new());
    assert!(
        empty
            .at(Timestamp::UNIX_EPOCH)
            .find(None, "m-1")
            .price
            .is_none()
    );
}

#[test]
fn a_seller_that_is_named_comes_first_and_without_one_the_dearest() {
    use MatchKind::{DearestProvider, Exact, None as Unknown};
    let book = book(&[("a", "m-1", 5), ("b", "m-1", 9), ("b", "m-1-mini", 2)]);
    assert_eq!(found(&book, Some("a"), "m-1"), (Exact, Some(5)));
    assert_eq!(found(&book, Some("A"), "M-1"), (Exact, Some(5)));
    assert_eq!(found(&book, None, "m-1"), (DearestProvider, Some(9)));
    assert_eq!(found(&book, Some("c"), "m-1"), (DearestProvider, Some(9)));
    assert_eq!(found(&book, None, "m-1-mini"), (Exact, Some(2)));
    assert_eq!(
        found(&book, Some("a"), "m-1-mini"),
        (DearestProvider, Some(2))
    );
    assert_eq!(found(&book, None, "m-2"), (Unknown, None));
}

#[test]
fn sellers_at_one_price_are_as_sure_as_one_seller() {
    let book = book(&[("a", "m-1", 5), ("b", "m-1", 5)]);
    assert_eq!(found(&book, None, "m-1"), (MatchKind::Exact, Some(5)));
}

#[test]
fn an_unknown_model_of_a_provider_of_free_models_is_not_free() {
    let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
    let usual = book.dearest_of(None).unwrap();
    assert!(!usual.is_free());
    for provider in ["ollama", "nobody"] {
        assert_eq!(
            book.dearest_of(Some(provider)),
            Some(usual.clone()),
            "{provider}"
        );
    }
}

#[test]
fn a_date_that_is_not_listed_costs_the_dearest_of_the_others() {
    use MatchKind::{Dated, DearestProvider, Exact};
    let book = book(&[("a", "m-1", 5), ("a", "m-1-2025-01-02", 9), ("a", "m-2", 3)]);
    let found = |model| found(&book, Some("a"), model);
    assert_eq!(found("m-1"), (Exact, Some(5)));
    assert_eq!(found("m-1-2025-01-02"), (Exact, Some(9)));
    assert_eq!(found("m-1-20250102"), (Dated, Some(9)));
    assert_eq!(found("m-1@2025-01-02"), (Dated, Some(9)));
    assert_eq!(found("m-1-latest"), (Dated, Some(5)));
    assert_eq!(found("m-1-2025-01-03"), (DearestProvider, Some(9)));
    assert_eq!(found("m-2-2025-01-03"), (Dated, Some(3)));
    assert_eq!(found("m-2-0103"), (Dated, Some(3)));
    assert_eq!(found("m-2-2025-13-03").1, None);
    assert_eq!(found("m-2-1303").1, None);
}

#[test]
fn a_spelling_that_fits_two_models_is_neither() {
    let book = book(&[("a", "m-4-1", 5), ("a", "m-41", 9)]);
    let found = |model| found(&book, Some("a"), model);
    assert_eq!(found("m-4.1"), (MatchKind::Alias, Some(5)));
    assert_eq!(found("m-41"), (MatchKind::Exact, Some(9)));
    assert_eq!(found("m4-1"), (MatchKind::None, None));
}

#[test]
fn the_dearest_of_a_provider_is_at_least_as_dear_as_each_of_its_chat_models() {
    let book = built_in();
    let rate = |provider| {
        let price = book.dearest_of(provider).unwrap();
        price.rate(Part::Output, ServiceTier::Default, 1)
    };
    assert_eq!(rate(Some("openai")), rate(Some("OpenAI")));
    // o1-pro
    assert!(rate(Some("openai")) >= 600_000_000);
    assert!(
        rate(Some("aws.bedrock")) >= 137_500_000,
        "claude-mythos-preview"
    );
    assert!(rate(Some("groq")) < rate(Some("anthropic")));
    assert_eq!(rate(None), rate(Some("nobody-knows")));
    assert!(rate(None) >= rate(Some("openai")).max(rate(Some("anthropic"))));
    assert!(
        PriceBooks::new(Vec::new())
            .at(Timestamp::UNIX_EPOCH)
            .dearest_of(None)
            .is_none()
    );
}

proptest! {
    #[test]
    fn a_word_behind_a_name_never_takes_the_price_of_the_name(row in 0_usize..4_448) {
        let book = built_in();
        let row = book.listed().nth(row).unwrap();
        for other in OTHERS {
            let asked = format!("{}{other}", row.model);
            for provider in [Some(row.provider), None] {
                // What is found is spelled alike, up to the places of its separators. A fine-tuned
                // model may have the price of its base.
                if let Some(model) = book.find(provider, &asked).matched.model {
                    let key = |model: &str| name::key(model).trim_start_matches("ft:").to_owned();
                    prop_assert_eq!(key(&model), key(&asked), "{}", asked);
                }
            }
        }
    }

    #[test]
    fn another_model_in_the_table_changes_the_price_of_no_exact_name(
        rates in prop::collection::vec(1_i64..1_000, 18), added in 0_usize..18,
    ) {
        let names = [
            ("openai", "gpt-4"), ("openai", "gpt-4.1"), ("openai", "gpt-4.1-mini"),
            ("openai", "gpt-41"), ("openai", "gpt-4o"), ("openai", "gpt-4o-2024-08-06"),
            ("openai", "gpt-4o-mini"), ("openai", "o1"), ("openai", "o1-pro"),
            ("azure", "azure/gpt-4o"), ("azure", "azure/eu/gpt-4o"), ("azure", "azure/gpt-41"),
            ("bedrock", "anthropic.claude-v2:1"), ("bedrock", "us.amazon.nova-pro-v1:0"),
            ("bedrock", "amazon.nova-pro-v1:0"), ("openai", "ft:gpt-4o-2024-08-06"),
            ("openai", "gpt-4o-latest"), ("openai", "gpt-4-0613"),
        ];
        let all: Vec<_> = names.iter().zip(&rates).map(|((p, m), rate)| (*p, *m, *rate)).collect();
        let mut fewer = all.clone();
        fewer.remove(added);
        let (before, after) = (book(&fewer), book(&all));
        for (provider, model, rate) in fewer {
            let exact = (MatchKind::Exact, Some(rate));
            prop_assert_eq!(found(&before, Some(provider), model), exact, "{}", model);
            prop_assert_eq!(found(&after, Some(provider), model), exact, "{}", model);
        }
    }

    #[test]
    fn no_name_is_too_strange(provider in ".{0,30}", model in "\\PC{0,60}") {
        built_in().find(Some(&provider), &model);
    }

    #[test]
    fn names_of_separators_and_digits_are_read(model in "[a-c0-9.:@/_\\[\\]-]{0,30}") {
        built_in().find(None, &model);
    }
}
