//! Choices among rows that cost the same.

use super::book::PriceBook;
use super::matched::MatchKind;
use serde_json::json;

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
