//! Choices among rows: which of them is the very name, and what the others are.

use super::book::{PriceBook, PriceBooks};
use super::matched::MatchKind;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::collections::HashSet;
use std::sync::OnceLock;

#[test]
fn a_region_that_is_not_listed_is_marked_also_if_the_others_cost_the_same() {
    let models = ["us.anthropic.claude-x", "eu.anthropic.claude-x"].map(|model| {
        let prices = json!({"input_cost_per_token": 5, "output_cost_per_token": 5});
        json!({"provider": "bedrock", "model": model, "prices": prices})
    });
    let file = json!({"version": "t", "effective_from": "2026-01-01", "models": models});
    let book = PriceBook::from_json(&file.to_string()).unwrap();
    let kind = |model| book.find(Some("bedrock"), model).matched.kind;
    assert_eq!(kind("jp.anthropic.claude-x"), MatchKind::DearestProvider);
    assert_eq!(kind("eu.anthropic.claude-x"), MatchKind::Exact);
}

/// What may stand behind a name, and what may not.
const BEHIND: [&str; 20] = [
    "-v2",
    "-v2:0",
    "-v3:0",
    "-v1",
    "-v1:0",
    "-1:0",
    ":0",
    "-latest",
    ":latest",
    "@latest",
    "@default",
    "@001",
    "@20250807",
    "-2025-08-07",
    "-20250807",
    "-0807",
    "[1m]",
    ":ft-acme-1",
    ".ft-0a1b",
    "-2025-08-07-v2",
];

#[test]
fn a_version_that_is_added_to_a_name_is_never_exactly_that_name() {
    use MatchKind::{Dated, Exact, None as Unknown};
    let models = ["m-1", "m-1-2025-01-02", "m-2-v2:0", "m-3@001"].map(|model| {
        let prices = json!({"input_cost_per_token": 5, "output_cost_per_token": 5});
        json!({"provider": "openai", "model": model, "prices": prices})
    });
    let file = json!({"version": "t", "effective_from": "2026-01-01", "models": models});
    let book = PriceBook::from_json(&file.to_string()).unwrap();
    let kind = |model: &str| book.find(Some("openai"), model).matched.kind;
    for (model, expected) in [
        ("m-1-2025-01-02-v2", Dated),
        ("m-1-2025-01-02-v1:0", Dated),
        ("m-1-2025-01-02", Exact),
        ("m-1-20250102", Dated),
        ("m-1-v1", Dated),
        ("m-1-v1:0", Dated),
        ("m-1-v2", Unknown),
        ("m-1[1m]", Dated),
        ("m-2-v2:0", Exact),
        ("m-2-v2", Dated),
        ("m-2", Unknown),
        ("m-3@001", Exact),
        ("m-3", Dated),
    ] {
        assert_eq!(kind(model), expected, "{model}");
        assert_eq!(
            kind(&format!("OpenAI/{}", model.to_uppercase())),
            expected,
            "{model}"
        );
    }
}

/// The names of all rows, whole and behind each of their separators.
fn names() -> &'static HashSet<String> {
    static NAMES: OnceLock<HashSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let rows = PriceBooks::built_in().at(Timestamp::MAX).listed();
        let ends = rows.flat_map(|row| {
            let name = row.model.to_lowercase();
            let ends = name.match_indices(['/', '.', '-']);
            let ends: Vec<String> = ends.map(|(at, _)| name[at + 1..].to_owned()).collect();
            ends.into_iter().chain([name])
        });
        ends.collect()
    })
}

proptest! {
    #[test]
    fn a_price_is_exact_only_if_a_row_ends_in_the_very_name(
        row in 0_usize..4_448, front in select(vec!["", "openai/", "azure/", "us.anthropic."]),
        behind in prop::option::of(select(BEHIND.to_vec())), is_named in any::<bool>(),
    ) {
        let book = PriceBooks::built_in().at(Timestamp::MAX);
        let row = book.listed().nth(row).unwrap();
        let base = row.model.rsplit('/').next().unwrap().to_lowercase();
        let asked = format!("{base}{}", behind.unwrap_or_default());
        let provider = is_named.then_some(row.provider);
        let kind = book.find(provider, &format!("{front}{asked}")).matched.kind;
        // The vendors that are joined to a name are in front of it, too.
        let joined = ["databricks-", "openai-", "anthropic-", "meta-"];
        let bare = joined.iter().find_map(|vendor| asked.strip_prefix(vendor));
        let is_row = names().contains(&asked) || bare.is_some_and(|name| names().contains(name));
        prop_assert!(kind != MatchKind::Exact || is_row, "{}{}", front, asked);
    }
}
